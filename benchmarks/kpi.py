"""PUE against the truth of a simulated day of 100 racks, and the time of long queries.

Each case runs the real way: readings in batches, the record, upkeep, figures. ``--only accuracy``
prints a table of all cases for ``docs/pue-accuracy.md`` besides the figures.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from sqlalchemy import Connection, Engine, func, insert, select

from benchmarks import queries
from benchmarks.frame import Figure, Options
from collectors import store, store_meters
from collectors.store_meters import NewEpisode
from collectors.upkeep import keep_up
from simulator.measured_day import (
    BEGAN,
    DAY_S,
    FACILITY,
    SPARE_S,
    Meters,
    Outage,
    Truth,
    is_special,
    meter_name,
    readings,
    register,
)
from suanwang.clock import VirtualClock
from suanwang.db.engine import open_engine, reading, writing
from suanwang.db.tables import energy_window, metadata, meter_event, site
from suanwang.ids import MeterId, SiteId
from suanwang.model.batch import TelemetryBatch, gathered
from suanwang.model.meter import Meter, MeterRole

SITE: Final = SiteId("dc")
RACKS: Final = 100
SEED: Final = 20_260_601
_HOUR_S: Final = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A day: how the meters are, whether the load beats with the polls, and when no news come."""

    name: str
    meters: Meters
    bursts: bool = False
    outages: tuple[Outage, ...] = ()


