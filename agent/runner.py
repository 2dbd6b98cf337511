"""Makes the executor agree with the orders, attempt by attempt, and writes down what came of it.

What to do is decided in ``agent.record``; here it is done. The intent is on disk before any call,
so after a kill -9 the next agent asks the executor and goes on.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from agent.book import AttemptBook
from agent.channel import CentreRefused, CentreUnreachable
from agent.executors.port import (
    Executor,
    ExecutorError,
    FenceResult,
    Health,
    HealthState,
    RefusedRun,
    RunSpec,
    RunStatus,
    UnknownRun,
)
from agent.packages import PackageSpoiled
from agent.record import (
    LocalState,
    Record,
    Rules,
    Step,
    Wish,
    advise,
    given_up,
    observe,
    overdue,
    proven_dead,
    silent,
    want_stop,
)
from suanwang.clock import Clock
from suanwang.wire.agent import Order, StartOrder

log = logging.getLogger(__name__)

OUTPUT_CUT: Final = "\n[suanwang: the output is longer than {limit} characters; the rest is cut]\n"
OUTPUT_LOST: Final = "\n[suanwang: the rest of the output could not be read: {why}]\n"


class Packages(Protocol):
    """Where the files of packages come from."""

    async def fetch(self, digests: Mapping[str, str]) -> dict[str, Path]:
        """Return the file of each URI, given the digest of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Named limits of how much is done at once, and how often."""

    calls_max: int = 8
    submissions_max: int = 4
    starting_s: float = 30.0
    poll_s_per_attempt: float = 0.05
    retry_s: float = 2.0
    archive_retry_s: float = 30.0
    output_every_s: float = 2.0
    output_chars_max: int = 16_000_000
    output_chars_per_s: float = 5_000_000.0
    output_patience_s: float = 30.0


class Runner:
    """Drives the attempts of one executor. Call ``round`` again and again."""

    def __init__(
        self,
        executor: Executor,
        book: AttemptBook,
        packages: Packages,
        clock: Clock,
        rules: Rules,
        pace: Pace | None = None,
    ) -> None:
        self._executor = executor
        self._book = book
        self._packages = packages
        self._clock = clock
        self._rules = rules
        self._pace = pace or Pace()
        self._calls = asyncio.Semaphore(self._pace.calls_max)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._not_before: dict[str, float] = {}
        self._output_at: dict[str, float] = {}
        self._output_failing: dict[str, float] = {}
        self.health = Health(state=HealthState.UNREACHABLE, message="not asked yet")

    async def check_health(self) -> Health:
        """Ask the executor how it does."""
        before, self.health = self.health, await self._executor.health()
        if before.state is not self.health.state or before.session != self.health.session:
            log.info(
                "executor",
                extra={
                    "state": self.health.state.value,
                    "session": self.health.session,
                    "said": self.health.message,
                },
            )
        return self.health

    def take(self, orders: Sequence[Order]) -> tuple[str, ...]:
        """Put orders on disk; return the ids to acknowledge."""
        for order in orders:
            self._not_before.pop(order.attempt_id, None)
        return self._book.take(orders)

    async def round(self) -> None:
        """Start what is due for each attempt; what takes long goes on beside."""
        now = self._clock.now()
        for record in self._book.records():
            name = record.attempt_id
            if name in self._tasks or self._clock.monotonic() < self._not_before.get(name, 0.0):
                continue
            if late := overdue(record, now, self._live_rules()):
                record = self._book.update(name, partial(want_stop, reason=late))
            step = advise(record, now, self._live_rules())
            if step is Step.NOTHING or (step is Step.SUBMIT and not self._has_room(record)):
                continue
            task = asyncio.create_task(self._guarded(name, step), name=f"attempt {name}")
            self._tasks[name] = task
            task.add_done_callback(partial(self._done, name))
        await asyncio.sleep(0)

    def _live_rules(self) -> Rules:
        return replace(self._rules, skew_s=self._book.skew_s)

    async def settle(self) -> None:
        """Wait until everything that was started is done."""
        while self._tasks:
            await asyncio.gather(*self._tasks.values())
            await asyncio.sleep(0)

    async def close(self) -> None:
        """Stop driving; runs go on, and the next agent takes them over."""
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _done(self, name: str, _: asyncio.Task[None]) -> None:
        self._tasks.pop(name, None)

    def _has_room(self, record: Record) -> bool:
        """Whether one more submission may be under way: Ray starts each in a fresh process.

        A run that its executor keeps waiting for long does not count any more.
        """
        since = self._clock.now() - timedelta(seconds=self._pace.starting_s)
        under_way = {
            one.attempt_id
            for one in self._book.records()
            if one.state is LocalState.SUBMITTING
            or (one.state is LocalState.INTENT and one.attempt_id in self._tasks)
            or (
                one.state is LocalState.STARTING
                and one.submitted_at is not None
                and one.submitted_at > since
            )
        }
        return record.attempt_id in under_way or len(under_way) < self._pace.submissions_max

    async def _guarded(self, name: str, step: Step) -> None:
        async with self._calls:
            try:
                await self._act(name, step)
            except Exception:
                # The outermost place: one attempt's trouble must not touch the others.
                log.exception("an attempt's step failed", extra={"attempt": name, "step": step})
                self._pause(name, self._pace.retry_s)

    async def _act(self, name: str, step: Step) -> None:
        match step:
            case Step.SUBMIT:
                await self._submit(name)
            case Step.POLL:
                await self._poll(name)
            case Step.STOP:
                await self._stop(name)
            case Step.FENCE:
                await self._fence(name)
            case Step.GIVE_UP:
                self._book.update(name, lambda one: given_up(one, self._live_rules()))
            case Step.ARCHIVE:
                await self._archive(name)
            case Step.NOTHING:
                pass

    # --- submit

    async def _submit(self, name: str) -> None:
        """Submit, once the executor answers and the packages are here."""
        now = self._clock.now()
        record = self._book.update(
            name, lambda one: replace(one, submitting_since=one.submitting_since or now)
        )
        if record.order is None:
            return
        health = await self.check_health()
        if health.state is not HealthState.UP:
            return self._wait_to_submit(name, health.message)
        if record.session not in ("", health.session):
            # An earlier submission without an answer may live on outside the new session.
            return await self._fence(name)
        packages = await self._fetch_packages(name, record.order)
        if packages is None or self._book.get(name).wish is not Wish.RUN:
            return None
        self._book.update(
            name, lambda one: replace(one, state=LocalState.SUBMITTING, session=health.session)
        )
        return await self._hand_over(name, _spec(record.order, packages))

    async def _fetch_packages(self, name: str, order: StartOrder) -> dict[str, Path] | None:
        """Return the files of the order's packages; None where they are not here (yet)."""
        try:
            return await self._packages.fetch(order.packages)
        except CentreRefused as failure:
            self._fail(name, str(failure), is_infrastructure=True)
        except (CentreUnreachable, PackageSpoiled) as failure:
            self._wait_to_submit(name, str(failure))
        return None

    async def _hand_over(self, name: str, spec: RunSpec) -> None:
        """Give the run to the executor; the intent is on disk."""
        try:
            await self._executor.submit(spec)
        except RefusedRun as failure:
            return self._fail(name, str(failure), is_infrastructure=False)
        except ExecutorError as failure:
            return self._wait_to_submit(name, str(failure))
        submitted_at = self._clock.now()
        self._book.update(
            name,
            lambda one: replace(
                one,
                state=LocalState.STARTING,
                submitting_since=None,
                submitted_at=submitted_at,
                message="",
            ),
        )
        return None

    def _wait_to_submit(self, name: str, why: str) -> None:
        log.warning("not submitted yet", extra={"attempt": name, "why": why})
        self._book.update(name, lambda one: replace(one, message=why))
        self._pause(name, self._pace.retry_s)

    def _fail(self, name: str, why: str, *, is_infrastructure: bool) -> None:
        self._book.update(
            name,
            lambda one: replace(
                one, state=LocalState.FAILED, is_infrastructure=is_infrastructure, message=why
            ),
        )

    # --- poll, output, end

    async def _poll(self, name: str) -> None:
        record = self._book.get(name)
        try:
            status = await self._executor.get(record.executor_id)
        except UnknownRun as failure:
            return await self._missing(name, str(failure))
        except ExecutorError as failure:
            return self._silent(name, str(failure))
        if status.state.is_final:
            return await self._finish(name, status)
        self._book.update(name, lambda one: observe(one, status))
        if self._clock.monotonic() >= self._output_at.get(name, 0.0):
            await self._read_output(name)
        self._pause(name, self._pace.poll_s_per_attempt * len(self._book.records()))
        return None

    async def _finish(self, name: str, status: RunStatus) -> None:
        """Write down an end: first the rest of the output, then the sweep, then the report."""
        if not await self._read_output(name) and not self._is_output_hopeless(name):
            return
        result = await self._try_fence(name)
        if status.is_infrastructure and result is FenceResult.CANNOT_PROVE:
            message = f"it failed at the site and may still live: {status.message}"
            now = self._clock.now()
            self._book.update(
                name,
                lambda one: replace(
                    one,
                    state=LocalState.UNKNOWN,
                    wish=Wish.FENCE,
                    fence_tried_at=now,
                    message=message,
                ),
            )
            return
        self._book.update(name, lambda one: observe(one, status))

    async def _read_output(self, name: str) -> bool:
        """Put new output on disk; return whether all that there is now is there."""
        record = self._book.get(name)
        limit = self._pace.output_chars_max
        if record.log_read >= limit:
            return True
        try:
            text = await self._executor.logs(
                record.executor_id, record.log_read - record.notes_chars
            )
        except ExecutorError as failure:
            log.warning("output not read", extra={"attempt": name, "why": str(failure)})
            self._output_failing.setdefault(name, self._clock.monotonic())
            return False
        text = text.replace("\x00", "\ufffd")
        if record.log_read + len(text) > limit:
            text = text[: limit - record.log_read] + OUTPUT_CUT.format(limit=limit)
        if text:
            self._book.add_output(name, text)
        self._output_failing.pop(name, None)
        slow_s = (record.log_read + len(text)) / self._pace.output_chars_per_s
        self._output_at[name] = self._clock.monotonic() + self._pace.output_every_s + slow_s
        return True

    def _is_output_hopeless(self, name: str) -> bool:
        """Whether the rest of the output has been tried for long enough; if so, say so in it."""
        since = self._output_failing.get(name, self._clock.monotonic())
        waited_s = self._clock.monotonic() - since
        if waited_s < self._pace.output_patience_s:
            return False
        self._book.add_output(name, OUTPUT_LOST.format(why=f"tried for {waited_s:.0f} s"))
        return True

    async def _missing(self, name: str, why: str) -> None:
        """The executor answers and does not know the run: it restarted, or somebody deleted it."""
        record = self._book.get(name)
        health = await self.check_health()
        if health.state is HealthState.UP and health.session != record.session:
            log.warning("the executor lost its records", extra={"attempt": name})
            await self._fence(name)
            return
        message = f"its record at the executor is gone, and nobody restarted it: {why}"
        self._book.update(
            name,
            lambda one: replace(one, state=LocalState.UNKNOWN, message=message, silent_since=None),
        )
        self._pause(name, self._pace.retry_s)

    def _silent(self, name: str, why: str) -> None:
        now = self._clock.now()
        self._book.update(name, lambda one: silent(one, now, why, self._live_rules()))

    # --- stop, fence, archive

    async def _stop(self, name: str) -> None:
        now = self._clock.now()
        record = self._book.update(
            name,
            lambda one: replace(one, stopping_since=one.stopping_since or now, stop_sent_at=now),
        )
        try:
            await self._executor.stop(record.executor_id)
        except UnknownRun as failure:
            return await self._missing(name, str(failure))
        except ExecutorError as failure:
            return self._silent(name, str(failure))
        return await self._poll(name)

    async def _fence(self, name: str) -> None:
        """Kill what lives and write down the proof; a run that ended by itself keeps its end."""
        now = self._clock.now()
        record = self._book.update(name, lambda one: replace(one, fence_tried_at=now))
        end = await self._end_of(record)
        if end is not None and not end.is_infrastructure:
            return await self._finish(name, end)
        if await self._try_fence(name) is FenceResult.CANNOT_PROVE:
            message = "it may live: not all of its processes can be seen or killed"
            self._book.update(
                name, lambda one: replace(one, state=LocalState.UNKNOWN, message=message)
            )
            return None
        await self._read_output(name)
        end = await self._end_of(record)
        if end is not None and end.started_at is not None:
            self._book.update(name, lambda one: replace(one, started_at=end.started_at))
        self._book.update(name, lambda one: proven_dead(one, self._clock.now()))
        return None

    async def _end_of(self, record: Record) -> RunStatus | None:
        """Return the run's status where the executor says that it has ended, else None."""
        try:
            status = await self._executor.get(record.executor_id)
        except ExecutorError:
            return None
        return status if status.state.is_final else None

    async def _try_fence(self, name: str) -> FenceResult:
        record = self._book.get(name)
        try:
            return await self._executor.fence(record.executor_id)
        except ExecutorError as failure:
            log.warning("fence failed", extra={"attempt": name, "why": str(failure)})
            return FenceResult.CANNOT_PROVE

    async def _archive(self, name: str) -> None:
        """Let the executor forget the run once the centre has all of it."""
        record = self._book.get(name)
        if self._book.has_unsent(name):
            return
        try:
            if record.executor_id:
                await self._executor.forget(record.executor_id)
        except ExecutorError as failure:
            log.info("not archived yet", extra={"attempt": name, "why": str(failure)})
            self._pause(name, self._pace.archive_retry_s)
            return
        self._book.update(name, lambda one: replace(one, is_archived=True))
        for memory in (self._not_before, self._output_at, self._output_failing):
            memory.pop(name, None)

    def _pause(self, name: str, seconds: float) -> None:
        self._not_before[name] = self._clock.monotonic() + seconds


def _spec(order: StartOrder, packages: Mapping[str, Path]) -> RunSpec:
    return RunSpec(
        id=order.executor_id,
        entrypoint=order.entrypoint,
        runtime_env=order.runtime_env,
        metadata=order.metadata,
        num_cpus=order.entrypoint_num_cpus,
        num_gpus=order.entrypoint_num_gpus,
        memory=order.entrypoint_memory,
        resources=order.entrypoint_resources,
        stop_grace_s=order.stop_grace_s,
        units=order.units,
        packages=packages,
    )
