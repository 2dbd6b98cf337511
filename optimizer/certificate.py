"""What we check of a solver's answer ourselves: feasibility, objective, and a bound from its duals.

The bound holds for any duals, right or wrong: wrong ones only make it weaker. Nothing in here
believes a solver's status.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from optimizer.arrays import Bools, Floats
from optimizer.model import Model
from suanwang.model.plan import Binding, Certificate, PlanStep, Proof

TOLERANCE: Final = 1e-5
"""Largest relative violation that is called feasible; solvers work to 1e-6 or 1e-7."""

DUST: Final = 8 * float(np.finfo(np.float64).eps)
"""What rounding of floats can make of a sum, relative to its parts: taken off every bound."""
_PRICE_MIN: Final = 1e-6
"""Smallest price, yuan, that counts as one: interior points leave dust on every row."""
_SLACK_MAX: Final = 1e-4
"""A limit binds where the point is this near to it, relative to its size."""
_ON_VARIABLES: Final = {
    "used": "capacity",
    "voucher": "lot",
    "draw": "draw",
    "solar": "sun",
    "stored": "battery",
}
"""Blocks of variables whose upper bounds are limits, and the families that they belong to.

The bounds of all other variables only keep the Lagrangian bound finite: a row says the same.
"""
_NOT_LIMITS: Final = frozenset(
    {
        "facility",
        "balance",
        "paid",
        "draw",
        "meter",
        "wakes",
        "peak",
        "keep_awake",
        "leave",
        "held",
    }
)
"""Rows with one open side that bend a cost or tie variables together, and limit nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the certificate of a plan says, but for what only the finished plan can tell."""

    step: PlanStep
    proof: Proof = Proof.NONE
    bound_by: str = "nobody"
    violation: float | None = None
    binding: tuple[Binding, ...] = ()
    refused: tuple[str, ...] = ()
    solver_s: float = 0.0

    def certificate(
        self, objective_yuan: float, bound: float | None, *, is_complete: bool
    ) -> Certificate:
        """Return the certificate of a plan that costs ``objective_yuan``."""
        return Certificate(
            step=self.step,
            proof=self.proof,
            bound_by=self.bound_by,
            gap=None if bound is None else gap_of(objective_yuan, bound),
            faults=0,
            violation=self.violation,
            binding=self.binding,
            refused=self.refused,
            is_complete=is_complete,
            solver_s=self.solver_s,
        )


def gap_of(objective_yuan: float, bound: float) -> float:
    """Return what a plan can lose at most, as a share of its objective."""
    return max(0.0, objective_yuan - bound) / max(1e-9, abs(objective_yuan))


def binding_families(model: Model, values: Floats, duals: Floats) -> tuple[Binding, ...]:
    """Return the families whose limits hold the relaxation back, the worthiest first.

    A limit counts where it has a price and the point is at it. Empty without a point or prices.
    """
    if len(values) != model.columns or len(duals) != model.row_count:
        return ()
    prices = lawful(model, duals)
    activity = model.activity(values)
    found: dict[str, list[float]] = {}
    for block in model.rows:
        own = block.where
        lower, upper = model.row_lower[own], model.row_upper[own]
        if block.name in _NOT_LIMITS:
            continue
        is_open = lower != upper
        at_upper = is_open & (prices[own] < -_PRICE_MIN) & _is_near(activity[own], upper)
        at_lower = is_open & (prices[own] > _PRICE_MIN) & _is_near(activity[own], lower)
        _collect(found, block.name, -prices[own][at_upper] * upper[at_upper])
        _collect(found, block.name, prices[own][at_lower] * lower[at_lower])
    reduced = model.cost - model.weigh_rows(prices)
    for block in model.variables:
        family = _ON_VARIABLES.get(block.name)
        if family is None:
            continue
        own = block.where
        upper = model.upper[own]
        binds = (reduced[own] < -_PRICE_MIN) & (upper > 0) & _is_near(values[own], upper)
        _collect(found, family, -reduced[own][binds] * upper[binds])
    families = [
        Binding(family=name, count=len(worth), worth_yuan=sum(worth))
        for name, worth in found.items()
    ]
    return tuple(sorted(families, key=lambda one: (-one.worth_yuan, one.family)))


def _collect(found: dict[str, list[float]], family: str, worth: Floats) -> None:
    if len(worth):
        found.setdefault(family, []).extend(worth.tolist())


def _is_near(values: Floats, limits: Floats) -> Bools:
    finite = np.where(np.isfinite(limits), limits, 0.0)
    near: Bools = np.isfinite(limits) & (np.abs(values - finite) <= _SLACK_MAX * (1 + abs(finite)))
    return near


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
    with np.errstate(over="ignore", invalid="ignore"):
        reduced = model.cost - model.weigh_rows(prices)
        least = np.minimum(reduced * model.lower, reduced * model.upper)
        bound = bound_of_rows(model, prices) + float(least.sum())
        dust = DUST * (np.abs(least).sum() + abs(bound))
    return float(bound - dust) if np.isfinite(bound - dust) else -float("inf")


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
