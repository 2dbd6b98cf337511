"""Raw samples as they lie: open hours row by row, hours that are over packed; read as one.

Whatever reads samples reads them here. Of a moment that is in both places the packed value counts:
it was there first.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from sqlalchemy import Connection, Row, Select, and_, func, select

from suanwang import chunk
from suanwang.chunk import Columns
from suanwang.db.tables import sample, sample_chunk, series

HOUR_MS: Final = 3_600_000
IDS_MAX: Final = 500
"""Most series in one IN list."""
FOREVER_MS: Final = 2**63 - 1
NOTHING: Final = chunk.columns([], [], [])

_ROW: Final = (sample.c.at_ms, sample.c.value, sample.c.quality)


def hour_of(at_ms: int) -> int:
    """Return the start of the hour."""
    return at_ms - at_ms % HOUR_MS


def read(connection: Connection, series_id: int, low_ms: int, high_ms: int) -> Columns:
    """Return the samples of a series from ``low_ms`` to ``high_ms``, both included, in order."""
    return read_many(connection, [series_id], low_ms, high_ms).get(series_id, NOTHING)


def read_many(
    connection: Connection, series_ids: Sequence[int], low_ms: int, high_ms: int
) -> dict[int, Columns]:
    """Return the samples of each of these series that has some in the period."""
    parts: defaultdict[int, list[Columns]] = defaultdict(list)
    for low in range(0, len(series_ids), IDS_MAX):
        piece = series_ids[low : low + IDS_MAX]
        packed = connection.execute(
            select(sample_chunk.c.series_id, sample_chunk.c.body)
            .where(
                sample_chunk.c.series_id.in_(piece),
                sample_chunk.c.start_ms >= hour_of(low_ms),
                sample_chunk.c.start_ms <= high_ms,
            )
            .order_by(sample_chunk.c.series_id, sample_chunk.c.start_ms)
        )
        for number, body in packed:
            parts[number].append(chunk.between(chunk.decode(body), low_ms, high_ms))
        loose: defaultdict[int, list[Row[int, int, float, str]]] = defaultdict(list)
        for row in connection.execute(
            select(sample.c.series_id, *_ROW)
            .where(
                sample.c.series_id.in_(piece), sample.c.at_ms >= low_ms, sample.c.at_ms <= high_ms
            )
            .order_by(sample.c.series_id, sample.c.at_ms)
        ):
            loose[row.series_id].append(row)
        for number, rows in loose.items():
            _, at_ms, value, quality = zip(*rows, strict=True)
            parts[number].append(chunk.columns(at_ms, value, quality))
    joined = ((number, join(found)) for number, found in parts.items())
    return {number: found for number, found in joined if len(found)}


def join(parts: Sequence[Columns]) -> Columns:
    """Return parts as one, in order of time; of one moment the value of the first part stays."""
    if len(parts) == 1:
        return parts[0]
    whole = Columns(
        np.concatenate([part.at_ms for part in parts]),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.quality for part in parts]),
    )
    is_in_order = bool((whole.at_ms[1:] > whole.at_ms[:-1]).all())
    return whole if is_in_order else chunk.merge(whole, NOTHING)


def around(
    connection: Connection, series_ids: Sequence[int], low_ms: int, high_ms: int
) -> dict[int, Columns]:
    """Return the samples of series between two moments, with one before and one after of each.

    However many series there are, they are read by the same few statements.
    """
    parts = (
        _neighbours(connection, series_ids, low_ms, is_before=True),
        read_many(connection, series_ids, low_ms, high_ms),
        _neighbours(connection, series_ids, high_ms, is_before=False),
    )
    found: dict[int, Columns] = {}
    for number in series_ids:
        known = [part[number] for part in parts if number in part]
        if known:
            found[number] = join(known)
    return found


def _neighbours(
    connection: Connection, series_ids: Sequence[int], at_ms: int, *, is_before: bool
) -> dict[int, Columns]:
    """Return of each series the last sample before a moment, or the first one after it."""
    found: dict[int, Columns] = {}
    for low in range(0, len(series_ids), IDS_MAX):
        piece = series_ids[low : low + IDS_MAX]
        for row in connection.execute(_nearest_loose(piece, at_ms, is_before)):
            found[row[0]] = chunk.columns([row[1]], [row[2]], [row[3]])
        for number, body in connection.execute(_nearest_packed(piece, at_ms, is_before)):
            # A series' hour before the moment ends in its last sample before it, and so after it.
            bounds = (0, at_ms - 1) if is_before else (at_ms + 1, FOREVER_MS)
            packed = chunk.between(chunk.decode(body), *bounds)
            both = join([packed, found.get(number, NOTHING)])
            found[number] = _last(both) if is_before else _first(both)
    return found


def _nearest_loose(
    series_ids: Sequence[int], at_ms: int, is_before: bool
) -> Select[int, int, float, str]:
    of = sample.alias("of")
    nearest = func.max(of.c.at_ms) if is_before else func.min(of.c.at_ms)
    beyond = of.c.at_ms < at_ms if is_before else of.c.at_ms > at_ms
    moment = (
        select(nearest)
        .where(of.c.series_id == series.c.id, beyond)
        .correlate(series)
        .scalar_subquery()
    )
    return (
        select(series.c.id, *_ROW)
        .join_from(
            series, sample, and_(sample.c.series_id == series.c.id, sample.c.at_ms == moment)
        )
        .where(series.c.id.in_(series_ids))
    )


def _nearest_packed(series_ids: Sequence[int], at_ms: int, is_before: bool) -> Select[int, bytes]:
    of = sample_chunk.alias("of")
    nearest = func.max(of.c.start_ms) if is_before else func.min(of.c.start_ms)
    # The start of the hour is told too: days that cannot hold it are not looked into.
    beyond = (
        and_(of.c.start_ms < at_ms, of.c.first_ms < at_ms)
        if is_before
        else and_(of.c.start_ms >= hour_of(at_ms), of.c.last_ms > at_ms)
    )
    hour = (
        select(nearest)
        .where(of.c.series_id == series.c.id, beyond)
        .correlate(series)
        .scalar_subquery()
    )
    return (
        select(series.c.id, sample_chunk.c.body)
        .join_from(
            series,
            sample_chunk,
            and_(sample_chunk.c.series_id == series.c.id, sample_chunk.c.start_ms == hour),
        )
        .where(series.c.id.in_(series_ids))
    )


def newest_packed_ms(connection: Connection) -> int:
    """Return the end of the newest hour that is packed of any series; 0 where none is."""
    start_ms = connection.scalar(select(func.max(sample_chunk.c.start_ms)))
    return 0 if start_ms is None else int(start_ms) + HOUR_MS


def _last(found: Columns) -> Columns:
    return chunk.between(found, int(found.at_ms[-1]), FOREVER_MS) if len(found) else NOTHING


def _first(found: Columns) -> Columns:
    return chunk.between(found, 0, int(found.at_ms[0])) if len(found) else NOTHING


def newest(connection: Connection, series_ids: Sequence[int]) -> dict[int, Columns]:
    """Return the last sample of each of these series that has any."""
    found: dict[int, Columns] = {}
    for low in range(0, len(series_ids), IDS_MAX):
        piece = series_ids[low : low + IDS_MAX]
        of = sample.alias("of")
        last = (
            select(func.max(of.c.at_ms))
            .where(of.c.series_id == series.c.id)
            .correlate(series)
            .scalar_subquery()
        )
        for number, *row in connection.execute(
            select(series.c.id, *_ROW)
            .join_from(
                series, sample, and_(sample.c.series_id == series.c.id, sample.c.at_ms == last)
            )
            .where(series.c.id.in_(piece))
        ):
            found[number] = chunk.columns(*([each] for each in row))
        # A late reading may lie row by row and yet be older than what is packed.
        for number, packed in _newest_packed(connection, piece):
            parts = [_last(packed), found.get(number, NOTHING)]
            found[number] = _last(join(parts))
    return found


def _newest_packed(
    connection: Connection, series_ids: Sequence[int]
) -> Iterator[tuple[int, Columns]]:
    of = sample_chunk.alias("of")
    last = (
        select(func.max(of.c.start_ms))
        .where(of.c.series_id == series.c.id)
        .correlate(series)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(series.c.id, sample_chunk.c.body)
        .join_from(
            series,
            sample_chunk,
            and_(sample_chunk.c.series_id == series.c.id, sample_chunk.c.start_ms == last),
        )
        .where(series.c.id.in_(series_ids))
    )
    for number, body in rows:
        yield number, chunk.decode(body)
