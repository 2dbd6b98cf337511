"""Reservations as the planner wants them: what running jobs of their holders use already is off."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise

from sqlalchemy import Connection

from optimizer.problem import Problem, ReservationSpec
from scheduler import store, store_reservations
from scheduler.snapshot import free_at
from suanwang.model.job import Job
from suanwang.model.reservation import Reservation


@dataclass(frozen=True, slots=True)
class Sitting:
    """Units that a running job of a holder uses, until when at the latest."""

    units: int
    until: datetime


@dataclass(frozen=True, slots=True)
class Booked:
    """Reservations that hold now or will, and who sits in each already."""

    reservations: tuple[Reservation, ...] = ()
    sitting: Mapping[str, tuple[Sitting, ...]] = field(default_factory=dict)


def look_up(connection: Connection, now: datetime) -> Booked:
    """Return the reservations, with the running jobs that sit in them."""
    reservations = store_reservations.listed(connection, now)
    if not reservations:
        return Booked()
    running = store.live_attempts(connection)
    jobs = store.jobs_by_ids(connection, [attempt.job_id for attempt in running])
    sitting: dict[str, list[Sitting]] = {}
    in_order = sorted(reservations, key=lambda one: one.id)
    for attempt in running:
        job = jobs.get(attempt.job_id)
        here = [one for one in in_order if one.pool_id == attempt.pool_id and one.from_at <= now]
        seat = None if job is None else _seat(here, job.submission_id, job.tenant_id)
        if seat is not None:
            until = free_at(attempt, now)
            sitting.setdefault(seat.id, []).append(Sitting(attempt.units, until))
    return Booked(reservations, {name: tuple(found) for name, found in sitting.items()})


def reserve(problem: Problem, booked: Booked, jobs: Sequence[Job]) -> Problem:
    """Return the problem in which reserved units are for their holders."""
    if not booked.reservations:
        return problem
    pools = {pool.id for pool in problem.pools}
    job_ids = {job.submission_id: str(job.id) for job in jobs}
    specs = [
        spec
        for one in booked.reservations
        if one.pool_id in pools
        for spec in _pieces(one, booked.sitting.get(one.id, ()), problem.origin, job_ids)
    ]
    return replace(problem, reservations=tuple(specs))


def _seat(here: Iterable[Reservation], submission_id: str, tenant_id: str) -> Reservation | None:
    """The first reservation that names the job, else the first that names its tenant."""
    found = list(here)
    named = [one for one in found if submission_id in one.jobs]
    return next(iter((*named, *(one for one in found if tenant_id in one.tenants))), None)


def _pieces(
    one: Reservation, sitting: Sequence[Sitting], now: datetime, job_ids: Mapping[str, str]
) -> list[ReservationSpec]:
    """Cut a reservation where running jobs of its holders end: until then they use part of it."""
    begin = max(one.from_at, now)
    ends = sorted({sat.until for sat in sitting if begin < sat.until < one.until_at})
    pieces = []
    for number, (start, end) in enumerate(pairwise((begin, *ends, one.until_at))):
        used = sum(sat.units for sat in sitting if sat.until > start)
        if one.units > used:
            piece = ReservationSpec(
                id=f"{one.id}/{number:04d}",
                pool_id=one.pool_id,
                units=one.units - used,
                from_s=(start - now) / timedelta(seconds=1),
                until_s=(end - now) / timedelta(seconds=1),
                tenants=frozenset(one.tenants),
                jobs=frozenset(job_ids[name] for name in one.jobs if name in job_ids),
            )
            pieces.append(piece)
    return pieces
