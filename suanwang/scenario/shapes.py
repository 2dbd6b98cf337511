"""When the jobs of a class arrive over a day, and how long they run: seeded, so always the same."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from random import Random
from typing import Final

MINUTES_PER_HOUR: Final = 60
LENGTH_STEP_MINUTES: Final = 30
"""Lengths are whole half-hours: people ask for round times, and equal jobs plan faster."""


class Shape(StrEnum):
    """How arrivals lie in the day."""

    ALL_DAY = "all_day"
    BUSINESS_HOURS = "business_hours"
    MORNING = "morning"
    EVENING = "evening"
    SYNOPTIC = "synoptic"


_WINDOW_HOURS: Final = {
    Shape.BUSINESS_HOURS: (8.5, 18.0),
    Shape.MORNING: (8.0, 10.0),
    Shape.EVENING: (17.0, 22.0),
}
_SYNOPTIC_HOURS: Final = (0, 6, 12, 18)
"""Main hours at which weather is observed all over the world."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One job: when it arrives after the day's start, and how long it runs."""

    after_minutes: int
    length_minutes: int


def arrivals(
    shape: Shape, count: int, hours: tuple[Decimal, Decimal], random: Random
) -> tuple[Arrival, ...]:
    """Return ``count`` arrivals in the order of time.

    Arrivals are spread evenly over the shape's hours with a jitter of one step; lengths are spread
    evenly over ``hours`` and shuffled. Only ``Random.random`` is drawn, which is stable over
    versions of Python.
    """
    lengths = _lengths(count, hours, random)
    minutes = [_minute(shape, place, count, random.random()) for place in range(count)]
    return tuple(Arrival(*pair) for pair in zip(minutes, lengths, strict=True))


def _minute(shape: Shape, place: int, count: int, jitter: float) -> int:
    if shape is Shape.ALL_DAY:
        return 0
    if shape is Shape.SYNOPTIC:
        hour = _SYNOPTIC_HOURS[place * len(_SYNOPTIC_HOURS) // count]
        return hour * MINUTES_PER_HOUR
    first, last = _WINDOW_HOURS[shape]
    return int((first + (last - first) * (place + jitter) / count) * MINUTES_PER_HOUR)


def _lengths(count: int, hours: tuple[Decimal, Decimal], random: Random) -> list[int]:
    shortest, longest = (int(bound * MINUTES_PER_HOUR) for bound in hours)
    lengths = [
        _rounded(shortest + (longest - shortest) * (place + 0.5) / count, shortest, longest)
        for place in range(count)
    ]
    return sorted(lengths, key=lambda _: random.random())


def _rounded(minutes: float, shortest: int, longest: int) -> int:
    steps = round(minutes / LENGTH_STEP_MINUTES)
    return min(max(steps * LENGTH_STEP_MINUTES, shortest), longest)
