"""The tree of meters: sums, gaps and silence."""

import pytest
from inventory_builders import hall, set_design, take_in, things
from sqlalchemy import Engine
from telemetry_builders import START, add_site, at, constant_load, send

from cli.energy import tree_names
from collectors.inventory.tree import Counted, Gap, branches
from collectors.kpi import Interval
from collectors.store_meter_tree import meter_tree
from suanwang.clock import to_epoch_ms
from suanwang.db.engine import writing

HOUR = 3_600


def test_each_meter_comes_before_those_behind_it() -> None:
    meters = things(
        meters=[
            {"id": name, "role": "other", "rated_w": 1, "parent_id": parent}
            for name, parent in {
                "grid": None,
                "b": "grid",
                "a": "grid",
                "a1": "a",
                "w": None,
            }.items()
        ]
    ).meters
    found = list(branches(meters, {"a": Counted(7_000, 1)}, {}))
    assert [(one.meter.id, one.depth, one.is_last) for one in found] == [
        ("grid", 0, False), ("a", 1, False), ("a1", 2, True), ("b", 1, True), ("w", 0, True),
    ]  # fmt: skip
    assert found[1].wh == 7.0
    items = [{"id": one.meter.id, "depth": one.depth, "is_last": one.is_last} for one in found]
    assert tree_names(items) == ["grid", "├─ a", "│  └─ a1", "└─ b", "w"]


def test_a_ring_does_not_hang_the_tree() -> None:
    meters = things(
        meters=[
            {"id": "x", "role": "other", "rated_w": 1, "parent_id": "y"},
            {"id": "y", "role": "other", "rated_w": 1, "parent_id": "x"},
        ]
    ).meters
    assert list(branches(meters, {}, {})) == []


@pytest.mark.parametrize(
    ("own", "children", "silent", "is_odd"),
    [
        pytest.param(100.0, 97.0, (), False, id="3 % is borne"),
        pytest.param(100.0, 96.9, (), True, id="more is odd"),
        pytest.param(100.0, 103.1, (), True, id="too much is odd"),
        pytest.param(100.0, 10.0, ("m",), False, id="a silent child excuses"),
        pytest.param(0.0, 1.0, (), True, id="children of nothing"),
    ],
)
def test_a_gap_beyond_three_per_cent_is_odd(
    own: float, children: float, silent: tuple[str, ...], is_odd: bool
) -> None:
    gap = Gap(own_wh=own, children_wh=children, common_ms=1, silent=silent)
    assert gap.is_odd is is_odd
    assert not Gap(own_wh=own, children_wh=children, common_ms=0).is_odd


def test_sums_and_gaps_stand_for_the_same_time(engine: Engine) -> None:
    with writing(engine) as connection:
        add_site(connection)
        set_design(connection, "qd", 100_000)
        take_in(connection, "qd", hall(), START)
        whole = [float(second) for second in range(0, 2 * HOUR + 1, 60)]
        # The rack's meter begins an hour late: the gap is that of the second hour alone.
        late = [second for second in whole if second >= HOUR]
        readings = [
            *constant_load("m-main", 12_000, whole, 1e6),
            *constant_load("m-r1", 10_000, whole),
            *constant_load("m-k1", 9_800, late),
        ]
        send(connection, "b", readings, 2 * HOUR)
        period = Interval(to_epoch_ms(START), to_epoch_ms(at(2 * HOUR)))
        grid, room, rack = meter_tree(connection, "qd", period)
    assert [one.meter.id for one in (grid, room, rack)] == ["m-main", "m-r1", "m-k1"]
    assert (grid.wh, room.wh, rack.wh) == (24_000, 20_000, 9_800)
    assert grid.gap is not None
    assert (grid.gap.wh, grid.gap.is_odd) == (4_000, True)
    assert room.gap is not None
    assert (room.gap.own_wh, room.gap.wh, room.gap.common_ms) == (10_000, 200, HOUR * 1_000)
    assert room.gap.ratio == pytest.approx(0.02)
    assert rack.gap is None


def test_a_child_that_never_spoke_is_named_and_takes_no_time_away(engine: Engine) -> None:
    with writing(engine) as connection:
        add_site(connection)
        set_design(connection, "qd", 100_000)
        take_in(connection, "qd", hall(), START)
        whole = [float(second) for second in range(0, HOUR + 1, 60)]
        send(connection, "b", constant_load("m-main", 12_000, whole, 1e6), HOUR)
        period = Interval(to_epoch_ms(START), to_epoch_ms(at(HOUR)))
        grid = meter_tree(connection, "qd", period)[0]
    assert grid.gap is not None
    assert (grid.gap.silent, grid.gap.own_wh, grid.gap.is_odd) == (("m-r1",), 12_000, False)
