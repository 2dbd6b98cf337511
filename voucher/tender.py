"""Split tender: how one price is divided among lots, each with a ratio, and cash. Pure.

A lot pays at most its slice and at most ``floor(amount x ratio)``; cash pays the remainder. With
two or more partial lots, rounding down each share can leave more to cash at a *smaller* amount than
at the full one (999 fen over 1/5 and 3/10 leaves 501, 1000 leaves 500). A hold therefore carries a
reserve of cash of less than one fen a lot, so that every amount up to the hold can be paid exactly.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from suanwang.ids import LotId
from suanwang.model.voucher import HoldSlice, Lot
from suanwang.units import divide_up, share_fen


class Share(NamedTuple):
    """What one lot may carry: its slice in fen, and its ratio."""

    slice_fen: int
    ratio_num: int
    ratio_den: int

    @property
    def is_partial(self) -> bool:
        """Whether the lot pays only a part of a price."""
        return self.ratio_num < self.ratio_den


def split(amount_fen: int, shares: Sequence[Share]) -> tuple[int, ...]:
    """Return what each share pays of ``amount_fen``, in order, and last what is left to cash."""
    left, paid = amount_fen, []
    for share in shares:
        limit = share_fen(amount_fen, share.ratio_num, share.ratio_den)
        part = min(share.slice_fen, limit, left)
        paid.append(part)
        left -= part
    return (*paid, left)


def unwind(amount_fen: int, paid: Sequence[int], shares: Sequence[Share]) -> tuple[int, ...]:
    """Return what each share, and last cash, keeps paying when only ``amount_fen`` is left to pay.

    ``paid`` is what each pays now, cash last. Nobody pays more than before: where rounding would
    ask cash for a fen more, the lots keep it, in drawing order.
    """
    *lots, _ = split(amount_fen, shares)
    kept = [min(now, wanted) for now, wanted in zip(paid, lots, strict=False)]
    left = amount_fen - sum(kept)
    cash = min(left, paid[-1])
    left -= cash
    for index, keeps in enumerate(kept):
        more = min(left, paid[index] - keeps)
        kept[index] = keeps + more
        left -= more
    return (*kept, cash)


def cash_needed_fen(shares: Sequence[Share]) -> int:
    """Return cash with which every amount up to shares plus cash can be paid, in fen.

    Zero where fewer than two shares are partial: then the remainder only grows with the amount.
    Otherwise a bound that is at most one fen a partial share too high: between the amounts at
    which a share is used up, the remainder is below a straight line, so its ends decide.
    """
    if len(shares) < 2 or sum([share.is_partial for share in shares]) < 2:
        return 0
    carrying = sorted(_positive(shares), key=_used_up_at)
    edges = [0, *map(_used_up_at, carrying)]
    needed = 0
    for index, (start, end) in enumerate(pairwise(edges)):
        if start == end:
            continue
        used_up = sum(share.slice_fen for share in carrying[:index])
        ratios = [Fraction(s.ratio_num, s.ratio_den) for s in carrying[index:]]
        rounding = sum((1 - Fraction(1, ratio.denominator) for ratio in ratios), Fraction(0))
        for amount in (start, end - 1):
            remainder = amount * (1 - sum(ratios, Fraction(0))) - used_up + rounding
            needed = max(needed, remainder.__floor__())
    return needed


def slices_for(
    price_fen: int, lots: Iterable[Lot], cash_fen: int, now: datetime
) -> tuple[HoldSlice, ...] | None:
    """Return slices that hold ``price_fen``, lots in drawing order first, or None: too dear.

    The caller hands in only lots whose rules allow the site and the accelerator; expired ones are
    skipped. The cash slice includes the rounding reserve.
    """
    slices: list[HoldSlice] = []
    shares: list[Share] = []
    left = price_fen
    for lot in sorted(lots, key=lambda lot: (lot.rank, lot.expires_at, lot.id)):
        limit = share_fen(price_fen, lot.ratio_num, lot.ratio_den)
        part = min(lot.available_fen, limit, left)
        if part <= 0 or now >= lot.expires_at:
            continue
        slices.append(HoldSlice(lot_id=LotId(lot.id), amount_fen=part))
        shares.append(Share(slice_fen=part, ratio_num=lot.ratio_num, ratio_den=lot.ratio_den))
        left -= part
    cash = max(left, cash_needed_fen(shares))
    if cash > cash_fen:
        return None
    return (*slices, HoldSlice(lot_id=None, amount_fen=cash)) if cash else tuple(slices)


def more_slices(
    price_fen: int, held: Sequence[HoldSlice], lots: Iterable[Lot], drawable: Collection[str]
) -> tuple[HoldSlice, ...]:
    """Return what must join a hold so that it covers ``price_fen``: lots in drawing order, cash.

    ``lots`` has every lot that the hold has a slice of, also ended ones: nothing of these is let
    go, and no more joins than is missing. Only lots in ``drawable`` give more, each up to its share
    of the whole price. The cash includes the rounding reserve of the hold as it then is.
    """
    had = {part.lot_id: part.amount_fen for part in held}
    had_cash = had.pop(None, 0)
    left = max(0, price_fen - sum(had.values()) - had_cash)
    slices: list[HoldSlice] = []
    shares: list[Share] = []
    for lot in sorted(lots, key=lambda lot: (lot.rank, lot.expires_at, lot.id)):
        own, more = had.get(lot.id, 0), 0
        if lot.id in drawable:
            limit = share_fen(price_fen, lot.ratio_num, lot.ratio_den)
            more = max(0, min(lot.available_fen, limit - own, left))
            left -= more
        if more:
            slices.append(HoldSlice(lot_id=lot.id, amount_fen=more))
        if own + more:
            shares.append(Share(own + more, lot.ratio_num, lot.ratio_den))
    cash = max(had_cash + left, cash_needed_fen(shares)) - had_cash
    return (*slices, HoldSlice(lot_id=None, amount_fen=cash)) if cash > 0 else tuple(slices)


def _positive(shares: Sequence[Share]) -> list[Share]:
    return [share for share in shares if share.slice_fen > 0 and share.ratio_num > 0]


def _used_up_at(share: Share) -> int:
    return divide_up(share.slice_fen * share.ratio_den, share.ratio_num)
