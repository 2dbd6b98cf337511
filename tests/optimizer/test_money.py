"""Money is split exactly: lots in their order, shares floored, cash for the rest."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problem_builders import a_job, a_lot, a_pool

from optimizer.money import Payment, Run, Shortfall, price_fen_max, prices_fen_max, purse_of
from optimizer.problem import JobSpec, LotSpec, PoolSpec, Shape
from suanwang.model.plan import ReasonCode


def _split(lots: tuple[LotSpec, ...], cash_fen: int = 10_000, **job: Any) -> Payment | Shortfall:
    return purse_of(lots, {"acme": cash_fen}).split(_run(a_job(**job), a_pool(), 3_600.0))


def _run(job: JobSpec, pool: PoolSpec, end_s: float) -> Run:
    price_fen = price_fen_max(job.options[0], pool)
    return Run(job, pool, price_fen, end_s - job.run_s, end_s)


def test_the_price_is_rounded_up_to_a_whole_fen() -> None:
    assert price_fen_max(Shape(1, 1.0), a_pool()) == 1
    assert price_fen_max(Shape(1, 0.0005), a_pool()) == 1


@given(
    units=st.integers(1, 100_000),
    run_s=st.floats(0.001, 3e6),
    prices=st.lists(st.integers(0, 10**9), min_size=1, max_size=4),
)
def test_prices_of_many_pools_are_those_of_each(
    units: int, run_s: float, prices: list[int]
) -> None:
    shape = Shape(units, run_s)
    expected = [price_fen_max(shape, a_pool(price_uyuan_per_unit_hour=one)) for one in prices]
    assert prices_fen_max(shape, np.array(prices)).tolist() == expected


@pytest.mark.parametrize(
    ("lots", "expected", "cash"),
    [
        pytest.param((a_lot(),), {"lot": 500}, 500, id="half from the lot"),
        pytest.param((a_lot(ratio_num=1, ratio_den=3),), {"lot": 333}, 667, id="share is floored"),
        pytest.param((a_lot(available_fen=70),), {"lot": 70}, 930, id="no more than is left"),
        pytest.param(
            (a_lot("b", rank=1), a_lot("a", rank=2)), {"b": 500, "a": 500}, 0, id="rank first"
        ),
        pytest.param(
            (a_lot("a", expires_s=9e8), a_lot("b", expires_s=8e8, available_fen=100)),
            {"b": 100, "a": 500},
            400,
            id="then what expires first",
        ),
        pytest.param((a_lot(expires_s=3_599.0),), {}, 1_000, id="not after it expires"),
        pytest.param((a_lot(expires_s=3_600.0),), {"lot": 500}, 500, id="until it expires"),
        pytest.param(
            (a_lot(expires_s=3_599.0, grace_s=1.0),), {"lot": 500}, 500, id="until its grace ends"
        ),
        pytest.param((a_lot(expires_s=3_598.0, grace_s=1.0),), {}, 1_000, id="not after it"),
        pytest.param(
            (a_lot(expires_s=0.0, grace_s=9e9),), {}, 1_000, id="grace is for what runs at the end"
        ),
        pytest.param((a_lot(sites=frozenset({"far"})),), {}, 1_000, id="not at other sites"),
        pytest.param((a_lot(accelerators=frozenset({"npu"})),), {}, 1_000, id="not on others"),
        pytest.param((a_lot(tenant_id="other"),), {}, 1_000, id="not for others"),
        pytest.param((a_lot(available_fen=0),), {}, 1_000, id="not when it is empty"),
    ],
)
def test_lots_pay_in_order_and_by_their_rules(
    lots: tuple[LotSpec, ...], expected: dict[str, int], cash: int
) -> None:
    payment = _split(lots)
    assert isinstance(payment, Payment)
    assert dict(payment.lots) == expected
    assert payment.cash_fen == cash
    assert payment.voucher_fen + payment.cash_fen == payment.price_fen == 1_000


def test_a_job_may_refuse_vouchers() -> None:
    payment = _split((a_lot(),), uses_voucher=False)
    assert isinstance(payment, Payment)
    assert payment.cash_fen == 1_000


def test_a_shortfall_names_all_amounts() -> None:
    assert _split((a_lot(),), cash_fen=499) == Shortfall(ReasonCode.VOUCHER, 1_000, 500, 499)


def test_what_was_taken_comes_back() -> None:
    purse = purse_of((a_lot(available_fen=600),), {"acme": 700})
    job, pool = a_job(), a_pool()
    first = purse.split(_run(job, pool, 0.0))
    assert isinstance(first, Payment)
    purse.take(job, first)
    assert isinstance(purse.split(_run(job, pool, 0.0)), Shortfall)
    purse.give_back(job, first)
    assert purse.split(_run(job, pool, 0.0)) == first
