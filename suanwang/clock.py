"""Time, from one place: the whole centre runs on whichever clock it is given.

Every moment is an aware ``datetime`` in UTC. Durations are measured on ``monotonic``.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

Seconds = float
"""A length of time on the monotonic clock; never an amount of money."""


class Clock(Protocol):
    """What the product may ask about time."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds on a clock that never jumps; only differences mean anything."""

    def sleep(self, seconds: float) -> None:
        """Block the calling thread."""

    async def wait(self, seconds: float) -> None:
        """Suspend the calling coroutine."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds on a clock that never jumps."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Block the calling thread."""
        time.sleep(seconds)

    async def wait(self, seconds: float) -> None:
        """Suspend the calling coroutine."""
        await asyncio.sleep(seconds)


class VirtualClock:
    """A clock that stands still until it is moved; sleeping moves it."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("a clock needs an aware start")
        self._start = start.astimezone(UTC)
        self._elapsed_s = 0.0

    def now(self) -> datetime:
        """Return the virtual moment, aware, in UTC."""
        return self._start + timedelta(seconds=self._elapsed_s)

    def monotonic(self) -> float:
        """Return the virtual seconds that have passed."""
        return self._elapsed_s

    def sleep(self, seconds: float) -> None:
        """Move time on by ``seconds``."""
        self.advance(seconds)

    async def wait(self, seconds: float) -> None:
        """Move time on by ``seconds`` and let other coroutines run."""
        self.advance(seconds)
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        """Move time on by ``seconds``, which must not be negative."""
        if seconds < 0:
            raise ValueError(f"time does not run backwards: {seconds} s")
        self._elapsed_s += seconds


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def to_epoch_ms(moment: datetime) -> int:
    """Return milliseconds since 1970 UTC, exact (no float in between)."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    # By its parts, since dividing timedeltas costs five times as much, and batches are long.
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def from_epoch_ms(epoch_ms: int) -> datetime:
    """Return the aware UTC moment of a count of milliseconds since 1970."""
    return _EPOCH + timedelta(milliseconds=epoch_ms)
