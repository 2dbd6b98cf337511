"""What we check of a solver's answer ourselves: feasibility, objective, and a bound from its duals.

The bound holds for any duals, right or wrong: wrong ones only make it weaker. Nothing in here
believes a solver's status.
"""

from typing import Final

import numpy as np

from optimizer.arrays import Floats
from optimizer.model import Model

TOLERANCE: Final = 1e-5
"""Largest relative violation that is called feasible; solvers work to 1e-6 or 1e-7."""


def objective(model: Model, values: Floats) -> float:
    """Return the cost of a point."""
    return float(model.cost @ values)


def violation(model: Model, values: Floats, *, integral: bool) -> float:
    """Return by how much a point breaks its worst row, bound or integrality, relative to its size.

    Infinity for a point with the wrong length or with numbers that are not finite.
    """
    if len(values) != model.columns or not np.isfinite(values).all():
        return float("inf")
    activity = model.activity(values)
    worst = max(
        _worst(model.row_lower - activity, model.row_lower),
        _worst(activity - model.row_upper, model.row_upper),
        _worst(model.lower - values, model.lower),
        _worst(values - model.upper, model.upper),
    )
    if integral and model.is_integral.any():
        whole = values[model.is_integral]
        worst = max(worst, float(np.abs(whole - np.round(whole)).max()))
    return worst


def reduced_costs(model: Model, duals: Floats) -> Floats:
    """Return ``cost - A'y`` for duals of any sign: what a variable costs at these row prices."""
    return model.cost - model.weigh_rows(lawful(model, duals))


def lagrangian_bound(model: Model, duals: Floats) -> float:
    """Return a lower bound of the model's optimum.

    For any y with the signs that the rows allow:
    min cx  >=  y b  +  min over lower <= x <= upper of (c - A'y) x.
    """
    prices = lawful(model, duals)
    reduced = model.cost - model.weigh_rows(prices)
    return bound_of_rows(model, prices) + float(
        np.minimum(reduced * model.lower, reduced * model.upper).sum()
    )


def bound_of_rows(model: Model, prices: Floats) -> float:
    """Return what the rows give to the bound: each price times the side that it pushes against."""
    towards_lower, towards_upper = prices > 0, prices < 0
    rows = float(prices[towards_lower] @ model.row_lower[towards_lower])
    return rows + float(prices[towards_upper] @ model.row_upper[towards_upper])


def lawful(model: Model, duals: Floats) -> Floats:
    """Return the duals with those set to zero whose sign would price an infinite side of a row."""
    if len(duals) != model.row_count:
        return np.zeros(model.row_count)
    prices = np.where(np.isfinite(duals), duals, 0.0)
    prices = np.where(np.isinf(model.row_lower), np.minimum(prices, 0.0), prices)
    return np.where(np.isinf(model.row_upper), np.maximum(prices, 0.0), prices)


def _worst(excess: Floats, limit: Floats) -> float:
    size = 1.0 + np.abs(np.where(np.isfinite(limit), limit, 0.0))
    return float((excess / size).max(initial=0.0))
