"""Prometheus' page: the network, the queue, the money, and the API's own requests."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.responses import Response

from alerts import metrics as alert_metrics
from api.context import Context
from api.identity import Right, identity_of, secret_of
from collectors.remote_write.metrics import RemoteMetrics
from scheduler import metrics as scheduler_metrics
from scheduler.metrics import Metric as Sample
from suanwang.db import partitions
from suanwang.db.partitions import PartFacts
from suanwang.model.prices import PriceBoard

router = APIRouter(tags=["health"])

TENANT = "tenant"


class _Families(Collector):
    """Families of Prometheus that are there already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = tuple(families)

    def collect(self) -> Iterator[Metric]:
        """Yield them."""
        yield from self._families


class _Samples(Collector):
    """The scheduler's samples as families of Prometheus."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = tuple(samples)

    def collect(self) -> Iterator[Metric]:
        """Yield a family for each name, in the order in which the names come first."""
        by_name: dict[str, list[Sample]] = defaultdict(list)
        for sample in self._samples:
            by_name[sample.name].append(sample)
        for name, samples in by_name.items():
            first = samples[0]
            labels = sorted(first.labels)
            kind = GaugeMetricFamily if first.type == "gauge" else CounterMetricFamily
            family = kind(name, first.help, labels=labels)
            for sample in samples:
                family.add_metric([sample.labels[label] for label in labels], sample.value)
            yield family


class _Parts(Collector):
    """How tables that lie in parts by time do; nothing on SQLite."""

    def __init__(self, facts: Sequence[PartFacts]) -> None:
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        """Yield a family for each figure."""
        for name, help_text in (
            ("parts", "Parts of a table."),
            ("ahead", "Parts that begin later than now."),
            ("missing", "Parts that should be there, for late readings and ahead; made hourly."),
            ("strays", "Rows of a time without a part, 10,000 at most; the upkeep makes it."),
        ):
            family = GaugeMetricFamily(f"suanwang_partition_{name}", help_text, labels=["table"])
            for each in self._facts:
                family.add_metric([each.table], float(getattr(each, name)))
            yield family


class _Prices(Collector):
    """The newest plan's prices of the first slot; nothing where this process does not schedule."""

    def __init__(self, board: PriceBoard | None) -> None:
        self._board = board

    def collect(self) -> Iterator[Metric]:
        """Yield a family with the parts of each pool's price."""
        if self._board is None:
            return
        family = GaugeMetricFamily(
            "suanwang_price_yuan_per_unit_hour",
            "What one more unit in use now would cost the plan, by part.",
            labels=["site", "pool", "part"],
        )
        for pool in self._board.pools:
            for part in ("energy", "power", "scarcity"):
                value = float(getattr(pool, part)[0])
                family.add_metric([pool.site_id, pool.pool_id, part], value)
        yield family


def summed_over_tenants(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    """Return the samples with the label ``tenant`` taken off and equal series added up."""
    sums: dict[tuple[str, tuple[tuple[str, str], ...]], Sample] = {}
    for sample in samples:
        labels = {name: value for name, value in sample.labels.items() if name != TENANT}
        key = (sample.name, tuple(sorted(labels.items())))
        former = sums[key].value if key in sums and TENANT in sample.labels else 0.0
        sums[key] = Sample(
            name=sample.name,
            help=sample.help,
            type=sample.type,
            value=former + sample.value,
            labels=labels,
        )
    return tuple(sums.values())


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus' text format"}},
)
def metrics(request: Request, context: Context) -> Response:
    """Return every metric of docs/metrics.md.

    Without a key money is summed over all tenants; the admin's key shows it by tenant.
    """
    is_by_tenant = bool(secret_of(request.headers))
    if is_by_tenant:
        identity_of(context, request, Right.AUDIT)
    with context.reading() as connection:
        samples = scheduler_metrics.metrics(connection, context.clock.now())
        alerts = _Families(alert_metrics.families(connection, context.clock.now()))
        parts = partitions.facts(connection, context.clock.now())
    registry = CollectorRegistry()
    registry.register(alerts)
    registry.register(_Parts(parts))
    registry.register(_Samples(samples if is_by_tenant else summed_over_tenants(samples)))
    standing = context.scheduling.desk.newest(context.clock.now())
    registry.register(_Prices(None if standing is None else standing.prices))
    if context.remote is not None:
        registry.register(RemoteMetrics(context.remote))
    return Response(
        generate_latest(registry)
        + generate_latest(context.http.registry)
        + generate_latest(context.ledger_metrics.registry)
        + generate_latest(context.alert_metrics.registry)
        + generate_latest(context.gate.registry),
        media_type=CONTENT_TYPE_LATEST,
    )
