"""``suanwang agent check`` on real devices on loopback: what answers, and what does not."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_client import site_body
from api_server import running_centre
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from cli.main import app
from collectors.check import check_sources
from collectors.config import parse_sources
from collectors.profiles.modbus import ModbusProfile
from collectors.profiles.profile import load_profile_of
from simulator.devices.modbus_meter import MeterServer
from suanwang.clock import SystemClock
from suanwang.errors import BadInput
from suanwang.model.tenant import Role

MODBUS = {"kind": "modbus", "profile": "reference_meter", "host": "127.0.0.1"}


def run(config: Path, *arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(app, ["agent", "check", "--config", str(config), *arguments])


def written(folder: Path, *sources: Mapping[str, object]) -> Path:
    """Write a settings file."""
    path = folder / "agent.yaml"
    path.write_text(json.dumps({"agent": {"site_id": "site-1", "sources": sources}}))
    return path


def sources_of(result: Result) -> dict[str, Any]:
    """Return what was found, by source."""
    return {each["name"]: each for each in json.loads(result.stdout)["sources"]}


@pytest.fixture
async def meter() -> AsyncIterator[dict[str, object]]:
    """A meter that answers; yield the settings of a source that reads it."""
    profile = load_profile_of(ModbusProfile, "reference_meter")
    async with MeterServer(profile, "127.0.0.1", 0, clock=SystemClock(), first_wh=5_000) as server:
        server.set_power_w(3_000)
        yield {**MODBUS, "name": "feed", "meter_id": "m-it", "port": server.port}


async def test_each_source_is_polled_once_and_told_with_its_meters(
    tmp_path: Path, meter: dict[str, object]
) -> None:
    silent = {**MODBUS, "name": "dead", "meter_id": "m-x", "port": 1}
    config = written(tmp_path, meter, silent, {"kind": "host"})
    result = await asyncio.to_thread(run, config, "--json")
    assert result.exit_code == 1
    found = sources_of(result)
    assert (found["feed"]["is_ok"], found["dead"]["is_ok"], found["host"]["is_ok"]) == (
        True, False, True,
    )  # fmt: skip
    assert found["feed"]["meters"] == found["feed"]["registers"] == ["m-it"]
    assert found["feed"]["took_ms"] >= 0
    assert "takes no connection" in found["dead"]["why"]
    assert "check address" in found["dead"]["next_step"]
    text = (await asyncio.to_thread(run, config)).stdout
    assert text.splitlines()[0].split() == [
        "source", "kind", "address", "answers", "ms", "values", "meters", "why", "not",
    ]  # fmt: skip
    assert "2 of 3 sources answered" in text
    one = await asyncio.to_thread(run, config, "--only", "feed")
    assert (one.exit_code, "1 of 1 sources answered" in one.stdout) == (0, True)


async def test_two_sources_of_one_meter_are_told(tmp_path: Path, meter: dict[str, object]) -> None:
    config = written(tmp_path, meter, {**meter, "name": "again"})
    result = await asyncio.to_thread(run, config)
    assert result.exit_code == 0
    assert result.stdout.count("meter m-it is read by another source too") == 2


def test_a_slow_source_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/metrics"
        raw = {"kind": "prometheus", "name": "p", "preset": "node", "url": url}
        result = run(written(tmp_path, raw), "--timeout-s", "0.2", "--json")
    assert result.exit_code == 1
    assert sources_of(result)["p"]["why"] == "no answer within 0.2 s"


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        pytest.param([], "agent.sources is empty", id="none"),
        pytest.param([{"kind": "hots"}], "is not known", id="an unknown kind"),
        pytest.param([{"kind": "host", "label": "h"}], "label", id="an unknown key"),
    ],
)
def test_a_wrong_file_is_wrong_use(
    tmp_path: Path, sources: list[dict[str, object]], words: str
) -> None:
    result = run(written(tmp_path, *sources))
    assert isinstance(result.exception, BadInput)
    assert words in result.exception.message
    assert result.exception.exit_code == 2


def test_an_unknown_name_is_wrong_use(tmp_path: Path) -> None:
    result = run(written(tmp_path, {"kind": "host"}), "--only", "hots")
    assert isinstance(result.exception, BadInput)
    assert "use one of host" in result.exception.next_step


async def test_a_profile_that_is_not_there_is_a_finding_of_its_source_alone(tmp_path: Path) -> None:
    bad = {**MODBUS, "name": "m", "meter_id": "m", "profile": str(tmp_path / "none.yaml")}
    found = await check_sources(parse_sources([bad, {"kind": "host"}]), SystemClock())
    assert [each.is_ok for each in found] == [False, True]
    assert "there is no profile file" in found[0].why


async def test_a_recorded_file_keeps_its_place(tmp_path: Path) -> None:
    file, place = tmp_path / "r.csv", tmp_path / "place"
    file.write_text("at,subject,metric,value\n2026-11-20T00:00:00Z,meter:m1,energy_wh,12\n")
    raw = {"kind": "file", "name": "f", "path": str(file), "state_dir": str(place)}
    for _ in range(2):
        (found,) = await check_sources(parse_sources([raw]), SystemClock())
        assert (found.registers, len(found.readings)) == (("m1",), 1)
    assert not place.exists()


async def test_meters_are_compared_with_those_that_the_centre_has_registered(
    tmp_path: Path, meter: dict[str, object], sqlite_engine: Engine
) -> None:
    known = {**meter, "meter_id": "site-1-it"}
    strange = {**meter, "name": "strange", "meter_id": "m-unknown"}
    with running_centre(sqlite_engine, cycle_s=30) as centre:
        centre.key("dc-east", Role.OPERATOR)
        headers = {"Authorization": f"Bearer {centre.admin}"}
        async with httpx.AsyncClient(base_url=centre.url, headers=headers) as client:
            made = await client.post("/v1/sites", json=site_body("site-1"))
        assert made.status_code == 201, made.text
        where = ("--registered", "--url", centre.url, "--api-key", centre.admin)
        config = written(tmp_path, known, strange)
        result = await asyncio.to_thread(run, config, *where, "--json")
        text = (await asyncio.to_thread(run, config, *where)).stdout
    assert result.exit_code == 1
    assert json.loads(result.stdout)["registered"] == {
        "not_registered": ["m-unknown"],
        "not_read": ["site-1-facility"],
    }
    assert "meter m-unknown is read, but not registered" in text
    assert "meter site-1-facility is registered, but no source reads it" in text
