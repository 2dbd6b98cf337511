"""The families of the highest draw: the month's peak, and powers promised to the grid."""

import numpy as np

from optimizer.families.grid import Grid, at
from optimizer.families.power import KW
from optimizer.families.storage import follow_facility
from optimizer.model import INFINITY


def draw_highest(grid: Grid) -> None:
    """For every m, t, line i:  draw + solar + discharge - charge  >=  slope[i] * IT + offset[i].

    IT is ``asleep + high``, the most in the slot and not its mean: a run that ends within the slot
    still makes the peak. ``draw`` is at most the site's limit.
    """
    follow_facility(grid, "draw", at(grid, grid.draw), at(grid, grid.high))


def price_peak(grid: Grid) -> None:
    """For every m, t:  rise[m]  >=  draw[m,t] - peak so far,  and the same with ``grid``."""
    energy = grid.energy
    priced = np.flatnonzero(energy.peak_yuan_per_kw > 0)
    for block in (grid.draw, grid.grid):
        drawn = at(grid, block)[priced]
        lower = np.repeat(-KW * energy.so_far_w[priced], grid.slots)
        rows = grid.builder.add_rows("peak", drawn.size, lower=lower, upper=INFINITY)
        places = rows.first + np.arange(drawn.size, dtype=np.int64)
        rise = np.repeat(grid.rise.first + priced, grid.slots)
        grid.builder.add_entries(places, rise, 1.0)
        grid.builder.add_entries(places, drawn.ravel(), -1.0)


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
