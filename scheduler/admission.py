"""Jobs on their way into the queue, one or thousands of them in one transaction.

What many submits share is read once, and the rows go in a few statements. Each submit still has an
answer of its own: the job, or the error that its sender is told. Nothing here commits.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from scheduler import order, packages, quotes, store
from scheduler.context import Context
from scheduler.problem import Money
from scheduler.store import JobEvent
from suanwang.errors import BadInput, Conflict, SuanwangError
from suanwang.ids import SUBMISSION_ID, BatchId, JobId, TenantId
from suanwang.model.job import Job, JobState, Wishes

_LOG = logging.getLogger(__name__)

ENTRYPOINT_LENGTH_MAX: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """What a user submits; ``wishes`` were read from ``metadata`` by ``parse_wishes``."""

    tenant_id: TenantId
    submission_id: str
    entrypoint: str
    wishes: Wishes
    runtime_env: Mapping[str, object] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    entrypoint_num_cpus: float | None = None
    entrypoint_num_gpus: float | None = None
    entrypoint_memory: int | None = None
    entrypoint_resources: Mapping[str, float] = field(default_factory=dict)


Answer = Job | SuanwangError
"""What became of a submit: the job in the queue, or why it is not there."""


def admit(
    connection: Connection,
    news: Sequence[NewJob],
    context: Context,
    *,
    batch_id: BatchId | None = None,
) -> list[Answer]:
    """Take jobs into the queue, in order; return for each the job or the error of its sender.

    The same body under the same id again is the same job. Errors are BadInput for an id Ray cannot
    take or a package that is not here, Conflict for an id that is in use for something else,
    Refused where no site could ever run the job (law, size, budget). One that fails leaves the
    others alone.
    """
    door = _Door(connection, news, context, batch_id)
    answers = [door.answer(new) for new in news]
    raced = _write(connection, door.fresh)
    if not raced:
        return answers
    return [
        _same_or_taken(raced[new.submission_id], new) if new.submission_id in raced else answer
        for new, answer in zip(news, answers, strict=True)
    ]


class _Door:
    """What the submits of one transaction share, and those that it has let in so far."""

    def __init__(
        self,
        connection: Connection,
        news: Sequence[NewJob],
        context: Context,
        batch_id: BatchId | None,
    ) -> None:
        self._connection, self._context, self._batch_id = connection, context, batch_id
        self._now = context.clock.now()
        # Ids are in the order of the submits, and so is the queue of one moment.
        self._ids = iter(sorted(context.ids.new("job") for _ in news))
        named = {one.submission_id for new in news for one in new.wishes.after}
        asked = {new.submission_id for new in news}
        self._known = store.jobs_by_submissions(connection, sorted(asked | named))
        self._moneys: dict[TenantId, Money] = {}
        self._hopes: dict[tuple[TenantId, Wishes, bool], SuanwangError | None] = {}
        self._stored: dict[tuple[TenantId, tuple[str, ...]], frozenset[str]] = {}
        self.fresh: list[Job] = []

    def answer(self, new: NewJob) -> Answer:
        """Return the job of an equal submit, or a new one that is to be written, or the error."""
        try:
            self._check(new)
            former = self._known.get(new.submission_id)
            if former is not None:
                return _same_or_taken(former, new)
            job = Job(
                id=JobId(next(self._ids)),
                state=JobState.QUEUED,
                submitted_at=self._now,
                batch_id=self._batch_id,
                **{name: getattr(new, name) for name in NewJob.__slots__},
            )
            order.refuse_unknown(self._known, job)
            self._refuse_hopeless(job)
        except SuanwangError as error:
            return error
        self._known[job.submission_id] = job
        self.fresh.append(job)
        return job

    def _check(self, new: NewJob) -> None:
        if not SUBMISSION_ID.fullmatch(new.submission_id):
            raise BadInput(
                f"submission id {new.submission_id!r} is not 1 to 128 of A-Z a-z 0-9 . _ -",
                next_step="leave it out to have one made",
            )
        if not new.entrypoint.strip() or len(new.entrypoint) > ENTRYPOINT_LENGTH_MAX:
            raise BadInput(
                f"the entrypoint has {len(new.entrypoint)} characters, "
                f"allowed are 1 to {ENTRYPOINT_LENGTH_MAX}"
            )
        uris = packages.package_uris(new.runtime_env)
        if not uris:
            return
        key = (new.tenant_id, uris)
        if key not in self._stored:
            found = packages.digests_of(self._connection, new.tenant_id, new.runtime_env)
            self._stored[key] = frozenset(found)
        for uri in uris:
            if uri not in self._stored[key]:
                raise BadInput(
                    f"package {uri} is not here", next_step="upload it, then submit again"
                )

    def _refuse_hopeless(self, job: Job) -> None:
        """Raise Refused as ``quotes.refuse_hopeless`` does; jobs that are alike are asked once."""
        kind = (job.tenant_id, job.wishes, bool(job.entrypoint_num_gpus))
        if kind not in self._hopes:
            money = self._moneys.get(job.tenant_id)
            if money is None:
                money = quotes.money_in_all(self._connection, job.tenant_id, self._now)
                self._moneys[job.tenant_id] = money
            self._hopes[kind] = _refusal(self._connection, money, job, self._context)
        error = self._hopes[kind]
        if error is not None:
            raise error


def _refusal(
    connection: Connection, money: Money, job: Job, context: Context
) -> SuanwangError | None:
    try:
        quotes.refuse_hopeless(connection, money, job, context)
    except SuanwangError as error:
        return error
    return None


def _same_or_taken(former: Job, new: NewJob) -> Answer:
    if any(getattr(former, name) != getattr(new, name) for name in NewJob.__slots__):
        return Conflict(
            f"a job with submission id {new.submission_id!r} already exists",
            next_step="choose another submission id, or leave it out",
            submission_id=new.submission_id,
        )
    return former


def _write(connection: Connection, fresh: Sequence[Job]) -> dict[str, Job]:
    """Insert jobs with the first line of each story; return those that somebody else was first in.

    That can only be in another process; the insert waited for it, so its row is to be seen.
    """
    if not fresh:
        return {}
    raced: dict[str, Job] = {}
    if store.insert_jobs(connection, fresh) < len(fresh):
        mine = {job.id for job in fresh}
        there = store.jobs_by_submissions(connection, [job.submission_id for job in fresh])
        raced = {name: job for name, job in there.items() if job.id not in mine}
    told = [
        (job, f"{job.wishes.units} units for at most {job.wishes.run_s_max} s")
        for job in fresh
        if job.submission_id not in raced
    ]
    store.add_first_events(connection, [_submitted(job, words) for job, words in told])
    if _LOG.isEnabledFor(logging.INFO):
        for job, words in told:
            facts = {"job": job.id, "tenant": job.tenant_id}
            _LOG.info("job submitted: %s", words, extra=facts)
    return raced


def _submitted(job: Job, words: str) -> JobEvent:
    return JobEvent(job_id=job.id, seq=1, at=job.submitted_at, kind="submitted", message=words)
