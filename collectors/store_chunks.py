"""Packing of raw samples whose hour is over, and forgetting those that are too old.

Both may be repeated, cut off at any moment, and done by several processes at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    MetaData,
    Row,
    Table,
    and_,
    bindparam,
    case,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from collectors import quality
from collectors.store_newest import is_provisional
from suanwang import chunk
from suanwang.chunk import Columns
from suanwang.clock import to_epoch_ms
from suanwang.db import partitions, samples
from suanwang.db.partitions import CHUNKS
from suanwang.db.tables import (
    energy_window,
    meter,
    meter_state,
    sample,
    sample_chunk,
    series,
    telemetry_batch,
)
from suanwang.model.meter import REGISTER_METRICS, WindowState

GRACE: Final = timedelta(minutes=10)
"""An hour is packed this long after its end: what comes later is merged into its chunk."""
SERIES_MAX: Final = 100
"""Most series of one transaction: others wait to write meanwhile."""
METER: Final = "meter:"
_STRAY_CHUNKS: Final = sample_chunk.to_metadata(MetaData(), name=CHUNKS.default)
"""On PostgreSQL the part of ``sample_chunk`` for days that have none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """What packing did."""

    samples: int = 0
    chunks: int = 0


def open_from_ms(now: datetime) -> int:
    """Return the moment from which on samples stay row by row."""
    return samples.hour_of(to_epoch_ms(now - GRACE))


class Span(NamedTuple):
    """Samples from ``low_ms`` up to ``high_ms``, which is left out, are packed."""

    low_ms: int
    high_ms: int


def closed_series(connection: Connection, span: Span) -> list[int]:
    """Return the series that have samples to pack."""
    return list(
        connection.scalars(
            select(sample.c.series_id)
            .where(sample.c.at_ms >= span.low_ms, sample.c.at_ms < span.high_ms)
            .distinct()
            .order_by(sample.c.series_id)
        )
    )


def pack(connection: Connection, series_ids: Sequence[int], span: Span) -> Packed:
    """Move the samples of these series in that time into their hours' chunks."""
    # Locked, so that two processes never merge into the same chunk.
    connection.execute(
        select(series.c.id)
        .where(series.c.id.in_(series_ids))
        .order_by(series.c.id)
        .with_for_update(key_share=True)
    ).all()
    # Deleting is the reading: a sample that comes in meanwhile is not deleted unread.
    rows = connection.execute(
        delete(sample)
        .where(
            sample.c.series_id.in_(series_ids),
            sample.c.at_ms >= span.low_ms,
            sample.c.at_ms < span.high_ms,
        )
        .returning(sample.c.series_id, sample.c.at_ms, sample.c.value, sample.c.quality)
    ).all()
    if not rows:
        return Packed()
    fresh = _by_hour(sorted(rows, key=lambda row: (row[0], row[1])))
    stored = _stored(connection, fresh)
    values = [
        _row(number, start_ms, chunk.merge(stored[number, start_ms], found))
        if (number, start_ms) in stored
        else _row(number, start_ms, found)
        for (number, start_ms), found in fresh.items()
    ]
    _put(connection, values)
    return Packed(samples=len(rows), chunks=len(values))


def _by_hour(rows: Sequence[Row[int, int, float, str]]) -> dict[tuple[int, int], Columns]:
    """Return samples, which are in order of series and time, by series and hour."""
    numbers = np.array([row[0] for row in rows], np.int64)
    whole = chunk.columns(
        [row[1] for row in rows], [row[2] for row in rows], [row[3] for row in rows]
    )
    hours = whole.at_ms - whole.at_ms % samples.HOUR_MS
    is_new = (np.diff(numbers) != 0) | (np.diff(hours) != 0)
    cuts = [0, *(np.flatnonzero(is_new) + 1).tolist(), len(rows)]
    return {
        (int(numbers[low]), int(hours[low])): Columns(
            whole.at_ms[low:high], whole.value[low:high], whole.quality[low:high]
        )
        for low, high in pairwise(cuts)
    }


