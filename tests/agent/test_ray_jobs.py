"""What is special about Ray, on real clusters."""

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from agent_builders import NoPackages, a_start
from agent_ray import running_cluster

from agent import fence
from agent.book import AttemptBook
from agent.executors.port import FenceResult, HealthState, RunSpec, RunState, RunStatus
from agent.executors.ray_jobs import RayJobsConfig, RayJobsExecutor
from agent.ray_cluster import RayCluster
from agent.record import Rules
from agent.runner import Runner
from agent.spool import Spool
from suanwang.clock import SystemClock
from suanwang.wire.agent import AttemptReport

pytestmark = pytest.mark.ray


@pytest.fixture
async def executor(ray_cluster: RayCluster) -> AsyncIterator[RayJobsExecutor]:
    """An executor of the session's cluster."""
    config = RayJobsConfig(address=ray_cluster.address, token=ray_cluster.token)
    made = RayJobsExecutor(config, SystemClock())
    await made.health()
    yield made
    await made.close()


def a_spec(run_id: str, entrypoint: str, **changes: object) -> RunSpec:
    """Return a run without needs."""
    fields: dict[str, object] = {"runtime_env": {}, "metadata": {}, "num_cpus": 0.1, **changes}
    return RunSpec(id=run_id, entrypoint=entrypoint, **fields)  # type: ignore[arg-type]  # a builder


async def until(executor: RayJobsExecutor, run_id: str, *states: RunState) -> RunStatus:
    """Poll until the run is in one of the states."""
    for _ in range(200):
        status = await executor.get(run_id)
        if status.state in states:
            return status
        await asyncio.sleep(0.25)
    raise AssertionError(f"{status}")


