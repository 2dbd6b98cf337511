"""Ray's documents, whole, early and as nonsense; a real cluster is in the agent's tests."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from collectors import ray_readings
from collectors.config import build_source, parse_source
from collectors.sources.port import Source, SourceError
from suanwang.clock import SystemClock
from suanwang.errors import BadInput

NOW = datetime(2026, 10, 14, tzinfo=UTC)
GIB = 2**30


def a_status(usage: object, **more: object) -> dict[str, object]:
    """Return a status of the cluster."""
    report = {"usage": usage} | more
    return {"data": {"clusterStatus": {"loadMetricsReport": report}}}


STATUS = a_status(
    {"CPU": [3.5, 8.0], "GPU": [2, 4], "memory": [GIB, 4 * GIB], "objectStoreMemory": [1, 2]},
    usageByNode={"n1": {"CPU": [3.5, 8.0]}},
    resourceDemand=[[{"CPU": 1}, 3], [{"GPU": 8}, 2]],
)
NODES = {"data": {"result": {"result": [{"state": "ALIVE"}, {"state": "DEAD"}]}}}


@asynccontextmanager
async def a_dashboard(status: web.Response, nodes: web.Response) -> AsyncIterator[Source]:
    """Run a dashboard that gives these answers; yield a source for it."""
    answers: Mapping[str, web.Response] = {
        "/api/cluster_status": status,
        "/api/v0/nodes": nodes,
    }

    async def answer(request: web.Request) -> web.Response:
        return answers[request.path]

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # asyncio's
    raw = {"kind": "ray", "name": "r", "url": f"http://127.0.0.1:{port}/", "cluster": "c1"}
    source = build_source(parse_source(raw), SystemClock())
    try:
        yield source
    finally:
        await source.close()
        await runner.cleanup()


async def test_resources_nodes_and_what_waits_are_told() -> None:
    async with a_dashboard(web.json_response(STATUS), web.json_response(NODES)) as source:
        readings = await source.collect()
    assert {(each.subject, each.metric): each.value for each in readings} == {
        ("ray:c1", "cpus_used"): 3.5,
        ("ray:c1", "cpus_total"): 8,
        ("ray:c1", "gpus_used"): 2,
        ("ray:c1", "gpus_total"): 4,
        ("ray:c1", "schedulable_memory_bytes_used"): GIB,
        ("ray:c1", "schedulable_memory_bytes_total"): 4 * GIB,
        ("ray:c1", "object_store_bytes_used"): 1,
        ("ray:c1", "object_store_bytes_total"): 2,
        ("raynode:c1:n1", "cpus_used"): 3.5,
        ("raynode:c1:n1", "cpus_total"): 8,
        ("ray:c1", "demands_pending"): 5,
        ("ray:c1", "nodes_alive"): 1,
        ("ray:c1", "nodes_dead"): 1,
    }


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(web.json_response(a_status({})), "does not know its resources", id="young"),
        pytest.param(web.Response(status=500), "answered 500", id="500"),
        pytest.param(web.Response(status=403), "refuses the token", id="403"),
        pytest.param(web.Response(text="{"), "1 bytes that are not JSON", id="truncated"),
        pytest.param(web.Response(body=b"x" * (17 << 20)), "sends more than", id="huge"),
    ],
)
async def test_what_is_no_answer_is_told(answer: web.Response, words: str) -> None:
    async with a_dashboard(answer, web.json_response(NODES)) as source:
        with pytest.raises(SourceError, match=words):
            await source.collect()


async def test_a_dashboard_that_is_away_is_told() -> None:
    raw = {"kind": "ray", "name": "r", "url": "http://127.0.0.1:1", "cluster": "c1"}
    source = build_source(parse_source(raw), SystemClock())
    with pytest.raises(SourceError, match="cannot be read"):
        await source.collect()
    await source.close()


def test_a_token_in_the_url_is_refused() -> None:
    raw = {"kind": "ray", "name": "r", "url": "http://a:b@h", "cluster": "c1"}
    with pytest.raises(BadInput, match="url"):
        parse_source(raw)


JUNK = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["CPU", "GPU", "state", "n1"]), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(JUNK, JUNK, JUNK)
def test_any_document_gives_finite_readings_or_is_told(
    usage: object, by_node: object, rows: object
) -> None:
    status = a_status(usage, usageByNode=by_node, resourceDemand=rows)
    try:
        readings = [*ray_readings.cluster(status, "c1", NOW)]
    except ray_readings.NotYet:
        readings = []
    readings += ray_readings.nodes({"data": {"result": {"result": rows}}}, "c1", NOW)
    for each in readings:
        assert each.metric in ray_readings.METRICS
        assert abs(each.value) < float("inf")
