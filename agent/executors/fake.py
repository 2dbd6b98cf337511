"""An executor without a cluster: runs live in memory, on whichever clock it is given.

It passes the same contract suite as the real ones and stands in for them in simulations and tests.
Of an entrypoint it understands the words ``echo TEXT``, ``sleep SECONDS``, ``exit CODE`` and
``trap`` (ignores SIGTERM until the grace is over), parted by ``;`` or ``&&``; anything else is
taken as a command that does nothing. ``FakeFaults`` switches faults on.
"""

import shlex
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from agent.executors.port import (
    Capacity,
    ExecutorError,
    FenceResult,
    Health,
    HealthState,
    NodeUse,
    RefusedRun,
    RunSpec,
    RunState,
    RunStatus,
    UnknownRun,
    Used,
)
from suanwang.clock import Clock
from suanwang.ids import SUBMISSION_ID

START_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class _Program:
    """What an entrypoint prints and when (seconds from its start), how long and how it ends."""

    lines: tuple[tuple[float, str], ...]
    duration_s: float
    exit_code: int
    ignores_stop: bool


@dataclass(slots=True)
class _Run:
    spec: RunSpec
    program: _Program
    submitted_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    state: RunState = RunState.PENDING
    message: str = ""
    exit_code: int | None = None
    is_infrastructure: bool = False
    stop_at: datetime | None = None
    node: int = 0


@dataclass(slots=True)
class FakeFaults:
    """What goes wrong: switch a fault on and off at any time.

    ``is_unreachable``: no call is answered, runs go on. ``loses_answers``: submissions are taken
    but not answered. ``cannot_prove``: fences prove nothing. ``refuses``: submissions are refused.
    """

    is_unreachable: bool = False
    loses_answers: bool = False
    cannot_prove: bool = False
    refuses: bool = False


def _read(entrypoint: str) -> _Program:
    at, exit_code, ignores_stop = 0.0, 0, False
    lines: list[tuple[float, str]] = []
    for part in entrypoint.replace("&&", ";").split(";"):
        match shlex.split(part):
            case ["echo", *words]:
                lines.append((at, " ".join(words)))
            case ["sleep", seconds]:
                at += float(seconds)
            case ["trap", *_]:
                ignores_stop = True
            case ["exit", code]:
                exit_code = int(code)
                break
            case _:
                pass
    return _Program(tuple(lines), at, exit_code, ignores_stop)


