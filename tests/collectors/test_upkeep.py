"""The record after upkeep: settled windows, hours and days, with revisions, on both databases."""

import random
from collections.abc import Sequence
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, delete, select
from telemetry_builders import (
    SITE,
    START,
    a_batch,
    a_meter,
    add_site,
    at,
    constant_load,
    energy,
    power,
    send,
    stored_windows,
)

from collectors import store, store_explain, store_kpi_days, store_meters, store_settle
from collectors.kpi import Interval, SiteEnergy
from collectors.kpis.figure import Kpi
from collectors.settle import Source
from collectors.store_meters import NewEpisode
from collectors.store_site import ROLES, add_period, load_meters
from collectors.store_sums import SiteSum, add_sums
from collectors.upkeep import RawUpkeep, keep_up
from suanwang.clock import VirtualClock, to_epoch_ms
from suanwang.db.engine import writing
from suanwang.db.tables import (
    energy_day,
    energy_window,
    meter_event,
    meter_state,
    rollup_due,
    site,
    site_energy,
)
from suanwang.errors import BadInput, Conflict
from suanwang.model.meter import Carrier, Meter, MeterRole, PueCategory
from suanwang.model.reading import Reading

IT = a_meter("m-it", MeterRole.IT, poll_s=60)
FACILITY = a_meter("m-fac", MeterRole.FACILITY, poll_s=60)
HOUR, DAY = 3_600, 86_400
HOUR_MS = 3_600_000
BEGAN = to_epoch_ms(START)


def prepare(connection: Connection, *meters: Meter) -> None:
    add_site(connection)
    store.register_meters(connection, meters or (IT, FACILITY))


def keep(engine: Engine, seconds: float) -> None:
    """Keep up, with packing before it, so that what is computed is computed from chunks too."""
    clock = VirtualClock(at(seconds))
    RawUpkeep(engine, clock).run()
    keep_up(engine, clock)


def load(hours: float, step: int = 60) -> list[Reading]:
    moments = [float(second) for second in range(0, round(hours * HOUR) + 1, step)]
    return [
        *constant_load("m-it", 10_000, moments),
        *constant_load("m-fac", 13_000, moments, 5e6),
    ]


def rolled(connection: Connection, grain: str) -> list[tuple[int, int, int, str, str]]:
    """Return hour or day number, revision, facility Wh, state and reason of every roll-up."""
    step = HOUR if grain == "hour" else DAY
    rows = connection.execute(
        select(site_energy)
        .where(site_energy.c.grain == grain)
        .order_by(site_energy.c.start_at, site_energy.c.revision)
    )
    return [
        (
            round((row.start_at - START).total_seconds() / step),
            row.revision,
            row.facility_mwh // 1000,
            row.state,
            row.reason,
        )
        for row in rows
    ]


def test_hours_are_told_once_they_are_over_and_final_after_a_day(engine: Engine) -> None:
    with writing(engine) as connection:
        prepare(connection)
        send(connection, "b1", load(2.5), 2.5 * HOUR)
    keep(engine, 2 * HOUR + 170)
    with writing(engine) as connection:
        assert rolled(connection, "hour") == [(0, 0, 13_000, "provisional", "")]
    keep(engine, 2 * HOUR + 181)
    with writing(engine) as connection:
        assert [row[0] for row in rolled(connection, "hour")] == [0, 1]
    keep(engine, 26 * HOUR)
    with writing(engine) as connection:
        assert {row[3] for row in rolled(connection, "hour")[:2]} == {"final"}


