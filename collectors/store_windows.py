"""The energy record: what new register readings change in the 15-minute windows of their meters.

In-order readings only add to what is there. A late reading, or one that comes when its window is
already final, makes a new revision of each window that it changes; the older ones stay readable.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, bindparam, select, update

from collectors import accumulator, quality
from collectors.accumulator import WINDOW_MS, Accumulator, Taken, WindowSum
from collectors.register import History, Register, Segment
from collectors.settle import DAY_MS, Source
from collectors.store_meters import (
    METER_COLUMNS,
    EventKind,
    MeterEvent,
    add_states,
    histories,
    mark_due,
    mark_hours,
    meter_of,
    note_events,
)
from collectors.store_samples import chunks, registers_between
from suanwang.clock import from_epoch_ms, to_epoch_ms
from suanwang.db.tables import energy_window, meter, meter_state
from suanwang.ids import MeterId
from suanwang.model.meter import CARRIER_UNITS, Meter
from suanwang.model.reading import Quality

WINDOW: Final = timedelta(milliseconds=WINDOW_MS)
REASON_LATE: Final = "late readings"
REASON_FINAL: Final = "readings came after the window was final"
REASON_RAW: Final = "the register alone does not say it"


@dataclass(slots=True, kw_only=True)
class MeterRecord:
    """A meter, its state, and what a batch does to it. Counts are changes, not totals.

    ``odd`` are segments that did not simply advance, ``conflicts`` moments with two values, and
    ``due`` the days of UTC that must be computed from the raw readings, all in ms since 1970.
    """

    meter: Meter
    history: History
    has_state: bool = False
    series_id: int = 0
    newest: Register | None = None
    kept_from_ms: int = 0
    settled_until_ms: int = 0
    first_ms: int | None = None
    power_w: float | None = None
    power_at_ms: int | None = None
    tally: accumulator.Tally = field(default_factory=accumulator.Tally)
    changes: dict[int, WindowSum] = field(default_factory=dict)
    recomputed: dict[int, WindowSum] = field(default_factory=dict)
    late: set[int] = field(default_factory=set)
    odd: list[Segment] = field(default_factory=list)
    conflicts: list[int] = field(default_factory=list)
    due: set[int] = field(default_factory=set)

    def note_first(self, at_ms: int) -> None:
        """Note a reading that may be older than all before."""
        self.first_ms = at_ms if self.first_ms is None else min(self.first_ms, at_ms)


def load_records(
    connection: Connection, site_id: str, meter_ids: Sequence[str]
) -> dict[str, MeterRecord]:
    """Return the site's meters among ``meter_ids``, locked until the transaction ends."""
    pieces = [list(piece) for piece in chunks(sorted(meter_ids))]
    known: list[Meter] = []
    for piece in pieces:
        rows = connection.execute(
            select(*METER_COLUMNS)
            .where(meter.c.site_id == site_id, meter.c.id.in_(piece))
            .order_by(meter.c.id)
            .with_for_update(key_share=True)
        )
        known += [meter_of(*row) for row in rows]
    by_meter = histories(connection, known)
    records: dict[str, MeterRecord] = {
        one.id: MeterRecord(meter=one, history=by_meter[one.id]) for one in known
    }
    for piece in pieces:
        states = connection.execute(select(meter_state).where(meter_state.c.meter_id.in_(piece)))
        for state in states:
            if record := records.get(state.meter_id):
                record.has_state = True
                record.kept_from_ms = state.kept_from_ms
                record.settled_until_ms = state.settled_until_ms
                record.power_w, record.power_at_ms = state.power_w, state.power_at_ms
                record.first_ms = state.first_ms
                if state.at_ms is not None:
                    record.newest = Register(
                        state.at_ms, state.register_mwh, Quality(state.quality)
                    )
    return records


def take_registers(
    connection: Connection, record: MeterRecord, readings: Iterable[Register]
) -> tuple[Register, ...]:
    """Work readings of one meter into its record in memory; return those that are new.

    Of several at one moment the first wins. Readings before ``kept_from_ms`` must be left out.
    """
    fresh = sorted(readings, key=lambda register: register.at_ms)
    if fresh:
        record.note_first(fresh[0].at_ms)
    horizon = record.newest.at_ms if record.newest else -1
    late = [register for register in fresh if register.at_ms < horizon]
    new = _take_late(connection, record, late) if late else []
    current = Accumulator(record.history, [record.newest] if record.newest else [])
    new += [
        register
        for register in fresh
        if register.at_ms >= horizon and current.add(register) is Taken.NEW
    ]
    record.newest = current.newest
    _add_changes(record, current)
    return tuple(new)


