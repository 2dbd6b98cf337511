"""Reads the few samples that are wanted out of a Prometheus text, and nothing else.

A scrape has hundreds of lines of which a handful matter, so one expression finds the lines of the
wanted names; a line that is not whole and right in every part is no sample.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

_LABEL: Final = r'[a-zA-Z_]\w*\s*=\s*"(?:[^"\\\n]|\\[\\"n])*"'
_LABELS: Final = rf"\{{\s*(?:{_LABEL}\s*(?:,\s*{_LABEL}\s*)*,?\s*)?\}}"
_NUMBER: Final = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_ONE_LABEL: Final = re.compile(r'([a-zA-Z_]\w*)\s*=\s*"((?:[^"\\\n]|\\[\\"n])*)"', re.ASCII)
_ESCAPED: Final = re.compile(r"\\(.)")
_PLAIN: Final = {"n": "\n"}


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
            rf"^({chosen})({_LABELS})?[ \t]+({_NUMBER})(?:[ \t]+-?\d+)?[ \t]*\r?$",
            re.MULTILINE | re.ASCII,
        )

    def samples(self, text: str) -> Iterator[Sample]:
        """Return the wanted samples in the order of the text, without NaN and infinities."""
        for name, labels, value in self._line.findall(text):
            number = float(value)
            if abs(number) != float("inf"):
                yield Sample(name, _labels(labels) if labels else {}, number)


def _labels(text: str) -> dict[str, str]:
    return {
        name: _ESCAPED.sub(_unescaped, value) if "\\" in value else value
        for name, value in _ONE_LABEL.findall(text)
    }


def _unescaped(match: "re.Match[str]") -> str:
    letter = match.group(1)
    return _PLAIN.get(letter, letter)
