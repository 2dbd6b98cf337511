"""Prometheus text over real HTTP, and the filter that reads only what is wanted."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from collectors.config import build_source, parse_source
from collectors.prometheus_text import Sample, WantedNames
from collectors.sources.port import Source, SourceError
from suanwang.clock import SystemClock

HERE = Path(__file__).parent
NODE = (HERE / "node_exporter.txt").read_text(encoding="utf-8")
DCGM = (HERE / "dcgm_exporter.txt").read_text(encoding="utf-8")
NPU = (HERE / "npu_exporter.txt").read_text(encoding="utf-8")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """Run an HTTP server for the test; yield its URL."""
    app = web.Application()
    app.router.add_get("/metrics", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # asyncio's
        yield f"http://127.0.0.1:{port}/metrics"
    finally:
        await runner.cleanup()


def telling(text: str) -> Handler:
    """Return a handler that answers a text."""

    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(text=text)

    return handler


def a_source(url: str, **settings: object) -> Source:
    """Return a source for an endpoint."""
    raw = {"kind": "prometheus", "name": "p", "url": url, "host": "gpu-07", "timeout_s": 2}
    return build_source(parse_source(raw | settings), SystemClock())


async def read(source: Source) -> dict[tuple[str, str], float]:
    """Poll once and close; return values by subject and metric."""
    try:
        return {(r.subject, r.metric): r.value for r in await source.collect()}
    finally:
        await source.close()


async def test_a_node_exporter_is_read_by_its_preset() -> None:
    async with serving(telling(NODE)) as url:
        found = await read(a_source(url, preset="node"))
    assert found == {
        ("host:gpu-07", "load_1m"): 0.42,
        ("host:gpu-07", "memory_total_bytes"): 540_000_000_000,
        ("host:gpu-07", "memory_available_bytes"): 270_000_000_000,
        ("host:gpu-07", "cpu_idle_s_total"): 300.5,
        ("disk:gpu-07:/", "disk_total_bytes"): 1e12,
        ("disk:gpu-07:/", "disk_free_bytes"): 4e11,
    }


async def test_a_gpu_cut_into_instances_counts_its_energy_once() -> None:
    async with serving(telling(DCGM)) as url:
        found = await read(a_source(url, preset="dcgm"))
    assert found["gpu:GPU-aaa", "energy_wh"] == pytest.approx(1_000)
    assert found["gpu:GPU-bbb", "energy_wh"] == pytest.approx(2_500)
    assert found["gpu:GPU-aaa", "utilisation_ratio"] == pytest.approx(0.97)
    assert found["gpu:GPU-aaa", "memory_used_bytes"] == 1024 * 1_048_576
    assert found["gpu:GPU-bbb", "power_w"] == pytest.approx(391.2)
    assert len([key for key in found if key[1] == "energy_wh"]) == 2


async def test_npu_readings_carry_their_card() -> None:
    async with serving(telling(NPU)) as url:
        source = a_source(url, preset="npu")
        try:
            readings = await source.collect()
        finally:
            await source.close()
    power = next(r for r in readings if r.metric == "power_w")
    assert (power.subject, power.value, power.labels) == (
        "npu:VD-1",
        93.5,
        {"id": "0", "model_name": "910B3"},
    )


async def test_own_rules_choose_scale_and_subject() -> None:
    text = 'pdu_power{outlet="7",phase="a"} 1.5\npdu_power{outlet="8",phase="b"} 2\n'
    rule = {
        "name": "pdu_power",
        "metric": "power_w",
        "subject": "meter:rack-{outlet}",
        "scale": 1000,
        "where": {"phase": "a"},
    }
    async with serving(telling(text)) as url:
        found = await read(a_source(url, metrics=[rule]))
    assert found == {("meter:rack-7", "power_w"): 1500}


async def test_a_text_without_anything_wanted_is_an_error() -> None:
    async with serving(telling("<html>login</html>")) as url:
        with pytest.raises(SourceError, match="without one of") as caught:
            await read(a_source(url, preset="node"))
    assert "check the URL" in caught.value.next_step


async def test_an_endless_text_is_cut_off() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        try:
            for _ in range(10_000):
                await answer.write(b"node_load1 1\n" * 1000)
        except ConnectionError:
            pass
        return answer

    async with serving(endless) as url:
        with pytest.raises(SourceError, match="sends more than 100000 bytes"):
            await read(a_source(url, preset="node", bytes_max=100_000))


async def test_another_status_is_an_error_and_a_token_opens_the_door(tmp_path: Path) -> None:
    async def guarded(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != "Bearer t0ken":
            return web.Response(status=401)
        return web.Response(text="node_load1 3\n")

    token = tmp_path / "token"
    token.write_text("t0ken\n", encoding="utf-8")
    async with serving(guarded) as url:
        with pytest.raises(SourceError, match="401 Unauthorized"):
            await read(a_source(url, preset="node"))
        found = await read(a_source(url, preset="node", token_file=str(token)))
        with pytest.raises(SourceError, match="No such file"):
            await read(a_source(url, preset="node", token_file=str(tmp_path / "none")))
    assert found == {("host:gpu-07", "load_1m"): 3}


async def test_a_slow_endpoint_and_a_missing_one_are_errors() -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"node_load1 1\n")
        await asyncio.Event().wait()
        return answer

    async with serving(slow) as url:
        with pytest.raises(SourceError, match=r"did not answer within 0.1 s"):
            await read(a_source(url, preset="node", timeout_s=0.1))
    with pytest.raises(SourceError, match="cannot be read"):
        await read(a_source("http://127.0.0.1:1/metrics", preset="node"))


@pytest.mark.parametrize(
    "line",
    [
        "node_load1",
        "node_load1 x",
        "node_load1 NaN",
        "node_load1 +Inf",
        "node_load1 1e999",
        "node_load1 1_000",
        "node_load1 1 2 3",
        'node_load1{a="b} 1',
        'node_load1{a="b"c="d"} 1',
        "node_load1{a=b} 1",
        "node_load15 1",
        "# node_load1 1",
        " node_load1 1",
        "node_load1 １",  # noqa: RUF001 - a full-width digit is what this is about
    ],
)
def test_garbage_is_never_a_sample(line: str) -> None:
    assert list(WantedNames(["node_load1"]).samples(f"{line}\n")) == []


@pytest.mark.parametrize(
    ("line", "sample"),
    [
        ("a 1", Sample("a", {}, 1)),
        ("a{} -1.5e3 1700000000000", Sample("a", {}, -1500)),
        ('a{b="c",d="e",} .5\r', Sample("a", {"b": "c", "d": "e"}, 0.5)),
        (r'a{ b = "x\"y\\z\n{}," } 2', Sample("a", {"b": 'x"y\\z\n{},'}, 2)),
        ('a{b="机柜"} 3', Sample("a", {"b": "机柜"}, 3)),
    ],
)
def test_every_way_of_writing_a_sample_is_read(line: str, sample: Sample) -> None:
    assert list(WantedNames(["a", "ab"]).samples(line)) == [sample]


@given(st.text(alphabet='a{}=",\\ \n1.eE+-#b\t', max_size=60))
def test_no_text_breaks_the_filter(text: str) -> None:
    for sample in WantedNames(["a", "b"]).samples(text):
        assert sample.name in ("a", "b")


@pytest.mark.skipif(
    shutil.which("prometheus-node-exporter") is None and shutil.which("node_exporter") is None,
    reason="no node-exporter on PATH",
)
async def test_a_real_node_exporter_is_read() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = shutil.which("prometheus-node-exporter") or shutil.which("node_exporter")
    assert command is not None
    exporter = await asyncio.create_subprocess_exec(
        command, f"--web.listen-address=127.0.0.1:{port}", stderr=asyncio.subprocess.DEVNULL
    )
    try:
        found = await _when_up(f"http://127.0.0.1:{port}/metrics")
    finally:
        exporter.terminate()
        await exporter.wait()
    assert found["host:gpu-07", "memory_total_bytes"] > 1e6


async def _when_up(url: str) -> dict[tuple[str, str], float]:
    clock = SystemClock()
    for _ in range(300):
        try:
            return await read(a_source(url, preset="node"))
        except SourceError:
            await clock.wait(0.1)
    raise AssertionError("node-exporter did not come up within 30 s")
