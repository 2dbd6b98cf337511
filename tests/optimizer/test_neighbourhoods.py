"""Neighbourhoods: disjoint, true to the plan that they start from, and never for the worse."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.instances import Size, make_problem
from optimizer import neighbourhoods
from optimizer.arrays import Floats
from optimizer.certificate import reduced_costs, violation
from optimizer.check import violations
from optimizer.columns import columns_of
from optimizer.crew import IN_PROCESS
from optimizer.deadline import Deadline
from optimizer.direct_route import solve_direct
from optimizer.formulation import formulate
from optimizer.greedy import fill
from optimizer.highs_route import LiveModel
from optimizer.instance import instance_of
from optimizer.neighbourhoods import Found, Ground, Part, joined, search_side_by_side
from optimizer.occupancy import empty_occupancy
from optimizer.planner import plan
from optimizer.problem import Problem
from optimizer.solution import Limits
from suanwang.model.plan import Plan, PlanStep

LARGE = Size(sites=4, pools_per_site=2, slots=12, classes=40, jobs=150, units_min=16)


def a_problem_too_large_for_one_search(seed: int, rounds: int) -> Problem:
    problem = make_problem(LARGE, seed)
    policy = replace(
        problem.policy,
        mip_columns_max=60,
        mip_time_s=30.0,
        time_limit_s=300.0,
        search_rounds=rounds,
    )
    return replace(problem, policy=policy)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neighbourhoods that are searched to the end, however busy the machine."""
    monkeypatch.setattr(neighbourhoods, "STARTS_MAX", 80)


def a_ground(seed: int) -> Ground:
    """The greedy plan, which leaves much to be found."""
    instance = instance_of(make_problem(LARGE, seed))
    columns = columns_of(instance)
    model = formulate(instance, columns).model
    assert model.layout is not None
    state = empty_occupancy(instance, columns)
    fill(state, Deadline(60))
    counts = np.zeros(columns.count)
    for column, payments in state.payments.items():
        counts[column] = len(payments)
    duals = solve_direct(model.relaxed(), Limits(time_s=60)).duals
    return Ground(
        model=model,
        layout=model.layout,
        counts=counts,
        site=instance.site_of[columns.pool],
        reduced=reduced_costs(model, duals)[model.layout.start.where],
        may_move=np.ones(columns.count, dtype=np.bool_),
    )


@pytest.mark.parametrize("turn", range(6))
def test_neighbourhoods_of_a_round_have_no_site_and_no_job_in_common(turn: int) -> None:
    ground = a_ground(1)
    parts = neighbourhoods.neighbourhoods(ground, turn)
    assert len(parts) >= 2
    sites = [set(ground.site[part.starts].tolist()) for part in parts]
    assert sum(map(len, sites)) == len(set().union(*sites))
    most = most_jobs(ground, parts)
    counts = ground.model.row_upper[ground.layout.place.where]
    assert (most <= counts).all()
    assert most.sum() > ground.counts.sum()


def most_jobs(ground: Ground, parts: list[Part]) -> Floats:
    """The jobs of each class that start if every part places all that it may."""
    klass = ground.layout.klass
    moved = np.zeros(len(ground.counts), dtype=np.bool_)
    most = np.zeros(ground.layout.place.count)
    for part in parts:
        moved[part.starts] = True
        own = np.unique(klass[part.starts])
        most[own] += part.model.row_upper[ground.layout.place.where][own]
    stays = np.bincount(klass, ground.counts * ~moved, ground.layout.place.count)
    return np.asarray(most + stays)


@pytest.mark.parametrize("turn", range(3))
def test_the_plan_as_it_is_is_a_point_of_every_part(turn: int) -> None:
    ground = a_ground(2)
    for part in neighbourhoods.neighbourhoods(ground, turn):
        live = LiveModel(part.model.relaxed())
        live.bound(np.arange(len(part.starts)), part.begin, part.begin)
        held = live.solve(Limits(time_s=60))
        assert held.has_point
        assert violation(part.model, held.values, integral=True) < 1e-5
        free = LiveModel(part.model.relaxed()).solve(Limits(time_s=60))
        assert free.objective <= held.objective + 1e-6 * abs(held.objective)


def test_starts_that_may_not_move_are_in_no_neighbourhood() -> None:
    ground = a_ground(1)
    tied = ground.layout.klass < 20
    parts = neighbourhoods.neighbourhoods(ground._replace(may_move=~tied), 0)
    assert parts
    assert not any(tied[part.starts].any() for part in parts)


def test_no_neighbourhood_has_more_starts_than_a_search_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(neighbourhoods, "STARTS_MAX", 50)
    ground = a_ground(1)
    for part in neighbourhoods.neighbourhoods(ground, 1):
        assert len(part.starts) <= max(50, int((part.begin > 0).sum()))
        assert ground.counts[part.starts].sum() == part.begin.sum()


def test_a_round_finds_what_greedy_missed() -> None:
    ground = a_ground(1)
    parts = neighbourhoods.neighbourhoods(ground, 1)
    found = search_side_by_side(parts, Limits(time_s=60.0), IN_PROCESS)
    assert found
    for starts, counts in found:
        assert (counts >= 0).all()
        assert len(starts) == len(counts)


_PLAN = np.array([1.0, 1.0, 1.0])
_FIRST: Found = (np.array([0]), np.array([0.0]))
_SECOND: Found = (np.array([1, 2]), np.array([0.0, 0.0]))


@pytest.mark.parametrize(
    ("cost_of", "expected"),
    [
        pytest.param(lambda plan: float(plan.sum()), [0, 0, 0], id="together"),
        pytest.param(lambda plan: 3 - plan[0] + 4 * (plan.sum() == 0), [1, 1, 1], id="neither"),
        pytest.param(lambda plan: plan[0] + 5 * (1 - plan[1]), [0, 1, 1], id="only the first"),
        pytest.param(lambda plan: plan[1] + 5 * (1 - plan[0]), [1, 0, 0], id="only the second"),
    ],
)
def test_what_helps_is_joined(cost_of: Callable[[Floats], float], expected: list[int]) -> None:
    better = joined(_PLAN, [_FIRST, _SECOND], cost_of, cost_of(_PLAN))
    assert (_PLAN if better is None else better).tolist() == expected


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_rounds_make_no_plan_dearer_or_unsound(seed: int) -> None:
    without = plan(a_problem_too_large_for_one_search(seed, 0))
    problem = a_problem_too_large_for_one_search(seed, 3)
    with_rounds = plan(problem)
    assert with_rounds.objective <= without.objective + 0.01
    assert with_rounds.bound is not None
    assert with_rounds.objective >= with_rounds.bound - 0.01
    assert violations(problem, with_rounds) == ()


def test_rounds_gain_something_somewhere() -> None:
    gained = 0.0
    for seed in (1, 2, 3):
        without, with_rounds = (
            plan(a_problem_too_large_for_one_search(seed, rounds)) for rounds in (0, 3)
        )
        gained += without.objective - with_rounds.objective
    assert gained > 0


def test_a_plan_with_neighbourhoods_that_our_check_refuses_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = a_problem_too_large_for_one_search(2, 3)
    without = plan(replace(problem, policy=replace(problem.policy, search_rounds=0)))

    def wary(checked: Problem, made: Plan) -> tuple[str, ...]:
        is_around = made.certificate.step is PlanStep.SEARCHED
        return ("a fault",) if is_around else violations(checked, made)

    monkeypatch.setattr("optimizer.planner.violations", wary)
    made = plan(problem)
    assert made.objective == pytest.approx(without.objective)
    assert any("neighbourhoods: a fault" in why for why in made.certificate.refused)
