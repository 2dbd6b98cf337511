"""Solvers that lie, fail and hang: what leaves the planner is sound, and its bound is true.

Each fault is a route that asks the true solver and then spoils the answer.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from threading import Event
from threading import enumerate as enumerate_threads
from typing import Any

import numpy as np
import pytest
from problem_builders import a_random_problem, timeless

from optimizer.arrays import Floats
from optimizer.certificate import lagrangian_bound, violation
from optimizer.check import violations
from optimizer.columns import columns_of
from optimizer.direct_route import solve_direct
from optimizer.formulation import formulate
from optimizer.greedy import plan_greedy
from optimizer.guard import HANGING_MAX, Guarded
from optimizer.instance import instance_of
from optimizer.model import Model
from optimizer.planner import plan
from optimizer.problem import Problem
from optimizer.solution import Limits, Solution, SolveModel, SolveStatus
from suanwang.model.plan import PlannerKind, PlanStep, Proof

Spoil = Callable[[Model, Solution, np.random.Generator], Solution]
_EXACT = Limits(time_s=60.0, gap=1e-9)
_SEEDS = range(6)
_SIZES: dict[str, dict[str, Any]] = {
    "few": {"jobs": 8, "classes": 5, "load": 3.0},
    "many": {"jobs": 60, "classes": 30},
}


def _with_values(change: Callable[[Model, Floats, np.random.Generator], Floats]) -> Spoil:
    def spoil(model: Model, true: Solution, noise: np.random.Generator) -> Solution:
        values = change(model, true.values.copy(), noise)
        return replace(true, status=SolveStatus.OPTIMAL, values=values)

    return spoil


def _with_duals(change: Callable[[Floats, np.random.Generator], Floats]) -> Spoil:
    def spoil(model: Model, true: Solution, noise: np.random.Generator) -> Solution:
        return replace(true, duals=change(true.duals.copy(), noise))

    return spoil


def _one_more(model: Model, values: Floats, noise: np.random.Generator) -> Floats:
    starts = model.variables[0]
    values[starts.first + noise.integers(starts.count)] += 1.0
    return values


def _more_usage(model: Model, values: Floats, noise: np.random.Generator) -> Floats:
    (used,) = (block for block in model.variables if block.name == "used")
    values[used.where] = model.upper[used.where] * 1.0001 + 0.01
    return values


def _nan_somewhere(values: Floats, noise: np.random.Generator) -> Floats:
    if len(values):
        values[noise.integers(len(values))] = np.nan
    return values


_SPOILS: dict[str, Spoil] = {
    "calls any point optimal": lambda _, true, noise: replace(true, status=SolveStatus.OPTIMAL),
    "calls the optimum infeasible": lambda _, true, noise: replace(
        true, status=SolveStatus.INFEASIBLE
    ),
    "gives the upper bounds": _with_values(lambda model, _v, _n: model.upper.copy()),
    "gives the lower bounds": _with_values(lambda model, _v, _n: model.lower.copy()),
    "starts one job too many": _with_values(_one_more),
    "uses a little more than there is": _with_values(_more_usage),
    "gives negative numbers": _with_values(lambda _m, values, _n: -values - 1.0),
    "gives no number in one place": _with_values(
        lambda _m, values, noise: _nan_somewhere(values, noise)
    ),
    "gives infinity": _with_values(lambda _m, values, _n: values + np.inf),
    "mixes its values up": _with_values(lambda _m, values, noise: noise.permutation(values)),
    "gives half of its values": _with_values(lambda _m, values, _n: values[: len(values) // 2]),
    "gives values twice": _with_values(lambda _m, values, _n: np.append(values, values)),
    "gives a table": _with_values(lambda _m, values, _n: values.reshape(1, -1)),
    "gives fractions as whole jobs": _with_values(lambda _m, values, _n: values * 0.999),
    "names a wrong objective": lambda _, true, noise: replace(true, objective=-1e12),
    "names no objective": lambda _, true, noise: replace(true, objective=float("nan")),
    "scales its prices up": _with_duals(lambda duals, _n: duals * 1e9),
    "scales its prices down": _with_duals(lambda duals, _n: duals * 1e-9),
    "turns its prices round": _with_duals(lambda duals, _n: -duals),
    "gives noise as prices": _with_duals(lambda duals, noise: noise.normal(0, 1e6, len(duals))),
    "gives absurd prices": _with_duals(lambda duals, noise: noise.normal(0, 1e300, len(duals))),
    "gives no number as a price": _with_duals(_nan_somewhere),
    "gives half of its prices": _with_duals(lambda duals, _n: duals[: len(duals) // 2]),
    "gives a point and no prices": _with_duals(lambda duals, _n: duals[:0]),
    "gives a wrong basis": lambda _, true, noise: replace(true, basis=object()),
    "says the wrong places": lambda model, true, noise: replace(
        true, inside=np.array([model.columns + 7, -3])
    ),
    "says half of the places": lambda model, true, noise: replace(
        true, inside=np.arange(model.columns // 2)
    ),
    "ran out of time with garbage": lambda model, true, noise: replace(
        true,
        status=SolveStatus.FEASIBLE,
        values=noise.normal(size=model.columns),
        duals=true.duals[:0],
    ),
}


def _route(spoil: Spoil, seed: int) -> SolveModel:
    def solve(model: Model, limits: Limits) -> Solution:
        return spoil(model, solve_direct(model, limits), np.random.default_rng(seed))

    return solve


def _problem(size: str, seed: int) -> Problem:
    problem = a_random_problem(seed, **_SIZES[size])
    return replace(problem, policy=replace(problem.policy, mip_time_s=0.2))


@cache
def _optimum(size: str, seed: int) -> float:
    """The least that any plan can cost, by the true solver: the model is a relaxation of it."""
    instance = instance_of(_problem(size, seed))
    model = formulate(instance, columns_of(instance)).model
    exact = solve_direct(model if size == "few" else model.relaxed(), _EXACT)
    assert exact.status is SolveStatus.OPTIMAL
    return exact.objective


@pytest.mark.parametrize("size", _SIZES)
@pytest.mark.parametrize("fault", _SPOILS)
def test_a_solver_that_lies_gets_nothing_unsound_out(fault: str, size: str) -> None:
    for seed in _SEEDS:
        problem = _problem(size, seed)
        made = plan(problem, solve=_route(_SPOILS[fault], seed))
        assert violations(problem, made) == ()
        assert made.objective <= plan_greedy(problem).objective + 1e-6
        assert made.bound is not None
        optimum = _optimum(size, seed)
        assert made.bound <= optimum + 1e-6 * abs(optimum)
        if made.certificate.proof is Proof.BOUND:
            assert made.objective <= optimum * (1 + problem.policy.mip_gap) + 0.01


def _raises(model: Model, limits: Limits) -> Solution:
    raise MemoryError("no room for the matrix")


def _answers_nonsense(model: Model, limits: Limits) -> Solution:
    return "optimal"  # type: ignore[return-value]  # what the guard is for


def _writes_into_the_model(model: Model, limits: Limits) -> Solution:
    model.upper[:] = 1e9
    return solve_direct(model, limits)


@pytest.mark.parametrize(
    ("route", "words"),
    [
        pytest.param(_raises, "failed: MemoryError: no room for the matrix", id="raises"),
        pytest.param(_answers_nonsense, "answered with a str", id="nonsense"),
        pytest.param(_writes_into_the_model, "read-only", id="writes into the model"),
    ],
)
def test_a_solver_that_fails_leaves_the_greedy_plan_and_is_told(
    route: SolveModel, words: str
) -> None:
    problem = _problem("many", 3)
    made = plan(problem, solve=route)
    assert violations(problem, made) == ()
    assert made.planner is PlannerKind.GREEDY
    assert made.certificate.step is PlanStep.GREEDY
    assert made.certificate.bound_by == "no prices"
    assert words in made.certificate.refused[0]


@pytest.fixture
def released() -> Iterator[Event]:
    """Set at the end of the test, so that no call hangs longer than it."""
    event = Event()
    yield event
    _release(event)


def _release(event: Event) -> None:
    event.set()
    for thread in enumerate_threads():
        if thread.name == "solver":
            thread.join()


def test_a_solver_that_hangs_is_left_alone_and_the_answer_comes(released: Event) -> None:
    def hangs(model: Model, limits: Limits) -> Solution:
        released.wait()
        return solve_direct(model, limits)

    problem = _problem("few", 1)
    hurried = replace(problem, policy=replace(problem.policy, time_limit_s=0.1))
    for _ in range(HANGING_MAX):
        made = plan(hurried, solve=Guarded(hangs, grace_s=0.05))
        assert violations(hurried, made) == ()
        assert "still silent after 0.1 s" in made.certificate.refused[0]
    made = plan(problem)
    assert "2 earlier calls of a solver still hang" in made.certificate.refused[0]
    assert violations(problem, made) == ()


def test_once_hanging_calls_have_ended_solvers_are_asked_again() -> None:
    event = Event()

    def hangs(model: Model, limits: Limits) -> Solution:
        event.wait()
        return solve_direct(model, limits)

    problem = _problem("few", 1)
    hurried = replace(problem, policy=replace(problem.policy, time_limit_s=0.0))
    plan(hurried, solve=Guarded(hangs, grace_s=0.01))
    _release(event)
    assert plan(problem).certificate.refused == ()


@pytest.mark.parametrize("seed", range(4))
def test_the_bound_of_a_certificate_can_be_computed_again_by_anybody(seed: int) -> None:
    problem = a_random_problem(seed, jobs=40, classes=20)
    instance = instance_of(problem)
    model = formulate(instance, columns_of(instance)).model
    answer = solve_direct(model.relaxed(), Limits(gap=problem.policy.mip_gap))
    made = plan(problem)
    assert made.bound == min(lagrangian_bound(model, answer.duals), made.objective)
    assert made.certificate.violation == violation(model, answer.values, integral=False)
    assert made.certificate.bound_by == f"prices of {answer.solver}"
    assert made.certificate.gap == pytest.approx(
        (made.objective - made.bound) / abs(made.objective), abs=1e-12
    )


@pytest.mark.parametrize("seed", range(6))
def test_what_a_binding_family_is_worth_bounds_what_more_of_it_gains(seed: int) -> None:
    problem = a_random_problem(seed, jobs=40, classes=20, load=3.0)
    instance = instance_of(problem)
    model = formulate(instance, columns_of(instance)).model.relaxed()
    worth = {one.family: one.worth_yuan for one in plan(problem).certificate.binding}
    assert worth["capacity"] > 0
    share = 0.01
    now = _with_capacity(model, 1.0)
    slack = 1e-6 * now
    assert now - _with_capacity(model, 1 + share) <= share * worth["capacity"] + slack
    assert _with_capacity(model, 1 - share) - now >= share * worth["capacity"] - slack


def _with_capacity(model: Model, scale: float) -> float:
    """What the relaxation costs with so many times the units."""
    (used,) = (block for block in model.variables if block.name == "used")
    upper = model.upper.copy()
    upper[used.where] *= scale
    return solve_direct(replace(model, upper=upper), _EXACT).objective


def test_a_network_with_room_for_all_has_no_binding_capacity() -> None:
    problem = a_random_problem(2, jobs=5, classes=5, load=0.05)
    assert "capacity" not in {one.family for one in plan(problem).certificate.binding}


def test_equal_problems_have_equal_certificates() -> None:
    problem = a_random_problem(4, jobs=30, classes=12)
    assert timeless(plan(problem)) == timeless(plan(problem))
