"""The record behind a bill, on both databases."""

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine
from telemetry_builders import SITE, START, a_meter, add_site, at, constant_load, energy, send

from collectors import store
from collectors.store_bill import WINDOW, PeakBook, drawn_w, grid_record, peak_so_far
from suanwang.db.engine import reading, writing
from suanwang.errors import BadInput
from suanwang.model.meter import Carrier, MeterRole
from suanwang.model.reading import Reading

HOUR = 3_600
GRID_A = a_meter("m-a", MeterRole.FACILITY)
GRID_B = a_meter("m-b", MeterRole.FACILITY)
DIESEL = replace(a_meter("m-diesel", MeterRole.FACILITY), carrier=Carrier.DIESEL)
IT = a_meter("m-it", MeterRole.IT)


def take(engine: Engine, *readings: Reading, hours: float = 4) -> None:
    with writing(engine) as connection:
        add_site(connection)
        store.register_meters(connection, [GRID_A, GRID_B, DIESEL, IT])
        send(connection, "b1", readings, hours * HOUR)


def every(seconds: int, hours: float) -> list[float]:
    return [float(second) for second in range(0, int(hours * HOUR) + 1, seconds)]


def test_what_crosses_the_border_as_electricity_is_billed(engine: Engine) -> None:
    take(
        engine,
        *constant_load("m-a", 40_000, every(300, 2)),
        *constant_load("m-b", 20_001, every(300, 2)),
        *constant_load("m-it", 50_000, every(300, 2)),
    )
    with reading(engine) as connection:
        found = grid_record(connection, SITE, START, at(2 * HOUR), at(3 * HOUR))
    assert (found.asked, found.expected, len(found.uses), found.meters) == (8, 8, 8, 2)
    # 60.001 kW over 2 h are 120,002 Wh; a window's 15,000.25 Wh are never lost by rounding.
    assert sum(use.energy_wh for use in found.uses) == 120_002
    assert {use.energy_wh for use in found.uses} == {15_000, 15_001}
    assert found.coverage == 1.0
    assert found.is_provisional  # three hours are too young to be final
    assert found.provisional == 8


def test_a_window_that_one_meter_does_not_know_is_missing_and_not_guessed(engine: Engine) -> None:
    late = [second for second in every(300, 2) if second >= HOUR]
    take(
        engine,
        *constant_load("m-a", 40_000, every(300, 2)),
        *constant_load("m-b", 20_000, late),
    )
    with reading(engine) as connection:
        found = grid_record(connection, SITE, START, at(6 * HOUR), at(3 * HOUR))
    assert (found.asked, found.expected, len(found.uses)) == (24, 12, 4)
    assert found.uses[0].start == at(HOUR)
    assert found.coverage == pytest.approx(4 / 12)


def test_the_peak_of_the_month_is_the_largest_known_window(engine: Engine) -> None:
    # 40 kW, and in one quarter of an hour 80 kW.
    wh = [10_000.0 * n for n in range(9)]
    wh = [value + (10_000.0 if n > 4 else 0.0) for n, value in enumerate(wh)]
    readings = [energy("m-a", n * 900, value) for n, value in enumerate(wh)]
    take(engine, *readings, *constant_load("m-b", 1_000, every(900, 2)))
    with reading(engine) as connection:
        found = peak_so_far(connection, SITE, "Asia/Shanghai", at(2 * HOUR))
        later = datetime(2026, 11, 1, 1, tzinfo=ZoneInfo("Asia/Shanghai"))
        fresh = peak_so_far(connection, SITE, "Asia/Shanghai", later)
    assert found is not None
    assert found.peak_w == 81_000
    began = datetime(2026, 10, 1, tzinfo=ZoneInfo("Asia/Shanghai"))
    assert found.month_start == began
    assert found.coverage == pytest.approx(8 * WINDOW / (at(2 * HOUR) - began))
    assert fresh is not None
    assert (fresh.peak_w, fresh.coverage) == (0, 0.0)


def test_a_site_without_a_meter_at_its_border_has_no_bill(engine: Engine) -> None:
    with writing(engine) as connection:
        add_site(connection)
        assert peak_so_far(connection, SITE, "Asia/Shanghai", START) is None
        with pytest.raises(BadInput, match="no meter of electricity at its border"):
            grid_record(connection, SITE, START, at(HOUR), at(HOUR))


def test_more_than_a_year_is_refused(engine: Engine) -> None:
    with reading(engine) as connection, pytest.raises(BadInput, match="the most is 400"):
        grid_record(connection, SITE, START, START.replace(year=2028), START)


def test_a_month_that_begins_expects_most_of_the_last_ones_peak(engine: Engine) -> None:
    take(
        engine,
        *constant_load("m-a", 40_000, every(900, 24)),
        *constant_load("m-b", 20_000, every(900, 24)),
        hours=25,
    )
    book = PeakBook()
    next_month = datetime(2026, 11, 1, 1, tzinfo=ZoneInfo("Asia/Shanghai"))
    with reading(engine) as connection:
        asked = (connection, SITE, "Asia/Shanghai")
        # A record of a few hours does not know what the month's peak will be.
        assert PeakBook().expected_w(*asked, at(23 * HOUR)) is None
        assert book.expected_w(*asked, at(24 * HOUR)) == 60_000
        assert book.expected_w(*asked, next_month) == 54_000  # 0.9 of October's
    with writing(engine) as connection:
        send(connection, "b2", constant_load("m-a", 80_000, every(900, 24.5)[-2:]), 25 * HOUR)
        # Within the same 15 minutes the book is not asked again.
        assert book.expected_w(connection, SITE, "Asia/Shanghai", next_month) == 54_000


def test_the_running_window_has_a_mean_power_so_far_once_every_meter_told_of_it(
    engine: Engine,
) -> None:
    now = HOUR + 600
    known = [second for second in every(60, 2) if second <= now - 60]
    take(
        engine,
        *constant_load("m-a", 40_000, known),
        *constant_load("m-b", 20_000, known),
        hours=now / HOUR,
    )
    with reading(engine) as connection:
        assert drawn_w(connection, SITE, at(now)) == pytest.approx(60_000.0)
        # In the next quarter of an hour nobody has told anything yet.
        assert drawn_w(connection, SITE, at(now + 900)) is None
        assert drawn_w(connection, "elsewhere", at(now)) is None
