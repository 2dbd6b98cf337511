"""The variables of sites with energy data, which the families of sleep, storage and peak share."""

from dataclasses import dataclass

import numpy as np

from optimizer.arrays import Bools, Floats, Ints
from optimizer.facility import largest
from optimizer.families.power import KW
from optimizer.instance import Instance
from optimizer.model import Block, ModelBuilder
from optimizer.site_energy import LACK_YUAN_PER_KWH, OVER_YUAN_PER_KWH, EnergyData
from suanwang.units import SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True)
class Jobs:
    """What our jobs take: units by (p, t); mean IT power by (s, t) and by part of a slot, kW."""

    used: Block
    load: Block
    part: Block


@dataclass(frozen=True, slots=True)
class Grid:
    """Blocks by (q, t): ``awake``, ``wake``; by (m, t) in kW unless said; ``lack``, ``rise`` by m.

    ``it`` and ``high`` are mean and highest IT power with awake nodes, above all asleep. ``grid``
    is the mean draw, ``draw`` the highest one. ``paid`` is the mean draw that is priced where the
    price is negative. ``stored`` and ``lack`` are kWh. ``over`` is a draw above a promised power.
    ``used`` by (p, t), ``load``, mean IT power of our jobs by (s, t), and ``part``, the same by
    part of a slot, belong to others; ``meter`` is the mean draw by part.
    """

    builder: ModelBuilder
    instance: Instance
    energy: EnergyData
    used: Block
    load: Block
    part: Block
    awake: Block
    wake: Block
    it: Block
    high: Block
    grid: Block
    meter: Block
    paid: Block
    draw: Block
    solar: Block
    charge: Block
    discharge: Block
    stored: Block
    lack: Block
    over: Block
    rise: Block

    @property
    def slots(self) -> int:
        """How many slots there are."""
        return self.instance.timeline.slots

    @property
    def hours(self) -> Floats:
        """Lengths of the slots."""
        return self.instance.timeline.length_s / SECONDS_PER_HOUR

    @property
    def is_paid(self) -> Bools:
        """Where the price is negative, by (m, t)."""
        negative: Bools = self.instance.metered.price[self.energy.site] < 0
        return negative


@dataclass(frozen=True, slots=True)
class _Reach:
    """The most that any plan can make of IT power and of draw, kW, by (m, t)."""

    it_kw: Floats
    draw_kw: Floats
    facility_kw: Floats


def grid_of(
    builder: ModelBuilder,
    instance: Instance,
    energy: EnergyData,
    jobs: Jobs,
    *,
    whole_nodes: bool,
) -> Grid:
    """Add the variables, with their bounds and prices."""
    sleepers, facilities = energy.sleepers, instance.metered
    shape = energy.asleep_w.shape
    hours = instance.timeline.length_s / SECONDS_PER_HOUR
    price = facilities.price[energy.site]
    reach = _reach(instance, energy)
    ones = np.ones(shape)
    stored = ones * KW * energy.room_wh[:, None]
    over = np.where(np.isfinite(energy.firm_w), reach.draw_kw, 0.0)

    def add(name: str, upper: Floats, cost: Floats | float = 0.0) -> Block:
        costs = np.broadcast_to(np.asarray(cost, dtype=np.float64), upper.shape)
        return builder.add_variables(name, upper=upper.ravel(), cost=costs.ravel())

    return Grid(
        builder=builder,
        instance=instance,
        energy=energy,
        used=jobs.used,
        load=jobs.load,
        part=jobs.part,
        awake=builder.add_variables("awake", upper=sleepers.cap.ravel(), is_integral=whole_nodes),
        wake=add(
            "wake",
            np.where(sleepers.can_wake, sleepers.nodes[:, None], 0.0),
            sleepers.wear_yuan[:, None],
        ),
        it=add("it", reach.it_kw),
        high=add("high", reach.it_kw),
        grid=add("grid", reach.facility_kw, np.maximum(0.0, price) * hours),
        meter=add("meter", reach.facility_kw[energy.windows.part_m, energy.windows.part_slot]),
        paid=add(
            "paid", np.where(price < 0, reach.facility_kw, 0.0), np.minimum(0.0, price) * hours
        ),
        draw=add("draw", np.minimum(reach.draw_kw, KW * draw_w_max(instance, energy))),
        solar=add("solar", KW * energy.solar_w),
        charge=add("charge", ones * KW * energy.charge_w[:, None]),
        discharge=add(
            "discharge",
            ones * KW * energy.discharge_w[:, None],
            energy.wear_yuan_per_kwh[:, None] * hours,
        ),
        stored=add("stored", stored),
        lack=add("lack", KW * energy.end_wh, LACK_YUAN_PER_KWH),
        over=add("over", over, OVER_YUAN_PER_KWH * hours),
        rise=add(
            "rise",
            np.where(energy.peak_yuan_per_kw > 0, _rise_kw(energy, reach), 0.0),
            energy.peak_yuan_per_kw,
        ),
    )


def draw_w_max(instance: Instance, energy: EnergyData) -> Floats:
    """Return the most that a site may draw by (m, t): its limit, or what it draws without our jobs.

    A site that is above its limit already must not be an infeasible problem.
    """
    facilities = instance.metered
    slope, offset = facilities.slope[energy.site], facilities.offset[energy.site]
    without_jobs = largest(slope, offset, energy.least_w + energy.reserve_w)
    most: Floats = np.maximum(energy.limit_w, without_jobs)
    return most


def _rise_kw(energy: EnergyData, reach: _Reach) -> Floats:
    before_kw = np.zeros(len(energy.site))
    np.maximum.at(before_kw, energy.windows.m, KW * energy.windows.before_w)
    most: Floats = reach.draw_kw.max(axis=1) + before_kw
    return most


def _reach(instance: Instance, energy: EnergyData) -> _Reach:
    sleepers, facilities = energy.sleepers, instance.metered
    hours = instance.timeline.length_s / SECONDS_PER_HOUR
    busy_w = np.zeros(facilities.base_w.shape)
    np.add.at(busy_w, instance.site_of, instance.units_free * instance.own_w[:, None])
    wakes_w = np.einsum("qtu,q->qu", sleepers.lead, sleepers.nodes * sleepers.wake_wh) / hours
    it_w = busy_w[energy.site] + energy.of_sites(
        np.broadcast_to(sleepers.nodes[:, None], sleepers.cap.shape)
    )
    np.add.at(it_w, sleepers.m, wakes_w)
    slope, offset = facilities.slope[energy.site], facilities.offset[energy.site]
    facility_w = largest(slope, offset, energy.asleep_w + it_w) + energy.charge_w[:, None]
    return _Reach(it_kw=KW * it_w, draw_kw=KW * facility_w, facility_kw=KW * facility_w)


def at(grid: Grid, block: Block) -> Ints:
    """Return the places of a block as a table by (row, t)."""
    return (block.first + np.arange(block.count, dtype=np.int64)).reshape(-1, grid.slots)
