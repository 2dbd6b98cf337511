"""Jobs that come in between two solves: what starts at the prices of the last one, what waits."""

from dataclasses import replace
from datetime import timedelta

import pytest
from problem_builders import a_job, a_pool, a_problem, a_site

from optimizer.arrivals import Meant, place_arrivals
from optimizer.planner import plan
from optimizer.problem import Problem, ReservationSpec
from suanwang.model.plan import Placement
from suanwang.model.prices import PriceBoard


def board_of(problem: Problem) -> PriceBoard:
    """The prices of the plan of a problem."""
    board = plan(problem).prices
    assert board is not None
    return board


def meant(problem: Problem, placement: Placement, run_s: float = 3_600.0) -> Meant:
    """What a plan means for a job that waits."""
    from_s = (placement.start - problem.origin).total_seconds()
    return Meant(placement, "acme", from_s, from_s + run_s)


def test_a_newcomer_with_room_starts_where_it_is_cheapest() -> None:
    sites = [a_site("dear"), a_site("cheap", price_uyuan_per_kwh=(100_000,) * 4)]
    problem = a_problem([a_job("first")], sites=sites)
    made = place_arrivals(replace(problem, jobs=(a_job("new"),)), board_of(problem))
    assert made is not None
    (start,) = made.starts
    assert (start.job_id, start.pool_id, start.start) == ("new", "cheap-gpu", problem.origin)
    assert made.later == ()
    assert made.rejections == ()
    assert "between two solves" in made.note


def test_a_newcomer_for_which_later_is_cheaper_waits_for_the_next_solve() -> None:
    site = a_site(price_uyuan_per_kwh=(900_000, 100_000, 100_000, 100_000))
    problem = a_problem([a_job("first")], sites=[site])
    assert place_arrivals(replace(problem, jobs=(a_job("new"),)), board_of(problem)) is None


def test_a_newcomer_does_not_take_units_that_are_worth_more_to_those_who_wait() -> None:
    # Nine that have waited for hours want eight units: a unit is worth what the ninth loses.
    queue = [a_job(f"j{at}", run_s=4 * 3_600.0, waited_s=7_200.0) for at in range(9)]
    problem = a_problem(queue)
    newcomer = a_job("new", run_s=4 * 3_600.0)
    assert place_arrivals(replace(problem, jobs=(newcomer,)), board_of(problem)) is None


def test_what_is_meant_for_those_who_wait_is_not_given_away() -> None:
    # Seven of eight units are meant for a job that starts in an hour and needs them till the end.
    pools = [a_pool(units_free=(8, 8, 8, 8))]
    problem = a_problem([a_job("waits", units=7, earliest_s=3_600.0)], pools=pools)
    made = plan(problem)
    (later,) = made.later
    assert later.start == problem.origin + timedelta(hours=1)
    assert made.prices is not None
    two_hours = replace(problem, jobs=(a_job("new", units=2, run_s=7_200.0),))
    assert place_arrivals(two_hours, made.prices) is not None
    assert place_arrivals(two_hours, made.prices, [meant(problem, later)]) is None
    one_hour = replace(problem, jobs=(a_job("new", units=2),))
    assert place_arrivals(one_hour, made.prices, [meant(problem, later)]) is not None


def test_money_that_is_meant_for_those_who_wait_is_not_spent() -> None:
    problem = a_problem([a_job("waits", earliest_s=3_600.0)], cash_fen={"acme": 2_000})
    made = plan(problem)
    assert made.prices is not None
    poor = replace(problem, jobs=(a_job("new"),), cash_fen={"acme": 1_900})
    assert place_arrivals(poor, made.prices) is not None
    assert place_arrivals(poor, made.prices, [meant(problem, made.later[0])]) is None


@pytest.mark.parametrize("at_once", [3, 20])
def test_newcomers_share_the_room_and_never_exceed_it(at_once: int) -> None:
    problem = a_problem([a_job("first")])
    many = tuple(a_job(f"n{at}") for at in range(at_once))
    made = place_arrivals(replace(problem, jobs=many), board_of(problem))
    assert made is not None
    assert len(made.starts) == min(at_once, 8)


def test_a_network_with_reservations_is_left_to_the_solve() -> None:
    problem = a_problem([a_job("first")])
    board = board_of(problem)
    kept = ReservationSpec(
        id="r", pool_id="near-gpu", units=2, from_s=0.0, until_s=7_200.0, tenants=frozenset({"x"})
    )
    arrivals = replace(problem, jobs=(a_job("new"),), reservations=(kept,))
    assert place_arrivals(arrivals, board) is None


def test_prices_of_another_network_are_not_used() -> None:
    board = board_of(a_problem([a_job("first")]))
    other = a_problem([a_job("new")], pools=[a_pool(id="other")])
    assert place_arrivals(other, board) is None
