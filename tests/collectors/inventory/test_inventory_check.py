"""Everything that cannot be in an inventory is found and named."""

from typing import Any

import pytest
from inventory_builders import AROUND, things

from collectors.inventory.check import faults, warnings
from collectors.inventory.faults import Code, Ref, Surroundings
from suanwang.model.inventory import Inventory, Kind


def rack(rack_id: str = "k", **fields: Any) -> dict[str, Any]:
    return {"id": rack_id, "rated_w": 10_000, **fields}


def host(host_id: str, **fields: Any) -> dict[str, Any]:
    return {"id": host_id, "rack_id": "k", **fields}


def meter(meter_id: str, **fields: Any) -> dict[str, Any]:
    return {"id": meter_id, "role": "other", "rated_w": 1_000, **fields}


def feed(feed_id: str, **fields: Any) -> dict[str, Any]:
    return {"id": feed_id, "side": "A", **fields}


def found(inventory: Inventory, around: Surroundings = AROUND) -> list[tuple[str, str, str]]:
    return [(one.code.value, one.id, one.field) for one in faults(inventory, around)]


@pytest.mark.parametrize(
    ("kinds", "code", "thing", "field"),
    [
        pytest.param({"racks": [rack(room_id="r")]}, "unknown", "k", "room_id", id="no such room"),
        pytest.param(
            {"feeds": [feed("a", parent_id="b"), feed("b", parent_id="a")]},
            "cycle", "a", "parent_id", id="feeds in a ring",
        ),
        pytest.param(
            {"meters": [meter("m", parent_id="m")]}, "cycle", "m", "parent_id", id="behind itself"
        ),
        pytest.param(
            {"racks": [rack(feed_b_id="a")], "feeds": [feed("a")]},
            "side", "k", "feed_b_id", id="feed of the other side",
        ),
        pytest.param(
            {"racks": [rack(feed_a_id="a")], "feeds": [feed("a", rated_w=9_999)]},
            "over-feed", "k", "feed_a_id", id="rack over its feed",
        ),
        pytest.param(
            {"racks": [rack("k1", rated_w=60_000), rack("k2", rated_w=40_001)]},
            "over-design", "k2", "rated_w", id="racks over the site's design",
        ),
        pytest.param(
            {
                "rooms": [{"id": "r", "it_design_w": 9_999}],
                "racks": [rack(room_id="r")],
            },
            "over-design", "k", "rated_w", id="racks over the room's design",
        ),
        pytest.param(
            {"racks": [rack()], "hosts": [host("h", position_u=42, height_u=2)]},
            "place", "h", "position_u", id="above the rack",
        ),
        pytest.param(
            {"hosts": [{"id": "h", "position_u": 1}]}, "place", "h", "position_u", id="no rack"
        ),
        pytest.param(
            {
                "racks": [rack()],
                "hosts": [host("g", position_u=1, height_u=4), host("h", position_u=4)],
            },
            "same-unit", "h", "position_u", id="two things in one unit",
        ),
        pytest.param(
            {
                "hosts": [{"id": "h"}],
                "accelerators": [
                    {"id": "G1", "model": "x", "host_id": "h", "slot": 0},
                    {"id": "G2", "model": "x", "host_id": "h", "slot": 0},
                ],
            },
            "same-slot", "G2", "slot", id="two cards in one slot",
        ),
        pytest.param(
            {"accelerators": [{"id": "G", "model": "x", "pool_id": "p"}]},
            "unknown", "G", "pool_id", id="no such pool",
        ),
        pytest.param(
            {"meters": [meter("m", role="it", carrier="diesel")]},
            "role", "m", "carrier", id="IT that burns diesel",
        ),
        pytest.param(
            {"meters": [meter("m", role="water")]}, "role", "m", "carrier", id="electric water"
        ),
        pytest.param(
            {
                "racks": [rack()],
                "meters": [meter("m", role="facility", measures="rack", object_id="k")],
            },
            "role", "m", "measures", id="the border at a rack",
        ),
        pytest.param(
            {"meters": [meter("m", role="it", measures="plant")]},
            "role", "m", "measures", id="plant as IT",
        ),
        pytest.param(
            {
                "racks": [rack()],
                "meters": [
                    meter("m", role="it", category="PUE1", measures="rack", object_id="k")
                ],
            },
            "category", "m", "category", id="a UPS output at a rack",
        ),
        pytest.param(
            {
                "feeds": [feed("a")],
                "meters": [meter("m", role="it", measures="feed", object_id="a")],
            },
            "category", "m", "category", id="equipment input at a feed",
        ),
        pytest.param(
            {
                "meters": [
                    meter("up", role="it", category="PUE3"),
                    meter("m", role="it", category="PUE2", parent_id="up"),
                ]
            },
            "category", "m", "category", id="PDU output behind equipment input",
        ),
        pytest.param(
            {
                "meters": [
                    meter("up", role="it"),
                    meter("mid", parent_id="up"),
                    meter("m", role="it", parent_id="mid"),
                ]
            },
            "double-count", "m", "category", id="IT counted twice",
        ),
        pytest.param(
            {
                "meters": [
                    meter("up", role="facility"),
                    meter("m", role="facility", parent_id="up"),
                ]
            },
            "double-count", "m", "role", id="the border counted twice",
        ),
        pytest.param(
            {"meters": [meter("up"), meter("m", role="facility", parent_id="up")]},
            "role", "m", "role", id="the border behind another meter",
        ),
        pytest.param(
            {"meters": [meter("up", carrier="gas"), meter("m", parent_id="up")]},
            "carrier", "m", "parent_id", id="electricity behind gas",
        ),
        pytest.param(
            {"meters": [meter("m", measures="rack")]}, "unknown", "m", "object_id", id="which rack?"
        ),
        pytest.param(
            {"meters": [meter("m", object_id="k")]}, "unknown", "m", "object_id", id="a site's rack"
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named(kinds: dict[str, Any], code: str, thing: str, field: str) -> None:
    assert (code, thing, field) in found(things(**kinds))


def test_every_code_but_those_of_files_and_use_is_tried_above() -> None:
    cases = test_what_cannot_be_is_named.pytestmark[0].args[1]
    tried = {case.values[1] for case in cases} | {"other-site", "field", "in-use"}
    assert tried == {code.value for code in Code}


def test_a_meter_of_another_site_is_no_parent_and_its_id_is_taken() -> None:
    theirs = Surroundings(it_design_w=1, elsewhere={Ref(Kind.METERS, "m"): "west"})
    behind = things(meters=[meter("mine", parent_id="m")])
    assert found(behind, theirs) == [("other-site", "mine", "parent_id")]
    assert "west" in faults(behind, theirs)[0].reason
    assert found(things(meters=[meter("m")]), theirs) == [("other-site", "m", "id")]


def test_what_fits_has_no_fault() -> None:
    sound = things(
        rooms=[{"id": "r", "it_design_w": 10_000}],
        feeds=[feed("a", rated_w=10_000), feed("up", side="shared"), feed("a2", parent_id="up")],
        racks=[rack(room_id="r", feed_a_id="a", feed_b_id="up"), rack("plan", delivery="planned")],
        hosts=[
            host("front", position_u=1, face="front"),
            host("rear", position_u=1, face="rear"),
            host("top", position_u=42),
            host("pdu", height_u=0),
        ],
        meters=[
            meter("grid", role="facility"),
            meter("ups", role="it", category="PUE1", parent_id="grid"),
            meter("pdu", role="it", category="PUE2", parent_id="ups"),
            meter("cool", role="cooling", measures="plant", parent_id="grid"),
            meter("gas", role="facility", carrier="gas"),
        ],
        accelerators=[{"id": "G", "model": "x", "pool_id": "gpu", "host_id": "top"}],
    )
    assert found(sound) == []


def test_a_ring_shows_its_members_and_is_no_other_fault() -> None:
    ring = things(
        meters=[meter("a", parent_id="b"), meter("b", parent_id="c"), meter("c", parent_id="a")]
    )
    assert [one.code for one in faults(ring, AROUND)] == [Code.CYCLE] * 3
    assert faults(ring, AROUND)[0].reason == "a ring: a → b → c → a"


def test_what_may_be_meant_is_odd_and_no_fault() -> None:
    odd = things(
        rooms=[{"id": "r"}],
        feeds=[feed("up", rated_w=15_000), feed("a", rated_w=20_000, parent_id="up")],
        racks=[
            rack("k", room_id="r", feed_a_id="a"),
            rack("k2", feed_a_id="a"),
            rack("plan", delivery="planned", room_id="r"),
        ],
        hosts=[{"id": "h", "rack_id": "plan"}],
        accelerators=[{"id": "G", "model": "x", "pool_id": "gpu"}],
    )
    assert found(odd) == []
    assert warnings(odd, AROUND) == (
        "feed up: the racks on it are rated 20,000 W together, it carries 15,000 W",
        "rack plan is planned, and has hosts already",
        "pool gpu is registered with 8 units, and has 1 here",
        "racks in no room: 1",
    )
