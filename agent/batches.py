"""Batches of telemetry that the centre does not have yet, as a table of the spool.

Where they would take more room than is allowed, or are too old, something has to go:

| what goes | in which order |
|---|---|
| what is older than ``age_s`` | oldest batch first, whole |
| above ``bytes_max``: plain readings and reports of sources | oldest batch first |
| then power of meters, which stands in where a register is silent | oldest batch first |
| last registers: the energy record is made of them | oldest batch first |

A batch that lost a part gets another id, since the centre may have it whole, and an id stands for
one content. What the centre then gets twice, it counts once.

On a full disk new batches are held in memory, up to ``held_bytes_max``, and sent from there; they
are written as soon as there is room. Nothing of what is on the disk is touched meanwhile.
"""

import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np

from suanwang.clock import Clock, to_epoch_ms
from suanwang.errors import BadInput
from suanwang.model.batch import SeriesKey
from suanwang.model.meter import REGISTER_METRICS
from suanwang.wire.batch import TelemetryUpload, check, decode, encode

log = logging.getLogger(__name__)

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS batch (
    n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, made_ms INTEGER NOT NULL,
    worth INTEGER NOT NULL, bytes INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS batch_worth ON batch (worth, n);
CREATE INDEX IF NOT EXISTS batch_made ON batch (made_ms);
"""
FULL: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
"""What SQLite says when a disk has no room: the second where the system told it late."""


class Worth(IntEnum):
    """What a reading is worth when something has to go: the least goes first."""

    PLAIN = 0
    POWER = 1
    REGISTER = 2


def worth_of(key: SeriesKey) -> Worth:
    """Return what readings of a series are worth."""
    if key.metric in REGISTER_METRICS:
        return Worth.REGISTER
    is_power = key.metric == "power_w" and key.subject.startswith("meter:")
    return Worth.POWER if is_power else Worth.PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """How much is kept."""

    bytes_max: int = 4 * 1024**3
    age_s: float = 7 * 86_400.0
    held_bytes_max: int = 64 * 1024**2


class StoredBatch(NamedTuple):
    """A batch that waits: its bytes are what is sent."""

    id: str
    made_ms: int
    worth: Worth
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchCounts:
    """How much waits, how much of it only in memory, and how many readings were ever dropped."""

    batches: int
    bytes: int
    held: int
    oldest_s: float
    dropped: Mapping[Worth, int]


class BatchStore:
    """The batches; the spool lends its file and its transactions."""

    def __init__(
        self,
        db: sqlite3.Connection,
        write: Callable[[], AbstractContextManager[None]],
        clock: Clock,
        limits: BatchLimits,
    ) -> None:
        self._db = db
        self._write = write
        self._clock = clock
        self._limits = limits
        self._held: deque[StoredBatch] = deque()
        self._sent: set[str] = set()
        self._lost: dict[Worth, int] = dict.fromkeys(Worth, 0)
        self._is_full = False

    def add(self, upload: TelemetryUpload) -> None:
        """Keep a batch, on disk where there is room; what has to go for it goes, and is counted."""
        worth = _worth_of_batch(upload)
        self._held.append(StoredBatch(upload.id, self._now_ms(), worth, encode(upload)))
        self._put_down()

    def next(self) -> StoredBatch | None:
        """Return the oldest batch; one that can't be read any more is dropped, loudly."""
        while found := self._oldest():
            try:
                check(found.body)
            except BadInput as failure:
                log.error("a batch in the spool is damaged", extra={"why": failure.message})
                self.sent(found.id)
                continue
            return found
        return None

    def sent(self, batch_id: str) -> None:
        """Let go of a batch that the centre has."""
        self._held = deque(one for one in self._held if one.id != batch_id)
        self._sent.add(batch_id)
        self._put_down()

    def counts(self) -> BatchCounts:
        """Return how much waits and was dropped."""
        number, size, oldest_ms = self._db.execute(
            "SELECT count(*), coalesce(sum(bytes), 0), min(made_ms) FROM batch"
        ).fetchone()
        stored = dict(self._db.execute("SELECT name, value FROM count"))
        made = [oldest_ms] if oldest_ms is not None else []
        made += [one.made_ms for one in self._held]
        return BatchCounts(
            batches=int(number) + len(self._held),
            bytes=int(size) + sum(len(one.body) for one in self._held),
            held=len(self._held),
            oldest_s=max(0.0, (self._now_ms() - min(made)) / 1_000) if made else 0.0,
            dropped={each: int(stored.get(_name(each), 0)) + self._lost[each] for each in Worth},
        )

    def _oldest(self) -> StoredBatch | None:
        skipped = len(self._sent)
        rows = self._db.execute(
            "SELECT id, made_ms, worth, body FROM batch ORDER BY n LIMIT ?", (skipped + 1,)
        )
        for batch_id, made_ms, worth, body in rows:
            if batch_id not in self._sent:
                return StoredBatch(batch_id, made_ms, Worth(worth), body)
        return self._held[0] if self._held else None

    def _put_down(self) -> None:
        """Write what is held and delete what was sent; on a full disk both wait."""
        lost = dict(self._lost)
        rows = [(one.id, one.made_ms, one.worth, len(one.body), one.body) for one in self._held]
        try:
            with self._write():
                self._db.executemany("DELETE FROM batch WHERE id = ?", ((i,) for i in self._sent))
                self._db.executemany(
                    "INSERT OR IGNORE INTO batch (id, made_ms, worth, bytes, body)"
                    " VALUES (?, ?, ?, ?, ?)",
                    rows,
                )
                for worth, gone in self._make_room():
                    lost[worth] += gone
                self._count(lost)
        except sqlite3.OperationalError as failure:
            if failure.sqlite_errorcode & 0xFF not in FULL:
                raise
            self._stay_in_memory(failure)
            return
        if self._is_full:
            log.warning("the spool has room again", extra={"written": len(self._held)})
        self._is_full = False
        self._held.clear()
        self._sent.clear()
        self._lost = dict.fromkeys(Worth, 0)

    def _stay_in_memory(self, failure: sqlite3.OperationalError) -> None:
        if not self._is_full:
            log.error(
                "the spool's disk is full: new batches stay in memory",
                extra={"why": str(failure), "bytes_max": self._limits.held_bytes_max},
            )
        self._is_full = True
        size = sum(len(one.body) for one in self._held)
        while size > self._limits.held_bytes_max and self._held:
            # The oldest of the least worth, whole: thinning would want more memory just now.
            gone = min(self._held, key=lambda one: (one.worth, one.made_ms))
            self._held.remove(gone)
            size -= len(gone.body)
            for worth, rows in _rows_by_worth(decode(gone.body)).items():
                self._lost[worth] += rows

    def _make_room(self) -> Iterator[tuple[Worth, int]]:
        """Drop what is too old or too much; yield how many readings went, by their worth."""
        too_old = self._now_ms() - int(self._limits.age_s * 1_000)
        for batch_id, body in self._db.execute(
            "SELECT id, body FROM batch WHERE made_ms < ?", (too_old,)
        ).fetchall():
            yield from self._delete(batch_id, body)
        (size,) = self._db.execute("SELECT coalesce(sum(bytes), 0) FROM batch").fetchone()
        while size > self._limits.bytes_max:
            number, batch_id, worth, body = self._db.execute(
                "SELECT n, id, worth, body FROM batch ORDER BY worth, n LIMIT 1"
            ).fetchone()
            rest = _thinned(body, Worth(worth))
            if rest is None:
                yield from self._delete(batch_id, body)
                size -= len(body)
                continue
            thin, gone = rest
            left = encode(thin)
            self._db.execute(
                "UPDATE batch SET id = ?, worth = ?, bytes = ?, body = ? WHERE n = ?",
                (thin.id, _worth_of_batch(thin), len(left), left, number),
            )
            size -= len(body) - len(left)
            yield Worth(worth), gone

    def _delete(self, batch_id: str, body: bytes) -> Iterator[tuple[Worth, int]]:
        self._db.execute("DELETE FROM batch WHERE id = ?", (batch_id,))
        try:
            yield from _rows_by_worth(decode(body)).items()
        except BadInput as failure:
            log.error("a batch in the spool is damaged", extra={"why": failure.message})

    def _count(self, lost: Mapping[Worth, int]) -> None:
        gone = [(_name(worth), rows) for worth, rows in lost.items() if rows]
        if not gone:
            return
        self._db.executemany(
            "INSERT INTO count VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            gone,
        )
        log.error("telemetry dropped: the spool is full or it is too old", extra=dict(gone))

    def _now_ms(self) -> int:
        return to_epoch_ms(self._clock.now())


def _name(worth: Worth) -> str:
    return f"dropped_{worth.name.lower()}"


def _worth_of_batch(upload: TelemetryUpload) -> Worth:
    """Return the least worth of what is inside; reports and lists of sources are plain."""
    if upload.reports or upload.sources is not None:
        return Worth.PLAIN
    return min((worth_of(key) for key in upload.readings.series), default=Worth.PLAIN)


def _rows_by_worth(upload: TelemetryUpload) -> dict[Worth, int]:
    worths = np.array([worth_of(key) for key in upload.readings.series], np.uint8)
    counts = np.bincount(worths[upload.readings.rows.series], minlength=len(Worth)).tolist()
    return {worth: counts[worth] for worth in Worth if counts[worth]}


def _thinned(body: bytes, worth: Worth) -> tuple[TelemetryUpload, int] | None:
    """Return a batch without its reports and what is worth no more, and how much went.

    None where nothing would be left, or nothing can be read.
    """
    try:
        upload = decode(body)
    except BadInput:
        return None
    readings = upload.readings
    is_kept = np.array([worth_of(key) > worth for key in readings.series], np.bool_)
    if not is_kept.any():
        return None
    rows = readings.rows.taken(is_kept[readings.rows.series])
    places = np.cumsum(is_kept, dtype=np.int64) - 1
    kept = np.flatnonzero(is_kept).tolist()
    left = replace(
        readings,
        series=tuple(readings.series[place] for place in kept),
        labels={
            int(places[place]): readings.labels[place] for place in kept if place in readings.labels
        },
        rows=replace(rows, series=places[rows.series].astype(np.uint32)),
    )
    thin = replace(upload, id=f"{upload.id}~", readings=left, reports=(), sources=None)
    return thin, len(readings) - len(left)
