"""Reads for the check: the whole journal in pages, and the state that must follow from it."""

import json
import sqlite3
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg import Connection as Postgres
from psycopg.conninfo import make_conninfo
from sqlalchemy import Connection, func, select

from suanwang.db.engine import is_reading
from suanwang.db.tables import (
    account,
    hold,
    journal,
    ledger_head,
    ledger_period,
    ledger_receipt,
    lot,
)
from voucher.book import LotTerms, Period
from voucher.chain import GENESIS, Entry, is_link
from voucher.links import Source, stored_rows
from voucher.store_book import HEAD_ID, Head
from voucher.store_rows import read_moment

PAGE: Final = 5_000
"""Rows read at once."""
_NO_END: Final = 2**63 - 1
_STREAM: Final[Mapping[str, int]] = {"yield_per": PAGE}


class Stored(NamedTuple):
    """An entry as it lies in the journal."""

    entry: Entry
    digest: str
    chain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLot:
    """A lot as it lies in its table."""

    terms: LotTerms
    issued_fen: int
    issued_at: datetime
    sites: tuple[str, ...]
    accelerators: tuple[str, ...]
    grace_s: int


class StoredHold(NamedTuple):
    """A hold as it lies in its table; its slices are lot, amount, captured and refunded, in fen."""

    state: str
    tenant_id: str
    payee: str | None
    slices: Sequence[tuple[str | None, int, int, int]]


class StoredPeriod(NamedTuple):
    """A closed period, with the entry that closed it."""

    period: Period
    seq: int


def stand(connection: Connection, *, is_locked: bool) -> Head:
    """Return the end of the chain; locked, no entry is added until the transaction ends."""
    wanted = select(ledger_head.c.seq, ledger_head.c.chain).where(ledger_head.c.id == HEAD_ID)
    if is_locked:
        wanted = wanted.with_for_update(read=True)
    row = connection.execute(wanted).one_or_none()
    return Head(row.seq, row.chain) if row else Head(0, GENESIS)


def stored_entries(connection: Connection, after: int, until: int | None) -> Generator[Stored]:
    """Yield the entries in order, those above ``after`` and up to ``until`` (None: all).

    The database hands them over in pages, so any number of entries takes little memory.
    """
    driver = driver_of(connection)
    with closing(stored_rows(driver, after, _NO_END if until is None else until)) as rows:
        for seq, at, chain, digest, key, kind, tenant, body, balances, moves, late_for in rows:
            moment = read_moment(at)
            entry = Entry(seq, key, kind, tenant, moment, body, balances, moves, late_for)
            yield Stored(entry, digest, chain)


def stored_links(connection: Connection, seqs: Collection[int]) -> dict[int, str]:
    """Return the links of those of the entries that have one."""
    wanted = select(journal.c.seq, journal.c.chain).where(journal.c.seq.in_(seqs))
    return {seq: chain for seq, chain in connection.execute(wanted) if is_link(chain)}


def driver_of(connection: Connection) -> "sqlite3.Connection | Postgres[Any]":
    """Return the driver's own connection, in the same transaction."""
    driver: sqlite3.Connection | Postgres[Any] | None = connection.connection.driver_connection
    assert driver is not None
    return driver


def source_of(connection: Connection) -> Source | None:
    """Return where another process finds the journal as this transaction sees it, if it can.

    It cannot where this transaction may have written, nor where the database is in memory.
    """
    if not is_reading(connection) or connection.in_nested_transaction():
        return None
    driver = driver_of(connection)
    if isinstance(driver, sqlite3.Connection):
        path = next(
            file for _, name, file in driver.execute("PRAGMA database_list") if name == "main"
        )
        return Source("sqlite", path) if path else None
    settings = make_conninfo(**driver.info.get_parameters(), password=driver.info.password)
    snapshot = connection.execute(select(func.pg_export_snapshot())).scalar_one()
    return Source("postgresql", settings, snapshot)


def stored_balances(connection: Connection) -> dict[str, int]:
    """Return every account's balance as stored, in fen."""
    rows = connection.execute(select(account.c.id, account.c.balance_fen))
    return {row.id: row.balance_fen for row in rows}


def stored_lots(connection: Connection) -> Iterator[StoredLot]:
    """Yield every lot as stored."""
    for row in connection.execute(select(*lot.c).order_by(lot.c.id)):
        yield StoredLot(
            terms=LotTerms(
                id=row.id,
                tenant_id=row.tenant_id,
                programme=row.programme,
                ratio_num=row.ratio_num,
                ratio_den=row.ratio_den,
                expires_at=row.expires_at,
                rank=row.rank,
                funders=row.funders,
                is_claim=bool(row.is_claim),
                is_reused=bool(row.is_reused),
            ),
            issued_fen=row.issued_fen,
            issued_at=row.issued_at,
            sites=tuple(row.sites),
            accelerators=tuple(row.accelerators),
            grace_s=row.grace_s,
        )


def stored_holds(connection: Connection) -> Iterator[StoredHold]:
    """Yield every hold as stored."""
    wanted = select(hold.c.state, hold.c.tenant_id, hold.c.payee, hold.c.slices)
    for page in connection.execute(wanted, execution_options=_STREAM).partitions():
        for state, tenant_id, payee, slices in page:
            yield StoredHold(state, tenant_id, payee, json.loads(slices))


def stored_periods(connection: Connection) -> tuple[StoredPeriod, ...]:
    """Return the closed periods in order of time."""
    rows = connection.execute(select(*ledger_period.c).order_by(ledger_period.c.ends_at))
    return tuple(StoredPeriod(Period(row.id, row.ends_at), row.seq) for row in rows)


def stored_receipts(connection: Connection) -> dict[str, int]:
    """Return the bank's receipts with the entries that name them."""
    rows = connection.execute(select(ledger_receipt.c.id, ledger_receipt.c.seq))
    return {row.id: row.seq for row in rows}
