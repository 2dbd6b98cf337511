"""Writes for the ledger's door: one batch's entries, and the balances that follow from them.

Nothing else in the product writes these tables. A balance is changed only from the value that the
decision was based on; if another writer had come between, the row would not match and the batch
would fail as a whole.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import (
    JSON,
    ColumnClause,
    ColumnElement,
    Connection,
    Insert,
    Table,
    TableValuedAlias,
    Text,
    Update,
    bindparam,
    cast,
    column,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import sqlite

from suanwang.db.tables import account, hold, hold_slice, journal, ledger_head, lot, posting
from suanwang.db.types import UtcDateTime
from suanwang.errors import Conflict
from suanwang.model.voucher import Hold, HoldState
from voucher.book import UNGUARDED, Book, kind_of
from voucher.chain import Entry
from voucher.commands import Issue
from voucher.store_book import HEAD_ID, Dialect, Head, dialect

Row = Mapping[str, object]
Given = Mapping[str, ColumnElement[Any]]


@dataclass(frozen=True, slots=True)
class Sealed:
    """An entry with its digest and its link."""

    entry: Entry
    digest: str
    chain: str


@dataclass(slots=True, kw_only=True)
class Writes:
    """What a batch has to write; ``opened`` and ``closed`` may name the same hold."""

    sealed: list[Sealed] = field(default_factory=list)
    lots: list[tuple[Issue, datetime]] = field(default_factory=list)
    opened: dict[str, Hold] = field(default_factory=dict)
    closed: dict[str, Hold] = field(default_factory=dict)


def write(
    connection: Connection, former: Head, writes: Writes, before: Mapping[str, int], book: Book
) -> None:
    """Write a batch; ``before`` has the balances it met, ``book`` those that it leaves.

    Raise Conflict when the tables are not as they were read: the caller's transaction must end.
    """
    _write_balances(connection, before, book)
    _insert(connection, lot, [_lot_row(issued, at) for issued, at in writes.lots])
    _write_holds(connection, writes)
    _insert(connection, journal, [_journal_row(sealed) for sealed in writes.sealed])
    _insert(connection, posting, _posting_rows(writes.sealed))
    newest = writes.sealed[-1]
    moved = connection.execute(
        update(ledger_head)
        .where(ledger_head.c.id == HEAD_ID, ledger_head.c.seq == former.seq)
        .values(seq=newest.entry.seq, chain=newest.chain)
    )
    _expect(moved.rowcount, 1, "the end of the chain")


def _write_balances(connection: Connection, before: Mapping[str, int], book: Book) -> None:
    changed: list[Row] = [
        {"of": name, "before": before[name], "after": after}
        for name, after in book.balances.items()
        if name in before and before[name] != after
    ]
    created: list[Row] = [
        {
            "id": name,
            "kind": kind_of(name),
            "balance_fen": after,
            "is_guarded": int(kind_of(name) not in UNGUARDED),
        }
        for name, after in book.balances.items()
        if name not in before
    ]
    _insert(connection, account, created)
    _update(connection, "balances", _balance_update(dialect(connection)), changed)


def _write_holds(connection: Connection, writes: Writes) -> None:
    fresh = [writes.closed.get(hold_id, opened) for hold_id, opened in writes.opened.items()]
    _insert(connection, hold, [_hold_row(one) for one in fresh])
    _insert(connection, hold_slice, [row for one in fresh for row in _slice_rows(one)])
    ended = [one for hold_id, one in writes.closed.items() if hold_id not in writes.opened]
    endings: list[Row] = [
        {"of": one.id, "ends_as": one.state.value, "ended_at": one.closed_at} for one in ended
    ]
    _update(connection, "holds", _hold_update(dialect(connection)), endings)
    paid: list[Row] = [
        {"of": one.id, "nth": seq, "paid": part.captured_fen}
        for one in ended
        for seq, part in enumerate(one.slices, 1)
        if part.captured_fen
    ]
    _update(connection, "slices", _slice_update(dialect(connection)), paid)


def _expect(matched: int, wanted: int, what: str) -> None:
    if matched != wanted:
        raise Conflict(
            f"the ledger's {what} were changed by another writer: {matched} of {wanted} matched",
            next_step="roll back and run `suanwang voucher check`",
            matched=matched,
            wanted=wanted,
        )


def _insert(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows: one by one inside SQLite, as one JSON document on PostgreSQL.

    A document is several times faster there than a statement a row or arrays of values.
    """
    if not rows:
        return
    if table is lot:
        connection.execute(insert(table), [dict(row) for row in rows])
        return
    if dialect(connection) == "sqlite":
        names, statement = _insert_row(table)
        values = [tuple(_sqlite_value(row[name]) for name in names) for row in rows]
        connection.exec_driver_sql(statement, values)
        return
    connection.execute(_insert_document(table), {"document": _document(rows)})


