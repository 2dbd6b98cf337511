"""The energy record and PUE in the database, on SQLite and on PostgreSQL."""

import random
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select
from telemetry_builders import (
    SITE,
    START,
    a_meter,
    add_site,
    at,
    constant_load,
    energy,
    power,
    reading_of,
    register,
    send,
    stored_windows,
)

from collectors import accumulator, store, store_explain
from collectors.accumulator import WINDOW_MS
from collectors.register import History, MeterRules, Register
from suanwang.db.engine import writing
from suanwang.db.tables import energy_window, meter_state, sample
from suanwang.errors import BadInput
from suanwang.model.meter import MeterRole, PueCategory
from suanwang.model.reading import Quality

IT = a_meter("m-it", MeterRole.IT)
FACILITY = a_meter("m-fac", MeterRole.FACILITY)


def prepare(engine: Engine, *meters: object) -> None:
    """Make a site with an IT and a facility meter (or those given)."""
    with writing(engine) as connection:
        add_site(connection)
        store.register_meters(connection, meters or (IT, FACILITY))  # type: ignore[arg-type]


def every(step: float, first: float, last: float) -> list[float]:
    """Return seconds from first to last, both inside."""
    return [first + step * i for i in range(round((last - first) / step) + 1)]


def test_pue_is_facility_energy_over_it_energy_worked_out_by_hand(engine: Engine) -> None:
    """IT 36 kW and facility 46.8 kW for 2 hours: 72 kWh, 93.6 kWh, PUE 1.3."""
    prepare(engine)
    with writing(engine) as connection:
        moments = every(15, 0, 7200)
        send(connection, "b1", constant_load("m-it", 36_000, moments), 7200)
        send(connection, "b2", constant_load("m-fac", 46_800, moments, 5e6), 7200)
        figure = store.pue(connection, SITE, START, at(7200), at(7200))
    assert figure.value == pytest.approx(1.3, abs=1e-9)
    assert figure.it_wh == pytest.approx(72_000, abs=1e-9)
    assert figure.facility_wh == pytest.approx(93_600, abs=1e-9)
    assert (figure.coverage_it, figure.coverage_facility) == (1.0, 1.0)
    assert figure.quality is Quality.MEASURED
    assert figure.is_interim
    assert figure.category is PueCategory.PUE3


def test_energies_are_weighed_by_energy_and_not_by_moments(engine: Engine) -> None:
    """100 kW at PUE 1.2 for an hour, then 10 kW at 2.0: (120 + 20) / (100 + 10), not 1.6."""
    prepare(engine)
    it = [(0, 0.0), (3600, 100_000.0), (7200, 110_000.0)]
    facility = [(0, 0.0), (3600, 120_000.0), (7200, 140_000.0)]
    with writing(engine) as connection:
        readings = [energy("m-it", s, wh) for s, wh in it]
        readings += [energy("m-fac", s, wh) for s, wh in facility]
        send(connection, "b1", readings, 7200)
        figure = store.pue(connection, SITE, START, at(7200), at(7200))
    assert figure.value == pytest.approx(140 / 110, abs=1e-9)


def test_a_minute_in_the_middle_of_a_window_has_a_pue_of_its_own(engine: Engine) -> None:
    prepare(engine)
    with writing(engine) as connection:
        moments = every(2, 100, 160)
        send(connection, "b1", constant_load("m-it", 10_000, moments), 160)
        send(connection, "b2", constant_load("m-fac", 12_500, moments), 160)
        figure = store.pue(connection, SITE, at(161) - timedelta(days=1), at(161), at(161))
    assert figure.value == pytest.approx(1.25, abs=1e-4)
    assert (figure.start, figure.end) == (at(100), at(161))
    assert figure.coverage_it == pytest.approx(60 / 61)
    assert figure.is_interim


def test_both_energies_stand_for_the_same_time_when_one_meter_is_lost(engine: Engine) -> None:
    """IT is known for the first of two hours: the second hour's facility energy is left out."""
    prepare(engine)
    with writing(engine) as connection:
        send(connection, "b1", constant_load("m-it", 10_000, every(15, 0, 3690)), 7200)
        send(connection, "b2", constant_load("m-fac", 13_000, every(15, 0, 7200)), 7200)
        figure = store.pue(connection, SITE, START, at(7200), at(7200))
    assert figure.value == pytest.approx(1.3, abs=1e-6)
    assert figure.coverage_facility == 1.0
    assert figure.coverage_it == pytest.approx(3690 / 7200)


