"""``suanwang collect`` against real devices on loopback: what fits is found, and proven."""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snmp_agents import AUTH_PASSWORD, PRIV_PASSWORD, USER, free_udp_port, snmpd
from typer.testing import CliRunner, Result

from cli.main import app
from collectors.profiles.modbus import ModbusProfile
from collectors.profiles.profile import load_profile_of, profile_names
from collectors.recording import load_recording
from collectors.target import parse_target
from simulator.devices.modbus_meter import MeterServer
from suanwang.clock import SystemClock
from suanwang.errors import BadInput, SuanwangError, Unavailable

APC = "1.3.6.1.4.1.318.1.1.26"


@pytest.fixture(scope="module")
def pdu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A rack PDU of APC: a real snmpd."""
    objects = {
        "1.3.6.1.2.1.1.2.0": "object_id .1.3.6.1.4.1.318.1.3.4.6",
        f"{APC}.4.3.1.5.1": "uinteger 412",
        f"{APC}.4.3.1.9.1": "uinteger 98765",
        f"{APC}.6.3.1.5.1": "uinteger 31",
    }
    with snmpd(tmp_path_factory.mktemp("snmpd"), objects) as port:
        yield port


def run(*arguments: object) -> Result:
    """Run a command."""
    return CliRunner().invoke(app, ["collect", *map(str, arguments)])


def documents(result: Result) -> Any:
    """Return the JSON that a command printed."""
    return json.loads(result.stdout)


def test_a_pdu_is_known_and_read_and_one_is_told_what_to_write(pdu: int) -> None:
    result = run("probe", f"snmp://127.0.0.1:{pdu}", "--json")
    assert result.exit_code == 0
    best, *others = documents(result)
    assert (best["profile"], best["fits"], best["is_known"]) == ("apc_rpdu2", True, True)
    assert {each["metric"]: each["value"] for each in best["readings"]}["power_w"] == 4_120
    assert best["source"]["port"] == pdu
    assert best["registration"] == {
        "rated_w": 22_000, "resolution_wh": 100, "modulus_wh": 214_748_364_800,
    }  # fmt: skip
    assert others
    assert not any(fit["fits"] for fit in others)


def test_people_get_a_table_and_lines_to_copy(pdu: int) -> None:
    result = run("probe", f"snmp://127.0.0.1:{pdu}")
    assert "apc_rpdu2: fits" in result.stderr
    assert "into the agent's file" in result.stdout
    assert "modulus_wh 214,748,364,800" in result.stdout


def test_version_3_is_spoken_with_passwords_from_files(pdu: int, tmp_path: Path) -> None:
    (tmp_path / "a").write_text(AUTH_PASSWORD, encoding="utf-8")
    (tmp_path / "p").write_text(PRIV_PASSWORD, encoding="utf-8")
    result = run(
        "profile", "test", "apc_rpdu2", "--target", f"snmp://127.0.0.1:{pdu}", "--user", USER,
        "--auth", "sha1", "--auth-file", tmp_path / "a",
        "--priv", "aes128", "--priv-file", tmp_path / "p", "--json",
    )  # fmt: skip
    assert documents(result)["ok"] is True
    assert AUTH_PASSWORD not in result.output


def test_a_recording_reads_like_the_device_and_holds_no_secret(pdu: int, tmp_path: Path) -> None:
    file, secret = tmp_path / "pdu.json", tmp_path / "community"
    secret.write_text("public", encoding="utf-8")
    target = f"snmp://127.0.0.1:{pdu}"
    result = run("record", target, file, "--community-file", secret, "--walk", "1.3.6.1.2.1.1.1")
    assert result.exit_code == 0
    assert "public" not in file.read_text(encoding="utf-8")
    live = documents(run("profile", "test", "apc_rpdu2", "--target", target, "--json"))
    played = documents(run("profile", "test", "apc_rpdu2", "--recorded", file, "--json"))
    assert played == live
    wrong = run("profile", "test", "ups_mib", "--recorded", file, "--json")
    assert wrong.exit_code == 1
    assert "has nothing for power_w" in documents(wrong)["problem"]
    again = run("record", target, file)
    assert isinstance(again.exception, BadInput)
    assert "there already" in str(again.exception)


@pytest.mark.parametrize("name", ["schneider_pm5xxx", "acrel_dtsd1352", "cdu_loop"])
async def test_a_modbus_device_is_found_by_what_its_registers_read(
    name: str, tmp_path: Path
) -> None:
    profile = load_profile_of(ModbusProfile, name)
    async with MeterServer(profile, "127.0.0.1", 0, clock=SystemClock(), first_wh=5_000) as server:
        server.set_power_w(3_000)
        server.shown |= {"supply_temperature_c": 30, "return_temperature_c": 40}
        target = f"modbus://127.0.0.1:{server.port}"
        result = await asyncio.to_thread(run, "probe", target, "--json")
        file = tmp_path / "meter.json"
        kept = await asyncio.to_thread(run, "record", target, file)
    assert result.exit_code == kept.exit_code == 0
    fits = {fit["profile"]: fit for fit in documents(result)}
    assert fits[name]["fits"]
    best = documents(result)[0]
    assert best["score"] == fits[name]["score"]
    played = await asyncio.to_thread(run, "profile", "test", name, "--recorded", file, "--json")
    assert len(documents(played)["readings"]) == len(fits[name]["readings"])


async def test_a_meter_of_another_kind_is_not_taken_for_one(tmp_path: Path) -> None:
    """The registers answer, but the voltages are none that a grid has."""
    profile = load_profile_of(ModbusProfile, "schneider_pm5xxx")
    async with MeterServer(profile, "127.0.0.1", 0, clock=SystemClock()) as server:
        server.shown |= {"voltage_l1_v": 3.0}
        target = f"modbus://127.0.0.1:{server.port}"
        result = await asyncio.to_thread(run, "probe", target, "--profile", profile.name, "--json")
    assert result.exit_code == 1
    assert documents(result)[0]["problem"] == (
        "voltage_l1_v reads 3, and should be within 20 and 1000"
    )


def test_a_silent_device_is_unavailable_within_its_time() -> None:
    target = f"snmp://127.0.0.1:{free_udp_port()}"
    result = run("probe", target, "--timeout-s", 0.1, "--tries", 1)
    assert isinstance(result.exception, Unavailable)
    assert "did not answer 1 tries of 0.1 s" in str(result.exception)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("10.0.0.9", "does not begin with snmp://", id="no protocol"),
        pytest.param("snmp://", "is not protocol", id="no host"),
        pytest.param("snmp://h:x", "is no address", id="port is no number"),
        pytest.param("modbus://h/300", "beyond what modbus has", id="unit"),
        pytest.param("snmp://user@h", "is not protocol", id="user in the address"),
    ],
)
def test_a_wrong_address_is_named(text: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        parse_target(text)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    for start in ("", "snmp://", "modbus://["):
        try:
            target = parse_target(start + text)
        except BadInput:
            continue
        assert parse_target(str(target)) == target


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
        max_leaves=12,
    )
)
def test_any_file_is_a_recording_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: object
) -> None:
    file = tmp_path_factory.mktemp("r") / "r.json"
    start = {"format": "suanwang-recording/1", "protocol": "snmp", "recorded_at": "x"}
    for document in (content, {**start, "objects": content}, {**start, "registers": content}):
        file.write_text(json.dumps(document), encoding="utf-8")
        with contextlib.suppress(SuanwangError):
            load_recording(file)


def test_profiles_are_listed_and_shown() -> None:
    listed = documents(run("profile", "list", "--json"))
    assert [each["name"] for each in listed] == list(profile_names())
    shown = run("profile", "show", "weather_comet")
    assert "wet_bulb_stull of dry_bulb_c, humidity_ratio" in shown.stdout
    assert "min 0.0" in shown.stdout
    assert documents(run("profile", "show", "apc_rpdu2", "--json"))["name"] == "apc_rpdu2"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["profile", "test", "ups_mib"], "give --target or", id="nothing to test on"),
        pytest.param(["profile", "show", "apc_rpdu"], "did you mean 'apc_rpdu2'", id="typo"),
        pytest.param(
            ["profile", "test", "ups_mib", "--target", "modbus://h"], "speaks snmp", id="protocol"
        ),
        pytest.param(
            ["profile", "test", "ups_mib", "--target", "redfish://h"], "no profile", id="redfish"
        ),
        pytest.param(
            ["probe", "snmp://h", "--auth", "sha1"], "auth and priv need a user", id="no user"
        ),
    ],
)
def test_wrong_use_is_refused_with_what_to_do(arguments: list[str], words: str) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, BadInput)
    assert words in str(result.exception)
