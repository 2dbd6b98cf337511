"""One cycle of the scheduler, in numbered steps.

    0 lead       go on where this process writes the ledger, else leave it to the one that does
    1 queue      take the queue, oldest first
    2 snapshot   see the compute network and the money, as one moment
    3 plan       decide; pure, outside of any transaction, however long it takes
    4 check      each start against the newest state: job, pool, site, money, epoch
    5 commit     state, hold, attempt and start order: many starts in one unit of work
    6 hand out   orders lie ready; agents that wait for one find it
    7 explain    a decision for each job, with a reason for each pool

The plan is a proposal: step 4 may refuse any part of it. A job that changed meanwhile is skipped, a
refused hold leaves it waiting with that reason. Whatever dies between two steps, nothing is half
done: a start is committed whole or not at all.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine

from optimizer.arrivals import Meant, place_arrivals
from optimizer.problem import Problem
from scheduler import registry, reservations, store, store_plans
from scheduler.context import Context
from scheduler.desk import standing_of
from scheduler.energy_schedules import keep_schedules
from scheduler.events import GivenUp, Waited
from scheduler.moving import Runner, as_running, begin, go_on, movable, runners, without
from scheduler.order import Order, look_up, put_in_order
from scheduler.problem import Money, build_problem
from scheduler.promises import keep_promises
from scheduler.quotes import constrain
from scheduler.snapshot import network_to_plan
from scheduler.starting import Refusal, Start, start_many, words
from scheduler.store_plans import Decision
from scheduler.transition import Wanted, take, take_many
from suanwang.db.engine import reading
from suanwang.errors import SuanwangError, Unavailable
from suanwang.ids import JobId
from suanwang.model.job import Job, JobState
from suanwang.model.network import ComputeNetwork
from suanwang.model.plan import Placement, Plan, ReasonCode, Rejection
from suanwang.model.site import Pool
from voucher import store as money_store
from voucher import tenure
from voucher.turn import Turn
from voucher.writer import Writer

T = TypeVar("T")
_LOG = logging.getLogger(__name__)

EXPLAIN_AGAIN_AFTER: Final = timedelta(seconds=30)
"""An unchanged decision is written again after this long, so that its figures are not stale."""
STARTS_AT_ONCE: Final = 200
"""Starts in one unit of work; others come to the writer in between."""
DECISIONS_AT_ONCE: Final = 200
"""Decisions that are written in one unit of work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleReport:
    """What a cycle did. ``skipped`` maps jobs whose planned start was refused to the reason.

    ``moving`` are running jobs that it asked to move; those that went on elsewhere have started.
    """

    is_leader: bool
    epoch: int | None = None
    queued: int = 0
    started: tuple[JobId, ...] = ()
    skipped: Mapping[JobId, str] | None = None
    waiting: int = 0
    moving: tuple[JobId, ...] = ()
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
    planned: tuple[Placement, ...]
    booked: reservations.Booked
    runners: tuple[Runner, ...] = ()


