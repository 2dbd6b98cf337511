"""The steps between relaxation and plan: moves, exchanges, dives; each leaves the state exact."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problem_builders import a_job, a_pool, a_problem, a_random_problem

from optimizer.columns import columns_of
from optimizer.deadline import Deadline
from optimizer.direct_route import solve_direct
from optimizer.diving import dive
from optimizer.exchange import exchange
from optimizer.formulation import formulate
from optimizer.greedy import fill
from optimizer.improvement import improve
from optimizer.instance import instance_of
from optimizer.occupancy import Occupancy, empty_occupancy
from optimizer.problem import Problem
from optimizer.room import ExactHolder
from optimizer.solution import Limits

_TIME = Deadline(1e6)


def _state(problem: Problem) -> Occupancy:
    instance = instance_of(problem)
    return empty_occupancy(instance, columns_of(instance))


def _start(state: Occupancy, units: int, pool: str) -> None:
    """Start one job of that width in that pool at once."""
    instance, columns = state.instance, state.columns
    for at in range(columns.count):
        same = instance.pools[columns.pool[at]].id == pool and columns.slot[at] == 0
        if same and state.job(at).units == units:
            assert state.place(at, 1) == 1
            return
    raise AssertionError("no such column")


def test_a_job_moves_to_where_it_costs_less() -> None:
    cheap = a_pool(id="cheap", price_uyuan_per_unit_hour=1_000_000)
    state = _state(a_problem(jobs=[a_job()], pools=[a_pool(), cheap]))
    _start(state, 1, "near-gpu")
    assert improve(state, _TIME) == 1
    (column,) = state.payments
    assert state.instance.pools[state.columns.pool[column]].id == "cheap"


def test_a_wide_job_takes_the_place_of_a_narrow_one_that_fits_elsewhere() -> None:
    window = {"deadline_s": 3_600.0}
    pools = [a_pool(), a_pool(id="small", units=2, price_uyuan_per_unit_hour=90_000_000)]
    state = _state(
        a_problem(jobs=[a_job("n", **window), a_job("w", units=8, **window)], pools=pools)
    )
    _start(state, 1, "near-gpu")
    fill(state, _TIME)
    assert state.left.sum() == 1
    assert exchange(state, _TIME) == 1
    assert state.left.sum() == 0


def test_a_heavy_job_takes_the_money_of_lighter_ones() -> None:
    jobs = [a_job("light"), a_job("heavy", units=4)]
    state = _state(a_problem(jobs=jobs, cash_fen={"acme": 4_500}))
    _start(state, 1, "near-gpu")
    fill(state, _TIME)
    assert exchange(state, _TIME) == 1
    (column,) = state.payments
    assert state.job(column).units == 4


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 100_000))
def test_moves_and_exchanges_never_cost_more_and_keep_the_books(seed: int) -> None:
    state = _state(a_random_problem(seed, jobs=40, classes=20, load=2.0))
    fill(state, _TIME)
    before = state.objective()
    exchange(state, _TIME)
    improve(state, _TIME)
    assert state.objective() <= before + 1e-6
    _books_are_exact(state)


@pytest.mark.parametrize("seed", range(8))
def test_a_dive_keeps_the_books(seed: int) -> None:
    instance = instance_of(a_random_problem(seed, jobs=60, classes=30, load=2.0))
    formulation = formulate(instance, columns_of(instance))
    relaxed = solve_direct(formulation.model.relaxed(), Limits())
    state = empty_occupancy(instance, formulation.columns)
    dive(formulation.model, relaxed, ExactHolder(state), _TIME)
    assert state.objective() >= relaxed.objective - 1e-6 * abs(relaxed.objective)
    _books_are_exact(state)


def _books_are_exact(state: Occupancy) -> None:
    """Replay all payments on a fresh state: units, power, money and jobs must come out equal."""
    fresh = empty_occupancy(state.instance, state.columns)
    for column, payments in sorted(state.payments.items()):
        for payment in payments:
            assert fresh.room(column) >= 1
            fresh.take(column, payment)
    assert (fresh.used == state.used).all()
    assert (fresh.left == state.left).all()
    assert np.allclose(fresh.peak_w, state.peak_w)
    assert np.allclose(fresh.mean_w, state.mean_w)
    assert fresh.purse.lot_left_fen == state.purse.lot_left_fen
    assert fresh.purse.cash_left_fen == state.purse.cash_left_fen
    assert min([0, *fresh.purse.lot_left_fen.values(), *fresh.purse.cash_left_fen.values()]) == 0
