"""One process writes; whoever slept through its lease writes nothing more."""

from datetime import timedelta

import pytest
from ledger_builders import START, a_deposit, add_tenants
from sqlalchemy import Connection, Engine

from suanwang.clock import VirtualClock
from suanwang.db.engine import reading
from suanwang.errors import Unavailable
from voucher import store, store_writer, tenure
from voucher.ledger import Accepted, apply
from voucher.tenure import Candidate, NotWriting
from voucher.writer import DirectWriter, GroupWriter


@pytest.fixture
def ledger(engine: Engine) -> Engine:
    with engine.begin() as connection:
        add_tenants(connection, "t1")
    return engine


def cash(engine: Engine) -> int:
    with reading(engine) as connection:
        return store.cash_fen(connection, "t1")


def a_writer(engine: Engine, clock: VirtualClock, name: str) -> GroupWriter:
    """A started writer that others reach at an address of its name."""
    made = GroupWriter(engine, clock, Candidate(name=name, url=f"http://{name}"))
    made.start()
    return made


def test_a_second_writer_waits_for_the_end_of_the_first(ledger: Engine) -> None:
    clock = VirtualClock(START)
    first, second = a_writer(ledger, clock, "a"), a_writer(ledger, clock, "b")
    assert (first.epoch, first.elsewhere) == (1, None)
    assert second.epoch is None
    assert second.elsewhere is not None
    assert second.elsewhere.url == "http://a"
    with pytest.raises(NotWriting, match="a does"):
        second.submit(a_deposit(5))
    first.stop()
    second.stop()
    third = a_writer(ledger, clock, "c")
    assert third.epoch == 2
    assert isinstance(third.submit(a_deposit(5)).result(), Accepted)
    third.stop()
    assert cash(ledger) == 5


def test_a_writer_that_slept_through_its_lease_writes_nothing(ledger: Engine) -> None:
    slept = a_writer(ledger, VirtualClock(START), "a")
    awake = a_writer(ledger, VirtualClock(START + tenure.LEASE), "b")
    ran: list[int] = []
    with pytest.raises(NotWriting, match="newest is 2, of b"):
        slept.write(lambda turn: ran.append(turn.epoch))
    with pytest.raises(NotWriting):
        slept.submit(a_deposit(6)).result()
    assert ran == []
    assert isinstance(awake.submit(a_deposit(7)).result(), Accepted)
    awake.stop()
    slept.stop()
    assert cash(ledger) == 7


def test_a_whole_group_of_an_old_epoch_is_refused(ledger: Engine) -> None:
    clock = VirtualClock(START)
    first = a_writer(ledger, clock, "c")
    with ledger.begin() as connection:
        tenure.give_up(connection, first.epoch or 0)
        tenure.take(connection, Candidate(name="d"), clock.now())
    answers = [first.submit(a_deposit(1, key=f"d{number}")) for number in range(5)]
    for answer in answers:
        with pytest.raises(NotWriting):
            answer.result(10)
    first.stop()
    assert cash(ledger) == 0


def test_a_lease_is_renewed_by_the_commits_themselves(ledger: Engine) -> None:
    clock = VirtualClock(START)
    writer = a_writer(ledger, clock, "a")
    for number in range(4):
        clock.advance(10)
        writer.submit(a_deposit(1, key=f"d{number}")).result()
        with ledger.begin() as connection:
            later = clock.now() + timedelta(seconds=4)
            assert tenure.take(connection, Candidate(name="b"), later).writer == "a"
    writer.stop()
    assert cash(ledger) == 4


def test_a_writer_takes_over_once_the_lease_has_ended(ledger: Engine) -> None:
    clock = VirtualClock(START)
    with ledger.begin() as connection:
        tenure.take(connection, Candidate(name="dead", lease=timedelta(seconds=1)), clock.now())
    heir = a_writer(ledger, clock, "heir")
    assert heir.elsewhere is not None
    clock.advance(1)
    until_writing(heir)
    assert heir.tenure.epoch == 2
    heir.stop()


def until_writing(writer: GroupWriter) -> None:
    """Ask a writer to look at the lease until it has it."""
    while writer.epoch is None:
        writer.nudge()


def test_the_epoch_grows_with_every_new_writer_and_only_then(ledger: Engine) -> None:
    def take(connection: Connection, name: str, second: float) -> int | None:
        found = tenure.take(connection, Candidate(name=name), START + timedelta(seconds=second))
        return found.epoch if found.writer == name else None

    with ledger.begin() as connection:
        assert take(connection, "a", 0) == 1
        assert take(connection, "a", 1) == 1
        assert take(connection, "b", 2) is None
        assert take(connection, "b", 20) == 2
        tenure.give_up(connection, 1)
        assert take(connection, "a", 21) is None
        tenure.give_up(connection, 2)
        assert take(connection, "a", 21) == 3
        assert take(connection, "a", 60) == 4
        assert take(connection, "a", 0) == 4
        assert take(connection, "b", 70) is None
        assert store_writer.read_tenure(connection).writer == "a"


def test_who_is_alone_on_a_database_does_not_wait_for_a_dead_ones_lease(ledger: Engine) -> None:
    with ledger.begin() as connection:
        tenure.take(connection, Candidate(name="dead"), START)
        taken = tenure.take(connection, Candidate(name="heir", is_alone=True), START)
    assert (taken.writer, taken.epoch) == ("heir", 2)


def test_a_tool_is_refused_while_the_centre_writes(ledger: Engine) -> None:
    clock = VirtualClock(START)
    centre = a_writer(ledger, clock, "centre")
    tool = DirectWriter(ledger, clock)
    with pytest.raises(NotWriting, match="centre writes the ledger"):
        tool.write(lambda turn: apply(turn, [a_deposit(1)], START))
    assert tool.epoch is None
    centre.stop()
    assert isinstance(tool.submit(a_deposit(1)).result(), Accepted)
    assert cash(ledger) == 1


def test_who_asks_a_closed_writer_is_told(ledger: Engine) -> None:
    writer = a_writer(ledger, VirtualClock(START), "a")
    writer.stop()
    with pytest.raises(Unavailable, match="closed"):
        writer.write(lambda turn: turn.epoch)
