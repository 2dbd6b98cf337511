"""MQTT through a real mosquitto, and the rules that make readings of messages."""

import asyncio
import json
import logging
import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiomqtt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mosquitto_part import PROGRAM, mosquitto
from redfish_parts import a_certificate, free_port

from collectors.config import build_source, parse_source
from collectors.mqtt_rules import Nonsense, TopicRule
from collectors.source_time import TimeForm, moment_of, placed
from collectors.sources.mqtt import MqttSource
from collectors.sources.port import SourceError
from suanwang.clock import SystemClock, VirtualClock
from suanwang.errors import BadInput
from suanwang.model.reading import Reading

needs_mosquitto = pytest.mark.skipif(PROGRAM is None, reason="mosquitto is not installed")
NOW = datetime(2026, 10, 14, 12, tzinfo=UTC)
Raw = dict[str, object]
POWER: Raw = {"topic": "dc/{rack}/power", "metric": "power_w", "subject": "meter:{rack}"}
DATED: Raw = POWER | {"value": "/w", "time": "/t", "scale": 1000}
STATUS: Raw = {
    "topic": "dc/{rack}/status",
    "metric": "online_ratio",
    "subject": "meter:{rack}",
    "words": {"online": 1, "offline": 0},
    "is_state": True,
}


class QuickClock(SystemClock):
    """The machine's clock, but waiting is short."""

    async def wait(self, seconds: float) -> None:
        """Wait a hundredth of a second."""
        await asyncio.sleep(0.01)


def settings(port: int, *topics: Raw, **more: object) -> dict[str, object]:
    """Return the settings of a source for a broker."""
    raw: dict[str, object] = {"kind": "mqtt", "name": "m", "host": "127.0.0.1", "port": port}
    return raw | {"topics": [*topics]} | more


def a_source(port: int, *topics: Raw, **more: object) -> MqttSource:
    """Return a source for a broker."""
    source = build_source(parse_source(settings(port, *topics, **more)), QuickClock())
    assert isinstance(source, MqttSource)
    return source


async def publish(port: int, *messages: tuple[str, str], retain: bool = False) -> None:
    """Publish messages and wait until the broker has them."""
    async with aiomqtt.Client("127.0.0.1", port) as client:
        for topic, payload in messages:
            await client.publish(topic, payload, qos=1, retain=retain)


def plain(readings: Sequence[Reading]) -> list[tuple[str, str, float]]:
    """Return what readings say, without what the source tells about itself."""
    return [
        (each.subject, each.metric, each.value)
        for each in readings
        if not each.subject.startswith("source:")
    ]


async def polled(source: MqttSource, enough: int) -> list[Reading]:
    """Poll until there are enough readings of others."""
    found: list[Reading] = []
    for _ in range(500):
        found += await source.collect()
        if len(plain(found)) >= enough:
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(f"only {plain(found)} came")


@needs_mosquitto
async def test_messages_become_readings_with_their_own_moment(tmp_path: Path) -> None:
    own = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=5)  # noqa: TID251
    body = json.dumps({"w": 1.5, "t": own.isoformat()})
    with mosquitto(tmp_path) as port:
        source = a_source(port, DATED)
        await source.collect()
        await publish(port, ("dc/r7/power", body), ("dc/r7/power/x", body), ("dc/r8/power", body))
        found = await polled(source, 2)
        await source.close()
        await source.close()
    assert plain(found) == [("meter:r7", "power_w", 1500), ("meter:r8", "power_w", 1500)]
    assert {each.at for each in found if each.metric == "power_w"} == {own}


