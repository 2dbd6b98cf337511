"""Splitting a price among lots and cash, to the fen."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_builders import LATER, START

from suanwang.ids import LotId, TenantId
from suanwang.model.voucher import Lot
from suanwang.units import share_fen
from voucher.tender import Share, cash_needed_fen, slices_for, split

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
