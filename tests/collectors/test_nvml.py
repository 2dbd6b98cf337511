"""NVML without a driver, and against a small library compiled here that stands in for it."""

import json
import os
import shutil
import subprocess
import sys
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
import asyncio, json
from collectors.config import build_source
from collectors.specs.nvml import NvmlSpec
from suanwang.clock import SystemClock

async def main():
    source = build_source(NvmlSpec(host="gpu-07"), SystemClock())
    polls = [await source.collect() for _ in range(2)]
    await source.close()
    await source.close()
    print(json.dumps([[(r.subject, r.metric, r.value, dict(r.labels)) for r in p] for p in polls]))

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


@pytest.mark.skipif(COMPILER is None, reason="no C compiler to build the stand-in for NVML")
def test_gpus_are_read_field_by_field_from_the_library(tmp_path: Path) -> None:
    assert COMPILER is not None
    library = tmp_path / "libnvidia-ml.so.1"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-o", library, STUB], check=True)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"LD_LIBRARY_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    first, second = json.loads(done.stdout)
    values = {(subject, metric): value for subject, metric, value, _ in first}
    assert values["gpu:GPU-stub-0", "energy_wh"] == pytest.approx(2001)
    assert values["gpu:GPU-stub-1", "power_w"] == 412.5
    assert values["gpu:GPU-stub-0", "utilisation_ratio"] == 0.97
    assert values["gpu:GPU-stub-0", "memory_used_bytes"] == 75 * 2**30
    assert ("gpu:GPU-stub-1", "energy_wh") not in values, "this card has no counter"
    assert not [metric for _, metric in values if metric == "temperature_c"], "no such symbol"
    assert {labels["model"] for *_, labels in first} == {"Stub H200"}
    later = {(subject, metric): value for subject, metric, value, _ in second}
    assert later["gpu:GPU-stub-0", "energy_wh"] == pytest.approx(2002)
