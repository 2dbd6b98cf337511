"""The meters of a simulated site follow its real load, and end with their parent."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from collectors.config import build_source, parse_source
from collectors.profiles.modbus import ModbusProfile
from collectors.profiles.profile import load_profile_of
from simulator.devices.modbus_meter import MeterServer
from simulator.devices.process_load import ProcessLoad, read_pids
from simulator.devices.site_meters import SiteLoad, SiteMeters, run
from suanwang.clock import SystemClock, VirtualClock

BUSY = "while True: pass"
COMMAND = [
    sys.executable,
    "-m",
    "simulator.devices.site_meters",
    "--site=near",
    "--idle-w=2000",
    "--busy-w-per-core=500",
    "--it-design-w=8000",
]


async def read(port: int) -> dict[str, float]:
    """Read a meter once over Modbus."""
    raw = {
        "kind": "modbus",
        "name": "m",
        "meter_id": "m",
        "profile": "reference_meter",
        "host": "127.0.0.1",
        "port": port,
    }
    source = build_source(parse_source(raw), SystemClock())
    try:
        return {reading.metric: reading.value for reading in await source.collect()}
    finally:
        await source.close()


async def test_both_meters_count_the_energy_of_the_load(clock: VirtualClock) -> None:
    profile = load_profile_of(ModbusProfile, "reference_meter")
    cores = iter([0.0, 2.0, 4.0])
    meters = SiteMeters(
        MeterServer(profile, "127.0.0.1", 0, clock=clock),
        MeterServer(profile, "127.0.0.1", 0, clock=clock),
        SiteLoad(idle_w=1000, busy_w_per_core=500),
        lambda: next(cores),
        lambda it_w: 1.25 * it_w,
    )
    await meters.start()
    try:
        clock.advance(3600)
        meters.tick()
        clock.advance(1800)
        meters.tick()
        it, facility = await read(meters.it.port), await read(meters.facility.port)
    finally:
        await meters.stop()
    assert it == pytest.approx({"energy_wh": 2000, "power_w": 3000})
    assert facility == pytest.approx({"energy_wh": 2500, "power_w": 3750})


async def test_the_load_is_ticked_until_told_to_stop(clock: VirtualClock) -> None:
    profile = load_profile_of(ModbusProfile, "reference_meter")
    stop = asyncio.Event()
    ticks: list[float] = []

    def cores() -> float:
        ticks.append(clock.monotonic())
        if len(ticks) == 5:
            stop.set()
        return 1.0

    meters = SiteMeters(
        MeterServer(profile, "127.0.0.1", 0, clock=clock),
        MeterServer(profile, "127.0.0.1", 0, clock=clock),
        SiteLoad(idle_w=0, busy_w_per_core=3600),
        cores,
        lambda it_w: it_w,
    )
    await run(meters, clock, stop, tick_s=1, parent_pid=os.getppid())
    assert ticks == [1, 2, 3, 4, 5]
    assert meters.it.energy_wh == pytest.approx(4)


@pytest.mark.parametrize("how", ["pid file", "marker"])
def test_busy_processes_of_the_site_are_counted_and_others_are_not(
    tmp_path: Path, how: str
) -> None:
    clock = SystemClock()
    ours = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}])",
        ],
        env=os.environ | {"SUANWANG_TEST_SITE": f"near-{os.getpid()}"},
    )
    other = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        file = tmp_path / "pids"
        file.write_text(f"[{ours.pid}]", encoding="utf-8")
        marker = f"SUANWANG_TEST_SITE=near-{os.getpid()}"
        load = (
            ProcessLoad(clock, pid_file=file)
            if how == "pid file"
            else ProcessLoad(clock, marker=marker)
        )
        nothing = ProcessLoad(clock, pid_file=tmp_path / "none")
        for each in (load, nothing):
            assert each.cores() == 0.0
        clock.sleep(0.7)
        cores = load.cores()
        assert 0.05 < cores < 1.3, cores
        assert nothing.cores() == 0.0
    finally:
        for process in psutil.Process(ours.pid).children(recursive=True):
            process.kill()
        for child in (ours, other):
            child.kill()
            child.wait()


@pytest.mark.parametrize(
    ("text", "pids"),
    [
        ("[1, 22]", {1, 22}),
        ("1 22\n333", {1, 22, 333}),
        ("", set()),
        ("[1, 2", set()),
        ("x", set()),
    ],
)
def test_a_pid_file_is_read_in_both_spellings(tmp_path: Path, text: str, pids: set[int]) -> None:
    file = tmp_path / "pids"
    file.write_text(text, encoding="utf-8")
    assert read_pids(file) == pids


async def test_the_process_tells_its_ports_and_ends_on_sigterm() -> None:
    process = await asyncio.create_subprocess_exec(*COMMAND, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
        it, facility = await read(ready["it_port"]), await read(ready["facility_port"])
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert ready["site"] == "near"
    assert it["power_w"] == pytest.approx(2000, rel=0.01)
    assert 1.0 < facility["power_w"] / it["power_w"] < 2.0


async def test_the_process_ends_when_its_parent_is_gone() -> None:
    """A parent that is not ours from the start is the same as one that is gone."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "--parent-pid=1000000000", stdout=asyncio.subprocess.DEVNULL
    )
    try:
        assert await asyncio.wait_for(process.wait(), 30) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
