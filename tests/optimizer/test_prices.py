"""Prices of a plan, quotes at them, and what-ifs: each held against solving everything again."""

from dataclasses import replace
from random import Random

import pytest
from problem_builders import a_job, a_lot, a_pool, a_problem, a_site

from benchmarks.instances import Size, make_job, make_problem
from optimizer.planner import plan
from optimizer.problem import JobSpec, PeakSpec, Problem
from optimizer.quote import Asker, ask, open_desk, settle
from optimizer.whatif import Relaxation
from suanwang.model.plan import QuotedBy
from suanwang.model.prices import PriceBoard

SMALL = Size(sites=3, pools_per_site=2, slots=8, classes=25, jobs=80, units_min=16)


def board_of(problem: Problem) -> PriceBoard:
    """The prices of the plan of a problem."""
    board = plan(problem).prices
    assert board is not None
    return board


def newcomers(problem: Problem, count: int, seed: int) -> list[JobSpec]:
    """Jobs like those of the problem that are not in it."""
    random = Random(seed)
    return [make_job(random, SMALL, problem.slots, f"new-{at}") for at in range(count)]


def whole(problem: Problem, job: JobSpec) -> float:
    """What the job adds to the optimum of the relaxation, both solved from nothing."""
    before = Relaxation(problem).solved.objective
    after = Relaxation(replace(problem, jobs=(*problem.jobs, job))).solved.objective
    return after - before


def test_a_unit_of_an_idle_pool_costs_its_electricity() -> None:
    board = board_of(a_problem([a_job()]))
    (pool,) = board.pools
    # 1 kW at a marginal PUE of 1.5 and 0.60 yuan.
    assert pool.energy == pytest.approx((0.9,) * 4)
    assert pool.price(1) == pytest.approx(0.9)
    assert pool.price_range(1) == pytest.approx((0.9, 0.9))
    assert (board.lots, dict(board.cash)) == ((), {})


def test_a_unit_of_a_full_pool_costs_what_the_displaced_job_loses() -> None:
    # Nine jobs of four hours want eight units: the ninth is left out, at 1,000 yuan a unit-hour.
    jobs = [a_job(f"j{at}", run_s=4 * 3_600.0) for at in range(9)]
    (pool,) = board_of(a_problem(jobs)).pools
    # Four unit-hours of the one left out, less its price of 40 yuan and its electricity.
    lost = sum(pool.scarcity)
    assert lost == pytest.approx(4_000.0 - 40.0 - 4 * 0.9)
    assert pool.units_left == (0, 0, 0, 0)


def test_a_power_limit_that_binds_has_a_price_and_the_pool_has_none() -> None:
    # 1.5 is the PUE, so 6 kW at the meter carry four units of the eight.
    site = a_site(power_w_max=(6_000.0,) * 4)
    jobs = [a_job(f"j{at}", run_s=4 * 3_600.0) for at in range(5)]
    board = board_of(a_problem(jobs, sites=[site]))
    (pool,), (power,) = board.pools, board.sites
    assert sum(power.power) == pytest.approx(4_000.0 - 40.0 - 4 * 0.9)
    assert pool.power == pytest.approx(power.power)
    assert pool.scarcity == pytest.approx((0.0,) * 4, abs=1e-6)


def test_short_money_has_a_price_and_ample_money_has_none() -> None:
    # Each job costs 10 yuan, half of it by voucher; the cash is for one.
    jobs = [a_job(f"j{at}") for at in range(2)]
    rich = board_of(a_problem(jobs, lots=(a_lot(),)))
    poor = board_of(a_problem(jobs, lots=(a_lot(),), cash_fen={"acme": 500}))
    assert dict(rich.cash) == {}
    # Five yuan of cash stand between the second job and its 1,000.
    assert poor.cash["acme"] == pytest.approx((1_000.0 - 10.0 - 0.9) / 5.0, rel=1e-3)
    assert poor.lots == ()


def test_a_short_lot_is_worth_the_cash_that_it_spares() -> None:
    jobs = [a_job(f"j{at}") for at in range(2)]
    problem = a_problem(jobs, lots=(a_lot(available_fen=400),), cash_fen={"acme": 1_000})
    board = board_of(problem)
    (lot,) = board.lots
    assert lot.lot_id == "lot"
    assert lot.worth == pytest.approx(board.cash["acme"])


@pytest.mark.parametrize("seed", range(4))
def test_the_price_of_a_job_is_never_above_its_true_cost(seed: int) -> None:
    problem = make_problem(SMALL, seed=seed)
    ground = Relaxation(problem)
    desk = open_desk(problem, board_of(problem))
    checked = 0
    for job in newcomers(problem, 8, seed):
        found = ask(desk, job)
        if found.best is None:
            continue
        exact = whole(problem, job)
        assert found.best.cost <= exact + 1e-6 * max(1.0, abs(exact))
        if found.is_sure and found.best.cost_most is not None:
            assert exact <= found.best.cost_most + 1e-6 * max(1.0, abs(exact))
        checked += 1
    assert checked >= 4
    assert ground.has_answers


