"""What follows from a choice of awake nodes, battery and sun: powers, charge, cost; no solver.

A choice that breaks a limit of the battery or would feed the grid is cut back to what is possible.
"""

from dataclasses import dataclass, replace

import numpy as np

from optimizer.arrays import Floats
from optimizer.facility import largest
from optimizer.families.grid import draw_w_max
from optimizer.instance import Instance
from optimizer.site_energy import LACK_YUAN_PER_KWH, OVER_YUAN_PER_KWH, EnergyData
from suanwang.units import SECONDS_PER_HOUR

_W_PER_KW = 1_000.0


@dataclass(frozen=True, slots=True)
class Choice:
    """What is decided: nodes awake by (q, t); charge, discharge, sun in W by (m, t)."""

    awake: Floats
    charge_w: Floats
    discharge_w: Floats
    solar_w: Floats


@dataclass(frozen=True, slots=True)
class Schedule:
    """A choice and what follows from it, by (m, t) unless said; ``wakes`` by (q, t).

    ``wake_w`` is the mean power of wakes; ``it_w`` and ``high_w`` are a site's whole IT power, mean
    and highest. ``stored_wh`` is at the end of each slot, above the least charge. ``lack_wh``,
    ``peak_w``, ``rise_w`` and ``cost_yuan`` are by m; ``peak_w`` is the largest demand, and the
    highest draw where no demand is paid for.
    """

    choice: Choice
    wakes: Floats
    wake_w: Floats
    it_w: Floats
    high_w: Floats
    facility_w: Floats
    grid_w: Floats
    draw_w: Floats
    over_w: Floats
    stored_wh: Floats
    lack_wh: Floats
    peak_w: Floats
    rise_w: Floats
    cost_yuan: Floats


@dataclass(frozen=True, slots=True)
class Load:
    """What whole jobs take: units by (p, t); own IT power in W by (m, t), mean and highest.

    ``part_w`` is the mean by part of a slot, where windows of demand cut slots.
    """

    used: Floats
    mean_w: Floats
    high_w: Floats
    part_w: Floats


def schedule_of(instance: Instance, energy: EnergyData, load: Load, choice: Choice) -> Schedule:
    """Return the schedule of a choice, with its cost."""
    wakes = _wakes(energy, choice.awake)
    hours = instance.timeline.length_s / SECONDS_PER_HOUR
    awake_w = energy.of_sites(choice.awake)
    wake_w = _wake_w(energy, wakes, hours)
    it_w = energy.asleep_w + load.mean_w + awake_w + wake_w
    high_w = energy.asleep_w + load.high_w + awake_w
    facilities = instance.metered
    slope, offset = facilities.slope[energy.site], facilities.offset[energy.site]
    facility_w, highest_w = largest(slope, offset, it_w), largest(slope, offset, high_w)
    most_w = draw_w_max(instance, energy)
    choice, stored_wh = _possible(energy, choice, (facility_w, highest_w, most_w), hours)
    from_site_w = choice.solar_w + choice.discharge_w - choice.charge_w
    draw_w = highest_w - from_site_w
    grid_w = np.maximum(0.0, facility_w - from_site_w)
    part_w = _part_w(instance, energy, it_w - load.mean_w, load.part_w) - _of_parts(
        energy, from_site_w
    )
    peak_w = _peak_w(energy, np.maximum(draw_w, grid_w), grid_w, np.maximum(0.0, part_w))
    schedule = Schedule(
        choice=choice,
        wakes=wakes,
        wake_w=wake_w,
        it_w=it_w,
        high_w=high_w,
        facility_w=facility_w,
        grid_w=grid_w,
        draw_w=draw_w,
        over_w=np.maximum(0.0, draw_w - energy.firm_w),
        stored_wh=stored_wh,
        lack_wh=np.maximum(0.0, energy.end_wh - stored_wh[:, -1]),
        peak_w=peak_w,
        rise_w=np.maximum(0.0, peak_w - energy.so_far_w),
        cost_yuan=np.zeros(len(energy.site)),
    )
    return replace(schedule, cost_yuan=_cost_yuan(instance, energy, schedule))


def _of_parts(energy: EnergyData, of_slots: Floats) -> Floats:
    of_parts: Floats = of_slots[energy.windows.part_m, energy.windows.part_slot]
    return of_parts


def _part_w(instance: Instance, energy: EnergyData, rest_w: Floats, jobs_w: Floats) -> Floats:
    """Facility power by part of a slot: of jobs in it, and of the rest, which the slot has."""
    windows, facilities = energy.windows, instance.metered
    where = (energy.site[windows.part_m], windows.part_slot)
    it_w = _of_parts(energy, rest_w) + jobs_w
    return largest(facilities.slope[where], facilities.offset[where], it_w)