def _stored(
    connection: Connection, fresh: dict[tuple[int, int], Columns]
) -> dict[tuple[int, int], Columns]:
    numbers = sorted({number for number, _ in fresh})
    hours = [start_ms for _, start_ms in fresh]
    rows = connection.execute(
        select(sample_chunk.c.series_id, sample_chunk.c.start_ms, sample_chunk.c.body).where(
            sample_chunk.c.series_id.in_(numbers),
            sample_chunk.c.start_ms >= min(hours),
            sample_chunk.c.start_ms <= max(hours),
        )
    )
    return {
        (number, start_ms): chunk.decode(body)
        for number, start_ms, body in rows
        if (number, start_ms) in fresh
    }


def _row(series_id: int, start_ms: int, found: Columns) -> dict[str, object]:
    return {
        "series_id": series_id,
        "start_ms": start_ms,
        "first_ms": int(found.at_ms[0]),
        "last_ms": int(found.at_ms[-1]),
        "samples": len(found),
        "body": chunk.encode(found),
    }


def _put(connection: Connection, values: Sequence[dict[str, object]]) -> None:
    is_postgresql = connection.dialect.name == "postgresql"
    insert = postgresql_insert(sample_chunk) if is_postgresql else sqlite_insert(sample_chunk)
    changed = {name: insert.excluded[name] for name in ("first_ms", "last_ms", "samples", "body")}
    connection.execute(
        insert.on_conflict_do_update(index_elements=["series_id", "start_ms"], set_=changed),
        list(values),
    )


_REGISTERS: Final = (
    select(series.c.id.label("series_id"), meter.c.id.label("meter_id"))
    .join_from(
        meter,
        series,
        and_(
            series.c.site_id == meter.c.site_id,
            series.c.metric.in_(sorted(REGISTER_METRICS)),
            series.c.subject == METER + meter.c.id,
        ),
    )
    .subquery()
)


def prune(connection: Connection, before: datetime) -> int:
    """Delete raw samples older than ``before``, settle old windows; return how many samples went.

    Of packed samples whole hours go. The last register reading before that moment stays, so that
    no energy is lost between it and the next one. Windows are never deleted. A reading older than
    what is kept is refused from then on, so ``before`` should leave as many days as a site may be
    cut off. Where packed samples lie in parts, ``drop_days`` has to follow.
    """
    before_ms = to_epoch_ms(before)
    _note_kept(connection, before_ms)
    deleted = _drop_packed(connection, before_ms) + _drop_loose(connection, before_ms)
    connection.execute(delete(telemetry_batch).where(telemetry_batch.c.received_at < before))
    connection.execute(
        update(energy_window)
        .where(
            is_provisional(),
            energy_window.c.start_at < before - quality.FINAL_AFTER,
        )
        .values(state=WindowState.FINAL.value)
    )
    return deleted


def _note_kept(connection: Connection, before_ms: int) -> None:
    """Write for each meter the last reading that stays although it is older."""
    kept: dict[str, int] = {}
    hour_ms = samples.hour_of(before_ms)
    for table, last, is_old in (
        (sample_chunk, sample_chunk.c.last_ms, sample_chunk.c.start_ms < hour_ms),
        (sample, sample.c.at_ms, sample.c.at_ms < before_ms),
    ):
        for meter_id, at_ms in connection.execute(
            select(_REGISTERS.c.meter_id, func.max(last))
            .join_from(table, _REGISTERS, _REGISTERS.c.series_id == table.c.series_id)
            .where(is_old)
            .group_by(_REGISTERS.c.meter_id)
        ):
            kept[meter_id] = max(at_ms, kept.get(meter_id, at_ms))
    if kept:
        later = meter_state.c.kept_from_ms > bindparam("anchor_ms")
        connection.execute(
            update(meter_state)
            .where(meter_state.c.meter_id == bindparam("key_meter_id"))
            .values(
                kept_from_ms=case((later, meter_state.c.kept_from_ms), else_=bindparam("anchor_ms"))
            ),
            [{"key_meter_id": meter_id, "anchor_ms": at_ms} for meter_id, at_ms in kept.items()],
        )


