"""The family of dependencies: a job starts after others have ended and their data has come."""

import numpy as np

from optimizer.arrays import Ints
from optimizer.families.draft import Draft, every
from optimizer.model import INFINITY
from optimizer.precedence import INSTANT_S, Arc


def come_after(draft: Draft) -> None:
    """For every arc a -> b, site s, slot t:  starts of b at s until t  <=  starts of a over by t.

    A start of a is over by t where it ends, and its data has come to s, by the beginning of t. So b
    is placed only if a is. Where moving data costs, see ``_move_data``.
    """
    for arc in draft.instance.precedence.arcs:
        _start_after(draft, arc)
        _move_data(draft, arc)


def _start_after(draft: Draft, arc: Arc) -> None:
    before, before_site = _columns_of(draft, arc.before)
    after, after_site = _columns_of(draft, arc.after)
    columns, instance = draft.columns, draft.instance
    start_s = instance.timeline.start_s
    ends_s = start_s[columns.slot[before]] + columns.run_s[before]
    for s in np.unique(after_site):
        own = after[after_site == s]
        moves_s = arc.transfer_gb * instance.precedence.seconds_per_gb[before_site, s]
        slots = np.unique(columns.slot[own])
        rows = draft.builder.add_rows("after", len(slots), lower=-INFINITY, upper=0.0)
        row, column = np.nonzero(columns.slot[own][None, :] <= slots[:, None])
        draft.builder.add_entries(rows.first + row, draft.start.first + own[column], 1.0)
        is_over = (ends_s + moves_s)[None, :] <= start_s[slots][:, None] + INSTANT_S
        row, column = np.nonzero(is_over)
        draft.builder.add_entries(rows.first + row, draft.start.first + before[column], -1.0)


def _move_data(draft: Draft, arc: Arc) -> None:
    """For every arc a -> b:  sum over i of moved[i,s] = starts of b at s;  sum over s of moved[i,s]
    <= starts of a at i.  ``moved`` costs what the arc's data costs from site i to s.
    """
    yuan = arc.transfer_gb * draft.instance.precedence.yuan_per_gb
    before, before_site = _columns_of(draft, arc.before)
    after, after_site = _columns_of(draft, arc.after)
    origins, i = np.unique(before_site, return_inverse=True)
    sites, s = np.unique(after_site, return_inverse=True)
    cost = yuan[np.ix_(origins, sites)].ravel()
    if not cost.any():
        return
    builder = draft.builder
    moved = builder.add_variables("moved", upper=np.ones(len(cost)), cost=cost)
    pairs = np.arange(len(cost))
    arrive = builder.add_rows("arrive", len(sites), lower=0.0, upper=0.0)
    builder.add_entries(arrive.first + pairs % len(sites), every(moved), 1.0)
    builder.add_entries(arrive.first + s, draft.start.first + after, -1.0)
    leave = builder.add_rows("leave", len(origins), lower=-INFINITY, upper=0.0)
    builder.add_entries(leave.first + pairs // len(sites), every(moved), 1.0)
    builder.add_entries(leave.first + i, draft.start.first + before, -1.0)


def _columns_of(draft: Draft, k: int) -> tuple[Ints, Ints]:
    """The columns of class k, and the site of each."""
    own = draft.columns.of_class(k)
    columns = np.arange(own.start, own.stop, dtype=np.int64)
    return columns, draft.instance.site_of[draft.columns.pool[columns]]