def test_a_pue_below_one_or_above_three_is_withheld_with_both_energies(engine: Engine) -> None:
    prepare(engine)
    with writing(engine) as connection:
        moments = every(15, 0, 3600)
        send(connection, "b1", constant_load("m-it", 13_000, moments), 3600)
        send(connection, "b2", constant_load("m-fac", 10_000, moments), 3600)
        low = store.pue(connection, SITE, START, at(3600), at(3600))
        send(connection, "b3", constant_load("m-it", 1_000, every(15, 3615, 7200), 20_000), 7200)
        send(connection, "b4", constant_load("m-fac", 10_000, every(15, 3615, 7200)), 7200)
        high = store.pue(connection, SITE, at(3615), at(7200), at(7200))
    assert low.value is None
    assert "10000.000 Wh is below IT energy 13000.000 Wh" in low.withheld
    assert high.value is None
    assert "more than 3 times" in high.withheld


def test_categories_are_never_mixed(engine: Engine) -> None:
    other = a_meter("m-it2", MeterRole.IT, category=PueCategory.PUE1)
    prepare(engine, IT, other, FACILITY)
    with writing(engine) as connection:
        for name in ("m-it", "m-it2", "m-fac"):
            send(connection, name, constant_load(name, 10_000, (0, 900)), 900)
        figure = store.pue(connection, SITE, START, at(900), at(900))
    assert figure.value is None
    assert "PUE1 and PUE3" in figure.withheld


def test_a_site_without_readings_says_so(engine: Engine) -> None:
    prepare(engine)
    with writing(engine) as connection:
        figure = store.pue(connection, SITE, START, at(900), at(900))
        nobody = store.pue(connection, "nowhere", START, at(900), at(900))
    assert (figure.value, figure.quality) == (None, Quality.MISSING)
    assert "no time at which" in figure.withheld
    assert "no IT meter" in nobody.withheld


def test_a_period_out_of_reach_says_so(engine: Engine) -> None:
    """One that is to come has no gaps either, and one before the first reading is no silence."""
    prepare(engine)
    with writing(engine) as connection:
        send(connection, "b1", constant_load("m-it", 10_000, every(15, 0, 900)), 900)
        send(connection, "b2", constant_load("m-fac", 12_000, every(15, 0, 900)), 900)
        ahead = store_explain.explain(connection, SITE, at(1_800), at(7_200), at(900))
        before = store.pue(connection, SITE, at(-7_200), at(-3_600), at(900))
        both = store_explain.explain(connection, SITE, at(-7_200), at(7_200), at(900))
    assert ahead.figure.withheld.endswith("which is to come")
    assert [part.gaps for part in ahead.meters] == [(), ()]
    assert "were first read at 2026-10-14T00:00:00+00:00" in before.withheld
    assert (both.figure.start, both.figure.end) == (START, at(900))


def test_it_is_explained_for_how_long_a_register_bridged_pauses(engine: Engine) -> None:
    prepare(engine)
    with writing(engine) as connection:
        told = [second for second in every(15, 0, 3_600) if not 600 < second < 1_200]
        send(connection, "b1", constant_load("m-it", 10_000, told), 3_600)
        send(connection, "b2", constant_load("m-fac", 12_000, every(15, 0, 3_600)), 3_600)
        explained = store_explain.explain(connection, SITE, START, at(3_600), at(3_600))
    facility, it = explained.meters
    assert (it.bridged_s, it.estimated_s, facility.bridged_s) == (600, 0, 0)


def test_a_year_with_full_coverage_is_official_and_one_with_a_long_hole_is_interim(
    sqlite_engine: Engine,
) -> None:
    hourly = a_meter("m-it", MeterRole.IT, poll_s=3600)
    facility = a_meter("m-fac", MeterRole.FACILITY, poll_s=3600)
    prepare(sqlite_engine, hourly, facility)
    day = 86_400
    with writing(sqlite_engine) as connection:
        for number in range(366):
            moments = every(3600, number * day, number * day + day - 3600)
            readings = constant_load("m-it", 10_000, moments)
            readings += constant_load("m-fac", 12_000, moments)
            send(connection, f"day {number}", readings, (number + 1) * day)
        now = at(366 * day)
        year = store.pue(connection, SITE, START, at(365 * day), now)
        half = store.pue(connection, SITE, START, at(180 * day), now)
    assert year.value == pytest.approx(1.2, abs=1e-9)
    assert not year.is_interim
    assert half.is_interim


