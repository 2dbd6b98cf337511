"""The door to what was measured: take batches in, read what is known.

Every function takes a connection and leaves the transaction to its caller. ``ingest`` may be
repeated with the same batch for ever: the record changes once.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection, select, tuple_, update

from collectors import intake, quality, store_meters
from collectors.series_book import SeriesBook
from collectors.store_chunks import prune
from collectors.store_energy import EnergyFigure, energy_wh
from collectors.store_meters import EventKind, MeterEvent
from collectors.store_pue import AskedPue, pue, pues
from collectors.store_samples import insert_new
from collectors.store_sources import SourceState, source_states, take_listing, write_reports
from suanwang.clock import from_epoch_ms
from suanwang.db import samples
from suanwang.db.tables import meter, meter_state, series, telemetry_batch
from suanwang.errors import Conflict
from suanwang.model.batch import Readings, SeriesKey, TelemetryBatch
from suanwang.model.meter import Meter, MeterRole
from suanwang.model.network import Fact
from suanwang.model.reading import Quality

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

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """What became of a batch. ``refused`` says of what can never be taken, why.

    ``clock_skew_s`` is how far the agent's clock was ahead of the centre's when it sent,
    ``numbers`` are those of series that were not known from a batch before, and ``admitted`` the
    readings that were not refused, at their moments by the centre's clock; None of a repeat.
    """

    accepted: int
    duplicates: int
    refused: tuple[str, ...]
    is_repeat: bool
    clock_skew_s: float = 0.0
    numbers: Mapping[SeriesKey, int] = field(default_factory=dict)
    admitted: Readings | None = None


def ingest(
    connection: Connection,
    batch: TelemetryBatch,
    digest: str,
    now: datetime,
    book: SeriesBook | None = None,
) -> Ingested:
    """Take a batch into the record; raise Conflict where its id was used for another content.

    Once the transaction is committed, ``numbers`` of the answer may be kept in ``book``.
    """
    skew_s = (batch.sent_at - now).total_seconds()
    shift = quality.clock_shift(
        batch.sent_at, now, was_shifted=_was_shifted(connection, batch, now)
    )
    if not _claim(connection, batch, digest, now, shift):
        return Ingested(accepted=0, duplicates=len(batch.readings), refused=(), is_repeat=True)
    if abs(skew_s) > quality.SKEW_ALERT.total_seconds():
        _note_skew(connection, batch, now, skew_s, shift)
    taken = intake.take(connection, batch, now, shift, book or SeriesBook())
    write_reports(connection, batch.site_id, batch.reports)
    if batch.listing is not None:
        take_listing(connection, batch.site_id, batch.listing)
    return Ingested(
        accepted=taken.accepted,
        duplicates=len(batch.readings) - taken.accepted - taken.refused_rows,
        refused=taken.refused,
        is_repeat=False,
        clock_skew_s=skew_s,
        numbers=taken.numbers,
        admitted=taken.admitted,
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
