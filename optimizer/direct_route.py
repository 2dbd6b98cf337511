"""The direct route: HiGHS without objects in between, and the restricted master where that pays."""

from dataclasses import replace
from typing import Final

import numpy as np

from optimizer.deadline import Deadline
from optimizer.highs_route import LiveModel
from optimizer.master import Master, Relaxed
from optimizer.model import Layout, Model
from optimizer.solution import Limits, Solution, SolveStatus

MASTER_FROM: Final = 30_000
"""Starts from which the restricted master beats one solve of the whole model (measured)."""
_MASTER_SHARE: Final = 0.7
"""Share of the time that the rounds may take; the corner that follows takes the rest."""


def solve_direct(model: Model, limits: Limits) -> Solution:
    """Solve a model by HiGHS on one thread; the answer is checked, never believed.

    The relaxation of a large model is solved within ``limits.gap`` by the restricted master.
    """
    layout = model.layout
    if layout is None or model.is_integral.any() or layout.start.count < MASTER_FROM:
        return LiveModel(model).solve(limits)
    deadline = Deadline(limits.time_s)
    found = Master(model).solve(limits.gap, Deadline(limits.time_s * _MASTER_SHARE))
    if found is None:
        return LiveModel(model).solve(replace(limits, time_s=deadline.left_s()))
    return _corner(model, layout, found, limits, deadline)


def _corner(
    model: Model, layout: Layout, found: Relaxed, limits: Limits, deadline: Deadline
) -> Solution:
    """Go from the inside of the optimal face to a corner, of the starts that were kept.

    A corner has few fractions and a basis, from which whole jobs are found. Row prices and bound
    stay those of the master, which are of all starts.
    """
    is_in = np.ones(model.columns, dtype=np.bool_)
    is_in[layout.start.where] = found.kept
    inside = np.flatnonzero(is_in)
    corner = LiveModel(model.only(inside)).solve(replace(limits, time_s=deadline.left_s()))
    values = found.values
    if corner.has_point:
        values = np.zeros(model.columns)
        values[inside] = corner.values
    return replace(
        corner,
        status=SolveStatus.OPTIMAL if found.is_certified else SolveStatus.FEASIBLE,
        solver=f"{corner.solver}, restricted master",
        values=values,
        duals=found.prices,
        objective=float(model.cost @ values),
        basis=corner.basis if corner.has_point else None,
        inside=inside,
    )
