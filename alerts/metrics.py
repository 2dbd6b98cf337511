"""Numbers for Prometheus: alerts and messages out of the database, and what this process did."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from sqlalchemy import Connection

from alerts import store, store_outbox
from alerts.evaluation import Report

HELP: Final[Mapping[str, str]] = {
    "suanwang_alerts": "Alerts that live, by site, rule, severity and state.",
    "suanwang_alert_messages": "Messages about alerts by channel and state.",
    "suanwang_alert_evaluation_age_seconds": "Seconds since alerts were evaluated last.",
}
BUCKETS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


def families(connection: Connection, now: datetime) -> Iterator[GaugeMetricFamily]:
    """Yield what any replica knows, read from the database."""
    alerts = _family("suanwang_alerts", "site", "rule", "severity", "state")
    for one in store.counts(connection):
        alerts.add_metric([one.site_id, one.rule_id, one.severity, one.state], one.alerts)
    yield alerts
    messages = _family("suanwang_alert_messages", "channel", "state")
    for (channel, state), count in sorted(store_outbox.counts(connection).items()):
        messages.add_metric([channel, state], count)
    yield messages
    age = _family("suanwang_alert_evaluation_age_seconds")
    evaluated_at = store.evaluated_at(connection)
    if evaluated_at is not None:
        age.add_metric([], max(0.0, (now - evaluated_at).total_seconds()))
    yield age


def _family(name: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, HELP[name], labels=labels)


class AlertMetrics:
    """What this process did about alerts, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._took = Histogram(
            "suanwang_alert_evaluation_seconds",
            "Time of one look at the rules.",
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self._failures = Counter(
            "suanwang_alert_signal_failures",
            "Signals that could not be read.",
            ("signal",),
            registry=self.registry,
        )
        self._deliveries = Counter(
            "suanwang_alert_deliveries",
            "Tries to deliver a message, by channel and outcome.",
            ("channel", "outcome"),
            registry=self.registry,
        )

    def evaluated(self, report: Report, took_s: float) -> None:
        """Count an evaluation."""
        self._took.observe(took_s)
        for signal in report.failed:
            self._failures.labels(signal).inc()

    def delivered(self, channel: str, outcome: str) -> None:
        """Count a try: ``sent``, ``failed`` or ``dead``."""
        self._deliveries.labels(channel, outcome).inc()
