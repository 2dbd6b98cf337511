"""Rules of others keep our limits and never beat the bound; tasks on sites cost what they must."""

from itertools import product

import pytest

from benchmarks.chains import Tasks, by_arrays, random_tasks
from benchmarks.instances import Size, make_problem
from benchmarks.peers import RULES, best_fit, cheapest, easy_backfill, first_come
from optimizer.occupancy import Occupancy
from optimizer.planner import plan
from optimizer.problem import Problem


def _problem(seed: int = 3) -> Problem:
    return make_problem(Size(jobs=40, classes=12, sites=2, slots=8, load=1.5), seed)


def _starts(state: Occupancy) -> list[int]:
    return [int(state.columns.slot[column]) for column in state.payments]


@pytest.mark.parametrize("name", RULES)
def test_a_rule_keeps_the_limits_and_does_not_beat_the_bound(name: str) -> None:
    problem = _problem()
    state = RULES[name](problem)
    assert (state.used <= state.instance.units_free).all()
    assert (state.left >= 0).all()
    bound = plan(problem).bound
    assert bound is not None
    assert state.objective() >= bound


def test_rules_differ_as_they_should() -> None:
    problem = _problem()
    assert cheapest(problem).objective() < first_come(problem).objective()
    served = {rule: int(rule(problem).left.sum()) for rule in (first_come, best_fit, easy_backfill)}
    assert served[easy_backfill] <= served[first_come]
    assert served[best_fit] <= served[first_come]


def test_jobs_of_one_class_come_in_order_under_first_come() -> None:
    state = first_come(_problem())
    assert _starts(state) == sorted(_starts(state))


def _by_hand(tasks: Tasks) -> float:
    sites = range(tasks.price.shape[1])
    costs = (
        sum(tasks.price[v, site] for v, site in enumerate(chosen))
        + sum(
            edge.gigabytes * tasks.egress[chosen[edge.before], chosen[edge.after]]
            for edge in tasks.edges
        )
        for chosen in product(sites, repeat=len(tasks.price))
    )
    return float(min(costs))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("is_chain", [True, False])
def test_tasks_cost_what_trying_all_sites_finds(seed: int, is_chain: bool) -> None:
    tasks = random_tasks(6, 3, is_chain=is_chain, seed=seed)
    assert tasks.is_chain == is_chain
    assert by_arrays(tasks) == pytest.approx(_by_hand(tasks), rel=1e-9)