def test_fewer_than_a_hundred_counts_are_an_estimate(engine: Engine) -> None:
    """A register of 100 Wh that advanced 50 counts knows its energy to 2 % only."""
    coarse = a_meter("m-it", MeterRole.IT, resolution_wh=100)
    prepare(engine, coarse, FACILITY)
    with writing(engine) as connection:
        send(connection, "b1", constant_load("m-it", 20_000, (0, 900)), 900)
        send(connection, "b2", constant_load("m-fac", 26_000, every(15, 0, 900)), 900)
        figure = store.pue(connection, SITE, START, at(900), at(900))
    assert figure.value == pytest.approx(1.3, abs=1e-9)
    assert figure.quality is Quality.ESTIMATED


def test_energy_of_a_role_is_the_sum_of_its_meters_with_its_coverage(engine: Engine) -> None:
    prepare(engine, IT, a_meter("m-it2", MeterRole.IT), FACILITY)
    with writing(engine) as connection:
        send(connection, "b1", constant_load("m-it", 10_000, every(15, 0, 3600)), 3600)
        send(connection, "b2", constant_load("m-it2", 20_000, every(15, 0, 1800)), 3600)
        figure = store.energy_wh(connection, SITE, MeterRole.IT, START, at(3600))
        part = store.energy_wh(connection, SITE, MeterRole.IT, at(100), at(1000))
        with pytest.raises(BadInput, match="is empty"):
            store.energy_wh(connection, SITE, MeterRole.IT, at(5), at(5))
    assert figure.wh == pytest.approx(20_000, abs=1e-9)
    assert figure.coverage == pytest.approx(0.75)
    assert part.wh == pytest.approx(7_500, abs=1e-2)
    assert part.coverage == 1.0


@pytest.mark.parametrize(
    ("told_s", "rows"),
    [
        pytest.param(
            1_810,
            [
                (0, 9_000_000, "provisional", "late readings"),
                (0, 1_000_000, "provisional", "late readings"),
            ],
            id="what is provisional changes in place",
        ),
        pytest.param(
            86_400 + 1_800,
            [
                (0, 5_000_000, "provisional", ""),
                (1, 9_000_000, "revised", "late readings"),
                (0, 5_000_000, "provisional", ""),
                (1, 1_000_000, "revised", "late readings"),
            ],
            id="what is final gets a revision",
        ),
    ],
)
def test_a_late_reading_changes_its_windows_and_says_why(
    engine: Engine, told_s: float, rows: list[tuple[int, int, str, str]]
) -> None:
    prepare(engine)
    with writing(engine) as connection:
        send(connection, "b1", [energy("m-it", 0, 0), energy("m-it", 1800, 10_000)], 1800)
        send(connection, "b2", [energy("m-it", 900, 9_000)], told_s)
        found = connection.execute(
            select(energy_window).order_by(energy_window.c.start_at, energy_window.c.revision)
        ).all()
    assert [(r.revision, r.energy_mwh, r.state, r.reason) for r in found] == rows


def test_readings_for_a_final_window_make_a_new_revision(engine: Engine) -> None:
    prepare(engine)
    day = 86_400
    with writing(engine) as connection:
        send(connection, "b1", constant_load("m-it", 10_000, every(15, 0, 600)), 600)
        send(connection, "b2", constant_load("m-it", 10_000, every(15, 615, 1200)), 2 * day)
        rows = connection.execute(
            select(energy_window).order_by(energy_window.c.start_at, energy_window.c.revision)
        ).all()
    assert [(r.revision, r.state, r.reason) for r in rows] == [
        (0, "provisional", ""),
        (1, "revised", "readings came after the window was final"),
        (0, "final", ""),
    ]


def test_a_repeated_reading_is_a_duplicate_and_another_value_a_counted_conflict(
    engine: Engine,
) -> None:
    prepare(engine)
    with writing(engine) as connection:
        send(connection, "b1", [energy("m-it", 0, 0), energy("m-it", 15, 100)], 15)
        again = send(connection, "b2", [energy("m-it", 15, 100), energy("m-it", 15, 120)], 15)
        state = connection.execute(
            select(meter_state).where(meter_state.c.meter_id == "m-it")
        ).one()
    assert (again.accepted, again.duplicates, again.refused) == (0, 2, ())
    assert (state.conflicts, state.register_mwh) == (1, 100_000)


def test_power_counts_are_told_by_role_and_age(engine: Engine) -> None:
    prepare(engine, IT, a_meter("m-it2", MeterRole.IT), FACILITY)
    with writing(engine) as connection:
        send(connection, "b1", [power("m-it", 10, 4_000), power("m-it", 5, 1)], 10)
        it, facility = store.site_power(connection, SITE)
        send(connection, "b2", [power("m-it2", 12, 3_000), power("m-fac", 11, 9_000)], 12)
        both, all_of_it = store.site_power(connection, SITE)
    assert (it.value, it.at, it.quality) == (4_000, at(10), Quality.ESTIMATED)
    assert (facility.at, facility.quality) == (None, Quality.MISSING)
    assert (both.value, both.at, both.quality) == (7_000, at(10), Quality.MEASURED)
    assert all_of_it.value == 9_000


