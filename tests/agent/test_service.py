"""The whole agent against a centre on loopback: nothing is lost and nothing comes twice."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from agent_builders import a_start, an_extension
from agent_centre import SITE_TOKEN, Centre, running_centre

from agent.book import AttemptBook
from agent.channel import CentreChannel, CentreRefused, CentreUnreachable
from agent.executors.fake import FakeExecutor
from agent.packages import PackageSpoiled, PackageStore
from agent.record import Rules
from agent.runner import Runner
from agent.service import Agent, Beat, Parts
from agent.spool import Spool
from collectors.sources.port import Source
from suanwang.clock import Clock, SystemClock
from suanwang.ids import RandomIds
from suanwang.model.reading import Reading


class Counter:
    """A source that counts its polls: each reading is the next number."""

    name = "counter"
    interval_s = 0.05
    timeout_s = 1.0

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.count = 0
        self.is_closed = False

    async def collect(self) -> Sequence[Reading]:
        """Return the next number."""
        self.count += 1
        at = self._clock.now()
        return [Reading(subject="host:a", metric="polls", value=float(self.count), at=at)]

    async def close(self) -> None:
        """Note it."""
        self.is_closed = True


class EagerClock(SystemClock):
    """The machine's clock, on which nobody waits longer than a moment."""

    async def wait(self, seconds: float) -> None:
        """Suspend the calling coroutine, briefly."""
        await asyncio.sleep(min(seconds, 0.02))


@pytest.fixture
async def centre() -> AsyncIterator[Centre]:
    """A centre on loopback."""
    async with running_centre() as one:
        one.clock_now = SystemClock().now()
        yield one


@asynccontextmanager
async def running_agent(
    folder: Path, centre: Centre, sources: Sequence[Source], executor: FakeExecutor
) -> AsyncIterator[asyncio.Task[None]]:
    """Run an agent until the block ends, or its task is cancelled."""
    clock = EagerClock()
    spool = Spool(folder, clock)
    book = AttemptBook(spool, clock)
    channel = CentreChannel(centre.url, SITE_TOKEN, clock)
    runner = Runner(executor, book, PackageStore(folder / "p", channel), clock, Rules())
    parts = Parts(
        executor=executor,
        spool=spool,
        book=book,
        runner=runner,
        channel=channel,
        sources=sources,
        clock=clock,
        ids=RandomIds(clock),
    )
    stop = asyncio.Event()
    task = asyncio.create_task(Agent(parts, Beat(batch_s=0.1, idle_s=0.02)).run(stop))
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()


