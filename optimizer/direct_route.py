"""The direct route: HiGHS without objects in between, and the restricted master where that pays."""

from contextlib import closing
from dataclasses import replace
from typing import Final

import numpy as np

from optimizer.crew import IN_PROCESS, Crew, Steady
from optimizer.deadline import Deadline
from optimizer.highs_route import LiveModel
from optimizer.master import Master, Relaxed
from optimizer.model import Layout, Model
from optimizer.solution import Limits, Solution, SolveModel, SolveStatus

MASTER_FROM: Final = 30_000
"""Starts from which the restricted master beats one solve of the whole model (measured)."""
_MASTER_SHARE: Final = 0.7
"""Share of the time that the rounds may take; the corner that follows takes the rest."""
_PATIENCE_SHARE: Final = 0.2
"""Share of the time after which a worker of a crew is not waited for any more."""


def solve_direct(model: Model, limits: Limits) -> Solution:
    """Solve a model by HiGHS on one thread; the answer is checked, never believed.

    The relaxation of a large model is solved within ``limits.gap`` by the restricted master.
    """
    return _solve(model, limits, IN_PROCESS)


def shared_out(crew: Crew, starts_min: int = 0) -> SolveModel:
    """Return the direct route with a crew that prices the starts where there are many.

    The answer is the same, to the last bit, whoever prices; ``Solution.notes`` says if the crew
    failed and the work was done here.
    """

    def solve(model: Model, limits: Limits) -> Solution:
        if model.layout is None or model.layout.start.count < starts_min:
            return solve_direct(model, limits)
        steady = Steady(crew, _PATIENCE_SHARE * limits.time_s)
        answer = _solve(model, limits, steady)
        return replace(answer, notes=(*answer.notes, *steady.notes))

    return solve


def _solve(model: Model, limits: Limits, crew: Crew) -> Solution:
    layout = model.layout
    if layout is None or model.is_integral.any() or layout.start.count < MASTER_FROM:
        return LiveModel(model).solve(limits)
    deadline = Deadline(limits.time_s)
    with closing(Master(model, crew=crew)) as master:
        found = master.solve(limits.gap, Deadline(limits.time_s * _MASTER_SHARE))
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
