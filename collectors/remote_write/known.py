"""The series of which this process has sent samples: their labels, and how far they are."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from zlib import crc32

import numpy as np
import numpy.typing as npt

from collectors.remote_write import message
from collectors.remote_write.message import Moments, Values
from collectors.remote_write.names import labels_of
from suanwang.clock import to_epoch_ms
from suanwang.model.batch import Readings, SeriesKey
from suanwang.model.reading import Reading

LOST_POLLS: Final = 5
LOST_MS_MIN: Final = 60_000
FORGET_MS: Final = 86_400_000
"""A series that was silent for a day is forgotten: processes and short-lived things come and go."""


class Series:
    """One series. Only its shard changes ``newest_ms``, only those who take samples the rest."""

    __slots__ = ("gap_ms", "head_1", "heard_ms", "is_lost", "labels", "newest_ms", "number",
                 "seen_ms", "shard")  # fmt: skip

    def __init__(self, number: int, label_bytes: bytes, shard: int) -> None:
        self.number = number
        self.labels = label_bytes
        self.head_1 = message.series_head(label_bytes, 1)
        self.shard = shard
        self.newest_ms = 0
        """Newest moment that was handed to the database."""
        self.seen_ms = 0
        """Newest moment that was taken in, and when it was: ``heard_ms``."""
        self.heard_ms = 0
        self.gap_ms = 0
        self.is_lost = False

    def head(self, count: int) -> bytes:
        """Return what stands before so many samples of this series."""
        return self.head_1 if count == 1 else message.series_head(self.labels, count)

    def note(self, at_ms: int, now_ms: int) -> None:
        """Take note of a sample: how far apart they are shows when the series is lost."""
        if at_ms > self.seen_ms:
            if self.seen_ms:
                self.gap_ms = at_ms - self.seen_ms
            self.seen_ms = at_ms
        self.heard_ms = now_ms
        self.is_lost = False

    def note_some(self, low_ms: int, high_ms: int, count: int, now_ms: int) -> None:
        """Take note of several samples between two moments."""
        self.note(high_ms, now_ms)
        if count > 1 and high_ms > low_ms:
            self.gap_ms = (high_ms - low_ms) // (count - 1)

    def is_silent(self, now_ms: int) -> bool:
        """Return whether more polls than may fail went by without a sample."""
        silent_ms = now_ms - self.heard_ms
        return self.gap_ms > 0 and silent_ms > max(LOST_MS_MIN, LOST_POLLS * self.gap_ms)


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of many series side by side, in no order but that of their coming."""

    series: npt.NDArray[np.object_]
    at_ms: Moments
    value: Values

    def __len__(self) -> int:
        return len(self.at_ms)

    def pick(self, which: "slice | npt.NDArray[np.bool_] | npt.NDArray[np.int64]") -> "Samples":
        """Return some of them."""
        return Samples(self.series[which], self.at_ms[which], self.value[which])

    def shards(self) -> Moments:
        """Return the number of the shard of each."""
        return np.fromiter((each.shard for each in self.series), np.int64, len(self))


def samples_of(series: Sequence[Series], at_ms: Sequence[int], value: Sequence[float]) -> Samples:
    """Return lists as Samples."""
    objects = np.empty(len(series), np.object_)
    objects[:] = series
    return Samples(objects, np.array(at_ms, np.int64), np.array(value, np.float64))


def joined(parts: Sequence[Samples]) -> Samples:
    """Return several as one."""
    if len(parts) == 1:
        return parts[0]
    return Samples(
        np.concatenate([part.series for part in parts]),
        np.concatenate([part.at_ms for part in parts]),
        np.concatenate([part.value for part in parts]),
    )


