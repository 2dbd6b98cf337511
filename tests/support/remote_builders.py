"""What tests of the copy to a time series database share."""

import asyncio
from collections.abc import Callable
from datetime import datetime

import pytest
from tsdb_parts import PROGRAMS

from collectors.remote_write.tally import RemoteState
from collectors.remote_write.writer import RemoteWriter
from suanwang.clock import SystemClock

DATABASES = [
    pytest.param(
        kind,
        marks=[
            pytest.mark.prometheus,
            pytest.mark.skipif(program is None, reason=f"{kind} is not installed"),
        ],
    )
    for kind, program in PROGRAMS.items()
]
"""Every database that is installed; the others are skipped with that reason."""
TOOK_S = 60.0


class QuickClock(SystemClock):
    """The machine's clock, but waiting is short."""

    async def wait(self, seconds: float) -> None:
        """Wait a fiftieth."""
        await asyncio.sleep(seconds / 50)


def now() -> datetime:
    """Return the present moment in whole milliseconds."""
    moment = SystemClock().now()
    return moment.replace(microsecond=moment.microsecond // 1_000 * 1_000)


def until(writer: RemoteWriter, is_so: Callable[[RemoteState], bool]) -> RemoteState:
    """Return the writer's state once something is so of it."""
    clock = SystemClock()
    end = clock.monotonic() + TOOK_S
    while not is_so(writer.state):
        assert clock.monotonic() < end, writer.state
        clock.sleep(0.02)
    return writer.state
