"""From a window to money: usage in the record and the hold settled, in one turn at the ledger.

Both keys are derived from the attempt, so whoever settles it again (a repeated report, a reconcile
after a crash) writes nothing new.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from scheduler import store_registry, store_usage
from scheduler.events import Bill, ExtendHold, OpenHold, ReleaseHold
from suanwang.ids import PoolId, TenantId
from suanwang.model.attempt import Attempt
from suanwang.model.usage import UsageInterval
from suanwang.units import yuan_text
from voucher import commands, ledger, metering
from voucher.outcomes import Refusal
from voucher.turn import Turn

_LOG = logging.getLogger(__name__)


class HoldRefused(Exception):
    """The ledger sets no money aside: the step that asked for it must be undone."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What became of a hold: ``amount_fen`` paid, in words for the job's story."""

    kind: str
    amount_fen: int
    message: str


def open_hold(turn: Turn, tenant_id: TenantId, hold: OpenHold, now: datetime) -> None:
    """Set money aside; raise HoldRefused where the ledger says no."""
    (refused,) = open_holds(turn, [(tenant_id, hold)], now)
    if refused is not None:
        raise refused


def open_holds(
    turn: Turn, holds: Sequence[tuple[TenantId, OpenHold]], now: datetime
) -> list[HoldRefused | None]:
    """Set money aside for many attempts, in order; return what the ledger says no to."""
    batch = [
        commands.OpenHold(
            key=f"hold:{hold.attempt_id}",
            hold_id=hold.hold_id,
            tenant_id=tenant_id,
            attempt_id=hold.attempt_id,
            slices=hold.slices,
        )
        for tenant_id, hold in holds
    ]
    if not batch:
        return []
    return [
        HoldRefused(outcome) if isinstance(outcome, Refusal) else None
        for outcome in ledger.apply(turn, batch, now)
    ]


def extend_hold(turn: Turn, more: ExtendHold, now: datetime) -> None:
    """Add to an open hold; raise HoldRefused where the ledger says no."""
    extension = more.extension
    command = commands.ExtendHold(
        key=f"extend:{extension.attempt_id}:{extension.number}",
        hold_id=more.hold_id,
        slices=more.slices,
    )
    (outcome,) = ledger.apply(turn, [command], now)
    if isinstance(outcome, Refusal):
        raise HoldRefused(outcome)


def settle(turn: Turn, attempt: Attempt, bill: Bill, now: datetime) -> Settled:
    """Write the usage and pay for it; what is left of the hold goes back."""
    interval = UsageInterval(
        attempt_id=attempt.id,
        resource=_resource(turn.connection, attempt.pool_id),
        quantity=attempt.units,
        started_at=bill.started_at,
        ended_at=bill.ended_at,
        source=bill.source,
    )
    store_usage.add_interval(turn.connection, interval, seq=1)
    charge = metering.bill(attempt, [interval])
    amount_fen, seconds = charge.amount_fen, charge.unit_ms / 1_000
    words = f"{seconds:,.1f} unit-seconds of {interval.resource}: {yuan_text(amount_fen)} yuan"
    command: commands.Command
    if amount_fen == 0:
        command = commands.Release(key=f"settle:{attempt.id}", hold_id=attempt.hold_id)
    else:
        command = commands.Capture(
            key=f"settle:{attempt.id}",
            hold_id=attempt.hold_id,
            amount_fen=amount_fen,
            payee=attempt.site_id,
            used_until=bill.ended_at,
        )
    return _close(turn, command, Settled(kind="billed", amount_fen=amount_fen, message=words), now)


def release(turn: Turn, release_hold: ReleaseHold, now: datetime) -> Settled:
    """Give all the money of an attempt back."""
    command = commands.Release(
        key=f"settle:{release_hold.attempt_id}", hold_id=release_hold.hold_id
    )
    settled = Settled(kind="released", amount_fen=0, message=release_hold.message)
    return _close(turn, command, settled, now)


def _close(turn: Turn, command: commands.Command, settled: Settled, now: datetime) -> Settled:
    """A refused end is an alarm, not a lost report: the hold stays open for the next reconcile."""
    (outcome,) = ledger.apply(turn, [command], now)
    if isinstance(outcome, Refusal):
        _LOG.error("settling refused: %s", outcome.message, extra={"key": command.key})
        return Settled(kind="billing-refused", amount_fen=0, message=outcome.message)
    return settled


def _resource(connection: Connection, pool_id: PoolId) -> str:
    pool = store_registry.pool_by_id(connection, pool_id)
    return "unknown" if pool is None else pool.accelerator