class KnownSeries:
    """Finds the series of readings, and those that fell silent. Safe for many threads."""

    def __init__(self, external: Mapping[str, str], shards: int) -> None:
        self._external = dict(external)
        self._shards = shards
        self._lock = threading.Lock()
        self._by_site: dict[str, dict[tuple[str, str], Series]] = {}
        self._by_labels: dict[bytes, Series] = {}
        self._made = 0

    def __len__(self) -> int:
        return len(self._by_labels)

    def take(self, site_id: str, readings: Sequence[Reading], now_ms: int) -> Samples:
        """Return readings as samples of their series, those outside of the protocol left out."""
        found: list[Series] = []
        moments: list[int] = []
        values: list[float] = []
        with self._lock:
            known = self._by_site.setdefault(site_id, {})
            for reading in readings:
                at_ms = to_epoch_ms(reading.at)
                if not message.FIRST_MS <= at_ms <= message.LAST_MS:
                    continue
                series = known.get((reading.subject, reading.metric))
                if series is None:
                    name = SeriesKey(reading.subject, reading.metric)
                    series = known[name] = self._name(site_id, name, reading.labels)
                series.note(at_ms, now_ms)
                found.append(series)
                moments.append(at_ms)
                values.append(reading.value)
        return samples_of(found, moments, values)

    def take_rows(self, site_id: str, readings: Readings, now_ms: int) -> Samples:
        """Do the same for readings by column."""
        rows = readings.rows
        is_fit = (rows.at_ms >= message.FIRST_MS) & (rows.at_ms <= message.LAST_MS)
        if not is_fit.all():
            rows = rows.taken(is_fit)
        size = len(readings.series)
        counts = np.bincount(rows.series, minlength=size)
        low = np.full(size, message.LAST_MS, np.int64)
        high = np.zeros(size, np.int64)
        np.minimum.at(low, rows.series, rows.at_ms)
        np.maximum.at(high, rows.series, rows.at_ms)
        found = np.empty(size, np.object_)
        with self._lock:
            known = self._by_site.setdefault(site_id, {})
            for place in np.flatnonzero(counts).tolist():
                name = readings.series[place]
                series = known.get(name)
                if series is None:
                    labels = readings.labels.get(place, {})
                    series = known[name] = self._name(site_id, name, labels)
                series.note_some(int(low[place]), int(high[place]), int(counts[place]), now_ms)
                found[place] = series
        return Samples(found[rows.series], rows.at_ms, rows.value)

    def silent(self, now_ms: int) -> Samples:
        """Return a marker for each series that is newly lost, right after its last sample.

        Not at the present moment: what a site hands in late must still come after the marker.
        """
        with self._lock:
            every = list(self._by_labels.values())
        lost = [each for each in every if not each.is_lost and each.is_silent(now_ms)]
        for each in lost:
            each.is_lost = True
        moments = [each.seen_ms + 1 for each in lost]
        return samples_of(lost, moments, [message.STALE] * len(lost))

    def doubt(self, shard: int) -> None:
        """Forget how far a shard's series are in the database: what it was sent was not taken."""
        with self._lock:
            for each in self._by_labels.values():
                if each.shard == shard:
                    each.newest_ms = 0

    def forget(self, now_ms: int) -> int:
        """Let go of series that were silent for a day; return how many."""
        before = now_ms - FORGET_MS
        with self._lock:
            gone = {each for each in self._by_labels.values() if each.heard_ms < before}
            if gone:
                self._by_labels = {
                    name: each for name, each in self._by_labels.items() if each not in gone
                }
                for site_id, known in list(self._by_site.items()):
                    kept = {name: each for name, each in known.items() if each not in gone}
                    self._by_site[site_id] = kept
        return len(gone)

    def _name(self, site_id: str, name: SeriesKey, labels: Mapping[str, str]) -> Series:
        """Return the series of a reading that is seen first. Two that are called alike are one."""
        pairs = labels_of(site_id, name.subject, name.metric, labels, self._external)
        label_bytes = message.labels(pairs)
        series = self._by_labels.get(label_bytes)
        if series is None:
            self._made += 1
            series = Series(self._made, label_bytes, crc32(label_bytes) % self._shards)
            self._by_labels[label_bytes] = series
        return series
