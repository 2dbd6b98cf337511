"""IPMI by ipmitool against OpenIPMI's simulator and pyghmi's server."""

import asyncio
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ipmi_parts import SIMULATOR, TOOL, dcmi_bmc, ipmi_sim

from collectors import ipmi_text
from collectors.config import build_source, parse_source
from collectors.sources.port import Source, SourceError
from suanwang.clock import SystemClock
from suanwang.errors import BadInput
from suanwang.model.reading import Reading

needs_tool = pytest.mark.skipif(TOOL is None, reason="ipmitool is not installed")
needs_simulator = pytest.mark.skipif(
    TOOL is None or SIMULATOR is None, reason="ipmitool or ipmi_sim (openipmi) is not installed"
)
CSV = "Inlet Temp,24,degrees C,ok\nPwr, all,480,Watts,ok\nOld,7,Watts,ns\nFan,9000,RPM,cr\n"
DCMI = """
    Instantaneous power reading:                   612 Watts
    Minimum during sampling period:                200 Watts
    Average power reading over sample period:      587 Watts
    Power reading state is:                   activated
"""


def a_source(port: int, folder: Path, **more: object) -> Source:
    """Return a source for a BMC whose password is ``secret``."""
    file = folder / "password"
    if not file.exists():
        file.write_text("secret\n", encoding="utf-8")
    raw = {"kind": "ipmi", "name": "i", "host": "gpu-07", "address": "127.0.0.1", "port": port}
    raw |= {"username": "reader", "password_file": str(file), "cipher": 3}
    return build_source(parse_source(raw | more), SystemClock())


def by_series(readings: Sequence[Reading]) -> dict[tuple[str, str], float]:
    """Return values by subject and metric."""
    return {(each.subject, each.metric): each.value for each in readings}


async def read(source: Source) -> dict[tuple[str, str], float]:
    """Poll twice and close; return the second poll, which uses what the first one kept."""
    try:
        await source.collect()
        return by_series(await source.collect())
    finally:
        await source.close()


@needs_simulator
async def test_named_sensors_belong_to_the_host_and_others_stand_alone(tmp_path: Path) -> None:
    named = {"Inlet Temp": "inlet_temperature_c"}
    with ipmi_sim(tmp_path) as port:
        found = await read(a_source(port, tmp_path, sensors=named, all_sensors=True))
        only = await read(a_source(port, tmp_path, sensors=named))
    assert only == {("host:gpu-07", "inlet_temperature_c"): 24}
    assert found == only | {("sensor:gpu-07:Pwr, all", "power_w"): 480}


@needs_simulator
async def test_a_name_that_the_bmc_lacks_is_told_with_those_it_has(tmp_path: Path) -> None:
    with ipmi_sim(tmp_path) as port:
        source = a_source(port, tmp_path, sensors={"Inlet": "inlet_temperature_c"})
        with pytest.raises(SourceError, match=r"no value for Inlet; .*are: Inlet Temp, Pwr, all"):
            await source.collect()
        await source.close()


@needs_simulator
async def test_a_bmc_without_power_and_without_named_sensors_says_what_to_do(
    tmp_path: Path,
) -> None:
    words = "measures no power by DCMI"
    with ipmi_sim(tmp_path) as port, pytest.raises(SourceError, match=words) as failure:
        await a_source(port, tmp_path).collect()
    assert "name sensors" in failure.value.next_step


@needs_simulator
async def test_a_wrong_password_is_told_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("not-so-secret", encoding="utf-8")
    with ipmi_sim(tmp_path) as port, pytest.raises(SourceError) as failure:
        await a_source(port, tmp_path).collect()
    assert "check address, username, password_file" in failure.value.next_step
    assert "not-so-secret" not in f"{failure.value!r} {failure.value.facts}"


@needs_tool
async def test_power_comes_by_dcmi_where_the_bmc_measures_it(tmp_path: Path) -> None:
    with dcmi_bmc() as port:
        assert await read(a_source(port, tmp_path)) == {
            ("host:gpu-07", "power_w"): 612,
            ("host:gpu-07", "power_average_w"): 587,
        }


@pytest.fixture
def silence() -> Iterator[int]:
    """Return a UDP port where nobody answers."""
    with socket.socket(type=socket.SOCK_DGRAM) as hole:
        hole.bind(("127.0.0.1", 0))
        yield int(hole.getsockname()[1])


@needs_tool
async def test_a_silent_bmc_is_given_up_and_its_process_ended(silence: int, tmp_path: Path) -> None:
    source = a_source(silence, tmp_path, timeout_s=0.2)
    with pytest.raises(SourceError, match=r"did not answer within 0\.2 s"):
        await source.collect()
    poll = asyncio.create_task(_collected(source))
    await asyncio.wait({poll}, timeout=0.05)
    poll.cancel()
    await asyncio.wait({poll})
    assert not [each for each in psutil.Process().children() if "ipmitool" in each.name()]


async def _collected(source: Source) -> Sequence[Reading]:
    return await source.collect()


async def test_what_a_wrapper_of_the_program_started_ends_with_it(tmp_path: Path) -> None:
    wrapper, started = tmp_path / "ipmitool", tmp_path / "started"
    wrapper.write_text(f"#!/bin/sh\nsleep 300 &\necho $! > {started}.new\n"
                       f"mv {started}.new {started}\nwait\n")  # fmt: skip
    wrapper.chmod(0o700)
    poll = asyncio.create_task(_collected(a_source(1, tmp_path, program=str(wrapper))))
    while not started.exists():
        await asyncio.wait({poll}, timeout=0.02)
        assert not poll.done()
    (child,) = [each for each in psutil.process_iter() if each.pid == int(started.read_text())]
    poll.cancel()
    await asyncio.wait({poll})
    psutil.wait_procs([child], timeout=20)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


async def test_a_missing_program_is_told_with_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no-such-tool is not installed") as failure:
        await a_source(1, tmp_path, program="no-such-tool").collect()
    assert "package ipmitool" in failure.value.next_step


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        pytest.param({"address": "-oProxy"}, "address", id="an option as an address"),
        pytest.param({"username": "-v"}, "username", id="an option as a user"),
        pytest.param({"dcmi": False}, "give dcmi, sensors", id="nothing wanted"),
        pytest.param({"password_file": None}, "go together", id="no password"),
        pytest.param({"address": None}, "needs none", id="a user of this machine's BMC"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(
    raw: dict[str, object], words: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=words):
        a_source(623, tmp_path, **raw)


def test_a_sensor_that_is_not_scanned_is_no_sample() -> None:
    assert [(s.name, s.metric, s.value) for s in ipmi_text.sensors(CSV)] == [
        ("Inlet Temp", "temperature_c", 24),
        ("Pwr, all", "power_w", 480),
        ("Fan", "fan_rpm", 9000),
    ]


def test_power_counts_only_while_measuring_is_on() -> None:
    assert ipmi_text.dcmi_power(DCMI) == {"power_w": 612, "power_average_w": 587}
    assert ipmi_text.dcmi_power(DCMI.replace("activated", "deactivated")) == {}


@given(
    st.text(alphabet=st.sampled_from("Inlet,24 degreesCWats:\nok.-e_nan"), max_size=80) | st.text()
)
def test_any_text_gives_numbers_or_nothing(text: str) -> None:
    for sensor in ipmi_text.sensors(text):
        assert abs(sensor.value) < float("inf")
        assert sensor.metric in ipmi_text.UNITS.values()
    assert all(value >= 0 for value in ipmi_text.dcmi_power(text).values())
