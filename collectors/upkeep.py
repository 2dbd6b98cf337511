"""What must be done about the record from time to time: settle, sum up, call final.

Each step is a transaction of its own and may be repeated, or cut off, at any moment.
"""

import logging
import threading
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine

from collectors.store_rollup import finish_rollups, roll_up
from collectors.store_settle import finish, settle_due
from suanwang.clock import Clock
from suanwang.db.engine import writing

_LOG = logging.getLogger(__name__)

ROUNDS_MAX: Final = 500
"""Most transactions of one step; what is left waits for the next upkeep."""
EVERY_S: Final = 30.0
"""Seconds between two upkeeps."""
JOIN_S: Final = 30.0
"""How long ``stop`` waits for the upkeep that runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What one upkeep did."""

    days: int = 0
    windows: int = 0
    hours: int = 0
    finished: int = 0


def keep_up(engine: Engine, clock: Clock) -> Kept:
    """Bring windows, hours and days up to date with what has come in."""
    days = windows = hours = 0
    for _ in range(ROUNDS_MAX):
        with writing(engine) as connection:
            settled = settle_due(connection, clock.now())
        days, windows = days + settled.days, windows + settled.windows
        if not settled.is_behind:
            break
    for _ in range(ROUNDS_MAX):
        with writing(engine) as connection:
            rolled = roll_up(connection, clock.now())
        hours += rolled.hours
        if not rolled.is_behind:
            break
    with writing(engine) as connection:
        finished = finish(connection, clock.now()) + finish_rollups(connection, clock.now())
    if windows or hours:
        _LOG.info("energy record kept up", extra={"days": days, "hours": hours})
    return Kept(days=days, windows=windows, hours=hours, finished=finished)


class UpkeepLoop:
    """Keeps the record up on a thread of its own; any number of processes may do so."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; a second call changes nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="telemetry-upkeep", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End after the upkeep that runs."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(JOIN_S)
            self._thread = None

    def _run(self) -> None:
        while not self._stopping.wait(EVERY_S):
            try:
                keep_up(self._engine, self._clock)
            except Exception:  # noqa: BLE001 - the outermost loop: logged, and tried again
                _LOG.exception("the upkeep of the energy record failed")
