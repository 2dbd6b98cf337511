"""The sweep that books lots as expired. Reads do not wait for it: they look at the clock."""

from datetime import UTC, datetime
from typing import Final

from voucher.ledger import Expire, Outcome, apply
from voucher.store import due_lots
from voucher.turn import Turn

SWEEP_MAX: Final = 1_000
"""Lots in one transaction."""


def expire_due(turn: Turn, now: datetime) -> tuple[Outcome, ...]:
    """Book what is left of up to 1,000 ended lots as expired; nothing when none is due.

    The key has the moment in it, since money can come back to a lot that was swept already when the
    clocks of two processes differ.
    """
    moment = now.astimezone(UTC).isoformat(timespec="microseconds")
    due = due_lots(turn.connection, now, SWEEP_MAX)
    sweep = [Expire(key=f"expire:{lot_id}:{moment}", lot_id=lot_id) for lot_id in due]
    return apply(turn, sweep, now)
