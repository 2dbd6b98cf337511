"""One way to the database: takes from its queue, asks until there is an answer, in order."""

import asyncio
import random
from dataclasses import dataclass
from typing import Final, Protocol

from collectors.remote_write.known import Samples
from collectors.remote_write.queue import Floors, SampleQueue, lowest
from collectors.remote_write.request import (
    Answer,
    Dropped,
    Verdict,
    arrange,
    by_series,
    decide,
    encode,
    halves,
)
from collectors.remote_write.tally import Tally
from suanwang.clock import Clock
from suanwang.errors import Unavailable

BACKOFF_S_MIN: Final = 0.5
BACKOFF_S_MAX: Final = 30.0
FAILURES_MAX: Final = 10
"""How often a database may fail over one request, which takes two minutes, before it is halved."""
SPLITS_MAX: Final = 40
"""Most requests that become of one that is refused: enough to find a limit in time among 10,000
samples, and a database is never asked about each of them."""


class Stalled(Exception):
    """The database is there and fails over whatever it is sent."""


class Door(Protocol):
    """Where a shard sends its requests."""

    async def post(self, body: bytes) -> Answer:
        """Return the answer; raise Unavailable where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How large requests are, and how long one may take to fill."""

    batch: int
    flush_s: float
    may_stall: bool = False
    """Whether to raise ``Stalled``, since the samples are kept elsewhere; else they are dropped."""


