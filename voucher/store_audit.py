"""Reads for the check: the whole journal in pages, and the state that must follow from it."""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, select

from suanwang.db.tables import (
    account,
    hold,
    journal,
    ledger_head,
    ledger_period,
    ledger_receipt,
    lot,
)
from suanwang.model.voucher import HoldSlice
from voucher.book import LotTerms, Period
from voucher.chain import GENESIS, Entry
from voucher.store_book import HEAD_ID, Head, read_slices
from voucher.store_rows import raw, read_moment

PAGE: Final = 5_000
"""Rows read at once."""
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
    """A hold as it lies in its table."""

    state: str
    tenant_id: str
    payee: str | None
    slices: tuple[HoldSlice, ...]


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
    wanted = select(
        journal.c.seq,
        journal.c.key,
        journal.c.kind,
        journal.c.tenant_id,
        raw(journal.c.at),
        journal.c.body,
        journal.c.balances,
        journal.c.moves,
        journal.c.late_for,
        journal.c.digest,
        journal.c.chain,
    ).where(journal.c.seq > after)
    if until is not None:
        wanted = wanted.where(journal.c.seq <= until)
    with connection.execute(wanted.order_by(journal.c.seq), execution_options=_STREAM) as rows:
        for page in rows.partitions():
            for seq, key, kind, tenant, at, body, balances, moves, late_for, digest, chain in page:
                entry = Entry(
                    seq, key, kind, tenant, read_moment(at), body, balances, moves, late_for
                )
                yield Stored(entry, digest, chain)


def links(connection: Connection) -> Generator[Row[*tuple[Any, ...]]]:
    """Yield of every entry, in order, just what its link covers, and the link.

    That is: number, moment as the driver has it, link, and the seven texts.
    """
    texts = ("key", "kind", "tenant_id", "body", "balances", "moves", "late_for")
    wanted = select(
        journal.c.seq,
        raw(journal.c.at),
        journal.c.chain,
        *(journal.c[name] for name in texts),
    ).order_by(journal.c.seq)
    with connection.execute(wanted, execution_options=_STREAM) as rows:
        for page in rows.partitions():
            yield from page


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
            yield StoredHold(state, tenant_id, payee, read_slices(slices))


def stored_periods(connection: Connection) -> tuple[StoredPeriod, ...]:
    """Return the closed periods in order of time."""
    rows = connection.execute(select(*ledger_period.c).order_by(ledger_period.c.ends_at))
    return tuple(StoredPeriod(Period(row.id, row.ends_at), row.seq) for row in rows)


def stored_receipts(connection: Connection) -> dict[str, int]:
    """Return the bank's receipts with the entries that name them."""
    rows = connection.execute(select(ledger_receipt.c.id, ledger_receipt.c.seq))
    return {row.id: row.seq for row in rows}
