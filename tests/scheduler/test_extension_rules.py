"""What stands in the way of more time: each refusal, and the nearest case that is granted."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from scheduler_builders import NEAR, START, TENANT, YUAN, a_job, a_pool, an_attempt

from scheduler.events import Extended
from scheduler.extension import Ask, Claim, ExtensionRefusal, View, decide
from suanwang.ids import HoldId, LotId, SiteId, attempt_id
from suanwang.model.attempt import AttemptState
from suanwang.model.job import JobState, Wishes
from suanwang.model.plan import ReasonCode
from suanwang.model.voucher import Hold, HoldSlice, HoldState, Lot

NOW = START + timedelta(seconds=300)
ASK = Ask(by_s=300, request_key="k", asked_by="key_1")
CASH = HoldSlice(lot_id=None, amount_fen=167)
MONTH = timedelta(days=31)


def at(seconds: int) -> datetime:
    """A moment after the start of the attempt."""
    return START + timedelta(seconds=seconds)


def a_view(**changes: object) -> View:
    """One core at 10 yuan an hour that has run five of its ten minutes, paid in cash."""
    attempt = an_attempt(started_at=START, hold_id=HoldId("h"))
    view = View(
        at=NOW,
        job=a_job(state=JobState.RUNNING, attempts=1),
        attempt=attempt,
        pool=a_pool(NEAR, units=8),
        is_open=True,
        others=(),
        claims=(),
        hold=a_hold(CASH),
        lots=(),
    )
    return replace(view, **changes)  # type: ignore[arg-type]  # a builder takes any field


def a_hold(*slices: HoldSlice) -> Hold:
    """An open hold of the attempt."""
    return Hold(
        id=HoldId("h"),
        tenant_id=TENANT,
        attempt_id="j1-a1",
        state=HoldState.OPEN,
        slices=slices,
        held_at=START,
    )


def a_lot(name: str, available_fen: int = 10_000, **changes: object) -> Lot:
    """A lot of the tenant that pays half, for a month."""
    lot = Lot(
        id=LotId(name), tenant_id=TENANT, programme="p", issued_fen=10_000,
        available_fen=available_fen, held_fen=0, spent_fen=0, expired_fen=0,
        ratio_num=1, ratio_den=2, expires_at=START + MONTH,
    )  # fmt: skip
    return replace(lot, **changes)  # type: ignore[arg-type]  # a builder takes any field


def with_wishes(**wishes: object) -> View:
    """The view with other wishes."""
    wanted = replace(a_job().wishes, **wishes)  # type: ignore[arg-type]  # a builder
    return a_view(job=replace(a_view().job, wishes=wanted))


def other(number: int, units: int, ends_s: int) -> object:
    """Another attempt in the pool that ends at a second."""
    return an_attempt(
        id=attempt_id("other", number),
        units=units,
        started_at=START,
        run_s_max=ends_s,
        lease_expires_at=START + timedelta(days=1),
    )


def claim(start_s: int, units: int = 8, deadline_s: int = 1_300) -> Claim:
    """A waiting job of ten minutes that the plan starts at a second."""
    return Claim(
        submission_id="waits",
        units=units,
        start=at(start_s),
        use_s_max=600,
        deadline=at(deadline_s),
    )


@pytest.mark.parametrize(
    ("view", "reason", "words"),
    [
        pytest.param(
            a_view(attempt=replace(a_view().attempt, run_s_max=31 * 86_400)),
            ReasonCode.TIME_LIMIT,
            "2678700 s then, allowed are 2678400",
            id="longer than anything may run",
        ),
        pytest.param(
            with_wishes(deadline=at(899)),
            ReasonCode.DEADLINE,
            "until 2026-10-14T00:15:00+00:00 then, its deadline is 2026-10-14T00:14:59+00:00",
            id="past its own deadline",
        ),
        pytest.param(
            a_view(is_open=False), ReasonCode.SITE_DOWN, "closed by its operator", id="closed"
        ),
        pytest.param(
            a_view(pool=a_pool(NEAR, units=8, drained_units=5), others=(other(1, 3, 600),)),
            ReasonCode.CAPACITY,
            "4 units are taken, 3 may still be used",
            id="its pool is drained",
        ),
        pytest.param(
            a_view(pool=None), ReasonCode.CAPACITY, "1 units are taken, 0 may", id="no pool left"
        ),
        pytest.param(
            a_view(claims=(claim(600),)),
            ReasonCode.CAPACITY,
            "8 units are wanted then, 7 would be free",
            id="a waiting job would miss its deadline",
        ),
        pytest.param(
            a_view(claims=(claim(600, units=4), claim(650, units=4))),
            ReasonCode.CAPACITY,
            "8 units are wanted then, 7 would be free",
            id="two waiting jobs together need its units",
        ),
        pytest.param(
            with_wishes(cash_fen_max=249),
            ReasonCode.CASH_BUDGET,
            "2.50 of it in cash; the job's own limit is 2.49",
            id="over the job's own budget",
        ),
    ],
)
def test_more_time_is_refused_with_both_figures(view: View, reason: ReasonCode, words: str) -> None:
    refusal = decide(view, ASK)
    assert isinstance(refusal, ExtensionRefusal)
    assert refusal.reason is reason
    assert words in refusal.message


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(a_view(), id="nothing stands in the way"),
        pytest.param(
            a_view(attempt=replace(a_view().attempt, run_s_max=31 * 86_400 - 300)),
            id="exactly as long as anything may run",
        ),
        pytest.param(with_wishes(deadline=at(900)), id="exactly until its deadline"),
        pytest.param(
            a_view(pool=a_pool(NEAR, units=8, drained_units=4), others=(other(1, 3, 600),)),
            id="drained, and there is room",
        ),
        pytest.param(a_view(claims=(claim(600, units=7),)), id="the waiting job fits beside it"),
        pytest.param(a_view(claims=(claim(600, deadline_s=1_500),)), id="the waiting job can wait"),
        pytest.param(a_view(claims=(claim(900),)), id="the waiting job starts after it"),
        pytest.param(a_view(claims=(claim(400),)), id="the plan never counted on its units"),
        pytest.param(
            a_view(claims=(claim(600, units=4),), others=(other(1, 3, 500),)),
            id="units of others fall free in time",
        ),
        pytest.param(with_wishes(cash_fen_max=250), id="exactly the job's own budget"),
        pytest.param(
            a_view(attempt=replace(a_view().attempt, state=AttemptState.UNKNOWN)),
            id="its site is out of sight: the money is kept, the site may come back",
        ),
    ],
)
def test_the_nearest_case_is_granted(view: View) -> None:
    granted = decide(view, ASK)
    assert isinstance(granted, Extended), granted
    assert (granted.by_s, granted.asked_by) == (300, "key_1")


def slices(view: View) -> dict[str | None, int]:
    """What joins the hold, by lot; None is cash."""
    granted = decide(view, ASK)
    assert isinstance(granted, Extended)
    assert granted.amount_fen == sum(part.amount_fen for part in granted.slices)
    return {part.lot_id: part.amount_fen for part in granted.slices}


def test_cash_pays_what_the_longer_run_can_cost_more() -> None:
    assert slices(a_view()) == {None: 250 - 167}


def test_lots_are_drawn_in_their_order_each_up_to_its_share_of_the_whole() -> None:
    view = a_view(lots=(a_lot("late", rank=2), a_lot("soon", 40, rank=1)))
    assert slices(view) == {"soon": 40, "late": 250 - 167 - 40}


def test_a_lot_that_pays_already_gives_no_more_than_its_share_of_the_whole() -> None:
    hold = a_hold(
        HoldSlice(lot_id=LotId("half"), amount_fen=83), HoldSlice(lot_id=None, amount_fen=84)
    )
    assert slices(a_view(hold=hold, lots=(a_lot("half"),))) == {"half": 125 - 83, None: 125 - 84}


@pytest.mark.parametrize(
    "lot",
    [
        pytest.param(a_lot("l", expires_at=at(899)), id="it ends before the longer run"),
        pytest.param(
            a_lot("l", expires_at=at(800), grace_s=99), id="its grace ends before the longer run"
        ),
        pytest.param(a_lot("l", expires_at=NOW, grace_s=9_999), id="it has ended"),
        pytest.param(a_lot("l", sites=frozenset({SiteId("cheap")})), id="not for this site"),
        pytest.param(a_lot("l", accelerators=frozenset({"h20"})), id="not for this accelerator"),
    ],
)
def test_a_lot_that_may_not_pay_here_leaves_it_to_cash(lot: Lot) -> None:
    assert slices(a_view(lots=(lot,))) == {None: 83}


def test_a_lot_that_ends_meanwhile_pays_a_run_that_is_over_within_its_grace() -> None:
    assert slices(a_view(lots=(a_lot("l", expires_at=at(800), grace_s=100),))) == {"l": 83}


def test_a_job_that_pays_in_cash_only_draws_no_lot() -> None:
    view = with_wishes(uses_voucher=False)
    assert slices(replace(view, lots=(a_lot("l"),))) == {None: 83}


def test_the_grace_is_paid_once_however_often_a_run_is_extended() -> None:
    attempt = replace(a_view().attempt, stop_grace_s=60)
    hold = a_hold(HoldSlice(lot_id=None, amount_fen=184))
    # 660 s cost 1.84 yuan at most, 960 s cost 2.67.
    assert slices(a_view(attempt=attempt, hold=hold)) == {None: 267 - 184}


def test_a_hold_that_covers_it_already_needs_nothing_more() -> None:
    assert slices(a_view(hold=a_hold(HoldSlice(lot_id=None, amount_fen=900)))) == {}


def test_the_price_is_the_one_that_the_attempt_was_started_at() -> None:
    assert slices(a_view(pool=a_pool(NEAR, yuan=99))) == {None: 83}
    assert a_view().attempt.price_uyuan_per_unit_hour == 10 * YUAN
    assert Wishes().use_s_max == 3_603
