"""The one shape of every report: facts, a table that may be long, and what follows from it.

A report says what is on paper; ``xlsx``, ``pdf``, ``csv`` and ``json`` say how. Rows come from an
iterator and are seen once, so a report of a hundred thousand lines needs no more memory than one of
ten.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum
from typing import Final

from suanwang.errors import BadInput

CHINA: Final = timezone(timedelta(hours=8), "CST")
"""Zone in which days and moments are written."""

Value = str | int | None
"""A cell: text, a whole number (fen in an amount), or nothing."""


class CellKind(StrEnum):
    """How a value is written."""

    TEXT = "text"
    AMOUNT = "amount"
    COUNT = "count"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: ``name`` for programs, ``label`` for people, ``width`` in characters.

    A column with ``sum_of`` holds the sum of those columns, as a formula where there are formulas.
    """

    name: str
    label: str
    kind: CellKind = CellKind.TEXT
    width: int = 12
    is_summed: bool = False
    sum_of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A named value above or below a table. ``sum_of`` names facts or ``total:<column>``."""

    name: str
    label: str
    value: Value
    kind: CellKind = CellKind.TEXT
    sum_of: tuple[str, ...] = ()


Row = Sequence[Value]
Totals = Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A table; ``rows`` are in the order of ``columns`` and may be seen once only."""

    name: str
    label: str
    columns: tuple[Column, ...]
    rows: Iterable[Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """What follows from the rows: closing facts, and smaller tables."""

    facts: tuple[Fact, ...] = ()
    sections: tuple[Section, ...] = ()


def _no_tail(totals: Totals) -> Tail:
    return Tail()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A report; ``after`` is asked once all rows of ``main`` have been seen, with their totals."""

    name: str
    title: str
    facts: tuple[Fact, ...]
    main: Section
    after: Callable[[Totals], Tail] = field(default=_no_tail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """An organisation on paper; ``uscc`` is its unified social credit code, empty for none."""

    id: str
    name: str
    uscc: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Days in China, both included."""

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise BadInput(
                f"the period from {self.first} to {self.last} ends before it begins",
                next_step="give a last day that is not before the first",
            )

    @property
    def start(self) -> datetime:
        """First moment, UTC."""
        return _midnight(self.first)

    @property
    def end(self) -> datetime:
        """First moment after it, UTC."""
        return _midnight(self.last + timedelta(days=1))

    @property
    def text(self) -> str:
        """The period in words."""
        return f"{self.first.isoformat()} 至 {self.last.isoformat()}"


def local(moment: datetime) -> str:
    """Write a moment in China's time, to the second."""
    return moment.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")


def summing(section: Section, totals: dict[str, int]) -> Iterator[Row]:
    """Yield a section's rows and add its summed columns up in ``totals``, in fen or counts."""
    places = [(at, column.name) for at, column in enumerate(section.columns) if column.is_summed]
    for _, name in places:
        totals[name] = 0
    for row in section.rows:
        for at, name in places:
            value = row[at]
            if value:
                assert isinstance(value, int), f"{name} is summed and holds {value!r}"
                totals[name] += value
        yield row


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=CHINA).astimezone(UTC)
