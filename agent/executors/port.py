"""What every executor can do: Ray clusters, Kubernetes and the fake pass one contract suite."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class RunState(StrEnum):
    """States of a run as an executor sees it; the last three are final."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_final(self) -> bool:
        """Whether the run has ended."""
        return self in (RunState.SUCCEEDED, RunState.FAILED, RunState.STOPPED)


class HealthState(StrEnum):
    """Whether the executor's system answers."""

    UP = "up"
    DEGRADED = "degraded"
    UNREACHABLE = "unreachable"


class FenceResult(StrEnum):
    """FENCED: proven that no process of the run lives. CANNOT_PROVE: it may live."""

    FENCED = "fenced"
    CANNOT_PROVE = "cannot-prove"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Answer of the executor's system; ``session`` changes when its records were lost."""

    state: HealthState
    session: str = ""
    version: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Units in all and units in use, by resource (``cpu``, ``gpu``)."""

    total: Mapping[str, float]
    used: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What a run uses of a node."""

    cpus: float = 0.0
    gpus: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeUse:
    """A node in service: its name (unique in the system), address, units, and who uses them.

    ``kind`` is the model of its accelerators, empty where nobody says. ``used`` is by run; what
    belongs to no run of ours stands under the empty id.
    """

    name: str
    address: str = ""
    kind: str = ""
    cpus: float = 0.0
    gpus: float = 0.0
    used: Mapping[str, Used] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """What to run. ``id`` is the executor id: the same id is the same run, however often submitted.

    ``packages`` maps each ``gcs://`` URI in ``runtime_env`` to the file with its bytes. The run
    finds ``units`` in its environment as ``SUANWANG_UNITS``: so an elastic job learns its width.
    """

    id: str
    entrypoint: str
    runtime_env: Mapping[str, object]
    metadata: Mapping[str, str]
    num_cpus: float | None = None
    num_gpus: float | None = None
    memory: int | None = None
    resources: Mapping[str, float] = field(default_factory=dict)
    stop_grace_s: int = 3
    units: int = 1
    packages: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """Where a run stands. ``started_at`` and ``ended_at`` bound the execution, never queueing.

    ``window_source`` says where the two moments come from (``supervisor`` or ``poll``).
    ``is_infrastructure`` is True where the failure is not the program's own.
    """

    id: str
    state: RunState
    message: str = ""
    exit_code: int | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    window_source: str = "poll"
    is_infrastructure: bool = False


class ExecutorError(Exception):
    """The executor's system refused or did not answer; nothing is known about the run."""


class UnknownRun(ExecutorError):
    """The executor's system answers and has no such run."""


class RefusedRun(ExecutorError):
    """The executor's system answers and will never take this run as it is written."""


class Executor(Protocol):
    """Runs attempts. Every method may raise ExecutorError.

    ``get``, ``stop`` and ``logs`` may also raise UnknownRun, and ``submit`` RefusedRun.
    """

    async def health(self) -> Health:
        """Return whether the system answers; never raises."""

    async def capacity(self) -> Capacity:
        """Return units in all and in use."""

    async def nodes(self) -> tuple[NodeUse, ...]:
        """Return the nodes in service, and what each run uses of them."""

    async def submit(self, spec: RunSpec) -> None:
        """Start the run, once: a second submit of the same id changes nothing."""

    async def get(self, run_id: str) -> RunStatus:
        """Return where the run stands."""

    async def stop(self, run_id: str) -> None:
        """Ask the run to end, with the grace of its spec; a finished run stays as it is."""

    async def logs(self, run_id: str, offset: int) -> str:
        """Return the run's output from character ``offset`` on."""

    async def fence(self, run_id: str) -> FenceResult:
        """Kill every process of the run and say whether that is proven."""

    async def forget(self, run_id: str) -> None:
        """Remove the run's record once it is final and archived; an unknown run is no error."""

    async def close(self) -> None:
        """Let go of connections."""
