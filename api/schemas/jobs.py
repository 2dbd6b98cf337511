"""Jobs, their attempts, accounts, events, output and quotes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Final

from pydantic import ConfigDict, Field

from api.schemas.common import In, Out
from api.schemas.money import IdempotencyKey
from optimizer.changes import Outcome, Wish
from optimizer.conflict import CODES, Conflict, Demand, Remedy
from scheduler import conflict_words
from scheduler.changes import ToldChange
from suanwang.ids import SUBMISSION_ID
from suanwang.model.attempt import AttemptState, FailureKind
from suanwang.model.job import Job, JobState, Wishes
from suanwang.model.plan import Estimate, ReasonCode, SiteVerdict
from suanwang.model.wishes import RUN_S_MAX
from voucher.wording import Language

REDACTED: Final = "<redacted>"
"""What stands in place of an environment variable's value, as in Ray's own dashboard."""

Units = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
MetadataText = Annotated[str, Field(max_length=4_000)]


class JobIn(In):
    """A job, in the words of Ray's Jobs API; the wishes are in ``metadata`` (docs/gateway.md)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "entrypoint": "python train.py",
                "metadata": {"units": "4", "accelerator": "cpu", "max_minutes": "30"},
            }
        }
    )

    entrypoint: str = Field(min_length=1, max_length=30_000)
    submission_id: str | None = Field(
        default=None, pattern=rf"^{SUBMISSION_ID.pattern}$", description="drawn when left out"
    )
    runtime_env: dict[str, object] = Field(default={})
    metadata: dict[Annotated[str, Field(max_length=200)], MetadataText] = Field(
        default={}, max_length=200
    )
    entrypoint_num_cpus: Units | None = None
    entrypoint_num_gpus: Units | None = None
    entrypoint_memory: int | None = Field(default=None, ge=0, le=2**60, description="bytes")
    entrypoint_resources: dict[Annotated[str, Field(max_length=200)], Units] | None = Field(
        default=None, max_length=200
    )


class WishedWidth(Out):
    """Another number of units that will do, and the longest run at it."""

    units: int
    run_s_max: int


class PredecessorOut(Out):
    """A job that must have succeeded before, and how many gigabytes it hands over."""

    submission_id: str
    transfer_gb: float


class WishesOut(Out):
    """The wishes as understood."""

    units: int
    accelerators: list[str]
    run_s_max: int
    origin: str
    latency_ms_max: float | None
    data_class: str
    data_home: str
    domestic_only: bool
    uses_voucher: bool
    cash_fen_max: int | None
    deadline: datetime | None
    earliest_start: datetime | None
    stop_grace_s: int
    sites: list[str]
    extend_s: int
    extend_s_max: int
    widths: list[WishedWidth]
    after: list[PredecessorOut]
    may_move: bool
    checkpoint_s: int


class JobOut(Out):
    """A job; values of environment variables are never shown here."""

    submission_id: str
    tenant_id: str
    state: JobState
    reason: ReasonCode | None
    message: str
    entrypoint: str
    metadata: dict[str, str]
    runtime_env: dict[str, object]
    wishes: WishesOut
    site_id: str | None
    pool_id: str | None
    stop_requested: bool
    submitted_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    exit_code: int | None
    attempt_count: int
    batch_id: str | None = Field(description="batch that it came in with, if any")


class AttemptOut(Out):
    """One run of the job."""

    id: str
    number: int
    state: AttemptState
    site_id: str
    pool_id: str
    units: int
    executor_id: str
    price_uyuan_per_unit_hour: int
    run_s_max: int
    run_s_confirmed: int = Field(description="of run_s_max, what its site knows of")
    intent_at: datetime
    submitted_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    exit_code: int | None
    failure: FailureKind | None
    message: str


class AccountOut(Out):
    """What the job used, and who paid."""

    site_id: str | None
    resource: str
    unit_seconds: float
    energy_wh: float | None
    carbon_g: float | None
    price_fen: int
    voucher_fen: int
    cash_fen: int
    quality: str
    pue: float | None


class MeterOut(Out):
    """What runs now: use and cost up to ``at``, what is held, and when it is stopped.

    Nothing of it is booked yet; at the end the whole use is paid once, by the same rule.
    """

    attempt_id: str
    at: datetime = Field(description="last sight of the attempt")
    used_s: float
    cost_fen: int
    voucher_fen: int
    cash_fen: int
    held_fen: int = Field(description="the most that it can cost, with the grace of its stop")
    held_voucher_fen: int
    held_cash_fen: int
    run_s_max: int
    run_s_confirmed: int
    stop_grace_s: int
    ends_at: datetime | None = Field(description="when its site stops it; null before it runs")
    left_s: int


