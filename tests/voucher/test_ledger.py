"""The ledger's contract, on both databases."""

from dataclasses import replace
from datetime import timedelta

import pytest
from ledger_builders import (
    LATER,
    START,
    a_capture,
    a_claim,
    a_claim_payment,
    a_claims_end,
    a_clawback,
    a_close,
    a_deposit,
    a_hold,
    a_mix,
    a_payback,
    a_payout,
    a_redemption,
    a_refund,
    a_release,
    a_repayment,
    a_withdrawal,
    accept,
    accepted,
    add_tenants,
    an_appropriation,
    an_expiry,
    an_issue,
    book,
    more_for,
    refusal,
    writer_of,
)
from sqlalchemy import Engine

from suanwang.db.engine import reading
from suanwang.errors import BadInput, NotFound
from suanwang.ids import TenantId
from suanwang.model.voucher import Hold, HoldState, Lot
from voucher import store
from voucher.expiry import expire_due
from voucher.ledger import Accepted, Command, Refusal, RefusalCode, apply
from voucher.turn import Turn


@pytest.fixture
def ledger(engine: Engine) -> Engine:
    """A database with tenants t1 and t2."""
    with engine.begin() as connection:
        add_tenants(connection, "t1", "t2")
    return engine


def the_lot(engine: Engine, now: object = START, lot_id: str = "l1") -> Lot:
    with reading(engine) as connection:
        return store.find_lot(connection, lot_id, now)  # type: ignore[arg-type]  # START is aware


def the_hold(engine: Engine, hold_id: str = "h1") -> Hold:
    with reading(engine) as connection:
        return store.find_hold(connection, hold_id)


def cash(engine: Engine, tenant_id: str = "t1") -> int:
    with reading(engine) as connection:
        return store.cash_fen(connection, tenant_id)


def assert_sound(engine: Engine) -> store.LedgerCheck:
    with engine.begin() as connection:
        report = store.check(connection)
    assert report.is_sound, report.findings
    assert report.sum_fen == 0
    return report


def test_a_run_is_held_paid_and_the_rest_let_go(ledger: Engine) -> None:
    accept(ledger, an_issue(amount_fen=1_000), a_deposit(500))
    accept(ledger, a_hold("h1", ("l1", 300), (None, 200)))
    held = the_lot(ledger)
    assert (held.available_fen, held.held_fen, cash(ledger)) == (700, 300, 300)
    (paid,) = accept(ledger, a_capture("h1", 320))
    after = the_lot(ledger)
    assert (after.available_fen, after.held_fen, after.spent_fen) == (700, 0, 300)
    assert cash(ledger) == 480
    assert paid.balances["payable:platform"] == 20
    ended = the_hold(ledger)
    assert ended.state is HoldState.CAPTURED
    assert [part.captured_fen for part in ended.slices] == [300, 20]
    report = assert_sound(ledger)
    assert (report.entries, report.holds_open, report.spent_fen) == (4, 0, 300)


def test_two_payees_who_ask_for_one_hold_in_a_batch_are_answered_each(ledger: Engine) -> None:
    accept(ledger, an_issue(), a_hold("h0", ("l1", 10)), a_hold("h1", ("l1", 10)))
    one, other = a_capture("h1", 5), replace(a_capture("h1", 5, key="other"), payee="second")
    accept(ledger, a_capture("h0", 10))
    booked, refused = book(ledger, one, other)
    assert accepted(booked).balances["owed:qingdao-2024/platform"] == 15
    refusal((refused,), RefusalCode.HOLD_CLOSED)
    assert_sound(ledger)


def test_a_released_hold_gives_everything_back(ledger: Engine) -> None:
    accept(ledger, an_issue(), a_deposit(), a_hold("h1", ("l1", 400), (None, 600)))
    accept(ledger, a_release("h1"))
    assert the_lot(ledger).available_fen == 1_000
    assert cash(ledger) == 1_000
    assert the_hold(ledger).state is HoldState.RELEASED
    assert_sound(ledger)


def test_a_hold_may_be_opened_and_paid_in_one_batch(ledger: Engine) -> None:
    outcomes = accept(ledger, an_issue(), a_hold("h1", ("l1", 400)), a_capture("h1", 100))
    assert [outcome.seq for outcome in outcomes] == [1, 2, 3]
    assert outcomes[2].balances == {
        "held:l1": 0,
        "spent:l1": 100,
        "lot:l1": 900,
        "due:qingdao-2024": -100,
        "owed:qingdao-2024/platform": 100,
    }
    assert the_hold(ledger).closed_at == START
    assert_sound(ledger)


