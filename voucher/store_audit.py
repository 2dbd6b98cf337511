"""Reads for the check: the whole journal in pages, and the state that must follow from it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Final

from sqlalchemy import Connection, func, select

from suanwang.db.tables import account, hold, hold_slice, journal, ledger_head, lot, posting
from voucher.book import LotTerms
from voucher.chain import GENESIS, Entry, Posting
from voucher.store_book import HEAD_ID, Head

PAGE: Final = 5_000
"""Entries read at once."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry as it lies in the journal."""

    entry: Entry
    digest: str
    chain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLot:
    """A lot as it lies in its table."""

    terms: LotTerms
    programme: str
    issued_fen: int
    issued_at: datetime
    sites: tuple[str, ...]
    accelerators: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SliceSum:
    """Slices of holds in one state on one lot (or a tenant's cash, lot None), added up, in fen."""

    state: str
    lot_id: str | None
    tenant_id: str
    amount_fen: int
    captured_fen: int


def stand(connection: Connection, *, is_locked: bool) -> Head:
    """Return the end of the chain; locked, no entry is added until the transaction ends."""
    wanted = select(ledger_head.c.seq, ledger_head.c.chain).where(ledger_head.c.id == HEAD_ID)
    if is_locked:
        wanted = wanted.with_for_update(read=True)
    row = connection.execute(wanted).one_or_none()
    return Head(row.seq, row.chain) if row else Head(0, GENESIS)


def stored_entries(connection: Connection, after: int, until: int | None) -> Iterator[Stored]:
    """Yield the entries in order, those above ``after`` and up to ``until`` (None: all)."""
    while until is None or after < until:
        chosen = journal.c.seq > after
        if until is not None:
            chosen &= journal.c.seq <= until
        columns = ("seq", "key", "kind", "tenant_id", "at", "body", "digest", "balances", "chain")
        rows = connection.execute(
            select(*(journal.c[name] for name in columns))
            .where(chosen)
            .order_by(journal.c.seq)
            .limit(PAGE)
        ).all()
        if not rows:
            return
        postings = _postings(connection, rows[0].seq, rows[-1].seq)
        for seq, key, kind, tenant_id, at, body, digest, balances, chain in rows:
            entry = Entry(
                seq=seq,
                key=key,
                kind=kind,
                tenant_id=tenant_id,
                at=at,
                body=body,
                balances=balances,
                postings=postings.get(seq, ()),
            )
            yield Stored(entry, digest, chain)
        after = rows[-1].seq


def count_postings(connection: Connection) -> int:
    """Return how many lines the journal has."""
    return connection.execute(select(func.count()).select_from(posting)).scalar_one()


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
                ratio_num=row.ratio_num,
                ratio_den=row.ratio_den,
                expires_at=row.expires_at,
                rank=row.rank,
            ),
            programme=row.programme,
            issued_fen=row.issued_fen,
            issued_at=row.issued_at,
            sites=tuple(row.sites),
            accelerators=tuple(row.accelerators),
        )


def slice_sums(connection: Connection) -> tuple[SliceSum, ...]:
    """Return what the holds' slices add up to, for each state, lot and tenant."""
    groups = (hold.c.state, hold_slice.c.lot_id, hold.c.tenant_id)
    rows = connection.execute(
        select(
            *groups,
            func.sum(hold_slice.c.amount_fen).label("amount_fen"),
            func.sum(hold_slice.c.captured_fen).label("captured_fen"),
        )
        .join_from(hold, hold_slice, hold_slice.c.hold_id == hold.c.id)
        .group_by(*groups)
    )
    return tuple(
        SliceSum(row.state, row.lot_id, row.tenant_id, int(row.amount_fen), int(row.captured_fen))
        for row in rows
    )


def hold_states(connection: Connection) -> dict[str, int]:
    """Return how many holds are in each state."""
    counted = select(hold.c.state, func.count().label("holds")).group_by(hold.c.state)
    return {row.state: row.holds for row in connection.execute(counted)}


def _postings(connection: Connection, first: int, last: int) -> dict[int, tuple[Posting, ...]]:
    rows = connection.execute(
        select(posting.c.seq, posting.c.source, posting.c.target, posting.c.amount_fen)
        .where(posting.c.seq.between(first, last))
        .order_by(posting.c.seq, posting.c.line)
    ).all()
    return {
        seq: tuple(Posting(source, target, amount) for _, source, target, amount in lines)
        for seq, lines in groupby(rows, key=itemgetter(0))
    }
