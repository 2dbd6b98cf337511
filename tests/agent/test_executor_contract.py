"""What every executor does, run on the fake (virtual clock) and on a real Ray cluster."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from agent.executors.fake import FakeExecutor
from agent.executors.port import (
    Capacity,
    Executor,
    ExecutorError,
    FenceResult,
    HealthState,
    RefusedRun,
    RunSpec,
    RunState,
    RunStatus,
    UnknownRun,
)
from agent.executors.ray_jobs import RayJobsConfig, RayJobsExecutor
from suanwang.clock import Clock, SystemClock, VirtualClock


@dataclass
class Bench:
    """An executor and its clock; ids are unique within the test session."""

    executor: Executor
    clock: Clock
    test: str

    def spec(self, entrypoint: str, **changes: object) -> RunSpec:
        """Return a run with an id of this test's own."""
        fields: dict[str, object] = {
            "id": f"{self.test}-a1",
            "entrypoint": entrypoint,
            "runtime_env": {},
            "metadata": {"job": self.test},
            "num_cpus": 0.5,
        }
        return RunSpec(**{**fields, **changes})  # type: ignore[arg-type]  # a builder

    async def until(self, run_id: str, *states: RunState, timeout_s: float = 60.0) -> RunStatus:
        """Poll until the run is in one of the states."""
        deadline = self.clock.monotonic() + timeout_s
        while self.clock.monotonic() < deadline:
            status = await self.executor.get(run_id)
            if status.state in states:
                return status
            await self.clock.wait(0.25)
        raise AssertionError(f"{run_id} is {status}, not one of {states}")

    async def until_final(self, run_id: str) -> RunStatus:
        """Poll until the run has ended."""
        return await self.until(run_id, RunState.SUCCEEDED, RunState.FAILED, RunState.STOPPED)

    async def known_capacity(self) -> Capacity:
        """Return the capacity; a young system needs a moment to know it."""
        for _ in range(80):
            try:
                return await self.executor.capacity()
            except ExecutorError:
                await self.clock.wait(0.25)
        raise AssertionError("the system never knew its capacity")

    async def until_printed(self, run_id: str, text: str) -> None:
        """Poll until the run's output holds the text."""
        for _ in range(100):
            if text in await self.executor.logs(run_id, 0):
                return
            await self.clock.wait(0.2)
        raise AssertionError(f"{run_id} did not print {text}")


@pytest.fixture(params=["fake", pytest.param("ray", marks=pytest.mark.ray)])
async def bench(request: pytest.FixtureRequest, clock: VirtualClock) -> AsyncIterator[Bench]:
    """Each executor in turn."""
    test = request.node.originalname.removeprefix("test_")[:80]
    executor: Executor
    if request.param == "fake":
        executor, its_clock = FakeExecutor(clock, gpus=2), clock
        yield Bench(executor, its_clock, test)
    else:
        cluster = request.getfixturevalue("ray_cluster")
        config = RayJobsConfig(address=cluster.address, token=cluster.token)
        executor = RayJobsExecutor(config, SystemClock())
        yield Bench(executor, SystemClock(), test)
    await executor.close()


async def test_a_living_system_is_up_and_names_its_session(bench: Bench) -> None:
    health = await bench.executor.health()
    assert health.state is HealthState.UP
    assert health.session
    assert health.version


async def test_capacity_is_what_the_system_has(bench: Bench) -> None:
    capacity = await bench.known_capacity()
    assert capacity.total["cpu"] >= 4
    assert capacity.total["gpu"] == 2


async def test_nodes_name_the_runs_on_them_and_forget_those_that_ended(bench: Bench) -> None:
    spec = bench.spec("sleep 300", num_cpus=1.0, num_gpus=1.0)
    await bench.executor.submit(spec)
    await bench.until(spec.id, RunState.RUNNING)
    nodes = await bench.executor.nodes()
    assert sum(node.cpus for node in nodes) >= 4
    assert sum(node.gpus for node in nodes) == 2
    (used,) = [node.used[spec.id] for node in nodes if spec.id in node.used]
    assert (used.cpus, used.gpus) == (1.0, 1.0)
    await bench.executor.stop(spec.id)
    await bench.until_final(spec.id)
    for _ in range(80):
        if not any(spec.id in node.used for node in await bench.executor.nodes()):
            return
        await bench.clock.wait(0.25)
    raise AssertionError("the ended run still sits on a node")