def test_a_late_reading_revises_window_hour_day_and_figures_with_the_reason(
    engine: Engine,
) -> None:
    """A gap over the site's midnight is bridged evenly; then more turns out to be of the first day.

    A reading that agrees with the straight line changes nothing and revises nothing.
    """
    midnight = 16 * HOUR  # of Shanghai, in UTC
    with writing(engine) as connection:
        prepare(connection)
        told = [one for one in load(20) if not at(midnight - 720) < one.at < at(midnight + 720)]
        send(connection, "b1", told, 20 * HOUR)
    keep(engine, 42 * HOUR)
    with writing(engine) as connection:
        agrees = [energy("m-it", midnight + 360, 161_000.0)]
        send(connection, "b2", agrees, 66 * HOUR)
    keep(engine, 67 * HOUR)
    with writing(engine) as connection:
        assert {row[1] for grain in ("hour", "day") for row in rolled(connection, grain)} == {0}
        send(connection, "b3", [energy("m-it", midnight, 160_500.0)], 68 * HOUR)
    keep(engine, 69 * HOUR)
    with writing(engine) as connection:
        windows = connection.execute(
            select(energy_window).where(energy_window.c.revision > 0).order_by("start_at")
        ).all()
        hours = [row for row in rolled(connection, "hour") if row[1] > 0]
        meter_days = connection.execute(
            select(energy_day.c.energy_mwh, energy_day.c.reason)
            .where(energy_day.c.meter_id == "m-it", energy_day.c.revision == 1)
            .order_by(energy_day.c.start_at)
        ).all()
        days = connection.execute(
            select(site_energy.c.it_mwh, site_energy.c.state, site_energy.c.reason)
            .where(site_energy.c.grain == "day", site_energy.c.revision == 1)
            .order_by(site_energy.c.start_at)
        ).all()
        cue = store_kpi_days.days(connection, SITE, Kpi.CUE_LOCATION, at(-DAY), at(DAY))
    assert [row.start_at for row in windows] == [at(midnight - 900), at(midnight)]
    assert {(row.meter_id, row.state, row.reason) for row in windows} == {
        ("m-it", "revised", "late readings")
    }
    assert [(row[0], row[1], row[3], row[4]) for row in hours] == [
        (15, 1, "revised", "late readings"),
        (16, 1, "revised", "late readings"),
    ]
    assert [row.energy_mwh for row in meter_days] == [160_500_000, 39_500_000]
    assert {row.reason for row in meter_days} == {"late readings"}
    assert [row.it_mwh for row in days] == [160_500_000, 39_500_000]
    assert {(row.state, row.reason) for row in days} == {("revised", "late readings")}
    assert [(day.revision, day.state, day.reason) for day in cue] == [
        (1, "revised", "late readings")
    ] * 2


def test_sums_from_hours_and_days_are_those_from_windows_and_raw_readings(engine: Engine) -> None:
    rng = random.Random(7)
    readings = [one for one in load(60) if rng.random() > 0.05]
    readings = [one for one in readings if not at(9 * HOUR) < one.at < at(15.3 * HOUR)]
    with writing(engine) as connection:
        prepare(connection)
        send(connection, "b1", readings, 60 * HOUR)
    keep(engine, 61 * HOUR)
    with writing(engine) as connection:
        send(connection, "b2", [energy("m-it", 9.5 * HOUR, 95_000)], 61 * HOUR)
        meters = load_meters(connection, SITE, ROLES)
        for low, high in ((0, 60), (0.4, 59.7), (15, 41), (16, 40), (3.1, 3.2), (9, 10), (5, 47)):
            period = Interval(BEGAN + round(low * HOUR_MS), BEGAN + round(high * HOUR_MS))
            slow = SiteEnergy()
            fast = SiteSum(
                site_id=IT.site_id, zone=ZoneInfo("Asia/Shanghai"), category=IT.category,
                period=period,
            )  # fmt: skip
            add_sums(connection, [fast])
            add_period(connection, meters, slow, period)
            assert fast.total == slow, (low, high)


def test_upkeep_may_be_repeated_and_changes_nothing_more(engine: Engine) -> None:
    with writing(engine) as connection:
        prepare(connection)
        send(connection, "b1", load(50), 50 * HOUR)
    keep(engine, 51 * HOUR)
    with writing(engine) as connection:
        before = [
            connection.execute(select(table)).all()
            for table in (energy_window, site_energy, energy_day)
        ]
    keep(engine, 51 * HOUR)
    with writing(engine) as connection:
        after = [
            connection.execute(select(table)).all()
            for table in (energy_window, site_energy, energy_day)
        ]
    assert after == before


