"""A funder's part of a lot follows from the amount alone, and the parts are always the whole."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voucher.funding import (
    FunderPart,
    Mix,
    Parts,
    between,
    by_funder,
    divided,
    from_the_end,
    pair,
    shares,
    unpaired,
)


def a_mix(amounts: list[int]) -> Mix:
    """Funders f0, f1 and so on."""
    return tuple(FunderPart(f"f{number}", amount) for number, amount in enumerate(amounts))


MIXES = st.lists(st.integers(1, 10**9), min_size=1, max_size=6).map(a_mix)


@pytest.mark.parametrize(
    ("amounts", "of", "parts"),
    [
        pytest.param([100], 7, (7,), id="one funder pays all"),
        pytest.param([50, 50], 5, (3, 2), id="half and half: the odd fen is the first's"),
        pytest.param([50, 50], 100, (50, 50), id="the whole is what each put in"),
        pytest.param([1, 1, 1], 1, (1, 0, 0), id="one fen of three"),
        pytest.param([1, 1, 1], 2, (1, 1, 0), id="two fen of three"),
        pytest.param([1, 1, 1], 3, (1, 1, 1), id="three fen of three"),
        pytest.param([7_777_770, 7_777_770], 0, (0, 0), id="nothing"),
        pytest.param([70, 30], 33, (24, 9), id="seventy and thirty"),
    ],
)
def test_parts_of_an_amount(amounts: list[int], of: int, parts: tuple[int, ...]) -> None:
    assert shares(of, a_mix(amounts)) == parts


@given(mix=MIXES, data=st.data())
def test_parts_add_up_however_an_amount_is_cut_into_steps(mix: Mix, data: st.DataObject) -> None:
    whole = sum(part.amount_fen for part in mix)
    cuts = data.draw(st.lists(st.integers(0, whole), max_size=20))
    points = [0, *sorted(cuts), whole]
    steps = [between(lower, upper, mix) for lower, upper in pairwise(points)]
    assert all(part >= 0 for step in steps for part in step)
    assert [sum(step) for step in steps] == [upper - lower for lower, upper in pairwise(points)]
    assert [sum(column) for column in zip(*steps, strict=True)] == [one.amount_fen for one in mix]


@given(mix=MIXES, data=st.data())
def test_no_part_is_further_from_its_proportion_than_a_fen_a_funder(
    mix: Mix, data: st.DataObject
) -> None:
    whole = sum(part.amount_fen for part in mix)
    amount = data.draw(st.integers(0, whole))
    for part, one in zip(shares(amount, mix), mix, strict=True):
        assert abs(part * whole - amount * one.amount_fen) < whole * len(mix)


@given(mix=MIXES, data=st.data())
def test_beginning_and_end_of_a_lot_are_all_of_it(mix: Mix, data: st.DataObject) -> None:
    whole = sum(part.amount_fen for part in mix)
    amount = data.draw(st.integers(0, whole))
    pairs = zip(shares(whole - amount, mix), from_the_end(amount, mix), strict=True)
    assert [first + last for first, last in pairs] == [one.amount_fen for one in mix]


@given(mix=MIXES, data=st.data())
def test_rows_and_columns_of_what_became_of_a_lot_add_up(mix: Mix, data: st.DataObject) -> None:
    left = sum(part.amount_fen for part in mix)
    amounts = []
    for _ in range(4):
        amounts.append(data.draw(st.integers(0, left)))
        left -= amounts[-1]
    spent, held, free, recalled = amounts
    parts = Parts(spent, held, free, recalled, left)
    rows = by_funder(parts, mix)
    assert [rows[one.funder].granted for one in mix] == [one.amount_fen for one in mix]
    assert [sum(column) for column in zip(*rows.values(), strict=True)] == list(parts)
    assert all(amount >= 0 for row in rows.values() for amount in row)


@given(mix=MIXES, data=st.data())
def test_lots_of_one_award_have_its_funders_together(mix: Mix, data: st.DataObject) -> None:
    whole = sum(part.amount_fen for part in mix)
    first = data.draw(st.integers(0, whole))
    lots = divided(mix, [first, whole - first])
    assert [sum(part.amount_fen for part in lot) for lot in lots] == [first, whole - first]
    for one in mix:
        parts = [part for lot in lots for part in lot if part.funder == one.funder]
        assert sum(part.amount_fen for part in parts) == one.amount_fen
        assert all(part.amount_fen > 0 for part in parts)


@given(one=st.tuples(st.text(), st.text()), other=st.tuples(st.text(), st.text()))
def test_two_pairs_never_share_an_account(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert unpaired(pair(*one)) == one
    assert (pair(*one) == pair(*other)) == (one == other)