def run_cycle(engine: Engine, writer: Writer, context: Context) -> CycleReport:
    """Run one cycle; return what was done. Raises NotWriting where the lead is lost on the way."""
    epoch = writer.epoch  # 0 lead
    context.on_step("lead")
    if epoch is None:
        return CycleReport(is_leader=False)
    moved = go_on(engine, writer, context, epoch)
    view = _look(engine, context)  # 1 queue, 2 snapshot
    if view.order.forsaken:
        writer.write(partial(_give_up, epoch, view))
        view = replace(
            view, jobs=tuple(job for job in view.jobs if job.id not in view.order.forsaken)
        )
    problem = _problem(view, context)
    if not view.jobs and not view.runners:
        context.desk.leave(standing_of(view.network, problem, None))
        return CycleReport(is_leader=True, epoch=epoch, started=moved)
    plan = None if view.runners else _between_solves(view, problem, context)  # 3 plan
    if plan is None:
        plan = context.planner(_with_runners(view, context) if view.runners else problem)
        context.desk.leave(standing_of(view.network, problem, plan))
        keep_schedules(engine, writer, epoch, plan, view.network)
    context.on_step("plan")
    jobs = {job.id: job for job in view.jobs}
    starts = [Start(jobs[placement.job_id], placement) for placement in plan.starts]
    refused = _commit(writer, context, epoch, starts)  # 4 check, 5 commit
    started = [*moved, *(start.job.id for start in starts if start.job.id not in refused)]
    begun = begin(writer, context, epoch, plan, view.runners)
    context.on_step("hand out")  # 6 the orders lie ready
    decisions = _decisions(plan, view.at, refused) | _moves(plan, view.at, begun)
    kept = {one.job.id for one in view.runners} - begun.keys()
    told = {job_id: one for job_id, one in decisions.items() if job_id not in kept}
    _explain(engine, writer, context, jobs, _Made(epoch, plan, told))  # 7 explain
    context.on_step("explain")
    report = CycleReport(
        is_leader=True,
        epoch=epoch,
        queued=len(view.jobs),
        started=tuple(started),
        skipped={job_id: refusal.message for job_id, refusal in refused.items()},
        waiting=len(view.jobs) - len(started) + len(moved),
        moving=tuple(begun),
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
    if report.started or report.skipped or report.moving:
        facts = {
            "epoch": report.epoch,
            "queued": report.queued,
            "started": len(report.started),
            "skipped": len(report.skipped or ()),
            "moving": len(report.moving),
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
            if not job.stop_requested and job.move_to is None
        )
        context.on_step("queue")
        found = _runners(connection, now, context)
        tenants = {job.tenant_id for job in (*jobs, *(one.job for one in found))}
        lots = money_store.lots(connection, now=now)
        cash = money_store.cash_by_tenant(connection)
        network = network_to_plan(connection, now, context.catalogue, context.peaks)
        booked = reservations.look_up(connection, now)
        view = _View(
            at=now,
            jobs=jobs,
            network=network,
            money=Money(
                lots=tuple(lot for lot in lots if lot.tenant_id in tenants),
                cash_fen={tenant: cash.get(tenant, 0) for tenant in sorted(tenants)},
            ),
            avoid=_avoid(connection, jobs, now, context),
            order=look_up(connection, jobs, now),
            planned=store_plans.planned_later(connection),
            booked=booked,
            runners=movable(network, found, [one.pool_id for one in booked.reservations]),
        )
    context.on_step("snapshot")
    return view


def _runners(connection: Connection, now: datetime, context: Context) -> tuple[Runner, ...]:
    """Return the running jobs that may move, where it is time to look at them."""
    limits = context.limits
    if not context.moves.is_due(context.clock.monotonic(), limits.moves_every_s):
        return ()
    return runners(connection, now, timedelta(seconds=limits.move_rest_s))


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


def _with_runners(view: _View, context: Context) -> Problem:
    """Return the problem with the running jobs that may move, their units free."""
    asked = replace(
        view,
        network=without(view.network, view.runners),
        jobs=(*view.jobs, *(one.job for one in view.runners)),
    )
    pools = {state.pool.id: state.pool for site in view.network.sites for state in site.pools}
    return as_running(_problem(asked, context), view.runners, pools)


def _problem(view: _View, context: Context) -> Problem:
    problem = build_problem(
        view.network, view.jobs, view.money, context.catalogue, context.limits.policy
    )
    problem = replace(
        problem, usual_link=context.limits.link, weights=context.limits.tenant_weights
    )
    problem = reservations.reserve(problem, view.booked, view.jobs)
    problem = keep_promises(problem, view.planned)
    return put_in_order(constrain(problem, view.jobs, view.avoid), view.order)


# --- 3 plan -------------------------------------------------------------------------------------


def _between_solves(view: _View, problem: Problem, context: Context) -> Plan | None:
    """Return starts of jobs that came in since the last solve, at its prices; None: solve now.

    So it is where the last solve is younger than ``solve_every_s``, and every job that can start at
    once by its prices is free to. Where no newcomer can, everything is solved.
    """
    standing = context.desk.newest(view.at)
    if standing is None or standing.plan is None or standing.board is None:
        return None
    if (view.at - standing.at).total_seconds() >= context.limits.solve_every_s:
        return None
    known = {spec.id for spec in standing.problem.jobs}
    newcomers = tuple(spec for spec in problem.jobs if spec.id not in known)
    if not newcomers:
        return None
    jobs = {job.id: job for job in view.jobs}
    meant = [_meant(one, jobs[one.job_id], view.at) for one in view.planned if one.job_id in jobs]
    return place_arrivals(replace(problem, jobs=newcomers), standing.board, meant)


def _meant(placement: Placement, job: Job, now: datetime) -> Meant:
    from_s = max(0.0, (placement.start - now).total_seconds())
    run_s = job.wanted.use_s_at(placement.units)
    return Meant(placement, job.tenant_id, from_s, from_s + run_s)


# --- 4 check, 5 commit --------------------------------------------------------------------------


def _commit(
    writer: Writer, context: Context, epoch: int, starts: Sequence[Start]
) -> dict[JobId, Refusal]:
    """Start jobs, many in one unit of work; return those that were refused, and why.

    Where a unit fails as a whole, each of its starts is tried alone, so that only one pays for it.
    """
    refused: dict[JobId, Refusal] = {}
    for some in _pieces(starts, STARTS_AT_ONCE):
        try:
            refused |= writer.write(partial(start_many, context, epoch, some))
        except Unavailable:
            raise
        except SuanwangError:
            for one in some:
                refused |= _alone(writer, context, epoch, one)
        for _ in some:
            context.on_step("commit")
    return refused


def _alone(writer: Writer, context: Context, epoch: int, start: Start) -> dict[JobId, Refusal]:
    try:
        return writer.write(partial(start_many, context, epoch, (start,)))
    except Unavailable:
        raise
    except SuanwangError as error:
        return {start.job.id: Refusal(ReasonCode.STALE, error.message)}


# --- 7 explain ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Made:
    """What a cycle made of what it saw: the plan, and what is decided about each job."""

    epoch: int
    plan: Plan
    decisions: Mapping[JobId, Decision]


def _explain(
    engine: Engine, writer: Writer, context: Context, jobs: Mapping[JobId, Job], made: _Made
) -> None:
    """Write a decision for each job where it is news, and why it waits into the job itself."""
    epoch, decisions = made.epoch, made.decisions
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
        store_plans.add_run(turn.connection, run_id, made.plan, epoch, len(decisions))

    writer.write(note_run)
    named = [replace(decision, plan_id=run_id) for decision in news]
    for some in _pieces(named, DECISIONS_AT_ONCE):
        writer.write(partial(_save_decisions, epoch, jobs, some))


def _save_decisions(
    epoch: int, jobs: Mapping[JobId, Job], decisions: Sequence[Decision], turn: Turn
) -> None:
    """Write decisions about the jobs that are still there; ``jobs`` is how the cycle saw them."""
    tenure.require(turn, epoch)
    connection = turn.connection
    stands = store.lock_stands(connection, [decision.job_id for decision in decisions])
    known = [decision for decision in decisions if decision.job_id in stands]
    store_plans.save_decisions(connection, known)
    waiting = [one for one in known if stands[one.job_id].is_waiting]
    if not waiting:
        return
    changed = [one.job_id for one in waiting if _is_other(jobs, one.job_id, stands)]
    now = {**jobs, **store.jobs_by_ids(connection, changed)}
    retried = [one.job_id for one in waiting if now[one.job_id].attempts]
    attempts = store.latest_attempts(connection, retried)
    news = [
        Wanted(now[one.job_id], attempts.get(one.job_id), _waited(now[one.job_id], one))
        for one in waiting
    ]
    for failure in take_many(turn, news, waiting[0].decided_at):
        if failure is not None:
            raise failure


def _is_other(
    jobs: Mapping[JobId, Job], job_id: JobId, stands: Mapping[JobId, store.Stand]
) -> bool:
    return job_id not in jobs or jobs[job_id].version != stands[job_id].version


def _decisions(plan: Plan, at: datetime, refused: Mapping[JobId, Refusal]) -> dict[JobId, Decision]:
    found: dict[JobId, Decision] = {}
    for at_place, placement in enumerate((*plan.starts, *plan.later)):
        is_now = at_place < len(plan.starts)
        reason = ReasonCode.PLACED if is_now else ReasonCode.LATER_IS_CHEAPER
        message = words(placement)
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


def _moves(plan: Plan, at: datetime, begun: Mapping[JobId, str]) -> dict[JobId, Decision]:
    """Return why each job that was asked to move does, with what every other pool would mean."""
    return {
        placement.job_id: Decision(
            job_id=placement.job_id,
            plan_id="",
            decided_at=at,
            reason=ReasonCode.MOVING,
            message=begun[placement.job_id],
            placement=placement,
            verdicts=placement.verdicts,
        )
        for placement in plan.moves
        if placement.job_id in begun
    }


def _rejected(rejection: Rejection, at: datetime) -> Decision:
    return Decision(
        job_id=rejection.job_id,
        plan_id="",
        decided_at=at,
        reason=rejection.reason,
        message=rejection.message,
        verdicts=rejection.verdicts,
    )


def _waited(job: Job, decision: Decision) -> Waited | GivenUp:
    """Why a job still waits; one whose deadline has passed has failed."""
    deadline = job.wishes.deadline
    if deadline is not None and decision.decided_at >= deadline:
        message = f"its deadline {deadline.isoformat(timespec='minutes')} has passed"
        return GivenUp(at=decision.decided_at, reason=ReasonCode.DEADLINE, message=message)
    return Waited(at=decision.decided_at, reason=decision.reason, message=decision.message)
