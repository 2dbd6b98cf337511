"""What an applicant brings: facts about itself, and the spend lines it asks a share of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from typing import Final

from suanwang.errors import BadInput
from voucher.programmes.facts import Facts
from voucher.programmes.schema import Period

CHINA: Final = timezone(timedelta(hours=8), "CST")
"""Days, months and years of every programme are counted in the zone of China."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One spend line; its facts have names that begin with ``line.``."""

    id: str
    facts: Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """One application. ``submitted_at`` is aware; ``other_programmes`` are ids it already has.

    ``granted_fen`` is what it was granted in fact, where that is known; it decides nothing.
    """

    id: str
    applicant_id: str
    submitted_at: datetime
    lines: tuple[Line, ...]
    facts: Facts = field(default_factory=dict)
    other_programmes: frozenset[str] = frozenset()
    granted_fen: int | None = None

    def __post_init__(self) -> None:
        ids = [line.id for line in self.lines]
        if len(set(ids)) < len(ids):
            raise BadInput(f"application {self.id}: two lines have the same id")
        if self.submitted_at.tzinfo is None:
            raise BadInput(f"application {self.id}: submitted_at has no zone")

    def line_facts(self, line: Line) -> Facts:
        """Return what is known about a line: its own facts and the applicant's."""
        return {**self.facts, **line.facts}


def china_day(moment: datetime) -> date:
    """Return the day of an aware moment in China."""
    return moment.astimezone(CHINA).date()


def period_label(period: Period, day: date) -> str:
    """Return the name of the period that ``day`` lies in: ``2025``, ``2025Q2``, ``2025-04``."""
    match period:
        case Period.LIFE:
            return "life"
        case Period.YEAR:
            return f"{day.year:04d}"
        case Period.QUARTER:
            return f"{day.year:04d}Q{(day.month + 2) // 3}"
        case Period.MONTH:
            return f"{day.year:04d}-{day.month:02d}"


def text_fact(facts: Mapping[str, object], name: str) -> str | None:
    """Return a text fact, or None where it is unknown or no text."""
    value = facts.get(name)
    return value if isinstance(value, str) and value else None
