"""One batch on its way into the record: its samples, what its registers add, and what power tells.

Rows stay columns. Only what a meter's register says becomes an object a reading, since each is
judged against the one before it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from collectors import store_samples, store_windows
from collectors.admission import SeriesFacts, judge, words
from collectors.register import Register
from collectors.series_book import SeriesBook
from collectors.settle import DAY_MS
from collectors.store_samples import SampleColumns
from collectors.store_windows import MeterRecord
from suanwang.model.batch import QUALITIES, Readings, SeriesKey, TelemetryBatch
from suanwang.model.meter import CARRIER_UNITS

METER: Final = "meter:"
POWER: Final = "power_w"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What was taken in of a batch, and the numbers of series that its transaction read.

    ``admitted`` are the rows that were not refused, at their moments by the centre's clock.
    """

    accepted: int
    refused: tuple[str, ...]
    refused_rows: int
    admitted: Readings
    numbers: dict[SeriesKey, int] = field(default_factory=dict)


def take(
    connection: Connection,
    batch: TelemetryBatch,
    now: datetime,
    shift: timedelta,
    book: SeriesBook,
) -> Taken:
    """Write samples, meter states and windows of a batch that is new."""
    readings = batch.readings
    meters = _Meters(connection, batch)
    facts = SeriesFacts(
        keys=readings.series, is_foreign=meters.is_foreign, kept_from_ms=meters.kept_from_ms
    )
    shift_ms = round(shift.total_seconds() * 1_000)
    judged = judge(readings.rows, facts, shift_ms, now)
    good = np.flatnonzero(judged.causes == 0)
    rows = readings.rows.taken(good)
    used = np.unique(rows.series).tolist()
    known = book.of(batch.site_id)
    fresh = {
        readings.series[place]: readings.labels.get(place, {})
        for place in used
        if readings.series[place] not in known
    }
    numbers = store_samples.series_ids(connection, batch.site_id, fresh) if fresh else {}
    number_of = np.zeros(len(readings.series), np.int64)
    for place in used:
        key = readings.series[place]
        number_of[place] = known[key] if key not in fresh else numbers[key]
    sorted_rows = _Sorted.of(
        SampleColumns(number_of[rows.series], judged.at_ms[good], rows.value, rows.quality)
    )
    meters.work_in(sorted_rows, {int(number_of[place]): place for place in used})
    meters.write(now)
    return Taken(
        accepted=store_samples.add_samples(connection, sorted_rows.first),
        refused=tuple(words(judged, facts, now)),
        refused_rows=len(readings) - len(good),
        admitted=replace(readings, rows=replace(rows, at_ms=judged.at_ms[good])),
        numbers=numbers,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Sorted:
    """Rows by series and moment: ``first`` has one of each moment, ``every`` also its repeats."""

    every: SampleColumns
    first: SampleColumns

    @classmethod
    def of(cls, rows: SampleColumns) -> "_Sorted":
        # Stable, so of equal moments the one that came first stays first.
        order = np.lexsort((rows.at_ms, rows.series_id))
        every = rows.taken(order)
        is_first = np.ones(len(order), np.bool_)
        is_first[1:] = (np.diff(every.series_id) != 0) | (np.diff(every.at_ms) != 0)
        return cls(every, every if is_first.all() else every.taken(is_first))


def _parts(
    rows: SampleColumns, wanted: Mapping[int, MeterRecord]
) -> Iterator[tuple[slice, MeterRecord]]:
    """Yield where the rows of each wanted series lie."""
    numbers = sorted(wanted)
    lows = np.searchsorted(rows.series_id, numbers, "left").tolist()
    highs = np.searchsorted(rows.series_id, numbers, "right").tolist()
    for number, low, high in zip(numbers, lows, highs, strict=True):
        yield slice(low, high), wanted[number]


class _Meters:
    """The meters that a batch is about."""

    def __init__(self, connection: Connection, batch: TelemetryBatch) -> None:
        self._connection = connection
        self._series = batch.readings.series
        of = {
            key.subject: _meter_ids(key.subject)
            for key in self._series
            if key.subject.startswith(METER)
        }
        self._records = store_windows.load_records(
            connection, batch.site_id, list({id_ for ids in of.values() for id_ in ids})
        )
        believed = {subject: self._believed(ids) for subject, ids in of.items()}
        self._own = {subject: self._records.get(ids[0]) for subject, ids in of.items()}
        count = len(self._series)
        self.is_foreign = np.zeros(count, np.bool_)
        self.kept_from_ms: NDArray[np.int64] = np.full(count, -(2**62), np.int64)
        for place, key in enumerate(self._series):
            if key.subject in of:
                record = believed[key.subject]
                self.is_foreign[place] = record is None
                self.kept_from_ms[place] = record.kept_from_ms if record else 0

    def _believed(self, ids: Sequence[str]) -> MeterRecord | None:
        """Return the meter of a subject, or that which it is a part of."""
        known = [self._records[id_] for id_ in ids if id_ in self._records]
        return known[0] if known else None

    def work_in(self, rows: _Sorted, places: dict[int, int]) -> None:
        """Take what each series tells of its meter: values of its register, or power."""
        registers: dict[int, MeterRecord] = {}
        powers: dict[int, MeterRecord] = {}
        for number, place in places.items():
            subject, metric = self._series[place]
            record = self._own.get(subject)
            if record is None:
                continue
            if metric == CARRIER_UNITS[record.meter.carrier].metric:
                record.series_id = number
                registers[number] = record
            elif metric == POWER:
                powers[number] = record
        # Power first: whether a meter has a register is what was known before this batch.
        for part, record in _parts(rows.first, powers):
            _note_power(record, rows.first.at_ms[part], rows.first.value[part])
        for part, record in _parts(rows.every, registers):
            found = _registers(record, rows.every, part)
            store_windows.take_registers(self._connection, record, found)

    def write(self, now: datetime) -> None:
        """Write windows and where each meter stands."""
        records = list(self._records.values())
        store_windows.write_windows(self._connection, records, now)
        store_windows.write_states(self._connection, records)


def _meter_ids(subject: str) -> tuple[str, ...]:
    """Return the meter's id; of a part such as ``pdu-7/outlet-12`` also that of the whole.

    A part that is no meter of its own is kept as plain samples beside the meter that it belongs to.
    """
    id_ = subject[len(METER) :]
    whole = id_.rpartition("/")[0]
    return (id_, whole) if whole else (id_,)


def _registers(record: MeterRecord, rows: SampleColumns, part: slice) -> list[Register]:
    """Return the values of a register in mWh (of water: in ml), as ``register_of`` gives each."""
    wh_per_unit = CARRIER_UNITS[record.meter.carrier].wh_per_unit
    mwh = np.rint(rows.value[part] * 1_000 * wh_per_unit).astype(np.int64)
    return [
        Register(at_ms, value, QUALITIES[code])
        for at_ms, value, code in zip(
            rows.at_ms[part].tolist(), mwh.tolist(), rows.quality[part].tolist(), strict=True
        )
    ]


def _note_power(record: MeterRecord, at_ms: NDArray[np.int64], watts: NDArray[np.float64]) -> None:
    """Take power in, its moments in order and none twice."""
    first, last = int(at_ms[0]), int(at_ms[-1])
    record.note_first(first)
    if record.newest is None or first < record.settled_until_ms:
        # Without a register power is all there is; and it may shape or fill days that are settled.
        due = at_ms if record.newest is None else at_ms[at_ms < record.settled_until_ms]
        record.due |= set(np.unique(due - due % DAY_MS).tolist())
    if record.power_at_ms is None or last > record.power_at_ms:
        record.power_w, record.power_at_ms = float(watts[-1]), last
