"""Splitting a price among lots and cash, to the fen."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_builders import LATER, START

from suanwang.ids import LotId, TenantId
from suanwang.model.voucher import HoldSlice, Lot
from suanwang.units import share_fen
from voucher.tender import Share, cash_needed_fen, more_slices, slices_for, split

RATIOS = st.sampled_from([(1, 5), (3, 10), (1, 2), (1, 3), (2, 3), (1, 1), (7, 11), (1, 997)])


def a_lot(lot_id: str = "l1", available_fen: int = 1_000, num: int = 1, den: int = 1) -> Lot:
    return Lot(
        id=LotId(lot_id),
        tenant_id=TenantId("t1"),
        programme="p",
        issued_fen=available_fen,
        available_fen=available_fen,
        held_fen=0,
        spent_fen=0,
        expired_fen=0,
        ratio_num=num,
        ratio_den=den,
        expires_at=LATER,
    )


@given(
    total=st.integers(0, 3_000),
    ratios=st.lists(RATIOS, max_size=4),
    fractions=st.lists(st.integers(0, 10), min_size=4, max_size=4),
)
def test_with_the_reserve_every_smaller_amount_is_paid_exactly(
    total: int, ratios: list[tuple[int, int]], fractions: list[int]
) -> None:
    shares, left = [], total
    for (num, den), tenths in zip(ratios, fractions, strict=False):
        part = min(share_fen(total, num, den) * tenths // 10, left)
        shares.append(Share(slice_fen=part, ratio_num=num, ratio_den=den))
        left -= part
    reserve = max(left, cash_needed_fen(shares))
    partial = sum(share.is_partial for share in shares)
    assert reserve <= left + max(partial - 1, 0)
    for amount in range(sum(share.slice_fen for share in shares) + reserve + 1):
        *paid, cash = split(amount, shares)
        assert sum(paid) + cash == amount
        assert 0 <= cash <= reserve
        for share, part in zip(shares, paid, strict=True):
            assert part <= min(share.slice_fen, share_fen(amount, share.ratio_num, share.ratio_den))


def test_two_shares_can_leave_more_to_cash_at_a_smaller_amount() -> None:
    shares = [
        Share(slice_fen=200, ratio_num=1, ratio_den=5),
        Share(slice_fen=300, ratio_num=3, ratio_den=10),
    ]
    assert split(999, shares) == (199, 299, 501)
    assert split(1_000, shares) == (200, 300, 500)
    assert cash_needed_fen(shares) == 501


@pytest.mark.parametrize(
    ("lots", "cash", "expected"),
    [
        pytest.param([a_lot()], 0, [("l1", 100)], id="a full lot needs no cash"),
        pytest.param([a_lot(den=5)], 80, [("l1", 20), (None, 80)], id="a fifth, then cash"),
        pytest.param([a_lot(den=5)], 79, None, id="a fen short"),
        pytest.param([a_lot(available_fen=30)], 70, [("l1", 30), (None, 70)], id="a small lot"),
        pytest.param([a_lot("b"), a_lot("a", 60)], 0, [("a", 60), ("b", 40)], id="by id"),
        pytest.param(
            [a_lot("a", den=2), a_lot("b", den=2)],
            1,
            [("a", 50), ("b", 50), (None, 1)],
            id="halves need a fen for rounding",
        ),
        pytest.param([a_lot("a", den=2), a_lot("b", den=2)], 0, None, id="no fen for rounding"),
        pytest.param([], 100, [(None, 100)], id="cash alone"),
    ],
)
def test_a_price_is_divided_by_the_rules(
    lots: list[Lot], cash: int, expected: list[tuple[str | None, int]] | None
) -> None:
    slices = slices_for(100, lots, cash, START)
    assert (slices and [(part.lot_id, part.amount_fen) for part in slices]) == expected


def test_an_ended_lot_is_skipped() -> None:
    assert slices_for(100, [a_lot()], 0, LATER) is None
    assert slices_for(100, [a_lot()], 0, LATER - timedelta(microseconds=1)) is not None


@given(
    first=st.integers(0, 1_500),
    more=st.integers(0, 1_500),
    lots=st.lists(st.tuples(RATIOS, st.integers(0, 900), st.booleans()), max_size=4),
)
def test_an_extended_hold_pays_every_amount_up_to_the_longer_run(
    first: int, more: int, lots: list[tuple[tuple[int, int], int, bool]]
) -> None:
    full = [
        a_lot(f"l{index}", available, num, den)
        for index, ((num, den), available, _) in enumerate(lots)
    ]
    held = slices_for(first, full, 10**6, START) or ()
    taken = {part.lot_id: part.amount_fen for part in held}
    left = [replace(lot, available_fen=lot.available_fen - taken.get(lot.id, 0)) for lot in full]
    drawable = {lot.id for lot, (_, _, may_give) in zip(full, lots, strict=True) if may_give}
    joined = more_slices(first + more, held, left, drawable)
    grown = dict(taken)
    for part in joined:
        assert part.amount_fen > 0
        assert part.lot_id is None or part.lot_id in drawable
        grown[part.lot_id] = grown.get(part.lot_id, 0) + part.amount_fen
    assert sum(part.amount_fen for part in joined) <= more + len(lots)
    cash = grown.pop(None, 0)
    shares = [Share(grown[lot.id], lot.ratio_num, lot.ratio_den) for lot in full if lot.id in grown]
    assert sum(grown.values()) + cash >= first + more
    for lot in full:
        limit = share_fen(first + more, lot.ratio_num, lot.ratio_den)
        assert grown.get(lot.id, 0) <= min(limit, lot.available_fen)
    for amount in range(0, first + more + 1, max(1, (first + more) // 50)):
        assert split(amount, shares)[-1] <= cash


def test_a_hold_that_covers_the_longer_run_gets_nothing_more() -> None:
    held = (HoldSlice(lot_id=None, amount_fen=500),)
    assert more_slices(500, held, [a_lot()], {"l1"}) == ()
