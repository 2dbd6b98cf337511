"""The centre's side of the agent channel: greetings, orders, reports, output, packages.

Every call may come twice or late, and none may harm another site: what names an attempt of another
site is refused by name and nothing else is touched.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from scheduler import (
    packages,
    store,
    store_extensions,
    store_nodes,
    store_orders,
    store_registry,
)
from scheduler.events import ExtensionKnown, Reported, Seen
from scheduler.rows import clean_text
from scheduler.transition import take
from suanwang.errors import InvalidTransition, NotFound
from suanwang.ids import AttemptId, JobId, SiteId
from suanwang.model.attempt import Attempt, AttemptState
from suanwang.model.job import Job
from suanwang.wire.agent import (
    AttemptReport,
    ExtendOrder,
    FenceOrder,
    Hello,
    LogReceipt,
    LogUpload,
    NoteOrder,
    Order,
    Receipt,
    StartOrder,
    StopOrder,
    Welcome,
)
from voucher.turn import Turn

HELLO_EVERY_S: Final = 10.0
"""How often an agent greets; three missed greetings make its site unreachable."""

package_by_digest = packages.package_by_digest


def hello(turn: Turn, site_id: SiteId, greeting: Hello, now: datetime) -> Welcome:
    """Note that a site's agent lives and how its executor does; answer what should run there.

    ``Welcome.running`` leaves out attempts whose start order the agent has not acknowledged: that
    order is still to come. Raises NotFound for an unknown site.
    """
    connection = turn.connection
    words = {
        "agent_version": clean_text(greeting.agent_version),
        "executor_state": greeting.executor_state,
        "executor_message": clean_text(greeting.executor_message),
    }
    if not store_registry.note_agent(connection, site_id, now, words):
        raise NotFound(f"there is no site {site_id}", site_id=site_id)
    store_nodes.note_nodes(connection, site_id, greeting.nodes, now)
    if greeting.executor_state != "unreachable":
        _see(turn, site_id, greeting.running, now)
    return Welcome(
        site_id=site_id,
        clock=now,
        hello_every_s=HELLO_EVERY_S,
        running=store_orders.acknowledged_live_attempts(connection, site_id),
    )


def _see(turn: Turn, site_id: SiteId, running: Sequence[str], now: datetime) -> None:
    """Take the list of running attempts as news; one that was unknown is recovered."""
    connection = turn.connection
    alive = {attempt.id: attempt for attempt in store.live_attempts(connection, site_id=site_id)}
    named = [alive[AttemptId(name)] for name in running if name in alive]
    jobs = store.lock_jobs(connection, [attempt.job_id for attempt in named])
    fresh = store.attempts_by_id(connection, [attempt.id for attempt in named])
    store.touch_attempts(connection, list(fresh), now)
    for attempt_id in sorted(fresh):
        attempt = fresh[attempt_id]
        if attempt.state is AttemptState.UNKNOWN:
            take(turn, jobs[attempt.job_id], attempt, Seen(at=now))


def orders(connection: Connection, site_id: SiteId) -> tuple[Order, ...]:
    """Return the orders that a site has not acknowledged, oldest first; notes that they went out.

    A start whose attempt must be fenced is never handed out any more, nor is any order but a fence
    for an attempt that is proven dead.
    """
    waiting = store_orders.open_orders(connection, site_id)
    fenced = {order.attempt.id for order in waiting if order.kind == "fence"}
    due = [
        order
        for order in waiting
        if order.kind == "fence"
        or (
            not order.attempt.state.is_dead
            and not (order.kind == "start" and order.attempt.id in fenced)
        )
    ]
    if not due:
        return ()
    there = store_orders.mark_handed_out(connection, [order.id for order in due])
    return tuple(_order(connection, order) for order in due if order.id in there)


def _order(connection: Connection, order: store_orders.OpenOrder) -> Order:
    attempt = order.attempt
    if order.kind == "start":
        return _start_order(connection, store.job_by_id(connection, attempt.job_id), attempt)
    which = {"id": order.id, "attempt_id": attempt.id, "executor_id": attempt.executor_id}
    match order.kind:
        case "stop":
            return StopOrder(**which, reason=store.job_by_id(connection, attempt.job_id).message)
        case "extend":
            granted = store_extensions.find(connection, attempt.id, order.number)
            limits = attempt if granted is None else granted
            return ExtendOrder(
                **which,
                run_s_max=limits.run_s_max,
                lease_expires_at=limits.lease_expires_at,
                note=order.message,
            )
        case "note":
            return NoteOrder(**which, note=order.message)
        case _:
            return FenceOrder(**which)


def _start_order(connection: Connection, job: Job, attempt: Attempt) -> StartOrder:
    pool = store_registry.pool_by_id(connection, attempt.pool_id)
    return StartOrder(
        id=f"{attempt.id}-start",
        attempt_id=attempt.id,
        executor_id=attempt.executor_id,
        submission_id=job.submission_id,
        entrypoint=job.entrypoint,
        runtime_env=dict(job.runtime_env),
        metadata=dict(job.metadata),
        units=attempt.units,
        accelerator="" if pool is None else pool.accelerator,
        entrypoint_num_cpus=_at_width(job.entrypoint_num_cpus, job, attempt),
        entrypoint_num_gpus=_at_width(job.entrypoint_num_gpus, job, attempt),
        entrypoint_memory=job.entrypoint_memory,
        entrypoint_resources=dict(job.entrypoint_resources),
        packages=packages.digests_of(connection, job.tenant_id, job.runtime_env),
        stop_grace_s=job.wishes.stop_grace_s,
        run_s_max=attempt.run_s_max,
        lease_expires_at=attempt.lease_expires_at,
    )


def _at_width(asked: float | None, job: Job, attempt: Attempt) -> float | None:
    """What a driver that asks for all its job's units asks for at the width that it was given."""
    return float(attempt.units) if asked == job.wishes.units else asked


