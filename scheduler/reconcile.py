"""Brings the record back to the truth, on start and ever after: what no message tells, time tells.

Each attempt is looked at in a unit of work of its own, so one that cannot be helped stops no other.
An attempt that nobody has seen is unknown, not dead. Only a proof allows the next attempt: the
agent's fence, an operator's word (``declare_dead``), or a start order that never left the centre.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sqlalchemy import Connection, Engine

from scheduler import extension, registry, store, store_orders, store_plans, store_usage
from scheduler.context import Context, Limits
from scheduler.events import (
    AttemptEvent,
    Bill,
    Fenced,
    FenceDue,
    LeaseEnded,
    Lost,
    ReleaseHold,
    TimeShort,
    TimeUsed,
)
from scheduler.granted_time import automatic_s, may_grow
from scheduler.lifecycle import billable_window
from scheduler.snapshot import is_reachable
from scheduler.transition import settle_again, take
from suanwang.db.engine import reading
from suanwang.errors import Conflict, InvalidTransition, NotFound, Refused
from suanwang.ids import AttemptId, SiteId
from suanwang.model.attempt import Attempt, AttemptState, FailureKind
from suanwang.model.job import Job
from voucher import ledger, tenure
from voucher import store as money_store
from voucher.expiry import expire_due
from voucher.grants import sweep
from voucher.turn import Turn
from voucher.writer import Writer

_LOG = logging.getLogger(__name__)

KEEP_RUNS_FOR: Final = timedelta(days=7)
"""Planning runs that no decision names are kept this long."""
SHORT: Final = timedelta(seconds=30)
"""Time is short from here on, however short the run: two reconciles and an agent's call."""
_SLACK_S: Final = 30.0
"""The agent stops what has used its time by itself; the centre steps in this much later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What the centre knows around an attempt when it judges it.

    ``extends_by_s`` is how much more time the job's own wish still allows it.
    """

    is_site_reachable: bool
    was_handed_out: bool
    is_fence_pending: bool
    extends_by_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtensionDue:
    """The attempt runs short, and its job wishes for more time then."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileReport:
    """How many attempts were moved, holds settled, lots expired and applications moved by time."""

    is_leader: bool
    moved: int = 0
    settled: int = 0
    expired: int = 0
    grants: int = 0


def due_event(
    attempt: Attempt, sight: Sight, now: datetime, limits: Limits
) -> AttemptEvent | ExtensionDue | None:
    """Return what time alone says about a live attempt, or None; pure."""
    silent_s = (now - (attempt.last_seen_at or attempt.intent_at)).total_seconds()
    is_lost = silent_s >= limits.unknown_after_s
    if is_lost and not sight.is_site_reachable and not sight.was_handed_out:
        return Fenced(at=now, message="the site could not be reached, the order never left")
    if now >= attempt.lease_expires_at + timedelta(seconds=_SLACK_S):
        return None if sight.is_fence_pending else LeaseEnded(at=now)
    if attempt.state is AttemptState.UNKNOWN:
        is_due = silent_s >= limits.fence_after_s and sight.is_site_reachable
        return FenceDue(at=now) if is_due and not sight.is_fence_pending else None
    if is_lost:
        return Lost(at=now, message=f"no news for {silent_s:.0f} s")
    return _due_of_time(attempt, sight, now)


def _due_of_time(
    attempt: Attempt, sight: Sight, now: datetime
) -> AttemptEvent | ExtensionDue | None:
    if attempt.started_at is None or attempt.stop_requested:
        return None
    if now >= attempt.started_at + timedelta(seconds=attempt.run_s_max + _SLACK_S):
        return TimeUsed(at=now)
    if not _runs_short(attempt, now):
        return None
    if sight.extends_by_s:
        return ExtensionDue(at=now)
    return TimeShort(at=now) if attempt.warned_s != attempt.run_s_max else None


def _runs_short(attempt: Attempt, now: datetime) -> bool:
    """Whether nine tenths of the time, and so of the hold, are used, or the last of it runs."""
    if attempt.started_at is None:
        return False
    granted = timedelta(seconds=attempt.run_s_max)
    used = now - attempt.started_at
    return used * 10 >= granted * 9 or used >= granted - SHORT


def reconcile(engine: Engine, writer: Writer, context: Context) -> ReconcileReport:
    """Look at every live attempt, every unsettled hold and every lot that is due."""
    epoch = writer.epoch
    if epoch is None:
        return ReconcileReport(is_leader=False)
    with reading(engine) as connection:
        now = context.clock.now()
        live = store.live_attempts(connection)
        unsettled = store_usage.dead_attempts_with_open_holds(connection)
        due = money_store.due_lots(connection, now)
        waiting = sweep.due_now(connection, now)
    moved = sum(_judge(writer, context, epoch, attempt) for attempt in live)
    settled = sum(
        writer.write(partial(_settle, context, epoch, attempt_id)) for attempt_id in unsettled
    )
    # Awards and their caps are locked, so nobody else's unit of work may be in the transaction.
    expired = writer.write(partial(_expire, context, epoch, due), alone=True) if due else 0
    grants = sum(
        writer.write(partial(_do_due, context, epoch, name), alone=True) for name in waiting
    )
    writer.write(partial(_prune, context, epoch))
    return ReconcileReport(
        is_leader=True, moved=moved, settled=settled, expired=expired, grants=grants
    )


def _do_due(context: Context, epoch: int, application_id: str, turn: Turn) -> bool:
    """Do what time alone does to an application for a voucher."""
    tenure.require(turn, epoch)
    return sweep.do_due(turn, application_id, context.clock.now())


def _expire(context: Context, epoch: int, due: Collection[str], turn: Turn) -> int:
    """Book what has ended, and let the caps go of what came back with it."""
    tenure.require(turn, epoch)
    now = context.clock.now()
    outcomes = expire_due(turn, now)
    sweep.free_ended(turn, due, now)
    return sum(isinstance(outcome, ledger.Accepted) for outcome in outcomes)


def _prune(context: Context, epoch: int, turn: Turn) -> None:
    tenure.require(turn, epoch)
    store_plans.prune_runs(turn.connection, context.clock.now() - KEEP_RUNS_FOR)


def _judge(writer: Writer, context: Context, epoch: int, seen: Attempt) -> bool:
    """Judge one attempt on its newest state; return whether something was due."""

    def judge(turn: Turn) -> bool:
        tenure.require(turn, epoch)
        now = context.clock.now()
        job, attempt = _lock(turn.connection, seen)
        if attempt is None or attempt.state.is_dead:
            return False
        due = due_event(attempt, _sight(turn.connection, job, attempt, now), now, context.limits)
        if due is None:
            return False
        if isinstance(due, ExtensionDue):
            extension.extend_by_wish(turn, job, attempt, now)
        else:
            take(turn, job, attempt, due)
        return True

    try:
        return writer.write(judge)
    except (InvalidTransition, NotFound) as error:
        _LOG.warning("not reconciled: %s", error.message, extra={"attempt": seen.id})
        return False
    except Refused as refused:
        return writer.write(partial(_warn, context, epoch, seen, refused.message))


def _warn(context: Context, epoch: int, seen: Attempt, why: str, turn: Turn) -> bool:
    """Say once for each grant of time that it ends, and why the wish for more was refused.

    The wish is tried again at every reconcile until the end: money and room may come back.
    """
    tenure.require(turn, epoch)
    job, attempt = _lock(turn.connection, seen)
    if attempt is None or attempt.state.is_dead or attempt.warned_s == attempt.run_s_max:
        return False
    warning = TimeShort(at=context.clock.now(), why_not_longer=why)
    return take(turn, job, attempt, warning).instructions != ()


def _lock(connection: Connection, seen: Attempt) -> tuple[Job, Attempt | None]:
    job = store.job_by_id(connection, seen.job_id, lock=True)
    return job, store.attempts_by_id(connection, [seen.id]).get(seen.id)


def _sight(connection: Connection, job: Job, attempt: Attempt, now: datetime) -> Sight:
    registered = registry.find_site(connection, attempt.site_id)
    return Sight(
        is_site_reachable=is_reachable(registered, now),
        was_handed_out=store_orders.was_handed_out(connection, attempt.id),
        is_fence_pending=store_orders.is_pending(connection, attempt.id, "fence"),
        extends_by_s=automatic_s(job, attempt) if may_grow(job, attempt) else 0,
    )


def _settle(context: Context, epoch: int, attempt_id: AttemptId, turn: Turn) -> bool:
    """Settle the hold of an attempt that is dead: pay what it used, or give all back."""
    tenure.require(turn, epoch)
    now = context.clock.now()
    attempt = store.attempts_by_id(turn.connection, [attempt_id]).get(attempt_id)
    if attempt is None:
        return False
    job = store.job_by_id(turn.connection, attempt.job_id, lock=True)
    window = (
        None if attempt.failure is FailureKind.INFRASTRUCTURE else billable_window(attempt, now)
    )
    release = ReleaseHold(
        attempt_id=attempt.id, hold_id=attempt.hold_id, message="settled later: no charge"
    )
    bill: Bill | ReleaseHold = release
    if window is not None:
        bill = Bill(attempt_id=attempt.id, started_at=window[0], ended_at=window[1], source="poll")
    settle_again(turn, job, attempt, bill, now)
    return True


def declare_dead(turn: Turn, site_id: SiteId, actor: str, now: datetime) -> tuple[AttemptId, ...]:
    """Count every attempt at a site as dead on a person's word; return which. An audited act.

    The person answers for it that nothing runs there any more: its jobs start elsewhere. Raises
    NotFound for an unknown site, Conflict while its agent answers.
    """
    connection = turn.connection
    registered = registry.find_site(connection, site_id)
    if is_reachable(registered, now):
        raise Conflict(
            f"the agent of {site_id} answers; it can prove its attempts dead by itself",
            next_step=f"stop its jobs, or close the site: suanwang sites close {site_id}",
        )
    attempts = store.live_attempts(connection, site_id=site_id)
    jobs = store.lock_jobs(connection, [attempt.job_id for attempt in attempts])
    dead = []
    for seen in store.live_attempts(connection, site_id=site_id):
        if seen.job_id in jobs:
            message = f"{actor} declared {site_id} dead"
            take(turn, jobs[seen.job_id], seen, Fenced(at=now, message=message))
            dead.append(seen.id)
    _LOG.warning("site declared dead", extra={"site": site_id, "actor": actor, "attempts": dead})
    return tuple(dead)
