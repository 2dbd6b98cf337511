"""The families of the highest draw: the month's peak, and powers promised to the grid."""

import numpy as np

from optimizer.families.draft import Draft, every
from optimizer.families.grid import Grid, at
from optimizer.families.power import KW
from optimizer.families.storage import distinct_lines, follow_facility
from optimizer.model import INFINITY, Block


def draw_highest(grid: Grid) -> None:
    """For every m, t, line i:  draw + solar + discharge - charge  >=  slope[i] * IT + offset[i].

    IT is ``asleep + high``, the most in the slot and not its mean: promises and the site's limit
    hold at every instant.
    """
    follow_facility(grid, "draw", at(grid, grid.draw), at(grid, grid.high))


def use_parts(draft: Draft) -> Block:
    """For every part n of a slot t:  part  =  sum of own_w[p] * used[p,t]  -  what ends within t.

    What ends within t counts by the share of the part in which it is over. A slot has parts where a
    window of demand begins or ends within it; sites that pay for no peak have none.
    """
    instance, columns, builder = draft.instance, draft.columns, draft.builder
    energy = instance.energy
    if energy is None:
        raise AssertionError("parts of slots belong to sites with energy data")
    windows = energy.windows
    sites = energy.site[windows.part_m]
    busy_w = np.zeros(instance.facilities.base_w.shape)
    np.add.at(busy_w, instance.site_of, instance.units_free * instance.own_w[:, None])
    part = builder.add_variables("part", upper=KW * busy_w[sites, windows.part_slot])
    rows = builder.add_rows("part", part.count, lower=0.0, upper=0.0)
    builder.add_entries(every(rows), every(part), 1.0)
    n, pools = np.nonzero(sites[:, None] == instance.site_of)
    used = draft.used.first + pools * draft.slots + windows.part_slot[n]
    builder.add_entries(rows.first + n, used, -KW * instance.own_w[pools])
    m_of = np.full(len(instance.sites), -1, dtype=np.int64)
    m_of[energy.site] = np.arange(len(energy.site))
    where_m = m_of[instance.site_of[columns.pool]]
    for parts in np.moveaxis(windows.part_at, -1, 0):
        own = np.where(where_m >= 0, parts[where_m, columns.last], -1)
        ends = np.flatnonzero(own >= 0)
        over = windows.unused(own[ends], columns.last_share[ends])
        saved_kw = KW * draft.units[ends] * instance.own_w[columns.pool[ends]] * over
        builder.add_entries(rows.first + own[ends], every(draft.start)[ends], saved_kw)
    return part


def draw_parts(grid: Grid) -> None:
    """For every part n, line i:  meter + solar + discharge - charge >= slope[i] * IT + offset[i].

    IT is ``asleep + it - load + part``: what jobs take in the part, in place of what they take in
    the mean of its slot.
    """
    energy, facilities, windows = grid.energy, grid.instance.metered, grid.energy.windows
    m, t = windows.part_m, windows.part_slot
    slope, offset = distinct_lines(
        facilities.slope[energy.site[m], t], facilities.offset[energy.site[m], t]
    )
    n, line = np.nonzero(np.isfinite(offset))
    m, t = m[n], t[n]
    slopes = slope[n, line]
    lower = KW * (slopes * energy.asleep_w[m, t] + offset[n, line])
    rows = grid.builder.add_rows("meter", len(n), lower=lower, upper=INFINITY)
    places = every(rows)
    load = at(grid, grid.load)[energy.site]
    grid.builder.add_entries(places, grid.meter.first + n, 1.0)
    grid.builder.add_entries(places, grid.part.first + n, -slopes)
    for block, weight in (
        (at(grid, grid.solar), 1.0),
        (at(grid, grid.discharge), 1.0),
        (at(grid, grid.charge), -1.0),
        (at(grid, grid.it), -slopes),
        (load, slopes),
    ):
        grid.builder.add_entries(places, block[m, t], weight)


def price_peak(grid: Grid) -> None:
    """For every window v of m:  rise[m]  >=  before[v] + sum of weight * drawn  -  peak so far.

    Demand is the mean over a window, so ``weight`` is the share of v that a slot or a part of one
    is, and ``drawn`` is ``grid[m,t]`` of a whole slot and ``meter[n]`` of a part. ``before`` is
    what was drawn in v before the plan begins. In slots of a minute a run of a minute so counts for
    a fifteenth of what a run of fifteen minutes does.
    """
    energy, windows = grid.energy, grid.energy.windows
    lower = KW * (windows.before_w - energy.so_far_w[windows.m])
    rows = grid.builder.add_rows("peak", len(lower), lower=lower, upper=INFINITY)
    grid.builder.add_entries(every(rows), grid.rise.first + windows.m, 1.0)
    is_part = windows.tie_part >= 0
    slots = at(grid, grid.grid)[windows.m[windows.tie_window], windows.tie_slot]
    drawn = np.where(is_part, grid.meter.first + windows.tie_part, slots)
    grid.builder.add_entries(rows.first + windows.tie_window, drawn, -windows.weight)


def keep_promise(grid: Grid) -> None:
    """For every m, t with a promise:  draw[m,t] - over[m,t]  <=  firm[m,t].

    ``over`` costs far more than any energy: a site that cannot keep its promise even without our
    jobs still gets a plan, which says so.
    """
    m, t = np.nonzero(np.isfinite(grid.energy.firm_w))
    rows = grid.builder.add_rows(
        "promise", len(m), lower=-INFINITY, upper=KW * grid.energy.firm_w[m, t]
    )
    places = rows.first + np.arange(len(m), dtype=np.int64)
    grid.builder.add_entries(places, at(grid, grid.draw)[m, t], 1.0)
    grid.builder.add_entries(places, at(grid, grid.over)[m, t], -1.0)
