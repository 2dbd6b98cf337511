"""The family of fairness: tenants get the work that they are due, or it costs."""

import numpy as np

from optimizer.families.draft import Draft, every
from optimizer.model import INFINITY


def serve_shares(draft: Draft) -> None:
    """For every tenant i:  sum over its classes k of work[k] * (n[k] - left[k]) + short[i]  >=
    share[i].  ``short`` costs the policy's price of unfairness.
    """
    fairness = draft.instance.fairness
    due = np.flatnonzero(fairness.share > 0)
    if not fairness.is_on or not len(due):
        return
    builder = draft.builder
    short = builder.add_variables("short", upper=fairness.share[due], cost=fairness.price)
    full = np.bincount(fairness.tenant_of, fairness.work * fairness.counts, len(fairness.tenants))
    lower = fairness.share[due] - full[due]
    rows = builder.add_rows("fair", len(due), lower=lower, upper=INFINITY)
    builder.add_entries(every(rows), every(short), 1.0)
    row_of = np.full(len(fairness.tenants), -1, dtype=np.int64)
    row_of[due] = np.arange(len(due))
    own = np.flatnonzero(row_of[fairness.tenant_of] >= 0)
    builder.add_entries(
        rows.first + row_of[fairness.tenant_of[own]], draft.left.first + own, -fairness.work[own]
    )
