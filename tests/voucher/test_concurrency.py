"""Many writers at once spend no fen twice."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from ledger_builders import (
    START,
    TOOL,
    a_capture,
    a_deposit,
    a_hold,
    a_release,
    accept,
    add_tenants,
    an_issue,
    book,
)
from sqlalchemy import Engine

from suanwang.clock import VirtualClock
from suanwang.db.engine import reading
from suanwang.errors import Unavailable
from voucher import store
from voucher.ledger import Accepted, Command, RefusalCode
from voucher.writer import GroupWriter

THREADS = 64
TRIES = 3
COST_FEN = 10


@pytest.fixture
def ledger(engine: Engine) -> Engine:
    """One lot of 1.00 yuan and 0.50 of cash: 15 holds of 10 fen, and not one more."""
    with engine.begin() as connection:
        add_tenants(connection, "t1")
    accept(engine, an_issue(amount_fen=100), a_deposit(50))
    return engine


def spends(engine: Engine, thread: int) -> int:
    """Try to hold and pay again and again; return how often it went through."""
    paid = 0
    for turn in range(TRIES):
        for lot in ("l1", None):
            hold = f"h{thread}-{turn}-{lot}"
            outcomes = book(engine, a_hold(hold, (lot, COST_FEN)), a_capture(hold, COST_FEN))
            paid += all(isinstance(outcome, Accepted) for outcome in outcomes)
    return paid


def test_sixty_four_writers_never_overspend(ledger: Engine) -> None:
    with ThreadPoolExecutor(THREADS) as threads:
        paid = sum(threads.map(lambda thread: spends(ledger, thread), range(THREADS)))
    assert paid == 15
    with ledger.begin() as connection:
        report = store.check(connection)
    assert report.is_sound, report.findings
    assert (report.spent_fen, report.payable_fen, report.available_fen) == (100, 50, 0)


def test_one_hold_ended_by_sixty_four_writers_ends_once(ledger: Engine) -> None:
    accept(ledger, a_hold("h1", ("l1", 100)))
    ends: list[Command] = [
        a_capture("h1", 60, key=f"c{thread}") if thread % 2 else a_release("h1", key=f"r{thread}")
        for thread in range(THREADS)
    ]
    with ThreadPoolExecutor(THREADS) as threads:
        outcomes = [one for (one,) in threads.map(lambda end: book(ledger, end), ends)]
    assert sum(isinstance(outcome, Accepted) for outcome in outcomes) == 1
    refused = {outcome.code for outcome in outcomes if not isinstance(outcome, Accepted)}
    assert refused == {RefusalCode.HOLD_CLOSED}
    with ledger.begin() as connection:
        assert store.check(connection).is_sound


def test_one_request_sent_by_sixty_four_writers_is_booked_once(ledger: Engine) -> None:
    with ThreadPoolExecutor(THREADS) as threads:
        answers = threads.map(lambda _: book(ledger, a_deposit(7, key="same")), range(THREADS))
        accepted = [one for (one,) in answers if isinstance(one, Accepted)]
    assert len(accepted) == THREADS
    assert sum(not one.is_repeat for one in accepted) == 1
    assert len({(one.seq, *one.balances.items()) for one in accepted}) == 1
    with reading(ledger) as connection:
        assert store.cash_fen(connection, "t1") == 57


def test_the_check_is_sound_while_others_write(ledger: Engine) -> None:
    def write(thread: int) -> None:
        for turn in range(10):
            accept(ledger, a_deposit(1, key=f"d{thread}-{turn}"))

    with ThreadPoolExecutor(3) as threads:
        running = [threads.submit(write, thread) for thread in range(2)]
        while not all(one.done() for one in running):
            with ledger.begin() as connection:
                assert store.check(connection).findings == ()
    with ledger.begin() as connection:
        assert store.check(connection).entries == 22


def test_the_group_writer_answers_every_thread_once(ledger: Engine) -> None:
    writer = GroupWriter(ledger, VirtualClock(START), TOOL)
    writer.start()

    def spend(number: int) -> bool:
        held = writer.submit(a_hold(f"h{number}", ("l1", COST_FEN))).result()
        return isinstance(held, Accepted)

    with ThreadPoolExecutor(THREADS) as threads:
        held = sum(threads.map(spend, range(64)))
    writer.stop()
    writer.stop()
    assert held == 10
    with ledger.begin() as connection:
        report = store.check(connection)
    assert (report.is_sound, report.held_fen, report.holds_open) == (True, 100, 10)
    with pytest.raises(Unavailable):
        writer.submit(a_deposit(1))


def test_what_waits_when_the_writer_stops_is_still_booked(ledger: Engine) -> None:
    writer = GroupWriter(ledger, VirtualClock(START), TOOL)
    writer.start()
    answers = [writer.submit(a_deposit(1, key=f"d{number}")) for number in range(50)]
    writer.stop()
    assert all(isinstance(answer.result(timeout=0), Accepted) for answer in answers)


def test_a_failed_group_tells_every_caller(ledger: Engine) -> None:
    class BreakingClock(VirtualClock):
        is_broken = False

        def now(self) -> datetime:
            if self.is_broken:
                raise OSError("no time")
            return super().now()

    clock = BreakingClock(START + timedelta(days=1))
    writer = GroupWriter(ledger, clock)
    writer.start()
    clock.is_broken = True
    answer = writer.submit(a_deposit(1))
    with pytest.raises(OSError, match="no time"):
        answer.result(timeout=10)
    writer.stop()
