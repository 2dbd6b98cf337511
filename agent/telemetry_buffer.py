"""Readings of a few seconds, gathered by column, then put into the spool as one batch."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from agent.spool import Spool
from suanwang.clock import Clock
from suanwang.ids import IdSource
from suanwang.model.batch import Gathering
from suanwang.model.reading import Circuit, Reading, SourceReport
from suanwang.wire.batch import TelemetryUpload

READINGS_MAX: Final = 20_000
"""Readings of one batch: what the centre takes in within a tenth of a second."""
REPORTS_MAX: Final = 10_000


class TelemetryBuffer:
    """What was read since the last batch. ``take`` is a sink of ``collectors.poller.Poller``.

    ``copy`` is handed every reading too.
    """

    def __init__(
        self,
        spool: Spool,
        clock: Clock,
        ids: IdSource,
        copy: Callable[[Sequence[Reading]], None] = lambda _: None,
    ) -> None:
        self._copy = copy
        self._spool = spool
        self._clock = clock
        self._ids = ids
        self._readings = Gathering()
        self._reports: list[SourceReport] = []
        self._listing: frozenset[str] | None = None

    def take(self, readings: Sequence[Reading], report: SourceReport) -> None:
        """Take one poll's outcome."""
        if len(self._reports) >= REPORTS_MAX:
            self.flush()
        self.add(readings)
        self._reports.append(replace(report, error=_with_circuit(report)))

    def add(self, readings: Sequence[Reading]) -> None:
        """Take readings in."""
        self._copy(readings)
        if len(self._readings) + len(readings) <= READINGS_MAX:
            self._readings.add(readings)
            return
        left = iter(readings)
        while piece := list(islice(left, READINGS_MAX - len(self._readings))):
            self._readings.add(piece)
            if len(self._readings) >= READINGS_MAX:
                self.flush()

    def list_sources(self, names: frozenset[str]) -> None:
        """Tell with the next batch, which is made now, what is polled from now on."""
        self._listing = names
        self.flush()

    def flush(self) -> None:
        """Put into the spool what was gathered."""
        if not len(self._readings) and not self._reports and self._listing is None:
            return
        upload = TelemetryUpload(
            id=self._ids.new("tb"),
            made_at=self._clock.now(),
            readings=self._readings.readings(),
            reports=tuple(self._reports),
            sources=self._listing,
        )
        self._readings, self._reports, self._listing = Gathering(), [], None
        self._spool.batches.add(upload)


def _with_circuit(report: SourceReport) -> str:
    """Return why a source is down; where its breaker is open, since when, and the next try."""
    if report.circuit is Circuit.CLOSED or not report.circuit_since or not report.next_at:
        return report.error
    since, again = (f"{at:%Y-%m-%d %H:%M:%S}" for at in (report.circuit_since, report.next_at))
    return f"circuit open since {since} UTC, next try at {again} UTC: {report.error}"
