"""A meter whose role or category changes: what was told of it is told again, with the reason."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, select
from telemetry_builders import SITE, START, a_meter, add_site, at, constant_load, energy, send

from collectors import store, store_inventory_edit
from collectors.inventory.faults import Ref
from collectors.store_inventory_history import Author, Origin, capture_meters
from collectors.upkeep import keep_up
from suanwang.clock import VirtualClock
from suanwang.db.engine import reading, writing
from suanwang.db.tables import energy_window, kpi_due, rollup_due, site_energy
from suanwang.errors import BadInput
from suanwang.model.inventory import Kind
from suanwang.model.meter import MeterRole, PueCategory

HOUR, DAY = 3_600, 86_400
IT = a_meter("m-it", MeterRole.IT, poll_s=60)
HALL = a_meter("m-hall", MeterRole.OTHER, poll_s=60)
GRID = a_meter("m-grid", MeterRole.FACILITY, poll_s=60)
LATER = 30 * HOUR


@pytest.fixture
def told(engine: Engine) -> Engine:
    """A site of 10 kW IT, 5 kW of another meter and 20 kW in all; four hours, told and final."""
    moments = [float(second) for second in range(0, 4 * HOUR + 1, 60)]
    with writing(engine) as connection:
        add_site(connection)
        store.register_meters(connection, [IT, HALL, GRID])
        author = Author(actor="a", origin=Origin.REGISTRATION, reason="registered", at=START)
        capture_meters(connection, SITE, author)
        for name, watts in (("m-it", 10_000), ("m-hall", 5_000), ("m-grid", 20_000)):
            readings = constant_load(name, watts, moments, 1e6)
            if name == "m-it":
                readings = [one for one in readings if abs((one.at - START).seconds - 1_800) > 60]
            send(connection, name, readings, 4 * HOUR)
    keep(engine, LATER)
    return engine


def keep(engine: Engine, seconds: float) -> None:
    keep_up(engine, VirtualClock(at(seconds)))


def edit(
    engine: Engine, values: dict[str, object], from_at: datetime | None = None, what: str = "m-hall"
) -> None:
    """Edit a meter's place or role, some time later."""
    author = Author(
        actor="key k", origin=Origin.EDIT, reason="it feeds racks", at=at(LATER), from_at=from_at
    )
    with writing(engine) as connection:
        planned = store_inventory_edit.plan_put(connection, SITE, Ref(Kind.METERS, what), values)
        assert store_inventory_edit.write(connection, SITE, planned, author) is not None
    keep(engine, LATER + 60)


def hours(connection: Connection, category: str = "PUE3") -> list[tuple[int, int, int, str]]:
    """Return of each hour its number, newest revision, IT energy in Wh, and the reason."""
    rows = connection.execute(
        select(site_energy)
        .where(
            site_energy.c.site_id == SITE,
            site_energy.c.category == category,
            site_energy.c.grain == "hour",
            site_energy.c.is_newest,
        )
        .order_by(site_energy.c.start_at)
    )
    return [
        (
            round((row.start_at - START).total_seconds()) // HOUR,
            row.revision,
            row.it_mwh // 1_000,
            row.reason,
        )
        for row in rows
    ]


def test_a_corrected_role_tells_every_hour_again(told: Engine) -> None:
    with reading(told) as connection:
        assert hours(connection) == [(n, 0, 10_000, "") for n in range(4)]
    edit(told, {"role": "it"})
    why = "role of a meter: m-hall: it feeds racks"
    with reading(told) as connection:
        assert hours(connection) == [(n, 1, 15_000, why) for n in range(4)]
        period = (START, at(4 * HOUR), at(LATER + 60))
        assert store.pue(connection, SITE, *period).value == pytest.approx(20 / 15, rel=1e-9)
        assert connection.execute(select(rollup_due)).all() == []
        assert connection.execute(select(kpi_due)).all() == []


def test_a_role_that_holds_from_a_moment_on_leaves_the_hours_before_as_they_were(
    told: Engine,
) -> None:
    edit(told, {"role": "it"}, at(2 * HOUR))
    why = "role of a meter: m-hall: it feeds racks"
    expected = [*((n, 0, 10_000, "") for n in (0, 1)), *((n, 1, 15_000, why) for n in (2, 3))]
    with reading(told) as connection:
        assert hours(connection) == expected


def test_a_late_reading_of_an_hour_before_the_change_is_summed_up_as_the_hour_was(
    told: Engine,
) -> None:
    edit(told, {"role": "it"}, at(2 * HOUR))
    with writing(told) as connection:
        # It moves 10 Wh from one window to the one before, and shortens what was bridged.
        send(connection, "late", [energy("m-it", 1_800, 1e6 + 5_010)], LATER + 60)
    keep(told, LATER + 120)
    with reading(told) as connection:
        revised = energy_window.c.revision > 0
        assert len(connection.execute(select(energy_window).where(revised)).all()) == 2
        assert connection.execute(select(rollup_due)).all() == []
        assert [(n, revision, it) for n, revision, it, _ in hours(connection)] == [
            (0, 1, 10_000),
            (1, 0, 10_000),
            (2, 1, 15_000),
            (3, 1, 15_000),
        ]


def test_a_category_without_meters_is_told_as_unknown(told: Engine) -> None:
    edit(told, {"category": "PUE2"}, what="m-it")
    with reading(told) as connection:
        assert [(n, revision, it) for n, revision, it, _ in hours(connection)] == [
            (n, 1, 0) for n in range(4)
        ]
        assert [it for _, _, it, _ in hours(connection, "PUE2")] == [10_000] * 4
        period = (START, at(4 * HOUR), at(LATER + 60))
        found = store.pue(connection, SITE, *period)
        assert found.category is PueCategory.PUE2
        assert found.value == pytest.approx(2.0, rel=1e-9)


def test_registering_a_site_again_with_another_role_does_the_same(told: Engine) -> None:
    with writing(told) as connection:
        store.register_meters(connection, [replace(HALL, role=MeterRole.IT)])
        author = Author(
            actor="a", origin=Origin.REGISTRATION, reason="registered again", at=at(LATER)
        )
        capture_meters(connection, SITE, author)
    keep(told, LATER + 60)
    with reading(told) as connection:
        assert {it for _, _, it, _ in hours(connection)} == {15_000}


def test_a_second_correction_of_all_time_forgets_what_was_before(told: Engine) -> None:
    edit(told, {"role": "it"}, at(2 * HOUR))
    edit(told, {"role": "cooling"})
    with reading(told) as connection:
        assert [it for _, _, it, _ in hours(connection)] == [10_000] * 4


@pytest.mark.parametrize(
    ("values", "from_s"),
    [
        pytest.param({"role": "it"}, LATER + DAY, id="a moment to come"),
        pytest.param({"name": "Hall 1"}, HOUR, id="nothing that a moment could be of"),
    ],
)
def test_a_moment_that_makes_no_sense_is_refused(
    told: Engine, values: dict[str, object], from_s: float
) -> None:
    with pytest.raises(BadInput, match="from"):
        edit(told, values, START + timedelta(seconds=from_s))
