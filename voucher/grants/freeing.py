"""Caps follow the money: as an award's money comes back, the caps that it took are free of it.

How much is free follows from what the ledger says of the award's lots, and from the policy, alone.
It is kept with the application, so doing this twice, or late, changes nothing more.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlalchemy import Connection

from voucher import store as voucher_store
from voucher.grants import store_audit, store_programmes
from voucher.grants.case import State
from voucher.grants.records import Record
from voucher.programmes.application import Application, china_day
from voucher.programmes.award import reserve, with_amount
from voucher.programmes.life import Back, freed
from voucher.programmes.programme import Programme
from voucher.programmes.redeem import book_redemption
from voucher.programmes.schema import CapScope
from voucher.programmes.usage import CLAIMED, Usage, cap_key, caps_of


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of what was redeemed, by the day that its caps count it under."""

    paid_on: date
    amount_fen: int


def freed_now(
    connection: Connection, programme: Programme, record: Record, now: datetime
) -> Record:
    """Return the application with what its caps are free of now, and write that to the caps."""
    wanted = freed(programme.policy, _back(connection, record, now), _trigger(connection, record))
    if wanted == record.freed or record.award is None:
        return record
    policy_id, had, award = programme.policy.id, record.freed, record.award
    before = store_programmes.load_usage(connection, policy_id)
    after = before.copy()
    filed = record.application(frozenset(), now)
    give_to_pools(programme, filed, after, wanted.pool_fen - had.pool_fen)
    reserve(programme, filed, with_amount(award, award.amount_fen - had.own_fen), after, sign=-1)
    reserve(programme, filed, with_amount(award, award.amount_fen - wanted.own_fen), after)
    # A contract or an invoice was claimed, whatever became of the money.
    after.spent = set(before.spent)
    payments = store_audit.redemptions(connection, record.id)
    for part in between(payments, had.redeemed_fen, wanted.redeemed_fen):
        book_redemption(programme, filed, -part.amount_fen, part.paid_on, after)
    store_programmes.save_usage(connection, policy_id, before, after, {})
    return replace(record, freed=wanted)


def give_to_pools(programme: Programme, filed: Application, usage: Usage, amount_fen: int) -> None:
    """Let the pools of an application's period grant an amount again."""
    day = china_day(filed.submitted_at)
    for cap in caps_of(programme, filed, CLAIMED).caps:
        if cap.scope is CapScope.POOL:
            usage.add(cap_key(cap, filed, day, CLAIMED), -amount_fen)


def between(
    payments: Sequence[store_audit.Redemption], begin_fen: int, end_fen: int
) -> Iterator[Slice]:
    """Yield what lies between two amounts that came back: what was never paid, then the latest."""
    reach = 0
    for one in sorted(payments, key=lambda one: (one.settled_at is not None, -one.seq)):
        low, high = max(begin_fen, reach), min(end_fen, reach + one.amount_fen)
        reach += one.amount_fen
        if low < high:
            yield Slice(date.fromisoformat(one.paid_on), high - low)


def _back(connection: Connection, record: Record, now: datetime) -> Back:
    lots = [voucher_store.find_lot(connection, one, now) for one in record.lots]
    debts = sum(voucher_store.debt_of_lot_fen(connection, one.id) for one in lots)
    is_ended = record.state is State.RECLAIMED
    case = record.case
    return Back(
        expired_fen=sum(one.expired_fen for one in lots),
        reclaimed_fen=sum(one.recalled_fen for one in lots) - debts,
        rest_fen=case.award_fen - case.settled_fen if is_ended else 0,
        unpaid_fen=case.redeemed_fen - case.settled_fen if is_ended else 0,
    )


def _trigger(connection: Connection, record: Record) -> str:
    """Return the trigger of the demand that was approved, or nothing."""
    demands = store_audit.clawbacks(connection, record.id)
    return next((one.trigger for one in demands if one.state == "approved"), "")
