"""Rows of jobs, attempts and decisions as dataclasses, and back: no SQL, only shapes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from suanwang.ids import AttemptId, HoldId, JobId, PoolId, SiteId, TenantId
from suanwang.model.attempt import Attempt, AttemptState, FailureKind
from suanwang.model.job import Job, JobState, Predecessor, Width, Wishes
from suanwang.model.plan import (
    Binding,
    Certificate,
    Placement,
    PlanStep,
    Proof,
    ReasonCode,
    SiteVerdict,
)
from suanwang.model.site import DataClass

# ``Any`` stands here for what a database driver or JSON hands over: this is the edge.
Row = Mapping[str, Any]


def wishes_document(wishes: Wishes) -> dict[str, object]:
    """Return wishes as JSON: sets sorted, moments as text."""
    return {key: _plain(value) for key, value in asdict(wishes).items()}


def wishes_of(document: Row) -> Wishes:
    """Return wishes from their JSON."""
    return Wishes(
        units=document["units"],
        accelerators=frozenset(document["accelerators"]),
        run_s_max=document["run_s_max"],
        origin=document["origin"],
        latency_ms_max=document["latency_ms_max"],
        data_class=DataClass(document["data_class"]),
        data_home=document["data_home"],
        domestic_only=document["domestic_only"],
        uses_voucher=document["uses_voucher"],
        cash_fen_max=document["cash_fen_max"],
        deadline=_moment(document["deadline"]),
        earliest_start=_moment(document["earliest_start"]),
        stop_grace_s=document["stop_grace_s"],
        sites=frozenset(document["sites"]),
        extend_s=document["extend_s"],
        extend_s_max=document["extend_s_max"],
        widths=tuple(Width(**one) for one in document["widths"]),
        after=tuple(Predecessor(**one) for one in document["after"]),
        may_move=document["may_move"],
        checkpoint_s=document["checkpoint_s"],
    )


def job_row(job: Job) -> dict[str, object]:
    """Return the columns of a job."""
    return _job_row(job, wishes_document(job.wishes))


def job_rows(jobs: Sequence[Job]) -> list[dict[str, object]]:
    """Return the columns of many jobs; the wishes of those that are alike are written once."""
    known: dict[Wishes, dict[str, object]] = {}
    for job in jobs:
        if job.wishes not in known:
            known[job.wishes] = wishes_document(job.wishes)
    return [_job_row(job, known[job.wishes]) for job in jobs]


def _job_row(job: Job, wishes: dict[str, object]) -> dict[str, object]:
    row: dict[str, object] = {name: getattr(job, name) for name in Job.__slots__}
    row["state"] = job.state.value
    row["wishes"] = wishes
    row["runtime_env"] = dict(job.runtime_env)
    row["metadata"] = dict(job.metadata)
    row["entrypoint_resources"] = dict(job.entrypoint_resources)
    row["reason"] = None if job.reason is None else job.reason.value
    return row


def job_of(row: Row) -> Job:
    """Return the job of a row."""
    fields = {name: row[name] for name in Job.__slots__}
    fields["id"] = JobId(row["id"])
    fields["tenant_id"] = TenantId(row["tenant_id"])
    fields["state"] = JobState(row["state"])
    fields["wishes"] = wishes_of(row["wishes"])
    fields["reason"] = None if row["reason"] is None else ReasonCode(row["reason"])
    fields["move_to"] = None if row["move_to"] is None else PoolId(row["move_to"])
    return Job(**fields)


def attempt_row(attempt: Attempt) -> dict[str, object]:
    """Return the columns of an attempt."""
    row: dict[str, object] = {name: getattr(attempt, name) for name in Attempt.__slots__}
    row["state"] = attempt.state.value
    row["failure"] = None if attempt.failure is None else attempt.failure.value
    return row


def attempt_of(row: Row) -> Attempt:
    """Return the attempt of a row."""
    fields = {name: row[name] for name in Attempt.__slots__}
    fields["id"] = AttemptId(row["id"])
    fields["job_id"] = JobId(row["job_id"])
    fields["site_id"] = SiteId(row["site_id"])
    fields["pool_id"] = PoolId(row["pool_id"])
    fields["hold_id"] = HoldId(row["hold_id"])
    fields["state"] = AttemptState(row["state"])
    fields["failure"] = None if row["failure"] is None else FailureKind(row["failure"])
    return Attempt(**fields)


_VERDICT_FIELDS = tuple(name for name in SiteVerdict.__slots__ if name != "estimate")


def verdict_document(verdict: SiteVerdict) -> dict[str, object]:
    """Return a verdict as JSON; a decision has no estimate, it is exact."""
    return {name: _plain(getattr(verdict, name)) for name in _VERDICT_FIELDS}


def verdict_of(document: Row) -> SiteVerdict:
    """Return a verdict from its JSON."""
    fields = dict(document)
    fields["reason"] = ReasonCode(document["reason"])
    fields["start"] = _moment(document["start"])
    return SiteVerdict(**fields)


_PLACEMENT_FIELDS = tuple(name for name in Placement.__slots__ if name != "verdicts")


def placement_document(placement: Placement) -> dict[str, object]:
    """Return a placement as JSON, without its verdicts (they have a column of their own)."""
    document = {name: _plain(getattr(placement, name)) for name in _PLACEMENT_FIELDS}
    document["lots"] = dict(placement.lots)
    return document


def placement_of(document: Row) -> Placement:
    """Return a placement from its JSON, without verdicts."""
    fields = dict(document)
    fields["start"] = _moment(document["start"])
    return Placement(**fields)


def clean_text(text: str) -> str:
    """Return text that every database takes, of the same length: no NUL, no half characters."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, frozenset):
        return sorted(value)
    return value


def certificate_of(document: Row) -> Certificate:
    """Return a certificate from its JSON."""
    return Certificate(
        **{
            **document,
            "step": PlanStep(document["step"]),
            "proof": Proof(document["proof"]),
            "binding": tuple(Binding(**one) for one in document["binding"]),
            "refused": tuple(document["refused"]),
        }
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
