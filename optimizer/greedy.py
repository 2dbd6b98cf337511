"""The greedy planner: one class after the other, each job at its cheapest place that is still free.

It is the baseline that every other plan must beat, and the safety net when time is short.
"""

import numpy as np

from optimizer.arrays import Floats
from optimizer.assembly import Verdict, assemble
from optimizer.certificate import Evidence
from optimizer.columns import columns_of
from optimizer.deadline import Deadline
from optimizer.dispatch import settle
from optimizer.guide import guided
from optimizer.instance import Instance, instance_of
from optimizer.occupancy import Occupancy, empty_occupancy
from optimizer.problem import Problem
from optimizer.seating import seat
from optimizer.switches import in_force
from suanwang.model.plan import Plan, PlannerKind, PlanStep


def plan_greedy(problem: Problem) -> Plan:
    """Return a plan without a solver; it says ``greedy`` and has no bound.

    Raise ValueError where the problem does not fit together.
    """
    deadline = Deadline(problem.policy.time_limit_s)
    instance = instance_of(in_force(problem))
    state = empty_occupancy(guided(instance), columns_of(instance))
    built_s = deadline.elapsed_s()
    is_complete = fill(state, deadline)
    seat(state, lambda: fill(state, deadline))
    verdict = Verdict(
        planner=PlannerKind.GREEDY,
        solver="greedy",
        build_s=built_s,
        solve_s=deadline.elapsed_s() - built_s,
        evidence=Evidence(step=PlanStep.GREEDY),
        is_complete=is_complete,
    )
    return assemble(state, verdict, settle(state, deadline))


def fill(state: Occupancy, deadline: Deadline, order_cost: Floats | None = None) -> bool:
    """Place what is left, class by class, each at its cheapest place that has room and is paid.

    ``order_cost`` replaces the true cost of the columns as the order of trial. A place that costs
    more than leaving the job out is not used. Return False when the time ran out before the end.
    """
    for k in _class_order(state.instance):
        if not state.left[k]:
            continue
        if deadline.is_over:
            return False
        fill_class(state, k, order_cost)
    return True


def _class_order(instance: Instance) -> list[int]:
    """Those who waited longest first, then the large, then the order of the classes.

    What runs goes first, and what others wait for comes before them.
    """
    depth = instance.precedence.depth

    def weight(k: int) -> tuple[bool, int, float, float, int]:
        klass = instance.classes[k]
        return (
            klass.spec.running is None,
            depth.get(k, 0),
            -klass.members[0].waited_s,
            -klass.spec.units * klass.spec.run_s,
            k,
        )

    return sorted(range(len(instance.classes)), key=weight)


def fill_class(state: Occupancy, k: int, order_cost: Floats | None = None) -> list[int]:
    """Place what is left of class k; return the column of every job placed, in that order."""
    own = state.columns.of_class(k)
    cost = state.columns.cost[own] + state.added_yuan(k)
    is_open = state.fits(k) & (cost < state.instance.classes[k].unserved_yuan)
    order = cost if order_cost is None else order_cost[own]
    candidates = np.flatnonzero(is_open)
    placed: list[int] = []
    for at in candidates[np.argsort(order[candidates], kind="stable")]:
        column = own.start + int(at)
        placed += [column] * state.place(column, int(state.left[k]))
        if not state.left[k]:
            break
    return placed
