"""Meters on Modbus TCP, read from a real server that speaks the same profile."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.config import build_source, parse_source
from collectors.formulas import wet_bulb_stull
from collectors.profiles.base import Device
from collectors.profiles.modbus import ModbusProfile
from collectors.profiles.profile import (
    load_profile,
    load_profile_of,
    parse_profile,
    profile_names,
)
from collectors.sources.port import Source, SourceError
from simulator.devices.modbus_meter import Fault, MeterServer
from suanwang.clock import SystemClock, VirtualClock
from suanwang.errors import BadInput
from suanwang.model.reading import Quality

PROFILE = """
name: test_meter
title: a meter of the tests
source: the tests
protocol: modbus
byte_order: {order}
rated_w: 1000
resettable: false
points:
  energy_wh: {{address: 10, type: {kind}, scale: {scale}}}
  power_w: {{address: 20, type: int32, scale: 0.1}}
  voltage_l1_v: {{address: 500, type: uint16, scale: 0.1, required: false}}
"""


def a_profile(order: str = "ABCD", kind: str = "uint64", scale: float = 1) -> ModbusProfile:
    """Return a small profile."""
    profile = parse_profile(PROFILE.format(order=order, kind=kind, scale=scale), "test")
    assert isinstance(profile, ModbusProfile)
    return profile


def a_source(server: MeterServer, profile: object, **settings: object) -> Source:
    """Return a source that reads the server."""
    raw = {
        "kind": "modbus",
        "name": "meter-1",
        "meter_id": "m1",
        "profile": profile,
        "host": "127.0.0.1",
        "port": server.port,
        "request_timeout_s": 0.3,
    }
    return build_source(parse_source(raw | settings), SystemClock())


async def read(source: Source) -> dict[str, float]:
    """Poll once; return values by metric."""
    readings = await source.collect()
    assert {reading.subject for reading in readings} == {"meter:m1"}
    return {reading.metric: reading.value for reading in readings}


METERS = [
    name
    for name in profile_names()
    if isinstance(profile := load_profile(name), ModbusProfile) and profile.device == Device.METER
]


@pytest.mark.parametrize("name", METERS)
async def test_a_real_server_with_a_shipped_profile_is_read_as_it_counts(
    name: str, clock: VirtualClock
) -> None:
    profile = load_profile_of(ModbusProfile, name)
    async with MeterServer(profile, "127.0.0.1", 0, clock=clock, first_wh=50_000) as server:
        server.set_power_w(36_000)
        clock.advance(3600)
        source = a_source(server, name)
        try:
            found = await read(source)
        finally:
            await source.close()
    assert found["energy_wh"] == pytest.approx(86_000)
    assert found["power_w"] == pytest.approx(36_000)
    assert found.keys() == profile.points.keys()


SHOWN: dict[str, tuple[dict[str, float], dict[str, float]]] = {
    "cdu_loop": (
        {
            "supply_temperature_c": 32,
            "return_temperature_c": 42,
            "flow_litres_per_s": 12,
            "differential_pressure_pa": 150_000,
            "pump_speed_ratio": 0.85,
            "power_w": 9_000,
        },
        {"heat_w": 498_000},
    ),
    "weather_comet": (
        {"dry_bulb_c": 20, "humidity_ratio": 0.5},
        {"wet_bulb_c": 13.7},
    ),
    "weather_vaisala_hmt330": (
        {"dry_bulb_c": -12.5, "humidity_ratio": 0.75, "wet_bulb_c": -13.4},
        {},
    ),
}


@pytest.mark.parametrize("name", SHOWN)
async def test_what_is_no_meter_is_read_and_derived_from(name: str) -> None:
    profile = load_profile_of(ModbusProfile, name)
    shown, derived = SHOWN[name]
    async with MeterServer(profile, "127.0.0.1", 0, clock=SystemClock()) as server:
        server.shown |= shown
        source = a_source(server, name)
        try:
            readings = {reading.metric: reading for reading in await source.collect()}
        finally:
            await source.close()
    assert {reading.subject for reading in readings.values()} == {f"{profile.device}:m1"}
    for metric, value in (shown | derived).items():
        assert readings[metric].value == pytest.approx(value, rel=1e-3), metric
        is_derived = readings[metric].quality is Quality.DERIVED
        assert is_derived == (metric in derived)


async def test_a_sensor_that_says_it_is_broken_makes_no_reading_and_derives_none() -> None:
    profile = load_profile_of(ModbusProfile, "cdu_loop")
    async with MeterServer(profile, "127.0.0.1", 0, clock=SystemClock()) as server:
        server.shown |= {"supply_temperature_c": 3276.7, "return_temperature_c": 40}
        source = a_source(server, "cdu_loop")
        try:
            metrics = {reading.metric for reading in await source.collect()}
        finally:
            await source.close()
    assert "return_temperature_c" in metrics
    assert not metrics & {"supply_temperature_c", "heat_w"}


async def test_a_required_value_that_no_device_measures_takes_the_source_down() -> None:
    profile = load_profile_of(ModbusProfile, "weather_comet")
    async with MeterServer(profile, "127.0.0.1", 0, clock=SystemClock()) as server:
        server.shown |= {"dry_bulb_c": -999.9, "humidity_ratio": 0.5}
        source = a_source(server, "weather_comet")
        try:
            with pytest.raises(SourceError, match=r"dry_bulb_c: -999\.9 is not within -60 and 80"):
                await source.collect()
        finally:
            await source.close()


@given(st.sampled_from(METERS + list(SHOWN)), st.data())
def test_any_registers_are_a_sane_number_or_refused(name: str, data: st.DataObject) -> None:
    profile = load_profile_of(ModbusProfile, name)
    key = data.draw(st.sampled_from(sorted(profile.points)))
    size = profile.points[key].words
    words = data.draw(st.lists(st.integers(0, 65_535), min_size=size, max_size=size))
    try:
        value = profile.convert(key, profile.decode(key, words), 1.0, 1.0)
    except ValueError:
        return
    low, high = profile.points[key].limits(key)
    assert value is None or low <= value <= high


@pytest.mark.parametrize(
    ("dry_c", "ratio", "wet_c"),
    [
        pytest.param(20, 0.5, 13.7, id="the paper's example"),
        pytest.param(35, 0.9, 33.5, id="warm and wet"),
        pytest.param(-20, 0.05, None, id="cold dry air"),
        pytest.param(51, 0.5, None, id="too warm"),
        pytest.param(20, 1.0, None, id="fog"),
    ],
)
def test_the_wet_bulb_is_the_paper_s_and_only_where_it_holds(
    dry_c: float, ratio: float, wet_c: float | None
) -> None:
    found = wet_bulb_stull(dry_c, ratio)
    assert found == (None if wet_c is None else pytest.approx(wet_c, abs=0.1))


@pytest.mark.parametrize("order", ["ABCD", "CDAB", "BADC", "DCBA"])
@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("uint16", 40_000),
        ("int16", -5),
        ("uint32", 4_000_000_000),
        ("int32", -70_000),
        ("uint64", 2**63 + 5),
        ("int64", -(2**40)),
        ("float32", 0.5),
        ("float64", 1e100),
    ],
)
def test_a_number_survives_its_registers_in_every_byte_order(
    order: str, kind: str, count: float
) -> None:
    profile = a_profile(order, kind)
    assert profile.decode("energy_wh", profile.encode("energy_wh", count)) == count


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ("ABCD", (0x0A0B, 0x0C0D)),
        ("CDAB", (0x0C0D, 0x0A0B)),
        ("BADC", (0x0B0A, 0x0D0C)),
        ("DCBA", (0x0D0C, 0x0B0A)),
    ],
)
def test_byte_orders_are_what_their_letters_say(order: str, words: tuple[int, int]) -> None:
    assert a_profile(order, "uint32").decode("energy_wh", words) == 0x0A0B0C0D


def test_ratios_scale_value_resolution_and_modulus() -> None:
    profile = load_profile_of(ModbusProfile, "acrel_dtsd1352")
    assert profile.factor("energy_wh", ct=40, pt=100) == 40_000
    assert profile.factor("voltage_l1_v", ct=40, pt=100) == pytest.approx(10)
    assert profile.resolution_wh(ct=40) == 400
    assert profile.modulus_wh(ct=40) == 40_000_000_000
    assert load_profile_of(ModbusProfile, "schneider_iem3000").modulus_wh() == 2**63


async def test_the_register_wraps_where_the_profile_says(clock: VirtualClock) -> None:
    profile = load_profile_of(ModbusProfile, "acrel_dtsd1352")
    first = profile.modulus_wh() - 20
    async with MeterServer(profile, "127.0.0.1", 0, clock=clock, first_wh=first) as server:
        source = a_source(server, "acrel_dtsd1352", ct=2)
        try:
            before = await read(source)
            server.set_power_w(3_600)
            clock.advance(60)
            after = await read(source)
        finally:
            await source.close()
    assert before["energy_wh"] == 2 * first
    assert after["energy_wh"] == 2 * 40


async def test_the_source_comes_back_by_itself_after_the_meter_was_gone() -> None:
    profile = load_profile_of(ModbusProfile, "reference_meter")
    server = MeterServer(profile, "127.0.0.1", 0, clock=SystemClock(), first_wh=7)
    await server.start()
    source = a_source(server, "reference_meter")
    try:
        assert (await read(source))["energy_wh"] == 7
        await server.stop()
        with pytest.raises(SourceError, match=r"takes no connection|did not answer"):
            await source.collect()
        await server.start()
        assert (await read(source))["energy_wh"] == 7
    finally:
        await source.close()
        await server.stop()


async def test_a_silent_meter_costs_one_timeout_and_is_named() -> None:
    profile = load_profile_of(ModbusProfile, "reference_meter")
    async with MeterServer(profile, "127.0.0.1", 0, clock=SystemClock()) as server:
        source = a_source(server, "reference_meter", request_timeout_s=0.5)
        server.fault = Fault.SILENT
        try:
            with pytest.raises(SourceError, match=r"127.0.0.1:\d+ unit 1 did not answer"):
                await source.collect()
            assert server.requests == 1
            server.fault = Fault.NONE
            assert (await read(source))["power_w"] == 0
        finally:
            await source.close()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        pytest.param({"profile": "schneider_iem3000"}, "illegal data address", id="bad address"),
        pytest.param({"unit": 9}, "device failure", id="absent unit"),
    ],
)
async def test_what_the_device_refuses_is_named(settings: dict[str, object], words: str) -> None:
    profile = load_profile_of(ModbusProfile, "reference_meter")
    async with MeterServer(profile, "127.0.0.1", 0, clock=SystemClock()) as server:
        source = a_source(server, **({"profile": "reference_meter"} | settings))
        try:
            with pytest.raises(SourceError, match=words) as caught:
                await source.collect()
        finally:
            await source.close()
    assert caught.value.facts["exception_code"] in (2, 4)


async def test_a_busy_meter_is_named() -> None:
    profile = load_profile_of(ModbusProfile, "reference_meter")
    async with MeterServer(profile, "127.0.0.1", 0, clock=SystemClock()) as server:
        server.fault = Fault.BUSY
        source = a_source(server, "reference_meter")
        try:
            with pytest.raises(SourceError, match=r"device busy \(exception 6\)"):
                await source.collect()
        finally:
            await source.close()


async def test_an_optional_register_that_the_meter_lacks_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "with_voltage.yaml"
    path.write_text(PROFILE.format(order="ABCD", kind="uint64", scale=1), encoding="utf-8")
    lines = PROFILE.splitlines(keepends=True)
    bare = parse_profile("".join(lines[:-1]).format(order="ABCD", kind="uint64", scale=1), "bare")
    assert isinstance(bare, ModbusProfile)
    async with MeterServer(bare, "127.0.0.1", 0, clock=SystemClock(), first_wh=3) as server:
        source = a_source(server, str(path))
        try:
            found = await read(source)
        finally:
            await source.close()
    assert found == {"energy_wh": 3, "power_w": 0}


async def test_no_listener_is_a_source_error_with_the_next_step() -> None:
    server = MeterServer(
        load_profile_of(ModbusProfile, "reference_meter"), "127.0.0.1", 1, clock=SystemClock()
    )
    source = a_source(server, "reference_meter")
    with pytest.raises(SourceError, match="takes no connection") as caught:
        await source.collect()
    assert "another master" in caught.value.next_step


@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param("rated_ww: 5", "did you mean 'rated_w'", id="nearest key"),
        pytest.param("points: {}", "0 points", id="no points"),
        pytest.param("byte_order: ADCB", "byte_order", id="unknown order"),
        pytest.param(
            "points: {x_v: {address: 1, type: int16}}", "energy_wh or power_w", id="no energy"
        ),
        pytest.param(
            "points: {power_w: {address: 65535, type: int32}}", "beyond address", id="too far"
        ),
        pytest.param("points: {power_w: {adress: 1}}", "did you mean 'address'", id="typo"),
        pytest.param("[", "not YAML", id="not YAML"),
    ],
)
def test_a_wrong_profile_is_refused_by_its_key(line: str, words: str) -> None:
    key = line.partition(":")[0]
    text = PROFILE.format(order="ABCD", kind="uint64", scale=1)
    kept = text if key not in text else text[: text.index(f"\n{key}:")]
    with pytest.raises(BadInput, match=words):
        parse_profile(kept + "\n" + line, "test")


def test_an_unknown_profile_names_the_known_ones() -> None:
    with pytest.raises(BadInput, match="no profile 'iem3000'") as caught:
        load_profile_of(ModbusProfile, "iem3000")
    assert "schneider_iem3000" in caught.value.next_step
    with pytest.raises(BadInput, match="no profile file"):
        load_profile_of(ModbusProfile, "nowhere/x.yaml")
