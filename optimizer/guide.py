"""Prices and room that lead whole jobs to what the meter will say, before it is known.

Greedy, rounding and improvement place one job after the other on a state whose cost is a sum over
slots. A month's peak, a battery and a promise to the grid tie slots together, so they are given to
the state as what the relaxation made of them: the sun and the battery's power are taken as given,
power that lifts a window of demand above the relaxation's peak costs the peak's price, and the
promise is a limit of room. That is a guide only: plans are compared by ``dispatch.settle``.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from optimizer.arrays import Floats
from optimizer.facility import Facilities, Rise, largest, room_w
from optimizer.families.grid import Grid, at
from optimizer.families.power import KW
from optimizer.formulation import Formulation
from optimizer.instance import Instance
from optimizer.site_energy import EnergyData
from optimizer.solution import Solution

_W_PER_KW: Final = 1_000.0


@dataclass(frozen=True, slots=True)
class Guide:
    """What the site itself gives, and the draw above which the peak rises, by (m, t); W.

    ``share`` is how much of a window of demand the slot is: so much of the peak's price a watt more
    in it costs.
    """

    own_w: Floats
    level_w: Floats
    share: Floats


def guided(instance: Instance) -> Instance:
    """Return the instance for placing jobs before any relaxation is solved.

    The battery is spared for promises, evenly over their slots: so much it can surely give.
    """
    energy = instance.energy
    if energy is None:
        return instance
    facilities = instance.facilities
    slope, offset = facilities.slope[energy.site], facilities.offset[energy.site]
    draw_w = np.maximum(0.0, largest(slope, offset, energy.least_w) - energy.solar_w)
    own_w = energy.solar_w + _spared_w(energy, facilities.hours)
    parts_w = draw_w[energy.windows.part_m, energy.windows.part_slot]
    demand_w = energy.windows.demand_w(draw_w, parts_w)
    peak_w = energy.so_far_w.copy()
    np.maximum.at(peak_w, energy.windows.m, demand_w)
    spare_w = peak_w[energy.windows.m] - demand_w
    return _along(instance, energy, _guide(energy, own_w, draw_w, spare_w))


def guided_by(formulation: Formulation, relaxed: Solution) -> Formulation:
    """Return the formulation with the instance as its relaxation sees sun, battery and peak."""
    grid, instance = formulation.grid, formulation.instance
    if grid is None or not relaxed.has_point:
        return formulation
    energy, values = grid.energy, relaxed.values
    peak_w = energy.so_far_w + values[grid.rise.where] / KW
    draw_w = values[at(grid, grid.grid)] / KW
    demand_w = energy.windows.demand_w(draw_w, values[grid.meter.where] / KW)
    spare_w = peak_w[energy.windows.m] - demand_w
    guide = _guide(energy, _own_w(grid, values), draw_w, spare_w)
    return replace(formulation, instance=_along(instance, energy, guide))


def _guide(energy: EnergyData, own_w: Floats, draw_w: Floats, spare_w: Floats) -> Guide:
    """Lift the draw that is foreseen by what its window has left, as if no other slot took it."""
    level_w = draw_w.copy()
    share, window = energy.windows.share_of_slots(draw_w.shape[1])
    paying = share > 0
    if paying.any():
        level_w[paying] += np.maximum(0.0, spare_w[window[paying]]) / share[paying]
    return Guide(own_w, level_w, share)


def _own_w(grid: Grid, values: Floats) -> Floats:
    given = values[at(grid, grid.solar)] + values[at(grid, grid.discharge)]
    own_w: Floats = (given - values[at(grid, grid.charge)]) / KW
    return own_w


def _spared_w(energy: EnergyData, hours: Floats) -> Floats:
    promised = np.isfinite(energy.firm_w)
    promised_h = promised @ hours
    spare_wh = np.maximum(0.0, energy.stored_wh - energy.end_wh) * energy.efficiency_out
    mean_w = np.divide(spare_wh, promised_h, out=np.zeros(len(spare_wh)), where=promised_h > 0)
    return np.where(promised, np.minimum(mean_w, energy.discharge_w)[:, None], 0.0)


def _along(instance: Instance, energy: EnergyData, guide: Guide) -> Instance:
    facilities = instance.facilities
    room = facilities.room_w.copy()
    own = energy.site
    slope, offset = facilities.slope[own], facilities.offset[own]
    base_w = energy.least_w + energy.reserve_w
    # What the battery takes is planned for: a job must not take its place.
    limit_w = energy.limit_w + np.minimum(0.0, guide.own_w)
    promised_w = energy.firm_w + guide.own_w
    # A promise that is broken without us is not to be broken further, in whichever of its slots.
    is_broken = (largest(slope, offset, base_w) > promised_w).any(axis=1, keepdims=True)
    room[own] = room_w(slope, offset, base_w, np.minimum(limit_w, promised_w))
    room[own] = np.where(is_broken & np.isfinite(energy.firm_w), 0.0, room[own])
    slope, offset = _costs(facilities, energy, guide)
    changed = replace(
        facilities,
        room_w=room,
        cost_slope=slope,
        cost_offset=offset,
        rise=_rise(instance, energy, guide),
    )
    return replace(instance, facilities=changed)


def _rise(instance: Instance, energy: EnergyData, guide: Guide) -> Rise | None:
    """Return what power above the level costs; a slot's own windows lie at its beginning."""
    if not len(energy.windows.m):
        return None
    shape = instance.facilities.base_w.shape
    level_w, yuan_per_w, window = np.zeros(shape), np.zeros(shape), np.ones(shape)
    level_w[energy.site] = np.where(guide.share > 0, guide.level_w, 0.0)
    yuan_per_w[energy.site] = guide.share * energy.peak_yuan_per_kw[:, None] / _W_PER_KW
    sites = [instance.sites[at] for at in energy.site]
    lengths_s = np.array([site.peak.window_s if site.peak else np.inf for site in sites])
    part = lengths_s[:, None] / instance.timeline.length_s
    window[energy.site] = np.minimum(1.0, part)
    return Rise(level_w=level_w, yuan_per_w=yuan_per_w, window=window)


def _costs(facilities: Facilities, energy: EnergyData, guide: Guide) -> tuple[Floats, Floats]:
    """Lines of what is drawn, and a floor at zero.

    Where a site is paid for using power its one line stays the only one.
    """
    own = energy.site
    slope, offset = _with_one_more(facilities.cost_slope), _with_one_more(facilities.cost_offset)
    first, second = facilities.cost_slope[own], facilities.cost_offset[own]
    drawn = second - guide.own_w[..., None]
    has_floor = (facilities.price[own] >= 0)[..., None]
    floor_slope = np.where(has_floor, 0.0, first[..., :1])
    floor_offset = np.where(has_floor, 0.0, drawn[..., :1])
    slope[own] = np.concatenate([first, floor_slope], axis=-1)
    offset[own] = np.concatenate([drawn, floor_offset], axis=-1)
    return slope, offset


def _with_one_more(lines: Floats) -> Floats:
    """Lines, and the first once more: a place for the floor."""
    return np.concatenate([lines, lines[..., :1]], axis=-1)
