"""Curves out of the record, version by version, on both databases."""

import math
from datetime import timedelta

import pytest
from sqlalchemy import Engine, insert, select, update
from telemetry_builders import SITE, START, a_meter, add_site, at, constant_load, send

from collectors import store
from collectors.store_facility import (
    fit_site,
    newest_fits,
    note_weather,
    sites_to_fit,
)
from collectors.upkeep import FitUpkeep
from suanwang.clock import VirtualClock
from suanwang.db.engine import reading, writing
from suanwang.db.tables import facility_fit, site, site_energy, weather_hour
from suanwang.energy.catalogue import load_catalogue
from suanwang.errors import Conflict, NotFound
from suanwang.model.meter import MeterRole
from suanwang.model.reading import Reading
from suanwang.model.site import CoolingKind

CATALOGUE = load_catalogue()
DESIGN = CATALOGUE.facility(CoolingKind.MODERN_WSE_WARMWATER, 1_000_000)
HOUR = timedelta(hours=1)
NOW = START + 40 * 24 * HOUR


def wet_bulb(hour: int) -> float:
    return 12.0 + 8.0 * math.sin(hour / 37)


def it_w(hour: int) -> float:
    return 400_000.0 + 150_000.0 * math.sin(hour / 24 * 2 * math.pi)


def add_hours(engine: Engine, hours: int) -> None:
    """Write hours of a hall a tenth worse than its design, as the roll-up and the upkeep do."""
    with writing(engine) as connection:
        add_site(connection)
        connection.execute(
            update(site).values(
                it_design_w=1_000_000, cooling="modern_wse_warmwater", pue_category="PUE3"
            )
        )
        for hour in range(hours):
            start, over = START + hour * HOUR, it_w(hour)
            power_w = over + 1.1 * (DESIGN.facility_w(over, wet_bulb(hour)) - over)
            connection.execute(
                insert(site_energy).values(
                    site_id=SITE, category="PUE3", grain="hour", start_at=start, revision=0,
                    is_newest=True, end_at=start + HOUR, facility_mwh=round(power_w * 1_000),
                    it_mwh=round(over * 1_000), common_ms=3_600_000, facility_ms=3_600_000,
                    it_ms=3_600_000, interpolated_ms=0, estimated_ms=0, state="final",
                    reason="", formula="pue-1", updated_at=start,
                )
            )  # fmt: skip
            connection.execute(
                insert(weather_hour).values(
                    site_id=SITE, start_at=start, wet_bulb_c=wet_bulb(hour), samples=60
                )
            )


def test_a_fit_is_kept_and_read_as_it_was(engine: Engine) -> None:
    add_hours(engine, 20 * 24)
    with writing(engine) as connection:
        made = fit_site(connection, SITE, CATALOGUE, NOW, "key 1")
    with reading(engine) as connection:
        (found,) = newest_fits(connection, CATALOGUE).values()
        assert newest_fits(connection, CATALOGUE, "elsewhere") == {}
    assert found == made
    assert (found.version, found.actor, found.curve.quality.hours) == (1, "key 1", 480)
    assert found.curve.coefficients
    right = 400_000 + 1.1 * (DESIGN.facility_w(400_000, 12) - 400_000)
    assert found.curve.facility_w(400_000, 12) == pytest.approx(right, rel=0.005)


def test_a_later_fit_is_another_version_and_the_first_stays(engine: Engine) -> None:
    add_hours(engine, 10 * 24)
    with writing(engine) as connection:
        for _ in range(2):
            fit_site(connection, SITE, CATALOGUE, NOW, "key 1")
        rows = connection.execute(
            select(facility_fit.c.version, facility_fit.c.is_newest).order_by(
                facility_fit.c.version
            )
        ).all()
    assert [tuple(row) for row in rows] == [(1, False), (2, True)]


def test_a_curve_is_not_used_for_another_hall(engine: Engine) -> None:
    add_hours(engine, 10 * 24)
    with writing(engine) as connection:
        fit_site(connection, SITE, CATALOGUE, NOW, "key 1")
        connection.execute(update(site).values(cooling="legacy_air_chiller"))
        assert newest_fits(connection, CATALOGUE) == {}


def test_too_few_hours_are_refused_with_both_numbers(engine: Engine) -> None:
    add_hours(engine, 100)
    with writing(engine) as connection:
        with pytest.raises(Conflict, match=r"100 hours of qd .* 168 are needed"):
            fit_site(connection, SITE, CATALOGUE, NOW, "key 1")
        with pytest.raises(NotFound, match="there is no site moon"):
            fit_site(connection, "moon", CATALOGUE, NOW, "key 1")


def wet_readings(hours: range) -> list[Reading]:
    return [
        Reading(subject="site", metric="wet_bulb_c", value=10.0 + hour, at=at(hour * 3_600 + part))
        for hour in hours
        for part in (0, 1_800)
    ]


def test_hours_of_weather_outlive_the_samples_and_late_ones_are_added(engine: Engine) -> None:
    with writing(engine) as connection:
        add_site(connection)
        assert note_weather(connection, SITE, at(0)) == 0
        send(connection, "b1", wet_readings(range(2, 4)), 4 * 3_600)
        assert note_weather(connection, SITE, at(4 * 3_600)) == 2
        send(connection, "b2", wet_readings(range(2)), 4 * 3_600)
        assert note_weather(connection, SITE, at(4 * 3_600)) == 2
        rows = connection.execute(
            select(weather_hour.c.wet_bulb_c).order_by(weather_hour.c.start_at)
        )
        assert [row.wet_bulb_c for row in rows] == [10.0, 11.0, 12.0, 13.0]


def test_upkeep_fits_once_a_week_and_looks_once_a_day(engine: Engine) -> None:
    add_hours(engine, 10 * 24)
    with writing(engine) as connection:
        store.register_meters(connection, [a_meter("m-it", MeterRole.IT)])
        readings = [*wet_readings(range(2)), *constant_load("m-it", 1_000, [0, 60])]
        send(connection, "b1", readings, 2 * 3_600)
    clock = VirtualClock(START + 11 * 24 * HOUR)
    upkeep = FitUpkeep(engine, clock)
    assert [upkeep.run(), upkeep.run()] == [1, 0]
    clock.advance(timedelta(days=6).total_seconds())
    assert upkeep.run() == 0
    clock.advance(timedelta(days=1).total_seconds())
    with reading(engine) as connection:
        assert sites_to_fit(connection, clock.now()) == [SITE]
    assert upkeep.run() == 1
