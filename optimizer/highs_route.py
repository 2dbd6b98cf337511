"""The direct route: arrays into HiGHS, no text and no objects in between. The hot path."""

from time import perf_counter
from typing import Final

import highspy
import numpy as np

from optimizer.model import Model
from optimizer.solution import Answer, Limits, Solution, checked

INTERIOR_POINT_FROM: Final = 30_000
"""Columns from which interior point beats the simplex on the running-sum form (measured)."""
_COLUMN_WISE: Final = 1
_MINIMISE: Final = 1


def solve_direct(model: Model, limits: Limits) -> Solution:
    """Solve a model by HiGHS on one thread; the answer is checked, never believed."""
    began_s = perf_counter()
    highs = highspy.Highs()  # type: ignore[no-untyped-call]  # highspy is typed in parts
    _set_options(highs, model, limits)
    _pass_model(highs, model)
    handed_s = perf_counter()
    highs.run()
    status = highs.getModelStatus()
    found = highs.getSolution()
    return checked(
        model,
        Answer(
            solver=f"HiGHS {highs.version()}",
            said=highs.modelStatusToString(status),
            claims_optimal=status == highspy.HighsModelStatus.kOptimal,
            claims_infeasible=status == highspy.HighsModelStatus.kInfeasible,
            values=np.array(found.col_value, dtype=np.float64),
            duals=np.array(found.row_dual, dtype=np.float64),
            handover_s=handed_s - began_s,
            solve_s=perf_counter() - handed_s,
        ),
    )


def _set_options(highs: highspy.Highs, model: Model, limits: Limits) -> None:
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", 1)
    highs.setOptionValue("random_seed", 0)
    highs.setOptionValue("time_limit", max(0.01, limits.time_s))
    highs.setOptionValue("mip_rel_gap", limits.gap)
    if not model.is_integral.any() and model.columns >= INTERIOR_POINT_FROM:
        highs.setOptionValue("solver", "ipm")


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
