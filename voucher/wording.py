"""Sentences in English and Chinese, made of a code's words and named figures when they are read.

One thing reads the same in every answer, table and message, in either language. A figure whose name
ends with ``_ppm``, ``_fen``, ``_mwh`` or ``_s`` is a whole number and is written with its unit; a
figure ``path`` that differs by language is given as ``path_en`` and ``path_zh``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from string import Formatter
from typing import Final, Protocol

from suanwang.units import yuan_text

FactValue = str | int
Figures = Mapping[str, FactValue]
_PPM_PER_PERCENT: Final = 10_000
_MWH_PER_WH: Final = 1_000
_S_PER_MINUTE: Final = 60
_S_PER_HOUR: Final = 3_600


class Language(StrEnum):
    """The languages of sentences."""

    ENGLISH = "en"
    CHINESE = "zh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A sentence with the names of figures in braces."""

    en: str
    zh: str

    def of(self, language: Language) -> str:
        """Return the sentence in a language."""
        return self.zh if language is Language.CHINESE else self.en


class Told(Protocol):
    """What is told in a sentence; ``line_id`` is the line it is about, or empty."""

    @property
    def line_id(self) -> str:
        """The line it is about."""

    def text(self, language: Language) -> str:
        """Return the sentence in a language."""

    def document(self) -> dict[str, object]:
        """Return it as JSON holds it, with both sentences."""


def names_in(words: str) -> tuple[str, ...]:
    """Return the names of figures that a sentence has in braces."""
    return tuple(name for _, name, _, _ in Formatter().parse(words) if name)


def render(words: Words, figures: Figures, language: Language) -> str:
    """Return a sentence with its figures; raise KeyError for one that is missing."""
    text = words.of(language)
    return text.format(**{name: _shown(name, figures, language) for name in names_in(text)})


def texts(told: Iterable[Told], language: Language = Language.ENGLISH) -> list[str]:
    """Return sentences, each once, those about a line with its id."""
    sentences = (
        f"{one.line_id}: {one.text(language)}" if one.line_id else one.text(language)
        for one in told
    )
    return list(dict.fromkeys(sentences))


def documents(told: Iterable[Told]) -> list[dict[str, object]]:
    """Return what is told as JSON holds it."""
    return [one.document() for one in told]


def joined(sentences: Iterable[str], language: Language) -> str:
    """Return sentences as one text, each once."""
    between = "；" if language is Language.CHINESE else "; "
    return between.join(dict.fromkeys(sentences))


def money(amount_fen: int, language: Language) -> str:
    """Write an amount with its unit."""
    unit = "元" if language is Language.CHINESE else "CNY"
    return f"{yuan_text(amount_fen)} {unit}"


def length(seconds: int, language: Language) -> str:
    """Write a length of time in its largest unit; hours to a tenth, minutes whole.

    In whole numbers alone, as everything where money is (a test holds that).
    """
    if abs(seconds) < _S_PER_MINUTE:
        number, en, zh = seconds, "s", "秒"
    elif abs(seconds) < _S_PER_HOUR:
        number, en, zh = (seconds + _S_PER_MINUTE // 2) // _S_PER_MINUTE, "min", "分钟"
    else:
        whole, tenth = divmod((seconds * 10 + _S_PER_HOUR // 2) // _S_PER_HOUR, 10)
        hours = f"{whole:,}.{tenth}".removesuffix(".0")
        return f"{hours} {'小时' if language is Language.CHINESE else 'h'}"
    return f"{number} {zh if language is Language.CHINESE else en}"


def _shown(name: str, figures: Figures, language: Language) -> str:
    own = f"{name}_{language.value}"
    value = figures[own] if own in figures else figures[name]
    if isinstance(value, str):
        return value
    if name.endswith("_ppm"):
        whole, rest = divmod(value, _PPM_PER_PERCENT)
        return f"{whole}.{rest:04d}".rstrip("0").rstrip(".") + "%"
    if name.endswith("_fen"):
        return money(value, language)
    if name.endswith("_mwh"):
        whole, rest = divmod(value, _MWH_PER_WH)
        return f"{whole}.{rest:03d} Wh"
    if name.endswith("_s"):
        return length(value, language)
    return str(value)
