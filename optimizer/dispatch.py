"""The energy schedule once starts are whole: awake nodes, battery, sun, grid, and the true cost.

Plans are compared by this cost and by nothing else. The schedule comes from a small model with the
families of the large one and fixed starts; what leaves is recomputed here, so a solver's error can
make a schedule dearer but not wrong. Without a solver's answer nodes are awake only where they are
needed, and the battery rests.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from optimizer.arrays import Floats, Ints
from optimizer.deadline import Deadline
from optimizer.families.grid import Grid, Jobs, at, grid_of
from optimizer.families.power import KW
from optimizer.formulation import METERED_FAMILIES
from optimizer.highs_route import LiveModel
from optimizer.instance import Instance
from optimizer.model import INFINITY, Block, ModelBuilder
from optimizer.occupancy import Occupancy
from optimizer.schedule import Choice, Load, Schedule, schedule_of
from optimizer.site_energy import EnergyData
from optimizer.solution import Limits

TIME_S: Final = 3.0
"""Most that one dispatch may take; a day of eight sites takes about a tenth of a second."""
_GAP: Final = 1e-6
_TIME_SHARE: Final = 0.3


@dataclass(frozen=True, slots=True)
class Settled:
    """The true cost of a plan in yuan, and the schedule that it counts on."""

    objective: float
    schedule: Schedule | None = None


def settle(state: Occupancy, deadline: Deadline) -> Settled:
    """Return what a plan costs in truth; without energy data that is what its state says."""
    energy = state.instance.energy
    if energy is None:
        return Settled(state.objective())
    load = load_of(state, energy)
    rest = schedule_of(state.instance, energy, load, _resting(energy, load))
    time_s = min(TIME_S, deadline.left_s() * _TIME_SHARE)
    found = _solved(state.instance, energy, load, time_s) if time_s > 0 else None
    best = rest
    if found is not None:
        solved = schedule_of(state.instance, energy, load, found)
        best = min(rest, solved, key=lambda one: float(one.cost_yuan.sum()))
    return Settled(_starts_yuan(state, energy) + float(best.cost_yuan.sum()), best)


def load_of(state: Occupancy, energy: EnergyData) -> Load:
    """Return what the state's jobs take where there is energy data."""
    instance, columns, windows = state.instance, state.columns, energy.windows
    high_w = np.zeros(instance.facilities.base_w.shape)
    np.add.at(high_w, instance.site_of, state.used * instance.own_w[:, None])
    own_high_w = high_w[energy.site]
    mean_w = own_high_w.copy()
    part_w = own_high_w[windows.part_m, windows.part_slot]
    m_of = {int(site): m for m, site in enumerate(energy.site)}
    for column in sorted(state.payments):
        p, last = int(columns.pool[column]), int(columns.last[column])
        m = m_of.get(int(instance.site_of[p]))
        if m is None or instance.own_w[p] <= 0:
            continue
        one_w = state.watts(column) * float(instance.own_w[p] / instance.busy_w[p])
        all_w = len(state.payments[column]) * one_w
        share = columns.last_share[column]
        mean_w[m, last] -= all_w * (1.0 - float(share))
        parts = windows.part_at[m, last]
        parts = parts[parts >= 0]
        part_w[parts] -= all_w * windows.unused(parts, share)
    return Load(
        used=state.used.astype(np.float64),
        mean_w=np.maximum(0.0, mean_w),
        high_w=own_high_w,
        part_w=np.maximum(0.0, part_w),
    )


def _starts_yuan(state: Occupancy, energy: EnergyData) -> float:
    """What the plan costs beside the sites with energy data."""
    return state.objective() - float(state.energy_cost_yuan()[energy.site].sum())


def _resting(energy: EnergyData, load: Load) -> Choice:
    """Nodes awake only where they are needed, the sun used, the battery at rest."""
    none = np.zeros(energy.asleep_w.shape)
    awake = _reachable(energy, energy.sleepers.required(load.used[energy.sleepers.pool]))
    return Choice(awake=awake, charge_w=none, discharge_w=none, solar_w=energy.solar_w)


