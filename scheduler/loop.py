"""The scheduler as a thread: a cycle when woken or when it is time, and it never dies."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Engine

from scheduler.context import Context, make_context
from scheduler.cycle import run_cycle
from scheduler.reconcile import reconcile
from suanwang.background import Background
from suanwang.clock import Clock
from suanwang.ids import IdSource
from suanwang.settings import Settings
from voucher.writer import Writer

_LOG = logging.getLogger(__name__)

BREATH_S: Final = 0.1
"""Least pause between two cycles: what comes in meanwhile is planned together."""
JOIN_S: Final = 30.0
"""How long ``stop`` waits for the cycle that runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopCounts:
    """What the loop has done since its start; ``last_error`` is the newest failure in words."""

    cycles: int = 0
    reconciles: int = 0
    failures: int = 0
    started: int = 0
    last_error: str = ""


class SchedulerLoop:
    """Runs cycles on a thread of its own until it is stopped."""

    def __init__(
        self,
        engine: Engine,
        writer: Writer,
        clock: Clock,
        ids: IdSource,
        settings: Settings | None = None,
        context: Context | None = None,
    ) -> None:
        self._engine = engine
        self._writer = writer
        self._context = context or make_context(clock, ids, settings)
        self._woken = threading.Event()
        self._background = Background("scheduler", self._run, join_s=JOIN_S, wake=self.wake)
        self._reconcile_at = 0.0
        self._counts = LoopCounts()

    @property
    def counts(self) -> LoopCounts:
        """What was done so far."""
        return self._counts

    def start(self) -> None:
        """Start the thread; a second call changes nothing."""
        self._background.start()

    def wake(self) -> None:
        """Say that there is something to do; the next cycle begins at once."""
        self._woken.set()

    def stop(self) -> None:
        """End after the cycle that runs."""
        self._background.stop()

    def tick(self) -> None:
        """Reconcile where it is time, then run a cycle; failures are counted, not raised."""
        if self._context.clock.monotonic() >= self._reconcile_at:
            self._guard("reconcile", self._reconcile)
            every_s = self._context.limits.reconcile_every_s
            self._reconcile_at = self._context.clock.monotonic() + every_s
        self._guard("cycle", self._cycle)

    def _run(self, stopping: threading.Event) -> None:
        self._reconcile_at = self._context.clock.monotonic()
        while not stopping.is_set():
            self._woken.clear()
            self.tick()
            stopping.wait(BREATH_S)
            self._woken.wait(self._context.limits.cycle_s)

    def _cycle(self) -> None:
        report = run_cycle(self._engine, self._writer, self._context)
        counts = self._counts
        self._counts = replace(
            counts, cycles=counts.cycles + 1, started=counts.started + len(report.started)
        )

    def _reconcile(self) -> None:
        reconcile(self._engine, self._writer, self._context)
        self._counts = replace(self._counts, reconciles=self._counts.reconciles + 1)

    def _guard(self, what: str, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - the outermost loop: logged, counted, tried again
            counts = self._counts
            self._counts = replace(
                counts, failures=counts.failures + 1, last_error=f"{what}: {error}"
            )
            _LOG.exception("the scheduler's %s failed", what)
