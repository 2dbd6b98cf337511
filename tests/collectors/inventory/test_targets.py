"""The inventory says what an agent has to poll."""

from typing import Any

import pytest
from inventory_builders import things

from collectors.config import parse_sources
from collectors.inventory.targets import Address, parse_address, targets
from suanwang.errors import BadInput


def meter(meter_id: str, profile: str, address: str, **more: Any) -> dict[str, Any]:
    return {
        "id": meter_id, "role": "it", "rated_w": 1, "profile": profile, "address": address, **more,
    }  # fmt: skip


def test_meters_and_bmcs_become_sources_that_an_agent_takes() -> None:
    there = things(
        meters=[
            meter("pdu", "apc_rpdu2", "10.0.0.9:1161", poll_s=30),
            meter("main", "schneider_iem3000", "10.0.0.5/3"),
            meter("silent", "", "10.0.0.6"),
            meter("nowhere", "apc_rpdu2", ""),
        ],
        hosts=[
            {"id": "a", "bmc": "10.0.0.21"},
            {"id": "b", "bmc": "https://bmc.example:8443"},
            {"id": "c", "bmc": "ipmi://10.0.0.23"},
            {"id": "d"},
        ],
    )
    found = targets(there, {"ipmi": {"username": "r", "password_file": "/etc/bmc"}})
    assert found.left_out == ()
    assert list(found.sources) == [
        {
            "kind": "modbus", "name": "main", "device_id": "main", "profile": "schneider_iem3000",
            "host": "10.0.0.5", "interval_s": 60.0, "unit": 3,
        },
        {
            "kind": "snmp", "name": "pdu", "device_id": "pdu", "profile": "apc_rpdu2",
            "host": "10.0.0.9", "interval_s": 30.0, "port": 1161,
        },
        {"kind": "redfish", "name": "bmc-a", "host": "a", "url": "https://10.0.0.21"},
        {"kind": "redfish", "name": "bmc-b", "host": "b", "url": "https://bmc.example:8443"},
        {
            "username": "r", "password_file": "/etc/bmc", "kind": "ipmi", "name": "bmc-c",
            "host": "c", "address": "10.0.0.23",
        },
    ]  # fmt: skip
    assert len(parse_sources(found.sources)) == 5


def test_what_cannot_be_polled_is_left_out_with_the_reason() -> None:
    there = things(
        meters=[
            meter("x", "no_such_profile", "10.0.0.9"),
            meter("y", "apc_rpdu2", "10.0.0.9:port"),
            meter("bmc-h", "apc_rpdu2", "10.0.0.9"),
        ],
        hosts=[{"id": "h", "bmc": "10.0.0.1"}, {"id": "i", "bmc": "ftp://x"}],
    )
    found = targets(there, {"snmp": {"communities": "x"}} | {"redfish": {}})
    assert [text.partition(":")[0] for text in found.left_out] == [
        "meter bmc-h", "meter x", "meter y", "host i",
    ]  # fmt: skip
    assert "did you mean 'community" in found.left_out[0]
    twice = targets(there, {})
    assert "host h: another source is called bmc-h already" in twice.left_out


@pytest.mark.parametrize(
    ("text", "address"),
    [
        pytest.param("pdu.example", Address(host="pdu.example"), id="name"),
        pytest.param("10.0.0.9:1161", Address(host="10.0.0.9", port=1161), id="port"),
        pytest.param("10.0.0.9:502/7", Address(host="10.0.0.9", port=502, unit=7), id="unit"),
        pytest.param("fd00::9", Address(host="fd00::9"), id="IPv6"),
        pytest.param("[fd00::9]:502", Address(host="fd00::9", port=502), id="IPv6 and port"),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "a b", "user@host", "host:70000", "host/x", "[fd00::9"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="no address"):
        parse_address(text)