def test_pruning_keeps_windows_and_the_anchor_of_each_register(engine: Engine) -> None:
    prepare(engine)
    with writing(engine) as connection:
        send(connection, "b1", constant_load("m-it", 10_000, every(15, 0, 3600)), 3600)
        send(connection, "b2", constant_load("m-fac", 12_000, every(15, 0, 3600)), 3600)
        before = stored_windows(connection, "m-it")
        gone = store.prune(connection, at(1830))
        assert gone == 2 * (1815 // 15)
        refused = send(connection, "b3", [energy("m-it", 1500, 1)], 3600)
        assert "before the raw record" in refused.refused[0]
        late = send(connection, "b4", [energy("m-it", 1820, 1820 * 10 / 3.6)], 3600)
        assert late.accepted == 1
        assert stored_windows(connection, "m-it") == before
        send(connection, "b5", [energy("m-it", 3615, 3615 * 10 / 3.6)], 3615)
        assert stored_windows(connection, "m-it")[min(before)] == before[min(before)]
        figure = store.pue(connection, SITE, START, at(3600), at(3600))
        part = store.energy_wh(connection, SITE, MeterRole.IT, at(450), at(900))
    assert figure.value == pytest.approx(1.2, abs=1e-5)
    assert part.wh == pytest.approx(1250, abs=1e-3)
    assert part.quality is Quality.INTERPOLATED


@st.composite
def meter_story(draw: st.DrawFn) -> list[Register]:
    """Readings of a meter that advances, wraps at 1 kWh, is reset, and pauses."""
    value, second = draw(st.integers(0, 999_999)), 0
    story = [register(0, value)]
    for _ in range(draw(st.integers(1, 25))):
        second += draw(st.sampled_from([1, 15, 15, 15, 60, 900, 4000]))
        if draw(st.integers(0, 9)) == 0:
            value = draw(st.integers(0, 999_999))
        else:
            value = (value + draw(st.integers(0, 40_000))) % 1_000_000
        quality = draw(st.sampled_from([Quality.MEASURED] * 4 + [Quality.ESTIMATED]))
        story.append(register(second, value, quality))
    return story


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(story=meter_story(), seed=st.integers(0, 2**32), cuts=st.integers(1, 6))
def test_any_order_of_arrival_gives_the_same_record_as_all_at_once(
    sqlite_engine: Engine, story: list[Register], seed: int, cuts: int
) -> None:
    """Shuffled, duplicated and late batches end in the windows of the batch computation."""
    meter = a_meter("m-it", MeterRole.IT, rated_w=20_000, modulus_wh=1_000)
    shuffled = random.Random(seed)
    arriving = [*story, *shuffled.choices(story, k=len(story) // 2)]
    shuffled.shuffle(arriving)
    connection = sqlite_engine.connect()
    transaction = connection.begin()
    try:
        add_site(connection)
        store.register_meters(connection, [meter])
        last = 0
        for number in range(cuts):
            piece = arriving[number::cuts]
            last = max([last, *(r.at_ms for r in piece)])
            send(connection, f"b{number}", [reading_of("m-it", r) for r in piece], 200_000)
        expected = accumulator.windows(History.of(MeterRules.of(meter)), story)
        assert stored_windows(connection, "m-it") == expected
        samples = connection.execute(select(sample.c.at_ms)).all()
        assert len(samples) == len(story)
    finally:
        transaction.rollback()
        connection.close()


def test_windows_telescope_to_what_the_register_advanced_over_a_rollover(engine: Engine) -> None:
    meter = a_meter("m-it", MeterRole.IT, modulus_wh=100_000)
    prepare(engine, meter, FACILITY)
    values = [99_000.123, 99_900.456, 37.001, 1_000.999, 1_001.0]
    with writing(engine) as connection:
        readings = [energy("m-it", 700 * i, wh) for i, wh in enumerate(values)]
        for number, reading in enumerate(readings):
            send(connection, f"b{number}", [reading], 4_000)
        sums = stored_windows(connection, "m-it")
        state = connection.execute(
            select(meter_state).where(meter_state.c.meter_id == "m-it")
        ).one()
    assert sum(total.energy_mwh for total in sums.values()) == 1_001_000 + 100_000_000 - 99_000_123
    assert all(total.covered_ms <= WINDOW_MS for total in sums.values())
    assert (state.rollovers, state.resets) == (1, 0)
    assert all(second - first == WINDOW_MS for first, second in pairwise(sorted(sums)))
