"""The door to what was measured: take batches in, read what is known.

Every function takes a connection and leaves the transaction to its caller. ``ingest`` may be
repeated with the same batch for ever: the record changes once.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, select, tuple_, update

from collectors import quality, store_meters, store_samples, store_windows
from collectors.register import Register
from collectors.settle import DAY_MS
from collectors.store_chunks import prune
from collectors.store_energy import EnergyFigure, energy_wh
from collectors.store_meters import EventKind, MeterEvent
from collectors.store_pue import AskedPue, pue, pues
from collectors.store_samples import SampleRow, insert_new
from collectors.store_windows import MeterRecord
from suanwang.clock import from_epoch_ms, to_epoch_ms
from suanwang.db import samples
from suanwang.db.tables import meter, meter_state, series, source_state, telemetry_batch
from suanwang.errors import Conflict
from suanwang.model.meter import CARRIER_UNITS, Meter, MeterRole
from suanwang.model.network import Fact
from suanwang.model.reading import Quality, Reading, SourceReport, TelemetryBatch

__all__ = [
    "AskedPue",
    "EnergyFigure",
    "Ingested",
    "SourceState",
    "energy_wh",
    "ingest",
    "latest",
    "prune",
    "pue",
    "pues",
    "register_meters",
    "site_power",
    "source_states",
]

METER: Final = "meter:"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """What became of a batch. ``refused`` says of each reading that can never be taken, why.

    ``clock_skew_s`` is how far the agent's clock was ahead of the centre's when it sent.
    ``admitted`` are the readings that were not refused, at their moments by the centre's clock; of
    a repeat none.
    """

    accepted: int
    duplicates: int
    refused: tuple[str, ...]
    is_repeat: bool
    clock_skew_s: float = 0.0
    admitted: tuple[Reading, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """A source's last word about itself; ``up_at`` is the last poll that succeeded."""

    source: str
    is_up: bool
    duration_s: float
    readings: int
    error: str
    polled_at: datetime
    up_at: datetime | None


def ingest(connection: Connection, batch: TelemetryBatch, digest: str, now: datetime) -> Ingested:
    """Take a batch into the record; raise Conflict where its id was used for another content."""
    skew_s = (batch.sent_at - now).total_seconds()
    shift = quality.clock_shift(
        batch.sent_at, now, was_shifted=_was_shifted(connection, batch, now)
    )
    if not _claim(connection, batch, digest, now, shift):
        return Ingested(accepted=0, duplicates=len(batch.readings), refused=(), is_repeat=True)
    if abs(skew_s) > quality.SKEW_ALERT.total_seconds():
        _note_skew(connection, batch, now, skew_s, shift)
    intake = _Intake(connection, batch, now, shift)
    accepted = intake.take()
    _write_reports(connection, batch.site_id, batch.reports)
    return Ingested(
        accepted=accepted,
        duplicates=len(batch.readings) - accepted - len(intake.refused),
        refused=tuple(intake.refused),
        is_repeat=False,
        clock_skew_s=skew_s,
        admitted=intake.admitted,
    )


def _was_shifted(connection: Connection, batch: TelemetryBatch, now: datetime) -> bool:
    """Whether the site's clock was wrong when it sent last; asked only where it matters."""
    if abs(batch.sent_at - now) <= quality.SKEW_RIGHT:
        return False
    last = connection.scalar(
        select(telemetry_batch.c.shift_ms)
        .where(telemetry_batch.c.site_id == batch.site_id)
        .order_by(telemetry_batch.c.received_at.desc())
        .limit(1)
    )
    return bool(last)


def _note_skew(
    connection: Connection, batch: TelemetryBatch, now: datetime, skew_s: float, shift: timedelta
) -> None:
    """Tell of a clock that is wrong, once an hour."""
    _log.warning("clock differs", extra={"site": batch.site_id, "skew_s": round(skew_s, 1)})
    hour = now.replace(minute=0, second=0, microsecond=0)
    facts = {"skew_s": round(skew_s, 1), "shift_s": shift.total_seconds()}
    event = MeterEvent(
        site_id=batch.site_id, subject="agent", kind=EventKind.CLOCK, at=hour, facts=facts
    )
    store_meters.note_events(connection, [event], now)


def _claim(
    connection: Connection, batch: TelemetryBatch, digest: str, now: datetime, shift: timedelta
) -> bool:
    """Whether the batch is new; its id is ours from here on."""
    result = connection.execute(
        insert_new(connection, telemetry_batch).values(
            id=batch.id,
            site_id=batch.site_id,
            digest=digest,
            sent_at=batch.sent_at,
            received_at=now,
            shift_ms=round(shift.total_seconds() * 1000),
            readings=len(batch.readings),
        )
    )
    if result.rowcount:
        return True
    known = connection.execute(
        select(telemetry_batch.c.site_id, telemetry_batch.c.digest).where(
            telemetry_batch.c.id == batch.id
        )
    ).one()
    if known.site_id != batch.site_id or known.digest != digest:
        raise Conflict(
            f"telemetry batch {batch.id} is in the record with another content",
            next_step="draw a new id for each batch",
            batch=batch.id,
        )
    return False


