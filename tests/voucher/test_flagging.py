"""Flags: every code has its sentence in both languages, with the same figures."""

import re

import pytest

from voucher.flagging import WORDS, FlagCode, flag, read_flag, say
from voucher.wording import Language, names_in

CHINESE = re.compile(r"[\u4e00-\u9fff]")
FIGURES = {"_ppm": 123_400, "_fen": 123_456, "_mwh": 5_000}


def bare(name: str) -> str:
    """Return the name of a fact without its language."""
    return name.removesuffix("_en").removesuffix("_zh")


def facts_of(code: FlagCode) -> dict[str, str | int]:
    """Return a fact for every name of a code's sentences."""
    names = {name for language in Language for name in names_in(WORDS[code].of(language))}
    return {
        name: next((value for end, value in FIGURES.items() if name.endswith(end)), name)
        for name in names
    }


@pytest.mark.parametrize("code", list(FlagCode))
def test_each_code_has_both_languages_with_the_same_facts(code: FlagCode) -> None:
    words = WORDS[code]
    assert CHINESE.search(words.zh)
    assert not CHINESE.search(words.en)
    assert {bare(one) for one in names_in(words.en)} == {bare(one) for one in names_in(words.zh)}
    for language in Language:
        assert "{" not in say(code, facts_of(code), language)


def test_figures_are_written_with_their_units() -> None:
    found = flag(
        FlagCode.NO_POWER,
        attempt_id="a1",
        units=8,
        busy_mwh=5_600_000,
        site_it_mwh=1,
        quality="measured",
        coverage_ppm=505_000,
    )
    assert "5600.000 Wh" in found.message
    assert "50.5%" in found.message_zh


@pytest.mark.parametrize("code", list(FlagCode))
def test_a_flag_is_stored_and_read_back(code: FlagCode) -> None:
    found = flag(code, "1", **facts_of(code))
    assert read_flag(found.document()) == found


def test_a_fact_of_each_language_is_used_in_that_language() -> None:
    facts: dict[str, str | int] = {
        "customer": "A",
        "provider": "B",
        "path_en": "x",
        "path_zh": "甲",
    }
    assert say(FlagCode.RELATED_PARTY, facts, Language.ENGLISH) == "A and B are related: x"
    assert say(FlagCode.RELATED_PARTY, facts, Language.CHINESE).endswith("甲")
