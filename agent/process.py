"""What the agent asks of its own process: enough open files, and no long pauses for garbage."""

import asyncio
import gc
import logging
import resource
from typing import Final

log = logging.getLogger(__name__)

FILES_BESIDES: Final = 256
"""Open files that the agent needs besides its connections to devices."""
SETTLE_AT_S: Final = (5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0)
"""Seconds after the start at which what is new is settled, so that it never becomes much."""
YOUNG_OBJECTS: Final = 10_000
"""Objects made before the youngest are looked through; a poll makes and forgets hundreds."""


def allow_files(connections: int) -> int:
    """Raise the limit of open files to what the system lets us; return it, and warn if it is low.

    Each device keeps a connection, so that not every poll has to open one.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + FILES_BESIDES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft != resource.RLIM_INFINITY and soft < wanted:
        log.warning(
            "too few open files are allowed for a connection to each source",
            extra={"allowed": soft, "wanted": wanted, "next_step": "raise LimitNOFILE or ulimit"},
        )
    return soft


def settle_memory() -> None:
    """Take what lives now as living for good, so that looking for garbage passes it over.

    With 20,000 sources a search through all objects stops the polling for seconds where processors
    are short. So all is searched only here, before the polling begins.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 10, 10)


def settle_newer() -> None:
    """Take what was made since as living too; only the youngest are searched, so nothing waits."""
    gc.collect(1)
    gc.freeze()


def settle_later(loop: asyncio.AbstractEventLoop) -> list[asyncio.TimerHandle]:
    """Settle what is made in the first minutes: connections, and what devices offer."""
    return [loop.call_later(after_s, settle_newer) for after_s in SETTLE_AT_S]
