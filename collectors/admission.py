"""Which rows of a batch are taken in, decided column by column, and in words why others are not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from collectors.quality import AHEAD_MAX, LATE_MAX, REGISTER_MAX
from suanwang.clock import from_epoch_ms, to_epoch_ms
from suanwang.model.batch import QUALITIES, Rows, SeriesKey

SUBJECT_CHARS_MAX: Final = 200
METRIC_CHARS_MAX: Final = 100
MOMENT_MS_MAX: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""
WORDS_MAX: Final = 1_000
"""Most lines that tell of refusals: one for each series and cause, the rest as a number."""
_MS: Final = 1_000.0


class Cause(IntEnum):
    """Why a row can never be taken in; of several the smallest counts."""

    NONE = 0
    NO_SERIES = 1
    NAME = 2
    QUALITY = 3
    NO_NUMBER = 4
    NO_MOMENT = 5
    AHEAD = 6
    LATE = 7
    NO_REGISTER = 8
    NO_METER = 9
    PRUNED = 10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeriesFacts:
    """What is known of each series of a batch, by its place: the bounds of what it may say.

    ``kept_from_ms`` is where the raw record of its meter begins, 0 where it is of no meter.
    """

    keys: Sequence[SeriesKey]
    is_foreign: NDArray[np.bool_]
    kept_from_ms: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """Rows with their moments on the centre's clock, and a ``Cause`` of each."""

    rows: Rows
    at_ms: NDArray[np.int64]
    causes: NDArray[np.uint8]


def judge(rows: Rows, facts: SeriesFacts, shift_ms: int, now: datetime) -> Judged:
    """Decide about each row; ``shift_ms`` brings the agent's clock to ours."""
    count = len(facts.keys)
    is_listed = rows.series < count
    # Rows of no series are judged as if they were of the first, and told to be of none.
    place = np.where(is_listed, rows.series, 0)
    is_moment = (rows.at_ms >= 0) & (rows.at_ms <= MOMENT_MS_MAX)
    at_ms = np.where(is_moment, rows.at_ms, 0) + shift_ms
    now_ms = to_epoch_ms(now)
    if not count:
        causes = np.full(len(rows), Cause.NO_SERIES, np.uint8)
        return Judged(rows=rows, at_ms=at_ms, causes=causes)
    low, high = _bounds(facts.keys)
    ahead_ms, late_ms = (bound.total_seconds() * _MS for bound in (AHEAD_MAX, LATE_MAX))
    causes = np.zeros(len(rows), np.uint8)
    with np.errstate(invalid="ignore"):
        is_register = (rows.value >= low[place]) & (rows.value <= high[place])
    # The later ones give way to the earlier ones.
    for cause, is_wrong in (
        (Cause.PRUNED, at_ms < facts.kept_from_ms[place]),
        (Cause.NO_METER, facts.is_foreign[place]),
        (Cause.NO_REGISTER, ~is_register),
        (Cause.LATE, now_ms - at_ms > late_ms),
        (Cause.AHEAD, at_ms - now_ms > ahead_ms),
        (Cause.NO_MOMENT, ~is_moment),
        (Cause.NO_NUMBER, ~np.isfinite(rows.value)),
        (Cause.QUALITY, rows.quality >= len(QUALITIES)),
        (Cause.NAME, _is_misnamed(facts.keys)[place]),
        (Cause.NO_SERIES, ~is_listed),
    ):
        causes[is_wrong] = cause
    return Judged(rows=rows, at_ms=at_ms, causes=causes)


def _bounds(keys: Sequence[SeriesKey]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the least and the most that each series may say: registers are bounded."""
    most = np.array([REGISTER_MAX.get(key.metric, np.inf) for key in keys])
    return np.where(np.isinf(most), -np.inf, 0.0), most


def _is_misnamed(keys: Sequence[SeriesKey]) -> NDArray[np.bool_]:
    return np.array(
        [
            not (0 < len(subject) <= SUBJECT_CHARS_MAX and 0 < len(metric) <= METRIC_CHARS_MAX)
            for subject, metric in keys
        ],
        np.bool_,
    )


def words(judged: Judged, facts: SeriesFacts, now: datetime) -> Iterator[str]:
    """Yield a line for each series and cause of refusal, with its first row."""
    rows, causes = judged.rows, judged.causes
    first: dict[tuple[int, int], int] = {}
    more: dict[tuple[int, int], int] = {}
    bad = np.flatnonzero(causes)
    for row, place, cause in zip(
        bad.tolist(), rows.series[bad].tolist(), causes[bad].tolist(), strict=True
    ):
        if (place, cause) in first:
            more[place, cause] += 1
        else:
            first[place, cause], more[place, cause] = row, 0
    for number, ((place, cause), row) in enumerate(first.items()):
        if number == WORDS_MAX:
            yield f"and {len(first) - WORDS_MAX} more causes"
            return
        name = (
            f"{facts.keys[place].subject[:SUBJECT_CHARS_MAX]} "
            f"{facts.keys[place].metric[:METRIC_CHARS_MAX]}"
            if place < len(facts.keys)
            else f"row {row}"
        )
        told = _word(Cause(cause), rows, row, int(judged.at_ms[row]), now)
        others = more[place, cause]
        yield f"{name}: {told}" + (f" (and {others} more of it)" if others else "")


def _word(cause: Cause, rows: Rows, row: int, at_ms: int, now: datetime) -> str:
    value = float(rows.value[row])
    match cause:
        case Cause.AHEAD:
            ahead_s = (at_ms - to_epoch_ms(now)) / _MS
            return (
                f"its time is {ahead_s:.0f} s ahead of the centre's clock, more than "
                f"{AHEAD_MAX.total_seconds():.0f} s; set the agent's clock"
            )
        case Cause.LATE:
            return f"{from_epoch_ms(at_ms).isoformat()} is older than {LATE_MAX.days} days"
        case Cause.PRUNED:
            return f"{from_epoch_ms(at_ms).isoformat()} is before the raw record"
        case Cause.NO_REGISTER:
            return f"{value} is not a register's value"
        case Cause.NO_NUMBER:
            return f"{value} is not a number"
        case _:
            return _misshapen(cause, rows, row)


def _misshapen(cause: Cause, rows: Rows, row: int) -> str:
    match cause:
        case Cause.NO_METER:
            return "no such meter at this site"
        case Cause.NO_SERIES:
            return f"series {int(rows.series[row])} is not in the table of the batch"
        case Cause.NAME:
            return (
                f"a subject has 1 to {SUBJECT_CHARS_MAX} characters, a metric 1 to "
                f"{METRIC_CHARS_MAX}"
            )
        case Cause.QUALITY:
            return f"{int(rows.quality[row])} is no quality, they are 0 to {len(QUALITIES) - 1}"
        case _:
            return f"{int(rows.at_ms[row])} ms since 1970 is no moment"
