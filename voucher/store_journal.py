"""Writes for the ledger's door: one batch's entries, and the balances that follow from them.

Nothing else in the product writes these tables. A balance is changed only from the value that the
decision was based on; if another writer had come between, the row would not match and the batch
would fail as a whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection, insert, update

from suanwang.db.tables import (
    account,
    hold,
    journal,
    ledger_actor,
    ledger_head,
    ledger_period,
    ledger_receipt,
    lot,
)
from suanwang.errors import Conflict
from suanwang.model.voucher import Hold
from voucher.actor import Actor
from voucher.book import UNGUARDED, Book, Period, kind_of
from voucher.chain import Entry
from voucher.commands import Issue, canonical
from voucher.store_book import HEAD_ID, Head, write_slices
from voucher.store_rows import (
    Change,
    Dialect,
    Value,
    change_rows,
    dialect,
    insert_rows,
    moment_text,
)

Row = tuple[Value, ...]

_BALANCES: Final = Change(account, sets=("balance_fen",), where=("id", "balance_fen"))
_HOLDS: Final = Change(hold, sets=("state", "payee", "slices", "closed_at"), where=("id", "state"))


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
    """What a batch has to write; periods and receipts with the entry that names them.

    ``by`` is who caused its entries; None for the centre itself.
    """

    sealed: list[Sealed] = field(default_factory=list)
    lots: list[tuple[Issue, datetime]] = field(default_factory=list)
    holds: dict[str, Hold] = field(default_factory=dict)
    periods: list[tuple[Period, int]] = field(default_factory=list)
    receipts: list[tuple[str, int]] = field(default_factory=list)
    by: Actor | None = None


def write(connection: Connection, former: Head, writes: Writes, before: Before, book: Book) -> None:
    """Write a batch; ``book`` has the balances that it leaves.

    Raise Conflict when the tables are not as they were read: the caller's transaction must end.
    """
    kind = dialect(connection)
    _write_balances(connection, before.balances, book)
    if writes.lots:
        connection.execute(insert(lot), [_lot_row(issued, at) for issued, at in writes.lots])
    _write_holds(connection, before.holds, writes.holds)
    insert_rows(connection, journal, [_journal_row(sealed, kind) for sealed in writes.sealed])
    closed = [(one.id, moment_text(one.ends_at, kind), seq) for one, seq in writes.periods]
    insert_rows(connection, ledger_period, closed)
    insert_rows(connection, ledger_receipt, writes.receipts)
    if writes.by is not None:
        who = (writes.by.person, writes.by.tenant_id, writes.by.role.value)
        insert_rows(
            connection, ledger_actor, [(sealed.entry.seq, *who) for sealed in writes.sealed]
        )
    newest = writes.sealed[-1]
    moved = connection.execute(
        update(ledger_head)
        .where(ledger_head.c.id == HEAD_ID, ledger_head.c.seq == former.seq)
        .values(seq=newest.entry.seq, chain=newest.chain)
    )
    _expect(moved.rowcount, 1, "the end of the chain")


def _write_balances(connection: Connection, before: Mapping[str, int], book: Book) -> None:
    changed: list[Row] = []
    created: list[Row] = []
    for name, after in book.balances.items():
        was = before.get(name)
        if was is None:
            kind = kind_of(name)
            created.append((name, kind, after, int(kind not in UNGUARDED)))
        elif was != after:
            changed.append((after, name, was))
    insert_rows(connection, account, created)
    _expect(change_rows(connection, _BALANCES, changed), len(changed), "balances")


def _write_holds(
    connection: Connection, before: Mapping[str, Hold], holds: Mapping[str, Hold]
) -> None:
    kind = dialect(connection)
    fresh = [_hold_row(one, kind) for one in holds.values() if one.id not in before]
    insert_rows(connection, hold, fresh)
    changed: list[Row] = [
        (
            one.state.value,
            one.payee,
            write_slices(one.slices),
            _moment(one.closed_at, kind),
            one.id,
            before[one.id].state.value,
        )
        for one in holds.values()
        if one.id in before
    ]
    _expect(change_rows(connection, _HOLDS, changed), len(changed), "holds")


def _expect(matched: int, wanted: int, what: str) -> None:
    if matched != wanted:
        raise Conflict(
            f"the ledger's {what} were changed by another writer: {matched} of {wanted} matched",
            next_step="roll back and run `suanwang voucher check`",
            matched=matched,
            wanted=wanted,
        )


def _journal_row(sealed: Sealed, kind: Dialect) -> Row:
    seq, key, what, tenant_id, at, body, balances, moves, late_for = sealed.entry
    at_text = moment_text(at, kind)
    return (
        *(seq, key, what, tenant_id, at_text, body),
        *(sealed.digest, balances, moves, late_for, sealed.chain),
    )


def _lot_row(issued: Issue, at: datetime) -> dict[str, object]:
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
        "funders": canonical(issued.mix),
        "is_claim": int(issued.is_claim),
        "is_reused": int(issued.is_reused),
    }


def _hold_row(one: Hold, kind: Dialect) -> Row:
    return (
        one.id,
        one.tenant_id,
        one.attempt_id,
        one.state.value,
        one.payee,
        write_slices(one.slices),
        moment_text(one.held_at, kind),
        _moment(one.closed_at, kind),
    )


def _moment(moment: datetime | None, kind: Dialect) -> str | None:
    return None if moment is None else moment_text(moment, kind)
