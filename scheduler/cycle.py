"""One cycle of the scheduler, in numbered steps.

    0 lead       go on where this process writes the ledger, else leave it to the one that does
    1 queue      take the queue, oldest first
    2 snapshot   see the compute network and the money, as one moment
    3 plan       decide; pure, outside of any transaction, however long it takes
    4 check      each start against the newest state: job, pool, site, money, epoch
    5 commit     state, hold, attempt and start order: ONE unit of work for each start
    6 hand out   orders lie ready; agents that wait for one find it
    7 explain    a decision for each job, with a reason for each pool

The plan is a proposal: step 4 may refuse any part of it. A job that changed meanwhile is skipped, a
refused hold leaves it waiting with that reason. Whatever dies between two steps, nothing is half
done: a start is committed whole or not at all.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine

from optimizer.problem import Problem
from scheduler import registry, store, store_plans, store_registry
from scheduler.billing import HoldRefused
from scheduler.context import Context
from scheduler.desk import standing_of
from scheduler.events import GivenUp, Placed, Waited
from scheduler.order import Order, look_up, put_in_order
from scheduler.problem import Money, build_problem
from scheduler.quotes import constrain
from scheduler.snapshot import is_reachable, pool_state, take_snapshot, with_peaks
from scheduler.store_plans import Decision
from scheduler.transition import take
from suanwang.db.engine import reading
from suanwang.errors import SuanwangError, Unavailable
from suanwang.ids import JobId
from suanwang.model.job import Job, JobState
from suanwang.model.network import ComputeNetwork
from suanwang.model.plan import Placement, Plan, ReasonCode, Rejection
from suanwang.model.site import Pool
from suanwang.model.voucher import HoldSlice
from suanwang.units import hold_fen
from voucher import store as money_store
from voucher import tenure
from voucher.outcomes import RefusalCode
from voucher.tender import slices_for
from voucher.turn import Turn
from voucher.writer import Writer, wait_for

T = TypeVar("T")
_LOG = logging.getLogger(__name__)

EXPLAIN_AGAIN_AFTER: Final = timedelta(seconds=30)
"""An unchanged decision is written again after this long, so that its figures are not stale."""
STARTS_AT_ONCE: Final = 16
"""Starts that are with the writer at the same time; others come to it in between."""
DECISIONS_AT_ONCE: Final = 50
"""Decisions that are written in one unit of work."""
_ANY_CASH: Final = 10**15


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleReport:
    """What a cycle did. ``skipped`` maps jobs whose planned start was refused to the reason."""

    is_leader: bool
    epoch: int | None = None
    queued: int = 0
    started: tuple[JobId, ...] = ()
    skipped: Mapping[JobId, str] | None = None
    waiting: int = 0
    plan: Plan | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """What one cycle works on: the queue and the world at one moment."""

    at: datetime
    jobs: tuple[Job, ...]
    network: ComputeNetwork
    money: Money
    avoid: dict[JobId, dict[str, str]]
    order: Order


class _Refused(Exception):
    """The newest state says no to a planned start."""

    def __init__(self, reason: ReasonCode, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def run_cycle(engine: Engine, writer: Writer, context: Context) -> CycleReport:
    """Run one cycle; return what was done. Raises NotWriting where the lead is lost on the way."""
    epoch = writer.epoch  # 0 lead
    context.on_step("lead")
    if epoch is None:
        return CycleReport(is_leader=False)
    view = _look(engine, context)  # 1 queue, 2 snapshot
    if view.order.forsaken:
        writer.write(partial(_give_up, epoch, view))
        view = replace(
            view, jobs=tuple(job for job in view.jobs if job.id not in view.order.forsaken)
        )
    problem = _problem(view, context)
    if not view.jobs:
        context.desk.leave(standing_of(view.network, problem, None))
        return CycleReport(is_leader=True, epoch=epoch)
    plan = context.planner(problem)  # 3 plan
    context.desk.leave(standing_of(view.network, problem, plan))
    context.on_step("plan")
    jobs = {job.id: job for job in view.jobs}
    started: list[JobId] = []
    refused: dict[JobId, _Refused] = {}
    for some in _pieces(plan.starts, STARTS_AT_ONCE):  # 4 check, 5 commit
        answers = [
            writer.ask(partial(_start, context, epoch, jobs[one.job_id], one)) for one in some
        ]
        for placement, answer in zip(some, answers, strict=True):
            try:
                _wait_for_start(answer)
            except _Refused as refusal:
                refused[placement.job_id] = refusal
            else:
                started.append(placement.job_id)
            context.on_step("commit")
    context.on_step("hand out")  # 6 the orders lie ready
    _explain(engine, writer, context, epoch, _decisions(plan, view.at, refused), plan)  # 7 explain
    context.on_step("explain")
    report = CycleReport(
        is_leader=True,
        epoch=epoch,
        queued=len(view.jobs),
        started=tuple(started),
        skipped={job_id: refusal.message for job_id, refusal in refused.items()},
        waiting=len(view.jobs) - len(started),
        plan=plan,
    )
    _log(report, plan)
    return report


def present_problem(engine: Engine, context: Context) -> Problem:
    """Return what the planner would be asked now, without asking it."""
    return _problem(_look(engine, context), context)


def _pieces(items: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    for first in range(0, len(items), most):
        yield items[first : first + most]


def _log(report: CycleReport, plan: Plan) -> None:
    """One line for each cycle that did something; a queue that only waits is silent."""
    if report.started or report.skipped:
        facts = {
            "epoch": report.epoch,
            "queued": report.queued,
            "started": len(report.started),
            "skipped": len(report.skipped or ()),
            "planner": plan.planner.value,
            "plan_s": round(plan.build_s + plan.solve_s, 3),
        }
        _LOG.info("cycle", extra=facts)


# --- 1 queue, 2 snapshot ------------------------------------------------------------------------


def _look(engine: Engine, context: Context) -> _View:
    now = context.clock.now()
    with reading(engine) as connection:
        jobs = tuple(
            job
            for job in store.queued_jobs(connection, context.limits.queue_limit)
            if not job.stop_requested
        )
        context.on_step("queue")
        tenants = {job.tenant_id for job in jobs}
        lots = money_store.lots(connection, now=now)
        cash = money_store.cash_by_tenant(connection)
        view = _View(
            at=now,
            jobs=jobs,
            network=with_peaks(connection, take_snapshot(connection, now), context.peaks),
            money=Money(
                lots=tuple(lot for lot in lots if lot.tenant_id in tenants),
                cash_fen={tenant: cash.get(tenant, 0) for tenant in sorted(tenants)},
            ),
            avoid=_avoid(connection, jobs, now, context),
            order=look_up(connection, jobs, now),
        )
    context.on_step("snapshot")
    return view


def _avoid(
    connection: Connection, jobs: Sequence[Job], now: datetime, context: Context
) -> dict[JobId, dict[str, str]]:
    """Return the pools that each job must not use for a while: its site has failed it before."""
    retried = [job.id for job in jobs if job.attempts]
    since = now - timedelta(seconds=context.limits.avoid_s)
    failures = store.infrastructure_failures(connection, retried, since)
    pools: dict[str, list[Pool]] = defaultdict(list)
    if failures:
        for registered in registry.sites(connection):
            pools[registered.site.id] += registered.site.pools
    avoid: dict[JobId, dict[str, str]] = defaultdict(dict)
    for attempt in failures:
        words = f"attempt {attempt.number} failed at {attempt.site_id}: {attempt.message}"
        for pool in pools[attempt.site_id]:
            avoid[attempt.job_id][pool.id] = words
    return dict(avoid)


def _give_up(epoch: int, view: _View, turn: Turn) -> None:
    """End the jobs that wait for one that ended badly; those that wait for them are next."""
    tenure.require(turn, epoch)
    for job_id, why in view.order.forsaken.items():
        job = store.job_by_id(turn.connection, job_id, lock=True)
        if job.state is JobState.QUEUED:
            attempt = store.latest_attempt(turn.connection, job.id)
            reason = ReasonCode.PREDECESSOR_FAILED
            take(turn, job, attempt, GivenUp(at=view.at, reason=reason, message=why))


def _problem(view: _View, context: Context) -> Problem:
    problem = build_problem(
        view.network, view.jobs, view.money, context.catalogue, context.limits.policy
    )
    problem = replace(problem, usual_link=context.limits.link)
    return put_in_order(constrain(problem, view.jobs, view.avoid), view.order)


# --- 4 check, 5 commit --------------------------------------------------------------------------


def _start(context: Context, epoch: int, planned: Job, placement: Placement, turn: Turn) -> None:
    """Start one job, whole or not at all; raise where the newest state says no."""
    tenure.require(turn, epoch)
    connection = turn.connection
    event = _check(connection, context, planned, placement, context.clock.now())
    job = store.job_by_id(connection, planned.id, lock=True)
    attempt = store.latest_attempt(connection, job.id)
    if job.version != planned.version or job.state is not JobState.QUEUED:
        raise _Refused(ReasonCode.STALE, "the job changed while it was planned")
    take(turn, job, attempt, replace(event, epoch=epoch))
    context.on_step("committing")


def _wait_for_start(answer: "Future[None]") -> None:
    """Return once a start is durable; raise _Refused for one that was not to be."""
    try:
        wait_for(answer)
    except HoldRefused as refusal:
        raise _Refused(_reason_of(refusal), f"no money set aside: {refusal}") from refusal
    except Unavailable:
        raise
    except SuanwangError as error:
        raise _Refused(ReasonCode.STALE, error.message) from error


def _check(
    connection: Connection, context: Context, job: Job, placement: Placement, now: datetime
) -> Placed:
    """Check pool, site and price as they are now; return the event that starts the job."""
    pool = store_registry.pool_by_id(connection, placement.pool_id, lock=True)
    registered = registry.find_site(connection, placement.site_id)
    if pool is None or pool.site_id != placement.site_id:
        raise _Refused(ReasonCode.STALE, f"pool {placement.pool_id} is not there any more")
    if not registered.is_open or not is_reachable(registered, now):
        raise _Refused(ReasonCode.SITE_DOWN, f"{placement.site_id} takes no jobs at the moment")
    running = [
        attempt
        for attempt in store.live_attempts(connection, site_id=pool.site_id)
        if attempt.pool_id == pool.id
    ]
    free = pool_state(pool, running, now).units_free
    if free < placement.units:
        message = f"{pool.id} has {free} units free, the job needs {placement.units}"
        raise _Refused(ReasonCode.CAPACITY, message)
    lease_s = context.limits.start_margin_s + job.wishes.use_s_at(placement.units)
    return Placed(
        at=now,
        site_id=placement.site_id,
        pool_id=placement.pool_id,
        price_uyuan_per_unit_hour=pool.price_uyuan_per_unit_hour,
        epoch=0,
        lease_expires_at=now + timedelta(seconds=lease_s),
        slices=_slices(connection, job, placement, pool, now),
        units=placement.units,
        message=_words(placement),
    )


def _slices(
    connection: Connection, job: Job, placement: Placement, pool: Pool, now: datetime
) -> tuple[HoldSlice, ...]:
    """Return what to hold: the planned lots in drawing order, cash for the rest."""
    unit_ms = placement.units * job.wishes.use_s_at(placement.units) * 1_000
    price_fen = hold_fen(unit_ms, pool.price_uyuan_per_unit_hour)
    if price_fen > placement.price_fen_max:
        message = f"the price rose from {placement.price_fen_max} to {price_fen} fen"
        raise _Refused(ReasonCode.STALE, message)
    lots = [
        replace(lot, available_fen=min(lot.available_fen, placement.lots[lot.id]))
        for lot in money_store.lots(connection, tenant_id=job.tenant_id, now=now)
        if lot.id in placement.lots
    ]
    slices = slices_for(price_fen, lots, _ANY_CASH, now) or ()
    cash_fen = sum(part.amount_fen for part in slices if part.lot_id is None)
    if cash_fen > placement.cash_fen + len(placement.lots):
        message = f"a voucher has less than planned: cash would be {cash_fen} fen"
        raise _Refused(ReasonCode.VOUCHER, message)
    return slices


def _words(placement: Placement) -> str:
    chosen = [verdict for verdict in placement.verdicts if verdict.pool_id == placement.pool_id]
    return chosen[0].message if chosen else f"placed at {placement.site_id}"


def _reason_of(refusal: HoldRefused) -> ReasonCode:
    is_cash = refusal.refusal.code is RefusalCode.CASH_SHORT
    return ReasonCode.CASH_BUDGET if is_cash else ReasonCode.VOUCHER


# --- 7 explain ----------------------------------------------------------------------------------


def _explain(
    engine: Engine,
    writer: Writer,
    context: Context,
    epoch: int,
    decisions: Mapping[JobId, Decision],
    plan: Plan,
) -> None:
    """Write a decision for each job where it is news, and why it waits into the job itself."""
    with reading(engine) as connection:
        known = store_plans.decided(connection, list(decisions))
    news = [
        decision
        for decision in decisions.values()
        if decision.job_id not in known
        or known[decision.job_id][1] is not decision.reason
        or decision.decided_at - known[decision.job_id][0] >= EXPLAIN_AGAIN_AFTER
    ]
    if not news:
        return
    run_id = context.ids.new("plan")

    def note_run(turn: Turn) -> None:
        tenure.require(turn, epoch)
        store_plans.add_run(turn.connection, run_id, plan, epoch, len(decisions))

    writer.write(note_run)
    named = [replace(decision, plan_id=run_id) for decision in news]
    for some in _pieces(named, DECISIONS_AT_ONCE):
        writer.write(partial(_save_decisions, epoch, some))


def _save_decisions(epoch: int, decisions: Sequence[Decision], turn: Turn) -> None:
    tenure.require(turn, epoch)
    there = store.lock_jobs(turn.connection, [decision.job_id for decision in decisions])
    for decision in decisions:
        if decision.job_id in there:
            store_plans.save_decision(turn.connection, decision)
            _wait(turn, there[decision.job_id], decision)


def _decisions(
    plan: Plan, at: datetime, refused: Mapping[JobId, _Refused]
) -> dict[JobId, Decision]:
    found: dict[JobId, Decision] = {}
    for placement in (*plan.starts, *plan.later):
        is_now = placement in plan.starts
        reason = ReasonCode.PLACED if is_now else ReasonCode.LATER_IS_CHEAPER
        message = _words(placement)
        if not is_now:
            start = placement.start.isoformat(timespec="minutes")
            message = f"meant for {placement.site_id} at {start}: {message}"
        refusal = refused.get(placement.job_id)
        if refusal is not None:
            reason, message = refusal.reason, refusal.message
        found[placement.job_id] = Decision(
            job_id=placement.job_id,
            plan_id="",
            decided_at=at,
            reason=reason,
            message=message,
            placement=placement,
            verdicts=placement.verdicts,
        )
    for rejection in plan.rejections:
        found[rejection.job_id] = _rejected(rejection, at)
    return found


def _rejected(rejection: Rejection, at: datetime) -> Decision:
    return Decision(
        job_id=rejection.job_id,
        plan_id="",
        decided_at=at,
        reason=rejection.reason,
        message=rejection.message,
        verdicts=rejection.verdicts,
    )


def _wait(turn: Turn, job: Job, decision: Decision) -> None:
    """Write into a job that still waits why it does; one whose deadline has passed has failed."""
    if job.state is not JobState.QUEUED:
        return
    attempt = store.latest_attempt(turn.connection, job.id)
    deadline = job.wishes.deadline
    if deadline is not None and decision.decided_at >= deadline:
        message = f"its deadline {deadline.isoformat(timespec='minutes')} has passed"
        given_up = GivenUp(at=decision.decided_at, reason=ReasonCode.DEADLINE, message=message)
        take(turn, job, attempt, given_up)
        return
    waited = Waited(at=decision.decided_at, reason=decision.reason, message=decision.message)
    take(turn, job, attempt, waited)
