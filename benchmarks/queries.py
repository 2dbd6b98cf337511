"""Query times of the energy record: a series' day, a year of hourly PUE, annual PUE of 20 sites.

The record is filled directly: a year of hours and days for 20 sites, and packed samples of 500
series for a day. The queries are those of the product. Figures are the 95th percentile.
"""

import gc
import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Engine, insert, update

from api.schemas.energy import hours_json
from api.server import GC_THRESHOLDS
from benchmarks.frame import Figure, Options, Scalar
from benchmarks.submit import SITE, databases
from collectors import store
from collectors.kpi import FORMULA
from collectors.store_hours import hours_of_pue
from collectors.store_rollup import Grain
from suanwang import chunk
from suanwang.clock import SystemClock, to_epoch_ms
from suanwang.db import samples
from suanwang.db.engine import open_engine, reading, writing
from suanwang.db.tables import (
    metadata,
    meter_state,
    sample_chunk,
    series,
    site,
    site_energy,
)
from suanwang.ids import MeterId, SiteId
from suanwang.model.meter import Meter, MeterRole, PueCategory
from suanwang.periods import Period

SITES: Final = 20
SERIES: Final = 500
STEP_S: Final = 15
RUNS: Final = {True: 20, False: 200}
CATEGORY: Final = PueCategory.PUE3
DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)
YEAR: Final = 365 * DAY
END: Final = datetime(2026, 1, 1, tzinfo=UTC)
START: Final = END - YEAR
_ASKED: Final = store.AskedPue(start=START, end=END, now=END)
_CLOCK: Final = SystemClock()
_WHOLE: Final[dict[str, object]] = {
    "revision": 0, "is_newest": True, "interpolated_ms": 0, "estimated_ms": 0, "state": "final",
    "reason": "", "formula": FORMULA, "updated_at": END, "category": CATEGORY.value,
}  # fmt: skip


def times(options: Options) -> Iterator[Figure]:
    """Measure both databases; ``quick`` asks a tenth as often."""
    gc.set_threshold(*GC_THRESHOLDS)  # as the centre does
    for backend, url in databases():
        engine = open_engine(url)
        metadata.create_all(engine)
        with writing(engine) as connection:
            for number in range(SITES):
                add_site(connection, f"s{number}", number)
            _add_series(connection)
        queries: dict[str, Callable[[Connection, int], int]] = {
            "kpi.series_day_ms": _series_day,
            "kpi.pue_year_hourly_ms": _year_hourly,
            "kpi.pue_year_hourly_json_ms": _year_hourly_json,
            "kpi.pue_annual_20_sites_ms": _annual,
        }
        for name, query in queries.items():
            runs = RUNS[options.quick]
            labels: dict[str, Scalar] = {"backend": backend, "runs": runs}
            wall_ms, cpu_ms = _p95s_ms(engine, query, runs)
            yield Figure(name, wall_ms, "ms", **labels)
            yield Figure(name.replace("_ms", "_cpu_ms"), cpu_ms, "ms", **labels)
        engine.dispose()


def _p95s_ms(
    engine: Engine, query: Callable[[Connection, int], int], runs: int
) -> tuple[float, float]:
    """Return the time by the clock, and that of our processor: a busy machine changes the first."""
    took, used = [], []
    for number in range(runs):
        began, before = _CLOCK.monotonic(), time.process_time()
        with reading(engine) as connection:
            found = query(connection, number)
        took.append(_CLOCK.monotonic() - began)
        used.append(time.process_time() - before)
        assert found, "the query found nothing"
    place = runs * 95 // 100
    return sorted(took)[place] * 1_000, sorted(used)[place] * 1_000


def _series_day(connection: Connection, number: int) -> int:
    end_ms = to_epoch_ms(END)
    found = samples.read(connection, 1 + number % SERIES, end_ms - 86_400_000, end_ms)
    assert len(found) == DAY.total_seconds() / STEP_S
    return len(found)


def _year_hourly(connection: Connection, number: int) -> int:
    found = list(hours_of_pue(connection, f"s{number % SITES}", _ASKED).rows())
    assert len(found) == YEAR / HOUR
    return len(found)


def _year_hourly_json(connection: Connection, number: int) -> int:
    site_id = f"s{number % SITES}"
    found = hours_of_pue(connection, site_id, _ASKED)
    return len(hours_json(site_id, found, Period(START, END)))


def _annual(connection: Connection, _number: int) -> int:
    figures = store.pues(connection, [f"s{at}" for at in range(SITES)], _ASKED)
    assert all(figure.value is not None for figure in figures.values()), figures
    return len(figures)


def add_site(connection: Connection, site_id: str, number: int) -> None:
    """Write a site with two meters and a year of hours and days."""
    row = {name: value for name, value in SITE.items() if name not in ("links", "energy")}
    connection.execute(
        insert(site).values(
            id=site_id, name=site_id, background_it_w=0, data_homes=[], is_open=True,
            registered_at=START, **row,
        )
    )  # fmt: skip
    meters = [
        Meter(
            id=MeterId(f"{site_id}-{role}"), site_id=SiteId(site_id), name=role, role=role,
            category=CATEGORY, rated_w=10**7, resolution_wh=1.0, modulus_wh=0, poll_s=15.0,
        )
        for role in (MeterRole.IT, MeterRole.FACILITY)
    ]  # fmt: skip
    store.register_meters(connection, meters)
    connection.execute(
        update(meter_state)
        .where(meter_state.c.meter_id.in_([one.id for one in meters]))
        .values(first_ms=to_epoch_ms(START))
    )
    offset = timedelta(hours=8)
    rows = [
        *(_roll_up(site_id, Grain.HOUR, START + n * HOUR, HOUR, number) for n in range(365 * 24)),
        *(_roll_up(site_id, Grain.DAY, START - offset + n * DAY, DAY, number) for n in range(366)),
    ]
    connection.execute(insert(site_energy), rows)


def _roll_up(
    site_id: str, grain: Grain, start: datetime, length: timedelta, number: int
) -> dict[str, object]:
    length_ms = length // timedelta(milliseconds=1)
    it_mwh = (1_000_000 + number) * length_ms // 3_600
    return _WHOLE | {
        "site_id": site_id, "grain": grain.value, "start_at": start, "end_at": start + length,
        "it_mwh": it_mwh, "facility_mwh": it_mwh * 13 // 10, "common_ms": length_ms,
        "facility_ms": length_ms, "it_ms": length_ms,
    }  # fmt: skip


def _add_series(connection: Connection) -> None:
    """Add a day of packed samples of every series."""
    rng = random.Random(7)
    names = [
        {"id": n + 1, "site_id": "s0", "subject": f"gpu:{n}", "metric": "power_w", "labels": {}}
        for n in range(SERIES)
    ]
    connection.execute(insert(series), names)
    count = 3_600 // STEP_S
    for hour in range(24):
        start_ms = to_epoch_ms(END) - (24 - hour) * samples.HOUR_MS
        moments = [start_ms + n * STEP_S * 1_000 for n in range(count)]
        values = [round(5_000 + rng.gauss(0, 200), 1) for _ in moments]
        body = chunk.encode(chunk.columns(moments, values, ["measured"] * count))
        row = {
            "start_ms": start_ms, "first_ms": moments[0], "last_ms": moments[-1],
            "samples": count, "body": body,
        }  # fmt: skip
        connection.execute(
            insert(sample_chunk), [{"series_id": n + 1, **row} for n in range(SERIES)]
        )
