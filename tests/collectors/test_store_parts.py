"""Retention and late data where packed samples lie in parts by day: on PostgreSQL."""

import pytest
from sqlalchemy import Engine, func, select, text
from telemetry_builders import (
    START,
    a_meter,
    add_site,
    at,
    constant_load,
    energy,
    send,
    stored_windows,
)

from collectors import store
from collectors.store_samples import registers_between
from collectors.upkeep import PartsUpkeep, RawUpkeep, keep_up
from suanwang.clock import VirtualClock, from_epoch_ms, to_epoch_ms
from suanwang.db import partitions
from suanwang.db.engine import reading, writing
from suanwang.db.partitions import CHUNKS
from suanwang.db.tables import sample, sample_chunk, series
from suanwang.model.meter import MeterRole
from suanwang.model.reading import Reading

HOUR, DAY = 3_600, 86_400
BEGAN = to_epoch_ms(START)
pytestmark = pytest.mark.postgresql


@pytest.fixture
def centre(postgres_engine: Engine) -> Engine:
    """A centre with a site and two meters, and the parts of the first day of the tests."""
    with writing(postgres_engine) as connection:
        add_site(connection)
        meters = [a_meter("m-it", MeterRole.IT), a_meter("m-f", MeterRole.FACILITY)]
        store.register_meters(connection, meters)
    upkeep(postgres_engine, 0)
    return postgres_engine


def upkeep(engine: Engine, seconds: float) -> None:
    """Do what the centre does from time to time."""
    clock = VirtualClock(at(seconds))
    PartsUpkeep(engine, clock).run()
    keep_up(engine, clock)
    RawUpkeep(engine, clock).run()


def days(engine: Engine) -> list[str]:
    """Return the days of which packed samples have a part that is over."""
    with reading(engine) as connection:
        found = partitions.starts_of(connection, CHUNKS)
    return [f"{start:%m-%d}" for start in found]


def packed(engine: Engine) -> int:
    """Return how many packed samples there are."""
    with reading(engine) as connection:
        return connection.scalar(select(func.sum(sample_chunk.c.samples))) or 0


def loose(engine: Engine) -> list[tuple[str, int]]:
    """Return the samples that lie row by row, by subject, with the second of their moment."""
    with reading(engine) as connection:
        rows = connection.execute(
            select(series.c.subject, sample.c.at_ms)
            .join(series, series.c.id == sample.c.series_id)
            .order_by(series.c.subject, sample.c.at_ms)
        )
        return [(subject, (at_ms - BEGAN) // 1000) for subject, at_ms in rows]


def test_days_that_are_too_old_are_dropped_and_last_readings_stay(centre: Engine) -> None:
    sweep = range(0, 2 * DAY, 600)
    gpu = [Reading(subject="gpu:1", metric="power_w", value=n, at=at(n)) for n in sweep]
    with writing(centre) as connection:
        send(connection, "b1", [*constant_load("m-it", 3_600, sweep), *gpu], 2 * DAY)
        # A meter that falls silent after an hour of the first day.
        send(connection, "b2", constant_load("m-f", 3_600, range(0, HOUR, 600)), 2 * DAY)
    upkeep(centre, 2 * DAY + 2 * HOUR)
    assert packed(centre) == 2 * 288 + 6
    assert days(centre)[0] == "09-10"

    upkeep(centre, 36 * DAY + 23 * HOUR)
    assert days(centre)[0] == "10-14"
    assert packed(centre) == 2 * 288 + 6
    upkeep(centre, 37 * DAY + HOUR)
    assert days(centre)[0] == "10-15"
    assert packed(centre) == 2 * 144
    # Its last reading is row by row now, and is not packed again.
    assert loose(centre) == [("meter:m-f", 3_000)]

    upkeep(centre, 60 * DAY)
    assert packed(centre) == 0
    assert loose(centre) == [("meter:m-f", 3_000), ("meter:m-it", 2 * DAY - 600)]
    with reading(centre) as connection:
        strays = [each.strays for each in partitions.facts(connection, at(60 * DAY))]
    assert strays == [0, 0]


def test_energy_over_a_silence_of_five_weeks_is_whole(centre: Engine) -> None:
    first, *rest = constant_load("m-it", 3_600, range(0, HOUR, 60))
    with writing(centre) as connection:
        send(connection, "b1", [first, *rest], HOUR)
    for day in (1, 30, 37):
        upkeep(centre, day * DAY)
    assert packed(centre) == 0
    back = 37 * DAY + 600
    with writing(centre) as connection:
        number = connection.scalars(select(series.c.id)).one()
        kept = registers_between(connection, number, to_epoch_ms(at(back)), to_epoch_ms(at(back)))
        assert [register.at_ms for register in kept] == [BEGAN + (HOUR - 60) * 1000]
        send(connection, "b2", [energy("m-it", back, first.value + 50_000)], back)
        windows = stored_windows(connection, "m-it")
    assert sum(window.energy_mwh for window in windows.values()) == 50_000_000
    # Of each month that it bridges.
    assert {f"{from_epoch_ms(start):%Y-%m}" for start in windows} == {"2026-10", "2026-11"}
    assert set(month_of_windows(centre)) == {"energy_window_202610", "energy_window_202611"}


def month_of_windows(engine: Engine) -> list[str]:
    """Return the parts in which windows lie."""
    with reading(engine) as connection:
        found = connection.scalars(text("SELECT DISTINCT tableoid::regclass FROM energy_window"))
        return [str(name) for name in found]


def test_late_readings_of_a_former_month_go_to_its_part(centre: Engine) -> None:
    november, october = 18 * DAY + HOUR, 17 * DAY + 12 * HOUR
    with writing(centre) as connection:
        send(connection, "b1", constant_load("m-it", 3_600, range(november, november + HOUR, 60)),
             november + HOUR)  # fmt: skip
    upkeep(centre, november + 2 * HOUR)
    with writing(centre) as connection:
        late = constant_load("m-it", 3_600, range(october, october + HOUR, 60))
        send(connection, "b2", late, november + 3 * HOUR)
    upkeep(centre, november + 4 * HOUR)
    with reading(centre) as connection:
        strays = [each.strays for each in partitions.facts(connection, at(november))]
        windows = stored_windows(connection, "m-it")
        number = connection.scalars(select(series.c.id)).one()
        low_ms = to_epoch_ms(at(october))
        kept = registers_between(connection, number, low_ms, low_ms + HOUR * 1000)
    assert strays == [0, 0]
    assert len(kept) == 61
    assert {f"{from_epoch_ms(start):%Y-%m}" for start in windows} == {"2026-10", "2026-11"}
