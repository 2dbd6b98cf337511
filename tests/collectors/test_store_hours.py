"""The curve of a site's PUE is that of its hours."""

from dataclasses import replace

import pytest
from sqlalchemy import Connection, Engine, update
from telemetry_builders import SITE, START, a_meter, add_site, at, constant_load, energy, send

from collectors import store
from collectors.store_hours import HourPue, hours_of_pue
from collectors.upkeep import keep_up
from suanwang.clock import VirtualClock
from suanwang.db.engine import writing
from suanwang.db.tables import site
from suanwang.model.meter import MeterRole, PueCategory, WindowState
from suanwang.model.reading import Quality, Reading

HOUR = 3_600
IT = a_meter("m-it", MeterRole.IT, poll_s=60)
FACILITY = a_meter("m-fac", MeterRole.FACILITY, poll_s=60)


def asked(hours: float, category: PueCategory | None = None) -> store.AskedPue:
    return store.AskedPue(start=START, end=at(hours * HOUR), now=at(60 * HOUR), category=category)


def hours_of(connection: Connection, hours: float) -> list[HourPue]:
    return list(hours_of_pue(connection, SITE, asked(hours)).rows())


def load(it_w: list[int], facility_w: list[int]) -> list[Reading]:
    """Return minutely registers of hours with a constant power each."""
    readings: list[Reading] = []
    for name, powers in (("m-it", it_w), ("m-fac", facility_w)):
        wh = 0.0
        for minute in range(60 * len(powers) + 1):
            readings.append(energy(name, minute * 60, wh))
            wh += powers[min(minute // 60, len(powers) - 1)] / 60
    return readings


def test_each_hour_is_what_its_pue_says(engine: Engine) -> None:
    """Below 1, above 3, without IT, with a gap, without facility: all as the figure of the hour."""
    it = [10_000, 10_000, 9_000, 10_000, 0, 10_000, 8_000, 8_000]
    facility = [13_000, 12_000, 10_000, 9_000, 5_000, 31_000, 10_000, 10_000]
    readings = [
        one
        for one in load(it, facility)
        if not (at(HOUR) < one.at < at(1.5 * HOUR))
        and not (at(6.75 * HOUR) < one.at and one.subject == "meter:m-it")
    ]
    with writing(engine) as connection:
        add_site(connection)
        store.register_meters(connection, [IT, FACILITY])
        send(connection, "b1", readings, 8 * HOUR)
    keep_up(engine, VirtualClock(at(9 * HOUR)))
    with writing(engine) as connection:
        hours = hours_of(connection, 9)
        figures = [
            store.pue(connection, SITE, hour.start, at((n + 1) * HOUR), at(9 * HOUR))
            for n, hour in enumerate(hours)
        ]
    assert [hour.start for hour in hours] == [at(n * HOUR) for n in range(8)]
    for hour, figure in zip(hours, figures, strict=True):
        assert hour.value == figure.value
        assert hour.quality is figure.quality
        assert (hour.facility_wh, hour.it_wh) == (figure.facility_wh, figure.it_wh)
        assert bool(hour.withheld) == bool(figure.withheld)
    assert [hour.quality for hour in hours[:3]] == [
        Quality.MEASURED,
        Quality.INTERPOLATED,
        Quality.MEASURED,
    ]
    assert [hour.withheld.split()[0] for hour in hours if hour.withheld] == [
        "facility",
        "the",
        "facility",
        "not",
    ]
    assert hours[6].coverage == 0.75


def test_an_hour_of_few_counts_is_an_estimate(engine: Engine) -> None:
    coarse = replace(IT, resolution_wh=1_000.0)
    with writing(engine) as connection:
        add_site(connection)
        store.register_meters(connection, [coarse, FACILITY])
        send(connection, "b1", load([10_000], [13_000]), HOUR)
    keep_up(engine, VirtualClock(at(2 * HOUR)))
    with writing(engine) as connection:
        (hour,) = hours_of(connection, 2)
        figure = store.pue(connection, SITE, START, at(HOUR), at(2 * HOUR))
    assert hour.quality is figure.quality is Quality.ESTIMATED


def test_an_hour_that_is_told_anew_stands_there_once_with_its_revision(engine: Engine) -> None:
    with writing(engine) as connection:
        add_site(connection)
        store.register_meters(connection, [IT, FACILITY])
        told = [one for one in load([10_000] * 2, [13_000] * 2) if one.at != at(HOUR)]
        send(connection, "b1", told, 2 * HOUR)
    keep_up(engine, VirtualClock(at(3 * HOUR)))
    with writing(engine) as connection:
        # Of an hour that is final: more was counted in its last minute than a straight line says.
        send(connection, "b2", [energy("m-it", HOUR, 10_010)], 30 * HOUR)
    keep_up(engine, VirtualClock(at(31 * HOUR)))
    with writing(engine) as connection:
        hours = hours_of(connection, 2)
    assert [(hour.revision, hour.state) for hour in hours] == [(1, WindowState.REVISED)] * 2
    assert [hour.it_wh for hour in hours] == [10_010, 9_990]


def test_without_one_category_there_are_no_hours_and_a_declared_one_has_them(
    engine: Engine,
) -> None:
    ups = a_meter("m-ups", MeterRole.IT, poll_s=60, category=PueCategory.PUE1)
    moments = [float(second) for second in range(0, HOUR + 1, 60)]
    with writing(engine) as connection:
        add_site(connection)
        store.register_meters(connection, [IT, FACILITY, ups])
        readings = [*load([10_000], [13_000]), *constant_load("m-ups", 10_400, moments)]
        send(connection, "b1", readings, HOUR)
    keep_up(engine, VirtualClock(at(2 * HOUR)))
    with writing(engine) as connection:
        nothing = hours_of_pue(connection, SITE, asked(2))
        first = hours_of_pue(connection, SITE, asked(2, PueCategory.PUE1))
        connection.execute(update(site).values(pue_category="PUE3"))
        declared = hours_of_pue(connection, SITE, asked(2))
    assert (len(nothing), nothing.category) == (0, None)
    assert [hour.value for hour in first.rows()] == [pytest.approx(1.25, abs=1e-9)]
    assert [hour.value for hour in declared.rows()] == [pytest.approx(1.3, abs=1e-9)]
    assert declared.category is PueCategory.PUE3
