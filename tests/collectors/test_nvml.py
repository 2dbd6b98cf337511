"""NVML without a driver, and against a small library compiled here that stands in for it."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pynvml
import pytest

from collectors.config import build_source
from collectors.sources.port import SourceError
from collectors.specs.nvml import NvmlSpec
from suanwang.clock import SystemClock

STUB = Path(__file__).parent / "nvml_stub.c"
COMPILER = shutil.which("cc") or shutil.which("gcc")
PROGRAM = """
import asyncio, json, threading
from collectors.config import build_source
from collectors.specs.nvml import NvmlSpec
from suanwang.clock import SystemClock

async def main():
    clock = SystemClock()
    source = build_source(NvmlSpec(host="gpu-07", tells_processes=True), clock)
    polls = [await source.collect() for _ in range(3)]
    # The thread that waits for XIDs is started by the first poll.
    for _ in range(500):
        if len(source._xids._kept) == 2 or "xid_error" in str(polls):
            break
        await asyncio.sleep(0.01)
    polls += [await source.collect() for _ in range(2)]
    await source.close()
    await source.close()
    print(json.dumps({
        "polls": [
            [(r.subject, r.metric, r.value, dict(r.labels), r.at.timestamp()) for r in p]
            for p in polls
        ],
        "threads": [each.name for each in threading.enumerate() if each.name == "xid"],
    }))

asyncio.run(main())
"""


def has_library() -> bool:
    """Whether this machine has a real NVML."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return False
    pynvml.nvmlShutdown()
    return True


@pytest.mark.skipif(has_library(), reason="this machine has a real NVML")
async def test_a_missing_library_is_told_with_what_to_do() -> None:
    source = build_source(NvmlSpec(host="gpu-07"), SystemClock())
    try:
        with pytest.raises(SourceError, match=r"GPUs of gpu-07 cannot be read: libnvidia-ml") as up:
            await source.collect()
        with pytest.raises(SourceError, match="cannot be read"):
            await source.collect()
    finally:
        await source.close()
    assert "NVIDIA driver" in up.value.next_step


Poll = dict[tuple[str, str], float]


