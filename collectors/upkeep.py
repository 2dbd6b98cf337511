"""What must be done about the record from time to time: settle, sum up, call final, pack, forget.

Each step is a transaction of its own and may be repeated, or cut off, at any moment.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sqlalchemy import Engine

from collectors import store_facility
from collectors.quality import RAW_KEPT
from collectors.store_chunks import (
    SERIES_MAX,
    Packed,
    Span,
    closed_series,
    drop_days,
    open_from_ms,
    pack,
    prune,
)
from collectors.store_kpi_days import tell_days
from collectors.store_rollup import finish_rollups, roll_up
from collectors.store_settle import finish, settle_due
from suanwang.background import Background, every
from suanwang.chunk import ChunkDamaged
from suanwang.clock import Clock, to_epoch_ms
from suanwang.db import partitions
from suanwang.db.engine import reading, writing
from suanwang.energy.catalogue import load_catalogue
from suanwang.errors import Conflict
from suanwang.ids import SiteId

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
    for _ in range(ROUNDS_MAX):
        with writing(engine) as connection:
            told = tell_days(connection, clock.now())
        if not told.is_behind:
            break
    with writing(engine) as connection:
        finished = finish(connection, clock.now()) + finish_rollups(connection, clock.now())
    if windows or hours:
        _LOG.info("energy record kept up", extra={"days": days, "hours": hours})
    return Kept(days=days, windows=windows, hours=hours, finished=finished)


class RawUpkeep:
    """Packs raw samples whose hour is over, and once an hour forgets those that are too old."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._pruned_before: datetime | None = None

    def run(self) -> Packed:
        """Pack what can be packed now; return how much it was."""
        now = self._clock.now()
        forgotten = (now - RAW_KEPT).replace(minute=0, second=0, microsecond=0)
        # What is older is kept row by row: the last reading of a meter that fell silent.
        span = Span(to_epoch_ms(forgotten), open_from_ms(now))
        with reading(self._engine) as connection:
            waiting = closed_series(connection, span)
        packed = Packed()
        for low in range(0, len(waiting), SERIES_MAX):
            piece = self._pack(waiting[low : low + SERIES_MAX], span)
            packed = Packed(
                samples=packed.samples + piece.samples, chunks=packed.chunks + piece.chunks
            )
        if packed.samples:
            _LOG.info(
                "raw samples packed", extra={"samples": packed.samples, "chunks": packed.chunks}
            )
        self._prune(forgotten)
        return packed

    def _pack(self, series_ids: Sequence[int], span: Span) -> Packed:
        try:
            with writing(self._engine) as connection:
                return pack(connection, series_ids, span)
        except ChunkDamaged:
            # They stay row by row, so nothing is lost, and the other series are not held up.
            _LOG.exception(
                "raw samples are not packed", extra={"series": f"{series_ids[0]}-{series_ids[-1]}"}
            )
            return Packed()

    def _prune(self, before: datetime) -> None:
        if before == self._pruned_before:
            return
        with writing(self._engine) as connection:
            gone = prune(connection, before)
        gone += self._drop_days(before)
        self._pruned_before = before
        if gone:
            _LOG.info("raw samples forgotten", extra={"samples": gone, "before": str(before)})

    def _drop_days(self, before: datetime) -> int:
        """Drop whole days of packed samples; where others use them, the next hour tries again."""
        try:
            with partitions.changing(self._engine) as connection:
                return drop_days(connection, before)
        except partitions.Busy:
            _LOG.warning("old samples are not dropped yet: others use the table")
            return 0


class PartsUpkeep:
    """Once an hour makes the parts of large tables that are missing."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._made_in: datetime | None = None

    def run(self) -> None:
        """Make them, unless this was done in this hour."""
        now = self._clock.now()
        hour = now.replace(minute=0, second=0, microsecond=0)
        if hour != self._made_in:
            partitions.make_ahead(self._engine, now)
            self._made_in = hour


class FitUpkeep:
    """Once a day fits anew the facility power of sites whose curve is older than a week."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._done_on: date | None = None

    def run(self) -> int:
        """Fit what is due; return how many curves are new."""
        now = self._clock.now()
        if now.date() == self._done_on:
            return 0
        with reading(self._engine) as connection:
            due = store_facility.sites_to_fit(connection, now)
        fitted = sum(self._fit(site_id, now) for site_id in due)
        self._done_on = now.date()
        return fitted

    def _fit(self, site_id: SiteId, now: datetime) -> bool:
        with writing(self._engine) as connection:
            store_facility.note_weather(connection, site_id, now)
        try:
            with writing(self._engine) as connection:
                made = store_facility.fit_site(
                    connection, site_id, load_catalogue(), now, store_facility.UPKEEP
                )
        except Conflict as too_few:
            _LOG.info("no facility curve", extra={"site": site_id, "why": too_few.message})
            return False
        _LOG.info("facility curve fitted", extra={"site": site_id, "version": made.version})
        return True


class UpkeepLoop:
    """Keeps the record up on a thread of its own; any number of processes may do so."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._raw = RawUpkeep(engine, clock)
        self._parts = PartsUpkeep(engine, clock)
        self._fits = FitUpkeep(engine, clock)
        self._background = Background("telemetry-upkeep", every(EVERY_S, self._tick), join_s=JOIN_S)

    def start(self) -> None:
        """Start the thread; a second call changes nothing."""
        self._background.start()

    def stop(self) -> None:
        """End after the upkeep that runs."""
        self._background.stop()

    def _tick(self) -> None:
        try:
            self._parts.run()
            keep_up(self._engine, self._clock)
            self._fits.run()
            self._raw.run()
        except Exception:  # noqa: BLE001 - the outermost loop: logged, and tried again
            _LOG.exception("the upkeep of the energy record failed")
