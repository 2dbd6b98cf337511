"""Units of work of many callers in one transaction: each stands or falls alone."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from random import Random

import pytest
from ledger_builders import START, a_capture, a_deposit, a_hold, add_tenants
from sqlalchemy import Connection, Engine, event, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError

from suanwang.clock import SystemClock, VirtualClock
from suanwang.db.engine import reading
from suanwang.db.tables import tenant
from suanwang.errors import Refused, Unavailable
from voucher import store, store_writer, writer
from voucher.check import check
from voucher.group import GroupDone
from voucher.ledger import Accepted, Outcome, Refusal, apply
from voucher.turn import Turn
from voucher.writer import DirectWriter, GroupWriter

THREADS = 64


class Seen:
    """Keeps what a writer says about its groups."""

    def __init__(self) -> None:
        self.groups: list[GroupDone] = []
        self.refused = 0

    def group_done(self, done: GroupDone) -> None:
        self.groups.append(done)

    def turned_away(self) -> None:
        self.refused += 1


@pytest.fixture
def ledger(engine: Engine) -> Engine:
    with engine.begin() as connection:
        add_tenants(connection, "t1", "t2")
    return engine


@contextmanager
def writing_to(
    engine: Engine, seen: Seen | None = None, waiting_max: int = 1_000
) -> Iterator[GroupWriter]:
    made = GroupWriter(engine, VirtualClock(START), None, seen, waiting_max)
    made.start()
    try:
        yield made
    finally:
        made.stop()


@contextmanager
def held_up(group_writer: GroupWriter) -> Iterator[None]:
    """Keep the writer busy, so that what is asked meanwhile comes into one group."""
    begun, go = threading.Event(), threading.Event()

    def wait(_turn: Turn) -> None:
        begun.set()
        go.wait(30)

    first = group_writer.ask(wait)
    assert begun.wait(30)
    try:
        yield
    finally:
        go.set()
        first.result(30)


def cash(engine: Engine, tenant_id: str = "t1") -> int:
    with reading(engine) as connection:
        return store.cash_fen(connection, tenant_id)


def rename(connection: Connection, name: str, tenant_id: str = "t1") -> None:
    connection.execute(update(tenant).where(tenant.c.id == tenant_id).values(name=name))


def name_of(engine: Engine, tenant_id: str = "t1") -> str:
    with reading(engine) as connection:
        found: str = connection.execute(
            select(tenant.c.name).where(tenant.c.id == tenant_id)
        ).scalar_one()
        return found


def deposits(amount_fen: int, key: str) -> Callable[[Turn], Outcome]:
    """A unit that renames the tenant and books cash."""

    def work(turn: Turn) -> Outcome:
        rename(turn.connection, key)
        (outcome,) = apply(turn, [a_deposit(amount_fen, key=key)], START)
        return outcome

    return work


def breaks(failure: Exception) -> Callable[[Turn], None]:
    """A unit that books and renames, and then fails."""

    def work(turn: Turn) -> None:
        deposits(1_000, "never")(turn)
        raise failure

    return work


def contradicts(turn: Turn) -> None:
    """A unit that the database refuses in the middle."""
    deposits(1_000, "never")(turn)
    add_tenants(turn.connection, "t1")


def swallows(turn: Turn) -> None:
    """A unit that hides the database's refusal from the writer."""
    try:
        contradicts(turn)
    except IntegrityError:
        return


def test_rows_and_money_of_a_unit_are_written_together(ledger: Engine) -> None:
    with writing_to(ledger) as group_writer:
        assert isinstance(group_writer.write(deposits(5, "d1")), Accepted)
        assert (cash(ledger), name_of(ledger)) == (5, "d1")


@pytest.mark.parametrize(
    ("fails", "failure"),
    [
        pytest.param(breaks(Refused("no")), Refused, id="a refusal"),
        pytest.param(breaks(ZeroDivisionError()), ZeroDivisionError, id="a bug"),
        pytest.param(contradicts, IntegrityError, id="a row that contradicts another"),
    ],
)
def test_a_unit_that_fails_leaves_its_neighbours_alone(
    ledger: Engine, fails: Callable[[Turn], None], failure: type[Exception]
) -> None:
    seen = Seen()
    with writing_to(ledger, seen) as group_writer:
        with held_up(group_writer):
            before = group_writer.ask(deposits(1, "before"))
            bare = group_writer.submit(a_deposit(2, key="bare"))
            failing = group_writer.ask(fails)
            after = group_writer.ask(deposits(4, "after"))
        assert isinstance(before.result(30), Accepted)
        assert isinstance(bare.result(30), Accepted)
        assert isinstance(after.result(30), Accepted)
        with pytest.raises(failure):
            failing.result(30)
    assert (cash(ledger), name_of(ledger)) == (7, "after")
    group = seen.groups[1]
    assert (group.units, group.commands, group.failed, group.is_committed) == (3, 1, 1, True)
    with reading(ledger) as connection:
        assert check(connection).entries == 3