def _peak_w(energy: EnergyData, highest_w: Floats, grid_w: Floats, part_w: Floats) -> Floats:
    """The largest demand by m; where none is paid for, the highest power from the grid."""
    demand_w = np.zeros(len(energy.site))
    np.maximum.at(demand_w, energy.windows.m, energy.windows.demand_w(grid_w, part_w))
    return np.where(energy.peak_yuan_per_kw > 0, demand_w, highest_w.max(axis=1))


def _wakes(energy: EnergyData, awake: Floats) -> Floats:
    before = np.concatenate([energy.sleepers.awake_now[:, None], awake[:, :-1]], axis=1)
    wakes: Floats = np.maximum(0.0, awake - before)
    return wakes


def _wake_w(energy: EnergyData, wakes: Floats, hours: Floats) -> Floats:
    """Mean power of wakes by (m, t): each falls into the slots before the one it is for."""
    sleepers = energy.sleepers
    watts = np.zeros(energy.asleep_w.shape)
    spent_wh = np.einsum("qt,qtu,q->qu", wakes, sleepers.lead, sleepers.wake_wh)
    np.add.at(watts, sleepers.m, spent_wh / hours)
    return watts


def _possible(
    energy: EnergyData, choice: Choice, powers: tuple[Floats, Floats, Floats], hours: Floats
) -> tuple[Choice, Floats]:
    """Cut the battery's and the sun's power back to what is possible; return the charge as well.

    One way at a time, within the battery's power and charge, no draw above the limit, no feeding.
    """
    facility_w, highest_w, most_w = powers
    both_w = np.minimum(choice.charge_w, choice.discharge_w)
    charge_w = np.clip(choice.charge_w - both_w, 0.0, energy.charge_w[:, None])
    discharge_w = np.clip(choice.discharge_w - both_w, 0.0, energy.discharge_w[:, None])
    charge_w = np.minimum(charge_w, np.maximum(0.0, most_w - highest_w + choice.solar_w))
    discharge_w = np.minimum(discharge_w, facility_w)
    stored_wh = np.zeros(facility_w.shape)
    now_wh = energy.stored_wh.copy()
    for t, length_h in enumerate(hours):
        room_w = (energy.room_wh - now_wh) / length_h / energy.efficiency_in
        charge_w[:, t] = np.minimum(charge_w[:, t], np.maximum(0.0, room_w))
        left_w = now_wh / length_h * energy.efficiency_out
        discharge_w[:, t] = np.minimum(discharge_w[:, t], np.maximum(0.0, left_w))
        moved_w = charge_w[:, t] * energy.efficiency_in - discharge_w[:, t] / energy.efficiency_out
        now_wh = np.clip(now_wh + moved_w * length_h, 0.0, energy.room_wh)
        stored_wh[:, t] = now_wh
    usable_w = np.maximum(0.0, facility_w - discharge_w + charge_w)
    solar_w = np.minimum(np.clip(choice.solar_w, 0.0, energy.solar_w), usable_w)
    possible = replace(choice, charge_w=charge_w, discharge_w=discharge_w, solar_w=solar_w)
    return possible, stored_wh


def _cost_yuan(instance: Instance, energy: EnergyData, schedule: Schedule) -> Floats:
    """What the planner minimises, by m; where the price is negative the gain is understated."""
    facilities, sleepers = instance.metered, energy.sleepers
    price, hours = facilities.price[energy.site], facilities.hours
    lines = (facilities.cost_slope[energy.site], facilities.cost_offset[energy.site])
    surely_w = schedule.grid_w - schedule.facility_w + largest(*lines, schedule.it_w)
    paid_w = np.where(price < 0, np.maximum(0.0, surely_w), schedule.grid_w)
    cost: Floats = (paid_w / _W_PER_KW * price * hours).sum(axis=1)
    used_kwh = (schedule.choice.discharge_w / _W_PER_KW * hours).sum(axis=1)
    over_kwh = (schedule.over_w / _W_PER_KW * hours).sum(axis=1)
    cost = cost + used_kwh * energy.wear_yuan_per_kwh
    cost = cost + over_kwh * OVER_YUAN_PER_KWH
    cost = cost + schedule.lack_wh / _W_PER_KW * LACK_YUAN_PER_KWH
    cost = cost + schedule.rise_w / _W_PER_KW * energy.peak_yuan_per_kw
    np.add.at(cost, sleepers.m, (schedule.wakes * sleepers.wear_yuan[:, None]).sum(axis=1))
    return cost
