"""Reads of the ledger for everybody else. Nothing here writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, reduce
from operator import add
from typing import Any, Final

from sqlalchemy import Connection, FromClause, Row, Select, and_, func, or_, select
from sqlalchemy.sql.elements import ColumnElement

from suanwang.db.tables import account, hold, journal, ledger_actor, ledger_period, lot
from suanwang.errors import BadInput, NotFound
from suanwang.ids import LotId, SiteId, TenantId
from suanwang.model.tenant import Role
from suanwang.model.voucher import Hold, HoldState, Lot
from voucher.actor import Actor
from voucher.book import LOT_PARTS
from voucher.chain import Posting, read_moves
from voucher.check import LedgerCheck, check
from voucher.commands import read_balances
from voucher.store_book import hold_from

__all__ = [
    "ClosedPeriod",
    "JournalEntry",
    "LedgerCheck",
    "cash_by_tenant",
    "cash_fen",
    "cash_held_fen",
    "check",
    "closed_periods",
    "debt_fen",
    "debt_of_lot_fen",
    "due_lots",
    "entries",
    "find_hold",
    "find_lot",
    "hold_of_attempt",
    "lots",
    "open_holds",
]

ENTRIES_MAX: Final = 1_000
"""Entries in one answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """An entry of the journal: the request (``body``), and the accounts after it, in fen.

    ``late_for`` names the closed period that the use belongs to which it pays; else it is empty.
    ``by`` is who caused it; None for the centre itself, which meters and ends by itself.
    """

    seq: int
    key: str
    kind: str
    tenant_id: TenantId
    at: datetime
    body: str
    balances: Mapping[str, int]
    postings: tuple[Posting, ...]
    late_for: str
    chain: str
    by: Actor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedPeriod:
    """A closed period: ``chain`` is the link of the entry ``seq`` that closed it.

    ``totals_fen`` adds up all accounts of a kind as they stood then.
    """

    id: str
    ends_at: datetime
    closed_at: datetime
    seq: int
    chain: str
    totals_fen: Mapping[str, int]


def lots(connection: Connection, *, tenant_id: str | None = None, now: datetime) -> tuple[Lot, ...]:
    """Return lots in drawing order, all tenants' without ``tenant_id``.

    What an ended lot has left counts as expired from its last moment on, booked or not. Claims
    are not among them: they pay for no jobs.
    """
    chosen = _lots().where(lot.c.is_claim == 0)
    if tenant_id is not None:
        chosen = chosen.where(lot.c.tenant_id == tenant_id)
    return tuple(_lot(row, now) for row in connection.execute(chosen))


