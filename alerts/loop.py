"""Alerts as a thread of the centre: a look at the rules when it is time, and it never dies."""

import logging
from collections.abc import Callable
from typing import Final

from alerts.evaluation import Evaluator
from alerts.metrics import AlertMetrics
from suanwang.background import Background, every
from suanwang.clock import Clock

_LOG: Final = logging.getLogger(__name__)


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
        self._leads = leads
        self._background = Background("alerts", every(every_s, self.tick))

    def start(self) -> None:
        """Start the thread; a second call changes nothing."""
        self._background.start()

    def stop(self) -> None:
        """End after the look that goes on."""
        self._background.stop()

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
