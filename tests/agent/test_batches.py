"""Telemetry in the spool: what goes first, a full disk, a power cut, and damage."""

import contextlib
import os
import random
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from agent_builders import NOON

from agent.batches import BatchLimits, Worth
from agent.spool import FILE_NAME, Spool, SpoolLimits
from suanwang.clock import VirtualClock
from suanwang.model.batch import gathered
from suanwang.model.reading import Reading, SourceReport
from suanwang.wire.batch import TelemetryUpload, decode, encode

METRICS = ("cpu_ratio", "power_w", "energy_wh")


def a_batch(number: int, metrics: Sequence[str] = METRICS) -> TelemetryUpload:
    """Return a batch with 400 readings of each metric that deflate badly, and a report."""
    at = NOON + timedelta(minutes=number)
    values = random.Random(number)
    readings = [
        Reading(subject=f"meter:m{m}", metric=metric, value=values.uniform(0, 1e6), at=at)
        for metric in metrics
        for m in range(400)
    ]
    report = SourceReport(source="pdu", is_up=True, duration_s=0.1, at=at)
    return TelemetryUpload(
        id=f"tb_{number}", made_at=at, readings=gathered(readings), reports=(report,)
    )


def a_registers(number: int) -> TelemetryUpload:
    """Return a batch of registers alone."""
    return replace(a_batch(number, ["energy_wh"]), reports=())


SIZE = len(encode(a_batch(1)))


def a_spool(folder: Path, clock: VirtualClock, bytes_max: int = 10**9) -> Spool:
    """Return a spool that keeps so much telemetry, and little in memory."""
    limits = BatchLimits(bytes_max=bytes_max, held_bytes_max=3 * SIZE + 1_000)
    return Spool(folder, clock, SpoolLimits(batches=limits))


def waiting(spool: Spool) -> dict[str, list[str]]:
    """Return the metrics that wait, by id of their batch, and take all of it out."""
    found = {}
    while batch := spool.batches.next():
        upload = decode(batch.body)
        found[upload.id] = sorted({key.metric for key in upload.readings.series})
        spool.batches.sent(batch.id)
    return found


def test_plain_readings_go_first_then_power_and_registers_last(
    tmp_path: Path, clock: VirtualClock
) -> None:
    spool = a_spool(tmp_path, clock, 5 * SIZE)
    for number in range(1, 7):
        spool.batches.add(a_batch(number))
    counts = spool.batches.counts()
    assert counts.bytes <= 5 * SIZE
    assert counts.batches == 6
    assert counts.dropped[Worth.PLAIN] > 0
    assert counts.dropped[Worth.REGISTER] == 0
    left = waiting(spool)
    # The newest are whole, the oldest lost most, and every one has its registers.
    assert left["tb_6"] == sorted(METRICS)
    assert next(iter(left.values())) == ["energy_wh", "power_w"]
    assert all("energy_wh" in metrics for metrics in left.values())
    spool.close()


def test_where_only_registers_are_left_the_oldest_go(tmp_path: Path, clock: VirtualClock) -> None:
    size = len(encode(a_batch(1, ["energy_wh"])))
    spool = a_spool(tmp_path, clock, 3 * size)
    for number in range(1, 6):
        spool.batches.add(a_batch(number, ["energy_wh"]))
    dropped = spool.batches.counts().dropped
    left = waiting(spool)
    assert [name.strip("~") for name in left] == ["tb_3", "tb_4", "tb_5"]
    assert dropped == {Worth.PLAIN: 0, Worth.POWER: 0, Worth.REGISTER: 800}
    spool.close()