@cache
def _insert_row(table: Table) -> tuple[tuple[str, ...], str]:
    """Return the columns and the compiled statement: SQLAlchemy's work is done once, not a row."""
    compiled = insert(table).compile(dialect=sqlite.dialect())
    return tuple(compiled.positiontup or ()), str(compiled)


def _sqlite_value(value: object) -> object:
    return _sqlite_moment(value) if isinstance(value, datetime) else value


@lru_cache(maxsize=64)
def _sqlite_moment(moment: datetime) -> object:
    process = UtcDateTime().bind_processor(sqlite.dialect())
    return process(moment) if process else moment


def _document(rows: Sequence[Row]) -> str:
    return json.dumps(rows, ensure_ascii=False, default=_plain)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} has no place in a document")


def _records(columns: Sequence[ColumnClause[Any]]) -> TableValuedAlias:
    document = cast(bindparam("document", type_=Text), JSON)
    rows = func.json_to_recordset(document).table_valued(*columns)
    return rows.render_derived(with_types=True)


@cache
def _insert_document(table: Table) -> Insert:
    rows = _records([column(one.name, one.type) for one in table.c])
    return insert(table).from_select([one.name for one in table.c], select(*rows.c))


def _update(connection: Connection, what: str, statement: Update, rows: Sequence[Row]) -> None:
    """Update each row that is still as it was read; raise Conflict if one is not."""
    if not rows:
        return
    if dialect(connection) == "sqlite":
        matched = connection.execute(statement, [dict(row) for row in rows]).rowcount
    else:
        matched = connection.execute(statement, {"document": _document(rows)}).rowcount
    _expect(matched, len(rows), what)


def _given(kind: Dialect, types: Mapping[str, ColumnElement[Any]]) -> Given:
    """Return what an update is given: a parameter each on SQLite, a row each on PostgreSQL."""
    if kind == "sqlite":
        return {name: bindparam(name, type_=like.type) for name, like in types.items()}
    rows = _records([column(name, like.type) for name, like in types.items()])
    return {name: rows.c[name] for name in types}


@cache
def _balance_update(kind: Dialect) -> Update:
    fen = account.c.balance_fen
    given = _given(kind, {"of": account.c.id, "before": fen, "after": fen})
    chosen = (account.c.id == given["of"], fen == given["before"])
    return update(account).where(*chosen).values(balance_fen=given["after"])


@cache
def _hold_update(kind: Dialect) -> Update:
    columns = {"of": hold.c.id, "ends_as": hold.c.state, "ended_at": hold.c.closed_at}
    given = _given(kind, columns)
    chosen = (hold.c.id == given["of"], hold.c.state == HoldState.OPEN.value)
    return update(hold).where(*chosen).values(state=given["ends_as"], closed_at=given["ended_at"])


@cache
def _slice_update(kind: Dialect) -> Update:
    part = hold_slice.c
    given = _given(kind, {"of": part.hold_id, "nth": part.seq, "paid": part.captured_fen})
    chosen = (part.hold_id == given["of"], part.seq == given["nth"], part.captured_fen == 0)
    return update(hold_slice).where(*chosen).values(captured_fen=given["paid"])


def _journal_row(sealed: Sealed) -> Row:
    entry = sealed.entry
    return {
        "seq": entry.seq,
        "key": entry.key,
        "kind": entry.kind,
        "tenant_id": entry.tenant_id,
        "at": entry.at,
        "body": entry.body,
        "digest": sealed.digest,
        "balances": entry.balances,
        "chain": sealed.chain,
    }


def _posting_rows(sealed: Sequence[Sealed]) -> list[Row]:
    return [
        {
            "seq": one.entry.seq,
            "line": line,
            "source": moved.source,
            "target": moved.target,
            "amount_fen": moved.amount_fen,
        }
        for one in sealed
        for line, moved in enumerate(one.entry.postings, 1)
    ]


def _lot_row(issued: Issue, at: datetime) -> Row:
    return {
        "id": issued.lot_id,
        "tenant_id": issued.tenant_id,
        "programme": issued.programme,
        "issued_fen": issued.amount_fen,
        "ratio_num": issued.ratio_num,
        "ratio_den": issued.ratio_den,
        "rank": issued.rank,
        "sites": sorted(issued.sites),
        "accelerators": sorted(issued.accelerators),
        "issued_at": at,
        "expires_at": issued.expires_at,
    }


def _hold_row(one: Hold) -> Row:
    return {
        "id": one.id,
        "tenant_id": one.tenant_id,
        "attempt_id": one.attempt_id,
        "state": one.state.value,
        "held_at": one.held_at,
        "closed_at": one.closed_at,
    }


def _slice_rows(one: Hold) -> list[Row]:
    return [
        {
            "hold_id": one.id,
            "seq": seq,
            "lot_id": part.lot_id,
            "amount_fen": part.amount_fen,
            "captured_fen": part.captured_fen,
        }
        for seq, part in enumerate(one.slices, 1)
    ]