_NOON: Final = 12 * _HOUR_S
_HALF_HOUR: Final = (9 * _HOUR_S, 9 * _HOUR_S + 1_800)
CASES: Final = (
    Case(name="1 Wh, 15 s", meters=Meters()),
    Case(name="0.1 kWh, 60 s", meters=Meters(resolution_wh=100, poll_s=60)),
    Case(
        name="0.1 kWh, 60 s, power too",
        meters=Meters(resolution_wh=100, poll_s=60, has_power=True),
    ),
    Case(
        name="30 min cut off, told late",
        meters=Meters(),
        outages=(Outage(start_s=_HALF_HOUR[0], end_s=_HALF_HOUR[1], is_kept=True),),
    ),
    Case(
        name="30 min never told",
        meters=Meters(),
        outages=(Outage(start_s=_HALF_HOUR[0], end_s=_HALF_HOUR[1], is_kept=False),),
    ),
    Case(
        name="6 h cut off, told late",
        meters=Meters(),
        outages=(Outage(start_s=_NOON, end_s=_NOON + 6 * _HOUR_S, is_kept=True),),
    ),
    Case(name="bursts of 61 s, 60 s", meters=Meters(poll_s=60), bursts=True),
    Case(
        name="bursts, power alone, 60 s",
        meters=Meters(poll_s=60, has_registers=False, has_power=True),
        bursts=True,
    ),
    Case(name="10 meters replaced", meters=Meters(swap_at_s=_NOON)),
    Case(name="10 meters behind 1:5", meters=Meters(ratio_at_s=_NOON)),
    Case(name="10 registers reset", meters=Meters(reset_at_s=_NOON)),
    Case(name="registers wrap", meters=Meters(modulus_wh=100_000)),
    Case(name="IT clocks 20 s behind", meters=Meters(clock_behind_s=20)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How far a case's figures are from the truth, in per cent, and what the record says of it."""

    case: str
    day_error_pct: float
    hour_error_pct: float
    coverage: float
    quality: str
    events: int
    revised: int


def run(options: Options) -> Iterator[Figure]:
    """Measure; ``quick`` takes 10 racks and the first case alone."""
    if not options.only or "queries" in options.only:
        yield from queries.times(options)
    if options.only and "accuracy" not in options.only:
        return
    cases = CASES[:1] if options.quick else CASES
    racks = 10 if options.quick else RACKS
    outcomes = [measure(case, racks) for case in cases]
    first = outcomes[0]
    yield Figure("kpi.day_error_pct", first.day_error_pct, "%", racks=racks, case=first.case)
    yield Figure("kpi.hour_error_pct", first.hour_error_pct, "%", racks=racks, case=first.case)
    for one in outcomes[1:]:
        yield Figure("kpi.day_error_pct", one.day_error_pct, "%", racks=racks, case=one.case)
        yield Figure("kpi.hour_error_pct", one.hour_error_pct, "%", racks=racks, case=one.case)
    if "accuracy" in options.only:
        print(document(outcomes))


def measure(case: Case, racks: int) -> Outcome:
    """Run one day through the record and compare its figures with the truth."""
    truth = Truth(racks, SEED, bursts=case.bursts)
    clock = VirtualClock(BEGAN)
    with TemporaryDirectory() as folder:
        engine = open_engine(f"sqlite:///{Path(folder) / 'day.db'}")
        metadata.create_all(engine)
        with writing(engine) as connection:
            _prepare(connection, case, truth)
        _tell(engine, clock, case, truth)
        _record_episodes(engine, clock, case, truth)
        clock.advance(BEGAN.timestamp() + 2 * DAY_S - clock.now().timestamp())
        keep_up(engine, clock)
        with reading(engine) as connection:
            outcome = _compare(connection, case, truth, clock.now())
        engine.dispose()
    return outcome


def _prepare(connection: Connection, case: Case, truth: Truth) -> None:
    connection.execute(
        insert(site).values(
            id=SITE, name="Simulated", operator="op", region="CN-SD", timezone="UTC",
            cooling="modern_wse_warmwater", climate="qingdao", it_design_w=1, background_it_w=0,
            contract_w=1, tariff_id="t", voltage="10kV", carbon_region="CN-SD", pue_limit=1.3,
            accepts=[], data_homes=[], is_open=True, registered_at=BEGAN,
        )
    )  # fmt: skip
    names = [(meter_name(rack), MeterRole.IT, 12_000) for rack in range(len(truth.racks))]
    names.append((FACILITY, MeterRole.FACILITY, 3_000_000))
    store.register_meters(
        connection,
        [
            Meter(
                id=MeterId(name), site_id=SITE, name=name, role=role, rated_w=rated_w,
                resolution_wh=case.meters.resolution_wh, modulus_wh=case.meters.modulus_wh,
                poll_s=case.meters.poll_s,
            )
            for name, role, rated_w in names
        ],
    )  # fmt: skip


def _tell(engine: Engine, clock: VirtualClock, case: Case, truth: Truth) -> None:
    """Send the day's readings batch by batch, with upkeep once an hour as on a centre."""
    for number, part in enumerate(readings(truth, case.meters, SEED, case.outages)):
        clock.advance(600 if number < (DAY_S + SPARE_S) // 600 else 1)
        if part:
            batch = TelemetryBatch(
                id=f"b{number}", site_id=SITE, sent_at=clock.now(), readings=gathered(part)
            )
            with writing(engine) as connection:
                store.ingest(connection, batch, str(number), clock.now())
        if number % 6 == 5:
            keep_up(engine, clock)


def _record_episodes(engine: Engine, clock: VirtualClock, case: Case, truth: Truth) -> None:
    """Write down what the electrician wrote down: both registers at the moment of the change."""
    at_s = case.meters.swap_at_s or case.meters.ratio_at_s
    if at_s is None:
        return
    with writing(engine) as connection:
        for rack in filter(is_special, range(len(truth.racks))):
            shown = register(truth.racks[rack], case.meters, is_odd=True)
            before = register(truth.racks[rack], Meters(), is_odd=False)
            episode = NewEpisode(
                from_at=BEGAN + timedelta(seconds=at_s),
                final_wh=float(before[at_s]),
                initial_wh=float(shown[at_s]),
                factor_num=5 if case.meters.ratio_at_s else 1,
                reason="changed at noon",
                actor="electrician",
            )
            store_meters.begin_episode(connection, meter_name(rack), episode, clock.now())


def _compare(connection: Connection, case: Case, truth: Truth, now: datetime) -> Outcome:
    day = store.pue(connection, SITE, BEGAN, BEGAN + timedelta(seconds=DAY_S), now)
    errors = []
    for hour in range(24):
        low = hour * _HOUR_S
        start = BEGAN + timedelta(seconds=low)
        figure = store.pue(connection, SITE, start, start + timedelta(hours=1), now)
        if figure.value is not None:
            errors.append(_error_pct(figure.value, truth.pue(low, low + _HOUR_S)))
    assert day.value is not None, day.withheld
    return Outcome(
        case=case.name,
        day_error_pct=_error_pct(day.value, truth.pue(0, DAY_S)),
        hour_error_pct=max(errors),
        coverage=min(day.coverage_it, day.coverage_facility),
        quality=day.quality.value,
        events=connection.scalar(select(func.count()).select_from(meter_event)) or 0,
        revised=connection.scalar(
            select(func.count()).select_from(energy_window).where(energy_window.c.revision > 0)
        )
        or 0,
    )


def _error_pct(value: float, truth: float) -> float:
    return abs(value / truth - 1) * 100


def document(outcomes: list[Outcome]) -> str:
    """Return the cases as a table in Markdown."""
    lines = [
        "| case | day, % | worst hour, % | covered | quality | events | revised windows |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.case} | {one.day_error_pct:.4f} | {one.hour_error_pct:.3f} | {one.coverage:.2%} "
        f"| {one.quality} | {one.events} | {one.revised} |"
        for one in outcomes
    ]
    return "\n".join(lines)
