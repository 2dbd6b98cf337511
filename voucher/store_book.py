"""Reads for the ledger's door: the lock on the chain's end, and the state that a batch can meet."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from functools import cache
from json.encoder import encode_basestring
from typing import Any, Final, NamedTuple

from sqlalchemy import CompoundSelect, Connection, Row, Select, func, select, union_all
from sqlalchemy.dialects import postgresql, sqlite

from suanwang.db.tables import (
    account,
    hold,
    journal,
    ledger_head,
    ledger_period,
    ledger_receipt,
    lot,
    tenant,
)
from suanwang.ids import HoldId, TenantId
from suanwang.model.voucher import Hold, HoldSlice, HoldState
from voucher.book import Book, LotTerms, Period
from voucher.chain import GENESIS
from voucher.commands import Command
from voucher.names import Names
from voucher.store_rows import Dialect, among, dialect, fetch, raw, read_moment

HEAD_ID: Final = 1
_TERMS: Final = tuple([one.name for one in fields(LotTerms)])


class Head(NamedTuple):
    """The newest entry's number (0 for none) and link."""

    seq: int
    chain: str


class Known(NamedTuple):
    """A key that was used: its entry, the digest of its body, and the balances that were told."""

    seq: int
    digest: str
    balances: str


def lock_head(connection: Connection, start: str = GENESIS) -> Head:
    """Return the chain's end and keep every other writer away until the transaction ends.

    A ledger without an entry begins with the link ``start``.
    """
    wanted = select(ledger_head.c.seq, ledger_head.c.chain).where(ledger_head.c.id == HEAD_ID)
    wanted = wanted.with_for_update()
    row = connection.execute(wanted).one_or_none()
    if row is None:
        insert = sqlite.insert if dialect(connection) == "sqlite" else postgresql.insert
        nobody = {"writer": "", "epoch": 0, "writer_url": ""}
        first = insert(ledger_head).values(id=HEAD_ID, seq=0, chain=start, **nobody)
        connection.execute(first.on_conflict_do_nothing())
        row = connection.execute(wanted).one()
    return Head(row.seq, row.chain)


def known_keys(connection: Connection, keys: Collection[str]) -> dict[str, Known]:
    """Return those of ``keys`` that were used, with what was answered then."""
    rows = fetch(connection, _by_key, keys=keys)
    return {key: Known(seq, digest, balances) for key, seq, digest, balances in rows}


def load_book(connection: Connection, commands: Iterable[Command]) -> Book:
    """Return the state that these commands can meet: their tenants, lots, holds and accounts."""
    names = Names()
    for command in commands:
        names.add(command)
    book = Book()
    _load_holds(connection, names, book)
    for row in fetch(connection, _lots, ids=names.lots):
        terms = dict(zip(_TERMS, row, strict=True))
        terms["expires_at"] = read_moment(terms["expires_at"])
        known = LotTerms(**terms)
        book.lots[known.id] = known
        names.tenants.add(known.tenant_id)
    found = fetch(connection, _tenants, ids=names.tenants)
    book.tenants.update(row.id for row in found)
    rows = fetch(connection, _accounts, ids=names.all_accounts(book))
    book.balances.update({row[0]: row[1] for row in rows})
    used = fetch(connection, _receipts, ids=names.receipts)
    book.receipts.update({row.id: row.seq for row in used})
    if names.closes:
        kinds = select(account.c.kind, func.sum(account.c.balance_fen)).group_by(account.c.kind)
        book.totals = Counter({kind: int(total) for kind, total in connection.execute(kinds)})
    if names.closes or names.used_from is not None:
        book.periods += _periods(connection, None if names.closes else names.used_from)
    return book


def _periods(connection: Connection, used_from: datetime | None) -> list[Period]:
    wanted = select(ledger_period.c.id, ledger_period.c.ends_at)
    if used_from is not None:
        wanted = wanted.where(ledger_period.c.ends_at >= used_from)
    rows = connection.execute(wanted.order_by(ledger_period.c.ends_at))
    return [Period(row.id, row.ends_at) for row in rows]


def hold_from(row: Row[*tuple[Any, ...]]) -> Hold:
    """Return the hold that a row of the table describes."""
    hold_id, tenant_id, attempt_id, state, payee, slices, held_at, closed_at = row
    return Hold(
        id=HoldId(hold_id),
        tenant_id=TenantId(tenant_id),
        attempt_id=attempt_id,
        state=HoldState(state),
        slices=read_slices(slices),
        held_at=read_moment(held_at),
        closed_at=None if closed_at is None else read_moment(closed_at),
        payee=payee,
    )


def write_slices(slices: Sequence[HoldSlice]) -> str:
    """Return slices as the text in which they are stored: canonical JSON."""
    written = [
        f"[{'null' if part.lot_id is None else encode_basestring(part.lot_id)},"
        f"{part.amount_fen},{part.captured_fen},{part.refunded_fen}]"
        for part in slices
    ]
    return f"[{','.join(written)}]"


def read_slices(text: str) -> tuple[HoldSlice, ...]:
    """Return the slices that a text in a hold describes."""
    return tuple(
        [
            HoldSlice(
                lot_id=lot_id,
                amount_fen=amount_fen,
                captured_fen=captured_fen,
                refunded_fen=refunded_fen,
            )
            for lot_id, amount_fen, captured_fen, refunded_fen in json.loads(text)
        ]
    )


def _load_holds(connection: Connection, names: Names, book: Book) -> None:
    rows = fetch(connection, _holds, ids=names.holds, attempts=names.attempts)
    for row in rows:
        loaded = hold_from(row)
        names.tenants.add(loaded.tenant_id)
        names.lots.update([part.lot_id for part in loaded.slices if part.lot_id is not None])
        book.holds[loaded.id] = loaded
        book.attempts[loaded.attempt_id] = loaded.id


@cache
def _by_key(kind: Dialect) -> Select[tuple[Any, ...]]:
    columns = (journal.c.key, journal.c.seq, journal.c.digest, journal.c.balances)
    return select(*columns).where(among(journal.c.key, "keys", kind))


@cache
def _holds(kind: Dialect) -> CompoundSelect[Any]:
    columns = [raw(one) if one.name.endswith("_at") else one for one in hold.c]
    by_id = select(*columns).where(among(hold.c.id, "ids", kind))
    by_attempt = select(*columns).where(among(hold.c.attempt_id, "attempts", kind))
    # Two searches, since no plan follows two indices for one list each under an OR.
    return union_all(by_id, by_attempt)


@cache
def _lots(kind: Dialect) -> Select[tuple[Any, ...]]:
    columns = [lot.c[name] if name != "expires_at" else raw(lot.c[name]) for name in _TERMS]
    return select(*columns).where(among(lot.c.id, "ids", kind))


@cache
def _tenants(kind: Dialect) -> Select[tuple[Any, ...]]:
    return select(tenant.c.id).where(among(tenant.c.id, "ids", kind))


@cache
def _accounts(kind: Dialect) -> Select[tuple[Any, ...]]:
    return select(account.c.id, account.c.balance_fen).where(among(account.c.id, "ids", kind))


@cache
def _receipts(kind: Dialect) -> Select[tuple[Any, ...]]:
    return select(*ledger_receipt.c).where(among(ledger_receipt.c.id, "ids", kind))
