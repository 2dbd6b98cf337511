"""Arrays into HiGHS, no text and no objects in between: what the direct route is made of."""

from dataclasses import replace
from time import perf_counter
from typing import Final

import highspy
import numpy as np

from optimizer.arrays import Bools, Floats, Ints
from optimizer.certificate import TOLERANCE, violation
from optimizer.model import Model
from optimizer.solution import Answer, Limits, Solution, checked

INTERIOR_POINT_FROM: Final = 30_000
"""Columns from which interior point beats the simplex on the running-sum form (measured)."""
_FIRST_ORDER_TOLERANCE: Final = 1e-9
"""Tolerance of PDLP: it measures in another norm, and at 1e-7 our check refuses some points."""
_FEASIBILITY: Final = 1e-10
"""Of the whole right side, in the restricted master: a small row must hold to our own tolerance."""
_COLUMN_WISE: Final = 1
_MINIMISE: Final = 1


def solve_inside(model: Model, *, tolerance: float, time_s: float) -> tuple[Floats, Floats] | None:
    """Return a point by interior point without crossover, and its row prices; None without one.

    The prices lie amid all optimal ones, which is what the restricted master wants. ``tolerance``
    is the relative gap at which it stops; a rough point may break rows by some of it.
    """
    highs = highspy.Highs()  # type: ignore[no-untyped-call]  # highspy is typed in parts
    _set_options(highs, model)
    highs.setOptionValue("solver", "ipx")
    highs.setOptionValue("run_crossover", "off")
    highs.setOptionValue("ipm_optimality_tolerance", tolerance)
    highs.setOptionValue("primal_feasibility_tolerance", _FEASIBILITY)
    highs.setOptionValue("time_limit", max(0.01, time_s))
    _pass_model(highs, model)
    highs.run()
    found = highs.getSolution()
    values = np.array(found.col_value, dtype=np.float64)
    if violation(model, values, integral=False) > max(TOLERANCE, tolerance):
        return None
    return values, np.array(found.row_dual, dtype=np.float64)


def has_algorithm(algorithm: str) -> bool:
    """Whether this HiGHS has an algorithm for relaxations, such as ``hipo``."""
    highs = highspy.Highs()  # type: ignore[no-untyped-call]  # highspy is typed in parts
    highs.setOptionValue("output_flag", False)
    return bool(highs.setOptionValue("solver", algorithm) == highspy.HighsStatus.kOk)


class LiveModel:
    """A model inside HiGHS: its bounds can change and it is solved again from its last basis."""

    def __init__(self, model: Model, basis: object = None, algorithm: str = "") -> None:
        """Hand the model over; ``algorithm`` is HiGHS's, for relaxations, else by size."""
        began_s = perf_counter()
        self._model = model
        self._highs = highspy.Highs()  # type: ignore[no-untyped-call]  # highspy is typed in parts
        _set_options(self._highs, model)
        if algorithm and not model.is_integral.any():
            self._highs.setOptionValue("solver", algorithm)
            self._highs.setOptionValue("pdlp_optimality_tolerance", _FIRST_ORDER_TOLERANCE)
        _pass_model(self._highs, model)
        if isinstance(basis, highspy.HighsBasis):
            self._highs.setOptionValue("solver", "simplex")
            self._highs.setBasis(basis)
        self._handover_s = perf_counter() - began_s

    def bound(self, where: Ints, lower: Floats, upper: Floats) -> None:
        """Give the variables at ``where`` new bounds."""
        own_lower, own_upper = self._model.lower.copy(), self._model.upper.copy()
        own_lower[where], own_upper[where] = lower, upper
        self._model = replace(self._model, lower=own_lower, upper=own_upper)
        self._highs.changeColsBounds(len(where), where.astype(np.int32), lower, upper)

    def begin_from(self, where: Ints, values: Floats) -> None:
        """Give some whole numbers of a known plan: a search is then no worse than that."""
        self._highs.setSolution(len(where), where.astype(np.int32), values)

    def solve(self, limits: Limits) -> Solution:
        """Solve the model as it is now."""
        highs, began_s = self._highs, perf_counter()
        highs.setOptionValue("time_limit", highs.getRunTime() + max(0.01, limits.time_s))
        highs.setOptionValue("mip_rel_gap", limits.gap)
        highs.run()
        status = highs.getModelStatus()
        found = highs.getSolution()
        return checked(
            self._model,
            Answer(
                solver=f"HiGHS {highs.version()}",
                said=highs.modelStatusToString(status),
                claims_optimal=status == highspy.HighsModelStatus.kOptimal,
                claims_infeasible=status == highspy.HighsModelStatus.kInfeasible,
                values=np.array(found.col_value, dtype=np.float64),
                duals=np.array(found.row_dual, dtype=np.float64),
                handover_s=self._handover_s,
                solve_s=perf_counter() - began_s,
                basis=None if self._model.is_integral.any() else highs.getBasis(),
            ),
        )


def is_basis_of(basis: object, columns: int, rows: int) -> bool:
    """Return whether this is a basis of a model of that size, whatever a route says."""
    return (
        isinstance(basis, highspy.HighsBasis)
        and len(basis.col_status) == columns
        and len(basis.row_status) == rows
    )


def is_basic(basis: object) -> Bools:
    """Return for each variable of a basis whether it is basic."""
    assert isinstance(basis, highspy.HighsBasis)
    basic = highspy.HighsBasisStatus.kBasic
    return np.array([status == basic for status in basis.col_status], dtype=np.bool_)


def part_of_basis(basis: object, kept: Ints) -> object:
    """Return a basis without the variables that are not ``kept``: none of those may be basic."""
    assert isinstance(basis, highspy.HighsBasis)
    status = basis.col_status
    part = highspy.HighsBasis()
    part.col_status = [status[at] for at in kept]
    part.row_status = list(basis.row_status)
    part.valid = True
    return part


def _set_options(highs: highspy.Highs, model: Model) -> None:
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", 1)
    highs.setOptionValue("random_seed", 0)
    if not model.is_integral.any() and model.columns >= INTERIOR_POINT_FROM:
        # Not "ipm": that is HiPO where it is installed, which is slower on these models (measured).
        highs.setOptionValue("solver", "ipx")


def _pass_model(highs: highspy.Highs, model: Model) -> None:
    highs.passModel(
        model.columns,
        model.row_count,
        model.nonzeros,
        _COLUMN_WISE,
        _MINIMISE,
        0.0,
        model.cost,
        model.lower,
        model.upper,
        model.row_lower,
        model.row_upper,
        model.start,
        model.index,
        model.value,
        model.is_integral.astype(np.int32),
    )
