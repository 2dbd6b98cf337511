"""Why a job is where it is, why it waits, or why it ended: the job and its newest decision."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from scheduler import store_plans
from suanwang.model.job import Job
from suanwang.model.plan import Placement, ReasonCode, SiteVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A job's reason in code and words, and how every pool looked when it was decided.

    ``reason`` is None for a job that no cycle has seen yet and for one that succeeded unplanned;
    ``placement`` is what was decided, where a place was found.
    """

    reason: ReasonCode | None
    message: str
    decided_at: datetime | None
    placement: Placement | None
    verdicts: tuple[SiteVerdict, ...]


def explain(connection: Connection, job: Job) -> Explanation:
    """Return why the job stands where it stands."""
    decision = store_plans.find_decision(connection, job.id)
    if decision is None:
        return Explanation(
            reason=job.reason,
            message=job.message or "no planning cycle has seen it yet",
            decided_at=None,
            placement=None,
            verdicts=(),
        )
    return Explanation(
        reason=job.reason or decision.reason,
        message=job.message or decision.message,
        decided_at=decision.decided_at,
        placement=decision.placement,
        verdicts=decision.verdicts,
    )