@dataclass(slots=True)
class FakeExecutor:
    """Runs in memory. ``cpus`` and ``gpus`` bound what runs at once: more waits as pending.

    They are spread evenly over ``node_count`` nodes, and a run sits on the first that holds it.
    """

    clock: Clock
    cpus: float = 16.0
    gpus: float = 8.0
    node_count: int = 1
    start_s: float = START_S
    faults: FakeFaults = field(default_factory=FakeFaults)
    session: str = "fake-1"
    submissions: int = 0
    _runs: dict[str, _Run] = field(default_factory=dict)

    async def health(self) -> Health:
        """Return UP, or UNREACHABLE while that fault is on."""
        if self.faults.is_unreachable:
            return Health(state=HealthState.UNREACHABLE, session=self.session, message="no answer")
        return Health(state=HealthState.UP, session=self.session, version="fake")

    async def capacity(self) -> Capacity:
        """Return units in all and in use."""
        self._answer()
        running = [run for run in self._runs.values() if run.state is RunState.RUNNING]
        return Capacity(
            total={"cpu": self.cpus, "gpu": self.gpus},
            used={
                "cpu": sum(run.spec.num_cpus or 0.0 for run in running),
                "gpu": sum(run.spec.num_gpus or 0.0 for run in running),
            },
        )

    async def nodes(self) -> tuple[NodeUse, ...]:
        """Return the nodes, each with its part of the units."""
        self._answer()
        for run in self._runs.values():
            self._advance(run)
        return tuple(
            NodeUse(
                name=f"fake-{node}",
                address=f"127.0.0.{node + 1}",
                cpus=self.cpus / self.node_count,
                gpus=self.gpus / self.node_count,
                used={
                    run.spec.id: Used(cpus=run.spec.num_cpus or 0.0, gpus=run.spec.num_gpus or 0.0)
                    for run in self._runs.values()
                    if run.state is RunState.RUNNING and run.node == node
                },
            )
            for node in range(self.node_count)
        )

    async def submit(self, spec: RunSpec) -> None:
        """Start the run, once; another program under a known id is refused."""
        self._answer()
        if self.faults.refuses or not SUBMISSION_ID.fullmatch(spec.id):
            raise RefusedRun(f"the fake refuses {spec.id}")
        known = self._runs.get(spec.id)
        if known is not None and known.spec.entrypoint != spec.entrypoint:
            raise RefusedRun(f"another program runs under {spec.id}: {known.spec.entrypoint!r}")
        if known is None:
            self.submissions += 1
            self._runs[spec.id] = _Run(spec, _read(spec.entrypoint), self.clock.now())
        if self.faults.loses_answers:
            raise ExecutorError("the answer was lost")

    async def get(self, run_id: str) -> RunStatus:
        """Return where the run stands."""
        run = self._find(run_id)
        return RunStatus(
            id=run_id,
            state=run.state,
            message=run.message,
            exit_code=run.exit_code,
            started_at=run.started_at,
            ended_at=run.ended_at,
            window_source="supervisor",
            is_infrastructure=run.is_infrastructure,
        )

    async def stop(self, run_id: str) -> None:
        """End the run; one that ignores the signal ends when its grace is over."""
        run = self._find(run_id)
        if run.state.is_final or run.stop_at is not None:
            return
        if run.started_at is None:
            run.state, run.message = RunState.STOPPED, "stopped before it started"
            return
        grace_s = run.spec.stop_grace_s if run.program.ignores_stop else 0
        run.stop_at = self.clock.now() + timedelta(seconds=grace_s)

    async def logs(self, run_id: str, offset: int) -> str:
        """Return the run's output from character ``offset`` on."""
        run = self._find(run_id)
        if run.started_at is None:
            return ""
        end = run.ended_at or self.clock.now()
        lived_s = (end - run.started_at).total_seconds()
        text = "".join(f"{line}\n" for at, line in run.program.lines if at <= lived_s)
        return text[offset:]

    async def fence(self, run_id: str) -> FenceResult:
        """End the run at once; works while the system is unreachable, as a real fence does."""
        if self.faults.cannot_prove:
            return FenceResult.CANNOT_PROVE
        run = self._runs.get(run_id)
        if run is not None:
            self._advance(run)
            if not run.state.is_final:
                self._end(run, RunState.STOPPED, self.clock.now())
        return FenceResult.FENCED

    async def forget(self, run_id: str) -> None:
        """Remove the run's record; an unknown run is no error, a living one is refused."""
        self._answer()
        if run_id in self._runs and not self._find(run_id).state.is_final:
            raise ExecutorError(f"{run_id} is not final")
        self._runs.pop(run_id, None)

    async def close(self) -> None:
        """Nothing to let go of."""

    def lose_records(self, session: str) -> None:
        """Restart the system under a new session: what it knew of its runs is lost."""
        self.session = session
        self._runs.clear()

    def break_run(self, run_id: str, message: str = "supervisor died") -> None:
        """End a run by a failure that is not its own."""
        run = self._find(run_id)
        run.is_infrastructure, run.message = True, message
        self._end(run, RunState.FAILED, self.clock.now())

    def _answer(self) -> None:
        if self.faults.is_unreachable:
            raise ExecutorError("no answer")

    def _find(self, run_id: str) -> _Run:
        self._answer()
        if run_id not in self._runs:
            raise UnknownRun(f"no run {run_id} in session {self.session}")
        for run in self._runs.values():
            self._advance(run)
        return self._runs[run_id]

    def _advance(self, run: _Run) -> None:
        """Bring a run up to the present moment."""
        now = self.clock.now()
        node = self._node_for(run) if run.state is RunState.PENDING else None
        if node is not None:
            starts_at = run.submitted_at + timedelta(seconds=self.start_s)
            if now >= starts_at:
                run.state, run.started_at, run.node = RunState.RUNNING, starts_at, node
        if run.state is not RunState.RUNNING or run.started_at is None:
            return
        ends_at = run.started_at + timedelta(seconds=run.program.duration_s)
        if run.stop_at is not None and run.stop_at < ends_at:
            if now >= run.stop_at:
                self._end(run, RunState.STOPPED, run.stop_at)
        elif now >= ends_at:
            run.exit_code = run.program.exit_code
            is_good = run.exit_code == 0
            run.message = "" if is_good else f"failed with exit code {run.exit_code}"
            self._end(run, RunState.SUCCEEDED if is_good else RunState.FAILED, ends_at)

    def _node_for(self, run: _Run) -> int | None:
        """Return the first node with room for the run; None where there is none."""
        for node in range(self.node_count):
            here = [
                other.spec
                for other in self._runs.values()
                if other.state is RunState.RUNNING and other.node == node
            ]
            cpus = sum(spec.num_cpus or 0.0 for spec in (*here, run.spec))
            gpus = sum(spec.num_gpus or 0.0 for spec in (*here, run.spec))
            if cpus <= self.cpus / self.node_count and gpus <= self.gpus / self.node_count:
                return node
        return None

    def _end(self, run: _Run, state: RunState, at: datetime) -> None:
        run.state = state
        run.ended_at = at if run.started_at is not None else None
