"""Prometheus' page: the network, the queue, the money, and the API's own requests."""

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from api.context import Context
from scheduler import metrics as scheduler_metrics

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus' text format"}},
)
def metrics(context: Context) -> Response:
    """Return every metric of docs/metrics.md. Only sums: no tenant and no job is named."""
    with context.reading() as connection:
        network = scheduler_metrics.metrics(connection, context.clock.now())
    return Response(
        generate_latest(network) + generate_latest(context.http.registry),
        media_type=CONTENT_TYPE_LATEST,
    )
