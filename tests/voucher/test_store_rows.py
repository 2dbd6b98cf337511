"""Rows that are written many at a time arrive as they were given, on both databases."""

from datetime import timedelta

import pytest
from ledger_builders import START, add_tenants
from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError

from suanwang.db.engine import reading, writing
from suanwang.db.tables import account, hold, journal
from voucher import store_rows
from voucher.store_rows import Change, Value, change_rows, dialect, insert_rows, moment_text

Row = tuple[Value, ...]
TEXTS = ["", "plain", "a\tb\n", '{"quoted":"\\"x\\"\\\\"}', "{1,NULL}", "企业 é", "null", "'; --"]


def an_entry(engine: Engine, seq: int, text: str) -> Row:
    with reading(engine) as connection:
        at = moment_text(START + timedelta(microseconds=seq), dialect(connection))
    return (seq, f"key-{seq}", "kind", text, at, text, "digest", text, text, text, "chain")


def some_accounts(engine: Engine) -> None:
    with writing(engine) as connection:
        insert_rows(connection, account, [(f"cash:{n}", "cash", n, 1) for n in range(4)])


@pytest.mark.parametrize("texts", [*([text] for text in TEXTS), TEXTS], ids=repr)
def test_every_text_and_moment_comes_back(engine: Engine, texts: list[str]) -> None:
    with writing(engine) as connection:
        rows = [an_entry(engine, seq, text) for seq, text in enumerate(texts, 1)]
        insert_rows(connection, journal, rows)
        wanted = select(journal.c.body, journal.c.late_for, journal.c.at).order_by(journal.c.seq)
        found = connection.execute(wanted).all()
    moments = [START + timedelta(microseconds=seq) for seq in range(1, len(texts) + 1)]
    assert [tuple(row) for row in found] == list(zip(texts, texts, moments, strict=True))


def test_nothing_is_not_an_empty_text(engine: Engine) -> None:
    with writing(engine) as connection:
        add_tenants(connection, "t1")
        at = moment_text(START, dialect(connection))
        rows: list[Row] = [
            ("h1", "t1", "a1", "open", None, "[]", at, None),
            ("h2", "t1", "a2", "captured", "", "[]", at, at),
        ]
        insert_rows(connection, hold, rows)
        wanted = select(hold.c.payee, hold.c.closed_at).order_by(hold.c.id)
        found = connection.execute(wanted).all()
    assert [tuple(row) for row in found] == [(None, None), ("", START)]


def test_only_rows_that_are_as_they_were_read_are_changed(engine: Engine) -> None:
    some_accounts(engine)
    change = Change(account, sets=("balance_fen",), where=("id", "balance_fen"))
    with writing(engine) as connection:
        wanted: list[Row] = [(10, "cash:0", 0), (11, "cash:1", 99), (13, "cash:3", 3)]
        assert change_rows(connection, change, wanted) == 2
        rows = connection.execute(select(account.c.balance_fen).order_by(account.c.id))
        assert list(rows.scalars()) == [10, 1, 2, 13]


def test_no_rows_are_no_statement(engine: Engine) -> None:
    change = Change(account, sets=("balance_fen",), where=("id",))
    with writing(engine) as connection:
        insert_rows(connection, account, [])
        assert change_rows(connection, change, []) == 0


@pytest.mark.postgresql
def test_a_separator_inside_a_text_is_refused(postgres_engine: Engine) -> None:
    rows = [an_entry(postgres_engine, seq, "") for seq in (1, 2)]
    torn = (*rows[0][:5], f"a{store_rows.SEPARATOR}b", *rows[0][6:])
    with pytest.raises(DBAPIError, match="null value"), writing(postgres_engine) as connection:
        insert_rows(connection, journal, [torn, rows[1]])
