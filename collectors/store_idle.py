"""Idle energy of a site: from what its GPUs told, else by the record of attempts."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, or_, select

from collectors.kpis.figure import Known, KpiFigure
from collectors.kpis.idle import (
    GpuIdle,
    GpuMoment,
    PoolUse,
    gpu_idle,
    idle_energy,
    idle_energy_by_record,
)
from collectors.store_samples import rows_between
from suanwang.clock import to_epoch_ms
from suanwang.db.tables import attempt, pool, series

GPUS_MAX: Final = 64
PERIOD_MAX: Final = timedelta(days=2)
"""More GPUs, or a longer period, are too many readings for one question: the record answers."""
_PREFIXES: Final = ("gpu:",)
_METRICS: Final = ("energy_wh", "utilisation_ratio", "gpu_processes")


def idle_figure(connection: Connection, site_id: str, start: datetime, end: datetime) -> KpiFigure:
    """Return the idle energy of a site in a period."""
    known = Known(start=start, end=max(start, end))
    if timedelta() < end - start <= PERIOD_MAX:
        gpus = _gpus(connection, site_id, known)
        if any(gpu.known_ms for gpu in gpus):
            return idle_energy(known, gpus)
    return idle_energy_by_record(known, _pools(connection, site_id, known))


def _gpus(connection: Connection, site_id: str, known: Known) -> list[GpuIdle]:
    rows = connection.execute(
        select(series.c.subject, series.c.metric, series.c.id).where(
            series.c.site_id == site_id,
            series.c.metric.in_(_METRICS),
            or_(*(series.c.subject.startswith(prefix) for prefix in _PREFIXES)),
        )
    )
    by_subject: dict[str, dict[str, int]] = {}
    for subject, metric, number in rows:
        by_subject.setdefault(subject, {})[metric] = number
    read = {name: ids for name, ids in by_subject.items() if set(_METRICS[:2]) <= set(ids)}
    if not 0 < len(read) <= GPUS_MAX:
        return []
    return [_gpu(connection, ids, known) for _, ids in sorted(read.items())]


def _gpu(connection: Connection, ids: dict[str, int], known: Known) -> GpuIdle:
    low_ms, high_ms = to_epoch_ms(known.start), to_epoch_ms(known.end)
    by_moment: dict[int, dict[str, float]] = {}
    for metric, number in ids.items():
        for row in rows_between(connection, number, low_ms, high_ms):
            if low_ms <= row.at_ms <= high_ms:
                by_moment.setdefault(row.at_ms, {})[metric] = row.value
    return gpu_idle(
        [
            GpuMoment(
                at_ms=at_ms,
                energy_wh=told["energy_wh"],
                utilisation=told["utilisation_ratio"],
                processes=int(told["gpu_processes"]) if "gpu_processes" in told else None,
            )
            for at_ms, told in sorted(by_moment.items())
            if "energy_wh" in told and "utilisation_ratio" in told
        ]
    )


def _pools(connection: Connection, site_id: str, known: Known) -> list[PoolUse]:
    occupied: dict[str, float] = {}
    rows = connection.execute(
        select(attempt.c.pool_id, attempt.c.units, attempt.c.started_at, attempt.c.ended_at).where(
            attempt.c.site_id == site_id,
            attempt.c.started_at < known.end,
            or_(attempt.c.ended_at.is_(None), attempt.c.ended_at > known.start),
        )
    )
    for pool_id, units, started_at, ended_at in rows:
        ended = known.end if ended_at is None else min(ended_at, known.end)
        hours = (ended - max(started_at, known.start)) / timedelta(hours=1)
        occupied[pool_id] = occupied.get(pool_id, 0.0) + units * hours
    pools = connection.execute(select(pool).where(pool.c.site_id == site_id).order_by(pool.c.id))
    return [
        PoolUse(
            units_awake=row.units - row.drained_units,
            occupied_unit_h=occupied.get(row.id, 0.0),
            idle_w=row.power_w_idle,
        )
        for row in pools
    ]