@needs_mosquitto
async def test_a_last_will_shows_that_a_device_is_gone_and_holds(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as port:
        await publish(port, ("dc/r7/status", "online"), retain=True)
        source = a_source(port, STATUS, silence_s=0.001)
        assert plain(await polled(source, 1)) == [("meter:r7", "online_ratio", 1)]
        with socket.create_connection(("127.0.0.1", port)) as device:
            device.sendall(connect_with_will("dc/r7/status", "offline"))
            assert device.recv(4) == b"\x20\x02\x00\x00", "the broker takes the device"
        # The line broke without a farewell.
        assert ("meter:r7", "online_ratio", 0) in plain(await polled_until(source, 0))
        assert plain(await source.collect()) == [("meter:r7", "online_ratio", 0)], "it holds"
        await source.close()


def connect_with_will(topic: str, payload: str) -> bytes:
    """Return MQTT 3.1.1's CONNECT with a retained last will of QoS 1."""
    fields = b"".join(
        len(each).to_bytes(2) + each for each in map(str.encode, ("d", topic, payload))
    )
    body = b"\x00\x04MQTT\x04" + bytes([0b0010_1110]) + b"\x00\x3c" + fields
    return bytes([0x10, len(body)]) + body


async def polled_until(source: MqttSource, value: float) -> list[Reading]:
    """Poll until a reading of another has the value."""
    for _ in range(500):
        found = [*await source.collect()]
        if any(each == value for *_, each in plain(found)):
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(f"{value} never came")


@needs_mosquitto
async def test_a_kept_value_of_unknown_age_is_no_reading(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as port:
        await publish(port, ("dc/r7/power", "1"), retain=True)
        source = a_source(port, POWER)
        await source.collect()
        await publish(port, ("dc/r8/power", "2"))
        assert plain(await polled(source, 1)) == [("meter:r8", "power_w", 2)]
        await source.close()


@needs_mosquitto
async def test_a_broker_that_comes_back_is_joined_again(tmp_path: Path) -> None:
    port = free_port()
    source = a_source(port, POWER)
    with pytest.raises(SourceError, match="cannot be reached"):
        await source.collect()
    with mosquitto(tmp_path, port=port):
        await _joined(source)
        await publish(port, ("dc/r7/power", "1"))
        await polled(source, 1)
    assert "cannot be reached" in await _lost(source)
    with mosquitto(tmp_path, port=port):
        await _joined(source)
    await source.close()


async def _lost(source: MqttSource) -> str:
    for _ in range(500):
        try:
            await source.collect()
        except SourceError as failure:
            return str(failure)
        await asyncio.sleep(0.01)
    raise AssertionError("it was never told to be away")


async def _joined(source: MqttSource) -> None:
    for _ in range(500):
        try:
            await source.collect()
        except SourceError:
            await asyncio.sleep(0.01)
        else:
            return
    raise AssertionError("it never came back")


@needs_mosquitto
async def test_what_came_is_handed_over_before_the_broker_is_told_to_be_away(
    tmp_path: Path,
) -> None:
    with mosquitto(tmp_path) as port:
        source = a_source(port, POWER)
        await source.collect()
        source.take("dc/r7/power", b"1")
    for _ in range(500):
        if source._down:
            break
        await asyncio.sleep(0.01)
    assert plain(await source.collect()) == [("meter:r7", "power_w", 1)]
    with pytest.raises(SourceError, match="cannot be reached"):
        await source.collect()
    await source.close()


@needs_mosquitto
async def test_a_kept_session_brings_what_was_sent_while_nobody_listened(tmp_path: Path) -> None:
    own = datetime.now(UTC) - timedelta(seconds=100)  # noqa: TID251
    body = json.dumps({"w": 2, "t": own.isoformat()})
    more = {"client_id": "agent-1"}
    with mosquitto(tmp_path) as port:
        source = a_source(port, DATED | {"late_s_max": 3600}, **more)
        await source.collect()
        await source.close()
        await publish(port, ("dc/r7/power", body))
        again = a_source(port, DATED | {"late_s_max": 3600}, **more)
        found = await polled(again, 1)
        await again.close()
    assert [each.at for each in found if each.metric == "power_w"] == [own]


@needs_mosquitto
async def test_a_broker_that_refuses_the_password_is_told_without_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    users, secret = tmp_path / "users", tmp_path / "password"
    users.write_text("", encoding="utf-8")
    secret.write_text("hunter2\n", encoding="utf-8")
    login = {"username": "agent", "password_file": str(secret)}
    with mosquitto(tmp_path, "allow_anonymous false", f"password_file {users}") as port:
        source = a_source(port, POWER, **login)
        with pytest.raises(SourceError, match="authori") as failure:
            await source.collect()
        await source.close()
    assert failure.value.next_step == "check username and password_file"
    assert "hunter2" not in f"{caplog.text}{failure.value!r}{failure.value.facts}{vars(source)}"


@needs_mosquitto
# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore:.*SSLSocket:pytest.PytestUnraisableExceptionWarning")
async def test_a_broker_is_believed_by_its_authority(tmp_path: Path) -> None:
    certificate, key, _ = a_certificate(tmp_path)
    lines = (f"certfile {certificate}", f"keyfile {key}")
    with mosquitto(tmp_path, *lines) as port:
        source = a_source(port, POWER, tls=True, ca_file=str(certificate))
        await source.collect()
        await source.close()
        stranger = a_source(port, POWER, tls=True)
        with pytest.raises(SourceError, match="certificate verify failed"):
            await stranger.collect()
        await stranger.close()


def an_offline_source(*topics: Raw, **more: object) -> tuple[MqttSource, VirtualClock]:
    """Return a source that takes its broker for present, on a clock that stands still."""
    clock = VirtualClock(NOW)
    source = build_source(parse_source(settings(1, *topics, **more)), clock)
    assert isinstance(source, MqttSource)
    source._attempted.set()
    source._task = asyncio.ensure_future(_waiting())
    return source, clock


async def _waiting() -> None:
    await asyncio.Event().wait()


async def test_the_oldest_give_way_when_nobody_fetches_them() -> None:
    source, _ = an_offline_source(POWER, buffer_max=2)
    for watts in (b"1", b"2", b"3"):
        source.take("dc/r7/power", watts)
    found = await source.collect()
    await source.close()
    assert [value for *_, value in plain(found)] == [2, 3]
    about = {each.metric: each.value for each in found if each.subject == "source:m"}
    assert about == {"messages_total": 3, "dropped_total": 1}


async def test_silence_and_nonsense_take_the_source_down() -> None:
    source, clock = an_offline_source(POWER, silence_s=60)
    source.take("dc/r7/power", b"warm")
    with pytest.raises(SourceError, match="give no reading: dc/r7/power: there is no number"):
        await source.collect()
    clock.advance(61)
    with pytest.raises(SourceError, match="no message for 61 s, more than 60 s"):
        await source.collect()
    await source.close()


RULE = TopicRule(topic="a/{n}", metric="power_w", subject="meter:{n}", value="/w", time="/t")


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        pytest.param(-30, -30, id="a bit late: its own"),
        pytest.param(-31, 0, id="too late: the receipt's"),
        pytest.param(30, 30, id="a bit ahead: its own"),
        pytest.param(31, 0, id="ahead: the receipt's"),
        pytest.param(60, 0, id="far ahead: the receipt's"),
        pytest.param(61, None, id="too far ahead: refused"),
    ],
)
def test_whose_moment_counts(seconds: int, expected: int | None) -> None:
    wanted = None if expected is None else NOW + timedelta(seconds=expected)
    assert placed(NOW + timedelta(seconds=seconds), NOW) == wanted


