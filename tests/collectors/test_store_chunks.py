"""Raw samples in open hours and in chunks are one record, which forgets what is too old."""

import random
import struct
from datetime import timedelta

import pytest
from sqlalchemy import Engine, func, select, update
from telemetry_builders import (
    SITE,
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
from collectors.store_samples import SampleRow, registers_between, rows_between
from collectors.upkeep import RawUpkeep
from suanwang.clock import VirtualClock, to_epoch_ms
from suanwang.db import samples
from suanwang.db.engine import writing
from suanwang.db.tables import meter_state, sample, sample_chunk, series
from suanwang.model.meter import MeterRole
from suanwang.model.reading import Reading

HOUR, DAY = 3_600, 86_400
BEGAN = to_epoch_ms(START)


def prepare(engine: Engine) -> None:
    with writing(engine) as connection:
        add_site(connection)
        store.register_meters(connection, [a_meter("m-it", MeterRole.IT)])


def pack(engine: Engine, seconds: float) -> tuple[int, int]:
    packed = RawUpkeep(engine, VirtualClock(at(seconds))).run()
    return packed.samples, packed.chunks


def gpu(seconds: float, value: float, subject: str = "gpu:1") -> Reading:
    return Reading(subject=subject, metric="power_w", value=value, at=at(seconds))


def count(engine: Engine) -> tuple[int, int]:
    """Return how many rows are loose, and how many samples are packed."""
    with writing(engine) as connection:
        loose = connection.scalar(select(func.count()).select_from(sample)) or 0
        packed = connection.scalar(select(func.sum(sample_chunk.c.samples))) or 0
    return loose, packed


def test_hours_that_are_over_are_packed_and_read_like_before(engine: Engine) -> None:
    prepare(engine)
    rng = random.Random(3)
    readings = [gpu(n * 15, rng.choice((1 / 3, -1e-7, 400.0)) * n + 1) for n in range(3 * 240)]
    with writing(engine) as connection:
        send(connection, "b1", readings, 3 * HOUR)
        number = connection.scalars(select(series.c.id)).one()
        before = samples.read(connection, number, BEGAN, BEGAN + 3 * HOUR * 1000)
    assert pack(engine, 2 * HOUR + 599) == (240, 1)
    assert pack(engine, 2 * HOUR + 600) == (240, 1)
    assert pack(engine, 2 * HOUR + 600) == (0, 0)
    with writing(engine) as connection:
        after = samples.read(connection, number, BEGAN, BEGAN + 3 * HOUR * 1000)
    assert count(engine) == (240, 480)
    assert after.at_ms.tolist() == before.at_ms.tolist()
    assert [struct.pack("<d", value) for value in after.value] == [
        struct.pack("<d", reading.value) for reading in readings
    ]


def test_a_late_sample_joins_its_chunk_and_of_a_moment_the_first_value_stays(
    engine: Engine,
) -> None:
    prepare(engine)
    with writing(engine) as connection:
        send(connection, "b1", [gpu(0, 1), gpu(60, 2), gpu(HOUR, 3)], HOUR)
    pack(engine, 3 * HOUR)
    with writing(engine) as connection:
        late = send(connection, "b2", [gpu(60, 9), gpu(30, 4), gpu(HOUR, 3)], 3 * HOUR)
        number = connection.scalars(select(series.c.id)).one()
        mixed = samples.read(connection, number, BEGAN, BEGAN + DAY * 1000)
    assert (late.accepted, late.duplicates) == (1, 2)
    assert count(engine) == (1, 3)
    pack(engine, 3 * HOUR)
    with writing(engine) as connection:
        packed = samples.read(connection, number, BEGAN, BEGAN + DAY * 1000)
    assert count(engine) == (0, 4)
    assert mixed.value.tolist() == packed.value.tolist() == [1, 4, 2, 3]


@pytest.mark.parametrize("packed_at", [0, 2 * HOUR, 30 * HOUR])
def test_one_sample_before_and_one_after_are_found_wherever_they_lie(
    engine: Engine, packed_at: int
) -> None:
    prepare(engine)
    moments = (0, 1_800, 2 * HOUR, 2 * HOUR + 60, 25 * HOUR)
    with writing(engine) as connection:
        send(connection, "b1", [gpu(second, second) for second in moments], 25 * HOUR)
        number = connection.scalars(select(series.c.id)).one()
    pack(engine, packed_at)
    with writing(engine) as connection:
        for low, high, expected in (
            (1_800, 2 * HOUR, [0, 1_800, 2 * HOUR, 2 * HOUR + 60]),
            (3 * HOUR, 4 * HOUR, [2 * HOUR + 60, 25 * HOUR]),
            (0, 0, [0, 1_800]),
            (26 * HOUR, 27 * HOUR, [25 * HOUR]),
        ):
            rows = rows_between(connection, number, BEGAN + low * 1000, BEGAN + high * 1000)
            assert [row.value for row in rows] == expected
            assert all(isinstance(row, SampleRow) for row in rows)
        assert rows_between(connection, number + 1, 0, BEGAN) == []


@pytest.mark.parametrize("packed_at", [0, 2 * HOUR, 30 * HOUR])
def test_many_series_are_read_around_a_time_as_each_by_itself(
    engine: Engine, packed_at: int
) -> None:
    prepare(engine)
    rng = random.Random(packed_at)
    with writing(engine) as connection:
        readings = [
            gpu(second, second, f"gpu:{number}")
            for number in range(6)
            for second in sorted(rng.sample(range(0, 20 * HOUR, 600), 9 * number))
        ]
        send(connection, "b1", readings, 25 * HOUR)
    pack(engine, packed_at)
    with writing(engine) as connection:
        send(connection, "b2", [gpu(5 * HOUR + 1, 1, "gpu:3")], 25 * HOUR)
        numbers = [*connection.scalars(select(series.c.id)), 999]
        for low, high in (
            (0, 0),
            (3 * HOUR, 4 * HOUR),
            (5 * HOUR, 19 * HOUR),
            (21 * HOUR, 22 * HOUR),
        ):
            period = BEGAN + low * 1000, BEGAN + high * 1000
            many = samples.around(connection, numbers, *period)
            for number in numbers:
                every = samples.read(connection, number, 0, 2**62).at_ms.tolist()
                first = [at_ms for at_ms in every if at_ms < period[0]][-1:]
                last = [at_ms for at_ms in every if at_ms > period[1]][:1]
                inside = [at_ms for at_ms in every if period[0] <= at_ms <= period[1]]
                found = many.get(number, samples.NOTHING).at_ms.tolist()
                assert found == [*first, *inside, *last]


def test_the_newest_sample_is_found_in_a_chunk_where_nothing_newer_came(engine: Engine) -> None:
    prepare(engine)
    with writing(engine) as connection:
        send(connection, "b1", [gpu(60, 2), gpu(0, 1), gpu(0, 7, "gpu:2")], 60)
    pack(engine, 3 * HOUR)
    with writing(engine) as connection:
        send(connection, "b2", [gpu(30, 3), gpu(3 * HOUR, 8, "gpu:2")], 3 * HOUR)
        newest = store.latest(connection, SITE)
        one = store.latest(connection, SITE, [("gpu:2", "power_w")])
    assert newest["gpu:1", "power_w"].value == 2
    assert newest["gpu:1", "power_w"].at == at(60)
    assert {name: fact.value for name, fact in one.items()} == {("gpu:2", "power_w"): 8}


def test_a_late_register_reading_changes_windows_that_are_packed(engine: Engine) -> None:
    prepare(engine)
    readings = constant_load("m-it", 3_600, [0, 60, 900, 960, 1_800, 5 * HOUR])
    late = energy("m-it", 930, 931)
    with writing(engine) as connection:
        send(connection, "b1", readings, 5 * HOUR)
    pack(engine, 6 * HOUR)
    with writing(engine) as connection:
        send(connection, "b2", [late], 6 * HOUR)
        send(connection, "b3", [late, energy("m-it", 960, 5)], 6 * HOUR)
        windows = stored_windows(connection, "m-it")
        number = connection.scalars(select(series.c.id)).one()
        kept = registers_between(connection, number, BEGAN, BEGAN + HOUR * 1000)
        state = connection.execute(select(meter_state)).one()
    assert [register.mwh for register in kept][:5] == [0, 60_000, 900_000, 931_000, 960_000]
    assert sum(window.energy_mwh for window in windows.values()) == 5 * HOUR * 1000
    assert state.conflicts == 1


def test_samples_go_after_36_days_but_the_last_reading_of_a_register_stays(
    engine: Engine,
) -> None:
    prepare(engine)
    with writing(engine) as connection:
        send(connection, "b1", constant_load("m-it", 3_600, range(0, 3 * HOUR, 60)), 3 * HOUR)
        send(connection, "b2", [gpu(0, 1), gpu(2 * HOUR, 2)], 3 * HOUR)
    pack(engine, 4 * HOUR)
    upkeep_at = 36 * DAY + 2 * HOUR + 60
    pack(engine, upkeep_at)
    with writing(engine) as connection:
        kept = connection.execute(
            select(series.c.subject, sample_chunk.c.start_ms)
            .join(series, series.c.id == sample_chunk.c.series_id)
            .order_by(series.c.subject, sample_chunk.c.start_ms)
        ).all()
        kept_from = connection.scalar(select(meter_state.c.kept_from_ms))
    hour_ms = HOUR * 1000
    assert [tuple(row) for row in kept] == [
        ("gpu:1", BEGAN + 2 * hour_ms),
        ("meter:m-it", BEGAN + hour_ms),
        ("meter:m-it", BEGAN + 2 * hour_ms),
    ]
    assert kept_from == BEGAN + 2 * hour_ms - 60_000
    pack(engine, upkeep_at + 70 * DAY)
    with writing(engine) as connection:
        assert connection.scalars(select(sample_chunk.c.start_ms)).all() == [BEGAN + 2 * hour_ms]
        windows = stored_windows(connection, "m-it")
    assert sum(window.energy_mwh for window in windows.values()) == (3 * HOUR - 60) * 1000


def test_an_anchor_in_a_chunk_goes_where_a_later_reading_lies_row_by_row(engine: Engine) -> None:
    prepare(engine)
    with writing(engine) as connection:
        send(connection, "b1", [energy("m-it", 0, 0)], 60)
    pack(engine, 2 * HOUR)
    with writing(engine) as connection:
        send(connection, "b2", [energy("m-it", 2 * HOUR, 5)], 2 * HOUR)
        assert store.prune(connection, START + timedelta(hours=5)) == 1
        assert connection.scalar(select(meter_state.c.kept_from_ms)) == BEGAN + 2 * HOUR * 1000
    assert count(engine) == (1, 0)


def test_a_damaged_chunk_holds_nothing_else_up_and_loses_nothing(engine: Engine) -> None:
    prepare(engine)
    with writing(engine) as connection:
        send(connection, "b1", [gpu(0, 1)], 0)
    pack(engine, 2 * HOUR)
    with writing(engine) as connection:
        body = connection.scalars(select(sample_chunk.c.body)).one()
        connection.execute(update(sample_chunk).values(body=body[:-1] + b"!"))
        send(connection, "b2", [gpu(HOUR, 3)], 2 * HOUR)
        number = connection.scalars(select(series.c.id)).one()
        row = SampleRow(BEGAN + 15_000, number, 2.0, "measured")
        connection.execute(sample.insert().values(row._asdict()))
    assert pack(engine, 3 * HOUR) == (0, 0)
    assert count(engine) == (2, 1)
    with writing(engine) as connection:
        connection.execute(update(sample_chunk).values(body=body))
    assert pack(engine, 3 * HOUR) == (2, 2)
    assert count(engine) == (0, 3)
