"""One model, three routes, one optimum; and no route is believed without a check of its point."""

from pathlib import Path

import numpy as np
import pulp
import pytest
from problem_builders import a_job, a_problem, a_random_problem

from optimizer.columns import columns_of
from optimizer.direct_route import solve_direct
from optimizer.formulation import Formulation, formulate
from optimizer.highs_route import LiveModel
from optimizer.instance import instance_of
from optimizer.pulp_route import by_cbc, by_highs, find_cbc, pulp_problem
from optimizer.solution import Answer, Limits, SolveStatus, checked

_EXACT = Limits(time_s=60.0, gap=1e-9)


def _formulation(seed: int, **size: int) -> Formulation:
    instance = instance_of(a_random_problem(seed, **size))
    return formulate(instance, columns_of(instance))


@pytest.mark.parametrize("seed", range(6))
def test_all_routes_find_one_optimum_of_the_relaxation(seed: int) -> None:
    model = _formulation(seed, jobs=40, classes=20).model.relaxed()
    direct = solve_direct(model, _EXACT)
    through_highs = by_highs()(model, _EXACT)
    through_cbc = by_cbc()(model, _EXACT)
    assert direct.status is through_highs.status is through_cbc.status is SolveStatus.OPTIMAL
    assert through_highs.objective == pytest.approx(direct.objective, rel=1e-7)
    assert through_cbc.objective == pytest.approx(direct.objective, rel=1e-7)


@pytest.mark.parametrize("seed", range(4))
def test_all_routes_find_one_optimum_in_whole_jobs(seed: int) -> None:
    model = _formulation(seed, jobs=8, classes=6).model
    direct = solve_direct(model, _EXACT)
    through_highs = by_highs()(model, _EXACT)
    through_cbc = by_cbc()(model, _EXACT)
    assert direct.status is through_highs.status is through_cbc.status is SolveStatus.OPTIMAL
    assert through_highs.objective == pytest.approx(direct.objective, rel=1e-6)
    assert through_cbc.objective == pytest.approx(direct.objective, rel=1e-6)


def test_a_time_limit_is_never_called_optimal() -> None:
    model = _formulation(3, jobs=400, classes=120).model
    for route in (solve_direct, by_highs()):
        hurried = route(model, Limits(time_s=0.0, gap=0.0))
        assert hurried.status in (SolveStatus.NO_POINT, SolveStatus.FEASIBLE)


def test_an_answer_that_breaks_a_row_is_refused_whatever_the_solver_says() -> None:
    model = _formulation(1).model
    good = solve_direct(model, _EXACT)
    wrong = good.values.copy()
    assert model.layout is not None
    wrong[model.layout.left.first] += 1.0
    answer = Answer("liar", "Optimal", True, False, wrong, good.duals, 0.0, 0.0)
    assert checked(model, answer).status is SolveStatus.NO_POINT


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([], id="nothing"),
        pytest.param([float("nan")], id="no number"),
    ],
)
def test_an_answer_of_the_wrong_shape_is_refused(values: list[float]) -> None:
    model = _formulation(1).model
    answer = Answer("liar", "Optimal", True, False, np.array(values), np.empty(0), 0.0, 0.0)
    assert checked(model, answer).status is SolveStatus.NO_POINT


def test_an_infeasible_model_says_so_on_every_route() -> None:
    model = _formulation(1).model
    model.row_lower[0] = model.row_upper[0] = 1e6
    for route in (solve_direct, by_highs(), by_cbc()):
        assert route(model, _EXACT).status is SolveStatus.INFEASIBLE


def test_a_changed_bound_is_solved_from_the_last_basis() -> None:
    model = _formulation(2, jobs=40, classes=20).model.relaxed()
    live = LiveModel(model)
    first = live.solve(_EXACT)
    used = np.flatnonzero(first.values[: model.variables[0].count] > 0)[:1]
    live.bound(used, np.zeros(1), np.zeros(1))
    drop = np.zeros(model.columns, dtype=np.bool_)
    drop[used] = True
    cold = solve_direct(model.fixed_at_zero(drop), _EXACT)
    assert live.solve(_EXACT).objective == pytest.approx(cold.objective, rel=1e-7)


def test_the_model_can_be_written_for_other_solvers(tmp_path: Path) -> None:
    instance = instance_of(a_problem(jobs=[a_job()]))
    problem = pulp_problem(formulate(instance, columns_of(instance)).model)
    target = tmp_path / "placement.mps"
    problem.writeMPS(str(target))
    assert "start_0" in target.read_text()


def test_a_cbc_is_found_and_runs() -> None:
    assert pulp.COIN_CMD(path=find_cbc()).available()