def _take_late(
    connection: Connection, record: MeterRecord, late: Sequence[Register]
) -> list[Register]:
    """Compute the windows that late readings change anew, from the samples that are stored."""
    unit = CARRIER_UNITS[record.meter.carrier].wh_per_unit
    stored = registers_between(
        connection, record.series_id, late[0].at_ms, late[-1].at_ms, wh_per_unit=unit
    )
    past = Accumulator(record.history, list(stored))
    new = [register for register in late if past.add(register) is Taken.LATE]
    if past.late:
        low, high = min(past.late), max(past.late) + WINDOW_MS
        around = registers_between(connection, record.series_id, low, high, wh_per_unit=unit)
        whole = {*around, *new}
        sums = accumulator.windows(record.history, whole)
        # Of a window whose older samples are pruned only the change is known, not the whole.
        record.recomputed = {
            start: sums.get(start, WindowSum())
            for start in past.late
            if start >= record.kept_from_ms
        }
    _add_changes(record, past)
    return new


def _add_changes(record: MeterRecord, part: Accumulator) -> None:
    """Add what one accumulator found; what was computed anew is not counted twice."""
    record.late |= part.late
    record.odd += part.odd
    record.conflicts += part.conflicts
    for segment in part.odd:
        if not segment.is_known:
            record.due |= set(range(_day(segment.start_ms), segment.end_ms + 1, DAY_MS))
    for start, change in part.changes.items():
        if start not in part.late or start not in record.recomputed:
            record.changes[start] = _plus(record.changes.get(start, WindowSum()), change)
    record.tally.conflicts += part.tally.conflicts
    record.tally.resets += part.tally.resets
    record.tally.rollovers += part.tally.rollovers
    record.tally.rejected += part.tally.rejected


def _day(at_ms: int) -> int:
    return at_ms - at_ms % DAY_MS


def _plus(first: WindowSum, second: WindowSum) -> WindowSum:
    return WindowSum(
        first.energy_mwh + second.energy_mwh,
        first.covered_ms + second.covered_ms,
        first.interpolated_ms + second.interpolated_ms,
        first.estimated_ms + second.estimated_ms,
    )


@dataclass(frozen=True, slots=True)
class _Stored:
    """The newest revision of a window."""

    total: WindowSum
    revision: int
    source: Source
    reason: str


def write_windows(connection: Connection, records: Sequence[MeterRecord], now: datetime) -> None:
    """Bring the windows of all records up to date, with a new revision where history changes."""
    inserts: list[dict[str, object]] = []
    updates: list[dict[str, object]] = []
    changed = [record for record in records if record.changes or record.recomputed]
    stored = _load_windows(connection, changed)
    for record in changed:
        for start in sorted(record.changes.keys() | record.recomputed.keys()):
            old = stored.get((record.meter.id, start))
            if old and old.source is not Source.REGISTER:
                # Not only the register's: what is new is worked in from the raw readings.
                record.due.add(_day(start))
                continue
            row, is_new = _next_row(record, start, old, now)
            if row:
                (inserts if is_new else updates).append(row)
    if inserts:
        connection.execute(energy_window.insert(), inserts)
    if updates:
        connection.execute(_UPDATE, updates)
    _note(connection, records, [*inserts, *updates], now)


def _note(
    connection: Connection,
    records: Sequence[MeterRecord],
    rows: Sequence[Mapping[str, object]],
    now: datetime,
) -> None:
    """Say which hours of which sites changed, which days are due, and what was odd."""
    sites = {record.meter.id: record.meter.site_id for record in records}
    hours = set()
    for row in rows:
        start = row["start_at"] if "start_at" in row else row["key_start_at"]
        meter_id = row["meter_id"] if "meter_id" in row else row["key_meter_id"]
        assert isinstance(start, datetime)
        assert isinstance(meter_id, str)
        hours.add((sites[MeterId(meter_id)], start.replace(minute=0)))
    mark_hours(connection, sorted(hours), REASON_LATE if any(r.late for r in records) else "")
    for record in records:
        for day in sorted(record.due):
            mark_due(connection, record.meter.id, day, day, REASON_RAW, _not_before(record))
        note_events(connection, _events(record), now)


def _not_before(record: MeterRecord) -> datetime:
    """A meter without a register is computed once a window, when its last polls are in."""
    if record.newest is not None or record.power_at_ms is None:
        return from_epoch_ms(0)
    end = from_epoch_ms(accumulator.window_start(record.power_at_ms) + WINDOW_MS)
    return end + quality.POLLS_WAITED * timedelta(seconds=record.meter.poll_s) + quality.WAITED


def _events(record: MeterRecord) -> Iterator[MeterEvent]:
    subject = f"meter:{record.meter.id}"
    for segment in record.odd:
        yield MeterEvent(
            site_id=record.meter.site_id,
            subject=subject,
            kind=EventKind(segment.step.value),
            at=from_epoch_ms(segment.start_ms),
            until=from_epoch_ms(segment.end_ms),
            facts={"energy_mwh": segment.energy_mwh},
        )
    for at_ms in record.conflicts:
        yield MeterEvent(
            site_id=record.meter.site_id,
            subject=subject,
            kind=EventKind.CONFLICT,
            at=from_epoch_ms(at_ms),
        )


