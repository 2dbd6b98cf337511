"""The planner's door."""

from optimizer.greedy import plan_greedy
from optimizer.problem import Problem
from suanwang.model.plan import Plan


def plan(problem: Problem) -> Plan:
    """Return a plan for the problem: starts, later starts and rejections, each with its reasons."""
    return plan_greedy(problem)