class Shard:
    """Sends the samples of its series, one request at a time."""

    def __init__(self, door: Door, tally: Tally, clock: Clock, queue: SampleQueue, pace: Pace,
                 seed: int) -> None:  # fmt: skip
        self.queue = queue
        self._door = door
        self._tally = tally
        self._clock = clock
        self._pace = pace
        self._random = random.Random(seed)  # noqa: S311 - spreads pauses
        self._filled = asyncio.Event()
        self._is_stopping = False
        self._requests_left = 0
        self._refused: list[Samples] = []
        self._refusal = (Dropped.REJECTED, Answer(0))
        self._in_hand = 0
        self._in_hand_since: float | None = None
        self._in_hand_floors: Floors = {}
        self._taken = 0
        self._failed: list[tuple[Samples, Answer]] = []

    @property
    def floors(self) -> Floors:
        """The oldest moments of what waits, what is under way among it."""
        return lowest((self.queue.floors, self._in_hand_floors))

    @property
    def in_hand_floors(self) -> Floors:
        """The oldest moments of what is under way."""
        return self._in_hand_floors

    @property
    def waiting(self) -> int:
        """How many samples wait, those under way among them."""
        return len(self.queue) + self._in_hand

    @property
    def since_s(self) -> float | None:
        """Since when the oldest sample waits, on the monotonic clock; None where none does."""
        return self._in_hand_since if self._in_hand else self.queue.since_s

    def wake(self) -> None:
        """Say that there is something in the queue; to be called in the loop of ``run``."""
        self._filled.set()

    def stop(self) -> None:
        """Let ``run`` end once nothing waits; to be called in its loop."""
        self._is_stopping = True
        self._filled.set()

    async def run(self) -> None:
        """Send until stopped."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            if len(self.queue) < self._pace.batch and not self._is_stopping:
                await self._clock.wait(self._pace.flush_s)
            while (waiting := self.queue.take(self._pace.batch)) is not None:
                self._in_hand, self._in_hand_since = len(waiting.samples), waiting.since_s
                self._in_hand_floors = waiting.floors
                await self._send(waiting.samples)
                self._in_hand, self._in_hand_floors = 0, {}
            if self._is_stopping:
                return

    def skip(self) -> int:
        """Let go of what is under way; return how much it was."""
        self._refused.clear()
        self._failed.clear()
        self._in_hand_floors = {}
        skipped, self._in_hand = self._in_hand, 0
        return skipped

    def give_up(self) -> int:
        """Let go of all that is left; return how much it was."""
        left = self.waiting
        self.queue.take(len(self.queue))
        self._in_hand = 0
        return left

    async def _send(self, found: Samples) -> None:
        arranged = arrange(found)
        self._tally.drop(Dropped.DUPLICATE, arranged.duplicates)
        self._in_hand -= arranged.duplicates
        for part in (arranged.fresh, by_series(arranged.late)):
            self._requests_left, self._taken = SPLITS_MAX, 0
            if not await self._try(part, FAILURES_MAX):
                await self._sift(part)
            await self._pick_over()
            await self._try_again()
            self._count_failed()

    async def _try(self, part: Samples, failures: int = 1) -> bool:
        """Send samples in the order of ``by_series``; return False where less may be taken."""
        if not len(part):
            return True
        self._requests_left -= 1
        answer = await self._insist(encode(part), failures)
        decision = decide(answer, self._clock.now())
        if decision.verdict is Verdict.TAKEN:
            self._tally.taken(len(part))
            self._taken += len(part)
        elif decision.verdict in (Verdict.SPLIT, Verdict.FAILED) and len(part) > 1:
            self._refusal = (decision.reason, answer)
            return False
        else:
            self._refuse(decision.reason, part, answer)
        self._in_hand -= len(part)
        return True

    def _refuse(self, reason: Dropped, part: Samples, answer: Answer) -> None:
        """Count what is turned away; over what it failed is decided when all was tried."""
        if reason is Dropped.FAILED:
            self._failed.append((part, answer))
        else:
            self._tally.refused(reason, len(part), answer.status, answer.text)

    async def _try_again(self) -> None:
        """Send once more what failed, where others were taken: it may have been a bad moment."""
        failed, self._failed = (self._failed, []) if self._taken else ([], self._failed)
        for part, _ in failed:
            answer = await self._insist(encode(part), 1)
            if decide(answer, self._clock.now()).verdict is Verdict.TAKEN:
                self._tally.taken(len(part))
                self._taken += len(part)
            else:
                self._failed.append((part, answer))

    def _count_failed(self) -> None:
        """Drop what the database failed over while it took others; raise Stalled if it took none.

        Where samples are not kept elsewhere they are dropped all the same: nothing may wait behind
        a request for ever.
        """
        failed, self._failed = self._failed, []
        if failed and not self._taken and self._pace.may_stall:
            raise Stalled(f"{failed[-1][1].status}: {failed[-1][1].text}")
        for part, answer in failed:
            self._tally.refused(Dropped.FAILED, len(part), answer.status, answer.text)

    async def _sift(self, part: Samples) -> bool:
        """Send a refused part in halves; return whether all of it was settled.

        What is too old is older than some moment, so where the younger half holds that moment the
        older one is tried as a whole only.
        """
        if self._requests_left <= 0:
            self._refused.append(part)
            return False
        older, younger = (by_series(half) for half in halves(part))
        is_younger_done = await self._try(younger) or await self._sift(younger)
        if await self._try(older):
            return is_younger_done
        if is_younger_done:
            return await self._sift(older)
        self._refused.append(older)
        return False

    async def _pick_over(self) -> None:
        """Halve what was refused as a whole, the youngest first, while requests are left."""
        while self._refused:
            part = self._refused.pop()
            for half in halves(part) if self._requests_left > 0 else (part,):
                if self._requests_left <= 0:
                    self._give_away(half)
                elif not await self._try(by_series(half)):
                    self._refused.append(half)

    def _give_away(self, part: Samples) -> None:
        reason, answer = self._refusal
        self._refuse(reason, part, answer)
        self._in_hand -= len(part)

    async def _insist(self, body: bytes, failures: int) -> Answer:
        """Ask until the answer is not "again", nor so many times "failed"; the pauses grow."""
        backoff_s = BACKOFF_S_MIN
        while True:
            wait_s = 0.0
            try:
                answer = await self._door.post(body)
            except Unavailable as failure:
                why = failure.message
            else:
                decision = decide(answer, self._clock.now())
                failures -= decision.verdict is Verdict.FAILED
                if decision.verdict not in (Verdict.AGAIN, Verdict.FAILED) or failures <= 0:
                    return answer
                why, wait_s = f"{answer.status}: {answer.text}", decision.wait_s
            self._tally.again(why)
            # Spread by a quarter, so that many senders do not come back at the same moment.
            await self._clock.wait(max(wait_s, backoff_s * self._random.uniform(0.75, 1.25)))
            backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)
