"""The families that say how jobs start and what they take: place and usage."""

import numpy as np

from optimizer.families.draft import Draft, every


def serve_every_job(draft: Draft) -> None:
    """For every class k:  sum over its columns c of start[c]  +  left[k]  =  n[k]."""
    rows = draft.place
    draft.builder.add_entries(rows.first + draft.columns.klass, every(draft.start), 1.0)
    draft.builder.add_entries(every(rows), every(draft.left), 1.0)


def count_usage(draft: Draft) -> None:
    """For every p, t:  used[p,t] - used[p,t-1]  =  units that start in t - units last in t-1.

    ``0 <= used[p,t] <= units_free[p,t]`` is the capacity. A unit counts in every slot that its run
    touches, so capacity holds at every instant. An equality: with ``<=`` the model would buy idle
    load in hours of negative price.
    """
    builder, columns, slots = draft.builder, draft.columns, draft.slots
    rows = builder.add_rows("usage", draft.used.count, lower=0.0, upper=0.0)
    builder.add_entries(every(rows), every(draft.used), 1.0)
    has_next = np.arange(draft.used.count) % slots != slots - 1
    builder.add_entries(every(rows)[has_next] + 1, every(draft.used)[has_next], -1.0)
    units, start = draft.units, every(draft.start)
    builder.add_entries(rows.first + columns.pool * slots + columns.slot, start, -units)
    ends = columns.last + 1 < slots
    ended = rows.first + (columns.pool * slots + columns.last + 1)[ends]
    builder.add_entries(ended, start[ends], units[ends])
