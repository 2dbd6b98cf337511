"""Jobs: submit, look, follow, stop, explain."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from sqlalchemy import Connection

from api.booking import Books, KeyHeader, ledger_key
from api.context import ApiContext, Context
from api.identity import Identity, JobReader, JobRunner
from api.schemas.common import PAGE_MAX
from api.schemas.jobs import (
    AccountOut,
    AttemptOut,
    ChangesOut,
    ConflictOut,
    EventList,
    EventOut,
    ExplanationOut,
    ExtensionGranted,
    ExtensionIn,
    ExtensionOut,
    JobDetail,
    JobIn,
    JobOut,
    JobPage,
    LogPiece,
    MeterOut,
    StopOut,
    changes_out,
    conflict_out,
    job_out,
)
from scheduler import (
    accounting,
    agents,
    changes,
    conflicts,
    explain,
    extension,
    service,
    store_extensions,
)
from scheduler.admission import Answer, admit
from suanwang.db.signals import announce
from suanwang.errors import BadInput
from suanwang.ids import SUBMISSION_ID
from suanwang.model.attempt import Attempt, Extension
from suanwang.model.job import Job, JobState
from suanwang.model.wishes import parse_wishes
from voucher.turn import Turn

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

LOG_CHARS_MAX: Final = 1_000_000
"""Most characters of one piece of output."""
LogOffset = Annotated[int, Query(ge=0, le=2**62, description="characters read so far")]


def submit(body: JobIn, identity: Identity, context: ApiContext) -> Job:
    """Take a job in for the caller's tenant; both doors, REST and Ray's, end here.

    Submits that arrive together share a transaction. Raises BadInput, Conflict, Refused.
    """
    name = body.submission_id or context.ids.new("raysubmit")
    new = new_job(body, name, identity)
    job = context.submits.submit(new, lambda news: _take_in(news, context))
    context.wake()
    return job


def _take_in(news: Sequence[service.NewJob], context: ApiContext) -> Sequence[Answer]:
    with context.writing() as connection:
        answers = admit(connection, news, context.scheduling)
        announce_to_writer(connection, context)
    return answers


def announce_to_writer(connection: Connection, context: ApiContext) -> None:
    """Tell the process that schedules, where it is another one, with this commit."""
    if not context.is_writer:  # Here ``context.wake`` wakes the scheduler.
        announce(connection)


def new_job(body: JobIn, submission_id: str, identity: Identity) -> service.NewJob:
    """Return what a body asks for, under a submission id; raise BadInput for a wrong wish."""
    wishes = parse_wishes(
        body.metadata, num_cpus=body.entrypoint_num_cpus, num_gpus=body.entrypoint_num_gpus
    )
    return service.NewJob(
        tenant_id=identity.tenant_id,
        submission_id=submission_id,
        entrypoint=body.entrypoint,
        wishes=wishes,
        runtime_env=body.runtime_env,
        metadata=body.metadata,
        entrypoint_num_cpus=body.entrypoint_num_cpus,
        entrypoint_num_gpus=body.entrypoint_num_gpus,
        entrypoint_memory=body.entrypoint_memory,
        entrypoint_resources=body.entrypoint_resources or {},
    )


def attempt_out(attempt: Attempt) -> AttemptOut:
    """Return an attempt for readers."""
    return AttemptOut(
        id=attempt.id,
        number=attempt.number,
        state=attempt.state,
        site_id=attempt.site_id,
        pool_id=attempt.pool_id,
        units=attempt.units,
        executor_id=attempt.executor_id,
        price_uyuan_per_unit_hour=attempt.price_uyuan_per_unit_hour,
        run_s_max=attempt.run_s_max,
        run_s_confirmed=attempt.run_s_confirmed,
        intent_at=attempt.intent_at,
        submitted_at=attempt.submitted_at,
        started_at=attempt.started_at,
        ended_at=attempt.ended_at,
        exit_code=attempt.exit_code,
        failure=attempt.failure,
        message=attempt.message,
    )


def _account_out(account: accounting.JobAccount) -> AccountOut | None:
    if not account.unit_seconds and not account.price_fen:
        return None
    return AccountOut(
        site_id=account.site_id,
        resource=account.resource,
        unit_seconds=account.unit_seconds,
        energy_wh=account.energy_wh,
        carbon_g=account.carbon_g,
        price_fen=account.price_fen,
        voucher_fen=account.voucher_fen,
        cash_fen=account.cash_fen,
        quality=account.quality.value,
        pue=account.pue,
    )


def _meter_out(meter: accounting.JobMeter) -> MeterOut:
    accrual = meter.accrual
    return MeterOut(
        attempt_id=meter.attempt_id,
        at=meter.at,
        used_s=meter.used_ms / 1_000,
        cost_fen=accrual.cost_fen,
        voucher_fen=accrual.voucher_fen,
        cash_fen=accrual.cash_fen,
        held_fen=accrual.held_fen,
        held_voucher_fen=accrual.held_voucher_fen,
        held_cash_fen=accrual.held_cash_fen,
        run_s_max=meter.run_s_max,
        run_s_confirmed=meter.run_s_confirmed,
        stop_grace_s=meter.stop_grace_s,
        ends_at=meter.ends_at,
        left_s=meter.left_s,
    )


def _extension_facts(granted: Extension) -> dict[str, Any]:
    return {name: getattr(granted, name) for name in ExtensionOut.model_fields}


@router.post("", status_code=201, summary="Submit a job")
def submit_job(body: JobIn, identity: JobRunner, context: Context) -> JobOut:
    """Take a job into the queue. The same submission id with the same body is the same job.

    Refused at once (402) when no site could ever run it within the law, its limits and the budget.
    """
    return job_out(submit(body, identity, context))


@router.get("", summary="List jobs")
def list_jobs(
    identity: JobReader,
    context: Context,
    state: JobState | None = None,
    batch: Annotated[str | None, Query(max_length=200, description="of this batch only")] = None,
    before: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
) -> JobPage:
    """Return a page of jobs, newest first; ``before`` is the ``next`` of the page before."""
    if before is not None and not SUBMISSION_ID.fullmatch(before):
        raise BadInput(f"before: {before!r} is not a submission id", next_step="use a page's next")
    with context.reading() as connection:
        jobs = service.list_jobs(
            connection,
            tenant_id=identity.tenant_scope,
            state=state,
            batch_id=batch,
            before=before,
            limit=limit,
        )
    return JobPage(
        items=[job_out(job) for job in jobs],
        next=jobs[-1].submission_id if len(jobs) == limit else None,
    )


@router.get("/{submission_id}", summary="Look at a job")
def look_at_job(submission_id: str, identity: JobReader, context: Context) -> JobDetail:
    """Return a job with its attempts and what it used and cost."""
    with context.reading() as connection:
        job = service.find_job(connection, identity.tenant_scope, submission_id)
        attempts = service.attempts_of(connection, job.id)
        account = accounting.job_account(connection, job.id, context.catalogue)
        meter = accounting.job_meter(connection, job, context.clock.now())
        extensions = store_extensions.of_job(connection, job.id)
    return JobDetail(
        **job_out(job).model_dump(),
        attempts=[attempt_out(attempt) for attempt in attempts],
        account=_account_out(account),
        meter=None if meter is None else _meter_out(meter),
        extensions=[ExtensionOut(**_extension_facts(granted)) for granted in extensions],
    )


@router.get("/{submission_id}/explain", summary="Why here, why not there")
def explain_job(submission_id: str, identity: JobReader, context: Context) -> ExplanationOut:
    """Return why the job is where it is, with a row for each pool."""
    with context.reading() as connection:
        job = service.find_job(connection, identity.tenant_scope, submission_id)
        explanation = explain.explain(connection, job)
    return ExplanationOut(
        submission_id=job.submission_id,
        state=job.state,
        reason=explanation.reason,
        message=explanation.message,
        decided_at=explanation.decided_at,
        verdicts=list(explanation.verdicts),
    )


@router.get("/{submission_id}/conflict", summary="What stands in the way")
def find_conflict(submission_id: str, identity: JobReader, context: Context) -> ConflictOut:
    """Return the fewest demands that leave a waiting job no place, and what each way out gives."""
    with context.reading() as connection:
        job = service.find_job(connection, identity.tenant_scope, submission_id)
    return conflict_out(job, conflicts.conflict_of_job(context.engine, context.scheduling, job))


@router.get("/{submission_id}/changes", summary="What would change it")
def list_changes(submission_id: str, identity: JobReader, context: Context) -> ChangesOut:
    """Return what each change of a waiting job's wishes or money would mean, solved again."""
    with context.reading() as connection:
        job = service.find_job(connection, identity.tenant_scope, submission_id)
    return changes_out(job, changes.changes_of_job(context.engine, context.scheduling, job))


