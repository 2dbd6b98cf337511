"""The families of power: the limit of a site, mean IT power, facility power and its price."""

from typing import Final

import numpy as np

from optimizer.arrays import Bools, Floats
from optimizer.families.draft import Draft, every
from optimizer.instance import Instance
from optimizer.model import INFINITY

KW: Final = 1e-3
"""Kilowatts in a watt: power in the model is in kW, so that coefficients are of like size."""


def limit_power(draft: Draft) -> None:
    """For every s, t:  sum over pools p of s of busy_w[p] * used[p,t]  <=  IT power room.

    The limit is on facility power; since that grows with IT power it is turned into IT power once.
    Rows that no load can reach are left out.
    """
    instance, slots = draft.instance, draft.slots
    can_bind = instance.facilities.room_w < busy_w_max(instance)
    rows_at = np.cumsum(can_bind.ravel()) - 1
    room_kw = KW * instance.facilities.room_w[can_bind]
    rows = draft.builder.add_rows("power", len(room_kw), lower=-INFINITY, upper=room_kw)
    place = (instance.site_of[:, None] * slots + np.arange(slots)).ravel()
    binds = can_bind.ravel()[place]
    watts = np.repeat(instance.busy_w, slots)
    draft.builder.add_entries(
        rows.first + rows_at[place[binds]], every(draft.used)[binds], KW * watts[binds]
    )


def average_power(draft: Draft) -> None:
    """For every s, t:  mean[s,t]  =  sum of own_w[p] * used[p,t]  -  what ends within t.

    A run that ends in the middle of a slot is in use for a share of it only: energy is priced by
    the mean, capacity and the power limit by the peak. Where nodes can sleep this is the power of
    jobs alone, and the families of sleep add what nodes draw that are awake.
    """
    instance, columns, slots = draft.instance, draft.columns, draft.slots
    builder = draft.builder
    rows = builder.add_rows("mean", draft.mean.count, lower=0.0, upper=0.0)
    builder.add_entries(every(rows), every(draft.mean), 1.0)
    place = (instance.site_of[:, None] * slots + np.arange(slots)).ravel()
    watts = np.repeat(instance.own_w, slots)
    builder.add_entries(rows.first + place, every(draft.used), -KW * watts)
    saved_kw = KW * draft.units * instance.own_w[columns.pool] * (1.0 - columns.last_share)
    at_end = rows.first + instance.site_of[columns.pool] * slots + columns.last
    builder.add_entries(at_end, every(draft.start), saved_kw)


def price_facility_power(draft: Draft) -> None:
    """For every s, t, line i:  extra[s,t]  >=  slope[i] * (base + mean[s,t]) + offset[i] - F(base).

    ``extra`` is facility power above the base; it costs the meter's price with carbon. So the cost
    of one more job follows the marginal PUE. Where one line holds over all loads in reach there is
    no ``extra``: its slope is in the cost of ``mean``. Sites with energy data pay at their meter
    instead (``storage.balance``).
    """
    instance, facilities = draft.instance, draft.instance.facilities
    lines = lines_in_reach(instance, draft.reach_w)
    is_bent = lines.sum(axis=-1) > 1
    if instance.energy is not None:
        is_bent[instance.energy.site] = False
    sites, slots = np.nonzero(is_bent)
    upper_kw = KW * facilities.extra_w(draft.reach_w)[is_bent]
    cost = (facilities.price * facilities.hours)[is_bent]
    extra = draft.builder.add_variables("extra", upper=np.maximum(0.0, upper_kw), cost=cost)
    which, line = np.nonzero(lines[is_bent])
    s, t = sites[which], slots[which]
    base_w = facilities.base_w[s, t]
    slope, offset = facilities.cost_slope[s, t, line], facilities.cost_offset[s, t, line]
    at_base_w = (facilities.cost_slope[s, t] * base_w[:, None] + facilities.cost_offset[s, t]).max(
        axis=-1, initial=-INFINITY
    )
    rows = draft.builder.add_rows(
        "facility",
        len(which),
        lower=KW * (slope * base_w + offset - at_base_w),
        upper=INFINITY,
    )
    draft.builder.add_entries(every(rows), extra.first + which, 1.0)
    draft.builder.add_entries(every(rows), draft.mean.first + s * draft.slots + t, -slope)


def busy_w_max(instance: Instance) -> Floats:
    """IT watts above the base with every free unit at work, by (s, t)."""
    watts = np.zeros(instance.facilities.base_w.shape)
    np.add.at(watts, instance.site_of, instance.units_free * instance.busy_w[:, None])
    return watts


def reach_w_of(instance: Instance) -> Floats:
    """IT watts above the base that any plan can reach, by (s, t)."""
    return np.minimum(busy_w_max(instance), instance.facilities.room_w)


def lines_in_reach(instance: Instance, reach_w: Floats) -> Bools:
    """Lines of the cost function that are highest somewhere from base to reach, by (s, t, i)."""
    facilities = instance.facilities
    slope, offset = facilities.cost_slope, facilities.cost_offset
    low = (slope * facilities.base_w[..., None] + offset).argmax(axis=-1)[..., None]
    high_w = (facilities.base_w + reach_w)[..., None]
    high = (slope * high_w + offset).argmax(axis=-1)[..., None]
    above_low = slope > np.take_along_axis(slope, low, axis=-1)
    below_high = slope < np.take_along_axis(slope, high, axis=-1)
    place = np.arange(slope.shape[-1])
    lines = (above_low & below_high) | (place == low) | (place == high)
    in_reach: Bools = (lines & (facilities.price > 0)[..., None]) | (place == low)
    return in_reach


def straight_cost(instance: Instance, reach_w: Floats) -> Floats:
    """Yuan for a kilowatt of ``mean`` where one line holds over all loads in reach, else zero."""
    facilities = instance.facilities
    lines = lines_in_reach(instance, reach_w)
    slope = np.where(lines, facilities.cost_slope, 0.0).max(axis=-1)
    cost = slope * facilities.price * facilities.hours
    is_straight = lines.sum(axis=-1) == 1
    if instance.energy is not None:
        is_straight[instance.energy.site] = False
    return np.where(is_straight, cost, 0.0)
