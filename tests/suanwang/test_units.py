"""Money is whole, rounds in one place, and never depends on how a bill is cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanwang.units import (
    INT64_MAX,
    charge_fen,
    divide_up,
    hold_fen,
    parse_yuan,
    share_fen,
    yuan_text,
)

MONTH_MS = 31 * 24 * 3_600_000
unit_ms = st.integers(0, 4_096 * MONTH_MS)
prices = st.integers(0, 1_000 * 1_000_000)


@given(st.lists(unit_ms, max_size=30), prices)
def test_a_bill_in_steps_adds_up_to_the_bill_in_one_piece(ticks: list[int], price: int) -> None:
    moments = [0, *sorted(ticks)]
    steps = [charge_fen(b, price) - charge_fen(a, price) for a, b in pairwise(moments)]
    assert sum(steps) == charge_fen(moments[-1], price)
    assert all(step >= 0 for step in steps)


@given(unit_ms, prices)
def test_a_hold_covers_the_charge_and_is_less_than_a_fen_above_it(used: int, price: int) -> None:
    assert 0 <= hold_fen(used, price) - charge_fen(used, price) <= 1


@given(unit_ms, unit_ms, prices)
def test_a_hold_for_the_longest_run_covers_every_shorter_one(a: int, b: int, price: int) -> None:
    assert hold_fen(max(a, b), price) >= charge_fen(min(a, b), price)


@given(unit_ms, prices)
def test_money_fits_in_64_bits(used: int, price: int) -> None:
    assert hold_fen(used, price) <= INT64_MAX


@given(st.integers(0, 10**15), st.integers(0, 100), st.integers(1, 100))
def test_a_share_is_never_more_than_its_ratio(
    amount: int, numerator: int, denominator: int
) -> None:
    share = share_fen(amount, numerator, denominator)
    assert share * denominator <= amount * numerator < (share + 1) * denominator


@given(st.integers(-(10**15), 10**15))
def test_an_amount_survives_being_written_and_read(amount: int) -> None:
    assert parse_yuan(yuan_text(amount)) == amount


@pytest.mark.parametrize(
    ("used_ms", "price", "fen"),
    [
        pytest.param(3_600_000, 2_000_000, 200, id="an hour at two yuan"),
        pytest.param(17_999, 2_000_000, 0, id="under a fen costs nothing"),
        pytest.param(18_000, 2_000_000, 1, id="a whole fen is charged"),
        pytest.param(0, 2_000_000, 0, id="no use"),
        pytest.param(8 * 3_600_000, 0, 0, id="a free pool"),
    ],
)
def test_a_charge_rounds_down(used_ms: int, price: int, fen: int) -> None:
    assert charge_fen(used_ms, price) == fen


def test_the_smallest_use_holds_a_fen() -> None:
    assert hold_fen(1, 1) == 1


@pytest.mark.parametrize(("use", "price"), [(-1, 5), (5, -1)])
def test_negative_use_or_price_is_a_bug(use: int, price: int) -> None:
    with pytest.raises(ValueError, match="negative"):
        charge_fen(use, price)


@pytest.mark.parametrize(("numerator", "quotient"), [(7, 4), (8, 4), (0, 0), (-7, -3), (1, 1)])
def test_divide_up_rounds_towards_plus_infinity(numerator: int, quotient: int) -> None:
    assert divide_up(numerator, 2) == quotient


def test_divide_up_needs_a_positive_denominator() -> None:
    with pytest.raises(ValueError, match="denominator"):
        divide_up(1, 0)


@pytest.mark.parametrize(
    ("text", "fen"),
    [("1,234.56", 123_456), ("0.5", 50), ("-3", -300), ("+3.", 300), (".05", 5), (" 7 ", 700)],
)
def test_amounts_are_read_as_people_write_them(text: str, fen: int) -> None:
    assert parse_yuan(text) == fen


@pytest.mark.parametrize(
    "text", ["", ".", "-", "1.234", "1e3", "¥5", "\uff11\uff12", "1.2.3", "--5", "nan"]
)
def test_other_texts_are_no_amounts(text: str) -> None:
    with pytest.raises(ValueError, match=r"amount|digits"):
        parse_yuan(text)