def test_the_same_request_again_gets_the_first_answer(ledger: Engine) -> None:
    accept(ledger, an_issue())
    (first,) = accept(ledger, a_hold("h1", ("l1", 100)))
    accept(ledger, a_hold("h2", ("l1", 100)), a_capture("h1", 50))
    (again,) = accept(ledger, a_hold("h1", ("l1", 100)), now=LATER + timedelta(days=900))
    assert again.is_repeat
    assert (again.seq, again.balances) == (first.seq, first.balances)
    assert assert_sound(ledger).entries == 4


def test_the_same_request_twice_in_a_batch_is_booked_once(ledger: Engine) -> None:
    one, two = accept(ledger, a_deposit(100, key="k"), a_deposit(100, key="k"))
    assert (one.is_repeat, two.is_repeat) == (False, True)
    assert (two.seq, two.balances) == (one.seq, one.balances)
    assert cash(ledger) == 100


def test_a_key_cannot_be_used_for_another_request(ledger: Engine) -> None:
    accept(ledger, a_deposit(100, key="k"))
    refused = refusal(book(ledger, a_deposit(101, key="k")), RefusalCode.KEY_REUSED)
    assert refused.facts == {"seq": 1}
    assert cash(ledger) == 100


def test_a_refusal_does_not_use_up_its_key(ledger: Engine) -> None:
    accept(ledger, an_issue())
    refusal(book(ledger, a_hold("h1", ("l1", 100), (None, 100))), RefusalCode.CASH_SHORT)
    accept(ledger, a_deposit(100))
    (held,) = accept(ledger, a_hold("h1", ("l1", 100), (None, 100)))
    assert not held.is_repeat


def test_a_refused_command_leaves_its_neighbours_alone(ledger: Engine) -> None:
    outcomes = book(
        ledger,
        an_issue(),
        a_hold("h1", ("l1", 5_000)),
        a_hold("h2", ("l1", 600)),
        a_hold("h3", ("l1", 600)),
        a_hold("h4", ("l1", 400)),
    )
    kinds = [isinstance(outcome, Accepted) for outcome in outcomes]
    assert kinds == [True, False, True, False, True]
    short = outcomes[3]
    assert isinstance(short, Refusal)
    assert short.facts == {"lot_id": "l1", "available_fen": 400, "wanted_fen": 600}
    assert_sound(ledger)


