"""Every SNMP profile against an agent that has the maker's objects: value, unit, part, wrap."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snmp_agents import AUTH_PASSWORD, PRIV_PASSWORD, USER, snmpd, snmpsim

from collectors.config import build_source, parse_source
from collectors.profiles.profile import load_profile_of, parse_profile
from collectors.profiles.snmp import SnmpProfile
from collectors.snmp.ber import Missing, Value
from collectors.snmp.client import SnmpFailure
from collectors.sources.port import Source
from collectors.sources.snmp import WALK_AGAIN_S, SnmpSource
from collectors.sources.snmp_plan import Nonsense, measured, plan_for
from collectors.specs.base import Workshop
from collectors.specs.snmp import SnmpSpec
from suanwang.clock import SystemClock, VirtualClock
from suanwang.errors import BadInput
from suanwang.model.reading import Reading

PROFILES = Path(__file__).parents[2] / "collectors" / "profiles"
APC = "1.3.6.1.4.1.318.1.1.26"
RARITAN = "1.3.6.1.4.1.13742.6"
SENTRY = "1.3.6.1.4.1.1718.4.1"
UPS = "1.3.6.1.2.1.33.1"

OBJECTS: dict[str, Mapping[str, str]] = {
    "apc_rpdu2": {
        f"{APC}.4.3.1.5.1": "uinteger 412",
        f"{APC}.4.3.1.9.1": "uinteger 98765",
        f"{APC}.4.3.1.16.1": "integer 430",
        f"{APC}.4.3.1.17.1": "integer 96",
        **{f"{APC}.6.3.1.5.{phase}": f"uinteger {phase}0" for phase in (1, 2, 3)},
        **{f"{APC}.6.3.1.6.{phase}": "integer -1" for phase in (1, 2, 3)},
        f"{APC}.9.4.3.1.7.1": "uinteger 120",
        f"{APC}.9.4.3.1.7.24": "uinteger 340",
        f"{APC}.9.4.3.1.11.24": "uinteger 15",
        f"{APC}.10.2.2.1.8.1": "integer 245",
    },
    "raritan_pdu2": {
        **{f"{RARITAN}.3.3.4.1.7.1.1.{kind}": "uinteger 0" for kind in (4, 5, 8)},
        f"{RARITAN}.3.3.4.1.7.1.1.1": "uinteger 3",
        f"{RARITAN}.3.3.4.1.7.1.1.23": "uinteger 1",
        f"{RARITAN}.5.2.3.1.4.1.1.8": "uinteger 3000000000",
        f"{RARITAN}.5.2.3.1.4.1.1.5": "uinteger 0",
        f"{RARITAN}.5.2.3.1.6.1.1.5": "integer -250",
        f"{RARITAN}.5.2.3.1.4.1.1.1": "uinteger 1234",
        f"{RARITAN}.5.2.3.1.4.1.1.4": "uinteger 230",
        f"{RARITAN}.5.2.3.1.4.1.1.23": "uinteger 499",
        **{f"{RARITAN}.3.5.4.1.7.1.{outlet}.5": "uinteger 0" for outlet in (1, 2)},
        **{f"{RARITAN}.5.4.3.1.4.1.{outlet}.5": f"uinteger {outlet}00" for outlet in (1, 2)},
        f"{RARITAN}.3.6.3.1.2.1.1": "integer 10",
        f"{RARITAN}.3.6.3.1.2.1.2": "integer 11",
        f"{RARITAN}.3.6.3.1.16.1.1": "integer 7",
        f"{RARITAN}.3.6.3.1.16.1.2": "integer 9",
        f"{RARITAN}.3.6.3.1.17.1.1": "uinteger 1",
        f"{RARITAN}.3.6.3.1.17.1.2": "uinteger 0",
        f"{RARITAN}.5.5.3.1.4.1.1": "integer -35",
        f"{RARITAN}.5.5.3.1.4.1.2": "integer 41",
    },
    "servertech_sentry4": {
        **{f"{SENTRY}.3.3.1.3.1.{cord}": f"integer {cord}000" for cord in (1, 2)},
        **{f"{SENTRY}.3.3.1.10.1.{cord}": f"integer {cord}23" for cord in (1, 2)},
        f"{SENTRY}.3.3.1.11.1.1": "integer 501",
        f"{SENTRY}.5.3.1.3.1.1.2": "integer 2301",
        f"{SENTRY}.8.3.1.7.1.1.12": "integer 77",
        f"{SENTRY}.8.3.1.14.1.1.12": "integer 4567",
        f"{SENTRY}.8.3.1.14.1.1.13": "integer -1",
        f"{SENTRY}.3.3.1.3.2.1": "integer 9999",
    },
    "ups_mib": {
        **{f"{UPS}.4.4.1.4.{line}": f"integer {line}00" for line in (1, 2, 3)},
        f"{UPS}.4.1.0": "integer 3",
        f"{UPS}.2.4.0": "integer 97",
        f"{UPS}.2.3.0": "integer 14",
        f"{UPS}.2.2.0": "integer 0",
        f"{UPS}.3.3.1.3.1": "integer 231",
    },
}  # fmt: skip
EXPECTED: dict[str, dict[tuple[str, str], float]] = {
    "apc_rpdu2": {
        ("meter:d", "energy_wh"): 9_876_500,
        ("meter:d", "power_w"): 4_120,
        ("meter:d", "apparent_power_va"): 4_300,
        ("meter:d", "power_factor_ratio"): 0.96,
        ("meter:d/phase-3", "current_a"): 3,
        ("meter:d/outlet-24", "power_w"): 340,
        ("meter:d/outlet-24", "energy_wh"): 1_500,
        ("meter:d/sensor-1", "temperature_c"): 24.5,
    },
    "raritan_pdu2": {
        ("meter:d", "energy_wh"): 3_000_000_000,
        ("meter:d", "power_w"): -250,
        ("meter:d/inlet-1", "current_a"): 1.234,
        ("meter:d/inlet-1", "voltage_v"): 230,
        ("meter:d/inlet-1", "frequency_hz"): 49.9,
        ("meter:d/outlet-2", "power_w"): 200,
        ("meter:d/sensor-1", "temperature_c"): -3.5,
        ("meter:d/sensor-2", "humidity_ratio"): 0.41,
    },
    "servertech_sentry4": {
        ("meter:d", "energy_wh"): 34_600,
        ("meter:d", "power_w"): 3_000,
        ("meter:d/cord-2", "power_w"): 2_000,
        ("meter:d/cord-1", "frequency_hz"): 50.1,
        ("meter:d/cord-1-phase-2", "voltage_v"): 230.1,
        ("meter:d/cord-1-outlet-12", "energy_wh"): 4_567,
    },
    "ups_mib": {
        ("ups:d", "power_w"): 600,
        ("ups:d", "output_source_code"): 3,
        ("ups:d", "battery_charge_ratio"): 0.97,
        ("ups:d", "battery_runtime_s"): 840,
        ("ups:d", "on_battery_s"): 0,
        ("ups:d/output-3", "power_w"): 300,
        ("ups:d/input-1", "voltage_v"): 231,
    },
}
ABSENT = {
    "apc_rpdu2": ("meter:d/phase-1", "voltage_v"),
    "raritan_pdu2": ("meter:d/sensor-2", "temperature_c"),
    "servertech_sentry4": ("meter:d/cord-1-outlet-13", "energy_wh"),
    "ups_mib": ("ups:d/input-1", "power_w"),
}


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """One snmpd that has the objects of every maker."""
    values = {oid: value for objects in OBJECTS.values() for oid, value in objects.items()}
    with snmpd(tmp_path_factory.mktemp("snmpd"), values) as port:
        yield port


def a_source(port: int, profile: str, **settings: object) -> Source:
    """Return a source for an agent on this machine."""
    raw: dict[str, object] = {
        "kind": "snmp",
        "name": "s",
        "device_id": "d",
        "profile": profile,
        "host": "127.0.0.1",
        "port": port,
    }
    return build_source(parse_source(raw | settings), SystemClock())


async def read(source: Source) -> dict[tuple[str, str], Reading]:
    """Poll once and return readings by subject and metric."""
    return {(each.subject, each.metric): each for each in await source.collect()}


@pytest.mark.parametrize("name", OBJECTS)
async def test_a_profile_reads_what_the_device_says(agent: int, name: str) -> None:
    source = a_source(agent, name)
    try:
        found = await read(source)
        again = await read(source)
    finally:
        await source.close()
    for key, value in EXPECTED[name].items():
        assert found[key].value == pytest.approx(value), key
    assert ABSENT[name] not in found
    assert {key: each.value for key, each in again.items()} == {
        key: each.value for key, each in found.items()
    }


async def test_the_second_unit_of_a_chain_is_read_by_its_number(agent: int) -> None:
    source = a_source(agent, "servertech_sentry4", unit=2)
    with pytest.raises(SnmpFailure, match="has nothing for energy_wh"):
        await source.collect()
    await source.close()


async def test_a_device_without_the_objects_is_told_from_a_dead_one(
    tmp_path: Path, agent: int
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "{name: mine, title: t, source: s, protocol: snmp, rated_w: 1, resettable: false,"
        ' points: {power_w: {oid: "1.3.6.1.4.1.318.9.9.0"}}}',
        encoding="utf-8",
    )
    source = a_source(agent, str(path))
    with pytest.raises(SnmpFailure, match=r"gave no good power_w at .*: no such object") as caught:
        await source.collect()
    await source.close()
    assert "suanwang collect probe" in caught.value.next_step


async def test_version_3_reads_with_secrets_from_files(agent: int, tmp_path: Path) -> None:
    (tmp_path / "auth").write_text(AUTH_PASSWORD + "\n", encoding="utf-8")
    (tmp_path / "priv").write_text(PRIV_PASSWORD, encoding="utf-8")
    source = a_source(
        agent, "apc_rpdu2",
        user=USER, auth="sha1", auth_file=tmp_path / "auth",
        priv="aes128", priv_file=tmp_path / "priv",
    )  # fmt: skip
    try:
        assert (await read(source))["meter:d", "power_w"].value == 4_120
    finally:
        await source.close()


async def test_a_moving_counter_wraps_where_the_profile_says(tmp_path: Path) -> None:
    """A counter that wraps each second never jumps by more than flowed, counted over its wrap."""
    rows = [
        f"{APC}.4.3.1.5.1|2|100",
        f"{APC}.4.3.1.9.1|66:numeric|rate=100,max=100,wrap=1",
        f"{APC}.4.3.1.16.1|2|100",
        f"{APC}.4.3.1.17.1|2|90",
    ]
    profile = tmp_path / "apc.yaml"
    text = (PROFILES / "apc_rpdu2.yaml").read_text(encoding="utf-8")
    profile.write_text(text.replace("modulus: 2147483648", "modulus: 100"), encoding="utf-8")
    modulus_wh = 100 * 100
    wraps, last = 0, None
    with snmpsim(tmp_path, {"public": "\n".join(rows) + "\n"}) as port:
        source = a_source(port, str(profile))
        try:
            for _ in range(5_000):
                value = (await read(source))["meter:d", "energy_wh"].value
                assert 0 <= value < modulus_wh
                if last is not None and value < last:
                    wraps += 1
                    assert value + modulus_wh - last < modulus_wh / 2
                last = value
                if wraps == 2:
                    break
        finally:
            await source.close()
    assert wraps == 2


class Table:
    """A reader whose rows a test changes."""

    target = "table"

    def __init__(self, rows: dict[str, Value]) -> None:
        self.rows = rows
        self.walks = 0

    async def get(self, oids: object) -> dict[str, Value]:
        """Return rows, or that they are missing."""
        assert isinstance(oids, tuple | list)
        return {oid: self.rows.get(oid, Missing.NO_INSTANCE) for oid in oids}

    async def walk(self, oid: str) -> dict[str, Value]:
        """Return the rows of a column."""
        self.walks += 1
        return {name: value for name, value in self.rows.items() if name.startswith(f"{oid}.")}

    def close(self) -> None:
        """Nothing is open."""


async def test_rows_that_come_and_go_are_found_by_walking_again(clock: VirtualClock) -> None:
    profile = load_profile_of(SnmpProfile, "ups_mib")
    rows: dict[str, Value] = {f"{UPS}.4.4.1.4.1": 100, f"{UPS}.4.1.0": 3, f"{UPS}.2.4.0": 90}
    table = Table(rows)
    pace = parse_source(
        {"kind": "snmp", "name": "u", "device_id": "u", "profile": "ups_mib", "host": "h"}
    ).pace
    source = SnmpSource(clock, table, profile, pace, device_id="u")
    assert (await read(source))["ups:u", "power_w"].value == 100
    walks = table.walks
    rows[f"{UPS}.4.4.1.4.2"] = 50
    assert (await read(source))["ups:u", "power_w"].value == 100
    assert table.walks == walks
    clock.advance(WALK_AGAIN_S)
    assert (await read(source))["ups:u", "power_w"].value == 150
    del rows[f"{UPS}.4.4.1.4.1"]
    with pytest.raises(SnmpFailure, match="no such instance"):
        await source.collect()
    assert (await read(source))["ups:u", "power_w"].value == 50


VALUES = st.one_of(
    st.integers(),
    st.floats(allow_nan=True),
    st.binary(max_size=8),
    st.text(max_size=8),
    st.none(),
    st.sampled_from(Missing),
)


@given(st.data())
def test_any_values_give_sane_readings_or_a_named_failure(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(OBJECTS)))
    profile = load_profile_of(SnmpProfile, name)
    values: dict[str, Value] = {
        oid: data.draw(VALUES, label=oid) for oid in OBJECTS[name] if data.draw(st.booleans())
    }
    tables = {
        column: {oid: value for oid, value in values.items() if oid.startswith(f"{column}.")}
        for point in profile.points.values()
        for column in (point.oid, point.decimals, *point.when)
        if column
    }
    try:
        plan = plan_for(profile, 1, tables, values)
        found = measured(plan, values, profile, "d", datetime(2026, 1, 1, tzinfo=UTC))
    except Nonsense:
        return
    for reading in found.values():
        low, high = plan.slots[0].point.limits(reading.metric)
        assert reading.value == reading.value
        assert abs(reading.value) <= max(abs(low), abs(high), 1e18)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        pytest.param({"community": "a", "community_file": "b"}, "not both", id="two communities"),
        pytest.param({"user": "u", "community": "a"}, "not both", id="two versions"),
        pytest.param({"auth": "sha1"}, "need a user", id="auth without user"),
        pytest.param({"user": "u", "auth": "sha1"}, "auth goes with auth_file", id="no file"),
        pytest.param(
            {"user": "u", "priv": "aes128", "priv_file": "p"}, "priv needs auth", id="no auth"
        ),
        pytest.param({"user": "u", "auth": "sha3"}, "auth", id="unknown signature"),
        pytest.param({"communit": "a"}, "did you mean 'community'", id="nearest key"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, object], words: str) -> None:
    raw = {"kind": "snmp", "name": "s", "device_id": "d", "profile": "ups_mib", "host": "h"}
    with pytest.raises(BadInput, match=words):
        parse_source(raw | settings)


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    raw = {"kind": "snmp", "name": "s", "device_id": "d", "profile": "ups_mib", "host": "h"}
    spec = parse_source(raw | {"community": "hidden"})
    assert "hidden" not in f"{spec!r} {spec.model_dump_json()}"
    short = tmp_path / "auth"
    short.write_text("hidden", encoding="utf-8")
    bad = parse_source(raw | {"user": "u", "auth": "sha1", "auth_file": short})
    assert isinstance(bad, SnmpSpec)
    with pytest.raises(BadInput, match="6 characters") as caught:
        bad.build(Workshop(SystemClock()))
    assert "hidden" not in caught.value.message
    with pytest.raises(BadInput, match="cannot be read"):
        parse_source(raw | {"community_file": tmp_path / "no"}).build(Workshop(SystemClock()))


PROFILE = """
{name: mine, title: t, source: s, protocol: snmp, rated_w: 1, resettable: false,
 points: {KEY: {oid: "1.3.6.1.1"REST}}}
"""


@pytest.mark.parametrize(
    ("key", "rest", "words"),
    [
        pytest.param("power_w", ', oid: "1.x"', "no object identifier", id="oid"),
        pytest.param("'{a}/power_w'", "", "does not name", id="part without index"),
        pytest.param("power_w", ", index: '{a}'", "part each, or is_sum", id="rows without parts"),
        pytest.param("power_w", ", is_sum: true", "needs an index", id="sum of one"),
        pytest.param("power_w", ", index: 'a'", "index", id="index"),
        pytest.param("power", "", "does not end with its unit", id="no unit"),
        pytest.param("power_w", ", scal: 1", "did you mean 'scale'", id="nearest key"),
    ],
)
def test_a_wrong_profile_is_refused(key: str, rest: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        parse_profile(PROFILE.replace("KEY", key).replace("REST", rest), "mine")


def test_an_unknown_protocol_is_named() -> None:
    with pytest.raises(BadInput, match="did you mean 'snmp'"):
        parse_profile("protocol: snmpp", "mine")
    with pytest.raises(BadInput, match="speaks modbus, and the source snmp"):
        load_profile_of(SnmpProfile, "reference_meter")
