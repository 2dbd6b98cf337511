"""Prices and room that lead whole jobs to what the meter will say, before it is known.

Greedy, rounding and improvement place one job after the other on a state whose cost is a sum over
slots. A month's peak, a battery and a promise to the grid tie slots together, so they are given to
the state as what the relaxation made of them: the sun and the battery's power are taken as given,
power above the relaxation's peak costs the peak's price, and the promise is a limit of room. That
is a guide only: plans are compared by ``dispatch.settle``.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from optimizer.arrays import Floats
from optimizer.facility import Facilities, largest, room_w
from optimizer.families.grid import Grid, at
from optimizer.families.power import KW
from optimizer.formulation import Formulation
from optimizer.instance import Instance
from optimizer.site_energy import EnergyData
from optimizer.solution import Solution

_PRICE_MIN: Final = 1e-6
"""Below this price, in yuan a kilowatt-hour, no price of the peak can be put upon energy."""


@dataclass(frozen=True, slots=True)
class Guide:
    """What the site itself gives by (m, t), the highest draw foreseen by m; W."""

    own_w: Floats
    peak_w: Floats


def guided(instance: Instance) -> Instance:
    """Return the instance for placing jobs before any relaxation is solved.

    The battery is spared for promises, evenly over their slots: so much it can surely give.
    """
    energy = instance.energy
    if energy is None:
        return instance
    facilities = instance.facilities
    slope, offset = facilities.slope[energy.site], facilities.offset[energy.site]
    draw_w = largest(slope, offset, energy.least_w) - energy.solar_w
    peak_w = np.maximum(energy.so_far_w, draw_w.max(axis=1))
    own_w = energy.solar_w + _spared_w(energy, facilities.hours)
    return _along(instance, energy, Guide(own_w, peak_w))


def guided_by(formulation: Formulation, relaxed: Solution) -> Formulation:
    """Return the formulation with the instance as its relaxation sees sun, battery and peak."""
    grid, instance = formulation.grid, formulation.instance
    if grid is None or not relaxed.has_point:
        return formulation
    energy, values = grid.energy, relaxed.values
    peak_w = energy.so_far_w + values[grid.rise.where] / KW
    guide = Guide(_own_w(grid, values), peak_w)
    return replace(formulation, instance=_along(instance, energy, guide))


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
    changed = replace(facilities, room_w=room, cost_slope=slope, cost_offset=offset)
    return replace(instance, facilities=changed)


def _costs(facilities: Facilities, energy: EnergyData, guide: Guide) -> tuple[Floats, Floats]:
    """Lines of what is drawn, again with the peak's price above the peak, and a floor at zero.

    Where a site is paid for using power its one line stays the only one.
    """
    own = energy.site
    price, hours = facilities.price[own], facilities.hours
    is_paid = price > _PRICE_MIN
    per_kwh = np.where(is_paid, price * hours, 1.0)
    weight = np.where(is_paid, energy.peak_yuan_per_kw[:, None] / per_kwh, 0.0)[..., None]
    slope = _tripled(facilities.cost_slope)
    offset = _tripled(facilities.cost_offset)
    first, second = facilities.cost_slope[own], facilities.cost_offset[own]
    drawn = second - guide.own_w[..., None]
    above = drawn * (1.0 + weight) - weight * guide.peak_w[:, None, None]
    has_floor = (price >= 0)[..., None]
    floor_slope = np.where(has_floor, 0.0, first[..., :1])
    floor_offset = np.where(has_floor, 0.0, drawn[..., :1])
    slope[own] = np.concatenate([first, first * (1.0 + weight), floor_slope], axis=-1)
    offset[own] = np.concatenate([drawn, above, floor_offset], axis=-1)
    return slope, offset


def _tripled(lines: Floats) -> Floats:
    """Lines twice, and the first once more: places for the peak's and for the floor."""
    return np.concatenate([lines, lines, lines[..., :1]], axis=-1)