class ExtensionIn(In):
    """More time for a job that has its place."""

    model_config = ConfigDict(json_schema_extra={"example": {"by_s": 1_800}})

    by_s: int = Field(ge=1, le=RUN_S_MAX, description="seconds to add to its longest run")
    key: IdempotencyKey | None = Field(default=None, description="instead of Idempotency-Key")


class ExtensionOut(Out):
    """Time that was added, and the money for it; ``confirmed_at`` is null until the site knows."""

    attempt_id: str
    number: int
    at: datetime
    by_s: int
    run_s_max: int
    amount_fen: int
    is_automatic: bool
    asked_by: str = Field(description="id of the key that asked; empty: the job's own wish")
    confirmed_at: datetime | None


class ExtensionGranted(ExtensionOut):
    """An extension; ``is_repeat`` says that the same request was granted before."""

    is_repeat: bool


class JobDetail(JobOut):
    """A job with its attempts, its account (null before the first bill) and its running meter.

    ``meter`` is null unless an attempt lives.
    """

    attempts: list[AttemptOut]
    account: AccountOut | None
    meter: MeterOut | None
    extensions: list[ExtensionOut]


class JobPage(Out):
    """A page of jobs, newest first; ``next`` goes into ``before``."""

    items: list[JobOut]
    next: str | None


class EventOut(Out):
    """A step of the job's story."""

    seq: int
    at: datetime
    kind: str
    message: str
    facts: dict[str, object]


class EventList(Out):
    """The job's story, oldest first."""

    items: list[EventOut]


class LogPiece(Out):
    """Output from ``offset`` on (all attempts as one stream).

    ``is_final`` says that the job has ended and that this piece reaches the end of what is stored.
    """

    text: str
    next_offset: int
    is_final: bool


class ExplanationOut(Out):
    """Why the job is where it is, and why not elsewhere; ``verdicts`` has a row for each pool."""

    submission_id: str
    state: JobState
    reason: ReasonCode | None
    message: str
    decided_at: datetime | None
    verdicts: list[SiteVerdict]


class DemandOut(Out):
    """A demand that is in the way; ``reason`` is the code of a pool that fails it alone."""

    demand: Demand
    reason: ReasonCode
    figures: Mapping[str, str | int]
    words: str
    words_zh: str


class RemedyOut(Out):
    """Demands that, dropped together, give a place, and which."""

    dropped: list[Demand]
    pool_id: str
    start: datetime
    price_fen_max: int
    words: str
    words_zh: str


class ConflictOut(Out):
    """The fewest demands that leave a waiting job no place; ``remedies`` are the ways out.

    Empty, with ``words`` that say so, where nothing stands in the way.
    """

    submission_id: str
    demands: list[DemandOut]
    remedies: list[RemedyOut]
    words: str
    words_zh: str


def conflict_out(job: Job, found: Conflict | None) -> ConflictOut:
    """Return a conflict for readers; ``found`` is None where nothing is in the job's way."""
    if found is None:
        return ConflictOut(
            submission_id=job.submission_id,
            demands=[],
            remedies=[],
            words=conflict_words.nothing(job.state, Language.ENGLISH),
            words_zh=conflict_words.nothing(job.state, Language.CHINESE),
        )
    return ConflictOut(
        submission_id=job.submission_id,
        demands=[_demand_out(demand, found) for demand in found.demands],
        remedies=[_remedy_out(remedy, found) for remedy in found.remedies],
        words=conflict_words.words(found, Language.ENGLISH),
        words_zh=conflict_words.words(found, Language.CHINESE),
    )


def _demand_out(demand: Demand, found: Conflict) -> DemandOut:
    (spec,) = found.problem.jobs
    return DemandOut(
        demand=demand,
        reason=CODES[demand],
        figures=conflict_words.figures(demand, spec),
        words=conflict_words.demand_words(demand, spec, Language.ENGLISH),
        words_zh=conflict_words.demand_words(demand, spec, Language.CHINESE),
    )


def _remedy_out(remedy: Remedy, found: Conflict) -> RemedyOut:
    if remedy.placement is None:
        raise AssertionError("a way out for one job names its place")
    return RemedyOut(
        dropped=list(remedy.dropped),
        pool_id=remedy.placement.pool_id,
        start=remedy.placement.start,
        price_fen_max=remedy.placement.price_fen_max,
        words=conflict_words.way_out(found.problem, remedy, Language.ENGLISH),
        words_zh=conflict_words.way_out(found.problem, remedy, Language.CHINESE),
    )