@router.get("/{submission_id}/events", summary="The story of a job")
def list_events(submission_id: str, identity: JobReader, context: Context) -> EventList:
    """Return every step of the job, oldest first."""
    with context.reading() as connection:
        job = service.find_job(connection, identity.tenant_scope, submission_id)
        events = service.job_events(connection, job.id)
    return EventList(
        items=[
            EventOut(
                seq=event.seq,
                at=event.at,
                kind=event.kind,
                message=event.message,
                facts=dict(event.facts),
            )
            for event in events
        ]
    )


@router.get("/{submission_id}/logs", summary="Output of a job")
def read_logs(
    submission_id: str, identity: JobReader, context: Context, offset: LogOffset = 0
) -> LogPiece:
    """Return output from a character on; all attempts are one stream."""
    with context.reading() as connection:
        job = service.find_job(connection, identity.tenant_scope, submission_id)
        text = agents.read_log(connection, job.id, offset)
    piece = text[:LOG_CHARS_MAX]
    return LogPiece(
        text=piece,
        next_offset=offset + len(piece),
        is_final=job.state.is_final and len(piece) == len(text),
    )


@router.post("/{submission_id}/stop", summary="Stop a job")
def stop_job(submission_id: str, identity: JobRunner, context: Context, books: Books) -> StopOut:
    """Ask a job to end, with its grace; False when it had ended already."""

    def stop(turn: Turn) -> bool:
        job = service.find_job(turn.connection, identity.tenant_scope, submission_id)
        return service.request_stop(turn, job.tenant_id, submission_id, context.clock.now())

    return StopOut(stopped=books.change(stop))


