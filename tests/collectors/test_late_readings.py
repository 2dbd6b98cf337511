"""Energy is conserved to the mWh, and streaming is batch bit for bit, up to 35 days late.

Registers advance, wrap, pause and are reset; their readings come in any order, doubled, some with
another value the second time, to a centre that packs, forgets, settles, sums up and starts anew in
between. What the record says in the end is what all readings at once say.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select
from telemetry_builders import (
    START,
    a_batch,
    a_meter,
    add_site,
    at,
    energy,
    reading_of,
    register,
    send,
    stored_windows,
)

from collectors import accumulator, store
from collectors.quality import FINAL_AFTER, LATE_MAX
from collectors.register import History, MeterRules, Register
from collectors.upkeep import RawUpkeep, keep_up
from suanwang.clock import VirtualClock, from_epoch_ms
from suanwang.db.engine import reading, writing
from suanwang.db.tables import energy_day, energy_window, metadata, meter_state, site, site_energy
from suanwang.model.meter import MeterRole

DAY_S: Final = 86_400
LATEST: Final = LATE_MAX - timedelta(hours=2)
METERS: Final = tuple(
    a_meter(name, role, rated_w=200_000, resolution_wh=1, modulus_wh=100_000, poll_s=60)
    for name, role in (("m-it", MeterRole.IT), ("m-fac", MeterRole.FACILITY))
)
"""Both read the same, so all that one knows is common time."""
PAUSE: Final = timedelta(hours=12)
"""A centre that is told nothing for so long has kept its record up meanwhile."""
RECORD: Final = (
    "energy_due", "energy_window", "energy_day", "site_energy", "rollup_due", "kpi_due", "kpi_day",
    "meter_event", "meter_state", "sample", "sample_chunk", "series", "telemetry_batch", "meter",
)  # fmt: skip
RULES: Final = MeterRules.of(METERS[0])


@dataclass(frozen=True, slots=True)
class Told:
    """A reading and when the centre gets it; ``is_wrong`` has another value than the one before."""

    register: Register
    told_at: datetime
    is_wrong: bool = False


@st.composite
def stories(draw: st.DrawFn) -> list[Told]:
    """Draw what a meter counted in some days, and when each reading of it arrives."""
    told: list[Told] = []
    second, value = 0, draw(st.integers(0, 99_999_999))
    for _ in range(draw(st.integers(3, 10))):
        told += _told(draw, register(second, value))
        second += draw(st.sampled_from([1, 60, 60, 60, 900, 4_000, 20_000]))
        if draw(st.integers(0, 9)) == 0:
            value = draw(st.integers(0, 50_000))  # reset, or a jump that nobody believes
        else:
            value = (value + draw(st.integers(0, 60_000_000))) % 100_000_000
    return sorted(told, key=lambda one: (one.told_at, one.is_wrong))


def _told(draw: st.DrawFn, value: Register) -> list[Told]:
    """Return a reading once, twice, or followed by one that contradicts it."""
    minutes = st.integers(0, int(LATEST / timedelta(minutes=1)))
    moment = from_epoch_ms(value.at_ms)
    first, second = sorted(
        moment + timedelta(minutes=draw(st.one_of(st.just(0), minutes))) for _ in range(2)
    )
    again = draw(st.sampled_from(["no", "no", "same", "other"]))
    if again == "no":
        return [Told(value, first)]
    later = value._replace(mwh=value.mwh + 7_000) if again == "other" else value
    return [Told(value, first), Told(later, second, is_wrong=again == "other")]


def tell(engine: Engine, number: int, one: Told) -> None:
    """Send a reading of both meters; the connection is new, as after a start of the centre."""
    engine.dispose()
    readings = [reading_of(meter.id, one.register) for meter in METERS]
    with writing(engine) as connection:
        batch = a_batch(f"b{number}", readings, sent_s=(one.told_at - START).total_seconds())
        taken = store.ingest(connection, batch, str(number), one.told_at)
    assert taken.refused == ()


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(story=stories(), upkeeps=st.sets(st.integers(0, 19), max_size=3))
def test_readings_up_to_35_days_late_end_as_if_all_had_come_at_once(
    engine: Engine, story: list[Told], upkeeps: set[int]
) -> None:
    _begin_anew(engine)
    for number, one in enumerate(story):
        before = story[number - 1].told_at if number else START
        if number in upkeeps or one.told_at - before > PAUSE:
            _keep(engine, min(before + timedelta(hours=2), one.told_at))
        tell(engine, number, one)
    _keep(engine, story[-1].told_at + timedelta(hours=2))
    first = {one.register.at_ms: one.register for one in reversed(story) if not one.is_wrong}
    expected = accumulator.windows(History.of(RULES), first.values())
    total = sum(window.energy_mwh for window in expected.values())
    with reading(engine) as connection:
        for meter in METERS:
            assert stored_windows(connection, meter.id) == expected
            of_days = select(func.sum(energy_day.c.energy_mwh)).where(
                energy_day.c.meter_id == meter.id, energy_day.c.is_newest
            )
            assert int(connection.scalar(of_days) or 0) == total
        for grain in ("hour", "day"):
            of_site = select(func.sum(site_energy.c.it_mwh)).where(
                site_energy.c.grain == grain, site_energy.c.is_newest
            )
            assert int(connection.scalar(of_site) or 0) == total
        windows = connection.execute(
            select(energy_window).order_by("meter_id", "start_at", "revision")
        ).all()
    revisions: dict[tuple[str, datetime], list[int]] = {}
    for row in windows:
        revisions.setdefault((row.meter_id, row.start_at), []).append(row.revision)
        end = row.start_at + timedelta(minutes=15)
        assert (row.revision > 0) == (row.state == "revised")
        assert row.revision == 0 or (row.reason and row.updated_at - end >= FINAL_AFTER)
    assert all(numbers == list(range(len(numbers))) for numbers in revisions.values())


def _begin_anew(engine: Engine) -> None:
    """Empty the record, which hypothesis fills again and again."""
    with writing(engine) as connection:
        for name in RECORD:
            connection.execute(metadata.tables[name].delete())
        if connection.scalar(select(site.c.id)) is None:
            add_site(connection)
        store.register_meters(connection, METERS)


def _keep(engine: Engine, now: datetime) -> None:
    clock = VirtualClock(now)
    RawUpkeep(engine, clock).run()
    keep_up(engine, clock)


def test_a_reading_is_taken_until_it_is_35_days_old_and_then_refused(engine: Engine) -> None:
    """It cuts a stretch that began before what is kept: from its first reading, which stays."""
    _begin_anew(engine)
    hour_s = 3_600
    with writing(engine) as connection:
        told = [
            energy("m-it", second, wh)
            for second, wh in ((0, 0), (hour_s, 300), (40 * hour_s, 20_000))
        ]
        send(connection, "b1", told, 40 * hour_s)
    now_s = LATE_MAX.total_seconds() + 38 * hour_s
    _keep(engine, at(now_s))
    with writing(engine) as connection:
        kept_from_ms = connection.scalar(
            select(meter_state.c.kept_from_ms).where(meter_state.c.meter_id == "m-it")
        )
        taken = send(connection, "b2", [energy("m-it", 38 * hour_s, 15_000)], now_s)
        gone = send(connection, "b3", [energy("m-it", 38 * hour_s - 1, 4_000)], now_s)
    _keep(engine, at(now_s + hour_s))
    registers = [
        register(0, 0),
        register(hour_s, 300_000),
        register(38 * hour_s, 15_000_000),
        register(40 * hour_s, 20_000_000),
    ]
    with reading(engine) as connection:
        assert stored_windows(connection, "m-it") == accumulator.windows(
            History.of(RULES), registers
        )
    assert kept_from_ms == registers[1].at_ms
    assert (taken.accepted, gone.accepted) == (1, 0)
    assert "older than 35 days" in gone.refused[0]
