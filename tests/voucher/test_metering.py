"""From use to a bill."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_builders import LATER, START

from suanwang.errors import BadInput
from suanwang.ids import AttemptId, HoldId, JobId, LotId, PoolId, SiteId, TenantId
from suanwang.model.attempt import Attempt, AttemptState
from suanwang.model.usage import UsageInterval
from suanwang.model.voucher import Hold, HoldSlice, HoldState
from voucher import metering

H20_UYUAN = 12_350_000


def an_attempt(units: int = 8, price_uyuan: int = H20_UYUAN) -> Attempt:
    return Attempt(
        id=AttemptId("j1-a1"),
        job_id=JobId("j1"),
        number=1,
        site_id=SiteId("s1"),
        pool_id=PoolId("p1"),
        units=units,
        state=AttemptState.RUNNING,
        executor_id="e1",
        hold_id=HoldId("h1"),
        price_uyuan_per_unit_hour=price_uyuan,
        run_s_max=3_600,
        intent_at=START,
        epoch=1,
        lease_expires_at=LATER,
    )


def use(
    start_s: float, end_s: float, quantity: int = 8, resource: str = "H20", attempt: str = "j1-a1"
) -> UsageInterval:
    def moment(seconds: float) -> datetime:
        return START + timedelta(seconds=seconds)

    return UsageInterval(
        attempt_id=AttemptId(attempt),
        resource=resource,
        quantity=quantity,
        started_at=moment(start_s),
        ended_at=moment(end_s),
        source="supervisor",
    )


@pytest.mark.parametrize(
    ("intervals", "unit_ms"),
    [
        pytest.param([], 0, id="nothing"),
        pytest.param([use(0, 60)], 480_000, id="a minute of eight"),
        pytest.param([use(0, 60), use(60, 90)], 720_000, id="one after the other"),
        pytest.param([use(0, 60), use(0, 60)], 480_000, id="reported twice, billed once"),
        pytest.param([use(0, 60), use(30, 90)], 720_000, id="overlap billed once"),
        pytest.param([use(0, 60, 2), use(30, 40, 5)], 150_000, id="the higher quantity counts"),
        pytest.param([use(0, 10), use(50, 60)], 160_000, id="a gap is not billed"),
        pytest.param([use(0, 60, 5), use(10, 20, 1), use(30, 90, 1)], 330_000, id="nested"),
        pytest.param([use(0, 0.0005)], 4, id="half a millisecond of eight"),
    ],
)
def test_each_moment_is_counted_once(intervals: list[UsageInterval], unit_ms: int) -> None:
    assert metering.covered_unit_ms(intervals) == unit_ms


@given(cuts=st.lists(st.integers(1, 3_599_999_999), max_size=20))
def test_any_way_of_cutting_a_run_gives_the_same_bill(cuts: list[int]) -> None:
    whole = metering.bill(an_attempt(), [use(0, 3_600)])
    edges = [0, *sorted(cuts), 3_600_000_000]
    pieces = [
        UsageInterval(
            attempt_id=AttemptId("j1-a1"),
            resource="H20",
            quantity=8,
            started_at=START + timedelta(microseconds=start),
            ended_at=START + timedelta(microseconds=end),
            source="poll",
        )
        for start, end in pairwise(edges)
    ]
    assert metering.bill(an_attempt(), pieces) == whole
    steps = [metering.bill(an_attempt(), pieces[:count]) for count in range(len(pieces) + 1)]
    told = [metering.step_fen(one, two) for one, two in pairwise(steps)]
    assert sum(told) == whole.amount_fen == 9_880


def test_a_month_in_ticks_of_a_second_on_one_gpu_is_billed_in_full() -> None:
    whole = metering.bill(an_attempt(1), [use(0, 8_892, 1)])
    ticks = [use(second, second + 1, 1) for second in range(8_892)]
    assert metering.bill(an_attempt(1), ticks) == whole
    assert whole.amount_fen == 3_050


def test_the_same_use_makes_the_same_key() -> None:
    assert metering.bill(an_attempt(), [use(0, 60)]).key == "capture:j1-a1:480000"


@pytest.mark.parametrize(
    "intervals",
    [
        pytest.param([use(0, 60, attempt="j1-a2")], id="another attempt"),
        pytest.param([use(0, 60), use(0, 60, resource="cpu")], id="two resources, one price"),
        pytest.param([use(60, 0)], id="ends before it starts"),
        pytest.param([use(0, 60, -1)], id="negative quantity"),
    ],
)
def test_impossible_use_is_not_billed(intervals: list[UsageInterval]) -> None:
    with pytest.raises(BadInput):
        metering.bill(an_attempt(), intervals)


def test_only_the_resource_that_has_the_price_is_billed() -> None:
    charge = metering.bill(
        an_attempt(), [use(0, 60), use(0, 60, 64, resource="cpu")], resource="H20"
    )
    assert (charge.unit_ms, charge.unit_seconds) == (480_000, 480)


def test_never_more_is_captured_than_was_held() -> None:
    hold = Hold(
        id=HoldId("h1"),
        tenant_id=TenantId("t1"),
        attempt_id="j1-a1",
        state=HoldState.OPEN,
        slices=(HoldSlice(lot_id=LotId("l1"), amount_fen=9_000),),
        held_at=START,
    )
    charge = metering.bill(an_attempt(), [use(0, 3_600)])
    assert charge.amount_fen == 9_880
    assert metering.capture(charge, hold).amount_fen == 9_000
    short = metering.bill(an_attempt(), [use(0, 60)])
    assert metering.capture(short, hold).amount_fen == short.amount_fen


def test_bills_do_not_run_backwards() -> None:
    short, long = (metering.bill(an_attempt(), [use(0, end)]) for end in (60, 90))
    with pytest.raises(BadInput):
        metering.step_fen(long, short)
