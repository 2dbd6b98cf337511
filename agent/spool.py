"""What the agent must not lose, on disk: a SQLite file that survives a kill -9 at any moment.

| table | holds | until |
|---|---|---|
| ``attempt`` | what runs here and its last state | ``keep_s`` after its end |
| ``report`` | reports on attempts, never dropped | the centre has them |
| ``piece`` | pieces of output | the centre has them |
| ``batch`` | batches of readings, see ``agent.batches`` | the centre has them, or a limit |
| ``aside`` | what the centre will never take, and why | ``keep_s``, or newer ones need the room |
| ``count`` | readings dropped, and how far the clocks are apart | ever |

A file that cannot be read is set aside under another name, loudly, and a new one begun.
"""

import json
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from agent.batches import SCHEMA, BatchLimits, BatchStore
from agent.record import Record
from suanwang.clock import Clock, to_epoch_ms
from suanwang.wire.agent import AttemptReport

log = logging.getLogger(__name__)

FILE_NAME: Final = "spool.db"
BUSY_TIMEOUT_S: Final = 10.0
ASIDE_MAX: Final = 1_000
PIECE_CHARS: Final = 200_000
"""Characters of one piece of output: below the wire's limit also where each takes four bytes."""
ASIDE_BYTES_MAX: Final = 64 * 1024 * 1024
SKEW: Final = "skew_ms"

