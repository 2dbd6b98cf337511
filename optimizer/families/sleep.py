"""The families of sleep: nodes that jobs keep awake, wakes, and the IT power that follows."""

import numpy as np

from optimizer.arrays import Ints
from optimizer.families.grid import Grid, at
from optimizer.families.power import KW
from optimizer.model import INFINITY


def keep_awake(grid: Grid) -> None:
    """For every q, t:  awake[q,t]  >=  spare + steepness * (occupied + used[p,t]) / node_units.

    The straight line below ``min(cap, nodes in use + spare)``, the true need: exact without spare
    nodes, and never more than the truth with them.
    """
    sleepers = grid.energy.sleepers
    weight = sleepers.steepness / sleepers.node_units[:, None]
    need = sleepers.spare + weight * sleepers.occupied
    rows = at(
        grid, grid.builder.add_rows("keep_awake", need.size, lower=need.ravel(), upper=INFINITY)
    )
    grid.builder.add_entries(rows.ravel(), at(grid, grid.awake).ravel(), 1.0)
    used = at(grid, grid.used)[sleepers.pool]
    grid.builder.add_entries(rows.ravel(), used.ravel(), -weight.ravel())


def count_wakes(grid: Grid) -> None:
    """For every q, t:  wake[q,t]  >=  awake[q,t] - awake[q,t-1], with awake[q,-1] = awake_now.

    A wake can not be over before ``wake_s``, so there ``wake`` is zero, and only nodes that are
    awake now hold jobs. Its energy falls into the slots before t, where it is spent.
    """
    sleepers = grid.energy.sleepers
    awake, wake = at(grid, grid.awake), at(grid, grid.wake)
    lower = np.zeros(awake.shape)
    lower[:, :1] = -sleepers.awake_now[:, None]
    block = grid.builder.add_rows("wakes", lower.size, lower=lower.ravel(), upper=INFINITY)
    rows = at(grid, block)
    grid.builder.add_entries(rows.ravel(), wake.ravel(), 1.0)
    grid.builder.add_entries(rows.ravel(), awake.ravel(), -1.0)
    grid.builder.add_entries(rows[:, 1:].ravel(), awake[:, :-1].ravel(), 1.0)


def sum_it_power(grid: Grid) -> None:
    """For every m, t:  it = load + idle_w * awake + energy of wakes in t / hours."""
    sleepers = grid.energy.sleepers
    rows = at(grid, grid.builder.add_rows("it", grid.it.count, lower=0.0, upper=0.0))
    _add_awake(grid, rows, at(grid, grid.it))
    load = at(grid, grid.load)[grid.energy.site]
    grid.builder.add_entries(rows.ravel(), load.ravel(), -1.0)
    q, ready, falls = np.nonzero(sleepers.lead)
    energy_wh = sleepers.lead[q, ready, falls] * sleepers.wake_wh[q]
    grid.builder.add_entries(
        rows[sleepers.m[q], falls],
        at(grid, grid.wake)[q, ready],
        -KW * energy_wh / grid.hours[falls],
    )


def find_highest(grid: Grid) -> None:
    """For every m, t:  high  =  sum of own_w * used  +  idle_w * awake: no run ends early in it."""
    instance, energy = grid.instance, grid.energy
    rows = at(grid, grid.builder.add_rows("high", grid.high.count, lower=0.0, upper=0.0))
    _add_awake(grid, rows, at(grid, grid.high))
    m_of = np.full(len(instance.sites), -1, dtype=np.int64)
    m_of[energy.site] = np.arange(len(energy.site))
    pools = np.flatnonzero(m_of[instance.site_of] >= 0)
    used = at(grid, grid.used)[pools]
    watts = np.repeat(instance.own_w[pools], grid.slots)
    places = rows[m_of[instance.site_of[pools]]]
    grid.builder.add_entries(places.ravel(), used.ravel(), -KW * watts)


def _add_awake(grid: Grid, rows: Ints, total: Ints) -> None:
    sleepers = grid.energy.sleepers
    grid.builder.add_entries(rows.ravel(), total.ravel(), 1.0)
    watts = np.repeat(sleepers.idle_w, grid.slots)
    awake = at(grid, grid.awake).ravel()
    grid.builder.add_entries(rows[sleepers.m].ravel(), awake, -KW * watts)
