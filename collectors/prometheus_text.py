"""Reads the few samples that are wanted out of a Prometheus text, and nothing else.

A scrape has hundreds of lines of which a handful matter, so one expression finds the lines of the
wanted names; a line that is not whole and right in every part is no sample. What a series is called
changes seldom, so that its name and labels are taken apart once and remembered by their text.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

_LABEL: Final = r'[a-zA-Z_]\w*\s*=\s*"(?:[^"\\\n]|\\[\\"n])*"'
_LABELS: Final = rf"\{{\s*(?:{_LABEL}\s*(?:,\s*{_LABEL}\s*)*,?\s*)?\}}"
_NUMBER: Final = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_SERIES: Final = re.compile(rf"([a-zA-Z_:][\w:]*)({_LABELS})?", re.ASCII)
_ONE_LABEL: Final = re.compile(r'([a-zA-Z_]\w*)\s*=\s*"((?:[^"\\\n]|\\[\\"n])*)"', re.ASCII)
_ESCAPED: Final = re.compile(r"\\(.)")
_PLAIN: Final = {"n": "\n"}


class Series(NamedTuple):
    """A name with its labels."""

    name: str
    labels: Mapping[str, str]


class Sample(NamedTuple):
    """A name with its labels, and its value."""

    name: str
    labels: Mapping[str, str]
    value: float


class WantedNames:
    """A filter for the samples of some names."""

    def __init__(self, names: Iterable[str]) -> None:
        chosen = "|".join(sorted((re.escape(name) for name in names), key=len, reverse=True))
        self._line = re.compile(
            rf"^((?:{chosen})(?:\{{[^\n]*\}})?)[ \t]+({_NUMBER})(?:[ \t]+-?\d+)?[ \t]*\r?$",
            re.MULTILINE | re.ASCII,
        )

    def values(self, text: str) -> list[tuple[str, str]]:
        """Return the text of each wanted series, which may still be none, with its number's."""
        return self._line.findall(text)

    def samples(self, text: str) -> Iterator[Sample]:
        """Return the wanted samples in the order of the text, without NaN and infinities."""
        for words, value in self.values(text):
            series, number = series_of(words), float(value)
            if series is not None and abs(number) != float("inf"):
                yield Sample(series.name, series.labels, number)


def series_of(words: str) -> Series | None:
    """Return what a series is called, or None where a part of its text is wrong."""
    whole = _SERIES.fullmatch(words)
    if whole is None:
        return None
    name, labels = whole.groups()
    return Series(name, _labels(labels) if labels else {})


def _labels(text: str) -> dict[str, str]:
    return {
        name: _ESCAPED.sub(_unescaped, value) if "\\" in value else value
        for name, value in _ONE_LABEL.findall(text)
    }


def _unescaped(match: "re.Match[str]") -> str:
    letter = match.group(1)
    return _PLAIN.get(letter, letter)