def _reachable(energy: EnergyData, awake: Floats) -> Floats:
    """Keep nodes awake that are needed in a later slot before which no wake can be over."""
    sleepers = energy.sleepers
    kept = awake.copy()
    for t in range(kept.shape[1] - 1, 0, -1):
        stuck = ~sleepers.can_wake[:, t]
        kept[stuck, t - 1] = np.maximum(kept[stuck, t - 1], kept[stuck, t])
    return kept


def _solved(instance: Instance, energy: EnergyData, load: Load, time_s: float) -> Choice | None:
    """The choice of the small model; None where no answer came in time."""
    builder = ModelBuilder()
    grid = _small_grid(builder, instance, energy, load)
    found = LiveModel(builder.build()).solve(Limits(time_s=time_s, gap=_GAP))
    if not found.has_point:
        return None
    values = found.values
    awake = np.round(values[at(grid, grid.awake)])
    required = energy.sleepers.required(load.used[energy.sleepers.pool])
    return Choice(
        awake=_reachable(energy, np.clip(awake, required, energy.sleepers.cap)),
        charge_w=values[at(grid, grid.charge)] / KW,
        discharge_w=values[at(grid, grid.discharge)] / KW,
        solar_w=values[at(grid, grid.solar)] / KW,
    )


def _small_grid(builder: ModelBuilder, instance: Instance, energy: EnergyData, load: Load) -> Grid:
    """The families of the meter over fixed jobs; nodes are whole, a battery goes one way a slot."""
    mean_w = np.zeros(instance.facilities.base_w.shape)
    mean_w[energy.site] = load.mean_w
    jobs = Jobs(
        used=_fixed(builder, "used", load.used),
        load=_fixed(builder, "load", KW * mean_w),
        part=_fixed(builder, "part", KW * load.part_w),
    )
    grid = grid_of(builder, instance, energy, jobs, whole_nodes=True)
    required = energy.sleepers.required(load.used[energy.sleepers.pool]).ravel()
    rows = builder.add_rows("required", len(required), lower=required, upper=INFINITY)
    places = rows.first + np.arange(len(required), dtype=np.int64)
    builder.add_entries(places, at(grid, grid.awake).ravel(), 1.0)
    for write in METERED_FAMILIES:
        write(grid)
    _go_one_way(grid)
    return grid


def _fixed(builder: ModelBuilder, name: str, values: Floats) -> Block:
    flat = values.ravel()
    block = builder.add_variables(name, upper=flat)
    rows = builder.add_rows(f"{name}_is", len(flat), lower=flat, upper=flat)
    places = np.arange(len(flat), dtype=np.int64)
    builder.add_entries(rows.first + places, block.first + places, 1.0)
    return block


def _go_one_way(grid: Grid) -> None:
    """For every m, t with a battery:  charge <= max * into,  discharge <= max * (1 - into)."""
    energy, builder = grid.energy, grid.builder
    batteries = np.flatnonzero((energy.charge_w > 0) & (energy.discharge_w > 0))
    count = len(batteries) * grid.slots
    into = builder.add_variables("into", upper=np.ones(count), is_integral=True)
    choice = into.first + np.arange(count, dtype=np.int64)
    charge_kw = np.repeat(KW * energy.charge_w[batteries], grid.slots)
    discharge_kw = np.repeat(KW * energy.discharge_w[batteries], grid.slots)
    ways = (
        (grid.charge, -charge_kw, np.zeros(count)),
        (grid.discharge, discharge_kw, discharge_kw),
    )
    for block, weight, upper in ways:
        rows = builder.add_rows("one_way", count, lower=-INFINITY, upper=upper)
        places: Ints = rows.first + np.arange(count, dtype=np.int64)
        builder.add_entries(places, at(grid, block)[batteries].ravel(), 1.0)
        builder.add_entries(places, choice, weight)
