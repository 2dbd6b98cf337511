"""A job: what a user asked for, and where it stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from suanwang.ids import BatchId, JobId, PoolId, SiteId, TenantId
from suanwang.model.plan import ReasonCode
from suanwang.model.site import DataClass


class JobState(StrEnum):
    """States of a job; the last three are final."""

    QUEUED = "queued"
    PLACED = "placed"
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to the job."""
        return self in FINAL_JOB_STATES


FINAL_JOB_STATES = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.STOPPED})


@dataclass(frozen=True, slots=True)
class Width:
    """Another number of units that will do, and the longest run at it."""

    units: int
    run_s_max: int


@dataclass(frozen=True, slots=True)
class Predecessor:
    """A job that must have succeeded before, and how many gigabytes it hands over."""

    submission_id: str
    transfer_gb: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the user asks of the placement, beside the program itself.

    ``units`` accelerators of one of ``accelerators`` (empty: any, ``cpu`` for cores) for at most
    ``run_s_max`` seconds, within ``latency_ms_max`` of ``origin``. ``data_home`` names the data set
    the job reads, ``data_class`` says how far it may travel. ``uses_voucher`` False pays cash only.
    It starts when all that it comes ``after`` has succeeded and its data had time to come.
    An elastic job names other ``widths`` that will do as well; the plan decides which one it gets.
    An attempt that runs short is given ``extend_s`` more by itself, ``extend_s_max`` in all.
    Where it ``may_move`` it saves its state when it is asked to end and goes on elsewhere; saving,
    moving and loading take ``checkpoint_s``.
    """

    units: int = 1
    accelerators: frozenset[str] = frozenset()
    run_s_max: int = 3600
    origin: str = ""
    latency_ms_max: float | None = None
    data_class: DataClass = DataClass.GENERAL
    data_home: str = ""
    domestic_only: bool = False
    uses_voucher: bool = True
    cash_fen_max: int | None = None
    deadline: datetime | None = None
    earliest_start: datetime | None = None
    stop_grace_s: int = 3
    sites: frozenset[str] = frozenset()
    extend_s: int = 0
    extend_s_max: int = 0
    widths: tuple[Width, ...] = ()
    after: tuple[Predecessor, ...] = ()
    may_move: bool = False
    checkpoint_s: int = 60

    @property
    def use_s_max(self) -> int:
        """Most seconds that can be used and so be billed: the run, then the grace of its stop."""
        return self.run_s_max + self.stop_grace_s

    def run_s_at(self, units: int) -> int:
        """Return the longest run at a width that the job names."""
        return {self.units: self.run_s_max, **{one.units: one.run_s_max for one in self.widths}}[
            units
        ]

    def use_s_at(self, units: int) -> int:
        """Return the most seconds that can be billed at a width that the job names."""
        return self.run_s_at(units) + self.stop_grace_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as stored. ``reason`` says why it waits or why it ended, in a code and in words.

    ``version`` counts changes: a writer that read an older one must read again.
    ``batch_id`` names the batch that the job came in with, if any.

    ``move_to`` is the pool that it is bound for while it moves: it is being stopped, or waits to go
    on there. After that ``left_units`` and ``left_run_s`` are what is left of its run. ``moves``
    counts those begun; each takes a number of an attempt.
    """

    id: JobId
    submission_id: str
    tenant_id: TenantId
    state: JobState
    entrypoint: str
    wishes: Wishes
    submitted_at: datetime
    runtime_env: Mapping[str, object] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    entrypoint_num_cpus: float | None = None
    entrypoint_num_gpus: float | None = None
    entrypoint_memory: int | None = None
    entrypoint_resources: Mapping[str, float] = field(default_factory=dict)
    attempts: int = 0
    site_id: SiteId | None = None
    pool_id: PoolId | None = None
    stop_requested: bool = False
    reason: ReasonCode | None = None
    message: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    exit_code: int | None = None
    version: int = 0
    batch_id: BatchId | None = None
    move_to: PoolId | None = None
    moves: int = 0
    left_units: int | None = None
    left_run_s: int | None = None

    @property
    def wanted(self) -> Wishes:
        """Its wishes as they stand: of a job that has moved, for what is left of its run."""
        if self.left_units is None or self.left_run_s is None:
            return self.wishes
        return replace(self.wishes, units=self.left_units, run_s_max=self.left_run_s, widths=())
