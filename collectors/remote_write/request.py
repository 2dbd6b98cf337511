"""What goes into a request, and what its answer means: pure functions.

A database takes the samples of one series in the order of time only, and Prometheus turns a whole
request away for one that is not. So late samples travel apart from the others.
"""

import math
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final

import numpy as np

from collectors.remote_write import message
from collectors.remote_write.known import Samples, Series


class Dropped(StrEnum):
    """Why a sample is not in the database."""

    QUEUE_FULL = "queue_full"
    DUPLICATE = "duplicate"
    LATE = "late"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    REJECTED = "rejected"
    STOPPED = "stopped"
    FAILED = "failed"


class Verdict(StrEnum):
    """What to do with a request after its answer."""

    TAKEN = "taken"
    AGAIN = "again"
    FAILED = "failed"
    SPLIT = "split"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the database said; ``text`` is the beginning of its words."""

    status: int
    text: str = ""
    retry_after: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict. ``reason`` is that of what is dropped, or would be if it cannot be split."""

    verdict: Verdict
    reason: Dropped = Dropped.REJECTED
    wait_s: float = 0.0


RETRY_AFTER_S_MAX: Final = 300.0
_CONFLICT: Final = ("duplicate sample", "duplicate-timestamp", "same timestamp")
_LATE: Final = ("out of order", "out-of-order", "too old", "too-old", "out of bounds")
"""In the words of Prometheus, Mimir and Thanos; some versions say it with the status 500."""


def decide(answer: Answer, now: datetime) -> Decision:
    """Return what becomes of a request that was answered so."""
    status, text = answer.status, answer.text.lower()
    if 200 <= status < 300:
        return Decision(Verdict.TAKEN)
    if status == 429 or status in (502, 503, 504):
        return Decision(Verdict.AGAIN, wait_s=retry_after_s(answer.retry_after, now))
    if status == 413:
        return Decision(Verdict.SPLIT, Dropped.TOO_LARGE)
    if any(words in text for words in _CONFLICT):
        return Decision(Verdict.SPLIT, Dropped.CONFLICT)
    if any(words in text for words in _LATE):
        return Decision(Verdict.SPLIT, Dropped.LATE)
    if status >= 500:
        # It is there and fails: perhaps over this request alone, so not for ever.
        wait_s = retry_after_s(answer.retry_after, now)
        return Decision(Verdict.FAILED, Dropped.FAILED, wait_s=wait_s)
    return Decision(Verdict.DROP, Dropped.REJECTED)


def retry_after_s(header: str, now: datetime) -> float:
    """Return how long the header asks to wait, s: a number, or a moment; 0 for none."""
    try:
        asked_s = float(header)
    except ValueError:
        try:
            asked_s = (parsedate_to_datetime(header) - now).total_seconds()
        except (ValueError, TypeError):
            return 0.0
    return min(max(0.0, asked_s), RETRY_AFTER_S_MAX) if math.isfinite(asked_s) else 0.0


@dataclass(frozen=True, slots=True)
class Arranged:
    """Samples by series and time, the late ones apart, by time; and how many were there twice."""

    fresh: Samples
    late: Samples
    duplicates: int


def arrange(found: Samples) -> Arranged:
    """Sort samples, and note in each series how far it is.

    Of one moment of a series the first sample counts, as in the record.
    """
    numbers = np.fromiter((each.number for each in found.series), np.int64, len(found))
    order = np.lexsort((found.at_ms, numbers))
    whole, numbers = found.pick(order), numbers[order]
    is_first = np.ones(len(whole), np.bool_)
    is_first[1:] = numbers[1:] != numbers[:-1]
    firsts = np.flatnonzero(is_first)
    own = whole.series[firsts]
    newest = np.fromiter((each.newest_ms for each in own), np.int64, len(own))
    lasts = np.append(firsts[1:], len(whole)) - 1
    floor = np.repeat(newest, lasts - firsts + 1)
    is_twice = whole.at_ms == floor
    is_twice[1:] |= (whole.at_ms[1:] == whole.at_ms[:-1]) & ~is_first[1:]
    is_late = (whole.at_ms < floor) & ~is_twice
    for series, at_ms in zip(own, whole.at_ms[lasts].tolist(), strict=True):
        series.newest_ms = max(series.newest_ms, at_ms)
    late = whole.pick(is_late)
    return Arranged(
        fresh=whole.pick(~(is_late | is_twice)),
        late=late.pick(np.argsort(late.at_ms, kind="stable")),
        duplicates=int(is_twice.sum()),
    )


def by_series(found: Samples) -> Samples:
    """Return samples by series and time."""
    numbers = np.fromiter((each.number for each in found.series), np.int64, len(found))
    return found.pick(np.lexsort((found.at_ms, numbers)))


def encode(found: Samples) -> bytes:
    """Return the body of a request with samples that are in the order of ``by_series``."""
    rows = message.samples(found.at_ms, found.value)
    series: list[Series] = found.series.tolist()
    size = message.SAMPLE_BYTES
    parts: list[bytes] = []
    start, last = 0, len(series) - 1
    for at, each in enumerate(series):
        if at == last or series[at + 1] is not each:
            parts += (each.head(at + 1 - start), rows[start * size : (at + 1) * size])
            start = at + 1
    return message.compressed(b"".join(parts))


def halves(found: Samples) -> tuple[Samples, Samples]:
    """Return the older and the younger half: databases turn away what is older than some moment."""
    in_time = found.pick(np.argsort(found.at_ms, kind="stable"))
    middle = len(found) // 2
    return in_time.pick(slice(0, middle)), in_time.pick(slice(middle, None))
