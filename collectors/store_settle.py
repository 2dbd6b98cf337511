"""Settling in the database: windows that the register alone does not say, and days that are over.

Everything here may be repeated at any time and in any number of processes: it computes the windows
of a meter's day from the raw readings and writes only what is different.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, and_, delete, func, or_, select, update

from collectors import quality
from collectors.accumulator import WINDOW_MS, WindowSum
from collectors.register import History
from collectors.settle import DAY_MS, Period, Settled, Source, settle
from collectors.store_meters import (
    histories,
    mark_hours,
    meter_from_row,
    series_of,
)
from collectors.store_newest import is_provisional
from collectors.store_samples import powers_between, registers_between
from suanwang.clock import from_epoch_ms, to_epoch_ms
from suanwang.db.tables import energy_due, energy_window, meter, meter_state
from suanwang.ids import MeterId
from suanwang.model.meter import CARRIER_UNITS, Meter, WindowState

DAYS_MAX: Final = 40
"""Most days of meters that one transaction computes: others wait to write meanwhile."""
SETTLE_AFTER_MS: Final = WINDOW_MS
"""A day is settled this long after its end: from then on no window of it waits for polls."""
REASON_SETTLED: Final = "settled with the whole day"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """What one step did: days computed, windows changed, and whether some had to wait."""

    days: int = 0
    windows: int = 0
    is_behind: bool = False


@dataclass(frozen=True, slots=True)
class _Day:
    """A day of one meter that must be computed, and why."""

    meter_id: str
    day_ms: int
    reason: str


def settle_due(connection: Connection, now: datetime) -> Upkeep:
    """Compute the days that were marked, and settle those that are over; the oldest first."""
    marked = [
        _Day(row.meter_id, to_epoch_ms(row.day_at), row.reason)
        for row in connection.execute(
            select(energy_due)
            .where(energy_due.c.not_before <= now)
            .order_by(energy_due.c.day_at, energy_due.c.meter_id)
            .limit(DAYS_MAX)
            .with_for_update(skip_locked=True)
        )
    ]
    # Marked days first: their meters are waited for in the order in which a batch locks them. Those
    # of days that are over are taken only where nobody holds them, so nobody waits in a ring.
    changed = _compute(connection, marked, now)
    over = _days_over(connection, now, DAYS_MAX - len(marked)) if len(marked) < DAYS_MAX else []
    changed += _compute(connection, over, now)
    for day in marked:
        connection.execute(
            delete(energy_due).where(
                energy_due.c.meter_id == day.meter_id,
                energy_due.c.day_at == from_epoch_ms(day.day_ms),
            )
        )
    return Upkeep(
        days=len(marked) + len(over),
        windows=changed,
        is_behind=len(marked) + len(over) >= DAYS_MAX,
    )


def finish(connection: Connection, now: datetime) -> int:
    """Call windows final whose day of grace is over; return how many became so."""
    return connection.execute(
        update(energy_window)
        .where(
            is_provisional(),
            energy_window.c.start_at <= now - quality.FINAL_AFTER - quality.WINDOW,
        )
        .values(state=WindowState.FINAL.value)
    ).rowcount


def _days_over(connection: Connection, now: datetime, most: int) -> list[_Day]:
    """Move each meter on past the days that are over; return those that the register can't say.

    A day needs nothing more where its windows are whole, from the register, and fine enough.
    """
    until_ms = to_epoch_ms(now) - SETTLE_AFTER_MS
    until_ms -= until_ms % DAY_MS
    rows = connection.execute(
        select(meter_state.c.meter_id, meter_state.c.settled_until_ms)
        .join(meter, meter.c.id == meter_state.c.meter_id)
        .where(
            meter_state.c.settled_until_ms < until_ms,
            or_(meter_state.c.at_ms.is_not(None), meter_state.c.power_at_ms.is_not(None)),
        )
        .order_by(meter_state.c.settled_until_ms, meter_state.c.meter_id)
        .limit(most)
        .with_for_update(of=meter, key_share=True, skip_locked=True)
    ).all()
    needy: list[_Day] = []
    for row in rows:
        low_ms = row.settled_until_ms or _first_day(connection, row.meter_id, until_ms)
        needy += [
            _Day(row.meter_id, day_ms, REASON_SETTLED)
            for day_ms in _needy_days(connection, row.meter_id, low_ms, until_ms)
        ]
        connection.execute(
            update(meter_state)
            .where(meter_state.c.meter_id == row.meter_id)
            .values(settled_until_ms=until_ms)
        )
    return needy


def _first_day(connection: Connection, meter_id: str, until_ms: int) -> int:
    first = connection.scalar(
        select(func.min(energy_window.c.start_at)).where(energy_window.c.meter_id == meter_id)
    )
    if first is None:
        return until_ms - DAY_MS
    first_ms = to_epoch_ms(first)
    return first_ms - first_ms % DAY_MS


def _needy_days(connection: Connection, meter_id: str, low_ms: int, high_ms: int) -> list[int]:
    """Return the days whose windows are not all whole, fine and from the register alone."""
    found = connection.execute(select(meter).where(meter.c.id == meter_id)).mappings().one()
    one = meter_from_row({str(key): value for key, value in found.items()})
    history = histories(connection, [one])[meter_id]
    windows = _stored(connection, meter_id, low_ms, high_ms)
    days = []
    for day in range(low_ms, high_ms, DAY_MS):
        least = quality.COUNTS_MIN * history.rules_at(day).count_mwh
        starts = range(day, day + DAY_MS, WINDOW_MS)
        if not all(start in windows and _is_plain(windows[start], least) for start in starts):
            days.append(day)
    return days


@dataclass(frozen=True, slots=True)
class _Kept:
    """The newest revision of a window."""

    settled: Settled
    revision: int


def _is_plain(kept: _Kept, least_mwh: int) -> bool:
    total, source = kept.settled
    return (
        source is Source.REGISTER
        and total.covered_ms == WINDOW_MS
        and total.energy_mwh >= least_mwh
    )


def _stored(connection: Connection, meter_id: str, low_ms: int, high_ms: int) -> dict[int, _Kept]:
    rows = connection.execute(
        select(energy_window)
        .where(
            energy_window.c.meter_id == meter_id,
            energy_window.c.start_at >= from_epoch_ms(low_ms),
            energy_window.c.start_at < from_epoch_ms(high_ms),
        )
        .order_by(energy_window.c.revision)
    )
    return {
        to_epoch_ms(row.start_at): _Kept(
            Settled(
                WindowSum(row.energy_mwh, row.covered_ms, row.interpolated_ms, row.estimated_ms),
                Source(row.source),
            ),
            row.revision,
        )
        for row in rows
    }


def _compute(connection: Connection, days: Sequence[_Day], now: datetime) -> int:
    """Compute days from the raw readings, each once; return how many windows changed."""
    reasons = {(day.meter_id, day.day_ms): day.reason for day in reversed(days)}
    if not reasons:
        return 0
    ids = sorted({MeterId(meter_id) for meter_id, _ in reasons})
    # Locked like a batch locks them, so that no reading is worked in meanwhile.
    rows = connection.execute(
        select(meter)
        .where(meter.c.id.in_(ids))
        .order_by(meter.c.id)
        .with_for_update(key_share=True)
    ).mappings()
    meters = {
        one.id: one for one in (meter_from_row({str(k): v for k, v in row.items()}) for row in rows)
    }
    known = histories(connection, meters.values())
    changed = 0
    for meter_id in ids:
        raw = _Raw(connection, meters[meter_id], known[meter_id])
        for day_ms in sorted(day for of, day in reasons if of == meter_id):
            changed += raw.write_day(day_ms, reasons[meter_id, day_ms], now)
    return changed


class _Raw:
    """The raw readings of one meter, and its windows."""

    def __init__(self, connection: Connection, one: Meter, history: History) -> None:
        self._connection = connection
        self._meter = one
        self._history = history
        numbers = series_of(connection, [one])[one.id]
        self._register_id = numbers.register
        self._power_id = numbers.power
        self._kept_from_ms = int(
            connection.scalar(
                select(meter_state.c.kept_from_ms).where(meter_state.c.meter_id == one.id)
            )
            or 0
        )

    def settled(self, low_ms: int, high_ms: int, now: datetime) -> dict[int, Settled]:
        """Return the windows of a period out of the raw readings."""
        unit = CARRIER_UNITS[self._meter.carrier].wh_per_unit
        connection = self._connection
        registers = registers_between(
            connection, self._register_id, low_ms, high_ms, wh_per_unit=unit
        )
        # A stretch that reaches over the end is judged whole, so its power is wanted whole.
        first = min(low_ms, registers[0].at_ms) if registers else low_ms
        last = max(high_ms, registers[-1].at_ms) if registers else high_ms
        powers = powers_between(connection, self._power_id, first, last)
        is_over = high_ms <= to_epoch_ms(now) - SETTLE_AFTER_MS
        return settle(self._history, registers, powers, Period(low_ms, high_ms, is_over))

    def write_day(self, day_ms: int, reason: str, now: datetime) -> int:
        """Bring the windows of a day of UTC up to date; return how many were different."""
        fresh = self.settled(day_ms, day_ms + DAY_MS, now)
        stored = _stored(self._connection, self._meter.id, day_ms, day_ms + DAY_MS)
        changed = 0
        for start in range(day_ms, day_ms + DAY_MS, WINDOW_MS):
            if start < self._kept_from_ms:
                continue
            changed += self._write(start, fresh.get(start), stored.get(start), reason, now)
        return changed

    def _write(
        self, start: int, fresh: Settled | None, old: _Kept | None, reason: str, now: datetime
    ) -> bool:
        settled = fresh or Settled(WindowSum(), Source.REGISTER)
        if old is None and fresh is None:
            return False
        if old is not None and old.settled == settled:
            return False
        end = from_epoch_ms(start + WINDOW_MS)
        is_new = old is None or now - end >= quality.FINAL_AFTER
        revision = 0 if old is None else old.revision + is_new
        total = settled.total
        row = {
            "meter_id": self._meter.id,
            "start_at": from_epoch_ms(start),
            "revision": revision,
            "energy_mwh": total.energy_mwh,
            "covered_ms": total.covered_ms,
            "interpolated_ms": total.interpolated_ms,
            "estimated_ms": total.estimated_ms,
            "quality": quality.parts_quality(
                total.covered_ms, total.interpolated_ms, total.estimated_ms
            ).value,
            "source": settled.source.value,
            "state": quality.window_state(end, revision, now).value,
            "reason": "" if old is None else reason,
            "updated_at": now,
        }
        self._put(row, is_new)
        hour = from_epoch_ms(start).replace(minute=0)
        mark_hours(self._connection, [(self._meter.site_id, hour)], reason)
        return True

    def _put(self, row: Mapping[str, object], is_new: bool) -> None:
        if is_new:
            self._connection.execute(energy_window.insert().values(**row))
            return
        self._connection.execute(
            update(energy_window)
            .where(
                and_(
                    energy_window.c.meter_id == row["meter_id"],
                    energy_window.c.start_at == row["start_at"],
                    energy_window.c.revision == row["revision"],
                )
            )
            .values(**row)
        )


def recompute(
    connection: Connection, meters: Iterable[Meter], low_ms: int, high_ms: int, now: datetime
) -> dict[str, dict[int, Settled]]:
    """Return the windows of meters out of the raw readings alone, without writing anything."""
    found = list(meters)
    known = histories(connection, found)
    return {
        one.id: _Raw(connection, one, known[one.id]).settled(low_ms, high_ms, now) for one in found
    }
