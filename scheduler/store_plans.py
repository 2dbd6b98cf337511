"""Planning runs and the newest decision about each job, in the database."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from scheduler.rows import (
    certificate_of,
    placement_document,
    placement_of,
    verdict_document,
    verdict_of,
)
from suanwang.db.tables import decision as decision_table
from suanwang.db.tables import job as job_table
from suanwang.db.tables import plan_run as run_table
from suanwang.ids import JobId
from suanwang.model.job import JobState
from suanwang.model.plan import Certificate, Placement, Plan, ReasonCode, SiteVerdict

_BATCH: Final = 500
"""Ids in one query: below every database's limit of parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided about a job, when, and how every pool looked then."""

    job_id: JobId
    plan_id: str
    decided_at: datetime
    reason: ReasonCode
    message: str
    placement: Placement | None = None
    verdicts: tuple[SiteVerdict, ...] = field(default=())


def add_run(connection: Connection, run_id: str, plan: Plan, epoch: int, jobs: int) -> None:
    """Write a planning run."""
    connection.execute(
        insert(run_table).values(
            id=run_id,
            made_at=plan.made_at,
            epoch=epoch,
            planner=plan.planner.value,
            solver=plan.solver,
            objective=plan.objective,
            bound=plan.bound,
            build_s=plan.build_s,
            solve_s=plan.solve_s,
            jobs=jobs,
            starts=len(plan.starts),
            note=plan.note,
            certificate=asdict(plan.certificate),
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A planning run as it is told to people; ``certificate`` is that of the plan."""

    id: str
    made_at: datetime
    planner: str
    solver: str
    objective: float
    bound: float | None
    build_s: float
    solve_s: float
    jobs: int
    starts: int
    note: str
    certificate: Certificate


def newest_runs(connection: Connection, limit: int) -> tuple[Run, ...]:
    """Return the newest planning runs, the newest first."""
    query = (
        select(run_table).order_by(run_table.c.made_at.desc(), run_table.c.id.desc()).limit(limit)
    )
    names = [field.name for field in fields(Run)]
    return tuple(
        Run(
            **{name: row[name] for name in names if name != "certificate"},
            certificate=certificate_of(row["certificate"]),
        )
        for row in connection.execute(query).mappings()
    )


def save_decisions(connection: Connection, decisions: Sequence[Decision]) -> None:
    """Write the newest decisions about jobs, each in place of the last one."""
    if not decisions:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    written = _Written()
    rows = [
        {
            "job_id": decision.job_id,
            "plan_id": decision.plan_id,
            "decided_at": decision.decided_at,
            "reason": decision.reason.value,
            "message": decision.message,
            "placement": (
                None if decision.placement is None else placement_document(decision.placement)
            ),
            "verdicts": written.documents(decision.verdicts),
        }
        for decision in decisions
    ]
    statement = dialect.insert(decision_table)
    changed = {name: statement.excluded[name] for name in rows[0] if name != "job_id"}
    connection.execute(
        statement.on_conflict_do_update(index_elements=["job_id"], set_=changed), rows
    )


class _Written:
    """Verdicts as JSON; jobs that are alike share theirs, which are made once."""

    def __init__(self) -> None:
        self._known: dict[int, dict[str, object]] = {}

    def documents(self, verdicts: tuple[SiteVerdict, ...]) -> list[dict[str, object]]:
        """Return a document for each; the verdicts must outlive this object."""
        return [self._document(verdict) for verdict in verdicts]

    def _document(self, verdict: SiteVerdict) -> dict[str, object]:
        found = self._known.get(id(verdict))
        if found is None:
            found = self._known[id(verdict)] = verdict_document(verdict)
        return found


def find_decision(connection: Connection, job_id: JobId) -> Decision | None:
    """Return the newest decision about a job, or None before the first cycle."""
    query = select(decision_table).where(decision_table.c.job_id == job_id)
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    return Decision(
        job_id=JobId(row["job_id"]),
        plan_id=row["plan_id"],
        decided_at=row["decided_at"],
        reason=ReasonCode(row["reason"]),
        message=row["message"],
        placement=None if row["placement"] is None else placement_of(row["placement"]),
        verdicts=tuple(verdict_of(document) for document in row["verdicts"]),
    )


def decided(
    connection: Connection, job_ids: Sequence[JobId]
) -> dict[JobId, tuple[datetime, ReasonCode]]:
    """Return when and for which reason each of these jobs was last decided about."""
    found: dict[JobId, tuple[datetime, ReasonCode]] = {}
    for start in range(0, len(job_ids), _BATCH):
        query = select(
            decision_table.c.job_id, decision_table.c.decided_at, decision_table.c.reason
        ).where(decision_table.c.job_id.in_(job_ids[start : start + _BATCH]))
        for row in connection.execute(query):
            found[JobId(row.job_id)] = (row.decided_at, ReasonCode(row.reason))
    return found


def planned_later(connection: Connection) -> tuple[Placement, ...]:
    """Return where and when the newest decisions want the jobs of the queue to start."""
    query = (
        select(decision_table.c.placement)
        .join(job_table, job_table.c.id == decision_table.c.job_id)
        .where(job_table.c.state == JobState.QUEUED.value, decision_table.c.placement.is_not(None))
        .order_by(decision_table.c.job_id)
    )
    documents = (row.placement for row in connection.execute(query))
    return tuple(placement_of(document) for document in documents if document is not None)


def prune_runs(connection: Connection, before: datetime) -> int:
    """Remove planning runs that are old and that no decision names; return how many."""
    named = select(decision_table.c.plan_id)
    result = connection.execute(
        delete(run_table).where(run_table.c.made_at < before, run_table.c.id.not_in(named))
    )
    return result.rowcount
