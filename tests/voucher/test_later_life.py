"""More for a hold, money given back, clawed back and repaid, and periods that are closed."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_builders import (
    LATER,
    START,
    a_capture,
    a_clawback,
    a_close,
    a_deposit,
    a_hold,
    a_refund,
    a_release,
    a_repayment,
    accept,
    add_tenants,
    an_expiry,
    an_issue,
    book,
    more_for,
    refusal,
)
from sqlalchemy import Engine, delete, update
from tampering import tampering

from suanwang.db.engine import reading
from suanwang.db.tables import hold, ledger_period
from suanwang.model.voucher import Hold, Lot
from suanwang.units import share_fen
from voucher import store
from voucher.ledger import RefusalCode
from voucher.tender import Share, split, unwind


@pytest.fixture
def ledger(engine: Engine) -> Engine:
    """A lot of 10.00 yuan that pays one half, one of 1.00 that pays all, and 10.00 of cash."""
    with engine.begin() as connection:
        add_tenants(connection, "t1")
    accept(engine, an_issue("half", ratio_den=2), an_issue("whole", 100, rank=1), a_deposit(1_000))
    return engine


def the_lot(engine: Engine, lot_id: str = "half") -> Lot:
    with reading(engine) as connection:
        return store.find_lot(connection, lot_id, START)


def the_hold(engine: Engine, hold_id: str = "h1") -> Hold:
    with reading(engine) as connection:
        return store.find_hold(connection, hold_id)


def cash(engine: Engine) -> int:
    with reading(engine) as connection:
        return store.cash_fen(connection, "t1")


def slices(held: Hold) -> list[tuple[str | None, int]]:
    return [(part.lot_id, part.amount_fen) for part in held.slices]


def assert_sound(engine: Engine) -> store.LedgerCheck:
    with engine.begin() as connection:
        report = store.check(connection)
    assert report.findings == ()
    return report


# --- more for a hold ----------------------------------------------------------------------------


def test_more_is_added_to_the_slices_a_hold_has_and_to_new_ones(ledger: Engine) -> None:
    accept(ledger, a_hold("h1", ("half", 100), (None, 100)))
    accept(ledger, more_for("h1", ("whole", 60), ("half", 50), (None, 40)))
    assert slices(the_hold(ledger)) == [("half", 150), ("whole", 60), (None, 140)]
    accept(ledger, a_capture("h1", 350))
    assert cash(ledger) == 860
    assert assert_sound(ledger).spent_fen == 210


def test_more_can_come_in_the_batch_that_opened_the_hold_and_ends_it(ledger: Engine) -> None:
    accept(
        ledger,
        a_hold("h1", (None, 100)),
        more_for("h1", (None, 50)),
        more_for("h1", ("whole", 30), key="again"),
        a_capture("h1", 180),
    )
    assert the_hold(ledger).captured_fen == 180
    assert_sound(ledger)


def test_an_ended_lot_keeps_its_slice_but_adds_nothing(ledger: Engine) -> None:
    accept(ledger, a_hold("h1", ("half", 100), (None, 100)))
    outcomes = book(ledger, more_for("h1", ("half", 1), (None, 1)), now=LATER)
    refusal(outcomes, RefusalCode.LOT_EXPIRED)
    accept(ledger, more_for("h1", (None, 50)), now=LATER)
    assert slices(the_hold(ledger)) == [("half", 100), (None, 150)]
    assert_sound(ledger)


def test_the_reserve_for_rounding_grows_with_the_hold(ledger: Engine) -> None:
    accept(ledger, an_issue("fifth", ratio_num=1, ratio_den=5, rank=-2))
    accept(ledger, an_issue("tenths", ratio_num=3, ratio_den=10, rank=-1))
    accept(ledger, a_hold("h1", ("fifth", 100), (None, 400)))
    accept(ledger, more_for("h1", ("tenths", 300), ("fifth", 100), (None, 100)))
    assert slices(the_hold(ledger)) == [("fifth", 200), ("tenths", 300), (None, 501)]
    accept(ledger, a_capture("h1", 999))
    assert_sound(ledger)


# --- money given back ---------------------------------------------------------------------------


def test_a_refund_unwinds_the_slices_that_paid(ledger: Engine) -> None:
    accept(ledger, a_hold("h1", ("half", 200), (None, 200)), a_capture("h1", 400))
    (first,) = accept(ledger, a_refund("h1", 100))
    assert (the_lot(ledger).spent_fen, cash(ledger)) == (150, 850)
    accept(ledger, a_refund("h1", 300))
    assert (the_lot(ledger).available_fen, cash(ledger)) == (1_000, 1_000)
    refusal(book(ledger, a_refund("h1", 1)), RefusalCode.ABOVE_PAID)
    (again,) = accept(ledger, a_refund("h1", 100))
    assert (again.is_repeat, again.balances) == (True, first.balances)
    held = the_hold(ledger)
    assert (held.captured_fen, held.paid_fen, held.payee) == (400, 0, "platform")
    assert_sound(ledger)


def test_what_comes_back_to_an_ended_lot_is_expired(ledger: Engine) -> None:
    accept(ledger, a_hold("h1", ("whole", 80)), a_capture("h1", 80))
    accept(ledger, an_expiry("whole"), a_refund("h1", 30), now=LATER)
    report = assert_sound(ledger)
    assert (report.spent_fen, report.expired_fen) == (50, 50)


def test_a_refund_and_its_capture_can_share_a_batch(ledger: Engine) -> None:
    accept(ledger, a_hold("h1", ("whole", 80)), a_capture("h1", 80), a_refund("h1", 80))
    accept(ledger, a_hold("h2", ("whole", 100)), a_release("h2"))
    assert assert_sound(ledger).available_fen == 1_100


def test_a_payee_without_the_money_gives_nothing_back(ledger: Engine) -> None:
    accept(ledger, a_hold("h1", (None, 80)), a_capture("h1", 80))
    with tampering(ledger) as connection:
        connection.execute(update(hold).values(payee="nobody"))
    refused = refusal(book(ledger, a_refund("h1", 80)), RefusalCode.PAYEE_SHORT)
    assert refused.facts == {"available_fen": 0, "wanted_fen": 80}


RATIOS = st.sampled_from([(1, 1), (1, 2), (1, 5), (3, 10), (1, 3)])


@given(
    parts=st.lists(st.tuples(st.integers(0, 400), RATIOS), max_size=4),
    amount=st.integers(0, 3_000),
    backs=st.lists(st.integers(1, 500), max_size=6),
)
def test_refunds_are_exact_and_nobody_pays_more_than_before(
    parts: list[tuple[int, tuple[int, int]]], amount: int, backs: list[int]
) -> None:
    shares = [Share(slice_fen, *ratio) for slice_fen, ratio in parts]
    paid = split(amount, shares)
    for back in backs:
        left = max(0, sum(paid) - back)
        after = unwind(left, paid, shares)
        assert sum(after) == left
        assert all(0 <= now <= before for now, before in zip(after, paid, strict=True))
        partial = sum(share.is_partial for share in shares)
        for keeps, share in zip(after, shares, strict=False):
            assert keeps <= share_fen(left, share.ratio_num, share.ratio_den) + max(0, partial - 1)
        paid = after


# --- taken back ---------------------------------------------------------------------------------


def test_a_clawback_takes_what_is_left_first_and_then_makes_a_debt(ledger: Engine) -> None:
    accept(ledger, a_hold("h1", ("whole", 80)), a_capture("h1", 70))
    accept(ledger, a_clawback("whole", 50))
    lot = the_lot(ledger, "whole")
    assert (lot.available_fen, lot.spent_fen, lot.recalled_fen) == (0, 50, 50)
    with reading(ledger) as connection:
        assert store.debt_fen(connection, "t1") == 20
    report = assert_sound(ledger)
    assert (report.recalled_fen, report.owed_fen) == (50, 20)


def test_a_debt_is_cleared_by_repayments_and_by_nothing_else(ledger: Engine) -> None:
    accept(ledger, a_hold("h1", ("whole", 100)), a_capture("h1", 100), a_clawback("whole", 100))
    accept(ledger, a_deposit(500, key="later"))
    refusal(book(ledger, a_repayment(101, "whole")), RefusalCode.ABOVE_DEBT)
    refusal(book(ledger, a_repayment(-1, "whole")), RefusalCode.BAD_AMOUNT)
    accept(ledger, a_repayment(60, "whole"), a_repayment(40, "whole"))
    assert assert_sound(ledger).owed_fen == 0
    refusal(book(ledger, a_repayment(1, "whole")), RefusalCode.ABOVE_DEBT)
    assert cash(ledger) == 1_500


def test_held_money_is_not_taken_back_and_an_ended_lot_has_none_left(ledger: Engine) -> None:
    accept(ledger, a_hold("h1", ("whole", 60)))
    refusal(book(ledger, a_clawback("whole", 41)), RefusalCode.ABOVE_LOT)
    refusal(book(ledger, a_clawback("whole", 1), now=LATER), RefusalCode.ABOVE_LOT)
    accept(ledger, a_clawback("whole", 40), a_release("h1"))
    assert the_lot(ledger, "whole").available_fen == 60
    assert_sound(ledger)


# --- periods ------------------------------------------------------------------------------------

OCTOBER = START + timedelta(days=18)
NOVEMBER = OCTOBER + timedelta(days=30)


def test_a_closed_period_says_its_totals_and_never_changes(ledger: Engine) -> None:
    accept(ledger, a_hold("h1", ("whole", 60)), a_capture("h1", 50))
    (closed,) = accept(ledger, a_close("2026-10", OCTOBER), now=OCTOBER)
    assert closed.balances == {
        "bank": -1_000,
        "cash": 1_000,
        "budget": -1_100,
        "due": -50,
        "lot": 1_050,
        "owed": 50,
        "spent": 50,
    }
    accept(ledger, a_deposit(5, key="later"), now=OCTOBER)
    (again,) = accept(ledger, a_close("2026-10", OCTOBER), now=NOVEMBER)
    assert (again.is_repeat, again.balances) == (True, closed.balances)
    assert_sound(ledger)


def test_a_close_counts_what_came_before_it_in_its_batch(ledger: Engine) -> None:
    _, closed, _, second = accept(
        ledger,
        a_deposit(7, key="before"),
        a_close("2026-10", OCTOBER),
        a_deposit(8, key="after"),
        a_close("2026-11", NOVEMBER),
        now=NOVEMBER,
    )
    assert (closed.balances["cash"], second.balances["cash"]) == (1_007, 1_015)
    assert_sound(ledger)


def test_late_use_goes_into_the_open_period_and_names_the_closed_one(ledger: Engine) -> None:
    names = ["on time", "late", "at the end", "after", "unknown"]
    accept(ledger, *[a_hold(name, (None, 10)) for name in names])
    accept(ledger, a_capture("on time", 1, used_until=START), now=START)
    accept(ledger, a_close("2026-10", OCTOBER), now=OCTOBER)
    accept(
        ledger,
        a_capture("late", 1, used_until=START),
        a_capture("at the end", 1, used_until=OCTOBER),
        a_capture("after", 1, used_until=OCTOBER + timedelta(seconds=1)),
        a_capture("unknown", 1),
        now=OCTOBER,
    )
    with reading(ledger) as connection:
        late = {
            entry.key: entry.late_for
            for entry in store.entries(connection, "t1", 0, 100)
            if entry.kind == "capture"
        }
    assert late == {
        "capture:on time": "",
        "capture:late": "2026-10",
        "capture:at the end": "2026-10",
        "capture:after": "",
        "capture:unknown": "",
    }
    assert_sound(ledger)


def test_a_period_that_was_taken_out_of_its_table_is_missed(ledger: Engine) -> None:
    accept(ledger, a_close("2026-10", OCTOBER), now=OCTOBER)
    with tampering(ledger) as connection:
        connection.execute(delete(ledger_period))
    with ledger.begin() as connection:
        (finding,) = store.check(connection).findings
    assert finding == "period 2026-10: table and journal differ about entry 4"