def drop_days(connection: Connection, before: datetime) -> int:
    """Drop whole days of packed samples that are older; return how many samples went.

    Only where they lie in parts: elsewhere ``prune`` has deleted them. The last register readings
    of those days stay row by row. To be called in ``partitions.changing``.
    """
    if not _is_in_own_parts(connection):
        return 0
    starts = partitions.over_before(connection, CHUNKS, before)
    if not starts:
        return 0
    partitions.take_turn(connection)
    end_ms = to_epoch_ms(CHUNKS.after(starts[-1]))
    is_old = and_(
        sample_chunk.c.start_ms >= to_epoch_ms(starts[0]), sample_chunk.c.start_ms < end_ms
    )
    dropped = connection.scalar(select(func.sum(sample_chunk.c.samples)).where(is_old)) or 0
    anchors = _anchors(connection, before, end_ms)
    partitions.lock_to_drop(connection, CHUNKS)
    if anchors:
        connection.execute(postgresql_insert(sample).on_conflict_do_nothing(), anchors)
    for start in starts:
        partitions.drop(connection, CHUNKS, start)
    return int(dropped) - len(anchors)


def _is_in_own_parts(connection: Connection) -> bool:
    is_postgresql = connection.dialect.name == "postgresql"
    return is_postgresql and partitions.may_change(connection, CHUNKS)


def _anchors(connection: Connection, before: datetime, end_ms: int) -> list[dict[str, object]]:
    """Return the last reading of each register that said nothing between ``end_ms`` and before."""
    hour_ms = samples.hour_of(to_epoch_ms(before))
    last = (
        select(sample_chunk.c.series_id, func.max(sample_chunk.c.start_ms).label("start_ms"))
        .join(_REGISTERS, _REGISTERS.c.series_id == sample_chunk.c.series_id)
        .where(sample_chunk.c.start_ms < hour_ms)
        .group_by(sample_chunk.c.series_id)
        .having(func.max(sample_chunk.c.start_ms) < end_ms)
        .subquery()
    )
    rows = connection.execute(
        select(sample_chunk.c.series_id, sample_chunk.c.body)
        .join(
            last,
            (last.c.series_id == sample_chunk.c.series_id)
            & (last.c.start_ms == sample_chunk.c.start_ms),
        )
        .where(sample_chunk.c.start_ms < end_ms)
    )
    return [
        {
            "series_id": number,
            "at_ms": int(found.at_ms[-1]),
            "value": float(found.value[-1]),
            "quality": found.qualities()[-1],
        }
        for number, body in rows
        for found in (chunk.decode(body),)
    ]


def _drop_packed(connection: Connection, before_ms: int) -> int:
    """Delete packed samples row by row: all old ones, or those that have no part of their own."""
    table = _STRAY_CHUNKS if _is_in_own_parts(connection) else sample_chunk
    hour_ms = samples.hour_of(before_ms)
    newer = sample_chunk.alias("newer")
    is_anchor_later = or_(
        _has(
            newer,
            newer.c.series_id == table.c.series_id,
            newer.c.start_ms > table.c.start_ms,
            newer.c.start_ms < hour_ms,
        ),
        _has(
            sample,
            sample.c.series_id == table.c.series_id,
            sample.c.at_ms > table.c.last_ms,
            sample.c.at_ms < before_ms,
        ),
    )
    gone = and_(table.c.start_ms < hour_ms, or_(_is_no_register(table), is_anchor_later))
    deleted = connection.scalar(select(func.sum(table.c.samples)).where(gone)) or 0
    connection.execute(delete(table).where(gone))
    return int(deleted)


def _drop_loose(connection: Connection, before_ms: int) -> int:
    newer = sample.alias("newer")
    is_anchor_later = or_(
        _has(
            newer,
            newer.c.series_id == sample.c.series_id,
            newer.c.at_ms > sample.c.at_ms,
            newer.c.at_ms < before_ms,
        ),
        _has(
            sample_chunk,
            sample_chunk.c.series_id == sample.c.series_id,
            sample_chunk.c.last_ms > sample.c.at_ms,
            sample_chunk.c.start_ms < samples.hour_of(before_ms),
        ),
    )
    return connection.execute(
        delete(sample).where(
            sample.c.at_ms < before_ms, or_(_is_no_register(sample), is_anchor_later)
        )
    ).rowcount


def _has(table: FromClause, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return select(table.c.series_id).where(*conditions).exists()


def _is_no_register(table: Table) -> ColumnElement[bool]:
    return table.c.series_id.not_in(select(_REGISTERS.c.series_id))
