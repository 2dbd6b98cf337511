"""Voucher value that ends within the horizon: what a plan uses of it is not lost to its tenant."""

from collections.abc import Mapping

from optimizer.problem import Problem
from suanwang.units import FEN_PER_YUAN


def worth_of_lots(problem: Problem) -> dict[str, float]:
    """Return what using a fen of a lot is worth, in yuan, for each lot that ends in the horizon."""
    weight, horizon_s = problem.policy.expiring_weight, problem.slots[-1].end_s
    if weight <= 0:
        return {}
    return {
        lot.id: weight / FEN_PER_YUAN
        for lot in problem.lots
        if lot.available_fen > 0 and 0 < lot.expires_s <= horizon_s
    }


def worth_yuan(paid_fen: Mapping[str, int], worth: Mapping[str, float]) -> float:
    """Return what a payment out of lots is worth."""
    return sum(amount * worth.get(lot_id, 0.0) for lot_id, amount in paid_fen.items())
