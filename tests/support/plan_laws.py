"""What must hold for every plan, whatever its problem."""

from optimizer.columns import columns_of
from optimizer.direct_route import solve_direct
from optimizer.formulation import formulate
from optimizer.instance import instance_of
from optimizer.problem import Problem
from optimizer.solution import Limits


def relaxed_cost(problem: Problem) -> float:
    """Return the optimum of the problem's relaxation, below which no plan can cost."""
    instance = instance_of(problem)
    model = formulate(instance, columns_of(instance)).model.relaxed()
    return solve_direct(model, Limits(time_s=60.0, gap=1e-9)).objective
