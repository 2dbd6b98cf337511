"""Agents of sites for simulations: they keep a disk, lose messages, crash, and run pretended jobs.

They follow the rules of the channel: an order is acknowledged when it is on disk, a report is sent
until its receipt came, a start of an attempt that was fenced is refused, and nothing runs beyond
its lease. What really ran is kept as ``runs``, the ground truth of every invariant.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from suanwang.wire.agent import (
    AttemptReport,
    ExtendOrder,
    FenceOrder,
    Order,
    StartOrder,
    StopOrder,
)


@dataclass
class Run:
    """A run as it really was; ``ended_at`` is None while it lives."""

    attempt_id: str
    job_id: str
    started_at: datetime
    natural_end: datetime
    order: StartOrder
    outcome: str
    ended_at: datetime | None = None
    is_stopping: bool = False


@dataclass
class FakeSite:
    """One site: its disk survives a crash of the agent, its runs survive everything but a fence."""

    site_id: str
    random: Random
    seqs: dict[str, int] = field(default_factory=dict)
    fenced: set[str] = field(default_factory=set)
    known: dict[str, Order] = field(default_factory=dict)
    outbox: list[AttemptReport] = field(default_factory=list)
    runs: dict[str, Run] = field(default_factory=dict)
    is_agent_up: bool = True
    is_executor_up: bool = True

    def take(self, order: Order, now: datetime) -> None:
        """Carry an order out; a repeated one changes nothing."""
        if isinstance(order, StartOrder):
            self._start(order, now)
        elif isinstance(order, StopOrder):
            self._stop(order, now)
        elif isinstance(order, FenceOrder):
            self._fence(order, now)
        elif isinstance(order, ExtendOrder):
            self._extend(order)

    def is_late(self, order: Order) -> bool:
        """Whether an extension that was taken has no effect here."""
        run = self.runs.get(order.attempt_id)
        if not isinstance(order, ExtendOrder):
            return False
        return run is None or run.order.run_s_max < order.run_s_max

    def _extend(self, order: ExtendOrder) -> None:
        run = self.runs.get(order.attempt_id)
        if run is not None and run.ended_at is None:
            start = run.order
            run.order = start.model_copy(
                update={
                    "run_s_max": max(start.run_s_max, order.run_s_max),
                    "lease_expires_at": max(start.lease_expires_at, order.lease_expires_at),
                }
            )

    def running(self) -> tuple[str, ...]:
        """Attempts that live here."""
        return tuple(sorted(one.attempt_id for one in self.runs.values() if one.ended_at is None))

    def tick(self, now: datetime) -> None:
        """Let runs end by themselves, and, where the agent lives, by their limits."""
        for run in list(self.runs.values()):
            if run.ended_at is None and now >= run.natural_end:
                self._end(run, run.natural_end, run.outcome)
            elif run.ended_at is None and self.is_agent_up:
                limit = run.started_at + timedelta(seconds=run.order.run_s_max)
                if now >= min(limit, run.order.lease_expires_at):
                    self._end(run, now, "stopped")

    def answer_for(self, attempts: tuple[str, ...], now: datetime) -> None:
        """Report on what the centre believes to run here, also where there is no record."""
        for name in attempts:
            if name not in self.known and name not in self.fenced:
                self.fenced.add(name)
                self._report(name, now, "fenced")
            elif not self.is_executor_up:
                self._report(name, now, "unknown")
            elif name in self.runs and self.runs[name].ended_at is None:
                started = self.runs[name].started_at
                self._report(name, now, "running", started_at=started)

    def _start(self, order: StartOrder, now: datetime) -> None:
        name = order.attempt_id
        if name in self.known or name in self.fenced:
            return
        self.known[name] = order
        if now >= order.lease_expires_at or self.random.random() < 0.1:
            self._report(name, now, "failed", is_infrastructure=True, message="no room")
            return
        length_s = self.random.choice((5, 60, 300, order.run_s_max + 200))
        self.runs[name] = Run(
            attempt_id=name,
            job_id=name.rpartition("-a")[0],
            started_at=now,
            natural_end=now + timedelta(seconds=length_s),
            order=order,
            outcome=self.random.choice(("succeeded", "succeeded", "failed", "broken")),
        )
        self._report(name, now, "submitting")
        self._report(name, now, "running", started_at=now)

    def _stop(self, order: StopOrder, now: datetime) -> None:
        run = self.runs.get(order.attempt_id)
        if run is not None and run.ended_at is None:
            self._end(run, now, "stopped")
        elif run is None and order.attempt_id not in self.known:
            self.fenced.add(order.attempt_id)
            self._report(order.attempt_id, now, "stopped")

    def _fence(self, order: FenceOrder, now: datetime) -> None:
        run = self.runs.get(order.attempt_id)
        self.fenced.add(order.attempt_id)
        if run is not None and run.ended_at is None:
            run.ended_at = now
        self._report(order.attempt_id, now, "fenced")

    def _end(self, run: Run, at: datetime, outcome: str) -> None:
        run.ended_at = at
        is_broken = outcome == "broken"
        self._report(
            run.attempt_id,
            at,
            "failed" if is_broken else outcome,
            started_at=run.started_at,
            ended_at=at,
            exit_code={"succeeded": 0, "failed": 1}.get(outcome),
            is_infrastructure=is_broken,
            window_source="supervisor",
        )

    def _report(self, name: str, at: datetime, state: str, **more: object) -> None:
        seq = self.seqs[name] = self.seqs.get(name, 0) + 1
        fields: dict[str, object] = {"attempt_id": name, "seq": seq, "at": at, "state": state}
        self.outbox.append(AttemptReport.model_validate(fields | more))

    def send(self, deliver: Callable[[list[AttemptReport]], None]) -> None:
        """Send what is in the outbox: maybe lost, maybe twice, maybe in another order."""
        if not self.outbox or not self.is_agent_up or self.random.random() < 0.3:
            return
        batch = list(self.outbox)
        if self.random.random() < 0.2:
            self.random.shuffle(batch)
        if self.random.random() < 0.3:
            batch += self.random.choices(batch, k=2)
        deliver(batch)
        if self.random.random() < 0.7:
            self.outbox.clear()