@router.post("/{submission_id}/extensions", status_code=201, summary="Give a job more time")
def extend_job(
    submission_id: str,
    body: ExtensionIn,
    identity: JobRunner,
    context: Context,
    books: Books,
    key: KeyHeader = None,
) -> ExtensionGranted:
    """Let a job that has its place run longer, once for each key; the money is set aside first.

    402 says what stands in the way, with both figures; 409 that it has ended or is being stopped.
    """
    ask = extension.Ask(
        by_s=body.by_s, request_key=ledger_key(key, body.key), asked_by=identity.key_id
    )

    def extend(turn: Turn) -> tuple[Extension, bool]:
        now = context.clock.now()
        return extension.extend_job(turn, identity.tenant_scope, submission_id, ask, now)

    granted, is_repeat = books.change(extend)
    return ExtensionGranted(**_extension_facts(granted), is_repeat=is_repeat)


@router.delete("/{submission_id}", status_code=204, summary="Delete a job")
def delete_job(submission_id: str, identity: JobRunner, books: Books) -> None:
    """Forget a job that has ended; what it cost stays in the ledger."""

    def delete(turn: Turn) -> None:
        job = service.find_job(turn.connection, identity.tenant_scope, submission_id)
        service.delete_job(turn.connection, job.tenant_id, submission_id)

    books.write(delete)