class _Intake:
    """One batch on its way into the record."""

    def __init__(
        self, connection: Connection, batch: TelemetryBatch, now: datetime, shift: timedelta
    ) -> None:
        self._connection = connection
        self._batch = batch
        self._now = now
        self._shift = shift
        self._meters: dict[str, MeterRecord] = {}
        self.refused: list[str] = []
        self.admitted: tuple[Reading, ...] = ()

    def take(self) -> int:
        """Write samples, meter states and windows; return how many readings were new."""
        told = self._batch.readings
        if self._shift:
            told = tuple(replace(reading, at=reading.at + self._shift) for reading in told)
        subjects = self._subjects()
        readings = [reading for reading in told if self._admit(reading, subjects[reading.subject])]
        self.admitted = tuple(readings)
        numbers = store_samples.series_ids(self._connection, self._batch.site_id, readings)
        rows: dict[tuple[int, int], SampleRow] = {}
        registers: dict[str, list[Register]] = {}
        for reading in readings:
            row = SampleRow(
                to_epoch_ms(reading.at),
                numbers[reading.subject, reading.metric],
                float(reading.value),
                reading.quality.value,
            )
            record = subjects[reading.subject].own
            if record is not None:
                self._work_in(record, reading, row, registers)
            rows.setdefault((row.series_id, row.at_ms), row)
        self._accumulate(registers)
        return store_samples.add_samples(self._connection, list(rows.values()))

    def _subjects(self) -> dict[str, "_Subject"]:
        """Return what each subject is, once: a batch names each of them many times."""
        names = {reading.subject for reading in self._batch.readings}
        ids = {name: _meter_ids(name) for name in names if name.startswith(METER)}
        self._meters = store_windows.load_records(
            self._connection, self._batch.site_id, list({id_ for of in ids.values() for id_ in of})
        )
        subjects = dict.fromkeys(names, _NO_METER)
        for name, of in ids.items():
            known = [self._meters[id_] for id_ in of if id_ in self._meters]
            subjects[name] = _Subject(
                is_meter=True,
                believed=known[0] if known else None,
                own=self._meters.get(of[0]),
            )
        return subjects

    def _work_in(
        self,
        record: MeterRecord,
        reading: Reading,
        row: SampleRow,
        registers: dict[str, list[Register]],
    ) -> None:
        """Take what a reading tells of its meter: a value of its register, or power."""
        unit = CARRIER_UNITS[record.meter.carrier]
        if reading.metric == unit.metric:
            record.series_id = row.series_id
            register = store_samples.register_of(row, unit.wh_per_unit)
            registers.setdefault(record.meter.id, []).append(register)
        elif reading.metric == "power_w":
            _note_power(record, row)

    def _admit(self, reading: Reading, subject: "_Subject") -> bool:
        reason = quality.refusal_of(reading, self._now)
        if not reason and subject.is_meter:
            if subject.believed is None:
                reason = f"{reading.subject}: no such meter at site {self._batch.site_id}"
            elif to_epoch_ms(reading.at) < subject.believed.kept_from_ms:
                reason = f"{reading.subject}: {reading.at.isoformat()} is before the raw record"
        if reason:
            self.refused.append(reason)
        return not reason

    def _accumulate(self, registers: Mapping[str, Sequence[Register]]) -> None:
        for meter_id, found in registers.items():
            store_windows.take_registers(self._connection, self._meters[meter_id], found)
        records = list(self._meters.values())
        store_windows.write_windows(self._connection, records, self._now)
        store_windows.write_states(self._connection, records)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """A subject of a batch: ``own`` is its meter, ``believed`` that or what it is a part of."""

    is_meter: bool = False
    believed: MeterRecord | None = None
    own: MeterRecord | None = None


_NO_METER: Final = _Subject()


def _meter_ids(subject: str) -> tuple[str, ...]:
    """Return the meter's id; of a part such as ``pdu-7/outlet-12`` also that of the whole.

    A part that is no meter of its own is kept as plain samples beside the meter that it belongs to.
    """
    id_ = subject[len(METER) :]
    whole = id_.rpartition("/")[0]
    return (id_, whole) if whole else (id_,)


def _note_power(record: MeterRecord, row: SampleRow) -> None:
    record.note_first(row.at_ms)
    if record.newest is None or row.at_ms < record.settled_until_ms:
        # Without a register power is all there is; and it may shape or fill days that are settled.
        record.due.add(row.at_ms - row.at_ms % DAY_MS)
    if record.power_at_ms is None or row.at_ms > record.power_at_ms:
        record.power_w, record.power_at_ms = row.value, row.at_ms


