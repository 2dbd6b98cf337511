"""BACnet/IP against a device made with bacpypes3 on the loopback."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import pytest

pytest.importorskip("bacpypes3", reason="the extra bacnet is not installed")

from bacpypes3.errors import RejectBufferOverflow, UnrecognizedService
from bacpypes3.ipv4.app import NormalApplication
from bacpypes3.local.analog import AnalogInputObject
from bacpypes3.local.binary import BinaryInputObject
from bacpypes3.local.device import DeviceObject
from bacpypes3.pdu import IPv4Address

from collectors.config import build_source, build_sources, parse_source, parse_sources
from collectors.sources.bacnet import BacnetSource
from collectors.sources.port import Source, SourceError
from suanwang.clock import SystemClock
from suanwang.errors import BadInput


def free_udp_port() -> int:
    """Return a UDP port that nobody uses now."""
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def a_device(analogs: int = 3) -> Iterator[tuple[str, Any]]:
    """Run a device of instance 77 with analog inputs of 1.5, 2.5 …; yield address and stack."""
    port = free_udp_port()
    own = DeviceObject(objectIdentifier=("device", 77), objectName="plc", vendorIdentifier=999)
    app = NormalApplication(own, IPv4Address(f"127.0.0.1/8:{port}"))
    for number in range(1, analogs + 1):
        app.add_object(
            AnalogInputObject(
                objectIdentifier=("analog-input", number),
                objectName=f"a{number}",
                presentValue=number + 0.5,
                statusFlags=[0, 0, 0, 0],
                eventState="normal",
                outOfService=False,
                units="watts",
            )
        )
    app.add_object(
        BinaryInputObject(
            objectIdentifier=("binary-input", 1),
            objectName="pump",
            presentValue="active",
            statusFlags=[0, 0, 0, 0],
            eventState="normal",
            outOfService=False,
            polarity="normal",
        )
    )
    try:
        yield f"127.0.0.1:{port}", app
    finally:
        app.close()


def an_object(name: str, **more: object) -> dict[str, object]:
    """Return the settings of an object."""
    return {"object": name, "metric": "power_w", "subject": f"meter:{name}"} | more


def settings(address: str, *objects: dict[str, object], **more: object) -> dict[str, object]:
    """Return the settings of a source."""
    raw: dict[str, object] = {"kind": "bacnet", "name": "b", "address": address}
    return raw | {"local_address": "127.0.0.1/8:0", "objects": [*objects]} | more


def a_source(address: str, *objects: dict[str, object], **more: object) -> BacnetSource:
    """Return a source for a device."""
    source = build_source(parse_source(settings(address, *objects, **more)), SystemClock())
    assert isinstance(source, BacnetSource)
    return source


async def read(source: Source) -> list[tuple[str, float]]:
    """Poll once and close; return subjects and values."""
    try:
        return [(each.subject, each.value) for each in await source.collect()]
    finally:
        await source.close()


async def test_objects_become_readings() -> None:
    wanted = (an_object("analog-input,2", scale=1000), an_object("binary-input,1"))
    with a_device() as (address, _):
        found = await read(a_source(address, *wanted, device_instance=77))
    assert found == [("meter:analog-input,2", 2500), ("meter:binary-input,1", 1)]


async def test_many_objects_are_asked_for_in_chunks_that_the_device_can_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [f"analog-input,{number}" for number in range(1, 46)]
    with a_device(45) as (address, app):
        answer = app.do_ReadPropertyMultipleRequest

        async def abort(_: object, request: Any) -> None:
            if len(request.listOfReadAccessSpecs) > 6:
                raise RejectBufferOverflow
            await answer(request)

        monkeypatch.setattr(app, "do_ReadPropertyMultipleRequest", abort.__get__(app))
        source = a_source(address, *(an_object(name) for name in names))
        found = [each.value for each in await source.collect()]
        assert source._at_once == 5, "20 and 10 were too many, and that is remembered"
        await source.close()
    assert found == [number + 0.5 for number in range(1, 46)]


async def test_a_device_without_read_property_multiple_is_read_object_by_object(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse(self: object, apdu: object) -> None:
        raise UnrecognizedService

    with a_device() as (address, app):
        monkeypatch.setattr(app, "do_ReadPropertyMultipleRequest", refuse.__get__(app))
        found = await read(
            a_source(
                address,
                *(an_object(f"analog-input,{n}") for n in (1, 2)),
                an_object("analog-input,9", required=False),
            )
        )
    assert found == [("meter:analog-input,1", 1.5), ("meter:analog-input,2", 2.5)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("reliability", "no-sensor", id="fault"),
        pytest.param("outOfService", True, id="out of service"),
    ],
)
async def test_a_value_that_is_not_the_sensor_s_is_no_sample(name: str, value: object) -> None:
    with a_device() as (address, app):
        setattr(app.get_object_name("a1"), name, value)
        optional = an_object("analog-input,1", required=False)
        assert await read(a_source(address, optional, an_object("analog-input,2"))) == [
            ("meter:analog-input,2", 2.5)
        ]
        with pytest.raises(SourceError, match=r"analog-input,1 .* has no value, or a faulty one"):
            await read(a_source(address, an_object("analog-input,1")))


async def test_an_object_that_is_not_there_is_told_by_its_name() -> None:
    words = "analog-input,99 of the BACnet device"
    with a_device() as (address, _), pytest.raises(SourceError, match=words) as failure:
        await read(a_source(address, an_object("analog-input,99")))
    assert "required: false" in failure.value.next_step


async def test_another_device_at_the_address_is_not_read() -> None:
    with a_device() as (address, _):
        source = a_source(address, an_object("analog-input,1"), device_instance=78)
        with pytest.raises(SourceError, match="is not instance 78"):
            await read(source)


async def test_sources_of_one_local_address_share_its_socket() -> None:
    with a_device() as (address, _):
        raw = [settings(address, an_object("analog-input,1"), name=name) for name in ("a", "b")]
        first, second = build_sources(parse_sources(raw), SystemClock())
        assert await read(first)
        await first.close()
        assert await read(second)


async def test_a_silent_device_is_given_up() -> None:
    address = f"127.0.0.1:{free_udp_port()}"
    source = a_source(address, an_object("analog-input,1"), request_timeout_s=0.05)
    with pytest.raises(SourceError, match=r"did not answer within 0\.05 s"):
        await read(source)


async def test_a_missing_library_is_told_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "bacpypes3.ipv4.app", None)
    with pytest.raises(SourceError, match="bacpypes3 is not installed") as failure:
        await read(a_source("127.0.0.1:47808", an_object("analog-input,1")))
    assert "suanwang[bacnet]" in failure.value.next_step


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        pytest.param({"address": "plc.local"}, "address", id="a name"),
        pytest.param({"address": "1.2.3.4:99999"}, "address", id="no such port"),
        pytest.param({"objects": []}, "objects", id="nothing wanted"),
        pytest.param({"objects": [an_object("AI1")]}, "object", id="no object"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(raw: dict[str, object], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        parse_source(settings("127.0.0.1", an_object("analog-input,1")) | raw)


async def test_any_local_address_will_do() -> None:
    with a_device() as (address, _):
        raw = settings(address, an_object("analog-input,1"))
        del raw["local_address"]
        source = build_source(parse_source(raw), SystemClock())
        assert await read(source) == [("meter:analog-input,1", 1.5)]


class Babbler(asyncio.DatagramProtocol):
    """Answers every datagram with nonsense that begins like BACnet."""

    def __init__(self) -> None:
        self.random = Random(1)
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.DatagramTransport)
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Answer with five kinds of nonsense."""
        assert self.transport is not None
        for size in (0, 1, 5, 20, 60):
            noise = self.random.randbytes(size)
            # The head and the invoke id of the request, so that it is taken for an answer.
            head = b"\x81\x0a" + (10 + size).to_bytes(2) + b"\x01\x00\x30" + data[8:9] + b"\x0e\x0c"
            self.transport.sendto(head + noise, addr)


async def test_a_device_that_babbles_gives_no_sample() -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Babbler, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    source = a_source(f"127.0.0.1:{port}", an_object("analog-input,1"), request_timeout_s=0.1)
    try:
        for _ in range(5):
            with pytest.raises(SourceError):
                await source.collect()
    finally:
        await source.close()
        transport.close()
