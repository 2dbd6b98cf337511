"""The families of the meter: what facility, sun and battery leave for the grid, and the charge."""

import numpy as np

from optimizer.arrays import Floats, Ints
from optimizer.families.grid import Grid, at
from optimizer.families.power import KW
from optimizer.model import INFINITY


def balance(grid: Grid) -> None:
    """For every m, t, line i:  grid + solar + discharge - charge  >=  slope[i] * IT + offset[i].

    IT is ``asleep + it``. Nothing is fed into the grid: what the sun gives too much is lost.
    """
    follow_facility(grid, "balance", at(grid, grid.grid), at(grid, grid.it))


def balance_where_paid(grid: Grid) -> None:
    """Where the price is negative:  paid + solar + discharge - charge  <=  flattest line at IT.

    So the gain of using power is understated, never overstated, and nothing is bought unused.
    """
    energy, facilities = grid.energy, grid.instance.metered
    m, t = np.nonzero(grid.is_paid)
    slope = facilities.cost_slope[energy.site[m], t, 0]
    offset = facilities.cost_offset[energy.site[m], t, 0]
    limit_kw = KW * (slope * energy.asleep_w[m, t] + offset)
    rows = grid.builder.add_rows("paid", len(m), lower=-INFINITY, upper=limit_kw)
    places = rows.first + np.arange(len(m), dtype=np.int64)
    blocks = ((grid.paid, 1.0), (grid.solar, 1.0), (grid.discharge, 1.0), (grid.charge, -1.0))
    for block, sign in blocks:
        grid.builder.add_entries(places, at(grid, block)[m, t], sign)
    grid.builder.add_entries(places, at(grid, grid.it)[m, t], -slope)


def move_charge(grid: Grid) -> None:
    """For every m, t:  stored[t] = stored[t-1] + hours * (eff_in * charge - discharge / eff_out).

    ``stored`` is what the battery holds above its least charge; it lies between zero and its room.
    """
    energy, hours = grid.energy, grid.hours
    lower = np.zeros((len(energy.site), grid.slots))
    lower[:, 0] = KW * energy.stored_wh
    flat = lower.ravel()
    rows = at(grid, grid.builder.add_rows("charge", flat.size, lower=flat, upper=flat))
    stored = at(grid, grid.stored)
    grid.builder.add_entries(rows.ravel(), stored.ravel(), 1.0)
    grid.builder.add_entries(rows[:, 1:].ravel(), stored[:, :-1].ravel(), -1.0)
    into = energy.efficiency_in[:, None] * hours
    out_of = hours / energy.efficiency_out[:, None]
    grid.builder.add_entries(rows.ravel(), at(grid, grid.charge).ravel(), -into.ravel())
    grid.builder.add_entries(rows.ravel(), at(grid, grid.discharge).ravel(), out_of.ravel())


def share_battery(grid: Grid) -> None:
    """For every m, t with a battery:  charge / charge_max + discharge / discharge_max  <=  1.

    A battery goes one way at a time; this much of it is linear, and the schedule obeys it in whole.
    Else the model would burn energy in a battery where the price is negative.
    """
    energy = grid.energy
    batteries = np.flatnonzero((energy.charge_w > 0) & (energy.discharge_w > 0))
    count = len(batteries) * grid.slots
    rows = grid.builder.add_rows("one_way", count, lower=-INFINITY, upper=1.0)
    places = rows.first + np.arange(count, dtype=np.int64)
    for block, most_w in ((grid.charge, energy.charge_w), (grid.discharge, energy.discharge_w)):
        weight = np.repeat(1.0 / (KW * most_w[batteries]), grid.slots)
        grid.builder.add_entries(places, at(grid, block)[batteries].ravel(), weight)


def end_charged(grid: Grid) -> None:
    """For every m:  stored[last] + lack  >=  what the battery must hold at the end."""
    count = len(grid.energy.site)
    rows = grid.builder.add_rows("end", count, lower=KW * grid.energy.end_wh, upper=INFINITY)
    places = rows.first + np.arange(count, dtype=np.int64)
    grid.builder.add_entries(places, at(grid, grid.stored)[:, -1], 1.0)
    grid.builder.add_entries(places, grid.lack.first + np.arange(count, dtype=np.int64), 1.0)


def follow_facility(grid: Grid, name: str, drawn: Ints, it: Ints) -> None:
    """Write for every line:  drawn + solar + discharge - charge >= slope * IT + offset."""
    energy, facilities = grid.energy, grid.instance.metered
    slope, offset = distinct_lines(facilities.slope[energy.site], facilities.offset[energy.site])
    m, t, line = np.nonzero(np.isfinite(offset))
    slopes, offsets = slope[m, t, line], offset[m, t, line]
    lower = KW * (slopes * energy.asleep_w[m, t] + offsets)
    rows = grid.builder.add_rows(name, len(m), lower=lower, upper=INFINITY)
    places = rows.first + np.arange(len(m), dtype=np.int64)
    solar, charge = at(grid, grid.solar), at(grid, grid.charge)
    discharge = at(grid, grid.discharge)
    for block, sign in ((drawn, 1.0), (solar, 1.0), (discharge, 1.0), (charge, -1.0)):
        grid.builder.add_entries(places, block[m, t], sign)
    grid.builder.add_entries(places, it[m, t], -slopes)


def distinct_lines(slope: Floats, offset: Floats) -> tuple[Floats, Floats]:
    """Drop lines that repeat the one before: tables of lines are padded with the last."""
    repeats = np.zeros(slope.shape, dtype=np.bool_)
    repeats[..., 1:] = (slope[..., 1:] == slope[..., :-1]) & (offset[..., 1:] == offset[..., :-1])
    return slope, np.where(repeats, np.inf, offset)