async def until(is_so: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Wait until something is so."""
    for _ in range(int(timeout_s / 0.02)):
        if is_so():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never became so")


def numbers(centre: Centre) -> list[float]:
    """Return the counter's readings as the centre has them."""
    return sorted(
        reading.value
        for batch in centre.batches.values()
        for reading in batch.readings.each()
        if reading.metric == "polls"
    )


async def test_telemetry_of_an_outage_arrives_once_and_whole(
    tmp_path: Path, centre: Centre
) -> None:
    clock = EagerClock()
    counter = Counter(clock)
    executor = FakeExecutor(clock)
    async with running_agent(tmp_path, centre, [counter], executor):
        await until(lambda: len(numbers(centre)) >= 3)
        centre.is_down = True
        there = counter.count
        await until(lambda: counter.count >= there + 10)
    async with running_agent(tmp_path, centre, [counter], executor):
        await asyncio.sleep(0.2)
        centre.is_down = False
        await until(lambda: len(numbers(centre)) > 3)
        centre.drops = True
        await until(lambda: centre.repeats > 0)
        centre.drops = False
        await until(lambda: len(numbers(centre)) >= there + 12)
    async with running_agent(tmp_path, centre, [], executor):
        await until(lambda: len(numbers(centre)) >= counter.count)
    assert numbers(centre) == [float(number) for number in range(1, counter.count + 1)]


def is_ours(task: asyncio.Task[object]) -> bool:
    """Whether a task runs our code: the test's centre has a web server's tasks in this loop."""
    code = getattr(task.get_coro(), "cr_code", None)
    return code is None or "site-packages" not in code.co_filename


async def test_an_agent_that_is_cancelled_lets_go_of_all_it_opened(
    tmp_path: Path, centre: Centre
) -> None:
    clock = EagerClock()
    counter, before = Counter(clock), asyncio.all_tasks()
    async with running_agent(tmp_path, centre, [counter], FakeExecutor(clock)) as task:
        await until(lambda: counter.count > 0)
        task.cancel()
    assert task.cancelled()
    assert counter.is_closed
    assert {one for one in asyncio.all_tasks() - before if is_ours(one)} == set()


async def test_the_centre_is_told_what_is_polled_and_how_the_agent_itself_does(
    tmp_path: Path, centre: Centre
) -> None:
    clock = EagerClock()
    executor = FakeExecutor(clock)

    def lists() -> list[frozenset[str]]:
        return [one.sources for one in centre.batches.values() if one.sources is not None]

    async with running_agent(tmp_path, centre, [Counter(clock)], executor):
        await until(lambda: frozenset({"agent", "counter"}) in lists())
        reports = [report for one in centre.batches.values() for report in one.reports]
        await until(lambda: len(numbers(centre)) > 1)
    centre.batches.clear()
    async with running_agent(tmp_path, centre, [], executor):
        await until(lambda: frozenset({"agent"}) in lists())
        reports = [report for one in centre.batches.values() for report in one.reports]
    assert {report.interval_s for report in reports if report.source == "counter"} <= {0.05}
    assert {report.interval_s for report in reports if report.source == "agent"} == {15.0}


async def test_an_order_runs_and_its_output_is_there_before_its_end(
    tmp_path: Path, centre: Centre
) -> None:
    executor = FakeExecutor(EagerClock(), start_s=0.1)
    lease = SystemClock().now().replace(year=2100)
    centre.orders.append(a_start("echo one; sleep 0.5; echo two", lease_expires_at=lease))
    async with running_agent(tmp_path, centre, [], executor):
        await until(lambda: centre.states("job_1-a1")[-1:] == ["succeeded"])
        await until(lambda: not executor._runs)
    assert centre.acknowledged == ["job_1-a1-start"]
    assert centre.states("job_1-a1") == ["submitting", "starting", "running", "succeeded"]
    assert centre.output_at_end["job_1-a1"] == "one\ntwo\n"


async def test_extensions_are_acknowledged_and_those_without_effect_named_as_late(
    tmp_path: Path, centre: Centre
) -> None:
    executor = FakeExecutor(EagerClock(), start_s=0.1)
    lease = SystemClock().now().replace(year=2100)
    unknown = an_extension(number=9).model_copy(update={"attempt_id": "job_2-a1"})
    start = a_start("echo one; sleep 5", run_s_max=1, lease_expires_at=lease)
    async with running_agent(tmp_path, centre, [], executor):
        centre.orders += [start, an_extension(2, 1), unknown]
        await until(lambda: len(centre.acknowledged) == 3)
        await until(lambda: centre.states("job_1-a1")[-1:] == ["stopped"])
    assert centre.late == [unknown.id]
    assert "stopped after 2 s" in centre.reports[-1].message
    assert "[suanwang: longer]" in centre.output_at_end["job_1-a1"]


async def test_an_outage_in_the_middle_of_a_run_loses_no_report(
    tmp_path: Path, centre: Centre
) -> None:
    executor = FakeExecutor(EagerClock(), start_s=0.1)
    lease = SystemClock().now().replace(year=2100)
    centre.orders.append(a_start("echo one; sleep 0.6; echo two", lease_expires_at=lease))
    async with running_agent(tmp_path, centre, [], executor):
        await until(lambda: "running" in centre.states("job_1-a1"))
        centre.is_down = True
        await asyncio.sleep(1.0)
    async with running_agent(tmp_path, centre, [], executor):
        await asyncio.sleep(0.2)
        centre.is_down = False
        await until(lambda: centre.states("job_1-a1")[-1:] == ["succeeded"])
    assert centre.output_at_end["job_1-a1"] == "one\ntwo\n"
    assert executor.submissions == 1


async def test_a_batch_that_the_centre_will_never_take_blocks_nothing(
    tmp_path: Path, centre: Centre
) -> None:
    centre.refuse_telemetry = True
    clock = EagerClock()
    counter = Counter(clock)
    async with running_agent(tmp_path, centre, [counter], FakeExecutor(clock)):
        await until(lambda: counter.count >= 5)
        await asyncio.sleep(0.3)
        centre.refuse_telemetry = False
        await until(lambda: bool(centre.batches))
    spool = Spool(tmp_path, clock)
    assert spool.counts()["aside"] > 0
    spool.close()


async def test_a_wrong_token_loses_nothing(tmp_path: Path, centre: Centre) -> None:
    channel = CentreChannel(centre.url, "swt_wrong", SystemClock())
    with pytest.raises(CentreUnreachable, match="401") as failure:
        await channel.orders(wait_s=0)
    assert "agent.token" in failure.value.next_step
    await channel.close()


async def test_packages_are_fetched_once_and_checked(tmp_path: Path, centre: Centre) -> None:
    channel = CentreChannel(centre.url, SITE_TOKEN, SystemClock())
    store = PackageStore(tmp_path, channel)
    sha256 = hashlib.sha256(b"program").hexdigest()
    centre.packages[sha256] = b"program"
    centre.packages["0" * 64] = b"poison"
    found = await store.fetch({"gcs://a.zip": sha256})
    assert found["gcs://a.zip"].read_bytes() == b"program"
    del centre.packages[sha256]
    assert await store.fetch({"gcs://a.zip": sha256}) == found
    with pytest.raises(PackageSpoiled):
        await store.fetch({"gcs://b.zip": "0" * 64})
    with pytest.raises(CentreRefused, match="404"):
        await store.fetch({"gcs://c.zip": "1" * 64})
    await channel.close()


async def test_packages_not_used_for_longest_make_room(tmp_path: Path, centre: Centre) -> None:
    channel = CentreChannel(centre.url, SITE_TOKEN, SystemClock())
    store = PackageStore(tmp_path, channel, keep_bytes=15)
    digests = []
    for number in range(3):
        body = f"package {number}!".encode()
        digests.append(hashlib.sha256(body).hexdigest())
        centre.packages[digests[-1]] = body
        await store.fetch({"gcs://a.zip": digests[-1]})
    assert not (tmp_path / digests[0]).exists()
    assert (tmp_path / digests[2]).exists()
    await channel.close()
