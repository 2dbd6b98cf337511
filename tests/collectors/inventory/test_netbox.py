"""What NetBox says becomes rows of an inventory."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inventory_builders import AROUND
from netbox_part import OBJECTS, a_feed, a_module, a_rack, an_item, brief

from collectors.inventory.files import read_file
from collectors.inventory.netbox import ENDPOINTS, NetboxMap, discover, feed_w
from collectors.inventory.plan import plan
from suanwang.model.inventory import Inventory, Kind
from suanwang.sheets import write_workbook

AP8941 = {"profile": "apc_rpdu2", "resolution_wh": 100.0}
HERE = {
    name: [one for one in OBJECTS[name] if one.get("site", {"id": 3})["id"] == 3]
    for name in ENDPOINTS
}


def rows(answers: dict[str, list[Any]], **wishes: Any) -> dict[Kind, list[dict[str, str]]]:
    found = discover(answers, NetboxMap.model_validate(wishes))
    return {
        kind: [dict(zip(of_it[0], row, strict=True)) for row in of_it[1:]]
        for kind, of_it in found.rows.items()
    }


def test_a_site_becomes_an_inventory_without_a_fault() -> None:
    found = discover(
        HERE, NetboxMap.model_validate({"meters": {"ap8941": AP8941}, "rack_rated_w": 5_000})
    )
    content = write_workbook({kind.value: of_it for kind, of_it in found.rows.items()})
    made = plan(Inventory(), read_file(content, Inventory()), AROUND)
    assert made.faults == ()
    there = made.after
    assert list(there.rooms) == ["hall-1"]
    assert {
        one.id: (one.delivery.value, one.rated_w, one.height_u) for one in there.racks.values()
    } == {
        "A-01": ("in_use", 5_888, 42),
        "A-02": ("delivered", 5_888, 47),
        "A-03": ("planned", 5_000, 42),
    }
    assert (there.racks["A-01"].feed_a_id, there.racks["A-01"].feed_b_id) == (
        "RPP-1-1L",
        "RPP-1-1R",
    )
    assert (there.racks["A-02"].feed_a_id, there.racks["A-02"].feed_b_id) == (
        "RPP-1-2L",
        "RPP-1-2R",
    )
    assert there.racks["A-02"].room_id is None
    assert there.feeds["RPP-1-1L"].parent_id == "RPP-1"
    assert there.feeds["RPP-1-1R"].rated_w == 34_918
    assert there.feeds["RPP-1-2L"].rated_w == 19_200
    host = there.hosts["gpu-01"]
    assert (host.rack_id, host.position_u, host.height_u, host.face.value) == ("A-01", 1, 8, "both")
    assert (host.kind.value, host.model, host.serial, host.bmc) == (
        "server", "DGX H100", "S61", "10.0.0.21",
    )  # fmt: skip
    assert (there.hosts["PDU-left"].position_u, there.hosts["PDU-left"].kind.value) == (
        None,
        "power",
    )
    # Two are called alike; half a unit is a whole one, in front and in the rear.
    assert (there.hosts["panel-63"].position_u, there.hosts["panel-63"].face.value) == (20, "front")
    assert (there.hosts["panel-64"].position_u, there.hosts["panel-64"].face.value) == (21, "rear")
    assert there.hosts["host-65"].name == "device 65"
    meter = there.meters["PDU-left"]
    assert (meter.role.value, meter.object_id, meter.profile, meter.address, meter.rated_w) == (
        "it", "A-01", "apc_rpdu2", "10.0.0.31", 5_888,
    )  # fmt: skip
    assert found.notes == (
        "rack 旧柜 is deprecated: left out",
        "devices that do not stand now: 1 (old)",
        "meter PDU-of-old is in no rack: left out",
    )


def test_modules_and_inventory_items_become_accelerators_by_the_map() -> None:
    parts = {
        "H100 SXM5 80GB": {"model": "H100"},
        "900-2G193": {"model": "L40S", "id_from": "cf:gpu_uuid"},
    }
    wishes = {"accelerators": parts, "rack_rated_w": 5_000}
    found = discover(HERE, NetboxMap.model_validate(wishes))
    content = write_workbook({kind.value: of_it for kind, of_it in found.rows.items()})
    made = plan(Inventory(), read_file(content, Inventory()), AROUND)
    assert made.faults == ()
    assert {
        one.id: (one.model, one.host_id, one.slot) for one in made.after.accelerators.values()
    } == {
        "GPU-00000081": ("H100", "gpu-01", 0),
        "GPU-00000082": ("H100", "gpu-01", 1),
        "GPU-l40s-0": ("L40S", "host-65", 0),
    }
    assert "accelerators of gpu-01 without a UUID: 1, left out" in found.notes
    assert "accelerators of host-65 without a UUID: 1, left out" in found.notes


def test_a_card_that_is_a_module_and_an_item_counts_once() -> None:
    twice = {
        "devices": [{"id": 1, "name": "h"}],
        "modules": [a_module(5, 1, "slot-7", serial="GPU-a")],
        "inventory-items": [an_item(6, 1, "GPU 7", serial="GPU-a", part_id="P")],
    }
    parts = {"H100 SXM5 80GB": {"model": "H100"}, "P": {"model": "H100"}}
    assert rows(twice, accelerators=parts)[Kind.ACCELERATORS] == [
        {"id": "GPU-a", "model": "H100", "host_id": "h", "slot": "7"}
    ]


def test_without_a_map_no_part_is_an_accelerator() -> None:
    assert Kind.ACCELERATORS not in rows(HERE, rack_rated_w=5_000)


def test_what_nobody_knows_is_left_to_be_named_as_a_fault() -> None:
    answers = {"racks": [a_rack(1, "A"), a_rack(2, "B")], "power-feeds": [a_feed(3, "f", 1)]}
    found = discover(answers, NetboxMap())
    content = write_workbook({kind.value: of_it for kind, of_it in found.rows.items()})
    made = plan(Inventory(), read_file(content, Inventory()), AROUND)
    assert [(one.id, one.column, one.reason) for one in made.faults] == [
        ("B", "rated_w", "is empty")
    ]
    assert list(made.after.racks) == ["A"]


def test_units_are_counted_from_the_racks_first_one() -> None:
    answers = {
        "racks": [a_rack(31, "A", starting_unit=5)],
        "devices": [{"id": 1, "name": "h", "rack": brief(31, "A"), "position": 7.0}],
    }
    assert rows(answers)[Kind.HOSTS][0]["position_u"] == "3"


def test_a_third_feed_of_a_rack_is_told() -> None:
    answers = {
        "racks": [a_rack(1, "A")],
        "power-feeds": [a_feed(3, "x", 1), a_feed(4, "y", 1), a_feed(5, "z", 1)],
    }
    found = discover(answers, NetboxMap())
    assert [row[2] for row in found.rows[Kind.FEEDS][1:]] == ["A", "B", "A"]
    assert found.notes == ("feed z is a third one of its rack, and is not counted there",)


@pytest.mark.parametrize(
    ("feed", "watts"),
    [
        pytest.param({}, 5_888, id="one phase"),
        pytest.param({"phase": "three-phase", "voltage": 400}, 17_736, id="three phases, a word"),
        pytest.param({"voltage": -48, "max_utilization": None}, 1_536, id="direct current"),
        pytest.param({"amperage": "much"}, 0, id="nonsense"),
    ],
)
def test_a_feed_carries_volts_times_amperes(feed: dict[str, Any], watts: int) -> None:
    assert feed_w(a_feed(1, "f", None, **feed)) == watts


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
_names = [
    "id", "name", "status", "rack", "position", "u_height", "site", "slug", "device_type", "role",
    "voltage", "power_panel", "face", "type", "oob_ip", "location", "starting_unit", "device",
    "module_type", "module_bay", "part_id", "serial", "custom_fields",
]  # fmt: skip


@given(
    st.dictionaries(
        st.sampled_from(ENDPOINTS),
        st.lists(st.dictionaries(st.sampled_from(_names), _json), max_size=3),
    )
)
def test_no_answer_however_odd_breaks_the_mapping(answers: dict[str, list[Any]]) -> None:
    parts = {"": {"model": "H100", "id_from": "cf:x"}, "0": {"model": "H100"}}
    found = discover(answers, NetboxMap.model_validate({"accelerators": parts}))
    content = write_workbook({kind.value: of_it for kind, of_it in found.rows.items()} or {"x": []})
    if found.rows:
        read_file(content, Inventory())