EARLIER = START - timedelta(days=14)
REFUSALS = [
    pytest.param(a_deposit(0), RefusalCode.BAD_AMOUNT, id="nothing deposited"),
    pytest.param(a_deposit(-5), RefusalCode.BAD_AMOUNT, id="negative deposit"),
    pytest.param(a_deposit(10**15 + 1), RefusalCode.BAD_AMOUNT, id="absurd deposit"),
    pytest.param(a_deposit(tenant_id="t9"), RefusalCode.UNKNOWN_TENANT, id="deposit of nobody"),
    pytest.param(a_deposit(tenant_id="t\0"), RefusalCode.BAD_TEXT, id="unprintable text"),
    pytest.param(a_deposit(key="k" * 201), RefusalCode.BAD_TEXT, id="long key"),
    pytest.param(a_capture("h1", 1, key="\ud800"), RefusalCode.BAD_TEXT, id="half a character"),
    pytest.param(an_issue("l1", 1, key="k"), RefusalCode.LOT_EXISTS, id="lot granted twice"),
    pytest.param(an_issue("l9", 0), RefusalCode.BAD_AMOUNT, id="empty lot"),
    pytest.param(an_issue("l9", tenant_id="t9"), RefusalCode.UNKNOWN_TENANT, id="lot of nobody"),
    pytest.param(an_issue("l9", ratio_num=0), RefusalCode.BAD_RATIO, id="ratio zero"),
    pytest.param(an_issue("l9", ratio_num=2), RefusalCode.BAD_RATIO, id="ratio above one"),
    pytest.param(an_issue("l9", rank=2**31), RefusalCode.BAD_AMOUNT, id="rank out of range"),
    pytest.param(an_issue("l9", expires_at=START), RefusalCode.LOT_EXPIRED, id="born dead"),
    pytest.param(
        an_issue("l9", expires_at=LATER.replace(tzinfo=None)), RefusalCode.BAD_TIME, id="no zone"
    ),
    pytest.param(an_issue("l9", grace_s=-1), RefusalCode.BAD_TIME, id="a grace below zero"),
    pytest.param(
        an_issue("l9", grace_s=36_501 * 86_400), RefusalCode.BAD_TIME, id="a grace without end"
    ),
    pytest.param(a_hold("h9", ("l9", 1)), RefusalCode.UNKNOWN_LOT, id="unknown lot"),
    pytest.param(a_hold("h9", ("l2", 1)), RefusalCode.FOREIGN_LOT, id="another's lot"),
    pytest.param(a_hold("h9", ("l1", 1_001)), RefusalCode.LOT_SHORT, id="more than the lot"),
    pytest.param(a_hold("h9", (None, 1_001)), RefusalCode.CASH_SHORT, id="more than the cash"),
    pytest.param(a_hold("h9", ("l1", -1)), RefusalCode.BAD_AMOUNT, id="negative slice"),
    pytest.param(a_hold("h9", ("l1", 10**15 + 1)), RefusalCode.BAD_AMOUNT, id="absurd hold"),
    pytest.param(a_hold("h9", ("l1", 1), ("l1", 1)), RefusalCode.BAD_SLICES, id="lot twice"),
    pytest.param(a_hold("h9", (None, 1), ("l1", 1)), RefusalCode.BAD_SLICES, id="cash first"),
    pytest.param(a_hold("h9", ("half", 51), (None, 50)), RefusalCode.LOT_RATIO, id="over ratio"),
    pytest.param(a_hold("h9", tenant_id="t9"), RefusalCode.UNKNOWN_TENANT, id="hold of nobody"),
    pytest.param(a_hold("h1", ("l1", 1), key="k"), RefusalCode.HOLD_EXISTS, id="hold twice"),
    pytest.param(a_capture("h9", 1), RefusalCode.UNKNOWN_HOLD, id="unknown hold"),
    pytest.param(a_capture("h1", 101), RefusalCode.ABOVE_HOLD, id="more than held"),
    pytest.param(a_capture("h1", -1), RefusalCode.BAD_AMOUNT, id="negative payment"),
    pytest.param(a_capture("ended", 1, key="k"), RefusalCode.HOLD_CLOSED, id="paid twice"),
    pytest.param(a_release("ended"), RefusalCode.HOLD_CLOSED, id="released after paid"),
    pytest.param(an_expiry("l9"), RefusalCode.UNKNOWN_LOT, id="expiry of nothing"),
    pytest.param(an_expiry("l1"), RefusalCode.LOT_NOT_EXPIRED, id="expiry too early"),
    pytest.param(more_for("h9", ("l1", 1)), RefusalCode.UNKNOWN_HOLD, id="more for nothing"),
    pytest.param(more_for("ended", ("l1", 1)), RefusalCode.HOLD_CLOSED, id="more for the ended"),
    pytest.param(more_for("h1", ("l1", 891)), RefusalCode.LOT_SHORT, id="more than is left"),
    pytest.param(more_for("h1", (None, 1_001)), RefusalCode.CASH_SHORT, id="more than the free"),
    pytest.param(more_for("h1", ("l2", 1)), RefusalCode.FOREIGN_LOT, id="more from another's"),
    pytest.param(more_for("h1", ("half", 101)), RefusalCode.LOT_RATIO, id="more than the ratio"),
    pytest.param(more_for("h1", ("l1", -1)), RefusalCode.BAD_AMOUNT, id="less"),
    pytest.param(more_for("h1", ("l1", 10**15)), RefusalCode.BAD_AMOUNT, id="absurdly more"),
    pytest.param(a_refund("h9", 1), RefusalCode.UNKNOWN_HOLD, id="refund of nothing"),
    pytest.param(a_refund("h1", 1), RefusalCode.HOLD_NOT_PAID, id="refund of the unpaid"),
    pytest.param(a_refund("ended", 11), RefusalCode.ABOVE_PAID, id="refund of too much"),
    pytest.param(a_refund("ended", 0), RefusalCode.ABOVE_PAID, id="refund of nothing at all"),
    pytest.param(a_refund("recalled", 10), RefusalCode.LOT_RECALLED, id="refund of the recalled"),
    pytest.param(a_clawback("l9"), RefusalCode.UNKNOWN_LOT, id="clawback of nothing"),
    pytest.param(a_clawback("l1", 901), RefusalCode.ABOVE_LOT, id="clawback of what is held"),
    pytest.param(a_clawback("l1", 0), RefusalCode.ABOVE_LOT, id="clawback of nothing at all"),
    pytest.param(a_repayment(1, tenant_id="t9"), RefusalCode.UNKNOWN_TENANT, id="repaid by nobody"),
    pytest.param(a_repayment(0, "back"), RefusalCode.BAD_AMOUNT, id="nothing repaid"),
    pytest.param(a_repayment(31, "back"), RefusalCode.ABOVE_DEBT, id="more than the debt"),
    pytest.param(a_repayment(1, "l9"), RefusalCode.UNKNOWN_LOT, id="debt of no lot"),
    pytest.param(a_repayment(1, "l2"), RefusalCode.FOREIGN_LOT, id="another's debt"),
    pytest.param(an_appropriation(0), RefusalCode.BAD_AMOUNT, id="nothing appropriated"),
    pytest.param(an_appropriation(10**15 + 1), RefusalCode.BAD_AMOUNT, id="absurdly much"),
    pytest.param(a_withdrawal(101), RefusalCode.POOL_SHORT, id="more than the pool has"),
    pytest.param(a_withdrawal(1, "district"), RefusalCode.POOL_SHORT, id="out of no pool"),
    pytest.param(
        an_issue("l9", 202, funders=a_mix(city=101, district=101)),
        RefusalCode.POOL_SHORT,
        id="granted beyond the pool",
    ),
    pytest.param(
        an_issue("l9", funders=a_mix(city=999)), RefusalCode.BAD_FUNDERS, id="not all is funded"
    ),
    pytest.param(
        an_issue("l9", funders=a_mix(city=0, district=1_000)),
        RefusalCode.BAD_FUNDERS,
        id="a funder of nothing",
    ),
    pytest.param(
        an_issue("l9", funders=(*a_mix(city=500), *a_mix(city=500))),
        RefusalCode.BAD_FUNDERS,
        id="a funder twice",
    ),
    pytest.param(a_hold("h9", ("c1", 1)), RefusalCode.NOT_A_VOUCHER, id="a job from a claim"),
    pytest.param(a_redemption(1, "l1"), RefusalCode.NOT_A_CLAIM, id="a voucher redeemed"),
    pytest.param(a_redemption(1, "c9"), RefusalCode.UNKNOWN_LOT, id="no claim redeemed"),
    pytest.param(a_redemption(0), RefusalCode.BAD_AMOUNT, id="nothing redeemed"),
    pytest.param(a_redemption(151), RefusalCode.CLAIM_SHORT, id="more than the claim"),
    pytest.param(a_claim_payment(31), RefusalCode.ABOVE_DUE, id="more than is due"),
    pytest.param(a_claim_payment(0), RefusalCode.ABOVE_DUE, id="nothing paid"),
    pytest.param(
        a_claim_payment(1, receipt="YH-1"), RefusalCode.RECEIPT_USED, id="a receipt twice"
    ),
    pytest.param(a_claims_end("l1"), RefusalCode.NOT_A_CLAIM, id="end of a voucher as a claim"),
    pytest.param(a_payout(41), RefusalCode.ABOVE_DUE, id="more than the payee has earned"),
    pytest.param(a_payout(1, "nobody"), RefusalCode.ABOVE_DUE, id="paid who earned nothing"),
    pytest.param(a_payout(1, programme=None), RefusalCode.ABOVE_DUE, id="cash not earned"),
    pytest.param(a_payout(1, receipt="YH-1"), RefusalCode.RECEIPT_USED, id="paid again"),
    pytest.param(a_payback(21), RefusalCode.ABOVE_DUE, id="more back than was paid"),
    pytest.param(a_payback(0), RefusalCode.BAD_AMOUNT, id="nothing back"),
    pytest.param(a_close("sept", EARLIER), RefusalCode.PERIOD_ORDER, id="closed out of order"),
    pytest.param(
        a_close("now", START + timedelta(seconds=1)), RefusalCode.PERIOD_RUNS, id="closed early"
    ),
    pytest.param(a_close("old", EARLIER, key="k"), RefusalCode.PERIOD_EXISTS, id="closed twice"),
    pytest.param(
        a_close("new", START.replace(tzinfo=None)), RefusalCode.BAD_TIME, id="period without zone"
    ),
]


