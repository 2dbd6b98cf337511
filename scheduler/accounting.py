"""What a job used: unit-seconds from the record, energy and carbon derived, money from the ledger.

Energy is derived, not measured: units x time x power of a busy unit x PUE of the site. The PUE is
the measured one of the last day where there is one, else the facility model at background load.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from collectors import store as telemetry
from scheduler import registry, store, store_registry, store_usage
from scheduler.lifecycle import billable_window
from suanwang.energy.catalogue import EnergyCatalogue
from suanwang.ids import AttemptId, JobId, SiteId
from suanwang.model.attempt import Attempt
from suanwang.model.job import Job
from suanwang.model.reading import Quality
from suanwang.model.site import Site
from suanwang.model.usage import UsageInterval
from suanwang.model.voucher import HoldState
from voucher import store as money_store
from voucher.metering import Accrual, accrue, bill

PUE_OVER: Final = timedelta(days=1)
_J_PER_WH: Final = 3_600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAccount:
    """A job's use and bill over all attempts; ``site_id`` and ``pue`` are of the last one billed.

    ``quality`` is that of energy and carbon. Before the first bill everything is zero and
    ``quality`` is missing.
    """

    unit_seconds: float
    resource: str
    energy_wh: float
    carbon_g: float
    price_fen: int
    voucher_fen: int
    cash_fen: int
    quality: Quality
    site_id: SiteId | None
    pue: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobMeter:
    """A running attempt's meter: use and cost up to ``at``, what is held, and when it is stopped.

    ``at`` is the last sight of the attempt: each sight is a tick, and a tick carries the whole use
    since the start, so it does not matter how many there are. ``ends_at`` is when its site stops it
    (by the limit that the site knows, ``run_s_confirmed``), None before it runs.
    """

    attempt_id: AttemptId
    at: datetime
    used_ms: int
    run_s_max: int
    run_s_confirmed: int
    stop_grace_s: int
    ends_at: datetime | None
    left_s: int
    accrual: Accrual


@dataclass(frozen=True, slots=True)
class _Use:
    unit_seconds: float
    energy_wh: float
    carbon_g: float
    pue: float


def job_account(connection: Connection, job_id: JobId, catalogue: EnergyCatalogue) -> JobAccount:
    """Return what a job has used and paid so far."""
    attempts = {attempt.id: attempt for attempt in store.attempts_of(connection, job_id)}
    intervals = store_usage.intervals_of_job(connection, job_id)
    uses = [
        _use(connection, attempts[interval.attempt_id], interval, catalogue)
        for interval in intervals
    ]
    voucher_fen, cash_fen = _paid(connection, tuple(attempts.values()))
    last = attempts[intervals[-1].attempt_id] if intervals else None
    return JobAccount(
        unit_seconds=sum(use.unit_seconds for use in uses),
        resource=intervals[-1].resource if intervals else "",
        energy_wh=sum(use.energy_wh for use in uses),
        carbon_g=sum(use.carbon_g for use in uses),
        price_fen=voucher_fen + cash_fen,
        voucher_fen=voucher_fen,
        cash_fen=cash_fen,
        quality=Quality.DERIVED if uses else Quality.MISSING,
        site_id=None if last is None else last.site_id,
        pue=uses[-1].pue if uses else None,
    )


def job_meter(connection: Connection, job: Job, now: datetime) -> JobMeter | None:
    """Return the meter of the job's live attempt; None where nothing of it can run."""
    attempt = store.latest_attempt(connection, job.id)
    if attempt is None or attempt.state.is_dead:
        return None
    seen_at = min(attempt.last_seen_at or attempt.intent_at, now)
    window = billable_window(attempt, seen_at)
    used = () if window is None else (_running(attempt, window),)
    lots = money_store.lots(connection, tenant_id=job.tenant_id, now=now)
    hold = money_store.find_hold(connection, attempt.hold_id)
    ends_at = None
    if attempt.started_at is not None:
        ends_at = attempt.started_at + timedelta(seconds=attempt.run_s_confirmed)
    left = timedelta(seconds=attempt.run_s_confirmed) if ends_at is None else ends_at - now
    return JobMeter(
        attempt_id=attempt.id,
        at=seen_at,
        used_ms=0 if window is None else (window[1] - window[0]) // timedelta(milliseconds=1),
        run_s_max=attempt.run_s_max,
        run_s_confirmed=attempt.run_s_confirmed,
        stop_grace_s=attempt.stop_grace_s,
        ends_at=ends_at,
        left_s=max(0, left // timedelta(seconds=1)),
        accrual=accrue(bill(attempt, used), hold, lots),
    )


def _running(attempt: Attempt, window: tuple[datetime, datetime]) -> UsageInterval:
    return UsageInterval(
        attempt_id=attempt.id,
        resource=attempt.pool_id,
        quantity=attempt.units,
        started_at=window[0],
        ended_at=window[1],
        source="poll",
    )


def _use(
    connection: Connection,
    attempt: Attempt,
    interval: UsageInterval,
    catalogue: EnergyCatalogue,
) -> _Use:
    site = registry.find_site(connection, attempt.site_id).site
    pool = store_registry.pool_by_id(connection, attempt.pool_id)
    busy_w = 0.0 if pool is None else pool.power_w_busy
    unit_seconds = interval.unit_ms / 1_000
    pue = _pue(connection, site, interval.ended_at, catalogue)
    energy_wh = unit_seconds * busy_w * pue / _J_PER_WH
    g_per_kwh = catalogue.carbon.factor(site.carbon_region).g_per_kwh
    return _Use(unit_seconds, energy_wh, energy_wh * g_per_kwh / 1_000, pue)


def _pue(connection: Connection, site: Site, at: datetime, catalogue: EnergyCatalogue) -> float:
    figure = telemetry.pue(connection, site.id, at - PUE_OVER, at, at)
    if figure.value is not None:
        return figure.value
    it_w = float(max(site.background_it_w, 1))
    wet_bulb_c = catalogue.climate(site.climate).wet_bulb_at(at, site.timezone)
    return catalogue.facility_of(site).facility_w(it_w, wet_bulb_c) / it_w


def _paid(connection: Connection, attempts: tuple[Attempt, ...]) -> tuple[int, int]:
    """Return what vouchers and cash have paid for these attempts, less refunds, in fen."""
    voucher_fen = cash_fen = 0
    for attempt in attempts:
        hold = money_store.find_hold(connection, attempt.hold_id)
        if hold.state is not HoldState.CAPTURED:
            continue
        from_lots = sum(part.paid_fen for part in hold.slices if part.lot_id is not None)
        voucher_fen += from_lots
        cash_fen += hold.paid_fen - from_lots
    return voucher_fen, cash_fen