def acknowledge(
    turn: Turn,
    site_id: SiteId,
    ids: Sequence[str],
    now: datetime,
    late: Collection[str] = (),
) -> Receipt:
    """Note that the agent has these orders on disk; unknown and repeated ids do no harm.

    ``late`` names the extensions among them that came after the agent began to stop the attempt.
    """
    store_registry.note_agent(turn.connection, site_id, now)
    _confirm_extensions(turn, site_id, ids, now, late)
    accepted = store_orders.acknowledge(turn.connection, site_id, ids, now)
    return Receipt(accepted=accepted, duplicates=len(ids) - accepted)


def _confirm_extensions(
    turn: Turn,
    site_id: SiteId,
    ids: Sequence[str],
    now: datetime,
    late: Collection[str],
) -> None:
    """Note in each job's story that its site knows of more time; jobs are locked before orders."""
    connection = turn.connection
    named = store_orders.open_orders_among(connection, site_id, ids, "extend")
    jobs = store.lock_jobs(connection, [order.attempt.job_id for order in named])
    for order in store_orders.open_orders_among(connection, site_id, ids, "extend"):
        granted = store_extensions.find(connection, order.attempt.id, order.number)
        job = jobs.get(order.attempt.job_id)
        attempt = store.attempts_by_id(connection, [order.attempt.id]).get(order.attempt.id)
        if granted is None or job is None or attempt is None:
            continue
        known = ExtensionKnown(
            at=now,
            number=order.number,
            run_s_max=granted.run_s_max,
            is_late=order.id in late,
        )
        jobs[job.id] = take(turn, job, attempt, known).job


def take_reports(
    turn: Turn, site_id: SiteId, reports: Sequence[AttemptReport], now: datetime
) -> Receipt:
    """Take reports into the record, in their order; each ends with its money settled or kept.

    A repeat is counted and changes nothing. A report that can never be taken (no such attempt at
    this site, a state that cannot be) is named in ``refused``; the others are taken.
    """
    connection = turn.connection
    store_registry.note_agent(connection, site_id, now)
    named = [AttemptId(report.attempt_id) for report in reports]
    known = store.attempts_by_id(connection, named, site_id=site_id)
    jobs = store.lock_jobs(connection, [attempt.job_id for attempt in known.values()])
    attempts = store.attempts_by_id(connection, named, site_id=site_id)
    accepted, refused = 0, []
    for report in reports:
        attempt = attempts.get(AttemptId(report.attempt_id))
        if attempt is None:
            refused.append(f"{report.attempt_id}: there is no such attempt at {site_id}")
            continue
        try:
            step = take(turn, jobs[attempt.job_id], attempt, _event(report, now))
        except InvalidTransition as error:
            refused.append(f"{report.attempt_id}: {error.message}")
            continue
        jobs[attempt.job_id] = step.job
        attempts[attempt.id] = step.attempt or attempt
        accepted += attempts[attempt.id].report_seq > attempt.report_seq
    duplicates = len(reports) - accepted - len(refused)
    return Receipt(accepted=accepted, duplicates=duplicates, refused=tuple(refused))


def _event(report: AttemptReport, now: datetime) -> Reported:
    return Reported(
        at=now,
        seq=report.seq,
        state=AttemptState(report.state),
        started_at=report.started_at,
        ended_at=report.ended_at,
        window_source=report.window_source,
        exit_code=report.exit_code,
        is_infrastructure=report.is_infrastructure,
        message=clean_text(report.message),
    )


def append_log(connection: Connection, site_id: SiteId, upload: LogUpload) -> LogReceipt:
    """Add a piece of output; what is here already is skipped, a gap is asked for again.

    Raises NotFound where the attempt is not of this site.
    """
    attempt_id = AttemptId(upload.attempt_id)
    if not store.attempts_by_id(connection, [attempt_id], site_id=site_id):
        raise NotFound(f"there is no attempt {attempt_id} at {site_id}", attempt_id=attempt_id)
    here = store_orders.log_length(connection, attempt_id)
    fresh = clean_text(upload.text)[max(0, here - upload.offset) :]
    if upload.offset > here or not fresh:
        return LogReceipt(next_offset=here)
    store_orders.append_log(connection, attempt_id, here, fresh)
    return LogReceipt(next_offset=store_orders.log_length(connection, attempt_id))


def read_log(connection: Connection, job_id: JobId, offset: int = 0) -> str:
    """Return a job's output from character ``offset`` on, all its attempts as one stream."""
    return "".join(store_orders.log_pieces(connection, job_id))[max(0, offset) :]