_RECORD: Final = TypeAdapter(Record)
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS attempt (
    id TEXT PRIMARY KEY, is_final INTEGER NOT NULL, is_archived INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL, body TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS report (
    id INTEGER PRIMARY KEY AUTOINCREMENT, attempt_id TEXT NOT NULL, body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS report_attempt ON report (attempt_id);
CREATE TABLE IF NOT EXISTS piece (
    id INTEGER PRIMARY KEY AUTOINCREMENT, attempt_id TEXT NOT NULL, start INTEGER NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS piece_attempt ON piece (attempt_id, start);
CREATE TABLE IF NOT EXISTS aside (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, made_ms INTEGER NOT NULL,
    reason TEXT NOT NULL, body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS count (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolLimits:
    """How much is kept: of telemetry, and how long of what is over."""

    batches: BatchLimits = field(default_factory=BatchLimits)
    keep_s: float = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class StoredReport:
    """A report that waits, under its number in the spool."""

    id: int
    report: AttemptReport


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of an attempt's output, from character ``start`` on."""

    id: int
    attempt_id: str
    start: int
    text: str


class Spool:
    """The agent's memory; one process uses it at a time."""

    def __init__(self, folder: Path, clock: Clock, limits: SpoolLimits | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = folder / FILE_NAME
        self._clock = clock
        self._limits = limits or SpoolLimits()
        self.set_aside: Path | None = None
        """Where a file that could not be read went; None where all is well."""
        self._db = self._open_or_set_aside()
        self.batches = BatchStore(self._db, self._write, clock, self._limits.batches)
        """Telemetry that waits."""

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # --- attempts and their reports

    def save(self, record: Record, report: AttemptReport | None = None) -> None:
        """Keep a record, and its report if there is one, in one step."""
        with self._write():
            self._db.execute(
                "INSERT INTO attempt VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
                " is_final = excluded.is_final, is_archived = excluded.is_archived,"
                " changed_ms = excluded.changed_ms, body = excluded.body",
                (
                    record.attempt_id,
                    record.state.is_final,
                    record.is_archived,
                    self._now_ms(),
                    _RECORD.dump_json(record).decode(),
                ),
            )
            if report is not None:
                self._insert_report(report)

    def add_report(self, report: AttemptReport) -> None:
        """Keep a report on an attempt that is not ours."""
        with self._write():
            self._insert_report(report)

    def find(self, attempt_id: str) -> Record | None:
        """Return the record of an attempt, or None."""
        row = self._db.execute("SELECT body FROM attempt WHERE id = ?", (attempt_id,)).fetchone()
        return None if row is None else _RECORD.validate_json(row[0])

    def open_records(self) -> tuple[Record, ...]:
        """Return the attempts with something left to do: not final, or not archived."""
        rows = self._db.execute("SELECT body FROM attempt WHERE is_archived = 0 ORDER BY id")
        return tuple(_RECORD.validate_json(body) for (body,) in rows)

    def reports(self, limit: int) -> tuple[StoredReport, ...]:
        """Return reports to send, oldest first; those of an attempt with output to send must wait.

        So the centre has the whole output before it hears of the end.
        """
        rows = self._db.execute(
            "SELECT id, body FROM report WHERE attempt_id NOT IN (SELECT attempt_id FROM piece)"
            " ORDER BY id LIMIT ?",
            (limit,),
        )
        return tuple(
            StoredReport(number, AttemptReport.model_validate_json(body)) for number, body in rows
        )

    def reports_sent(self, ids: Sequence[int]) -> None:
        """Let go of reports that the centre has."""
        with self._write():
            self._db.executemany("DELETE FROM report WHERE id = ?", [(number,) for number in ids])

    def has_unsent(self, attempt_id: str) -> bool:
        """Whether reports or output of the attempt wait to be sent."""
        row = self._db.execute(
            "SELECT EXISTS (SELECT 1 FROM report WHERE attempt_id = ?)"
            " OR EXISTS (SELECT 1 FROM piece WHERE attempt_id = ?)",
            (attempt_id, attempt_id),
        ).fetchone()
        return bool(row[0])

    # --- output

    def add_output(self, record: Record, text: str) -> None:
        """Keep output that follows on what is here, together with the record that counts it."""
        start = record.log_read - len(text)
        with self._write():
            self._db.executemany(
                "INSERT INTO piece (attempt_id, start, body) VALUES (?, ?, ?)",
                [
                    (record.attempt_id, start + at, text[at : at + PIECE_CHARS])
                    for at in range(0, len(text), PIECE_CHARS)
                ],
            )
            self._db.execute(
                "UPDATE attempt SET body = ? WHERE id = ?",
                (_RECORD.dump_json(record).decode(), record.attempt_id),
            )

    def next_piece(self, skipping: Sequence[str] = ()) -> Piece | None:
        """Return the oldest piece to send, of an attempt that is not in ``skipping``."""
        row = self._db.execute(
            "SELECT id, attempt_id, start, body FROM piece"
            " WHERE attempt_id NOT IN (SELECT value FROM json_each(?)) ORDER BY id LIMIT 1",
            (json.dumps(list(skipping)),),
        ).fetchone()
        return None if row is None else Piece(*row)

    def output_taken(self, attempt_id: str, next_offset: int) -> None:
        """Let go of output that the centre has, up to character ``next_offset``."""
        with self._write():
            self._db.execute(
                "DELETE FROM piece WHERE attempt_id = ? AND start + length(body) <= ?",
                (attempt_id, next_offset),
            )

    def drop_output(self, attempt_id: str) -> None:
        """Let go of all output of an attempt that the centre will not take."""
        with self._write():
            self._db.execute("DELETE FROM piece WHERE attempt_id = ?", (attempt_id,))

    # --- the rest

    def put_aside(self, kind: str, body: bytes, reason: str) -> None:
        """Keep, for people to look at, what the centre will never take."""
        with self._write():
            self._db.execute(
                "INSERT INTO aside (kind, made_ms, reason, body) VALUES (?, ?, ?, ?)",
                (kind, self._now_ms(), reason, body),
            )
            self._db.execute(
                "DELETE FROM aside WHERE id <= (SELECT max(id) FROM aside) - ? OR id IN (SELECT id"
                " FROM (SELECT id, sum(length(body)) OVER (ORDER BY id DESC) AS newer FROM aside)"
                " WHERE newer > ?)",
                (ASIDE_MAX, ASIDE_BYTES_MAX),
            )

    def counts(self) -> dict[str, int]:
        """Return how much waits, by table."""
        return {
            table: int(self._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608
            for table in ("batch", "report", "piece", "aside")
        }

    def skew_s(self) -> float:
        """Return the centre's clock minus ours, in seconds, as last kept."""
        return self._count(SKEW) / 1_000

    def keep_skew(self, skew_s: float) -> None:
        """Keep how far the two clocks are apart."""
        with self._write():
            self._db.execute(
                "INSERT OR REPLACE INTO count VALUES (?, ?)", (SKEW, round(skew_s * 1_000))
            )

    def clean(self) -> None:
        """Forget attempts and set-aside uploads that are over for longer than is kept."""
        before = self._now_ms() - int(self._limits.keep_s * 1_000)
        with self._write():
            self._db.execute(
                "DELETE FROM attempt WHERE is_archived = 1 AND changed_ms < ?", (before,)
            )
            self._db.execute("DELETE FROM aside WHERE made_ms < ?", (before,))

    def _count(self, name: str) -> int:
        row = self._db.execute("SELECT value FROM count WHERE name = ?", (name,)).fetchone()
        return 0 if row is None else int(row[0])

    def _insert_report(self, report: AttemptReport) -> None:
        self._db.execute(
            "INSERT INTO report (attempt_id, body) VALUES (?, ?)",
            (report.attempt_id, report.model_dump_json()),
        )

    def _now_ms(self) -> int:
        return to_epoch_ms(self._clock.now())

    @contextmanager
    def _write(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException:
            # A full disk may have ended the transaction already.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _open_or_set_aside(self) -> sqlite3.Connection:
        try:
            return _open(self._path)
        except sqlite3.DatabaseError as failure:
            if isinstance(failure, sqlite3.OperationalError):
                raise
            self.set_aside = self._path.with_name(f"{FILE_NAME}.unreadable-{self._now_ms()}")
            self._path.rename(self.set_aside)
            for ending in ("-wal", "-shm"):
                Path(f"{self._path}{ending}").unlink(missing_ok=True)
            log.error(
                "the spool cannot be read and was set aside; telemetry and reports in it are not"
                " sent, and the centre will ask about each attempt",
                extra={"kept_as": str(self.set_aside), "error": str(failure)},
            )
            return _open(self._path)


def _open(path: Path) -> sqlite3.Connection:
    """Open the file, make its tables and read all of it once; raises sqlite3.DatabaseError."""
    path.touch(mode=0o600)
    db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.executescript(_SCHEMA + SCHEMA)
        findings = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if findings != "ok":
            raise sqlite3.DatabaseError(f"quick_check: {findings}")
        for (body,) in db.execute("SELECT body FROM attempt"):
            _RECORD.validate_json(body)
    except (sqlite3.DatabaseError, ValueError) as failure:
        db.close()
        if isinstance(failure, ValueError):
            raise sqlite3.DatabaseError(f"a record cannot be read: {failure}") from failure
        raise
    return db