def test_the_energy_of_a_meter_s_day_is_that_of_the_site_s_own_day(engine: Engine) -> None:
    """The site is in Shanghai: its day begins at 16:00 UTC."""
    with writing(engine) as connection:
        prepare(connection)
        send(connection, "b1", load(50), 50 * HOUR)
    keep(engine, 51 * HOUR)
    with writing(engine) as connection:
        rows = connection.execute(
            select(energy_day).where(energy_day.c.meter_id == "m-it").order_by("start_at")
        ).all()
    assert [row.energy_mwh // 1_000_000 for row in rows] == [160, 240, 100]
    assert [(row.end_at - START) // timedelta(hours=1) for row in rows] == [16, 40, 64]


def test_a_meter_with_power_alone_has_windows_by_power(engine: Engine) -> None:
    with writing(engine) as connection:
        prepare(connection, IT)
        readings = [power("m-it", second, 4_000) for second in range(0, 2 * HOUR + 1, 60)]
        send(connection, "b1", readings, 2 * HOUR)
    keep(engine, 2 * HOUR + 900 + 200)
    with writing(engine) as connection:
        rows = connection.execute(select(energy_window)).all()
    assert [row.energy_mwh for row in rows] == [1_000_000] * 8
    assert {row.source for row in rows} == {Source.POWER.value}
    assert {row.quality for row in rows} == {"estimated"}


@pytest.mark.parametrize(
    ("carrier", "metric", "unit_wh"),
    [
        pytest.param(Carrier.DIESEL, "volume_l", 9_900, id="diesel by the litre"),
        pytest.param(Carrier.GAS, "volume_m3", 10_500, id="gas by the cubic metre"),
        pytest.param(Carrier.HYDROGEN, "mass_kg", 38_900, id="hydrogen by the kilogram"),
        pytest.param(Carrier.BIOETHANOL, "volume_l", 6_000, id="bioethanol by the litre"),
        pytest.param(Carrier.WATER, "volume_l", 1, id="water stays litres"),
    ],
)
def test_fuels_count_with_their_energy(
    engine: Engine, carrier: Carrier, metric: str, unit_wh: int
) -> None:
    tank = Meter(
        **{name: getattr(FACILITY, name) for name in Meter.__slots__ if name != "carrier"},
        carrier=carrier,
    )
    with writing(engine) as connection:
        prepare(connection, tank)
        readings = [
            Reading(subject="meter:m-fac", metric=metric, value=100 + second / 600, at=at(second))
            for second in range(0, 901, 60)
        ]
        send(connection, "b1", readings, 901)
        (window,) = stored_windows(connection, "m-fac").values()
    assert window.energy_mwh == round(1.5 * unit_wh * 1000)


def replacement(seconds: float = 3 * HOUR, **more: object) -> NewEpisode:
    values = {
        "from_at": at(seconds), "final_wh": 30_000.0, "initial_wh": 7.0,
        "reason": "display broken", "actor": "key-1",
    }  # fmt: skip
    return NewEpisode(**(values | more))  # type: ignore[arg-type]


def test_a_replacement_recorded_afterwards_mends_the_windows_around_it(engine: Engine) -> None:
    """10 kW throughout; the new meter starts at 7 Wh and stands behind a transformer of 40."""
    old = [float(second) for second in range(0, 3 * HOUR, 60)]
    new = range(3 * HOUR, 6 * HOUR + 1, 60)
    with writing(engine) as connection:
        prepare(connection, IT)
        send(connection, "b1", constant_load("m-it", 10_000, old), 3 * HOUR)
        readings = [energy("m-it", s, 7 + 250 * (s - 3 * HOUR) / HOUR) for s in new]
        send(connection, "b2", readings, 6 * HOUR)
    keep(engine, 7 * HOUR)
    with writing(engine) as connection:
        assert sum(w.energy_mwh for w in stored_windows(connection, "m-it").values()) < 31_000_000
        first = store_meters.begin_episode(
            connection, "m-it", replacement(factor_num=40), at(7 * HOUR)
        )
        again = store_meters.begin_episode(
            connection, "m-it", replacement(factor_num=40), at(7.1 * HOUR)
        )
        assert first == again == 2
    keep(engine, 7 * HOUR)
    with writing(engine) as connection:
        windows = stored_windows(connection, "m-it")
        assert [window.energy_mwh for window in windows.values()] == [2_500_000] * 24
        kinds = connection.scalars(select(meter_event.c.kind)).all()
        assert "episode" in kinds


@pytest.mark.parametrize(
    ("episode", "error"),
    [
        pytest.param(replacement(100 * HOUR), BadInput, id="in the future"),
        pytest.param(replacement(factor_den=0), BadInput, id="no ratio"),
        pytest.param(replacement(final_wh=-1.0), BadInput, id="no register value"),
        pytest.param(replacement(reason=" "), BadInput, id="without a reason"),
        pytest.param(replacement(HOUR), Conflict, id="before another episode"),
    ],
)
def test_an_impossible_episode_is_refused(
    engine: Engine, episode: NewEpisode, error: type[Exception]
) -> None:
    with writing(engine) as connection:
        prepare(connection, IT)
        store_meters.begin_episode(connection, "m-it", replacement(2 * HOUR), at(7 * HOUR))
        with pytest.raises(error):
            store_meters.begin_episode(connection, "m-it", episode, at(7 * HOUR))


def test_an_episode_before_the_raw_record_is_refused(engine: Engine) -> None:
    with writing(engine) as connection:
        prepare(connection)
        send(connection, "b1", load(50), 50 * HOUR)
        store.prune(connection, at(40 * HOUR))
        with pytest.raises(Conflict, match="raw readings"):
            store_meters.begin_episode(connection, "m-it", replacement(), at(50 * HOUR))


@pytest.mark.parametrize(
    ("skew_s", "shift_s"),
    [
        pytest.param(-29, 0, id="within half a minute a clock is right"),
        pytest.param(-90, 90, id="a clock that is behind is brought to ours"),
        pytest.param(45, -45, id="and one that is a little ahead"),
        pytest.param(61, 0, id="one far ahead is not trusted"),
    ],
)
def test_readings_of_a_wrong_clock_stand_at_the_time_of_ours(
    engine: Engine, skew_s: int, shift_s: int
) -> None:
    with writing(engine) as connection:
        prepare(connection, IT)
        batch = a_batch("b1", [energy("m-it", 1_000 + skew_s, 5)], sent_s=1_000 + skew_s)
        taken = store.ingest(connection, batch, "d", at(1_000))
        kinds = connection.scalars(select(meter_event.c.kind)).all()
        states = connection.execute(select(meter_state.c.at_ms)).scalar()
    assert taken.accepted == (skew_s <= 60)
    assert ("clock" in kinds) == (abs(skew_s) > 30)
    if taken.accepted:
        assert states == BEGAN + (1_000 + skew_s + shift_s) * 1000


def _scrambled(readings: Sequence[Reading], seed: int) -> list[list[Reading]]:
    rng = random.Random(seed)
    mixed = [*readings, *rng.sample(list(readings), len(readings) // 10)]
    rng.shuffle(mixed)
    cuts = sorted(rng.sample(range(1, len(mixed)), 4))
    return [mixed[low:high] for low, high in zip([0, *cuts], [*cuts, len(mixed)], strict=True)]


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32), jump=st.integers(20, 300), lost=st.floats(0, 0.3))
def test_any_order_ends_with_what_the_raw_readings_say_of_all_at_once(
    engine: Engine, seed: int, jump: int, lost: float
) -> None:
    """Registers with a jump nobody believes and a reset, powers beside them, lost and doubled."""
    rng = random.Random(seed)
    readings: list[Reading] = []
    for minute in range(0, 26 * 60, 5):
        wh = 900 * minute / 60 * 10 + (10**9 if minute > jump else 0)
        wh = wh if minute < 800 else 50.0 * (minute - 800)
        readings += [
            one
            for one in (energy("m-it", minute * 60, wh), power("m-it", minute * 60, 9_000))
            if rng.random() >= lost
        ]
    meter = a_meter("m-it", MeterRole.IT, poll_s=300, resolution_wh=100)
    with writing(engine) as connection:
        for table in (rollup_due, meter_event, energy_day, site_energy):
            connection.execute(delete(table))
        _forget(connection)
        store.register_meters(connection, [meter])
    for number, part in enumerate(_scrambled(readings, seed)):
        with writing(engine) as connection:
            send(connection, f"{seed}-{number}", part, 26 * HOUR)
        if number % 2:
            keep(engine, 26 * HOUR + number)
    keep(engine, 51 * HOUR)
    with writing(engine) as connection:
        stored = stored_windows(connection, "m-it")
        expected = store_settle.recompute(
            connection, [meter], BEGAN, BEGAN + 2 * DAY * 1000, at(51 * HOUR)
        )["m-it"]
    assert stored == {start: one.total for start, one in expected.items()}


def _forget(connection: Connection) -> None:
    """Empty the record, and make the site where it is not there yet."""
    tables = (
        "energy_due", "energy_window", "meter_state", "meter_episode", "sample", "sample_chunk",
        "series", "telemetry_batch", "meter",
    )  # fmt: skip
    for name in tables:
        connection.exec_driver_sql(f"DELETE FROM {name}")  # noqa: S608 - our own names
    if connection.scalar(select(site.c.id)) is None:
        add_site(connection)


def test_an_hour_whose_pue_no_site_has_is_noted_once_and_explained(engine: Engine) -> None:
    """Facility below IT in the second hour: noted for that hour alone, however often it is kept."""
    moments = [float(second) for second in range(0, HOUR + 1, 60)]
    more = [float(second) for second in range(HOUR + 60, 2 * HOUR + 1, 60)]
    readings = constant_load("m-it", 10_000, [*moments, *more])
    readings += constant_load("m-fac", 13_000, moments)
    readings += [energy("m-fac", s, 13_000 + 9_000 * (s - HOUR) / HOUR) for s in more]
    with writing(engine) as connection:
        prepare(connection)
        send(connection, "b1", readings, 2 * HOUR)
    for hours in (3, 4):
        keep(engine, hours * HOUR)
    with writing(engine) as connection:
        period = (START, at(2 * HOUR), at(4 * HOUR))
        explained = store_explain.explain(connection, SITE, *period)
    assert explained.figure.value is not None
    assert [(odd.kind, odd.start, odd.end) for odd in explained.oddities] == [
        ("withheld", at(HOUR), at(2 * HOUR))
    ]


def test_pue_of_each_category_is_told_and_none_where_the_site_declares_none(
    engine: Engine,
) -> None:
    ups = a_meter("m-ups", MeterRole.IT, poll_s=60, category=PueCategory.PUE1)
    with writing(engine) as connection:
        prepare(connection, IT, ups, FACILITY)
        moments = [float(second) for second in range(0, 2 * HOUR + 1, 60)]
        send(connection, "b1", load(2), 2 * HOUR)
        send(connection, "b2", constant_load("m-ups", 10_400, moments), 2 * HOUR)
    keep(engine, 2 * HOUR + 300)
    with writing(engine) as connection:
        period = (START, at(2 * HOUR), at(2 * HOUR + 300))
        assert "declare one" in store.pue(connection, SITE, *period).withheld
        third = store.pue(connection, SITE, *period, category=PueCategory.PUE3)
        first = store.pue(connection, SITE, *period, category=PueCategory.PUE1)
        connection.execute(site.update().values(pue_category="PUE1"))
        declared = store.pue(connection, SITE, *period)
    assert third.value == pytest.approx(1.3, abs=1e-9)
    assert first.value == pytest.approx(1.25, abs=1e-9)
    assert declared.value == first.value
    assert declared.category is PueCategory.PUE1
