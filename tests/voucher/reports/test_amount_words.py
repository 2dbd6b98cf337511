"""Amounts in Chinese capitals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voucher.reports.amount_words import YUAN_MAX, amount_words

DIGITS = "零壹贰叁肆伍陆柒捌玖"
PLACES = {"拾": 10, "佰": 100, "仟": 1_000}


def read(words: str) -> int:
    """Read an amount in capitals back into fen."""
    sign = -1 if words.startswith("负") else 1
    yuan, mark, rest = words.removeprefix("负").partition("元")
    if not mark:
        yuan, rest = "", words.removeprefix("负")
    jiao, has_jiao, fen = rest.rpartition("角")
    total = _whole(yuan) * 100
    total += DIGITS.index(jiao[-1]) * 10 if has_jiao else 0
    fen = fen.removesuffix("整").removesuffix("分")
    return sign * (total + (DIGITS.index(fen[-1]) if fen else 0))


def _whole(words: str) -> int:
    for mark, size in (("亿", 10**8), ("万", 10**4)):
        high, found, low = words.rpartition(mark)
        if found:
            return _whole(high) * size + _whole(low)
    total = digit = 0
    for letter in words:
        if letter in PLACES:
            total, digit = total + digit * PLACES[letter], 0
        else:
            digit = DIGITS.index(letter)
    return total + digit


@pytest.mark.parametrize(
    ("amount_fen", "words"),
    [
        pytest.param(0, "零元整", id="nothing"),
        pytest.param(5, "伍分", id="fen alone"),
        pytest.param(50, "伍角", id="jiao alone"),
        pytest.param(100, "壹元整", id="a whole yuan ends in zheng"),
        pytest.param(140_950, "壹仟肆佰零玖元伍角", id="a zero inside is said"),
        pytest.param(600_714, "陆仟零柒元壹角肆分", id="two zeros inside are said once"),
        pytest.param(168_032, "壹仟陆佰捌拾元叁角贰分", id="a zero before yuan may be left out"),
        pytest.param(32_504, "叁佰贰拾伍元零肆分", id="no jiao is said before fen"),
        pytest.param(10_700_053, "壹拾万柒仟元伍角叁分", id="ten is one ten"),
        pytest.param(100_010_000_00, "壹亿零壹万元整", id="a gap between groups"),
        pytest.param(100_000_001_00, "壹亿零壹元整", id="a gap over a whole group"),
        pytest.param(10**15, "壹拾万亿元整", id="the largest amount of one command"),
        pytest.param(-7, "负柒分", id="below zero"),
    ],
)
def test_an_amount_is_written_after_the_rules_for_bills(amount_fen: int, words: str) -> None:
    assert amount_words(amount_fen) == words


@given(st.integers(min_value=-(10**17), max_value=10**17))
def test_the_words_can_be_read_back(amount_fen: int) -> None:
    words = amount_words(amount_fen)
    assert read(words) == amount_fen
    assert "零零" not in words


def test_more_than_can_be_said_is_refused() -> None:
    with pytest.raises(ValueError, match="too many"):
        amount_words((YUAN_MAX + 1) * 100)