@pytest.mark.parametrize(
    ("value", "form", "expected"),
    [
        pytest.param("2026-10-14T20:00:00+08:00", TimeForm.ISO, NOW, id="another zone"),
        pytest.param("2026-10-14T12:00:00", TimeForm.ISO, None, id="no zone"),
        pytest.param("0001-01-01T00:00:00+08:00", TimeForm.ISO, None, id="before the calendar"),
        pytest.param(NOW.timestamp(), TimeForm.SECONDS, NOW, id="seconds"),
        pytest.param(str(NOW.timestamp()), TimeForm.SECONDS, NOW, id="seconds as text"),
        pytest.param(NOW.timestamp() * 1000, TimeForm.MILLISECONDS, NOW, id="milliseconds"),
        pytest.param(NOW.timestamp() * 1000, TimeForm.SECONDS, None, id="the wrong form"),
        pytest.param(True, TimeForm.SECONDS, None, id="a truth value"),
    ],
)
def test_moments_are_spelt_in_three_ways(
    value: object, form: TimeForm, expected: datetime | None
) -> None:
    assert moment_of(value, form) == expected


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        pytest.param({"topic": "a/x{n}"}, "a whole level", id="half a level"),
        pytest.param({"topic": "a/#/b"}, "only be the last", id="hash inside"),
        pytest.param({"topic": "{rack}/{rack}"}, "only once", id="a name twice"),
        pytest.param({"subject": "meter:{pdu}"}, "does not name pdu", id="an unknown name"),
        pytest.param({"value": "w"}, "JSON pointer", id="no pointer"),
        pytest.param({"late_s_max": 5}, "late_s_max", id="too strict"),
    ],
)
def test_rules_that_cannot_be_meant_are_refused(raw: dict[str, object], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        a_source(1, POWER | raw)


def test_a_kept_session_needs_messages_with_a_moment() -> None:
    with pytest.raises(BadInput, match="hands over old messages"):
        a_source(1, POWER, client_id="x")


@given(st.binary(max_size=60) | st.text('{}[]"w:t,0129.-+eEIN/', max_size=40).map(str.encode))
def test_any_payload_is_a_finite_reading_or_nonsense(payload: bytes) -> None:
    for rule in (RULE, TopicRule(topic="a/{n}", metric="power_w", subject="meter:{n}", scale=10)):
        try:
            reading = rule.reading({"n": "1"}, payload, NOW, is_retained=False)
        except Nonsense:
            continue
        assert reading is not None
        assert abs(reading.value) < float("inf")
        assert reading.at <= NOW + timedelta(seconds=60)