_UPDATE: Final = (
    update(energy_window)
    .where(
        energy_window.c.meter_id == bindparam("key_meter_id"),
        energy_window.c.start_at == bindparam("key_start_at"),
        energy_window.c.revision == bindparam("key_revision"),
    )
    .values(
        {
            name: bindparam(name)
            for name in (
                "energy_mwh",
                "covered_ms",
                "interpolated_ms",
                "estimated_ms",
                "quality",
                "source",
                "state",
                "reason",
                "updated_at",
            )
        }
    )
)


def _next_row(
    record: MeterRecord, start: int, old: _Stored | None, now: datetime
) -> tuple[dict[str, object], bool]:
    """Return the row to write (empty: nothing changes) and whether it is a row of its own."""
    before = old.total if old else WindowSum()
    base = record.recomputed.get(start, before)
    total = _plus(base, record.changes.get(start, WindowSum()))
    if total == before:
        return {}, False
    end = from_epoch_ms(start + WINDOW_MS)
    reason, revision, is_new = "", 0, True
    if old:
        is_new = now - end >= quality.FINAL_AFTER
        revision = old.revision + is_new
        if start in record.late:
            reason = REASON_LATE
        elif is_new:
            reason = REASON_FINAL
    row: dict[str, object] = {
        "energy_mwh": total.energy_mwh,
        "covered_ms": total.covered_ms,
        "interpolated_ms": total.interpolated_ms,
        "estimated_ms": total.estimated_ms,
        "quality": quality.parts_quality(
            total.covered_ms, total.interpolated_ms, total.estimated_ms
        ).value,
        "source": Source.REGISTER.value,
        "state": quality.window_state(end, revision, now).value,
        "reason": reason or (old.reason if old else ""),
        "updated_at": now,
    }
    prefix = "" if is_new else "key_"
    row |= {
        f"{prefix}meter_id": record.meter.id,
        f"{prefix}start_at": from_epoch_ms(start),
        f"{prefix}revision": revision,
    }
    return row, is_new


def _load_windows(
    connection: Connection, records: Sequence[MeterRecord]
) -> dict[tuple[str, int], _Stored]:
    """Return the newest revision of every window that the records touch."""
    by_range: dict[tuple[int, int], list[str]] = {}
    for record in records:
        starts = record.changes.keys() | record.recomputed.keys()
        by_range.setdefault((min(starts), max(starts)), []).append(record.meter.id)
    found: dict[tuple[str, int], _Stored] = {}
    for (low, high), meter_ids in by_range.items():
        for piece in chunks(meter_ids):
            rows = connection.execute(
                select(energy_window)
                .where(
                    energy_window.c.meter_id.in_(piece),
                    energy_window.c.start_at >= from_epoch_ms(low),
                    energy_window.c.start_at <= from_epoch_ms(high),
                )
                .order_by(energy_window.c.revision)
            )
            for row in rows:
                total = WindowSum(
                    row.energy_mwh, row.covered_ms, row.interpolated_ms, row.estimated_ms
                )
                found[row.meter_id, to_epoch_ms(row.start_at)] = _Stored(
                    total, row.revision, Source(row.source), row.reason
                )
    return found


_STATE_VALUES: Final = {
    "at_ms": bindparam("at_ms"),
    "first_ms": bindparam("first_ms"),
    "register_mwh": bindparam("register_mwh"),
    "quality": bindparam("quality"),
    "power_w": bindparam("power_w"),
    "power_at_ms": bindparam("power_at_ms"),
    "conflicts": meter_state.c.conflicts + bindparam("new_conflicts"),
    "resets": meter_state.c.resets + bindparam("new_resets"),
    "rollovers": meter_state.c.rollovers + bindparam("new_rollovers"),
    "rejected": meter_state.c.rejected + bindparam("new_rejected"),
}


def write_states(connection: Connection, records: Sequence[MeterRecord]) -> None:
    """Write where each meter stands."""
    if not records:
        return
    add_states(connection, [record.meter.id for record in records if not record.has_state])
    connection.execute(
        update(meter_state)
        .where(meter_state.c.meter_id == bindparam("key_meter_id"))
        .values(_STATE_VALUES),
        [
            {
                "key_meter_id": record.meter.id,
                "at_ms": record.newest.at_ms if record.newest else None,
                "first_ms": record.first_ms,
                "register_mwh": record.newest.mwh if record.newest else None,
                "quality": (record.newest.quality if record.newest else Quality.MISSING).value,
                "power_w": record.power_w,
                "power_at_ms": record.power_at_ms,
                "new_conflicts": record.tally.conflicts,
                "new_resets": record.tally.resets,
                "new_rollovers": record.tally.rollovers,
                "new_rejected": record.tally.rejected,
            }
            for record in records
        ],
    )
