"""The family of reservations: what others may not use."""

import numpy as np

from optimizer.arrays import Ints
from optimizer.families.draft import Draft, every
from optimizer.model import INFINITY


def keep_reserved(draft: Draft) -> None:
    """Reserved units are for their holders.

    For every reservation r, slot t:  inside[r,t]  <=  units in use by jobs that sit in r.
    For every p, t with a reservation:  used[p,t] - sum over its r of inside[r,t]  <=
    max(0, units_free[p,t] - reserved units).  And inside[r,t] <= units[r] by its bound.
    """
    reserved = draft.instance.reserved
    if not reserved.count:
        return
    builder, slots = draft.builder, draft.slots
    r, t = np.nonzero(reserved.covers)
    row_of = np.full(reserved.covers.shape, -1, dtype=np.int64)
    row_of[r, t] = np.arange(len(r))
    inside = builder.add_variables("inside", upper=reserved.units[r].astype(np.float64))
    held = builder.add_rows("held", len(r), lower=-INFINITY, upper=0.0)
    builder.add_entries(every(held), every(inside), 1.0)
    for k in sorted(reserved.seats):
        column, slot = _touched(draft, k)
        seat = reserved.seats[k][draft.columns.pool[column], slot]
        sits = seat >= 0
        column, row = column[sits], row_of[seat[sits], slot[sits]]
        builder.add_entries(held.first + row, draft.start.first + column, -draft.units[column])
    p, at = np.nonzero(reserved.total)
    open_at = np.full(reserved.total.shape, -1, dtype=np.int64)
    open_at[p, at] = np.arange(len(p))
    upper = reserved.open_units[p, at].astype(np.float64)
    rows = builder.add_rows("reserved", len(p), lower=-INFINITY, upper=upper)
    builder.add_entries(every(rows), draft.used.first + p * slots + at, 1.0)
    builder.add_entries(rows.first + open_at[reserved.pool[r], t], every(inside), -1.0)


def _touched(draft: Draft, k: int) -> tuple[Ints, Ints]:
    """Every column of class k with every slot that it touches."""
    columns = draft.columns
    own = columns.of_class(k)
    lengths = columns.last[own] - columns.slot[own] + 1
    column = np.repeat(np.arange(own.start, own.stop), lengths)
    begun = np.cumsum(lengths) - lengths
    slot = columns.slot[column] + np.arange(len(column)) - np.repeat(begun, lengths)
    return column, slot
