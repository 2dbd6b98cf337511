"""Moves of running jobs: who may, what the planner is asked, and what is done about its answer.

The story of one move is in ``scheduler.moves``; here it is read and written. A move has two units
of work. The first sets the money aside, notes where the job is bound for and orders the stop. The
second comes once the present attempt has ended by its own report: it starts the job where its units
and its money are kept, or lets the move go and leaves the rest of the run to the planner. Whoever
dies in between, the next cycle goes on from the database.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sqlalchemy import Connection, Engine

from optimizer.problem import JobSpec, Problem, RunningAt
from scheduler import store
from scheduler.billing import HoldRefused
from scheduler.context import Context
from scheduler.events import MoveAsked, MoveDropped, Placed
from scheduler.moves import hold_of_move, left_run_s, may_begin
from scheduler.snapshot import free_at
from scheduler.starting import Ground, Refusal, Start
from scheduler.transition import take
from suanwang.db.engine import reading
from suanwang.errors import Conflict, InvalidTransition
from suanwang.ids import JobId, PoolId
from suanwang.model.attempt import Attempt
from suanwang.model.job import Job, JobState
from suanwang.model.network import ComputeNetwork, PoolState
from suanwang.model.plan import Placement, Plan
from suanwang.model.site import Pool
from suanwang.units import hold_fen
from voucher import store as money_store
from voucher import tenure
from voucher.turn import Turn
from voucher.writer import Writer

_LOG = logging.getLogger(__name__)

MOVES_AT_ONCE: Final = 20
"""Moves that one cycle begins: each is a unit of work, and stops a program."""
_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Runner:
    """A running job that may move, and its attempt."""

    job: Job
    attempt: Attempt

    def left_run_s(self, now: datetime) -> int:
        """Return what would be left of its run if it stopped now."""
        began = self.attempt.started_at or now
        return left_run_s(self.attempt, max(timedelta(0), now - began))

    def elsewhere(self, now: datetime) -> Job:
        """Return the job as it would go on elsewhere from now on."""
        left_s = self.left_run_s(now) + self.job.wishes.checkpoint_s
        return replace(self.job, left_units=self.attempt.units, left_run_s=left_s)


# --- what the planner is asked ------------------------------------------------------------------


def runners(connection: Connection, now: datetime, rest: timedelta) -> tuple[Runner, ...]:
    """Return the running jobs that may move and have run for a while where they are."""
    return tuple(
        Runner(job, attempt)
        for job, attempt in store.running_jobs(connection)
        if may_begin(job, attempt)
        and attempt.started_at is not None
        and now - attempt.started_at >= rest
    )


def movable(
    network: ComputeNetwork, found: Sequence[Runner], reserved: Sequence[PoolId]
) -> tuple[Runner, ...]:
    """Return those whose pool is there, with all its units in service and no reservation.

    Where units are drained or reserved it is not plain what a job would give back by leaving.
    """
    pools = {state.pool.id: state for site in network.sites for state in site.pools}
    return tuple(
        one
        for one in found
        if one.attempt.pool_id in pools
        and not pools[one.attempt.pool_id].pool.drained_units
        and one.attempt.pool_id not in reserved
    )


def without(network: ComputeNetwork, leaving: Sequence[Runner]) -> ComputeNetwork:
    """Return the network as it would be without these jobs: their units count as free."""
    by_pool: dict[PoolId, list[Attempt]] = defaultdict(list)
    for one in leaving:
        by_pool[one.attempt.pool_id].append(one.attempt)
    sites = tuple(
        replace(
            site,
            pools=tuple(
                _vacated(state, by_pool[state.pool.id], network.at) for state in site.pools
            ),
        )
        for site in network.sites
    )
    return replace(network, sites=sites)


def _vacated(state: PoolState, leaving: Sequence[Attempt], now: datetime) -> PoolState:
    gone = Counter((free_at(attempt, now), attempt.units) for attempt in leaving)
    units = sum(attempt.units for attempt in leaving)
    return replace(
        state,
        units_free=min(state.pool.units_usable, state.units_free + units),
        busy_until=tuple(sorted((Counter(state.busy_until) - gone).elements())),
        movable_units=units,
    )


def as_running(problem: Problem, found: Sequence[Runner], prices: Mapping[PoolId, Pool]) -> Problem:
    """Return the problem in which these jobs run already, with what is left of each."""
    by_id = {str(one.job.id): one for one in found}

    def changed(spec: JobSpec) -> JobSpec:
        one = by_id.get(spec.id)
        return spec if one is None else _running(spec, one, problem.origin, prices)

    return replace(problem, jobs=tuple(changed(spec) for spec in problem.jobs))


def _running(spec: JobSpec, one: Runner, now: datetime, pools: Mapping[PoolId, Pool]) -> JobSpec:
    attempt, wishes = one.attempt, one.job.wishes
    grace_ms = attempt.units * attempt.stop_grace_s * 1_000
    price = pools[attempt.pool_id].price_uyuan_per_unit_hour
    return replace(
        spec,
        units=attempt.units,
        run_s=float(max(1, one.left_run_s(now) + attempt.stop_grace_s)),
        shapes=(),
        earliest_s=0.0,
        waited_s=0.0,
        running=RunningAt(
            pool_id=attempt.pool_id,
            checkpoint_s=float(wishes.checkpoint_s),
            checkpoint_fen=int(hold_fen(grace_ms, price)),
            may_move=True,
            may_wait=False,
        ),
    )


# --- what is done about its answer --------------------------------------------------------------


def begin(
    writer: Writer, context: Context, epoch: int, plan: Plan, found: Sequence[Runner]
) -> dict[JobId, str]:
    """Begin the moves of a plan that start now; return why, by job, for those that did."""
    by_id = {one.job.id: one for one in found}
    begun: dict[JobId, str] = {}
    for placement in plan.moves[:MOVES_AT_ONCE]:
        one = by_id.get(placement.job_id)
        if one is None or placement.pool_id == one.attempt.pool_id:
            continue
        why = words(placement, one, plan.made_at)
        try:
            refusal = writer.write(partial(_ask, context, epoch, one, placement, why))
        except (HoldRefused, InvalidTransition, Conflict) as failure:
            refusal = str(failure)
        if refusal:
            _LOG.info("not moved: %s", refusal, extra={"job": one.job.id})
        else:
            begun[one.job.id] = why
        context.on_step("move")
    return begun


def words(placement: Placement, one: Runner, now: datetime) -> str:
    """Say where a job goes, and what that saves by the plan's own figures."""
    rows = {row.pool_id: row.cost for row in placement.verdicts}
    there, here = rows.get(placement.pool_id), rows.get(one.attempt.pool_id)
    text = (
        f"moves from {one.attempt.pool_id} to {placement.pool_id} for the "
        f"{one.left_run_s(now)} s that are left of its run"
    )
    if there is None or here is None:
        return text
    return (
        f"{text}: {here - there:.2f} yuan less ({there:.2f} there, {here:.2f} here), saving and "
        f"loading its state counted"
    )


