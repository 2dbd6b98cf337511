"""Answers that a real API server (1.36) gave, replayed over HTTP to the real client."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.utils.quantity import parse_quantity

from collectors.config import build_source, parse_source
from collectors.kube_readings import Cluster, pod_requests, readings
from collectors.sources.port import Source, SourceError
from suanwang.clock import SystemClock

HERE = Path(__file__).parent
LINES = (HERE / "kubernetes_1_36.jsonl").read_text(encoding="utf-8").splitlines()
RECORDED: Mapping[str, dict[str, Any]] = {line["id"]: line for line in map(json.loads, LINES)}
NOW = datetime(2026, 11, 20, tzinfo=UTC)
QD = Cluster(name="qd", quantity=parse_quantity)

NODES = [
    *RECORDED["list-page-1"]["response"]["body"]["items"],
    *RECORDED["list-page-2"]["response"]["body"]["items"],
]
RUNNING = RECORDED["list-running"]["response"]["body"]["items"]
WAITING = RECORDED["unschedulable"]["response"]["body"]


@dataclass
class Server:
    """Gives answers in turn for each path, the last one again and again; keeps what was asked."""

    answers: dict[str, list[tuple[int, object]]]
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, dict(request.query)))
        self.tokens.append(request.headers.get("Authorization"))
        left = self.answers[request.path]
        status, body = left.pop(0) if len(left) > 1 else left[0]
        return web.json_response(body, status=status)


def recorded(name: str) -> tuple[int, object]:
    """Return status and body of a recorded answer."""
    answer = RECORDED[name]["response"]
    return answer["status"], answer["body"]


@asynccontextmanager
async def a_cluster(
    folder: Path, nodes: list[tuple[int, object]], pods: list[tuple[int, object]]
) -> AsyncIterator[tuple[Source, Server]]:
    """Run an API server that gives these answers; yield a source with a kubeconfig for it."""
    server = Server({"/api/v1/nodes": nodes, "/api/v1/pods": pods})
    app = web.Application()
    app.router.add_get("/{path:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # asyncio's
    source = build_source(
        parse_source(
            {
                "kind": "kubernetes",
                "name": "k",
                "cluster": "qd",
                "kubeconfig": str(a_kubeconfig(folder, f"http://127.0.0.1:{port}")),
                "timeout_s": 5,
            }
        ),
        SystemClock(),
    )
    try:
        yield source, server
    finally:
        await source.close()
        await source.close()
        await runner.cleanup()


def a_kubeconfig(folder: Path, url: str) -> Path:
    path = folder / "kubeconfig"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "t0ken"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def values(found: object) -> dict[tuple[str, str], float]:
    return {(each.subject, each.metric): each.value for each in found}  # type: ignore[attr-defined]


async def test_pages_are_joined_and_pods_that_ended_are_not_asked_for(tmp_path: Path) -> None:
    pages = [recorded("list-page-1"), recorded("list-page-2")]
    pages[1][1]["metadata"].pop("continue", None)  # type: ignore[index]  # the two are all
    async with a_cluster(tmp_path, pages, [recorded("list-running")]) as (source, server):
        told = values(await source.collect())
    assert told[("k8s:qd", "nodes_ready")] == len(NODES)
    assert told[("k8sunits:qd:gpu-0:nvidia.com/gpu", "units_free")] == 4
    token = RECORDED["list-page-1"]["response"]["body"]["metadata"]["continue"]
    assert server.asked == [
        ("/api/v1/nodes", {"limit": "500"}),
        ("/api/v1/nodes", {"limit": "500", "continue": token}),
        (
            "/api/v1/pods",
            {"limit": "500", "fieldSelector": "status.phase!=Succeeded,status.phase!=Failed"},
        ),
    ]
    assert set(server.tokens) == {"Bearer t0ken"}


async def test_a_list_that_expired_between_two_pages_is_begun_anew(tmp_path: Path) -> None:
    nodes = [recorded("list-page-1"), recorded("continue-410"), recorded("list-cache")]
    async with a_cluster(tmp_path, nodes, [recorded("list-running")]) as (source, server):
        told = values(await source.collect())
    assert told[("k8s:qd", "nodes_ready")] == len(recorded("list-cache")[1]["items"])  # type: ignore[index]
    assert [query.get("continue") is None for _, query in server.asked[:3]] == [True, False, True]


async def test_a_list_that_expires_twice_is_told(tmp_path: Path) -> None:
    async with a_cluster(tmp_path, [recorded("continue-410")], []) as (source, _):
        with pytest.raises(SourceError, match="cluster qd forgets its list of nodes"):
            await source.collect()


@pytest.mark.parametrize(
    ("name", "words", "step"),
    [
        ("forbidden-before-role", r"status 403: nodes is forbidden.*cannot list", "ClusterRole"),
        ("invalid-token", "status 401: Unauthorized", "expired"),
    ],
)
async def test_a_refusal_is_told_in_the_servers_words_with_a_next_step(
    tmp_path: Path, name: str, words: str, step: str
) -> None:
    async with a_cluster(tmp_path, [recorded(name)], []) as (source, _):
        with pytest.raises(SourceError, match=words) as caught:
            await source.collect()
    assert step in caught.value.next_step


async def test_after_a_refused_token_the_kubeconfig_is_read_anew(tmp_path: Path) -> None:
    nodes = [recorded("invalid-token"), recorded("list-cache")]
    async with a_cluster(tmp_path, nodes, [recorded("list-running")]) as (source, server):
        with pytest.raises(SourceError):
            await source.collect()
        path = tmp_path / "kubeconfig"
        path.write_text(path.read_text("utf-8").replace("t0ken", "newer"), encoding="utf-8")
        await source.collect()
    assert server.tokens == ["Bearer t0ken", "Bearer newer", "Bearer newer"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param((200, {"kind": "NodeList"}), "without items", id="no items"),
        pytest.param((503, {}), "status 503", id="down"),
    ],
)
async def test_answers_that_are_no_list_are_told(
    tmp_path: Path, answer: tuple[int, object], words: str
) -> None:
    async with a_cluster(tmp_path, [answer], []) as (source, _):
        with pytest.raises(SourceError, match=words):
            await source.collect()


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda path: path.unlink(), id="missing"),
        pytest.param(lambda path: path.write_text("{", encoding="utf-8"), id="no yaml"),
        pytest.param(lambda path: path.write_text("a: 1", encoding="utf-8"), id="no kubeconfig"),
    ],
)
async def test_a_bad_kubeconfig_is_told(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    async with a_cluster(tmp_path, [], []) as (source, _):
        spoil(tmp_path / "kubeconfig")
        with pytest.raises(SourceError, match="cluster qd cannot be reached") as caught:
            await source.collect()
    assert "kubeconfig" in caught.value.next_step


async def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    async with a_cluster(tmp_path, [], []) as (source, _):
        a_kubeconfig(tmp_path, "http://127.0.0.1:9")
        with pytest.raises(SourceError, match="cannot be reached"):
            await source.collect()


async def test_outside_a_cluster_a_kubeconfig_is_needed() -> None:
    raw = {"kind": "kubernetes", "name": "k", "cluster": "qd"}
    source = build_source(parse_source(raw), SystemClock())
    with pytest.raises(SourceError, match="without a good kubeconfig"):
        await source.collect()


def test_units_of_a_node_are_those_of_its_pods_and_what_is_left() -> None:
    told = values(readings(QD, NODES, [*RUNNING, WAITING], NOW))
    node = "k8sunits:qd:gpu-0:nvidia.com/gpu"
    names = ("units_installed", "units_total", "units_used", "units_free")
    assert [told[(node, name)] for name in names] == [8, 8, 4, 4]
    assert told[("k8snode:qd:gpu-0", "cpus_used")] == 8
    assert told[("k8snode:qd:gpu-0", "cpus_total")] == 191.5
    assert told[("k8snode:qd:gpu-0", "schedulable_memory_bytes_used")] == 64 * 2**30
    assert told[("k8sunits:qd:asc-0:huawei.com/Ascend910", "units_free")] == 8
    assert told[("k8s:qd", "pods_pending")] == 1
    assert told[("k8s:qd", "pods_running")] == 1


def test_a_lost_chip_and_a_cordon_show() -> None:
    node = RECORDED["gpu-lost"]["response"]["body"]
    told = values(readings(QD, [node], [], NOW))
    units = "k8sunits:qd:gpu-1:nvidia.com/gpu"
    assert told[(units, "units_installed")] == 8
    assert told[(units, "units_total")] == 7
    assert told[(units, "units_free")] == 0
    assert told[("k8s:qd", "nodes_cordoned")] == 1
    assert told[("k8snode:qd:gpu-1", "schedulable_ratio")] == 0


def a_node(**spec: object) -> dict[str, object]:
    return {
        "metadata": {"name": "n"},
        "spec": spec,
        "status": {
            "capacity": {"nvidia.com/gpu": "8", "nvidia.com/mig-1g.18gb": "7", "cpu": "96"},
            "allocatable": {"nvidia.com/gpu": "8", "nvidia.com/mig-1g.18gb": "7", "cpu": "96"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


@pytest.mark.parametrize(
    ("key", "free"),
    [("node.kubernetes.io/not-ready", 0), ("nvidia.com/gpu", 8)],
)
def test_a_taint_of_trouble_closes_a_node_and_one_of_use_does_not(key: str, free: int) -> None:
    node = a_node(taints=[{"key": key, "effect": "NoSchedule"}])
    told = values(readings(QD, [node], [], NOW))
    assert told[("k8sunits:qd:n:nvidia.com/gpu", "units_free")] == free


def test_slices_of_mig_are_not_added_to_gpus() -> None:
    told = values(readings(QD, [a_node(), a_node()], [], NOW))
    assert told[("k8sunits:qd::nvidia.com/gpu", "units_total")] == 16
    assert told[("k8sunits:qd::nvidia.com/mig-1g.18gb", "units_total")] == 14


def test_a_resource_that_the_operator_names_counts_too() -> None:
    node = a_node()
    node["status"]["capacity"]["acme.cn/xpu-a"] = "4"  # type: ignore[index]
    told = values(readings(QD, [node], [], NOW))
    assert ("k8sunits:qd:n:acme.cn/xpu-a", "units_installed") not in told
    named = Cluster(name="qd", quantity=parse_quantity, resources=("acme.cn/*",))
    told = values(readings(named, [node], [], NOW))
    assert told[("k8sunits:qd:n:acme.cn/xpu-a", "units_installed")] == 4


def asks(cpu: str, *, always: bool = False) -> dict[str, object]:
    container: dict[str, object] = {"resources": {"requests": {"cpu": cpu}}}
    return container | ({"restartPolicy": "Always"} if always else {})


@pytest.mark.parametrize(
    ("spec", "cpus"),
    [
        pytest.param({"containers": [asks("1"), asks("500m")]}, 1.5, id="containers"),
        pytest.param({"containers": [asks("1")], "initContainers": [asks("3")]}, 3, id="init"),
        pytest.param(
            {"containers": [asks("2")], "initContainers": [asks("1", always=True)]}, 3, id="sidecar"
        ),
        pytest.param(
            {
                "containers": [asks("1")],
                "initContainers": [asks("1", always=True), asks("4"), asks("1", always=True)],
            },
            5,
            id="init beside the sidecar before it",
        ),
        pytest.param(
            {"containers": [asks("1")], "resources": {"requests": {"cpu": "6"}}}, 6, id="whole pod"
        ),
        pytest.param({"containers": [asks("1")], "overhead": {"cpu": "250m"}}, 1.25, id="overhead"),
        pytest.param({"containers": [{"resources": {"limits": {"cpu": "2"}}}]}, 2, id="limit only"),
    ],
)
def test_requests_of_a_pod_are_counted_as_the_scheduler_does(
    spec: dict[str, object], cpus: float
) -> None:
    assert pod_requests(QD, {"spec": spec}) == {"cpu": cpus}


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["metadata", "name", "spec", "status", "taints", "capacity", "containers"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(nodes=st.lists(JSON, max_size=3), pods=st.lists(JSON, max_size=3))
def test_nonsense_gives_no_nonsense(nodes: list[object], pods: list[object]) -> None:
    for each in readings(QD, nodes, pods, NOW):
        assert each.value >= 0


@pytest.mark.parametrize("text", ["NaN", "-1", "1e99999", "x", None, 3, True])
def test_a_quantity_that_is_none_is_left_out(text: object) -> None:
    amounts = QD.amounts({"cpu": text})
    assert amounts in ({}, {"cpu": 3.0}, {"cpu": 1.0})
