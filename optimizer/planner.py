"""The planner's door: classes, columns, model, bound, whole jobs, check, reasons, in that order.

An answer always comes: where the solver fails, is too slow or is wrong, the greedy plan is given,
and the plan says so. Every plan is checked against the problem before it leaves.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from optimizer.assembly import Verdict, assemble
from optimizer.certificate import Evidence, binding_families, lagrangian_bound
from optimizer.check import violations
from optimizer.columns import Columns, columns_of
from optimizer.crew import IN_PROCESS, Crew, Steady
from optimizer.deadline import Deadline
from optimizer.direct_route import solve_direct
from optimizer.dispatch import Settled, settle
from optimizer.formulation import Formulation, formulate
from optimizer.greedy import fill
from optimizer.guard import Guarded
from optimizer.guide import guided, guided_by
from optimizer.improvement import improve
from optimizer.instance import Instance, instance_of
from optimizer.model import Model
from optimizer.occupancy import empty_occupancy
from optimizer.prices import board_of
from optimizer.problem import Problem
from optimizer.rounding import Tools, Whole, round_down_and_fill, search, search_around
from optimizer.seating import seat
from optimizer.solution import Limits, Solution, SolveModel
from optimizer.switches import in_force
from suanwang.model.plan import Binding, Plan, PlannerKind, PlanStep, Proof

_NO_PRICES: Final = "no prices"
_RELAXATION_SHARE: Final = 0.5
"""Share of the time left that the linear relaxation may take."""
_YUAN_SLACK: Final = 0.005
_BOUND_SLACK: Final = 1e-6
"""Share of a plan's cost by which a bound may pass it: rounding of floats, no more."""


def plan(problem: Problem, *, solve: SolveModel = solve_direct, crew: Crew = IN_PROCESS) -> Plan:
    """Return starts, later starts and rejections, each with its reasons; never worse than greedy.

    ``solve`` is the route to a solver, ``crew`` who searches neighbourhoods side by side.
    ``Plan.planner`` says ``optimal`` where the plan is within ``mip_gap`` of its bound or the
    search proved it, ``feasible`` where it is better than greedy without proof, ``greedy``
    otherwise. ``Plan.bound`` is our own bound, from the solver's duals; ``Plan.certificate`` says
    what else is known. Nothing that a route answers is believed, and one
    that raises or hangs does no harm. Raise ValueError where the problem does not fit together.
    """
    deadline = Deadline(problem.policy.time_limit_s)
    route = solve if isinstance(solve, Guarded) else Guarded(solve)
    steady = Steady(crew, problem.policy.time_limit_s)
    problem = in_force(problem)
    instance = instance_of(problem)
    columns = columns_of(instance)
    baseline = _greedy(instance, columns, deadline)
    found = _solved(instance, columns, baseline, _Run(deadline, route, steady))
    made = _assembled(found.best, found.verdict)
    faults = violations(problem, made)
    if not faults:
        return made
    note = f"the solver's plan was refused by our check ({faults[0]}); this is the greedy plan"
    evidence = found.verdict.evidence
    refused = (*evidence.refused, f"{len(faults)} faults in the plan by {evidence.step}")
    verdict = replace(
        found.verdict,
        planner=PlannerKind.GREEDY,
        solver="greedy",
        note=note,
        evidence=replace(evidence, step=PlanStep.GREEDY, proof=Proof.NONE, refused=refused),
    )
    made = _assembled(baseline, verdict)
    faults = violations(problem, made)
    if faults:
        raise AssertionError(f"the greedy plan is unsound: {'; '.join(faults[:5])}")
    return made


@dataclass(frozen=True, slots=True)
class _Run:
    deadline: Deadline
    solve: Guarded
    crew: Steady


@dataclass(frozen=True, slots=True)
class _Found:
    best: Whole
    verdict: Verdict


def _greedy(instance: Instance, columns: Columns, deadline: Deadline) -> Whole:
    """The plan of ``plan_greedy`` with every job moved to where it costs less."""
    baseline = _filled(instance, columns, deadline, moves=True)
    if instance.energy is None:
        return baseline
    # Moves follow the guide; only the settled cost says whether they helped.
    return _better(_filled(instance, columns, deadline, moves=False), baseline)


def _filled(instance: Instance, columns: Columns, deadline: Deadline, *, moves: bool) -> Whole:
    state = empty_occupancy(guided(instance), columns)
    is_complete = fill(state, deadline)
    if moves:
        improve(state, deadline)
    is_proven = columns.count == 0
    return _settled(Whole(state, state.objective(), is_proven, is_complete, "greedy"), deadline)


def _settled(whole: Whole, deadline: Deadline) -> Whole:
    """The plan with its true cost; where energy adds to it, nothing is proven by the search.

    Nor is it where a gang found no node: the search knows nothing of nodes.
    """
    seat(whole.state, lambda: fill(whole.state, deadline))
    if whole.state.barred:
        whole = replace(whole, objective=whole.state.objective(), is_proven=False)
    settled = settle(whole.state, deadline)
    if settled.schedule is None:
        return whole
    return replace(whole, objective=settled.objective, is_proven=False, schedule=settled.schedule)


