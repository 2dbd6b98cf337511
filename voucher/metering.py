"""From use to a bill, pure: cumulative, so that any way of cutting a run gives the same total.

A bill is always for everything since the attempt's start; a step is the difference of two bills.
Rounding each step on its own instead costs 144 yuan a month for eight GPUs at one tick a minute.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import pairwise
from typing import Final

from suanwang.errors import BadInput
from suanwang.ids import AttemptId
from suanwang.model.attempt import Attempt
from suanwang.model.usage import UsageInterval
from suanwang.model.voucher import Hold, Lot
from suanwang.units import charge_fen
from voucher.commands import DEFAULT_PAYEE, Capture
from voucher.tender import Share, split

MS_PER_SECOND: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What an attempt costs from its start to now: ``unit_ms`` of use and its price in fen.

    ``key`` is made of the attempt and the use, so the same bill sent again is the same request.
    """

    attempt_id: AttemptId
    unit_ms: int
    amount_fen: int
    key: str

    @property
    def unit_seconds(self) -> int:
        """Whole seconds times units."""
        return self.unit_ms // MS_PER_SECOND


def bill(
    attempt: Attempt, intervals: Iterable[UsageInterval], *, resource: str | None = None
) -> Charge:
    """Return the cumulative charge for an attempt's use of its pool.

    A moment that several intervals cover is billed once, at the highest quantity among them. Only
    ``resource`` is billed, which may be left out if all intervals are of one. Raises BadInput for
    intervals of another attempt, of several resources, or that end before they start.
    """
    chosen = [one for one in intervals if resource is None or one.resource == resource]
    for one in chosen:
        if one.attempt_id != attempt.id:
            raise BadInput(f"use of attempt {one.attempt_id} on the bill of {attempt.id}")
        if one.ended_at < one.started_at or one.quantity < 0:
            raise BadInput(
                f"use of {one.quantity} units from {one.started_at} to {one.ended_at} cannot be"
            )
    resources = {one.resource for one in chosen}
    if len(resources) > 1:
        raise BadInput(f"one price cannot bill {', '.join(sorted(resources))} at once")
    used = covered_unit_ms(chosen)
    return Charge(
        attempt_id=attempt.id,
        unit_ms=used,
        amount_fen=charge_fen(used, attempt.price_uyuan_per_unit_hour),
        key=f"capture:{attempt.id}:{used}",
    )


def covered_unit_ms(intervals: Iterable[UsageInterval]) -> int:
    """Return units times milliseconds, each moment counted once at the highest quantity given.

    Rounds down once, at the end, so where a run is cut does not matter.
    """
    waiting = sorted(intervals, key=lambda one: one.started_at, reverse=True)
    edges = sorted({edge for one in waiting for edge in (one.started_at, one.ended_at)})
    covering: list[tuple[int, datetime]] = []
    used = timedelta(0)
    for start, end in pairwise(edges):
        while waiting and waiting[-1].started_at <= start:
            one = waiting.pop()
            heappush(covering, (-one.quantity, one.ended_at))
        while covering and covering[0][1] <= start:
            heappop(covering)
        if covering:
            used += (end - start) * -covering[0][0]
    return used // timedelta(milliseconds=1)


def step_fen(before: Charge, after: Charge) -> int:
    """Return what the time between two bills of one attempt costs, in fen."""
    if before.attempt_id != after.attempt_id or before.unit_ms > after.unit_ms:
        raise BadInput(f"{after.key} does not follow {before.key}")
    return after.amount_fen - before.amount_fen


@dataclass(frozen=True, slots=True, kw_only=True)
class Accrual:
    """What an open hold would pay if the attempt ended now, and what is set aside for it, in fen.

    Nothing of it is booked: the books move when the hold is opened, extended and ended.
    """

    unit_ms: int
    voucher_fen: int
    cash_fen: int
    held_voucher_fen: int
    held_cash_fen: int

    @property
    def cost_fen(self) -> int:
        """Cost from the start to now."""
        return self.voucher_fen + self.cash_fen

    @property
    def held_fen(self) -> int:
        """The most that the attempt can cost."""
        return self.held_voucher_fen + self.held_cash_fen


def accrue(charge: Charge, hold: Hold, lots: Iterable[Lot]) -> Accrual:
    """Return who would pay the charge from its hold, by the very rule of the capture at the end.

    ``lots`` has every lot that the hold has a slice of.
    """
    ratios = {lot.id: (lot.ratio_num, lot.ratio_den) for lot in lots}
    slices = [part for part in hold.slices if part.lot_id is not None]
    shares = [Share(part.amount_fen, *ratios[part.lot_id]) for part in slices if part.lot_id]
    amount_fen = min(charge.amount_fen, hold.amount_fen)
    *by_lots, cash_fen = split(amount_fen, shares)
    held_voucher_fen = sum(part.amount_fen for part in slices)
    return Accrual(
        unit_ms=charge.unit_ms,
        voucher_fen=sum(by_lots),
        cash_fen=cash_fen,
        held_voucher_fen=held_voucher_fen,
        held_cash_fen=hold.amount_fen - held_voucher_fen,
    )


def capture(charge: Charge, hold: Hold, payee: str = DEFAULT_PAYEE) -> Capture:
    """Return the command that pays a charge from its hold, never more than was held.

    A run that outlives what was paid for is the platform's loss: it should have been stopped.
    """
    return Capture(
        key=charge.key,
        hold_id=hold.id,
        amount_fen=min(charge.amount_fen, hold.amount_fen),
        payee=payee,
    )
