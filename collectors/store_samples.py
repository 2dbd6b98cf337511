"""Raw samples and the names of their series; the first value of a moment stays."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeVar

from sqlalchemy import (
    BigInteger,
    Connection,
    Double,
    Insert,
    Table,
    Text,
    bindparam,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from collectors.power import Power
from collectors.register import Register
from suanwang import chunk
from suanwang.chunk import Columns
from suanwang.db import samples
from suanwang.db.tables import sample, sample_chunk, series
from suanwang.model.reading import Quality, Reading

_Item = TypeVar("_Item")

COUNTED: Final = {"preserve_rowcount": True}
"""Without this option the number of rows that an INSERT wrote is not told on every database."""
CHUNK: Final = 500
"""Most values in one IN list."""


class SampleRow(NamedTuple):
    """A raw sample as stored. A named tuple, since a batch holds tens of thousands."""

    at_ms: int
    series_id: int
    value: float
    quality: str


def insert_new(connection: Connection, table: Table) -> Insert:
    """Return an insert that leaves existing rows as they are."""
    if connection.dialect.name == "postgresql":
        return postgresql_insert(table).on_conflict_do_nothing().execution_options(**COUNTED)
    return sqlite_insert(table).on_conflict_do_nothing().execution_options(**COUNTED)


def chunks(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """Cut a sequence into pieces that fit into one statement."""
    return (items[low : low + CHUNK] for low in range(0, len(items), CHUNK))


def series_ids(
    connection: Connection, site_id: str, readings: Iterable[Reading]
) -> dict[tuple[str, str], int]:
    """Return the number of each (subject, metric) at a site, naming new series on the way."""
    wanted: dict[tuple[str, str], Reading] = {}
    for reading in readings:
        wanted.setdefault((reading.subject, reading.metric), reading)
    found = _find_series(connection, site_id, list(wanted))
    fresh = [wanted[name] for name in wanted if name not in found]
    if fresh:
        connection.execute(
            insert_new(connection, series),
            [
                {
                    "site_id": site_id,
                    "subject": reading.subject,
                    "metric": reading.metric,
                    "labels": dict(reading.labels),
                }
                for reading in fresh
            ],
        )
        found |= _find_series(connection, site_id, [(r.subject, r.metric) for r in fresh])
    return found


def _find_series(
    connection: Connection, site_id: str, names: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    # By subject alone: the few metrics of a subject cost less than a list of pairs.
    for piece in chunks(sorted({subject for subject, _ in names})):
        rows = connection.execute(
            select(series.c.subject, series.c.metric, series.c.id).where(
                series.c.site_id == site_id, series.c.subject.in_(piece)
            )
        )
        found |= {(subject, metric): number for subject, metric, number in rows}
    return found


def add_samples(connection: Connection, rows: Sequence[SampleRow]) -> int:
    """Write samples that are not there yet; return how many were new."""
    rows = _not_packed(connection, rows)
    if not rows:
        return 0
    if connection.dialect.name == "postgresql":
        return _add_arrays(connection, rows)
    # Straight to the driver: for tens of thousands of rows the way through SQLAlchemy costs twice.
    cursor = connection.exec_driver_sql(_ADD_SQLITE, [tuple(row) for row in rows])
    return int(cursor.rowcount)


_ADD_SQLITE: Final = (
    "INSERT INTO sample (at_ms, series_id, value, quality) VALUES (?, ?, ?, ?)"
    " ON CONFLICT DO NOTHING"
)


def _not_packed(connection: Connection, rows: Sequence[SampleRow]) -> list[SampleRow]:
    """Leave out samples whose moment is in a packed hour already."""
    packed_ms = samples.newest_packed_ms(connection) if rows else 0
    old: dict[int, set[int]] = {}
    for row in rows:
        if row.at_ms < packed_ms:
            old.setdefault(samples.hour_of(row.at_ms), set()).add(row.series_id)
    known = {
        (number, at_ms)
        for hour_ms, numbers in old.items()
        for number, at_ms in _packed_moments(connection, hour_ms, sorted(numbers))
    }
    return [row for row in rows if (row.series_id, row.at_ms) not in known] if old else list(rows)


def _packed_moments(
    connection: Connection, hour_ms: int, numbers: Sequence[int]
) -> Iterator[tuple[int, int]]:
    for piece in chunks(numbers):
        for number, body in connection.execute(
            select(sample_chunk.c.series_id, sample_chunk.c.body).where(
                sample_chunk.c.start_ms == hour_ms, sample_chunk.c.series_id.in_(piece)
            )
        ):
            for at_ms in chunk.decode(body).at_ms.tolist():
                yield number, at_ms


def _add_arrays(connection: Connection, rows: Sequence[SampleRow]) -> int:
    """One statement for the whole batch: four arrays, which PostgreSQL unfolds into rows."""
    columns = ("at_ms", "series_id", "value", "quality")
    unfolded = select(
        func.unnest(bindparam("at_ms", type_=ARRAY(BigInteger))).label("at_ms"),
        func.unnest(bindparam("series_id", type_=ARRAY(BigInteger))).label("series_id"),
        func.unnest(bindparam("value", type_=ARRAY(Double))).label("value"),
        func.unnest(bindparam("quality", type_=ARRAY(Text))).label("quality"),
    )
    statement = postgresql_insert(sample).from_select(list(columns), unfolded)
    values = [list(column) for column in zip(*rows, strict=True)]
    result = connection.execute(
        statement.on_conflict_do_nothing(),
        dict(zip(columns, values, strict=True)),
        execution_options=COUNTED,
    )
    return int(result.rowcount)


def register_of(row: SampleRow, wh_per_unit: int = 1) -> Register:
    """Return a stored sample of a register as an exact value in mWh (of water: in ml)."""
    return Register(row.at_ms, round(row.value * 1000 * wh_per_unit), Quality(row.quality))


def registers_of(found: Columns, wh_per_unit: int = 1) -> list[Register]:
    """Return stored samples of a register as exact values in mWh (of water: in ml)."""
    return [
        Register(at_ms, round(value * 1000 * wh_per_unit), Quality(quality))
        for at_ms, value, quality in zip(
            found.at_ms.tolist(), found.value.tolist(), found.qualities(), strict=True
        )
    ]


def registers_between(
    connection: Connection, series_id: int, low_ms: int, high_ms: int, *, wh_per_unit: int = 1
) -> list[Register]:
    """Return stored register values between two moments, with one before and one after."""
    return registers_of(samples_between(connection, series_id, low_ms, high_ms), wh_per_unit)


def powers_between(
    connection: Connection, series_id: int, low_ms: int, high_ms: int
) -> list[Power]:
    """Return stored power readings between two moments, with one before and one after."""
    found = samples_between(connection, series_id, low_ms, high_ms)
    return [
        Power(at_ms, round(value * 1000))
        for at_ms, value in zip(found.at_ms.tolist(), found.value.tolist(), strict=True)
    ]


def rows_between(
    connection: Connection, series_id: int, low_ms: int, high_ms: int
) -> list[SampleRow]:
    """Return stored samples between two moments, with one before and one after, in order."""
    found = samples_between(connection, series_id, low_ms, high_ms)
    return [
        SampleRow(at_ms, series_id, value, quality)
        for at_ms, value, quality in zip(
            found.at_ms.tolist(), found.value.tolist(), found.qualities(), strict=True
        )
    ]


def samples_between(connection: Connection, series_id: int, low_ms: int, high_ms: int) -> Columns:
    """Return stored samples between two moments, with one before and one after, in order."""
    found = samples.around(connection, [series_id], low_ms, high_ms)
    return found.get(series_id, samples.NOTHING)
