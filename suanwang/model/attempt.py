"""An attempt to run a job: of one job, at most one attempt is not proven dead."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from suanwang.ids import AttemptId, HoldId, JobId, PoolId, SiteId


class AttemptState(StrEnum):
    """``INTENT → SUBMITTING → STARTING → RUNNING → SUCCEEDED | FAILED | STOPPED``, and
    ``UNKNOWN → RECOVERED | FENCED`` when contact is lost.

    The intent is written before any call. RECOVERED attempts run on; FENCED ones are proven dead.
    """

    INTENT = "intent"
    SUBMITTING = "submitting"
    STARTING = "starting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    UNKNOWN = "unknown"
    RECOVERED = "recovered"
    FENCED = "fenced"

    @property
    def is_dead(self) -> bool:
        """Whether it is proven that nothing of the attempt runs any more."""
        return self in DEAD_ATTEMPT_STATES


DEAD_ATTEMPT_STATES = frozenset(
    {AttemptState.SUCCEEDED, AttemptState.FAILED, AttemptState.STOPPED, AttemptState.FENCED}
)


class FailureKind(StrEnum):
    """Whose failure it was: the user's is billed, not retried; the site's is free and retried."""

    USER = "user"
    INFRASTRUCTURE = "infrastructure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One run of a job at one pool, under a lease that the agent may not outlive.

    ``executor_id`` is derived from job and number, so a repeated submit is the same submit.
    ``report_seq`` is the last report that was taken in; older ones are repeats.
    """

    id: AttemptId
    job_id: JobId
    number: int
    site_id: SiteId
    pool_id: PoolId
    units: int
    state: AttemptState
    executor_id: str
    hold_id: HoldId
    price_uyuan_per_unit_hour: int
    run_s_max: int
    intent_at: datetime
    epoch: int
    lease_expires_at: datetime
    submitted_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    last_seen_at: datetime | None = None
    exit_code: int | None = None
    failure: FailureKind | None = None
    message: str = ""
    stop_requested: bool = False
    report_seq: int = 0