class OutcomeOut(Out):
    """What the job costs the plan, in yuan, and where it starts; null: it waits."""

    cost: float
    start: datetime | None
    pool_id: str | None


class ChangeOut(Out):
    """A wish that was moved. ``is_solved`` false: prices alone show that nothing can be gained."""

    wish: Wish
    before: OutcomeOut
    after: OutcomeOut
    saved_pct: float
    is_solved: bool
    words: str
    words_zh: str


class ChangesOut(Out):
    """What would change a waiting job's cost or start; empty for one that waits no more."""

    submission_id: str
    items: list[ChangeOut]


def changes_out(job: Job, told: Sequence[ToldChange]) -> ChangesOut:
    """Return changes for readers."""
    return ChangesOut(
        submission_id=job.submission_id,
        items=[
            ChangeOut(
                wish=one.change.wish,
                before=_outcome_out(one.change.before),
                after=_outcome_out(one.change.after),
                saved_pct=one.change.saved_pct,
                is_solved=one.change.is_solved,
                words=one.en,
                words_zh=one.zh,
            )
            for one in told
        ],
    )


def _outcome_out(outcome: Outcome) -> OutcomeOut:
    return OutcomeOut(cost=outcome.cost, start=outcome.start, pool_id=outcome.pool_id or None)


class StopOut(Out):
    """Whether there was something to stop."""

    stopped: bool


class QuoteIn(In):
    """What is asked for, as in a job."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"metadata": {"units": "8", "max_minutes": "60"}}}
    )

    metadata: dict[Annotated[str, Field(max_length=200)], MetadataText] = Field(
        default={}, max_length=200
    )
    entrypoint_num_cpus: Units | None = None
    entrypoint_num_gpus: Units | None = None
    is_exact: bool = Field(
        default=True, description="solve again where prices alone are not sure of the best place"
    )


class QuoteOut(Out):
    """A row for each pool: figures, or the reason why not; the cheapest comes first.

    Rows are on top of what runs now; ``best`` counts the jobs that wait as well.
    """

    rows: list[SiteVerdict]
    made_at: datetime = Field(description="moment of the prices")
    queued: int = Field(description="jobs of the queue that the prices count")
    pool_id: str | None = Field(description="where it would start, the queue counted")
    best: Estimate | None = Field(description="what it adds to the plan's cost there")
    is_sure: bool = Field(description="best is within 5 % of solving everything again")


def redacted_env(runtime_env: Mapping[str, object]) -> dict[str, object]:
    """Return a copy with the values of environment variables blacked out."""
    shown = dict(runtime_env)
    variables = shown.get("env_vars")
    if isinstance(variables, Mapping):
        shown["env_vars"] = dict.fromkeys(variables, REDACTED)
    return shown


def wishes_out(wishes: Wishes) -> WishesOut:
    """Return wishes with their sets in order."""
    return WishesOut(
        units=wishes.units,
        accelerators=sorted(wishes.accelerators),
        run_s_max=wishes.run_s_max,
        origin=wishes.origin,
        latency_ms_max=wishes.latency_ms_max,
        data_class=wishes.data_class.value,
        data_home=wishes.data_home,
        domestic_only=wishes.domestic_only,
        uses_voucher=wishes.uses_voucher,
        cash_fen_max=wishes.cash_fen_max,
        deadline=wishes.deadline,
        earliest_start=wishes.earliest_start,
        stop_grace_s=wishes.stop_grace_s,
        sites=sorted(wishes.sites),
        extend_s=wishes.extend_s,
        extend_s_max=wishes.extend_s_max,
        after=[
            PredecessorOut(submission_id=one.submission_id, transfer_gb=one.transfer_gb)
            for one in wishes.after
        ],
        widths=[WishedWidth(units=one.units, run_s_max=one.run_s_max) for one in wishes.widths],
        may_move=wishes.may_move,
        checkpoint_s=wishes.checkpoint_s,
    )


def job_out(job: Job) -> JobOut:
    """Return a job for readers."""
    return JobOut(
        submission_id=job.submission_id,
        tenant_id=job.tenant_id,
        state=job.state,
        reason=job.reason,
        message=job.message,
        entrypoint=job.entrypoint,
        metadata=dict(job.metadata),
        runtime_env=redacted_env(job.runtime_env),
        wishes=wishes_out(job.wishes),
        site_id=job.site_id,
        pool_id=job.pool_id,
        stop_requested=job.stop_requested,
        submitted_at=job.submitted_at,
        started_at=job.started_at,
        ended_at=job.ended_at,
        exit_code=job.exit_code,
        attempt_count=job.attempts,
        batch_id=job.batch_id,
    )
