"""A guard around a route to a solver: it may lie, fail, raise or hang, and no harm comes of it.

What comes back is looked at again as if it came from a stranger: the point is checked against the
model, the objective is computed anew, prices of the wrong size are dropped. A route that raises, or
that is silent for longer than its limit and some grace, has given no point. The model is lent
read-only, so a route cannot change what it is asked.
"""

from dataclasses import dataclass, field, replace
from threading import Thread
from time import perf_counter
from typing import Final

import numpy as np

from optimizer.arrays import Floats, Ints
from optimizer.certificate import TOLERANCE, objective, violation
from optimizer.model import Model
from optimizer.solution import Limits, Solution, SolveModel, SolveStatus, no_solution

GRACE_S: Final = 5.0
"""Seconds that a route may take beyond its limit: solvers look at the clock now and then only."""
HANGING_MAX: Final = 2
"""Calls that may hang at a time in this process; with as many, no route is asked any more."""
_WORDS_MAX: Final = 500
"""Most letters of a solver's complaint that are kept."""
_ARRAYS: Final = (
    "cost",
    "lower",
    "upper",
    "is_integral",
    "row_lower",
    "row_upper",
    "start",
    "index",
    "value",
)
_HANGING: Final[list[Thread]] = []
"""Calls that did not come back: a thread cannot be ended from outside, only left alone."""


@dataclass(frozen=True, slots=True)
class _NoAnswer:
    why: str


@dataclass(slots=True)
class Guarded:
    """A route that can be trusted, made of one that cannot. ``refused`` says what was not used.

    ``solver_s`` is the time that the route took, ``violation`` the worst relative break of a row by
    the first point that it gave; None where it gave none that is a row of numbers.
    """

    solve: SolveModel
    grace_s: float = GRACE_S
    solver_s: float = 0.0
    violation: float | None = None
    refused: list[str] = field(default_factory=list)

    def __call__(self, model: Model, limits: Limits) -> Solution:
        """Return the route's answer as far as it is true."""
        began_s = perf_counter()
        answer = self._ask(_lent(model), limits)
        self.solver_s += perf_counter() - began_s
        if isinstance(answer, _NoAnswer):
            self.refused.append(answer.why)
            return no_solution(answer.why)
        return self._believed(model, answer)

    def _ask(self, model: Model, limits: Limits) -> "Solution | _NoAnswer":
        """Return the answer, or in words why there is none."""
        _HANGING[:] = [thread for thread in _HANGING if thread.is_alive()]
        if len(_HANGING) >= HANGING_MAX:
            return _NoAnswer(f"not asked: {len(_HANGING)} earlier calls of a solver still hang")
        answers: list[object] = []

        def call() -> None:
            try:
                answers.append(self.solve(model, limits))
            except Exception as failure:  # noqa: BLE001 - foreign code; whatever it is, it is told
                why = f"the solver failed: {type(failure).__name__}: {failure}"
                answers.append(_NoAnswer(why[:_WORDS_MAX]))

        thread = Thread(target=call, name="solver", daemon=True)
        thread.start()
        thread.join(limits.time_s + self.grace_s)
        if not answers:
            _HANGING.append(thread)
            waited_s = limits.time_s + self.grace_s
            return _NoAnswer(f"the solver was still silent after {waited_s:.1f} s")
        answer = answers[0]
        if isinstance(answer, Solution | _NoAnswer):
            return answer
        return _NoAnswer(f"the solver answered with a {type(answer).__name__}, not a solution")

    def _believed(self, model: Model, answer: Solution) -> Solution:
        values, duals = _floats(answer.values), _floats(answer.duals)
        inside = _places(answer.inside, model.columns)
        is_lost = inside is None and answer.inside is not None
        clean = replace(
            answer,
            values=values,
            duals=duals if len(duals) == model.row_count else np.empty(0),
            objective=float("nan"),
            solver=str(answer.solver),
            inside=inside,
            basis=None if is_lost else answer.basis,
        )
        if not answer.has_point:
            return replace(clean, values=np.empty(0))
        worst = violation(model, values, integral=True)
        if self.violation is None and np.isfinite(worst):
            self.violation = worst
        if worst <= TOLERANCE:
            return replace(clean, objective=objective(model, values))
        self.refused.append(f"{clean.solver} gave a point that breaks a row by {worst:.3g}")
        return replace(clean, status=SolveStatus.NO_POINT, values=np.empty(0), basis=None)


def _lent(model: Model) -> Model:
    """The model with arrays that cannot be written to."""
    views = {}
    for name in _ARRAYS:
        views[name] = getattr(model, name).view()
        views[name].setflags(write=False)
    return replace(model, **views)


def _floats(given: object) -> Floats:
    """The given numbers as one row of floats; empty where they are something else."""
    try:
        row = np.array(given, dtype=np.float64)
    except (TypeError, ValueError):
        return np.empty(0)
    return row if row.ndim == 1 else np.empty(0)


def _places(given: object, columns: int) -> Ints | None:
    """The given places of variables, if they are ascending places of this model."""
    if not isinstance(given, np.ndarray) or given.ndim != 1 or given.dtype.kind not in "iu":
        return None
    places = given.astype(np.int64)
    is_sound = not len(places) or (
        places[0] >= 0 and places[-1] < columns and bool((np.diff(places) > 0).all())
    )
    return places if is_sound else None
