"""One process groups commands; whoever slept through its lease books nothing more."""

from datetime import timedelta

import pytest
from ledger_builders import START, a_deposit, add_tenants
from sqlalchemy import Engine

from suanwang.clock import VirtualClock
from suanwang.db.engine import reading
from suanwang.errors import Unavailable
from voucher import store, tenure
from voucher.ledger import Accepted
from voucher.writer import GroupWriter


@pytest.fixture
def ledger(engine: Engine) -> Engine:
    with engine.begin() as connection:
        add_tenants(connection, "t1")
    return engine


def cash(engine: Engine) -> int:
    with reading(engine) as connection:
        return store.cash_fen(connection, "t1")


def test_a_second_writer_waits_for_the_end_of_the_first(ledger: Engine) -> None:
    first, second = (GroupWriter(ledger, VirtualClock(START), name) for name in ("a", "b"))
    first.start()
    with pytest.raises(Unavailable, match="another process"):
        second.start()
    first.stop()
    second.start()
    assert isinstance(second.submit(a_deposit(5)).result(), Accepted)
    second.stop()
    assert cash(ledger) == 5


def test_a_writer_that_slept_through_its_lease_books_nothing(ledger: Engine) -> None:
    slept = GroupWriter(ledger, VirtualClock(START), "a")
    slept.start()
    later = VirtualClock(START + tenure.LEASE)
    awake = GroupWriter(ledger, later, "b")
    awake.start()
    with pytest.raises(tenure.NotWriting, match="newest is 2, of b"):
        slept.submit(a_deposit(5)).result()
    with pytest.raises(Unavailable, match="another process"):
        slept.submit(a_deposit(6)).result()
    assert isinstance(awake.submit(a_deposit(7)).result(), Accepted)
    awake.stop()
    assert isinstance(slept.submit(a_deposit(5)).result(), Accepted)
    slept.stop()
    assert cash(ledger) == 12


def test_a_lease_is_renewed_by_the_commits_themselves(ledger: Engine) -> None:
    clock = VirtualClock(START)
    writer = GroupWriter(ledger, clock, "a")
    writer.start()
    for number in range(4):
        clock.advance(10)
        writer.submit(a_deposit(1, key=f"d{number}")).result()
        with ledger.begin() as connection:
            assert tenure.take(connection, "b", clock.now() + timedelta(seconds=4)) is None
    writer.stop()
    assert cash(ledger) == 4


def test_the_epoch_grows_with_every_new_writer_and_only_then(ledger: Engine) -> None:
    with ledger.begin() as connection:
        assert tenure.take(connection, "a", START) == 1
        assert tenure.take(connection, "a", START + timedelta(seconds=1)) == 1
        assert tenure.take(connection, "b", START + timedelta(seconds=2)) is None
        assert tenure.take(connection, "b", START + timedelta(seconds=20)) == 2
        tenure.give_up(connection, 1)
        assert tenure.take(connection, "a", START + timedelta(seconds=21)) is None
        tenure.give_up(connection, 2)
        assert tenure.take(connection, "a", START + timedelta(seconds=21)) == 3
