"""Periods as people write them: ``2026-11``, ``2026-W47``, ``2026-11-01..2026-11-08``.

Days, weeks, months and years are those of a time zone; a moment carries its own zone or is UTC's
``Z``. The end is left out of a period.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from suanwang.errors import BadInput

EXAMPLES: Final = (
    "2026, 2026-11, 2026-W47, 2026-11-20, last-24h, last-7d, last-365d, 2026-11-01..2026-11-08, "
    "or moments such as 2026-11-20T08:00+08:00..2026-11-20T09:00+08:00"
)
LAST_HOURS_MAX: Final = 10 * 366 * 24
_LAST: Final = re.compile(r"last-(\d{1,5})([hd])")
_YEAR: Final = re.compile(r"\d{4}")
_MONTH: Final = re.compile(r"(\d{4})-(\d{2})")
_WEEK: Final = re.compile(r"(\d{4})-W(\d{2})")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Period:
    """From ``start`` until before ``end``, both aware."""

    start: datetime
    end: datetime


def parse_period(text: str, zone: ZoneInfo, now: datetime) -> Period:
    """Return the period that a text names in a time zone; raise BadInput with examples."""
    try:
        period = _parse(text.strip(), zone, now)
    except (ValueError, OverflowError) as failure:
        raise _unknown(text, str(failure)) from failure
    if period.end <= period.start:
        raise _unknown(text, "its end is not after its start")
    return period


def _unknown(text: str, why: str) -> BadInput:
    return BadInput(f"{text!r} is not a period: {why}", next_step=f"write {EXAMPLES}")


def _parse(text: str, zone: ZoneInfo, now: datetime) -> Period:
    if found := _LAST.fullmatch(text):
        hours = int(found[1]) * (24 if found[2] == "d" else 1)
        if not 1 <= hours <= LAST_HOURS_MAX:
            raise ValueError(f"{hours} hours are not between 1 and {LAST_HOURS_MAX}")
        return Period(now - timedelta(hours=hours), now)
    if ".." in text:
        first, last = text.split("..", 1)
        return Period(_edge(first, zone), _edge(last, zone))
    first_day, last_day = _days(text)
    return Period(_midnight(first_day, zone), _midnight(last_day, zone))


def _days(text: str) -> tuple[date, date]:
    """Return the first day of a year, month, week or day, and the first one after it."""
    if _YEAR.fullmatch(text):
        return date(int(text), 1, 1), date(int(text) + 1, 1, 1)
    if found := _MONTH.fullmatch(text):
        year, month = int(found[1]), int(found[2])
        return date(year, month, 1), date(year + month // 12, month % 12 + 1, 1)
    if found := _WEEK.fullmatch(text):
        monday = date.fromisocalendar(int(found[1]), int(found[2]), 1)
        return monday, monday + timedelta(days=7)
    if _DAY.fullmatch(text):
        day = date.fromisoformat(text)
        return day, day + timedelta(days=1)
    raise ValueError("it is neither a year, a month, a week, a day nor a range")


def _edge(text: str, zone: ZoneInfo) -> datetime:
    if _DAY.fullmatch(text):
        return _midnight(date.fromisoformat(text), zone)
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