@pytest.mark.parametrize(("command", "code"), REFUSALS)
def test_what_cannot_be_is_refused_by_name(
    sqlite_engine: Engine, command: Command, code: RefusalCode
) -> None:
    with sqlite_engine.begin() as connection:
        add_tenants(connection, "t1", "t2")
    accept(
        sqlite_engine,
        an_issue("l1"),
        an_issue("l2", tenant_id="t2"),
        an_issue("half", ratio_den=2),
        a_deposit(),
        a_hold("h1", ("l1", 100)),
        a_hold("ended", ("l1", 10)),
        a_capture("ended", 10),
        an_issue("back", 30),
        a_hold("recalled", ("back", 30)),
        a_capture("recalled", 30),
        a_clawback("back", 30),
        a_close("old", EARLIER),
        an_appropriation(100),
        a_claim("c1", 200, funders=a_mix(district=200)),
        a_redemption(50),
        a_claim_payment(20, receipt="YH-1"),
    )
    before = assert_sound(sqlite_engine)
    refused = refusal(book(sqlite_engine, command), code)
    assert refused.message
    assert assert_sound(sqlite_engine) == before


def test_every_refusal_but_a_reused_key_is_in_the_table() -> None:
    provoked = {param.values[1] for param in REFUSALS}
    # A key in use and a payee without money have tests of their own.
    assert provoked | {RefusalCode.KEY_REUSED, RefusalCode.PAYEE_SHORT} == set(RefusalCode)


