"""Redfish against sushy-static, through a front that behaves as badly as BMCs do."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redfish_parts import (
    METRICS,
    OLD_SERVER,
    RACK_PDU,
    ROOT,
    SERVER,
    SUPPLIES,
    Tree,
    a_bmc,
    a_certificate,
    a_source,
    by_series,
    read,
    settings,
    sushy_static,
    write_tree,
)

from collectors import redfish_readings as rf
from collectors.config import build_sources, parse_source, parse_sources
from collectors.poller import Poller
from collectors.sources.port import Source, SourceError
from suanwang.clock import SystemClock
from suanwang.errors import BadInput
from suanwang.model.reading import Quality, Reading, SourceReport

RIGHT = "right"


def a_login(folder: Path, password: str = RIGHT) -> dict[str, object]:
    """Return the settings of a user whose password is in a file."""
    file = folder / "password"
    file.write_text(f"{password}\n", encoding="utf-8")
    return {"username": "reader", "password_file": str(file)}


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        pytest.param(
            SERVER,
            {
                ("host:gpu-07", "power_w"): 6021.5,
                ("host:gpu-07", "energy_wh"): 1_234_567,
                ("host:gpu-07", "inlet_temperature_c"): 23.5,
                ("host:gpu-07", "health_ratio"): 0.5,
            },
            id="a server with today's resources",
        ),
        pytest.param(
            OLD_SERVER,
            {
                ("host:gpu-07", "power_w"): 344,
                ("host:gpu-07", "power_average_w"): 319,
                ("host:gpu-07", "inlet_temperature_c"): 22,
                ("host:gpu-07", "health_ratio"): 0,
            },
            id="a server with Power and Thermal",
        ),
        pytest.param(
            RACK_PDU,
            {
                ("pdu:gpu-07:1", "power_w"): 7310,
                ("pdu:gpu-07:1", "energy_wh"): 56_438_100,
                ("pdu:gpu-07:1", "humidity_ratio"): 0.41,
                ("pdu:gpu-07:1", "health_ratio"): 1,
            },
            id="a rack PDU",
        ),
        pytest.param(
            SUPPLIES,
            {("host:gpu-07", "power_w"): 3001},
            id="the sum of power supplies, energy left out where one tells none",
        ),
    ],
)
async def test_a_bmc_is_read_without_being_described(
    tmp_path: Path, tree: Tree, expected: dict[tuple[str, str], float]
) -> None:
    async with a_bmc(tmp_path, tree) as bmc:
        assert await read(a_source(bmc.url)) == expected


async def test_a_sum_is_marked_as_derived(tmp_path: Path) -> None:
    async with a_bmc(tmp_path, SUPPLIES) as bmc:
        source = a_source(bmc.url)
        (reading,) = await source.collect()
        await source.close()
    assert reading.quality is Quality.DERIVED


async def test_a_named_resource_becomes_the_meter_it_is(tmp_path: Path) -> None:
    path = f"{ROOT}/PowerEquipment/RackPDUs/1"
    async with a_bmc(tmp_path, RACK_PDU) as bmc:
        found = await read(
            a_source(
                bmc.url, resources=[{"path": path, "subject": "meter:rack-7a"}], groups=["power"]
            )
        )
    assert found["meter:rack-7a", "energy_wh"] == 56_438_100


@pytest.mark.parametrize(
    ("says_so", "expands"),
    [
        pytest.param(True, True, id="it does"),
        pytest.param(False, False, id="it says that it does not"),
        pytest.param(True, False, id="it says so, and refuses"),
    ],
)
async def test_sensors_come_in_one_request_where_the_bmc_expands(
    tmp_path: Path, says_so: bool, expands: bool
) -> None:
    tree = dict(SERVER)
    if not says_so:
        tree[""] = {"Chassis": tree[""]["Chassis"]}
    async with a_bmc(tmp_path, tree) as bmc:
        bmc.expands = expands
        source = a_source(bmc.url, groups=["sensors"])
        await source.collect()
        bmc.asked.clear()
        found = await read(source)
    assert found == {
        ("sensor:gpu-07:Inlet", "temperature_c"): 24,
        ("sensor:gpu-07:PSU1", "energy_wh"): 12_500,
    }
    assert len(bmc.asked) == (1 if expands else 2)


async def test_own_rules_read_what_no_standard_names(tmp_path: Path) -> None:
    rule = {
        "path": f"{ROOT}/Chassis/1/Power",
        "pointer": "/PowerControl/0/PowerConsumedWatts",
        "metric": "power_w",
        "subject": "meter:x",
        "scale": 0.5,
    }
    async with a_bmc(tmp_path, SERVER) as bmc:
        assert await read(a_source(bmc.url, groups=[], rules=[rule])) == {
            ("meter:x", "power_w"): 4999.5
        }
        with pytest.raises(SourceError, match="no number at /PowerControl/1"):
            await read(a_source(bmc.url, groups=[], rules=[rule | {"pointer": "/PowerControl/1"}]))


async def test_one_session_serves_all_polls_and_sources_and_is_ended(tmp_path: Path) -> None:
    async with a_bmc(tmp_path, SERVER) as bmc:
        bmc.is_guarded = True
        login = a_login(tmp_path)
        raw = [settings(bmc.url, **login), settings(bmc.url, name="b", groups=["sensors"], **login)]
        first, second = build_sources(parse_sources(raw), SystemClock())
        await asyncio.gather(first.collect(), second.collect())
        await first.collect()
        assert bmc.logins == 1
        await first.close()
        await first.close()
        assert len(bmc.sessions) == 1, "the other source still needs it"
        await second.close()
        assert bmc.sessions == {}


async def test_a_session_that_the_bmc_forgot_is_opened_anew(tmp_path: Path) -> None:
    async with a_bmc(tmp_path, SERVER) as bmc:
        bmc.is_guarded = True
        source = a_source(bmc.url, **a_login(tmp_path))
        await source.collect()
        bmc.sessions.clear()
        assert await source.collect()
        assert bmc.logins == 2, "one new login for all requests in flight"
        await source.close()


async def test_a_login_that_outlives_its_poll_leaks_no_session(tmp_path: Path) -> None:
    async with a_bmc(tmp_path, SERVER) as bmc:
        bmc.is_guarded = True
        bmc.opens_login.clear()
        source = a_source(bmc.url, **a_login(tmp_path))
        for _ in range(3):
            poll = asyncio.create_task(_collected(source))
            await bmc.login_came.wait()
            await asyncio.wait({poll}, timeout=0.02)
            poll.cancel()
            await asyncio.wait({poll})
        assert bmc.logins == 1, "the second poll waits for the first one's login"
        closing = asyncio.create_task(source.close())
        await asyncio.sleep(0)
        bmc.opens_login.set()
        await closing
        assert bmc.sessions == {}


async def _collected(source: Source) -> Sequence[Reading]:
    return await source.collect()


async def test_a_refused_password_is_not_tried_again_until_it_changes(tmp_path: Path) -> None:
    async with a_bmc(tmp_path, SERVER) as bmc:
        bmc.is_guarded = True
        source = a_source(bmc.url, **a_login(tmp_path, "wrong"))
        for _ in range(3):
            with pytest.raises(SourceError, match="refuses user 'reader'"):
                await source.collect()
        assert bmc.logins == 1, "three tries would lock the account"
        a_login(tmp_path, "right")
        assert await read(source)


async def test_a_full_session_table_is_told_with_what_to_do(tmp_path: Path) -> None:
    async with a_bmc(tmp_path, SERVER) as bmc:
        bmc.is_guarded = True
        bmc.sessions_max = 0
        source = a_source(bmc.url, **a_login(tmp_path))
        with pytest.raises(SourceError, match="opens no further session") as refused:
            await source.collect()
        await source.close()
    assert "auth: basic" in refused.value.next_step


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        pytest.param({"statuses": {METRICS: 503}}, "is busy", id="503"),
        pytest.param({"statuses": {METRICS: 403}}, "does not let this user", id="403"),
        pytest.param({"statuses": {METRICS: 302}}, "status 302", id="redirect"),
        pytest.param({"bodies": {METRICS: b'{"PowerWatts": {"Rea'}}, "not JSON", id="truncated"),
        pytest.param({"bodies": {METRICS: b"[" * 100_000}}, "nested too deeply", id="nested"),
        pytest.param({"bodies": {METRICS: b'{"a": NaN}'}}, "NaN is not", id="NaN"),
        pytest.param({"bodies": {METRICS: b"x" * (4 << 20) + b"y"}}, "sends more than", id="huge"),
    ],
)
async def test_half_a_poll_is_no_poll(
    tmp_path: Path, fault: dict[str, dict[str, object]], words: str
) -> None:
    async with a_bmc(tmp_path, SERVER) as bmc:
        bmc.expands = False
        source = a_source(bmc.url)
        whole = by_series(await source.collect())
        for name, value in fault.items():
            setattr(bmc, name, value)
        with pytest.raises(SourceError, match=words):
            await source.collect()
        bmc.statuses, bmc.bodies = {}, {}
        assert await read(source) == whole


async def test_a_tree_that_changed_is_looked_through_again(tmp_path: Path) -> None:
    async with a_bmc(tmp_path, SERVER) as bmc:
        bmc.expands = False
        source = a_source(bmc.url)
        await source.collect()
        bmc.statuses = {METRICS: 404}
        with pytest.raises(SourceError, match="does not know it"):
            await source.collect()
        tree = dict(SERVER)
        del tree["/Chassis/1/EnvironmentMetrics"]
        tree["/Chassis/1"] = {"Power": SERVER["/Chassis/1"]["Power"]}
        write_tree(tmp_path, tree)
        assert (await read(source))["host:gpu-07", "power_w"] == 9999


async def test_a_bmc_gets_two_requests_at_a_time_from_all_sources(tmp_path: Path) -> None:
    async with a_bmc(tmp_path, SERVER) as bmc:
        raw = [settings(bmc.url, name=f"s{i}", username="", groups=["sensors"]) for i in range(6)]
        sources = build_sources(parse_sources(raw), SystemClock())
        await asyncio.gather(*(each.collect() for each in sources))
        for each in sources:
            await each.close()
    assert bmc.in_flight_max == 2


async def test_a_bmc_that_hangs_delays_no_other(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with a_bmc(tmp_path / "a", SERVER) as slow, a_bmc(tmp_path / "b", SERVER) as quick:
        slow.is_open.clear()
        raw = [
            settings(slow.url, name="slow", interval_s=0.05, timeout_s=600),
            settings(quick.url.replace("127.0.0.1", "localhost"), name="quick", interval_s=0.05),
        ]
        async with asyncio.timeout(60):
            reports, stop = await _polled(raw, enough=10)
    assert stop.is_set()
    assert all(report.is_up for report in reports if report.source == "quick")


async def _polled(
    raw: list[dict[str, object]], *, enough: int
) -> tuple[list[SourceReport], asyncio.Event]:
    """Run the poller until the source ``quick`` was polled often enough."""
    reports: list[SourceReport] = []
    stop = asyncio.Event()

    def sink(_: Sequence[Reading], report: SourceReport) -> None:
        reports.append(report)
        if len([each for each in reports if each.source == "quick"]) >= enough:
            stop.set()

    clock = SystemClock()
    await Poller(build_sources(parse_sources(raw), clock), sink, clock, seed=1).run(stop)
    return reports, stop


async def test_a_silent_bmc_is_told_by_its_own_timeout(tmp_path: Path) -> None:
    async with a_bmc(tmp_path, SERVER) as bmc:
        bmc.is_open.clear()
        source = a_source(bmc.url, request_timeout_s=0.05)
        with pytest.raises(SourceError, match=r"did not answer within 0\.05 s"):
            await source.collect()
        await source.close()
    with pytest.raises(SourceError, match="cannot be read"):
        await read(a_source("http://127.0.0.1:1"))


async def test_no_secret_is_logged_or_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with a_bmc(tmp_path, SERVER) as bmc:
        bmc.expands = False
        bmc.is_guarded = True
        source = a_source(bmc.url, **a_login(tmp_path))
        await source.collect()
        bmc.statuses = {METRICS: 500}
        with pytest.raises(SourceError) as failure:
            await source.collect()
        shown = f"{caplog.text} {failure.value!r} {failure.value.facts} {vars(source)!r}"
        shown += repr(vars(vars(source)["_client"]))
        await source.close()
    assert "token-1" not in shown
    assert "'right'" not in shown


async def test_a_certificate_is_believed_by_its_authority_or_its_fingerprint(
    tmp_path: Path,
) -> None:
    certificate, key, fingerprint = a_certificate(tmp_path)
    write_tree(tmp_path / "tree", SERVER)
    options = ("-c", str(certificate), "-k", str(key))
    with sushy_static(tmp_path / "tree", *options) as port:
        url = f"https://127.0.0.1:{port}"
        assert await read(a_source(url, ca_file=str(certificate)))
        assert await read(a_source(url, fingerprint=fingerprint))
        with pytest.raises(SourceError, match="is not trusted") as untrusted:
            await read(a_source(url))
        with pytest.raises(SourceError, match=f"fingerprint {fingerprint}, not"):
            await read(a_source(url, fingerprint="ab" * 32))
    assert "ca_file" in untrusted.value.next_step


def test_a_file_without_certificates_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("nothing", encoding="utf-8")
    with pytest.raises(BadInput, match="holds no certificates"):
        a_source("https://127.0.0.1", ca_file=str(file))


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        pytest.param({"url": "https://h/redfish"}, "url", id="a path in the URL"),
        pytest.param({"url": "https://u:p@h"}, "url", id="a password in the URL"),
        pytest.param(
            {"url": "http://10.0.0.1", "username": "a", "password_file": "x"},
            "not sent over http",
            id="clear text",
        ),
        pytest.param({"username": "a"}, "go together", id="no password"),
        pytest.param({"groups": []}, "give groups or rules", id="nothing wanted"),
        pytest.param({"fingerprint": "ab"}, "fingerprint", id="short fingerprint"),
        pytest.param(
            {"ca_file": "x", "fingerprint": "ab" * 32}, "not both", id="two kinds of trust"
        ),
        pytest.param({"resources": [{"pth": "x"}]}, "did you mean 'path'", id="nearest key"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(raw: dict[str, object], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        parse_source(settings("https://10.0.0.1") | raw)


TREES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                (
                    *("PowerWatts", "Reading", "PowerControl", "Temperatures", "Status", "Health"),
                    *("ReadingType", "PhysicalContext", "ReadingCelsius", "@odata.id", "Members"),
                )
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(TREES)
def test_any_document_gives_numbers_or_nothing(document: object) -> None:
    readers = (
        *(rf.environment, rf.power, rf.supply, rf.thermal),
        *(rf.thermal_metrics, rf.health, rf.sensor),
    )
    for take in readers:
        for metric, value in take(document).items():
            assert metric in rf.METRICS
            assert abs(value) < float("inf")
    assert all(isinstance(rf.path_of(each), str) for each in rf.members(document))