@pytest.mark.parametrize("seed", range(4))
def test_a_what_if_from_the_last_basis_is_what_solving_everything_says(seed: int) -> None:
    problem = make_problem(SMALL, seed=seed)
    ground = Relaxation(problem)
    checked = 0
    for job in newcomers(problem, 8, 100 + seed):
        answer = ground.with_job(job)
        if answer is None:
            continue
        exact = whole(problem, job)
        assert answer.cost == pytest.approx(exact, rel=1e-6, abs=1e-6)
        checked += 1
    assert checked >= 4


@pytest.mark.parametrize("seed", range(4))
def test_a_sure_quote_is_within_five_per_cent_of_the_truth(seed: int) -> None:
    problem = make_problem(replace(SMALL, load=0.4, cash_share=4.0), seed=seed)
    ground = Relaxation(problem)
    desk = open_desk(problem, board_of(problem))
    data = desk.instance.problem
    sure = 0
    for job in newcomers(problem, 10, 200 + seed):
        by_prices = ask(desk, job)
        sure += by_prices.is_sure and by_prices.best is not None
        asker = Asker(lots=data.lots, cash_fen=data.cash_fen, rtt_ms=data.rtt_ms)
        best = settle(by_prices, ground, job, asker).best
        if best is not None:
            assert best.cost == pytest.approx(whole(problem, job), rel=0.05, abs=0.005)
    assert sure


def test_a_run_that_ends_within_its_window_is_quoted_the_demand_that_it_makes() -> None:
    """A unit at the peak costs 15 yuan a window of demand, and a minute of it a fifteenth."""
    peak = PeakSpec(so_far_w=1_000.0, yuan_per_kw=10.0)
    site = a_site(it_base_w=(10_000.0,) * 4, peak=peak)
    problem = a_problem([a_job("waits", run_s=4 * 3_600.0)], sites=[site])
    desk = open_desk(problem, board_of(problem))
    for run_s in (60.0, 900.0, 3_600.0):
        job = a_job("asks", run_s=run_s, deadline_s=3_600.0)
        found = ask(desk, job)
        assert found.best is not None
        assert found.best.cost <= whole(problem, job) + 1e-6
    minute, quarter = (ask(desk, a_job("asks", run_s=run_s)).best for run_s in (60.0, 14_400.0))
    assert minute is not None
    assert quarter is not None
    # The prices spread the one peak over the slots that make it: all four together have 15 yuan.
    assert quarter.cost == pytest.approx(40.0 + 4 * 0.9 + 15.0, rel=1e-3)
    assert minute.cost <= 10.0 / 60 + 0.9 / 60 + 15.0 / 15 + 0.01


def test_a_job_that_makes_its_tenants_money_short_is_solved_anew() -> None:
    # Ten yuan are enough for the job that waits, and not for one more.
    problem = a_problem([a_job("waits")], cash_fen={"acme": 1_000})
    found = ask(open_desk(problem, board_of(problem)), a_job("asks"))
    assert not found.is_sure
    answer = Relaxation(problem).with_job(a_job("asks"))
    assert answer is not None
    assert answer.cost == pytest.approx(1_000.0)
    assert answer.column is None or answer.placed.sum() <= 1.0


def test_a_quote_in_a_queue_says_what_is_free_now_and_what_the_queue_leaves() -> None:
    jobs = [a_job(f"j{at}") for at in range(8)]
    problem = a_problem(jobs)
    desk = open_desk(problem, board_of(problem))
    found = ask(desk, a_job("asks", units=8))
    (row,) = found.rows
    assert row.start == problem.origin
    assert found.queued == 8
    asker = Asker(lots=(), cash_fen={"acme": 10**9}, rtt_ms={})
    settled = settle(found, Relaxation(problem), a_job("asks", units=8), asker)
    assert settled.best is not None
    # Eight units stand in the way for an hour: who comes waits for them, or they for it.
    assert settled.best.cost == pytest.approx(whole(problem, a_job("asks", units=8)), rel=0.05)


def test_without_a_queue_the_first_row_is_the_answer() -> None:
    found = ask(open_desk(a_problem()), a_job())
    assert found.best is not None
    assert (found.best.by, found.queued, found.is_sure) == (QuotedBy.IDLE, 0, True)
    assert found.best.cost == found.rows[0].cost
    assert found.rows[0].estimate is None


def test_a_board_of_other_pools_is_not_used() -> None:
    board = board_of(a_problem([a_job()]))
    other = a_problem(pools=[a_pool(id="new")])
    assert open_desk(other, board).board is None
