"""Reads how busy units were while somebody paid for them, with coverage and quality. No writes."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, func, select

from suanwang.clock import to_epoch_ms
from suanwang.db.tables import attempt, hold, pool, sample, series
from suanwang.model.reading import Quality, worst
from suanwang.model.voucher import HoldState
from voucher.reports.flags import BilledRun, Load
from voucher.store_book import read_slices

RUNS_MAX: Final = 10_000
"""Runs that are looked at for a pattern."""
_PPM: Final = 1_000_000
_MINUTE_MS: Final = 60_000
_QUARTER_MS: Final = 15 * _MINUTE_MS
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
    within = (
        series.c.site_id == site_id,
        series.c.metric == metric,
        sample.c.at_ms >= first,
        sample.c.at_ms < last,
    )
    quarter = (sample.c.at_ms - first) // _QUARTER_MS
    rows = connection.execute(
        select(
            func.sum(sample.c.value * _PPM).label("total"),
            func.count().label("samples"),
            func.count(func.distinct(sample.c.at_ms // _MINUTE_MS)).label("minutes"),
        )
        .join_from(sample, series, series.c.id == sample.c.series_id)
        .where(*within)
        .group_by(quarter)
    ).all()
    if not rows:
        return None
    qualities = connection.execute(
        select(sample.c.quality)
        .join_from(sample, series, series.c.id == sample.c.series_id)
        .where(*within)
        .distinct()
    )
    means = [int(row.total) // row.samples for row in rows]
    minutes = max(1, -(-(last - first) // _MINUTE_MS))
    return Load(
        mean_ppm=sum(int(row.total) for row in rows) // sum(row.samples for row in rows),
        low_ppm=min(means),
        high_ppm=max(means),
        coverage_ppm=min(_PPM, sum(row.minutes for row in rows) * _PPM // minutes),
        quality=worst(*(Quality(row.quality) for row in qualities)).value,
    )


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