@dataclass(frozen=True)
class Outcome:
    """What five polls of the stand-in gave."""

    polls: list[Poll]
    rows: list[tuple[str, str, float, dict[str, str], float]]
    threads: list[str]

    def values(self, metric: str) -> list[float]:
        """Return every value of a metric over all polls."""
        return [value for _, name, value, *_ in self.rows if name == metric]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Return what the source reads from the library that stands in for NVML."""
    if COMPILER is None:
        pytest.skip("no C compiler to build the stand-in for NVML")
    folder = tmp_path_factory.mktemp("nvml")
    library = folder / "libnvidia-ml.so.1"
    options = ("-Wall", "-Werror", "-shared", "-fPIC", "-o")
    subprocess.run([COMPILER, *options, library, STUB], check=True)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"LD_LIBRARY_PATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    polls = [{(row[0], row[1]): row[2] for row in poll} for poll in found["polls"]]
    rows = [tuple(row) for poll in found["polls"] for row in poll]
    return Outcome(polls, rows, found["threads"])


def test_gpus_are_read_field_by_field(outcome: Outcome) -> None:
    first, second, *_ = outcome.polls
    assert first["gpu:GPU-stub-0", "energy_wh"] == pytest.approx(2001)
    assert second["gpu:GPU-stub-0", "energy_wh"] == pytest.approx(2002)
    assert first["gpu:GPU-stub-0", "utilisation_ratio"] == 0.97
    assert first["gpu:GPU-stub-0", "memory_used_bytes"] == 75 * 2**30
    assert first["gpu:GPU-stub-0", "power_limit_w"] == 700
    assert ("gpu:GPU-stub-1", "energy_wh") not in first, "this card has no counter"
    assert not outcome.values("temperature_c"), "there is no such symbol"
    assert {row[3]["host"] for row in outcome.rows} == {"gpu-07"}


def test_power_comes_by_fields_and_else_by_the_older_call(outcome: Outcome) -> None:
    first = outcome.polls[0]
    assert first["gpu:GPU-stub-0", "power_w"] == 500.25
    assert first["gpu:GPU-stub-0", "power_average_w"] == 480
    assert first["gpu:GPU-stub-1", "power_w"] == 412.5
    assert ("gpu:GPU-stub-1", "power_average_w") not in first


def test_what_slows_a_gpu_down_is_told_by_its_cause(outcome: Outcome) -> None:
    causes = ("throttle_power_ratio", "throttle_thermal_ratio", "throttle_hardware_ratio")
    first = outcome.polls[0]
    assert [first["gpu:GPU-stub-0", cause] for cause in causes] == [1, 0, 0]
    assert [first["gpu:GPU-stub-1", cause] for cause in causes] == [0, 1, 0]


def test_errors_of_the_memory_are_read_seldom(outcome: Outcome) -> None:
    first, second, *_ = outcome.polls
    gpu = "gpu:GPU-stub-0"
    ecc = {metric: value for (_, metric), value in first.items() if metric.startswith("ecc_")}
    assert ecc == {
        "ecc_corrected_volatile_errors": 0,
        "ecc_corrected_aggregate_errors": 1,
        "ecc_uncorrected_volatile_errors": 10,
        "ecc_uncorrected_aggregate_errors": 11,
    }
    assert first[gpu, "remapped_rows_corrected"] == 1
    assert first[gpu, "remapped_rows_uncorrected"] == 2
    assert (first[gpu, "remap_pending_ratio"], first[gpu, "remap_failed_ratio"]) == (1, 0)
    assert not [metric for _, metric in second if metric.startswith(("ecc_", "remap"))]


def test_a_gpu_cut_into_instances_counts_its_energy_once(outcome: Outcome) -> None:
    first = outcome.polls[0]
    assert first["gpu:GPU-stub-1", "mig_ratio"] == 1
    assert first["gpu:GPU-stub-0", "mig_ratio"] == 0
    instances = {subject for subject, _ in first if subject.startswith("mig:")}
    assert instances == {"mig:MIG-stub-2", "mig:MIG-stub-3"}
    assert first["mig:MIG-stub-2", "memory_total_bytes"] == 150 * 2**28
    assert {subject for subject, metric in first if metric == "energy_wh"} == {"gpu:GPU-stub-0"}
    (labels,) = {row[3]["gpu"] for row in outcome.rows if row[0] == "mig:MIG-stub-2"}
    assert labels == "GPU-stub-1"


def test_processes_are_counted_and_told_with_their_memory(outcome: Outcome) -> None:
    first = outcome.polls[0]
    assert first["gpu:GPU-stub-0", "gpu_processes"] == 1
    assert first["gpu:GPU-stub-1", "gpu_processes"] == 0
    assert first["process:gpu-07:4711:GPU-stub-0", "gpu_memory_used_bytes"] == 2**30


def test_each_xid_is_told_once_with_a_moment_of_its_own(outcome: Outcome) -> None:
    xids = [(row[0], row[2], row[4]) for row in outcome.rows if row[1] == "xid_error"]
    assert [(subject, xid) for subject, xid, _ in xids] == [
        ("gpu:GPU-stub-0", 79),
        ("gpu:GPU-stub-0", 48),
    ]
    assert xids[0][2] < xids[1][2]
    assert outcome.threads == [], "closing ends the thread that waits"


def test_a_lost_card_is_told_beside_the_others(outcome: Outcome) -> None:
    first, _, third, *_ = outcome.polls
    assert first["gpu:GPU-stub-1", "health_ratio"] == 1
    assert {
        metric: value for (subject, metric), value in third.items() if subject == "gpu:GPU-stub-1"
    } == {"health_ratio": 0}
    assert third["gpu:GPU-stub-0", "energy_wh"] == pytest.approx(2003)
    assert third["gpu:GPU-stub-0", "health_ratio"] == 1
