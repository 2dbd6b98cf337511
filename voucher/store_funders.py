"""Reads of whose money is where: pools and funders, what payees are owed, and payments by bank."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, select

from suanwang.db.tables import account, lot
from voucher.book import CLAIM_PARTS, LOT_PARTS
from voucher.funding import Mix, Parts, by_funder, from_the_end, pair, read_mix, unpaired

_KINDS: Final = (*LOT_PARTS, *CLAIM_PARTS, "reused")


@dataclass(frozen=True, slots=True, kw_only=True)
class FunderStand:
    """Where a funder's money of a programme is, in fen.

    ``appropriated = pool + granted - returned``; ``parts`` is what became of what was granted. A
    funder without a pool is open-ended: each grant appropriates what it needs.
    """

    programme: str
    funder: str
    appropriated_fen: int
    pool_fen: int
    has_pool: bool
    parts: Parts
    returned_fen: int


class PayableKind(StrEnum):
    """What a payee has earned: a programme's vouchers, tenants' cash, or a claim of its own."""

    VOUCHER = "voucher"
    CASH = "cash"
    CLAIM = "claim"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payable:
    """What is owed to a payee and not paid yet, in fen; ``programme`` is empty for cash."""

    kind: PayableKind
    payee: str
    programme: str
    open_fen: int


def funders(connection: Connection, programme: str | None = None) -> tuple[FunderStand, ...]:
    """Return every funder of a programme, or of all, with where its money is."""
    chosen = select(account.c.id, account.c.balance_fen).where(
        account.c.kind.in_(("budget", "pool"))
    )
    balances = {row.id: row.balance_fen for row in connection.execute(chosen)}
    parts: dict[str, Parts] = {}
    returned: Counter[str] = Counter()
    for name, mix, became, back in _lots(connection, programme):
        for funder, row in by_funder(became, mix).items():
            owner = pair(name, funder)
            parts[owner] = parts.get(owner, Parts()).plus(row)
        for one, amount in zip(mix, from_the_end(back, mix), strict=True):
            returned[pair(name, one.funder)] += amount
    owners = sorted({name.partition(":")[2] for name in balances}, key=unpaired)
    stands = (
        FunderStand(
            programme=unpaired(owner)[0],
            funder=unpaired(owner)[1],
            appropriated_fen=-balances.get(f"budget:{owner}", 0),
            pool_fen=balances.get(f"pool:{owner}", 0),
            has_pool=f"pool:{owner}" in balances,
            parts=parts.get(owner, Parts()),
            returned_fen=returned[owner],
        )
        for owner in owners
    )
    return tuple(one for one in stands if programme is None or one.programme == programme)


def payables(connection: Connection, payees: frozenset[str] | None = None) -> tuple[Payable, ...]:
    """Return what payees (all without ``payees``) are owed; nothing that is paid."""
    rows = connection.execute(
        select(account.c.id, account.c.balance_fen, lot.c.programme)
        .outerjoin(lot, account.c.id == "claim_due:" + lot.c.id)
        .where(
            account.c.kind.in_(("owed", "payable", "claim_due")),
            account.c.balance_fen > 0,
        )
        .order_by(account.c.id)
    )
    found = []
    for row in rows:
        kind, _, owner = row.id.partition(":")
        programme, payee = unpaired(owner) if kind == "owed" else (row.programme or "", owner)
        found.append(
            Payable(
                kind=_PAYABLES[kind], payee=payee, programme=programme, open_fen=row.balance_fen
            )
        )
    return tuple(one for one in found if payees is None or one.payee in payees)


@dataclass(frozen=True, slots=True, kw_only=True)
class Debt:
    """What a tenant owes from the clawback of a lot or a claim, in fen."""

    tenant_id: str
    lot_id: str
    programme: str
    open_fen: int


def debts(connection: Connection, tenant_id: str | None = None) -> tuple[Debt, ...]:
    """Return open debts from clawbacks, a tenant's or (None) all, oldest lot first."""
    chosen = (
        select(lot.c.tenant_id, lot.c.id, lot.c.programme, account.c.balance_fen)
        .join(account, account.c.id == "receivable:" + lot.c.id)
        .where(account.c.balance_fen < 0)
        .order_by(lot.c.issued_at, lot.c.id)
    )
    if tenant_id is not None:
        chosen = chosen.where(lot.c.tenant_id == tenant_id)
    return tuple(
        Debt(
            tenant_id=row.tenant_id,
            lot_id=row.id,
            programme=row.programme,
            open_fen=-row.balance_fen,
        )
        for row in connection.execute(chosen)
    )


_PAYABLES: Final = {
    "owed": PayableKind.VOUCHER,
    "payable": PayableKind.CASH,
    "claim_due": PayableKind.CLAIM,
}


def _lots(connection: Connection, programme: str | None) -> Iterator[tuple[str, Mix, Parts, int]]:
    """Yield of every lot its programme, funders, what became of it, and what was given back."""
    chosen = select(lot.c.id, lot.c.programme, lot.c.funders)
    if programme is not None:
        chosen = chosen.where(lot.c.programme == programme)
    rows = connection.execute(chosen).all()
    parts = select(account.c.id, account.c.balance_fen).where(account.c.kind.in_(_KINDS))
    balances = {row.id: row.balance_fen for row in connection.execute(parts)}
    for row in rows:
        fen = {kind: balances.get(f"{kind}:{row.id}", 0) for kind in _KINDS}
        became = Parts(
            spent=fen["spent"] + fen["redeemed"],
            held=fen["held"],
            left=fen["lot"] + fen["claim"],
            recalled=fen["recalled"],
            expired=fen["expired"],
        )
        yield row.programme, read_mix(row.funders), became, -fen["reused"]