def find_lot(connection: Connection, lot_id: str, now: datetime) -> Lot:
    """Return one lot or claim as it stands at ``now``; raise NotFound without it.

    Of a claim ``available_fen`` is what can be redeemed, ``spent_fen`` what was redeemed.
    """
    row = connection.execute(_lots().where(lot.c.id == lot_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no lot {lot_id}", lot_id=lot_id)
    return _lot(row, now)


def debt_of_lot_fen(connection: Connection, lot_id: str) -> int:
    """Return what the tenant still owes from the clawback of a lot or a claim, in fen."""
    return -_balance(connection, f"receivable:{lot_id}")


def due_lots(connection: Connection, now: datetime, limit: int = 1_000) -> tuple[LotId, ...]:
    """Return lots that have ended and whose end is not wholly booked yet.

    That is with money left, or (where it can be granted again) expired and not given back.
    """
    rows = connection.execute(
        _sides(select(lot.c.id), (*_FREE, *_RETURNED))
        .where(lot.c.expires_at <= now, or_(_sum(_FREE) > 0, _to_return()))
        .order_by(lot.c.expires_at, lot.c.id)
        .limit(limit)
    )
    return tuple(LotId(row.id) for row in rows)


def cash_fen(connection: Connection, tenant_id: str) -> int:
    """Return the tenant's free cash, in fen."""
    return _balance(connection, f"cash:{tenant_id}")


def cash_held_fen(connection: Connection, tenant_id: str) -> int:
    """Return the tenant's cash in open holds, in fen."""
    return _balance(connection, f"cash_held:{tenant_id}")


def cash_by_tenant(connection: Connection) -> dict[str, int]:
    """Return the free cash of every tenant that ever had any, in fen."""
    rows = connection.execute(select(account).where(account.c.kind == "cash"))
    return {row.id.removeprefix("cash:"): row.balance_fen for row in rows}


def debt_fen(connection: Connection, tenant_id: str) -> int:
    """Return what the tenant owes from clawbacks, in fen."""
    owed = connection.execute(
        select(func.sum(account.c.balance_fen))
        .join(lot, account.c.id == _named("receivable"))
        .where(lot.c.tenant_id == tenant_id)
    )
    return -int(owed.scalar_one() or 0)


def find_hold(connection: Connection, hold_id: str) -> Hold:
    """Return a hold with its slices in the order in which they pay; raise NotFound without it."""
    row = connection.execute(select(hold).where(hold.c.id == hold_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no hold {hold_id}", hold_id=hold_id)
    return hold_from(row)


def hold_of_attempt(connection: Connection, attempt_id: str) -> Hold:
    """Return the hold that was made for an attempt; raise NotFound without it."""
    row = connection.execute(select(hold).where(hold.c.attempt_id == attempt_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no hold for attempt {attempt_id}", attempt_id=attempt_id)
    return hold_from(row)


def open_holds(connection: Connection, tenant_id: str | None = None) -> tuple[Hold, ...]:
    """Return the holds that have not ended, oldest first."""
    chosen = select(hold).where(hold.c.state == HoldState.OPEN.value)
    if tenant_id is not None:
        chosen = chosen.where(hold.c.tenant_id == tenant_id)
    rows = connection.execute(chosen.order_by(hold.c.held_at, hold.c.id)).all()
    return tuple(hold_from(row) for row in rows)


def closed_periods(connection: Connection) -> tuple[ClosedPeriod, ...]:
    """Return the closed periods in order of time."""
    rows = connection.execute(
        select(*ledger_period.c, journal.c.at, journal.c.chain, journal.c.balances)
        .join(journal, journal.c.seq == ledger_period.c.seq)
        .order_by(ledger_period.c.ends_at)
    )
    return tuple(
        ClosedPeriod(
            id=row.id,
            ends_at=row.ends_at,
            closed_at=row.at,
            seq=row.seq,
            chain=row.chain,
            totals_fen=read_balances(row.balances),
        )
        for row in rows
    )


def entries(
    connection: Connection, tenant_id: str | None, after_seq: int = 0, limit: int = 100
) -> tuple[JournalEntry, ...]:
    """Return entries above ``after_seq`` in order, one tenant's or (None) all.

    Raises BadInput for a limit that is not between 1 and 1,000.
    """
    if not 1 <= limit <= ENTRIES_MAX:
        raise BadInput(f"limit {limit} is not between 1 and {ENTRIES_MAX}", limit=limit)
    chosen = (
        select(journal, *(ledger_actor.c[name].label(f"by_{name}") for name in _WHO))
        .outerjoin(ledger_actor, ledger_actor.c.seq == journal.c.seq)
        .where(journal.c.seq > after_seq)
    )
    if tenant_id is not None:
        chosen = chosen.where(journal.c.tenant_id == tenant_id)
    rows = connection.execute(chosen.order_by(journal.c.seq).limit(limit)).all()
    return tuple(
        JournalEntry(
            seq=row.seq,
            key=row.key,
            kind=row.kind,
            tenant_id=TenantId(row.tenant_id),
            at=row.at,
            body=row.body,
            balances=read_balances(row.balances),
            postings=read_moves(row.moves),
            late_for=row.late_for,
            chain=row.chain,
            by=_actor(row),
        )
        for row in rows
    )


_WHO: Final = ("person", "tenant_id", "role")


def _actor(row: Row[tuple[object, ...]]) -> Actor | None:
    if row.by_person is None:
        return None
    return Actor(person=row.by_person, tenant_id=row.by_tenant_id, role=Role(row.by_role))


def _balance(connection: Connection, name: str) -> int:
    found = connection.execute(select(account.c.balance_fen).where(account.c.id == name))
    return found.scalar_one_or_none() or 0


def _named(kind: str) -> ColumnElement[str]:
    return f"{kind}:" + lot.c.id


_PARTS: Final = (*LOT_PARTS, "claim", "redeemed")
_FREE: Final = ("lot", "claim")
_RETURNED: Final = ("expired", "recalled", "receivable", "reused")


@cache
def _side(kind: str) -> FromClause:
    return account.alias(f"{kind}_account")


def _fen(kind: str) -> ColumnElement[int]:
    return func.coalesce(_side(kind).c.balance_fen, 0)


def _sum(kinds: Sequence[str]) -> ColumnElement[int]:
    first, *others = (_fen(kind) for kind in kinds)
    return reduce(add, others, first)


def _to_return() -> ColumnElement[bool]:
    return and_(lot.c.is_reused == 1, _sum(_RETURNED) > 0)


def _sides(chosen: Select[tuple[Any, ...]], kinds: Sequence[str]) -> Select[tuple[Any, ...]]:
    """Join the accounts of these kinds to the lots."""
    joined: FromClause = lot
    for kind in kinds:
        joined = joined.outerjoin(_side(kind), _side(kind).c.id == _named(kind))
    return chosen.select_from(joined)


def _lots() -> Select[tuple[Any, ...]]:
    amounts = [_fen(kind).label(f"{kind}_fen") for kind in _PARTS]
    return _sides(select(*lot.c, *amounts), _PARTS).order_by(lot.c.rank, lot.c.expires_at, lot.c.id)


def _lot(row: Row[tuple[object, ...]], now: datetime) -> Lot:
    ended = now >= row.expires_at
    left_fen = row.claim_fen if row.is_claim else row.lot_fen
    return Lot(
        id=LotId(row.id),
        tenant_id=TenantId(row.tenant_id),
        programme=row.programme,
        issued_fen=row.issued_fen,
        available_fen=0 if ended else left_fen,
        held_fen=row.held_fen,
        spent_fen=row.redeemed_fen if row.is_claim else row.spent_fen,
        expired_fen=row.expired_fen + (left_fen if ended else 0),
        ratio_num=row.ratio_num,
        ratio_den=row.ratio_den,
        expires_at=row.expires_at,
        rank=row.rank,
        sites=frozenset(SiteId(site) for site in row.sites),
        accelerators=frozenset(row.accelerators),
        recalled_fen=row.recalled_fen,
        grace_s=row.grace_s,
    )
