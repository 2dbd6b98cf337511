"""From counts by class to a plan by job: deals starts out to the jobs, with figures and reasons."""

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum, auto

import numpy as np

from optimizer.arrays import Floats
from optimizer.certificate import Evidence
from optimizer.dispatch import Settled
from optimizer.energy_report import energy_report
from optimizer.expiry import worth_yuan
from optimizer.explain import reject, verdicts_of_start
from optimizer.money import Payment
from optimizer.occupancy import Occupancy, Seats
from optimizer.problem import JobSpec
from suanwang.ids import JobId, PoolId, SiteId
from suanwang.model.plan import Placement, Plan, PlannerKind, Rejection, SiteVerdict
from suanwang.model.prices import PriceBoard
from suanwang.units import SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Who made the plan, how good it is, how long it took; ``is_complete`` False: time ran out."""

    planner: PlannerKind
    solver: str
    build_s: float
    solve_s: float
    evidence: Evidence
    bound: float | None = None
    note: str = ""
    is_complete: bool = True
    prices: PriceBoard | None = None


@dataclass(frozen=True, slots=True)
class _Shares:
    """A plan's energy, carbon and cost for each watt of mean IT load, by (s, t)."""

    wh: Floats
    g: Floats
    yuan: Floats


def assemble(state: Occupancy, verdict: Verdict, settled: Settled) -> Plan:
    """Return the plan of a state: of each class, who waited longest starts first.

    Energy, carbon and cost of a placement are its share of the whole plan's, so they add up to it;
    where a site has energy data they are shares of what its guide says, and ``energy`` is exact.
    """
    objective = settled.objective
    bound = None if verdict.bound is None else min(verdict.bound, objective)
    placements, left = _placements(state)
    return Plan(
        made_at=state.instance.problem.origin,
        planner=verdict.planner,
        solver=verdict.solver,
        starts=tuple(one for one, kind in placements if kind is _Kind.START),
        later=tuple(one for one, kind in placements if kind is _Kind.LATER),
        kept=tuple(one for one, kind in placements if kind is _Kind.KEPT),
        moves=tuple(one for one, kind in placements if kind is _Kind.MOVE),
        rejections=_rejections(state, left, is_complete=verdict.is_complete),
        objective=objective,
        bound=bound,
        build_s=verdict.build_s,
        solve_s=verdict.solve_s,
        certificate=verdict.evidence.certificate(objective, bound, is_complete=verdict.is_complete),
        note=verdict.note,
        prices=verdict.prices,
        energy=energy_report(state.instance, settled.schedule),
    )


@dataclass(frozen=True, slots=True)
class _Start:
    """One start that a job will be dealt."""

    column: int
    payment: Payment
    figures: "_Figures"
    verdicts: tuple[SiteVerdict, ...]
    seats: Seats


@dataclass(frozen=True, slots=True)
class _Figures:
    energy_wh: float
    carbon_g: float
    cost: float


class _Kind(Enum):
    """What a placement is: a start now or later, or what becomes of a job that runs."""

    START = auto()
    LATER = auto()
    KEPT = auto()
    MOVE = auto()


def _kind(state: Occupancy, column: int) -> _Kind:
    if state.is_kept(column):
        return _Kind.KEPT
    if state.job(column).running is not None:
        return _Kind.MOVE
    return _Kind.LATER if state.columns.slot[column] else _Kind.START