def _ask(
    context: Context, epoch: int, one: Runner, placement: Placement, why: str, turn: Turn
) -> str:
    """Ask one job to move, on the newest state; return why not, empty where it was asked."""
    tenure.require(turn, epoch)
    now = context.clock.now()
    job = store.job_by_id(turn.connection, one.job.id, lock=True)
    attempt = store.latest_attempt(turn.connection, job.id)
    if attempt is None or attempt.id != one.attempt.id or not may_begin(job, attempt):
        return "the job changed while it was planned"
    fresh = Runner(job, attempt)
    if fresh.left_run_s(now) <= 0:
        return "its run is at its end"
    ground = Ground(turn.connection, [placement.pool_id], now)
    placed = ground.check(context, Start(fresh.elsewhere(now), placement))
    if isinstance(placed, Refusal):
        return placed.message
    asked = MoveAsked(at=now, pool_id=placement.pool_id, slices=placed.slices, message=why)
    take(turn, job, attempt, asked)
    return ""


def go_on(engine: Engine, writer: Writer, context: Context, epoch: int) -> tuple[JobId, ...]:
    """Start the jobs whose move has come to its second half; return those that started."""
    with reading(engine) as connection:
        bound = [
            job.id
            for job, attempt in store.moving_jobs(connection)
            if job.state is JobState.QUEUED and attempt.state.is_dead
        ]
    return tuple(
        job_id for job_id in bound if writer.write(partial(_go_on, context, epoch, job_id))
    )


def _go_on(context: Context, epoch: int, job_id: JobId, turn: Turn) -> bool:
    """Start one job where it is bound for, or let its move go."""
    tenure.require(turn, epoch)
    now = context.clock.now()
    job = store.job_by_id(turn.connection, job_id, lock=True)
    attempt = store.latest_attempt(turn.connection, job.id)
    is_bound = job.state is JobState.QUEUED and job.move_to is not None
    if not is_bound or job.move_to is None or attempt is None or not attempt.state.is_dead:
        return False
    wanted = job.wanted
    ground = Ground(turn.connection, [job.move_to], now, besides=job.id)
    pool = ground.room(job.move_to, wanted.units)
    why = pool.message if isinstance(pool, Refusal) else _short_of_money(turn, job, pool)
    if why or isinstance(pool, Refusal):
        take(turn, job, attempt, MoveDropped(at=now, message=why))
        return False
    lease = timedelta(seconds=context.limits.start_margin_s + wanted.use_s_max)
    placed = Placed(
        at=now,
        site_id=pool.site_id,
        pool_id=pool.id,
        price_uyuan_per_unit_hour=pool.price_uyuan_per_unit_hour,
        epoch=epoch,
        lease_expires_at=now + lease,
        slices=(),
        units=wanted.units,
        is_held=True,
        message=f"goes on in {pool.id}: {job.message}",
    )
    take(turn, job, attempt, placed)
    return True


def _short_of_money(turn: Turn, job: Job, pool: Pool) -> str:
    """Return why the money that was set aside does not do any more, empty where it does."""
    held_fen = money_store.find_hold(turn.connection, hold_of_move(job)[1]).amount_fen
    unit_ms = job.wanted.units * job.wanted.use_s_max * 1_000
    needed_fen = int(hold_fen(unit_ms, pool.price_uyuan_per_unit_hour))
    if needed_fen <= held_fen:
        return ""
    return f"{needed_fen} fen are needed there by now, {held_fen} fen are set aside"
