"""What a route to a solver gives back: the same for every solver, checked by ourselves."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from optimizer.arrays import Floats, Ints
from optimizer.certificate import TOLERANCE, objective, violation
from optimizer.model import Model


class SolveStatus(StrEnum):
    """OPTIMAL: claimed by the solver and feasible by our check. FEASIBLE: feasible, not proven.

    NO_POINT: nothing that could be used (a limit, a failure, or a point that our check refused).
    """

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    NO_POINT = "no-point"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how exactly to solve; ``gap`` is relative, and of whole numbers or of prices."""

    time_s: float = 60.0
    gap: float = 1e-4


@dataclass(frozen=True, slots=True)
class Solution:
    """A solver's answer. ``objective`` is recomputed from ``values``; ``duals`` empty if none.

    ``handover_s`` is the time to give the model to the solver, ``solve_s`` the rest. ``basis`` is
    what the same route can begin from when only bounds have changed; it is of the variables
    ``inside``, where those are not all. ``notes`` are for whoever reads the plan.
    """

    status: SolveStatus
    solver: str
    values: Floats
    duals: Floats
    objective: float
    handover_s: float
    solve_s: float
    said: str = ""
    basis: object = None
    inside: Ints | None = None
    notes: tuple[str, ...] = ()

    @property
    def has_point(self) -> bool:
        """Whether there is a feasible point."""
        return self.status in (SolveStatus.OPTIMAL, SolveStatus.FEASIBLE)


SolveModel = Callable[[Model, Limits], Solution]
"""A route: solves a model within limits."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A solver's raw answer, before we look at it."""

    solver: str
    said: str
    claims_optimal: bool
    claims_infeasible: bool
    values: Floats
    duals: Floats
    handover_s: float
    solve_s: float
    basis: object = None


def no_solution(why: str) -> Solution:
    """Return the answer of a model that no solver was asked about, or none answered."""
    return Solution(
        status=SolveStatus.NO_POINT,
        solver="no solver",
        values=np.empty(0),
        duals=np.empty(0),
        objective=float("nan"),
        handover_s=0.0,
        solve_s=0.0,
        said=why,
    )


def checked(model: Model, answer: Answer) -> Solution:
    """Return the answer with a status that we can stand for, whatever the solver called it."""
    is_feasible = violation(model, answer.values, integral=True) <= TOLERANCE
    if is_feasible:
        status = SolveStatus.OPTIMAL if answer.claims_optimal else SolveStatus.FEASIBLE
    elif answer.claims_infeasible:
        status = SolveStatus.INFEASIBLE
    else:
        status = SolveStatus.NO_POINT
    return Solution(
        status=status,
        solver=answer.solver,
        values=answer.values if is_feasible else np.empty(0),
        duals=answer.duals,
        objective=objective(model, answer.values) if is_feasible else float("nan"),
        handover_s=answer.handover_s,
        solve_s=answer.solve_s,
        said=answer.said,
        basis=answer.basis,
    )