async def test_a_run_succeeds_and_leaves_its_output_and_window(bench: Bench) -> None:
    spec = bench.spec("echo first; sleep 2; echo second")
    await bench.executor.submit(spec)
    status = await bench.until_final(spec.id)
    assert status.state is RunState.SUCCEEDED
    assert status.exit_code == 0
    assert status.window_source == "supervisor"
    assert status.started_at is not None
    assert status.ended_at is not None
    assert 1.9 <= (status.ended_at - status.started_at).total_seconds() <= 15.0
    text = await bench.executor.logs(spec.id, 0)
    assert "first" in text
    assert "second" in text
    assert await bench.executor.logs(spec.id, 5) == text[5:]
    assert await bench.executor.logs(spec.id, len(text)) == ""


async def test_a_program_that_fails_is_its_owners_failure(bench: Bench) -> None:
    spec = bench.spec("echo oh; exit 3")
    await bench.executor.submit(spec)
    status = await bench.until_final(spec.id)
    assert status.state is RunState.FAILED
    assert status.exit_code == 3
    assert not status.is_infrastructure


async def test_equal_submissions_are_one_run(bench: Bench) -> None:
    spec = bench.spec("echo once; sleep 1")
    await asyncio.gather(*(bench.executor.submit(spec) for _ in range(4)))
    await bench.until_final(spec.id)
    await bench.executor.submit(spec)
    assert (await bench.executor.logs(spec.id, 0)).count("once\n") == 1


async def test_another_program_under_a_known_id_is_refused(bench: Bench) -> None:
    await bench.executor.submit(bench.spec("echo mine"))
    with pytest.raises(RefusedRun):
        await bench.executor.submit(bench.spec("echo yours"))
    await bench.until_final(bench.spec("").id)


async def test_a_stopped_run_ends_as_stopped_within_its_grace(bench: Bench) -> None:
    spec = bench.spec("trap '' TERM; echo ready; sleep 60", stop_grace_s=2)
    await bench.executor.submit(spec)
    await bench.until(spec.id, RunState.RUNNING)
    await bench.until_printed(spec.id, "ready")
    asked_at = bench.clock.monotonic()
    await bench.executor.stop(spec.id)
    status = await bench.until_final(spec.id)
    assert status.state is RunState.STOPPED
    assert bench.clock.monotonic() - asked_at < 10
    assert status.ended_at is not None


async def test_stopping_a_run_that_waits_for_resources_takes_it_out(bench: Bench) -> None:
    spec = bench.spec("echo never", num_gpus=5)
    await bench.executor.submit(spec)
    assert (await bench.executor.get(spec.id)).state is RunState.PENDING
    await bench.executor.stop(spec.id)
    status = await bench.until_final(spec.id)
    assert status.state is RunState.STOPPED
    assert status.started_at is None
    assert not status.is_infrastructure
    await bench.executor.forget(spec.id)


async def test_stopping_a_finished_run_changes_nothing(bench: Bench) -> None:
    spec = bench.spec("echo done")
    await bench.executor.submit(spec)
    before = await bench.until_final(spec.id)
    await bench.executor.stop(spec.id)
    assert (await bench.executor.get(spec.id)).state is before.state is RunState.SUCCEEDED


async def test_an_unknown_run_is_named_as_such(bench: Bench) -> None:
    with pytest.raises(UnknownRun):
        await bench.executor.get("nobody-a1")
    with pytest.raises(UnknownRun):
        await bench.executor.stop("nobody-a1")
    with pytest.raises(UnknownRun):
        await bench.executor.logs("nobody-a1", 0)
    await bench.executor.forget("nobody-a1")


async def test_a_forgotten_run_is_unknown(bench: Bench) -> None:
    spec = bench.spec("echo bye")
    await bench.executor.submit(spec)
    await bench.until_final(spec.id)
    await bench.executor.forget(spec.id)
    with pytest.raises(UnknownRun):
        await bench.executor.get(spec.id)


async def test_a_living_run_cannot_be_forgotten(bench: Bench) -> None:
    spec = bench.spec("sleep 30")
    await bench.executor.submit(spec)
    await bench.until(spec.id, RunState.RUNNING)
    with pytest.raises(ExecutorError):
        await bench.executor.forget(spec.id)
    await bench.executor.fence(spec.id)


async def test_a_fenced_run_is_dead(bench: Bench) -> None:
    spec = bench.spec("trap '' TERM; echo ready; sleep 300", stop_grace_s=60)
    await bench.executor.health()
    await bench.executor.submit(spec)
    await bench.until(spec.id, RunState.RUNNING)
    await bench.until_printed(spec.id, "ready")
    assert await bench.executor.fence(spec.id) is FenceResult.FENCED
    assert (await bench.executor.get(spec.id)).state.is_final


async def test_a_fence_of_a_run_that_never_was_is_proven_at_once(bench: Bench) -> None:
    await bench.executor.health()
    assert await bench.executor.fence("ghost-a1") is FenceResult.FENCED
