"""Solvers by name: one optimum of all that are installed, clear words about the others."""

import pytest
from problem_builders import a_random_problem, timeless

from optimizer.columns import columns_of
from optimizer.direct_route import solve_direct
from optimizer.formulation import formulate
from optimizer.instance import instance_of
from optimizer.model import Model
from optimizer.planner import plan
from optimizer.routes import installed, names, route_named
from optimizer.solution import Limits, SolveStatus
from suanwang.errors import BadInput, Unavailable

_EXACT = Limits(time_s=60.0, gap=1e-9)
_PRESENT = sorted(name for name, is_there in installed().items() if is_there)
_ABSENT = sorted(name for name, is_there in installed().items() if not is_there)
_ALWAYS = {"auto", "highs-simplex", "highs-ipm", "highs-pdlp", "pulp:CBC", "pulp:HIGHS"}
"""What the locked packages bring along."""


def _model(seed: int, jobs: int) -> Model:
    instance = instance_of(a_random_problem(seed, jobs=jobs, classes=jobs // 2))
    return formulate(instance, columns_of(instance)).model


def test_the_locked_packages_bring_their_solvers() -> None:
    assert set(_PRESENT) >= _ALWAYS


@pytest.mark.parametrize("name", _PRESENT)
def test_every_solver_finds_the_optimum_of_the_relaxation(name: str) -> None:
    for seed in range(3):
        model = _model(seed, jobs=40).relaxed()
        found = route_named(name)(model, _EXACT)
        assert found.status is SolveStatus.OPTIMAL
        exact = solve_direct(model, _EXACT).objective
        assert found.objective == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("name", _PRESENT)
def test_every_solver_finds_the_optimum_in_whole_jobs(name: str) -> None:
    for seed in range(3):
        model = _model(seed, jobs=8)
        found = route_named(name)(model, _EXACT)
        assert found.status is SolveStatus.OPTIMAL
        exact = solve_direct(model, _EXACT).objective
        assert found.objective == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("name", _PRESENT)
def test_a_plan_by_any_solver_has_the_bound_of_ours(name: str) -> None:
    problem = a_random_problem(5, jobs=40, classes=20)
    made = plan(problem, solve=route_named(name))
    assert made.bound == pytest.approx(plan(problem).bound, rel=1e-5)
    assert made.certificate.faults == 0


@pytest.mark.parametrize("name", _ABSENT)
def test_a_solver_that_is_missing_says_what_to_install(name: str) -> None:
    with pytest.raises(Unavailable, match=f"the solver {name} is not installed here") as failure:
        route_named(name)
    assert "there are: auto" in str(failure.value.next_step)


def test_letters_may_be_of_any_case_and_unknown_names_are_refused() -> None:
    problem = a_random_problem(5)
    assert timeless(plan(problem, solve=route_named("AUTO"))) == timeless(plan(problem))
    with pytest.raises(BadInput, match="there is no solver fast; there are auto, highs-simplex"):
        route_named("fast")
    assert len(set(names())) == len(names())
