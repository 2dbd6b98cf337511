"""Bodies of Ray's Jobs API, as its clients send and expect them."""

from typing import Literal

from pydantic import Field

from api.schemas.common import Out
from api.schemas.jobs import JobIn, redacted_env
from suanwang.clock import to_epoch_ms
from suanwang.model.job import Job, JobState
from suanwang.model.plan import ReasonCode

RayStatus = Literal["PENDING", "RUNNING", "STOPPED", "SUCCEEDED", "FAILED"]

RAY_STATUS: dict[JobState, RayStatus] = {
    JobState.QUEUED: "PENDING",
    JobState.PLACED: "PENDING",
    JobState.RUNNING: "RUNNING",
    JobState.STOPPING: "RUNNING",
    JobState.SUCCEEDED: "SUCCEEDED",
    JobState.FAILED: "FAILED",
    JobState.STOPPED: "STOPPED",
}
"""Ray's five states for ours."""

_ERROR_TYPES = {
    ReasonCode.USER_FAILED: "JOB_ENTRYPOINT_COMMAND_ERROR",
    ReasonCode.SITE_FAILED: "JOB_SUPERVISOR_ACTOR_DIED",
}


class RayVersion(Out):
    """Answer of ``/api/version``; ``version`` is that of the Jobs API."""

    version: str = "4"
    ray_version: str
    ray_commit: str
    session_name: str


class RaySubmit(JobIn):
    """A submit of Ray's client; ``job_id`` is the old name of ``submission_id``."""

    job_id: str | None = None
    runtime_env: dict[str, object] | None = None  # type: ignore[assignment] # old clients send null
    metadata: dict[str, str] | None = None  # type: ignore[assignment] # old clients send null
    entrypoint_label_selector: dict[str, str] | None = Field(
        default=None, description="not supported: ask for accelerators in the metadata"
    )


class RaySubmitted(Out):
    """Both are the submission id, as in Ray."""

    job_id: str
    submission_id: str


class RayStopped(Out):
    """Whether there was something to stop."""

    stopped: bool


class RayDeleted(Out):
    """The job is forgotten."""

    deleted: bool


class RayLogs(Out):
    """All output up to now."""

    logs: str


class RayJob(Out):
    """Ray's ``JobDetails``. What only one Ray cluster could know is null."""

    type: Literal["SUBMISSION"] = "SUBMISSION"
    job_id: str | None = None
    submission_id: str
    driver_info: None = None
    status: RayStatus
    entrypoint: str
    message: str
    error_type: str | None
    start_time: int | None = Field(description="start of the execution, ms since 1970 UTC")
    end_time: int | None = Field(description="end of the execution, ms since 1970 UTC")
    metadata: dict[str, str]
    runtime_env: dict[str, object]
    driver_agent_http_address: str | None = None
    driver_node_id: str | None = None
    driver_exit_code: int | None


def ray_message(job: Job) -> str:
    """Return a job's state in a sentence: what it waits for, where it runs, why it ended."""
    match job.state:
        case JobState.QUEUED:
            return f"waiting: {job.message or 'the next plan will place it'}"
        case JobState.PLACED:
            return f"starting at {job.site_id}: {job.message}".removesuffix(": ")
        case JobState.RUNNING:
            is_short = job.reason is ReasonCode.TIME_SHORT
            return f"running at {job.site_id}" + (f": {job.message}" if is_short else "")
        case JobState.STOPPING:
            return f"stopping at {job.site_id}"
        case _:
            return job.message


def ray_job(job: Job, *, is_redacted: bool) -> RayJob:
    """Return a job in Ray's words; environment variables are blacked out for foreign readers."""
    return RayJob(
        submission_id=job.submission_id,
        status=RAY_STATUS[job.state],
        entrypoint=job.entrypoint,
        message=ray_message(job),
        error_type=_ERROR_TYPES.get(job.reason) if job.reason else None,
        start_time=to_epoch_ms(job.started_at) if job.started_at else None,
        end_time=to_epoch_ms(job.ended_at) if job.ended_at else None,
        metadata=dict(job.metadata),
        runtime_env=redacted_env(job.runtime_env) if is_redacted else dict(job.runtime_env),
        driver_exit_code=job.exit_code,
    )
