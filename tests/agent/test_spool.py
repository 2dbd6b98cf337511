"""The spool: nothing that was taken is lost, and it stays within its limits."""

import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from agent_builders import NOON, a_start

from agent.batches import BatchLimits
from agent.record import LocalState, Record, make_report
from agent.spool import FILE_NAME, PIECE_CHARS, Spool, SpoolLimits
from suanwang.clock import VirtualClock
from suanwang.model.batch import gathered
from suanwang.model.reading import Reading
from suanwang.wire.batch import TelemetryUpload


def a_batch(number: int) -> TelemetryUpload:
    """Return a batch with its number as id."""
    reading = Reading(subject="host:a", metric="cpu_ratio", value=0.5, at=NOON)
    return TelemetryUpload(id=f"tb_{number}", made_at=NOON, readings=gathered([reading]))


def a_record(state: LocalState = LocalState.RUNNING) -> Record:
    """Return a record of attempt ``job_1-a1``."""
    return Record(
        attempt_id="job_1-a1",
        executor_id="train-a1",
        accepted_at=NOON,
        order=a_start(),
        state=state,
    )


def test_records_come_back_as_they_were(tmp_path: Path, clock: VirtualClock) -> None:
    spool = Spool(tmp_path, clock)
    spool.save(a_record())
    spool.close()
    again = Spool(tmp_path, clock)
    assert again.find("job_1-a1") == a_record()
    assert again.open_records() == (a_record(),)
    assert again.find("nobody") is None
    again.close()


def test_only_the_owner_can_read_the_spool(tmp_path: Path, clock: VirtualClock) -> None:
    spool = Spool(tmp_path / "agent", clock)
    assert (tmp_path / "agent" / FILE_NAME).stat().st_mode & 0o077 == 0
    assert (tmp_path / "agent").stat().st_mode & 0o077 == 0
    spool.close()


def test_a_record_and_its_report_are_kept_together(tmp_path: Path, clock: VirtualClock) -> None:
    spool = Spool(tmp_path, clock)
    record, report = make_report(a_record(), NOON)
    spool.save(record, report)
    assert [one.report for one in spool.reports(10)] == [report]
    spool.reports_sent([spool.reports(10)[0].id])
    assert spool.reports(10) == ()
    spool.close()


def test_reports_wait_for_the_output_of_their_attempt(tmp_path: Path, clock: VirtualClock) -> None:
    spool = Spool(tmp_path, clock)
    record, report = make_report(a_record(), NOON)
    spool.save(record, report)
    text = "x" * (PIECE_CHARS + 1)
    spool.add_output(replace(record, log_read=len(text)), text)
    assert spool.reports(10) == ()
    spool.output_taken("job_1-a1", PIECE_CHARS)
    piece = spool.next_piece()
    assert piece is not None
    assert (piece.start, piece.text) == (PIECE_CHARS, "x")
    assert spool.next_piece(skipping=["job_1-a1"]) is None
    spool.output_taken("job_1-a1", len(text))
    assert len(spool.reports(10)) == 1
    spool.close()


def test_reports_are_never_dropped(tmp_path: Path, clock: VirtualClock) -> None:
    spool = Spool(tmp_path, clock, SpoolLimits(batches=BatchLimits(bytes_max=1)))
    record, report = make_report(a_record(LocalState.SUCCEEDED), NOON)
    spool.save(record, report)
    clock.advance(365 * 86_400)
    spool.batches.add(a_batch(1))
    spool.clean()
    assert len(spool.reports(10)) == 1
    assert spool.find("job_1-a1") is not None
    spool.close()


@pytest.mark.parametrize(
    "damage", [b"not a database at all" * 100, b"SQLite format 3\0" + b"\1" * 9_000]
)
def test_an_unreadable_file_is_set_aside_and_a_new_one_begun(
    tmp_path: Path, clock: VirtualClock, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    (tmp_path / FILE_NAME).write_bytes(damage)
    spool = Spool(tmp_path, clock)
    assert spool.set_aside is not None
    assert spool.set_aside.read_bytes() == damage
    assert "set aside" in caplog.text
    spool.batches.add(a_batch(1))
    assert spool.counts()["batch"] == 1
    spool.close()


def test_a_record_that_cannot_be_read_sets_the_file_aside(
    tmp_path: Path, clock: VirtualClock
) -> None:
    spool = Spool(tmp_path, clock)
    spool.save(a_record())
    spool.close()
    db = sqlite3.connect(tmp_path / FILE_NAME)
    with db:
        db.execute("UPDATE attempt SET body = '{}'")
    db.close()
    again = Spool(tmp_path, clock)
    assert again.set_aside is not None
    again.close()


_WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from agent.spool import Spool
from suanwang.clock import SystemClock
from suanwang.model.batch import gathered
from suanwang.wire.batch import TelemetryUpload

spool = Spool(Path(sys.argv[1]), SystemClock())
for number in range(100_000):
    batch = TelemetryUpload(id=f"tb_{number}", made_at=datetime.now(UTC), readings=gathered([]))
    spool.batches.add(batch)
    print(number, flush=True)
"""


def test_what_was_taken_survives_a_kill(tmp_path: Path, clock: VirtualClock) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    taken = -1
    for line in writer.stdout:
        taken = int(line)
        if taken >= 25:
            break
    writer.send_signal(signal.SIGKILL)
    rest = writer.stdout.read().split()
    writer.stdout.close()
    writer.wait()
    taken = max([taken, *(int(word) for word in rest)])
    spool = Spool(tmp_path, clock)
    assert spool.set_aside is None
    assert spool.counts()["batch"] in (taken + 1, taken + 2)
    first = spool.batches.next()
    assert first is not None
    assert first.id == "tb_0"
    spool.close()
