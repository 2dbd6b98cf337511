"""Writes for the ledger's door: one batch's entries, and the balances that follow from them.

Nothing else in the product writes these tables. A balance is changed only from the value that the
decision was based on; if another writer had come between, the row would not match and the batch
would fail as a whole.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, NamedTuple

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

from suanwang.db.tables import account, hold, journal, ledger_head, ledger_period, lot
from suanwang.errors import Conflict
from suanwang.model.voucher import Hold
from voucher.book import UNGUARDED, Book, Period, kind_of
from voucher.chain import Entry
from voucher.commands import Issue
from voucher.store_book import HEAD_ID, Dialect, Head, dialect, write_slices

Row = Mapping[str, object]
Given = Mapping[str, ColumnElement[Any]]


class Sealed(NamedTuple):
    """An entry with its digest and its link."""

    entry: Entry
    digest: str
    chain: str


class Before(NamedTuple):
    """The balances and the holds that a batch met."""

    balances: Mapping[str, int]
    holds: Mapping[str, Hold]


@dataclass(slots=True, kw_only=True)
class Writes:
    """What a batch has to write; periods with the entry that closes them."""

    sealed: list[Sealed] = field(default_factory=list)
    lots: list[tuple[Issue, datetime]] = field(default_factory=list)
    holds: dict[str, Hold] = field(default_factory=dict)
    periods: list[tuple[Period, int]] = field(default_factory=list)


def write(connection: Connection, former: Head, writes: Writes, before: Before, book: Book) -> None:
    """Write a batch; ``book`` has the balances that it leaves.

    Raise Conflict when the tables are not as they were read: the caller's transaction must end.
    """
    _write_balances(connection, before.balances, book)
    _insert(connection, lot, [_lot_row(issued, at) for issued, at in writes.lots])
    _write_holds(connection, before.holds, writes.holds)
    _insert(connection, journal, [_journal_row(sealed) for sealed in writes.sealed])
    closed = [{"id": one.id, "ends_at": one.ends_at, "seq": seq} for one, seq in writes.periods]
    _insert(connection, ledger_period, closed)
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


def _write_holds(
    connection: Connection, before: Mapping[str, Hold], holds: Mapping[str, Hold]
) -> None:
    fresh = [_hold_row(one) for one in holds.values() if one.id not in before]
    _insert(connection, hold, fresh)
    changed: list[Row] = [
        {
            "of": one.id,
            "was": before[one.id].state.value,
            "state_now": one.state.value,
            "paid_to": one.payee,
            "slices_now": write_slices(one.slices),
            "ended_at": one.closed_at,
        }
        for one in holds.values()
        if one.id in before
    ]
    _update(connection, "holds", _hold_update(dialect(connection)), changed)


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
def _sqlite_moment(moment: datetime) -> str:
    """Return a moment as SQLAlchemy writes it: texts of one length, in order of time."""
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(sep=" ", timespec="microseconds")


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
    given = _given(
        kind,
        {
            "of": hold.c.id,
            "was": hold.c.state,
            "state_now": hold.c.state,
            "paid_to": hold.c.payee,
            "slices_now": hold.c.slices,
            "ended_at": hold.c.closed_at,
        },
    )
    chosen = (hold.c.id == given["of"], hold.c.state == given["was"])
    return (
        update(hold)
        .where(*chosen)
        .values(
            state=given["state_now"],
            payee=given["paid_to"],
            slices=given["slices_now"],
            closed_at=given["ended_at"],
        )
    )


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
        "moves": entry.moves,
        "late_for": entry.late_for,
        "chain": sealed.chain,
    }


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
        "grace_s": issued.grace_s,
    }


def _hold_row(one: Hold) -> Row:
    return {
        "id": one.id,
        "tenant_id": one.tenant_id,
        "attempt_id": one.attempt_id,
        "state": one.state.value,
        "payee": one.payee,
        "slices": write_slices(one.slices),
        "held_at": one.held_at,
        "closed_at": one.closed_at,
    }