def test_an_ended_lot_pays_nothing_even_before_its_expiry_is_booked(ledger: Engine) -> None:
    accept(ledger, an_issue())
    just_before = LATER - timedelta(microseconds=1)
    assert the_lot(ledger, just_before).available_fen == 1_000
    ended = the_lot(ledger, LATER)
    assert (ended.available_fen, ended.expired_fen) == (0, 1_000)
    refusal(book(ledger, a_hold("h1", ("l1", 1)), now=LATER), RefusalCode.LOT_EXPIRED)
    accept(ledger, a_hold("h2", ("l1", 1)), now=just_before)


def test_expiry_is_booked_once(ledger: Engine) -> None:
    accept(ledger, an_issue())
    with reading(ledger) as connection:
        assert store.due_lots(connection, START) == ()
        assert store.due_lots(connection, LATER) == ("l1",)
    (first,) = accept(ledger, an_expiry(), now=LATER)
    assert first.balances == {"lot:l1": 0, "expired:l1": 1_000}
    (again,) = accept(ledger, an_expiry(), now=LATER)
    assert again.is_repeat
    with reading(ledger) as connection:
        assert store.due_lots(connection, LATER) == ()
    assert assert_sound(ledger).expired_fen == 1_000


def test_the_sweep_books_every_ended_lot_once(ledger: Engine) -> None:
    accept(ledger, an_issue("a"), an_issue("b", tenant_id="t2"))
    accept(ledger, an_issue("later", expires_at=LATER + timedelta(days=1)))
    with writer_of(ledger).turn() as turn:
        assert expire_due(turn, START) == ()
        assert [accepted(one).seq for one in expire_due(turn, LATER)] == [4, 5]
        assert expire_due(turn, LATER) == ()
    assert assert_sound(ledger).expired_fen == 2_000


def test_a_hold_outlives_its_lot_and_the_rest_expires(ledger: Engine) -> None:
    accept(ledger, an_issue(), a_hold("h1", ("l1", 400)), a_hold("h2", ("l1", 100)))
    accept(ledger, an_expiry(), now=LATER)
    assert the_lot(ledger, LATER).held_fen == 500
    (paid,) = accept(ledger, a_capture("h1", 150), now=LATER)
    assert paid.balances == {
        "held:l1": 100,
        "spent:l1": 150,
        "expired:l1": 750,
        "due:qingdao-2024": -150,
        "owed:qingdao-2024/platform": 150,
    }
    accept(ledger, a_release("h2"), now=LATER)
    last = the_lot(ledger, LATER)
    assert (last.available_fen, last.held_fen, last.spent_fen, last.expired_fen) == (0, 0, 150, 850)
    assert_sound(ledger)


@pytest.mark.parametrize(
    ("amount", "split"),
    [
        pytest.param(1_000, (200, 800), id="the whole hold"),
        pytest.param(999, (199, 800), id="a share is rounded down, cash pays the fen"),
        pytest.param(4, (0, 4), id="too small for a fen of voucher"),
        pytest.param(5, (1, 4), id="the first fen of voucher"),
        pytest.param(0, (0, 0), id="nothing used"),
    ],
)
def test_a_lot_pays_its_ratio_of_what_was_used(
    ledger: Engine, amount: int, split: tuple[int, int]
) -> None:
    accept(ledger, an_issue(ratio_den=5), a_deposit(800), a_hold("h1", ("l1", 200), (None, 800)))
    accept(ledger, a_capture("h1", amount))
    assert tuple(part.captured_fen for part in the_hold(ledger).slices) == split
    assert_sound(ledger)