@pytest.mark.postgresql
def test_a_unit_that_hides_a_failed_statement_is_not_taken_for_written(
    postgres_engine: Engine,
) -> None:
    """PostgreSQL would commit its transaction as nothing, without a word."""
    with postgres_engine.begin() as connection:
        add_tenants(connection, "t1")
    with writing_to(postgres_engine) as group_writer:
        with pytest.raises(Exception, match="aborted"):
            group_writer.write(swallows)
        assert isinstance(group_writer.write(deposits(5, "d1")), Accepted)
    assert cash(postgres_engine) == 5


def test_a_command_that_breaks_the_batch_is_told_alone(ledger: Engine) -> None:
    with writing_to(ledger) as group_writer:
        with held_up(group_writer):
            sound = [group_writer.submit(a_deposit(1, key=f"d{one}")) for one in range(3)]
            odd = group_writer.submit("no command")  # type: ignore[arg-type]  # that is the point
        assert all(isinstance(one.result(30), Accepted) for one in sound)
        with pytest.raises((AttributeError, AssertionError, KeyError, TypeError)):
            odd.result(30)
    assert cash(ledger) == 3


def test_nobody_is_answered_before_the_commit(ledger: Engine) -> None:
    asked: list[Future[Outcome]] = []
    seen_at_commit: list[bool] = []

    def look(_connection: Connection) -> None:
        seen_at_commit.append(any(one.done() for one in asked))

    with writing_to(ledger) as group_writer:
        event.listen(ledger, "commit", look)
        with held_up(group_writer):
            asked += [
                group_writer.ask(deposits(1, "d1")),
                group_writer.submit(a_deposit(1, key="d2")),
                group_writer.submit(a_hold("h1", (None, 1_000))),
            ]
        for one in asked:
            one.result(30)
        event.remove(ledger, "commit", look)
    assert seen_at_commit == [False, False]


def test_the_queue_is_served_in_the_order_in_which_it_came(ledger: Engine) -> None:
    order: list[int] = []
    with writing_to(ledger) as group_writer:
        with held_up(group_writer):
            asked = [
                group_writer.ask(lambda _turn, number=number: order.append(number))  # type: ignore[misc]
                for number in range(50)
            ]
        for one in asked:
            one.result(30)
    assert order == list(range(50))


def test_more_than_may_wait_are_turned_away(ledger: Engine) -> None:
    seen = Seen()
    with writing_to(ledger, seen, waiting_max=3) as group_writer:
        with held_up(group_writer):
            asked = [group_writer.submit(a_deposit(1, key=f"d{one}")) for one in range(3)]
            with pytest.raises(Unavailable, match="3 wait for the ledger already") as refusal:
                group_writer.submit(a_deposit(1, key="d3"))
        assert all(isinstance(one.result(30), Accepted) for one in asked)
    assert refusal.value.facts["retry_after_s"] == 1
    assert seen.refused == 1
    assert cash(ledger) == 3


def test_a_writer_that_stops_while_it_is_full_writes_what_waits(ledger: Engine) -> None:
    made = GroupWriter(ledger, VirtualClock(START), waiting_max=3)
    made.start()
    with held_up(made):
        asked = [made.submit(a_deposit(1, key=f"d{one}")) for one in range(3)]
        stopping = threading.Thread(target=made.stop)
        stopping.start()
    stopping.join(30)
    assert all(isinstance(one.result(0), Accepted) for one in asked)
    assert cash(ledger) == 3


def test_who_waits_too_long_is_told_that_nothing_was_booked(
    ledger: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "WAIT_S", 0.01)
    with writing_to(ledger) as group_writer:
        with held_up(group_writer), pytest.raises(Unavailable, match="nothing was booked"):
            group_writer.write(deposits(5, "late"))
        assert isinstance(group_writer.ask(deposits(7, "d")).result(30), Accepted)
    assert cash(ledger) == 7


def test_a_unit_may_not_ask_for_another(ledger: Engine) -> None:
    with writing_to(ledger) as group_writer, pytest.raises(AssertionError, match="another"):
        group_writer.write(lambda _turn: group_writer.write(deposits(1, "d")))


def test_a_unit_that_wants_to_be_alone_has_a_transaction_of_its_own(ledger: Engine) -> None:
    seen = Seen()
    with writing_to(ledger, seen) as group_writer:
        with held_up(group_writer):
            asked = [
                group_writer.ask(deposits(1, f"d{number}"), alone=number == 1)
                for number in range(4)
            ]
        for one in asked:
            one.result(30)
    assert [group.units for group in seen.groups] == [1, 1, 1, 2]