async def test_a_working_dir_arrives_under_a_name_made_from_its_bytes(
    executor: RayJobsExecutor, tmp_path: Path
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("train.py", "import os; print('trained by', os.environ['WHO'])\n")
    path = tmp_path / "package"
    path.write_bytes(packed.getvalue())
    claimed = "gcs://_ray_pkg_0123456789abcdef.zip"
    spec = a_spec(
        "packaged-a1",
        "python train.py",
        runtime_env={"working_dir": claimed, "env_vars": {"WHO": "nobody"}},
        packages={claimed: path},
    )
    await executor.submit(spec)
    status = await until(executor, spec.id, RunState.SUCCEEDED, RunState.FAILED)
    text = await executor.logs(spec.id, 0)
    assert status.state is RunState.SUCCEEDED, text
    assert "trained by nobody" in text


async def test_the_window_is_the_execution_and_not_the_wait(
    executor: RayJobsExecutor, tmp_path: Path
) -> None:
    """A run that waits for a resource is not billed for it: the programs write down the truth."""
    begin_end = "date +%s.%N > {0}.begin; sleep 2; date +%s.%N > {0}.end"
    for name in ("first", "second"):
        entrypoint = begin_end.format(tmp_path / name)
        await executor.submit(a_spec(f"window-{name}-a1", entrypoint, num_gpus=2))
    windows = []
    for name in ("first", "second"):
        status = await until(executor, f"window-{name}-a1", RunState.SUCCEEDED)
        began, ended = (
            datetime.fromtimestamp(float((tmp_path / f"{name}.{end}").read_text()), UTC)
            for end in ("begin", "end")
        )
        assert status.started_at is not None
        assert status.ended_at is not None
        assert status.started_at <= began < ended <= status.ended_at
        windows.append((status.started_at, status.ended_at))
    (_, first_ended), (second_started, _) = sorted(windows)
    assert first_ended <= second_started


async def test_a_run_has_its_grace_to_write_a_checkpoint(
    executor: RayJobsExecutor, tmp_path: Path
) -> None:
    entrypoint = (
        f"trap 'sleep 4; touch {tmp_path}/checkpoint; exit 0' TERM; echo ready;"
        " for i in $(seq 600); do sleep 0.1; done"
    )
    await executor.submit(a_spec("grace-a1", entrypoint, stop_grace_s=20))
    for _ in range(100):
        if "ready" in (await executor.logs("grace-a1", 0)).splitlines():
            break
        await asyncio.sleep(0.1)
    await executor.stop("grace-a1")
    assert (await until(executor, "grace-a1", RunState.STOPPED)).state is RunState.STOPPED
    assert (tmp_path / "checkpoint").exists()


async def test_output_that_is_not_utf8_is_still_there(executor: RayJobsExecutor) -> None:
    await executor.submit(a_spec("binary-a1", r"printf 'good \377 bad\n'"))
    await until(executor, "binary-a1", RunState.SUCCEEDED)
    assert "good \ufffd bad" in await executor.logs("binary-a1", 0)


async def test_a_wrong_token_is_a_degraded_executor(ray_cluster: RayCluster) -> None:
    executor = RayJobsExecutor(
        RayJobsConfig(address=ray_cluster.address, token="not-the-token"), SystemClock()
    )
    health = await executor.health()
    assert health.state is HealthState.DEGRADED
    assert "not-the-token" not in health.message
    await executor.close()


async def test_a_fence_finds_the_actors_and_their_children(executor: RayJobsExecutor) -> None:
    program = (
        "import ray, subprocess, time; ray.init(log_to_driver=False);\n"
        "@ray.remote(num_cpus=0.1)\n"
        "class A:\n"
        "    def go(self): self.c = subprocess.Popen(['sleep', '600']); return self.c.pid\n"
        "a = A.remote(); print('child', ray.get(a.go.remote()), flush=True); time.sleep(600)\n"
    )
    await executor.submit(a_spec("actors-a1", f'python -c "{program}"'))
    for _ in range(200):
        text = await executor.logs("actors-a1", 0)
        if "child " in text.replace("('child'", ""):
            break
        await asyncio.sleep(0.2)
    assert len(fence.scan(fence.marker("actors-a1")).marked) >= 5
    assert await executor.fence("actors-a1") is FenceResult.FENCED
    assert fence.scan(fence.marker("actors-a1")).is_clean
    assert (await executor.get("actors-a1")).state.is_final


async def test_a_dead_head_leads_to_unknown_and_a_fence_to_proof(tmp_path: Path) -> None:
    """A job's background process outlives the head of its cluster: only the fence ends it."""
    clock = SystemClock()
    with running_cluster("agent-crash", "127.0.0.62", cpus=2, gpus=0) as cluster:
        config = RayJobsConfig(
            address=cluster.address, token=cluster.token, memory_file=tmp_path / "executor.json"
        )
        spool = Spool(tmp_path, clock)
        async with closing(RayJobsExecutor(config, clock)) as executor:
            rules = Rules(unknown_after_s=3.0, fence_after_s=5.0)
            book = AttemptBook(spool, clock)
            runner = Runner(executor, book, NoPackages(), clock, rules)
            lease = clock.now().replace(year=2100)
            beat = f"while true; do date +%s.%N >> {tmp_path}/beat; sleep 0.2; done"
            entrypoint = f"setsid sh -c '{beat}' & sleep 600"
            runner.take([a_start(entrypoint, executor_id="crash-a1", lease_expires_at=lease)])
            await _rounds_until(runner, spool, "running")
            cluster.kill_head()
            await _rounds_until(runner, spool, "unknown")
            assert fence.scan(fence.marker("crash-a1")).marked
            report = await _rounds_until(runner, spool, "fenced")
        assert fence.scan(fence.marker("crash-a1")).is_clean
        last_beat = float((tmp_path / "beat").read_text().split()[-1])
        assert last_beat <= report.at.timestamp()
        async with closing(RayJobsExecutor(config, clock)) as again:
            assert await again.fence("crash-a1") is FenceResult.FENCED
        spool.close()


@asynccontextmanager
async def closing(executor: RayJobsExecutor) -> AsyncIterator[RayJobsExecutor]:
    """Close an executor, also where a test fails."""
    try:
        yield executor
    finally:
        await executor.close()


async def _rounds_until(runner: Runner, spool: Spool, state: str) -> AttemptReport:
    """Do rounds until a state is reported; return that report."""
    for _ in range(240):
        await runner.round()
        for stored in spool.reports(100):
            if stored.report.state == state:
                return stored.report
        while (piece := spool.next_piece()) is not None:
            spool.output_taken(piece.attempt_id, piece.start + len(piece.text))
        await asyncio.sleep(0.25)
    raise AssertionError(f"never {state}: {[one.report for one in spool.reports(100)]}")
