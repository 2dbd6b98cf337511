"""Figures of the ledger's writer in this process, and of what is passed on to another's."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from voucher.group import GroupDone
from voucher.writer import GroupWriter

SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_000)
BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class LedgerMetrics:
    """What a writer does, in a registry of its own; it is the writer's observer."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._size = Histogram(
            "suanwang_ledger_group_items",
            "Units of work and commands in one transaction of the ledger.",
            buckets=SIZES,
            registry=self.registry,
        )
        self._took = Histogram(
            "suanwang_ledger_group_seconds",
            "Time of one transaction of the ledger, from its begin to its commit.",
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self._waited = Histogram(
            "suanwang_ledger_wait_seconds",
            "How long the oldest of a group had waited when its transaction began.",
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self._items = Counter(
            "suanwang_ledger_items",
            "Units of work and commands by outcome.",
            ("outcome",),
            registry=self.registry,
        )
        self._full = Counter(
            "suanwang_ledger_turned_away",
            "Callers that were refused because too many waited.",
            registry=self.registry,
        )
        self._passed_on = Counter(
            "suanwang_requests_passed_on",
            "Requests that were passed on to the process that writes the ledger, by outcome.",
            ("outcome",),
            registry=self.registry,
        )
        self._waiting = Gauge(
            "suanwang_ledger_waiting",
            "Units of work and commands that wait for the writer.",
            registry=self.registry,
        )
        self._is_writer = Gauge(
            "suanwang_ledger_is_writer",
            "1 where this process writes the ledger and places the jobs.",
            registry=self.registry,
        )
        self._epoch = Gauge(
            "suanwang_ledger_epoch",
            "Newest epoch of the ledger's writer that this process knows.",
            registry=self.registry,
        )

    def watch(self, writer: GroupWriter) -> None:
        """Show this writer's queue and lease."""
        self._waiting.set_function(lambda: writer.waiting)
        self._is_writer.set_function(lambda: float(writer.epoch is not None))
        self._epoch.set_function(lambda: writer.tenure.epoch)

    def group_done(self, done: GroupDone) -> None:
        """Count a group."""
        self._size.observe(done.units + done.commands)
        self._took.observe(done.took_s)
        self._waited.observe(done.waited_s)
        self._items.labels("failed").inc(done.failed)
        self._items.labels("written").inc(max(0, done.units + done.commands - done.failed))

    def turned_away(self) -> None:
        """Count a caller that was refused."""
        self._full.inc()

    def passed_on(self, outcome: str) -> None:
        """Count a request: ``answered``, ``unreached`` or ``lost``."""
        self._passed_on.labels(outcome).inc()