def _placements(
    state: Occupancy,
) -> tuple[list[tuple[Placement, _Kind]], dict[int, list[JobSpec]]]:
    """Deal the starts of each class to its members; return what each is, and who is left."""
    columns, instance = state.columns, state.instance
    by_class: dict[int, list[_Start]] = {}
    shares = _shares(state)
    for column in sorted(state.payments, key=lambda at: (columns.slot[at], at)):
        verdicts = verdicts_of_start(state, column)
        figures = _figures(state, shares, column)
        starts = by_class.setdefault(int(columns.klass[column]), [])
        payments = list(state.payments[column])
        seats = state.seats.get(column) or [()] * len(payments)
        for payment, nodes in zip(payments, seats, strict=True):
            rows = _with_payment(verdicts, payment)
            starts.append(_Start(column, payment, figures, rows, nodes))
    placed: list[tuple[Placement, _Kind]] = []
    left: dict[int, list[JobSpec]] = {}
    for k, klass in enumerate(instance.classes):
        starts = by_class.get(k, [])
        for job, start in zip(klass.members, starts, strict=False):
            placed.append((_placement(state, job, start), _kind(state, start.column)))
        left[k] = list(klass.members[len(starts) :])
    return placed, left


def _placement(state: Occupancy, job: JobSpec, start: _Start) -> Placement:
    instance, columns = state.instance, state.columns
    p = int(columns.pool[start.column])
    pool = instance.pools[p]
    start_s = float(instance.timeline.start_s[columns.slot[start.column]])
    return Placement(
        job_id=JobId(job.id),
        site_id=SiteId(pool.site_id),
        pool_id=PoolId(pool.id),
        units=int(columns.units[start.column]),
        start=instance.problem.origin + timedelta(seconds=start_s),
        price_fen_max=start.payment.price_fen,
        cash_fen=start.payment.cash_fen,
        lots=dict(start.payment.lots),
        energy_wh=start.figures.energy_wh,
        carbon_g=start.figures.carbon_g,
        latency_ms=instance.rtt_ms(job, p),
        cost=start.figures.cost - worth_yuan(start.payment.lots, state.worth),
        verdicts=start.verdicts,
        nodes=dict(start.seats),
    )


def _with_payment(verdicts: tuple[SiteVerdict, ...], payment: Payment) -> tuple[SiteVerdict, ...]:
    """The rows of equal starts are equal but for how the own row is paid."""
    own = replace(verdicts[0], voucher_fen=payment.voucher_fen, cash_fen=payment.cash_fen)
    return (own, *verdicts[1:])


def _rejections(
    state: Occupancy, left: dict[int, list[JobSpec]], *, is_complete: bool
) -> tuple[Rejection, ...]:
    rejections: list[Rejection] = []
    for k, jobs in left.items():
        if not jobs:
            continue
        reason = reject(state, k, is_complete=is_complete)
        rejections.extend(replace(reason, job_id=JobId(job.id)) for job in jobs)
    return tuple(rejections)


def _shares(state: Occupancy) -> _Shares:
    facilities, mean_w = state.instance.facilities, state.mean_w
    is_used = mean_w > 0
    extra_wh = facilities.extra_w(mean_w) * facilities.hours
    yuan = state.energy_cost_yuan()
    watts = np.where(is_used, mean_w, 1.0)
    wh = np.where(is_used, extra_wh / watts, 0.0)
    return _Shares(
        wh=wh, g=wh * facilities.carbon_g / 1_000.0, yuan=np.where(is_used, yuan / watts, 0.0)
    )


def _figures(state: Occupancy, shares: _Shares, column: int) -> _Figures:
    columns, facilities = state.columns, state.instance.facilities
    first, last = int(columns.slot[column]), int(columns.last[column])
    s = int(state.instance.site_of[columns.pool[column]])
    mean_w = np.full(last + 1 - first, state.watts(column))
    mean_w[-1] *= columns.last_share[column]
    window = slice(first, last + 1)
    tail_wh = (
        state.watts(column)
        * float(columns.tail_s[column])
        / SECONDS_PER_HOUR
        * float(facilities.base_slope[s, -1])
    )
    return _Figures(
        energy_wh=float(mean_w @ shares.wh[s, window]) + tail_wh,
        carbon_g=float(mean_w @ shares.g[s, window])
        + tail_wh * float(facilities.carbon_g[s, -1]) / 1_000.0,
        cost=float(mean_w @ shares.yuan[s, window])
        + float(columns.cost[column])
        + state.order.arriving_yuan(int(columns.klass[column])),
    )
