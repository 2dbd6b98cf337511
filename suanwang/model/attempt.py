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

    ``run_s_max`` grows with each of its ``extensions``. ``unconfirmed_s`` of it are granted and not
    known to the agent yet, ``auto_extended_s`` were granted without a person. ``warned_s`` is the
    ``run_s_max`` whose end was announced last.
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
    stop_grace_s: int = 0
    extensions: int = 0
    unconfirmed_s: int = 0
    auto_extended_s: int = 0
    warned_s: int = 0

    @property
    def run_s_confirmed(self) -> int:
        """The longest run that its agent knows of: it stops the attempt then."""
        return self.run_s_max - self.unconfirmed_s

    @property
    def use_s_max(self) -> int:
        """Most seconds that can be used and so be billed: the run, then the grace of its stop."""
        return self.run_s_max + self.stop_grace_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """More time for an attempt while it lived, with the money for it; ``number`` counts from 1.

    ``run_s_max`` and ``lease_expires_at`` are those after it. ``confirmed_at`` is when its agent
    had it on disk: without that the attempt ends at the deadline that the agent knows.
    """

    attempt_id: AttemptId
    number: int
    job_id: JobId
    at: datetime
    by_s: int
    run_s_max: int
    lease_expires_at: datetime
    amount_fen: int
    is_automatic: bool
    asked_by: str
    request_key: str
    confirmed_at: datetime | None = None
