"""Reads how busy units were while somebody paid for them, with coverage and quality. No writes."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, select

from suanwang.chunk import Columns
from suanwang.clock import to_epoch_ms
from suanwang.db import samples
from suanwang.db.tables import attempt, hold, pool, series
from suanwang.model.reading import Quality, worst
from suanwang.model.voucher import HoldState
from voucher.reports.flags import BilledRun, Load
from voucher.store_book import read_slices

RUNS_MAX: Final = 10_000
"""Runs that are looked at for a pattern."""
_PPM: Final = 1_000_000
_MINUTE_MS: Final = 60_000
_QUARTER_MS: Final = 15 * _MINUTE_MS
_DAY_MS: Final = 96 * _QUARTER_MS
_CPU: Final = "cpu"


def metric_of(accelerator: str) -> str:
    """Return the metric that says how busy a kind of unit is."""
    return "cpu_ratio" if accelerator == _CPU else "utilisation_ratio"


def load(
    connection: Connection, site_id: str, metric: str, start: datetime, end: datetime
) -> Load | None:
    """Return how busy a site's units were by a metric, None where nothing was read.

    Lowest and highest are those of quarter hours; coverage is the share of minutes with a reading,
    quality the worst inside.
    """
    first, last = to_epoch_ms(start), to_epoch_ms(end)
    numbers = connection.scalars(
        select(series.c.id).where(series.c.site_id == site_id, series.c.metric == metric)
    ).all()
    quarters: defaultdict[int, _Quarter] = defaultdict(_Quarter)
    # A day at a time: a month of many units is more than should be in memory at once.
    for low in range(first, last, _DAY_MS):
        high = min(low + _DAY_MS, last)
        for found in samples.read_many(connection, numbers, low, high - 1).values():
            _count(quarters, found, first)
    if not quarters:
        return None
    means = [found.total_ppm // found.samples for found in quarters.values()]
    minutes = max(1, -(-(last - first) // _MINUTE_MS))
    seen = sum(len(found.minutes) for found in quarters.values())
    return Load(
        mean_ppm=sum(found.total_ppm for found in quarters.values())
        // sum(found.samples for found in quarters.values()),
        low_ppm=min(means),
        high_ppm=max(means),
        coverage_ppm=min(_PPM, seen * _PPM // minutes),
        quality=worst(*{each for found in quarters.values() for each in found.qualities}).value,
    )


@dataclass(slots=True)
class _Quarter:
    """What the samples of a quarter of an hour add up to."""

    total_ppm: int = 0
    samples: int = 0
    minutes: set[int] = field(default_factory=set)
    qualities: set[Quality] = field(default_factory=set)


def _count(quarters: defaultdict[int, _Quarter], found: Columns, first_ms: int) -> None:
    for at_ms, value, quality in zip(
        found.at_ms.tolist(), found.value.tolist(), found.qualities(), strict=True
    ):
        quarter = quarters[(at_ms - first_ms) // _QUARTER_MS]
        quarter.total_ppm += int(value * _PPM)
        quarter.samples += 1
        quarter.minutes.add(at_ms // _MINUTE_MS)
        quarter.qualities.add(Quality(quality))


def with_loads(connection: Connection, runs: Iterable[BilledRun]) -> list[BilledRun]:
    """Return runs with what the telemetry read meanwhile."""
    return [
        replace(
            run,
            load=load(
                connection,
                run.site_id,
                metric_of(run.accelerator),
                run.started_at,
                max(run.ended_at, run.started_at + timedelta(seconds=1)),
            ),
        )
        for run in runs
    ]


def paid_runs(connection: Connection, tenant_id: str, since: datetime) -> Sequence[BilledRun]:
    """Return a tenant's runs that ended since a moment and were paid, without measurements."""
    rows = connection.execute(
        select(attempt.c.id, attempt.c.units, attempt.c.started_at, attempt.c.ended_at)
        .add_columns(attempt.c.site_id, pool.c.accelerator, hold.c.slices)
        .select_from(attempt)
        .join(hold, hold.c.id == attempt.c.hold_id)
        .outerjoin(pool, pool.c.id == attempt.c.pool_id)
        .where(
            hold.c.tenant_id == tenant_id,
            hold.c.state == HoldState.CAPTURED.value,
            attempt.c.started_at.is_not(None),
            attempt.c.ended_at >= since,
        )
        .order_by(attempt.c.ended_at.desc())
        .limit(RUNS_MAX)
    )
    return [
        BilledRun(
            attempt_id=row.id,
            tenant_id=tenant_id,
            started_at=row.started_at,
            ended_at=row.ended_at,
            units=row.units,
            paid_fen=sum(part.paid_fen for part in read_slices(row.slices)),
            busy_mwh=0,
            site_id=row.site_id,
            accelerator=row.accelerator or "",
        )
        for row in rows
    ]