def test_a_thinned_batch_has_another_id_and_the_values_that_it_had(
    tmp_path: Path, clock: VirtualClock
) -> None:
    spool = a_spool(tmp_path, clock, SIZE + SIZE // 2)
    spool.batches.add(a_batch(1))
    spool.batches.add(a_batch(2))
    batch = spool.batches.next()
    assert batch is not None
    thin = decode(batch.body)
    kept = {key for key in METRICS if key in {one.metric for one in thin.readings.each()}}
    whole = [one for one in a_batch(1).readings.each() if one.metric in kept]
    assert thin.id == batch.id != "tb_1"
    assert list(thin.readings.each()) == whole
    spool.close()


def test_telemetry_older_than_its_age_goes_whole_and_is_counted(
    tmp_path: Path, clock: VirtualClock
) -> None:
    spool = a_spool(tmp_path, clock)
    spool.batches.add(a_batch(1))
    clock.advance(6 * 86_400)
    spool.batches.add(a_batch(2))
    clock.advance(2 * 86_400)
    spool.batches.add(a_batch(3))
    assert spool.batches.counts().dropped == dict.fromkeys(Worth, 400)
    assert spool.batches.counts().oldest_s == 2 * 86_400
    assert list(waiting(spool)) == ["tb_2", "tb_3"]
    spool.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of 512 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    size = ["mount", "-t", "tmpfs", "-o", "size=512k", "none", str(disk)]
    if os.geteuid() != 0 or subprocess.run(size, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Leave no room on a disk."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(512))
    return filler


def test_on_a_full_disk_batches_stay_in_memory_and_are_written_when_there_is_room(
    small_disk: Path, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    spool = a_spool(small_disk, clock)
    spool.batches.add(a_batch(1))
    filler = fill(small_disk)
    for number in (2, 3, 4):
        spool.batches.add(a_batch(number))
    assert spool.batches.counts().held == 3
    assert caplog.text.count("disk is full") == 1
    filler.unlink()
    spool.batches.add(a_batch(5))
    assert spool.batches.counts().held == 0
    assert "room again" in caplog.text
    spool.close()
    again = a_spool(small_disk, clock)
    assert again.set_aside is None
    assert list(waiting(again)) == [f"tb_{number}" for number in range(1, 6)]
    again.close()


def test_on_a_full_disk_what_was_sent_is_not_sent_again(
    small_disk: Path, clock: VirtualClock
) -> None:
    spool = a_spool(small_disk, clock)
    for number in (1, 2, 3):
        spool.batches.add(a_batch(number))
    filler = fill(small_disk)
    spool.batches.add(a_batch(4))
    assert list(waiting(spool)) == ["tb_1", "tb_2", "tb_3", "tb_4"]
    assert spool.batches.next() is None
    filler.unlink()
    spool.batches.add(a_batch(5))
    assert spool.batches.counts().batches == 1
    spool.close()


def test_what_memory_cannot_hold_on_a_full_disk_is_counted_and_the_least_worth_goes(
    small_disk: Path, clock: VirtualClock
) -> None:
    spool = a_spool(small_disk, clock)
    filler = fill(small_disk)
    spool.batches.add(a_registers(1))
    for number in range(2, 7):
        spool.batches.add(a_batch(number))
    counts = spool.batches.counts()
    assert counts.bytes <= 3 * SIZE + 1_000
    assert set(counts.dropped.values()) == {1_200}
    filler.unlink()
    spool.batches.add(a_batch(7))
    assert spool.batches.counts().dropped == counts.dropped
    assert list(waiting(spool)) == ["tb_1", "tb_5", "tb_6", "tb_7"]
    spool.close()


def test_a_power_cut_in_the_last_record_costs_that_record_alone(
    tmp_path: Path, clock: VirtualClock
) -> None:
    folder = tmp_path / "agent"
    spool = a_spool(folder, clock)
    sizes = []
    wal = folder / f"{FILE_NAME}-wal"
    for number in range(1, 6):
        spool.batches.add(a_batch(number))
        sizes.append(wal.stat().st_size)
    for kept in (sizes[-1] - 1, sizes[-1] - 4_096, sizes[-2] + 100, sizes[-2] - 24):
        cut = tmp_path / f"cut-{kept}"
        shutil.copytree(folder, cut)
        with (cut / wal.name).open("r+b") as torn:
            torn.truncate(kept)
        again = a_spool(cut, clock)
        assert again.set_aside is None
        whole = 4 if kept >= sizes[-2] else 3
        assert list(waiting(again)) == [f"tb_{number}" for number in range(1, whole + 1)]
        again.close()
    spool.close()


def test_a_damaged_batch_blocks_nothing(
    tmp_path: Path, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    spool = a_spool(tmp_path, clock)
    for number in (1, 2, 3):
        spool.batches.add(a_batch(number))
    spool._db.execute("UPDATE batch SET body = substr(body, 1, 300) WHERE id = 'tb_1'")
    spool._db.execute("UPDATE batch SET body = x'00' WHERE id = 'tb_2'")
    assert list(waiting(spool)) == ["tb_3"]
    assert caplog.text.count("damaged") == 2
    spool.close()
