"""Reads for settlements and programme reports: what payees and funders stand at over a period.

What stands at the end of a period is what stands now less what has moved since, so that a report of
a month does not read the whole past.
"""

import json
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import Connection, select
from sqlalchemy.sql.elements import ColumnElement

from suanwang.db.tables import account, journal
from voucher.chain import read_moves
from voucher.funding import pair, unpaired
from voucher.reports.programme import PoolUse
from voucher.reports.report import Period
from voucher.reports.settlement import Account, BankPayment, PayeeAccount
from voucher.store_reports import moved, within

_PAYMENTS: Final = ("pay-out", "pay-back")
_EARNINGS: Final = ("capture", "refund")
_OF_POOLS: Final = (
    "appropriate", "withdraw", "issue", "claim", "expire", "clawback", "repay", "end-claim",
)  # fmt: skip


def payee_account(connection: Connection, payees: Collection[str], period: Period) -> Account:
    """Return what sites are owed over a period, by programme and cash, and their payments."""
    since = journal.c.at >= period.end
    now = _balances(connection, ("owed", "payable"))
    later = moved(connection, since & journal.c.kind.in_((*_EARNINGS, *_PAYMENTS)))
    earned = moved(connection, within(period) & journal.c.kind.in_(_EARNINGS))
    paid = moved(connection, within(period) & journal.c.kind.in_(_PAYMENTS))
    rows = []
    for name in sorted({*now, *earned, *paid}):
        programme, payee = _payee_of(name)
        if payee not in payees:
            continue
        closing = now.get(name, 0) - later.get(name, 0)
        one = PayeeAccount(
            programme=programme,
            payee=payee,
            opening_fen=closing - earned.get(name, 0) - paid.get(name, 0),
            earned_fen=earned.get(name, 0),
            paid_fen=-paid.get(name, 0),
        )
        if one.opening_fen or one.earned_fen or one.paid_fen or one.open_fen:
            rows.append(one)
    return Account(payees=rows, payments=_payments(connection, payees, period))


def pool_uses(connection: Connection, programme: str, period: Period) -> Sequence[PoolUse]:
    """Return what each funder put into its pool in a period, and what was in it at the end."""
    start = pair(programme, "")
    since = journal.c.at >= period.end
    now = _balances(connection, ("pool",))
    later = moved(connection, since & journal.c.kind.in_(_OF_POOLS))
    given: Counter[str] = Counter()
    chosen = within(period) & journal.c.kind.in_(("appropriate", "withdraw"))
    for name, fen in moved(connection, chosen).items():
        given[name] += fen
    pools = sorted(name for name in {*now, *given} if name.startswith(f"pool:{start}"))
    return [
        PoolUse(
            funder=unpaired(name.partition(":")[2])[1],
            appropriated_fen=given[name],
            pool_fen=now.get(name, 0) - later.get(name, 0),
        )
        for name in pools
    ]


def _payments(
    connection: Connection, payees: Collection[str], period: Period
) -> Sequence[BankPayment]:
    columns = (journal.c.at, journal.c.seq, journal.c.body, journal.c.moves, journal.c.kind)
    chosen: ColumnElement[bool] = within(period) & journal.c.kind.in_(_PAYMENTS)
    found = []
    for row in connection.execute(select(*columns).where(chosen).order_by(journal.c.seq)):
        body = json.loads(row.body)
        if body["payee"] not in payees:
            continue
        ((_, _, fen),) = read_moves(row.moves)
        found.append(
            BankPayment(
                at=row.at,
                seq=row.seq,
                programme=body["programme"] or "",
                payee=body["payee"],
                receipt=body["receipt"],
                amount_fen=fen if row.kind == "pay-out" else -fen,
            )
        )
    return found


def _payee_of(account_id: str) -> tuple[str, str]:
    """Return the programme (empty for cash) and the payee of an account of what is earned."""
    kind, _, owner = account_id.partition(":")
    if kind == "owed":
        return unpaired(owner)
    return ("", owner) if kind == "payable" else ("", "")


def _balances(connection: Connection, kinds: Sequence[str]) -> dict[str, int]:
    rows = connection.execute(
        select(account.c.id, account.c.balance_fen).where(account.c.kind.in_(kinds))
    )
    return {row.id: row.balance_fen for row in rows}
