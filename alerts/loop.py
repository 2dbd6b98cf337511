"""Alerts as a thread of the centre: a look at the rules when it is time, and it never dies."""

import logging
import threading
from collections.abc import Callable
from typing import Final

from alerts.evaluation import Evaluator
from alerts.metrics import AlertMetrics
from suanwang.clock import Clock

_LOG: Final = logging.getLogger(__name__)
JOIN_S: Final = 10.0
"""How long ``stop`` waits for the look that goes on."""


class AlertLoop:
    """Evaluates alerts while this process leads; others only watch for their turn."""

    def __init__(
        self,
        evaluator: Evaluator,
        clock: Clock,
        metrics: AlertMetrics,
        *,
        every_s: float,
        leads: Callable[[], bool],
    ) -> None:
        self._evaluator = evaluator
        self._clock = clock
        self._metrics = metrics
        self._every_s = every_s
        self._leads = leads
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; a second call changes nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End after the look that goes on."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(JOIN_S)
            self._thread = None

    def tick(self) -> None:
        """Look once, where it is ours to do; a failure is logged, and the next look tries again."""
        if not self._leads():
            return
        began_s = self._clock.monotonic()
        try:
            report = self._evaluator.run()
        except Exception:  # noqa: BLE001 - the outermost loop: logged, and tried again
            _LOG.exception("alerts could not be evaluated")
            return
        self._metrics.evaluated(report, self._clock.monotonic() - began_s)

    def _run(self) -> None:
        while not self._stopping.wait(self._every_s):
            self.tick()
