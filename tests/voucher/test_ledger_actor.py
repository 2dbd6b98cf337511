"""Who caused an entry stands beside it for ever; what the centre does by itself has nobody."""

import pytest
from ledger_builders import START, a_deposit, accepted, add_tenants, an_issue, writer_of
from sqlalchemy import Engine, delete, func, select, update
from sqlalchemy.exc import DBAPIError

from suanwang.db.engine import reading, writing
from suanwang.db.tables import ledger_actor
from suanwang.model.tenant import Role
from voucher import store
from voucher.actor import Actor
from voucher.ledger import Accepted, Command, Outcome, apply

BOSS = Actor(person="key_1", tenant_id="platform", role=Role.ADMIN)
OTHER = Actor(person="key_2", tenant_id="platform", role=Role.ADMIN)


@pytest.fixture
def ledger(engine: Engine) -> Engine:
    with engine.begin() as connection:
        add_tenants(connection, "t1", "t2")
    return engine


def asked(engine: Engine, by: Actor | None, *batch: Command) -> list[Accepted]:
    return [accepted(one) for one in book_by(engine, by, *batch)]


def book_by(engine: Engine, by: Actor | None, *batch: Command) -> tuple[Outcome, ...]:
    with writer_of(engine).turn() as turn:
        return apply(turn, batch, START, by)


def told(engine: Engine) -> list[tuple[int, Actor | None]]:
    with reading(engine) as connection:
        return [(one.seq, one.by) for one in store.entries(connection, None)]


def test_each_entry_of_a_batch_names_who_asked_and_the_centres_own_nobody(ledger: Engine) -> None:
    asked(ledger, BOSS, an_issue(), a_deposit())
    asked(ledger, None, a_deposit(key="d2"))
    assert told(ledger) == [(1, BOSS), (2, BOSS), (3, None)]


def test_a_repeat_by_somebody_else_books_nothing_and_keeps_the_first(ledger: Engine) -> None:
    asked(ledger, BOSS, a_deposit())
    (again,) = asked(ledger, OTHER, a_deposit())
    assert again.is_repeat
    assert told(ledger) == [(1, BOSS)]


def test_a_refused_command_names_nobody(ledger: Engine) -> None:
    book_by(ledger, BOSS, a_deposit(amount_fen=0))
    with reading(ledger) as connection:
        assert connection.execute(select(func.count()).select_from(ledger_actor)).scalar_one() == 0


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(update(ledger_actor).values(person="key_2"), id="update"),
        pytest.param(delete(ledger_actor), id="delete"),
    ],
)
def test_the_database_refuses_to_change_who_it_was(ledger: Engine, change: object) -> None:
    asked(ledger, BOSS, a_deposit())
    with pytest.raises(DBAPIError, match="never changed"), writing(ledger) as connection:
        connection.execute(change)  # type: ignore[call-overload]  # an update or a delete
    assert told(ledger) == [(1, BOSS)]


def test_the_books_are_sound_with_and_without_names(ledger: Engine) -> None:
    asked(ledger, BOSS, an_issue())
    asked(ledger, None, a_deposit())
    with reading(ledger) as connection:
        assert store.check(connection).findings == ()