def _write_reports(connection: Connection, site_id: str, reports: Sequence[SourceReport]) -> None:
    """Keep the newest word of each source, and when it was last up."""
    if not reports:
        return
    known = {
        row.source: row
        for row in connection.execute(
            select(source_state).where(source_state.c.site_id == site_id).with_for_update()
        )
    }
    rows: dict[str, dict[str, object]] = {}
    newest = {source: row.polled_at for source, row in known.items()}
    up_at = {source: row.up_at for source, row in known.items()}
    for report in sorted(reports, key=lambda each: each.at):
        if report.is_up:
            up_at[report.source] = max(up_at.get(report.source) or report.at, report.at)
        if report.source in newest and report.at < newest[report.source]:
            continue
        newest[report.source] = report.at
        rows[report.source] = {
            "site_id": site_id,
            "source": report.source,
            "is_up": report.is_up,
            "duration_s": report.duration_s,
            "readings": report.readings,
            "error": report.error,
            "polled_at": report.at,
            "up_at": up_at.get(report.source),
        }
    old = list(rows.keys() & known.keys())
    for piece in store_samples.chunks(old):
        connection.execute(
            delete(source_state).where(
                source_state.c.site_id == site_id, source_state.c.source.in_(piece)
            )
        )
    if rows:
        connection.execute(source_state.insert(), list(rows.values()))


def register_meters(connection: Connection, meters: Sequence[Meter]) -> None:
    """Write meters or what changed of them; raise Conflict for one that is another site's."""
    for each in meters:
        values = {
            "site_id": each.site_id,
            "name": each.name,
            "role": each.role.value,
            "category": each.category.value,
            "carrier": each.carrier.value,
            "rated_w": each.rated_w,
            "resolution_wh": each.resolution_wh,
            "modulus_wh": each.modulus_wh,
            "poll_s": each.poll_s,
        }
        connection.execute(insert_new(connection, meter).values(id=each.id, **values))
        result = connection.execute(
            update(meter)
            .where(meter.c.id == each.id, meter.c.site_id == each.site_id)
            .values(values)
        )
        if not result.rowcount:
            raise Conflict(
                f"meter {each.id} belongs to another site than {each.site_id}",
                next_step="give the meter an id of its own",
                meter=each.id,
            )
    store_meters.add_states(connection, [each.id for each in meters])


def latest(
    connection: Connection, site_id: str, names: Sequence[tuple[str, str]] | None = None
) -> dict[tuple[str, str], Fact]:
    """Return the newest sample of series of a site by (subject, metric); None asks for all."""
    wanted = select(series.c.id, series.c.subject, series.c.metric).where(
        series.c.site_id == site_id
    )
    if names is not None:
        wanted = wanted.where(tuple_(series.c.subject, series.c.metric).in_(names))
    numbers = {row.id: (row.subject, row.metric) for row in connection.execute(wanted)}
    newest = samples.newest(connection, list(numbers))
    return {
        numbers[number]: Fact(
            value=float(found.value[-1]),
            at=from_epoch_ms(int(found.at_ms[-1])),
            quality=Quality(found.qualities()[-1]),
        )
        for number, found in newest.items()
    }


def site_power(connection: Connection, site_id: str) -> tuple[Fact, Fact]:
    """Return IT power and facility power of a site, W, as old as the oldest meter's reading.

    Where some meters of a role never told their power the sum is an estimate; where none did it is
    missing.
    """
    rows = connection.execute(
        select(meter.c.role, meter_state.c.power_w, meter_state.c.power_at_ms)
        .outerjoin(meter_state, meter_state.c.meter_id == meter.c.id)
        .where(meter.c.site_id == site_id)
    ).all()
    powers = {
        role: [(row.power_w, row.power_at_ms) for row in rows if row.role == role.value]
        for role in (MeterRole.IT, MeterRole.FACILITY)
    }
    return _power_fact(powers[MeterRole.IT]), _power_fact(powers[MeterRole.FACILITY])


def _power_fact(powers: Sequence[tuple[float | None, int | None]]) -> Fact:
    known = [(power, at) for power, at in powers if power is not None and at is not None]
    if not known:
        return Fact(value=0.0, at=None, quality=Quality.MISSING)
    is_whole = len(known) == len(powers)
    return Fact(
        value=sum(power for power, _ in known),
        at=from_epoch_ms(min(at for _, at in known)),
        quality=Quality.MEASURED if is_whole else Quality.ESTIMATED,
    )


def source_states(connection: Connection, site_id: str) -> tuple[SourceState, ...]:
    """Return every source of a site with its last word, by name."""
    rows = connection.execute(
        select(source_state)
        .where(source_state.c.site_id == site_id)
        .order_by(source_state.c.source)
    )
    return tuple(
        SourceState(
            source=row.source,
            is_up=row.is_up,
            duration_s=row.duration_s,
            readings=row.readings,
            error=row.error,
            polled_at=row.polled_at,
            up_at=row.up_at,
        )
        for row in rows
    )