def _solved(instance: Instance, columns: Columns, baseline: Whole, run: _Run) -> _Found:
    """Relax, bound, round, search; return the best of all plans with its verdict."""
    if not columns.count and instance.energy is None:
        none = _Relaxed(baseline.objective, "nothing to choose", "none needed", 0.0)
        return _Found(baseline, _verdict(baseline, none, run))
    formulation = formulate(instance, columns)
    built_s = run.deadline.elapsed_s()
    model = formulation.model
    time_s = run.deadline.left_s() * _RELAXATION_SHARE
    answer = run.solve(model.relaxed(), Limits(time_s=time_s, gap=instance.problem.policy.mip_gap))
    relaxed = _relaxed(model, answer, built_s)
    best = baseline
    if columns.count and answer.has_point and not _is_close(instance, best, relaxed.bound):
        formulation = guided_by(formulation, answer)
        rounded = round_down_and_fill(formulation, answer, run.deadline)
        best = _better(best, _settled(rounded, run.deadline))
        if not _is_close(instance, best, relaxed.bound):
            tools = Tools(run.solve, relaxed.bound, run.deadline, run.crew)
            found = search(formulation, answer, best, tools)
            best = _better(best, None if found is None else _settled(found, run.deadline))
            best = _around(formulation, answer, best, (tools, run))
    held = _held_to(relaxed, best, model)
    verdict = _verdict(best, held, run)
    if answer.has_point and held is relaxed and relaxed.bound_by != _NO_PRICES:
        verdict = replace(verdict, prices=board_of(formulation, answer))
    return _Found(best, verdict)


def _around(
    formulation: Formulation, relaxed: Solution, best: Whole, by: tuple[Tools, _Run]
) -> Whole:
    """The plan with some sites planned anew, if it is cheaper and our check finds no fault."""
    tools, run = by
    instance = formulation.instance
    if not instance.problem.policy.search_rounds or _is_close(instance, best, tools.bound):
        return best
    found = search_around(formulation, relaxed, best, tools)
    better = _better(best, None if found is None else _settled(found, run.deadline))
    if better is best:
        return best
    faults = violations(instance.problem, _assembled(better, _unproven()))
    if not faults:
        return better
    run.solve.refused.append(f"{len(faults)} faults in the plan with neighbourhoods: {faults[0]}")
    return best


def _unproven() -> Verdict:
    """What is said of a plan that is only made to be checked."""
    return Verdict(
        planner=PlannerKind.FEASIBLE,
        solver="",
        build_s=0.0,
        solve_s=0.0,
        evidence=Evidence(step=PlanStep.SEARCHED),
    )


def _relaxed(model: Model, answer: Solution, built_s: float) -> "_Relaxed":
    """What the relaxation teaches: our bound, from the solver's prices where they are any good.

    Without duals (a time limit, a failure) the bound of no prices at all is the better one.
    """
    bound, bound_by = lagrangian_bound(model, np.empty(0)), _NO_PRICES
    priced = lagrangian_bound(model, answer.duals)
    if np.isfinite(priced) and priced > bound:
        bound, bound_by = priced, f"prices of {answer.solver}"
    binding = binding_families(model, answer.values, answer.duals)
    return _Relaxed(bound, bound_by, answer.solver, built_s, binding, answer.notes)


def _held_to(relaxed: "_Relaxed", best: Whole, model: Model) -> "_Relaxed":
    """The same without its bound where a plan costs less: such a bound cannot be true."""
    if relaxed.bound <= best.objective + _BOUND_SLACK * max(1.0, abs(best.objective)):
        return relaxed
    bound = lagrangian_bound(model, np.empty(0))
    return replace(relaxed, bound=bound, bound_by=_NO_PRICES, binding=())


@dataclass(frozen=True, slots=True)
class _Relaxed:
    """A bound, who gave it, and which limits hold the relaxation back."""

    bound: float
    bound_by: str
    solver: str
    built_s: float
    binding: tuple[Binding, ...] = ()
    notes: tuple[str, ...] = ()


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


def _verdict(best: Whole, relaxed: _Relaxed, run: _Run) -> Verdict:
    by_bound = _is_close(best.state.instance, replace(best, is_proven=False), relaxed.bound)
    proof = Proof.BOUND if by_bound else Proof.SEARCH if best.is_proven else Proof.NONE
    if proof is not Proof.NONE:
        kind = PlannerKind.OPTIMAL
    elif best.how == "greedy":
        kind = PlannerKind.GREEDY
    else:
        kind = PlannerKind.FEASIBLE
    step = PlanStep(best.how) if best.state.columns.count else PlanStep.NOTHING
    return Verdict(
        planner=kind,
        solver=relaxed.solver,
        build_s=relaxed.built_s,
        solve_s=run.deadline.elapsed_s() - relaxed.built_s,
        evidence=Evidence(
            step=step,
            proof=proof,
            bound_by=relaxed.bound_by,
            violation=run.solve.violation,
            binding=relaxed.binding,
            refused=tuple(run.solve.refused),
            solver_s=run.solve.solver_s,
        ),
        bound=relaxed.bound,
        note="; ".join(dict.fromkeys([*_notes(best, kind), *relaxed.notes, *run.crew.notes])),
        is_complete=best.is_complete,
    )


def _notes(best: Whole, kind: PlannerKind) -> list[str]:
    notes = []
    if best.how == "greedy" and kind is not PlannerKind.GREEDY:
        notes.append("the greedy plan is optimal")
    elif best.how == "greedy":
        notes.append("no better plan than the greedy one was found")
    if not best.is_complete:
        notes.append("the time limit ended before every job was tried")
    return notes


def _assembled(whole: Whole, verdict: Verdict) -> Plan:
    return assemble(whole.state, verdict, Settled(whole.objective, whole.schedule))