def test_lots_are_drawn_by_rank_then_end_then_id_whatever_the_order_asked(ledger: Engine) -> None:
    sooner = LATER - timedelta(days=1)
    accept(
        ledger,
        an_issue("b"),
        an_issue("a"),
        an_issue("soon", expires_at=sooner),
        an_issue("first", rank=-1),
    )
    accept(ledger, a_hold("h1", ("b", 10), ("a", 10), ("soon", 10), ("first", 10)))
    accept(ledger, a_capture("h1", 25))
    paid = {part.lot_id: part.captured_fen for part in the_hold(ledger).slices}
    assert paid == {"first": 10, "soon": 10, "a": 5, "b": 0}
    with reading(ledger) as connection:
        drawn = [lot.id for lot in store.lots(connection, tenant_id="t1", now=START)]
    assert drawn == ["first", "soon", "a", "b"]


def test_two_partial_lots_hold_a_fen_of_cash_for_rounding(ledger: Engine) -> None:
    accept(ledger, an_issue("a", ratio_den=5), an_issue("b", ratio_num=3, ratio_den=10))
    accept(ledger, a_deposit(501), a_hold("h1", ("a", 200), ("b", 300), (None, 500)))
    assert cash(ledger) == 0
    accept(ledger, a_capture("h1", 999))
    assert [part.captured_fen for part in the_hold(ledger).slices] == [199, 299, 501]
    assert_sound(ledger)


def test_what_is_booked_is_undone_with_its_transaction(ledger: Engine) -> None:
    def fails(turn: Turn) -> None:
        accepted(apply(turn, [a_deposit(100)], START)[0])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        writer_of(ledger).write(fails)
    assert cash(ledger) == 0


def test_a_turn_that_has_ended_books_nothing(ledger: Engine) -> None:
    with writer_of(ledger).turn() as turn:
        pass
    with pytest.raises(AssertionError, match="has ended"):
        apply(turn, [a_deposit(100)], START)
    assert cash(ledger) == 0
    accept(ledger, a_deposit(100))
    assert assert_sound(ledger).head_seq == 1


def test_free_things_need_no_money(ledger: Engine) -> None:
    accept(ledger, a_hold("h1"), a_capture("h1", 0))
    assert the_hold(ledger).slices == ()
    assert_sound(ledger)


def test_an_empty_batch_does_nothing(ledger: Engine) -> None:
    assert book(ledger) == ()
    assert assert_sound(ledger).entries == 0


def test_a_batch_that_is_too_long_or_without_a_zone_is_a_callers_mistake(ledger: Engine) -> None:
    with pytest.raises(BadInput):
        book(ledger, *[a_deposit(1)] * 10_001)
    with pytest.raises(BadInput):
        book(ledger, a_deposit(1), now=START.replace(tzinfo=None))


def test_what_does_not_exist_is_not_found(ledger: Engine) -> None:
    with reading(ledger) as connection, pytest.raises(NotFound):
        store.find_hold(connection, "h9")
    with reading(ledger) as connection, pytest.raises(NotFound):
        store.find_lot(connection, "l9", START)


def test_reads_keep_tenants_apart(ledger: Engine) -> None:
    accept(ledger, an_issue(), an_issue("l2", tenant_id="t2"), a_deposit(7), a_deposit(9, "t2"))
    accept(ledger, a_hold("h1", ("l1", 5), (None, 7)))
    with reading(ledger) as connection:
        assert store.cash_by_tenant(connection) == {"t1": 0, "t2": 9}
        assert store.cash_held_fen(connection, "t1") == 7
        assert [lot.id for lot in store.lots(connection, now=START)] == ["l1", "l2"]
        assert [lot.id for lot in store.lots(connection, tenant_id="t2", now=START)] == ["l2"]
        assert [hold.id for hold in store.open_holds(connection, "t1")] == ["h1"]
        assert store.open_holds(connection, "t2") == ()
        assert [entry.seq for entry in store.entries(connection, "t2")] == [2, 4]
        assert [entry.seq for entry in store.entries(connection, None, 1, 2)] == [2, 3]
        with pytest.raises(BadInput):
            store.entries(connection, None, limit=0)
    assert the_hold(ledger).tenant_id == TenantId("t1")