@pytest.mark.parametrize(
    ("when", "fate"),
    [
        pytest.param("before", "nothing was booked", id="before the commit"),
        pytest.param("commit", "nobody knows", id="in the commit"),
    ],
)
def test_a_database_that_goes_away_is_told_with_what_is_known(
    ledger: Engine, when: str, fate: str
) -> None:
    with writing_to(ledger) as group_writer:

        def go_away(_connection: Connection) -> None:
            raise OperationalError("COMMIT", {}, Exception("gone"))

        def unit(turn: Turn) -> Outcome:
            if when == "before":
                turn.connection.invalidate()
            return deposits(5, "d1")(turn)

        if when == "commit":
            event.listen(ledger, "commit", go_away)
        with pytest.raises(Unavailable, match=fate) as told:
            group_writer.write(unit)
        assert told.value.next_step == "send the same request again"
        if when == "commit":
            event.remove(ledger, "commit", go_away)
        when = "never"
        again = group_writer.write(unit)
        assert isinstance(again, Accepted)
    assert cash(ledger) == 5


@pytest.mark.postgresql
def test_a_unit_that_meets_a_deadlock_is_tried_again_and_its_neighbours_stand(
    postgres_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else holds t2 and wants t1; the group holds t1 and wants t2."""
    monkeypatch.setattr(store_writer, "LOCK_WAIT_MS", 20_000)
    with postgres_engine.begin() as connection:
        add_tenants(connection, "t1", "t2")
    clock = SystemClock()
    with postgres_engine.connect() as other, writing_to(postgres_engine) as group_writer:
        rename(other, "other", "t2")
        pid = other.execute(text("select pg_backend_pid()")).scalar_one()
        ended: list[str] = []

        def want_t1() -> None:
            try:
                rename(other, "other", "t1")
                other.commit()
                ended.append("committed")
            except OperationalError:
                other.rollback()
                ended.append("deadlock")

        stranger = threading.Thread(target=want_t1)

        def want_t2(turn: Turn) -> None:
            if not stranger.ident:
                stranger.start()
                blocked = text("select cardinality(pg_blocking_pids(:pid))").bindparams(pid=pid)
                while not turn.connection.execute(blocked).scalar_one():
                    clock.sleep(0.01)
            rename(turn.connection, "group", "t2")

        with held_up(group_writer):
            first = group_writer.ask(deposits(5, "group"))
            second = group_writer.ask(want_t2)
            third = group_writer.submit(a_deposit(7, key="third"))
        assert isinstance(first.result(30), Accepted)
        second.result(30)
        assert isinstance(third.result(30), Accepted)
        stranger.join(30)
    assert ended in (["committed"], ["deadlock"])
    assert (cash(postgres_engine), name_of(postgres_engine, "t2")) == (12, "group")


@pytest.mark.postgresql
def test_a_row_that_stays_locked_is_given_up_after_some_tries(
    postgres_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_writer, "LOCK_WAIT_MS", 50)
    with postgres_engine.begin() as connection:
        add_tenants(connection, "t1", "t2")
    with postgres_engine.connect() as other, writing_to(postgres_engine) as group_writer:
        rename(other, "other", "t2")
        with held_up(group_writer):
            sound = group_writer.ask(deposits(5, "d"))
            stuck = group_writer.ask(lambda turn: rename(turn.connection, "group", "t2"))
        assert isinstance(sound.result(30), Accepted)
        with pytest.raises(Unavailable, match="in 3 tries; nothing was booked"):
            stuck.result(30)
        other.rollback()
    assert cash(postgres_engine) == 5


def test_sixty_four_callers_of_mixed_units_never_overspend(ledger: Engine) -> None:
    with DirectWriter(ledger, VirtualClock(START)).turn() as turn:
        apply(turn, [a_deposit(1_000, key="first")], START)
    seen = Seen()
    made = GroupWriter(ledger, VirtualClock(START), observer=seen)
    clock_later = START + timedelta(seconds=20)
    made = GroupWriter(ledger, VirtualClock(clock_later), observer=seen)
    made.start()

    def act(thread: int) -> int:
        random, paid = Random(thread), 0
        for turn_number in range(8):
            name = f"h{thread}-{turn_number}"

            def spend(turn: Turn, name: str = name) -> bool:
                rename(turn.connection, name)
                held, ended = apply(
                    turn, [a_hold(name, (None, 10)), a_capture(name, 10)], clock_later
                )
                if isinstance(held, Refusal) or isinstance(ended, Refusal):
                    raise Refused("no money")
                return True

            kind = random.choice(("spend", "bare", "break"))
            try:
                if kind == "spend":
                    paid += made.write(spend, alone=random.random() < 0.1)
                elif kind == "bare":
                    made.submit(a_deposit(1, tenant_id="t2", key=name)).result(60)
                else:
                    made.write(contradicts)
            except (Refused, IntegrityError):
                continue
        return paid

    with ThreadPoolExecutor(THREADS) as threads:
        paid = sum(threads.map(act, range(THREADS)))
    made.stop()
    assert paid == 100
    with reading(ledger) as connection:
        report = check(connection)
    assert report.is_sound, report.findings
    assert report.payable_fen == 1_000
    assert max(group.units + group.commands for group in seen.groups) > 1
