"""The writer's figures as metrics: the same page of names at the centre and at an agent."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from collectors.remote_write.writer import RemoteWriter


class RemoteMetrics(Collector):
    """Reads a writer each time it is asked."""

    def __init__(self, writer: RemoteWriter) -> None:
        self._writer = writer

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        state = self._writer.state
        yield CounterMetricFamily(
            "suanwang_remote_samples_sent",
            "Samples that the time series database has taken.",
            value=state.sent,
        )
        dropped = CounterMetricFamily(
            "suanwang_remote_samples_dropped",
            "Samples that it will never have, by reason.",
            labels=("reason",),
        )
        for reason, count in state.dropped.items():
            dropped.add_metric((reason.value,), count)
        yield dropped
        yield CounterMetricFamily(
            "suanwang_remote_requests", "Requests that it answered for good.", value=state.requests
        )
        yield CounterMetricFamily(
            "suanwang_remote_retries", "Tries that failed and were repeated.", value=state.retries
        )
        yield CounterMetricFamily(
            "suanwang_remote_stalls",
            "How often it failed over everything, and the copy had to go on later.",
            value=state.stalls,
        )
        for name, help_text, value in (
            ("queue_samples", "Samples that wait to be sent.", state.queued),
            ("queue_seconds", "How long the oldest of them waits.", state.lag_s),
            ("series", "Series of which samples were sent in the last day.", state.series),
            ("behind_seconds", "Age of the oldest sample that the copy may lack.", state.behind_s),
            ("catching_up", "1 while it is read from the record.", float(state.is_behind)),
            ("up", "1 where the last request was answered.", float(state.down_since is None)),
        ):
            yield GaugeMetricFamily(f"suanwang_remote_{name}", help_text, value=value)


def remote_page(writer: RemoteWriter) -> bytes:
    """Return the figures as Prometheus text."""
    registry = CollectorRegistry()
    registry.register(RemoteMetrics(writer))
    return generate_latest(registry)
