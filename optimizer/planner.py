"""The planner's door: classes, columns, model, bound, whole jobs, check, reasons, in that order.

An answer always comes: where the solver fails, is too slow or is wrong, the greedy plan is given,
and the plan says so. Every plan is checked against the problem before it leaves.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from optimizer.assembly import Verdict, assemble
from optimizer.certificate import lagrangian_bound
from optimizer.check import violations
from optimizer.columns import Columns, columns_of
from optimizer.deadline import Deadline
from optimizer.direct_route import solve_direct
from optimizer.formulation import formulate
from optimizer.greedy import fill
from optimizer.improvement import improve
from optimizer.instance import Instance, instance_of
from optimizer.occupancy import empty_occupancy
from optimizer.problem import Problem
from optimizer.rounding import Tools, Whole, round_down_and_fill, search
from optimizer.solution import Limits, SolveModel
from optimizer.switches import in_force
from suanwang.model.plan import Plan, PlannerKind

_RELAXATION_SHARE: Final = 0.5
"""Share of the time left that the linear relaxation may take."""
_YUAN_SLACK: Final = 0.005


def plan(problem: Problem, *, solve: SolveModel = solve_direct) -> Plan:
    """Return starts, later starts and rejections, each with its reasons; never worse than greedy.

    ``solve`` is the route to a solver. ``Plan.planner`` says ``optimal`` where the plan is within
    ``mip_gap`` of its bound or the search proved it, ``feasible`` where it is better than greedy
    without proof, ``greedy`` otherwise. ``Plan.bound`` is our own bound, from the solver's duals.
    Raise ValueError where the problem does not fit together.
    """
    deadline = Deadline(problem.policy.time_limit_s)
    problem = in_force(problem)
    instance = instance_of(problem)
    columns = columns_of(instance)
    baseline = _greedy(instance, columns, deadline)
    found = _solved(instance, columns, baseline, _Run(deadline, solve))
    made = _assembled(found.best, found.verdict)
    faults = violations(problem, made)
    if not faults:
        return made
    note = f"the solver's plan was refused by our check ({faults[0]}); this is the greedy plan"
    verdict = replace(found.verdict, planner=PlannerKind.GREEDY, solver="greedy", note=note)
    made = _assembled(baseline, verdict)
    faults = violations(problem, made)
    if faults:
        raise AssertionError(f"the greedy plan is unsound: {'; '.join(faults[:5])}")
    return made


@dataclass(frozen=True, slots=True)
class _Run:
    deadline: Deadline
    solve: SolveModel


@dataclass(frozen=True, slots=True)
class _Found:
    best: Whole
    verdict: Verdict


def _greedy(instance: Instance, columns: Columns, deadline: Deadline) -> Whole:
    """The plan of ``plan_greedy`` with every job moved to where it costs less."""
    state = empty_occupancy(instance, columns)
    is_complete = fill(state, deadline)
    improve(state, deadline)
    is_proven = columns.count == 0
    return Whole(state, state.objective(), is_proven, is_complete, "greedy")


def _solved(instance: Instance, columns: Columns, baseline: Whole, run: _Run) -> _Found:
    """Relax, bound, round, search; return the best of all plans with its verdict."""
    if not columns.count:
        return _Found(baseline, _verdict(baseline, baseline.objective, ("none needed", 0.0), run))
    formulation = formulate(instance, columns)
    built_s = run.deadline.elapsed_s()
    model = formulation.model
    time_s = run.deadline.left_s() * _RELAXATION_SHARE
    relaxed = run.solve(model.relaxed(), Limits(time_s=time_s, gap=instance.problem.policy.mip_gap))
    # Without duals (a time limit, a failure) the bound of no prices at all is the better one.
    bound = max(lagrangian_bound(model, duals) for duals in (relaxed.duals, np.empty(0)))
    best = baseline
    if relaxed.has_point and not _is_close(instance, best, bound):
        best = _better(best, round_down_and_fill(formulation, relaxed, run.deadline))
        if not _is_close(instance, best, bound):
            tools = Tools(run.solve, bound, run.deadline)
            best = _better(best, search(formulation, relaxed, best, tools))
    return _Found(best, _verdict(best, bound, (relaxed.solver, built_s), run))


def _better(best: Whole, other: Whole | None) -> Whole:
    """The cheaper plan; of equal ones the proven, then the earlier."""
    if other is None:
        return best
    if other.objective < best.objective - _YUAN_SLACK:
        return other
    if other.is_proven and not best.is_proven and other.objective <= best.objective + _YUAN_SLACK:
        return replace(best, is_proven=True)
    return best


def _is_close(instance: Instance, whole: Whole, bound: float) -> bool:
    slack = max(_YUAN_SLACK, instance.problem.policy.mip_gap * abs(whole.objective))
    return whole.is_proven or whole.objective - bound <= slack


def _verdict(best: Whole, bound: float, told: tuple[str, float], run: _Run) -> Verdict:
    solver, built_s = told
    instance = best.state.instance
    if _is_close(instance, best, bound):
        kind = PlannerKind.OPTIMAL
    elif best.how == "greedy":
        kind = PlannerKind.GREEDY
    else:
        kind = PlannerKind.FEASIBLE
    notes = []
    if best.how == "greedy" and kind is not PlannerKind.GREEDY:
        notes.append("the greedy plan is optimal")
    elif best.how == "greedy":
        notes.append("no better plan than the greedy one was found")
    if not best.is_complete:
        notes.append("the time limit ended before every job was tried")
    return Verdict(
        planner=kind,
        solver=solver,
        build_s=built_s,
        solve_s=run.deadline.elapsed_s() - built_s,
        bound=bound,
        note="; ".join(notes),
        is_complete=best.is_complete,
    )


def _assembled(whole: Whole, verdict: Verdict) -> Plan:
    return assemble(whole.state, verdict)
