"""What a cell of a file or a value of JSON says: readers that raise ValueError in plain words."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final

from collectors.words import nearest
from suanwang.sheets import Broken

Cell = object
"""None, a text, a number, a flag, or a ``Broken`` cell."""
ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,19}(?:\.0*)?")
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,19}(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,3})?")
_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


class _Nothing(Enum):
    NOTHING = "nothing"


NOTHING: Final = _Nothing.NOTHING
"""What an empty cell says."""


def words_of(cell: Cell) -> str:
    """Return a cell as text without blanks around it; raise ValueError for one that has none."""
    if isinstance(cell, Broken):
        raise ValueError(cell.reason)
    if isinstance(cell, bool):
        raise ValueError(f"is {str(cell).lower()}; write a word or a number")
    if cell is not None and not isinstance(cell, str | int | float) and not hasattr(cell, "digits"):
        raise ValueError(f"is a {type(cell).__name__}; write it as text")
    return "" if cell is None else str(cell).strip()


def identity(cell: Cell) -> object:
    """Return an id of letters, digits, point, underscore and hyphen."""
    words = words_of(cell)
    if not words:
        return NOTHING
    if not ID.fullmatch(words):
        raise ValueError(
            f"{words[:70]!r} is no id: letters, digits, '.', '_' and '-', at most 64, "
            "a letter or digit first"
        )
    return words


def text(length_max: int, *, needed: bool = False) -> Callable[[Cell], object]:
    """Return a reader of text without control characters."""

    def read(cell: Cell) -> object:
        words = words_of(cell)
        if not words:
            return NOTHING if needed else ""
        if len(words) > length_max:
            raise ValueError(f"has {len(words)} characters, at most {length_max}")
        if _UNPRINTABLE.search(words):
            raise ValueError("holds a line break or another character that cannot be printed")
        return words

    return read


def whole(low: int, high: int) -> Callable[[Cell], object]:
    """Return a reader of whole numbers between two bounds."""

    def read(cell: Cell) -> object:
        words = words_of(cell).replace(",", "")
        if not words:
            return NOTHING
        if not _WHOLE.fullmatch(words):
            raise ValueError(f"{words[:40]!r} is no whole number")
        value = int(words.partition(".")[0])
        if not low <= value <= high:
            raise ValueError(f"{value} is not between {low} and {high}")
        return value

    return read


def number(low: float, high: float) -> Callable[[Cell], object]:
    """Return a reader of numbers between two bounds."""

    def read(cell: Cell) -> object:
        words = words_of(cell).replace(",", "")
        if not words:
            return NOTHING
        if not _NUMBER.fullmatch(words):
            raise ValueError(f"{words[:40]!r} is no number")
        value = float(words)
        if not low <= value <= high:
            raise ValueError(f"{value:g} is not between {low:g} and {high:g}")
        return value

    return read


@dataclass(frozen=True, slots=True)
class Choice:
    """A reader of one of few words, whatever their case."""

    words: type[StrEnum]

    def __call__(self, cell: Cell) -> object:
        """Return the member that a cell names."""
        said = words_of(cell)
        if not said:
            return NOTHING
        by_word = {member.value.lower(): member for member in self.words}
        known = by_word.get(said.lower().replace(" ", "_"))
        if known is None:
            names = ", ".join(member.value for member in self.words)
            raise ValueError(f"{said[:40]!r} is none of {names}{nearest(said.lower(), by_word)}")
        return known


def maybe(read: Callable[[Cell], object]) -> Callable[[Cell], object]:
    """Return a reader to which an empty cell says None: there is none, or it is not known."""

    def read_or_none(cell: Cell) -> object:
        value = read(cell)
        return None if value is NOTHING else value

    return read_or_none
