"""Orders, spools and runners for the agent's tests, with defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent.book import AttemptBook
from agent.executors.fake import FakeExecutor
from agent.record import Rules
from agent.runner import Pace, Runner
from agent.spool import Spool
from suanwang.clock import VirtualClock
from suanwang.wire.agent import (
    AttemptReport,
    ExtendOrder,
    FenceOrder,
    NoteOrder,
    StartOrder,
    StopOrder,
)

NOON = datetime(2026, 10, 14, tzinfo=UTC)


def a_start(entrypoint: str = "echo hello; sleep 10", **changes: object) -> StartOrder:
    """Return an order to run attempt ``job_1-a1`` for up to an hour."""
    fields: dict[str, object] = {
        "id": "job_1-a1-start",
        "attempt_id": "job_1-a1",
        "executor_id": "train-a1",
        "submission_id": "train",
        "entrypoint": entrypoint,
        "runtime_env": {},
        "metadata": {},
        "units": 1,
        "accelerator": "cpu",
        "run_s_max": 3_600,
        "lease_expires_at": NOON + timedelta(hours=2),
    }
    return StartOrder.model_validate({**fields, **changes})


def a_stop(reason: str = "stopped by the user") -> StopOrder:
    """Return an order to end attempt ``job_1-a1``."""
    return StopOrder(
        id="job_1-a1-stop", attempt_id="job_1-a1", executor_id="train-a1", reason=reason
    )


def a_fence() -> FenceOrder:
    """Return an order to prove attempt ``job_1-a1`` dead."""
    return FenceOrder(id="job_1-a1-fence", attempt_id="job_1-a1", executor_id="train-a1")


def an_extension(run_s_max: int = 40, number: int = 1, note: str = "longer") -> ExtendOrder:
    """Return an order that lets attempt ``job_1-a1`` run longer, with a lease of three hours."""
    return ExtendOrder(
        id=f"job_1-a1-extend{number}",
        attempt_id="job_1-a1",
        executor_id="train-a1",
        run_s_max=run_s_max,
        lease_expires_at=NOON + timedelta(hours=3),
        note=note,
    )


def a_note(words: str = "2 s are left") -> NoteOrder:
    """Return an order to write a line into the output of attempt ``job_1-a1``."""
    return NoteOrder(
        id="job_1-a1-note20", attempt_id="job_1-a1", executor_id="train-a1", note=words
    )


class NoPackages:
    """A site whose jobs bring no packages."""

    async def fetch(self, digests: Mapping[str, str]) -> dict[str, Path]:
        """Return nothing."""
        assert not digests
        return {}


@dataclass
class Site:
    """An agent's inside on a virtual clock: executor, spool, book and runner."""

    folder: Path
    clock: VirtualClock
    executor: FakeExecutor = field(init=False)
    spool: Spool = field(init=False)
    rules: Rules = field(default_factory=Rules)
    pace: Pace = field(default_factory=Pace)

    def __post_init__(self) -> None:
        """Make the parts."""
        self.executor = FakeExecutor(self.clock)
        self._open()

    def restart(self) -> None:
        """Start again from what is on disk, as after a kill -9."""
        self.spool.close()
        self._open()

    def _open(self) -> None:
        self.spool = Spool(self.folder, self.clock)
        self.book = AttemptBook(self.spool, self.clock)
        self.runner = Runner(
            self.executor, self.book, NoPackages(), self.clock, self.rules, self.pace
        )

    async def turn(self, seconds: float = 1.0) -> None:
        """Let time pass, then do a whole round."""
        self.clock.advance(seconds)
        await self.runner.round()
        await self.runner.settle()

    async def turns(self, count: int, seconds: float = 1.0) -> None:
        """Do several rounds."""
        for _ in range(count):
            await self.turn(seconds)

    def deliver(self) -> list[AttemptReport]:
        """Take output and reports as a centre would; return the reports in their order."""
        while (piece := self.spool.next_piece()) is not None:
            self.spool.output_taken(piece.attempt_id, piece.start + len(piece.text))
        stored = self.spool.reports(1_000)
        self.spool.reports_sent([one.id for one in stored])
        return [one.report for one in stored]

    def output(self) -> str:
        """Take all output that waits, as a centre would; return it."""
        text = ""
        while (piece := self.spool.next_piece()) is not None:
            text += piece.text
            self.spool.output_taken(piece.attempt_id, piece.start + len(piece.text))
        return text

    def states(self) -> list[str]:
        """Return the states in the reports that wait, oldest first."""
        return [report.state for report in self.deliver()]
