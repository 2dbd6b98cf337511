"""Raw samples and the names of their series; the first value of a moment stays."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
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
from suanwang.model.batch import QUALITIES, SeriesKey
from suanwang.model.reading import Quality

_Item = TypeVar("_Item")

COUNTED: Final = {"preserve_rowcount": True}
"""Without this option the number of rows that an INSERT wrote is not told on every database."""
CHUNK: Final = 500
"""Most values in one IN list."""
_NAMES: Final = tuple(quality.value for quality in QUALITIES)


class SampleRow(NamedTuple):
    """A raw sample as stored. A named tuple, since a day of a meter holds thousands."""

    at_ms: int
    series_id: int
    value: float
    quality: str


@dataclass(frozen=True, slots=True, eq=False)
class SampleColumns:
    """Samples of many series by column; ``quality`` are codes."""

    series_id: NDArray[np.int64]
    at_ms: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.at_ms)

    def taken(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> "SampleColumns":
        """Return the samples that a mask says, or those at these places, in their order."""
        return SampleColumns(
            self.series_id[which], self.at_ms[which], self.value[which], self.quality[which]
        )

    def qualities(self) -> list[str]:
        """Return the names of the qualities."""
        return [_NAMES[code] for code in self.quality.tolist()]


def insert_new(connection: Connection, table: Table) -> Insert:
    """Return an insert that leaves existing rows as they are."""
    if connection.dialect.name == "postgresql":
        return postgresql_insert(table).on_conflict_do_nothing().execution_options(**COUNTED)
    return sqlite_insert(table).on_conflict_do_nothing().execution_options(**COUNTED)


def chunks(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """Cut a sequence into pieces that fit into one statement."""
    return (items[low : low + CHUNK] for low in range(0, len(items), CHUNK))


def insert_or_put(
    connection: Connection, table: Table, keys: Sequence[str], values: Sequence[str]
) -> Insert:
    """Return an insert that writes these values of a row that is there already."""
    is_postgresql = connection.dialect.name == "postgresql"
    insert = postgresql_insert(table) if is_postgresql else sqlite_insert(table)
    return insert.on_conflict_do_update(
        index_elements=list(keys), set_={name: insert.excluded[name] for name in values}
    )


def series_ids(
    connection: Connection, site_id: str, wanted: Mapping[SeriesKey, Mapping[str, str]]
) -> dict[SeriesKey, int]:
    """Return the numbers of series at a site, naming those that are new with their labels."""
    found = _find_series(connection, site_id, list(wanted))
    fresh = [key for key in wanted if key not in found]
    if fresh:
        connection.execute(
            insert_new(connection, series),
            [
                {
                    "site_id": site_id,
                    "subject": key.subject,
                    "metric": key.metric,
                    "labels": dict(wanted[key]),
                }
                for key in fresh
            ],
        )
        found |= _find_series(connection, site_id, fresh)
    return found


def _find_series(
    connection: Connection, site_id: str, keys: Sequence[SeriesKey]
) -> dict[SeriesKey, int]:
    found: dict[SeriesKey, int] = {}
    # By subject alone: the few metrics of a subject cost less than a list of pairs.
    for piece in chunks(sorted({key.subject for key in keys})):
        rows = connection.execute(
            select(series.c.subject, series.c.metric, series.c.id).where(
                series.c.site_id == site_id, series.c.subject.in_(piece)
            )
        )
        found |= {SeriesKey(subject, metric): number for subject, metric, number in rows}
    return found


def add_samples(connection: Connection, rows: SampleColumns) -> int:
    """Write samples that are not there yet, by series and moment; return how many were new."""
    rows = _not_packed(connection, rows)
    if not len(rows):
        return 0
    if connection.dialect.name == "postgresql":
        return _add_arrays(connection, rows)
    # Straight to the driver: for tens of thousands of rows the way through SQLAlchemy costs twice.
    columns = (rows.at_ms.tolist(), rows.series_id.tolist(), rows.value.tolist(), rows.qualities())
    cursor = connection.exec_driver_sql(_ADD_SQLITE, list(zip(*columns, strict=True)))
    return int(cursor.rowcount)


_ADD_SQLITE: Final = (
    "INSERT INTO sample (at_ms, series_id, value, quality) VALUES (?, ?, ?, ?)"
    " ON CONFLICT DO NOTHING"
)


def _not_packed(connection: Connection, rows: SampleColumns) -> SampleColumns:
    """Leave out samples whose moment is in a packed hour already."""
    packed_ms = samples.newest_packed_ms(connection) if len(rows) else 0
    old = np.flatnonzero(rows.at_ms < packed_ms)
    if not len(old):
        return rows
    hours = rows.at_ms[old] - rows.at_ms[old] % samples.HOUR_MS
    numbers = rows.series_id[old]
    is_new = np.ones(len(rows), np.bool_)
    for hour_ms in np.unique(hours).tolist():
        places = old[hours == hour_ms]
        stored = _packed_moments(connection, hour_ms, np.unique(numbers[hours == hour_ms]).tolist())
        of = rows.series_id[places]
        for number, at_ms in stored:
            low, high = np.searchsorted(of, [number, number + 1])
            is_new[places[low:high]] = ~np.isin(rows.at_ms[places[low:high]], at_ms)
    return rows.taken(is_new)


def _packed_moments(
    connection: Connection, hour_ms: int, numbers: Sequence[int]
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    for piece in chunks(numbers):
        for number, body in connection.execute(
            select(sample_chunk.c.series_id, sample_chunk.c.body).where(
                sample_chunk.c.start_ms == hour_ms, sample_chunk.c.series_id.in_(piece)
            )
        ):
            yield number, chunk.decode(body).at_ms


def _add_arrays(connection: Connection, rows: SampleColumns) -> int:
    """One statement for the whole batch: four arrays, which PostgreSQL unfolds into rows."""
    columns = ("at_ms", "series_id", "value", "quality")
    unfolded = select(
        func.unnest(bindparam("at_ms", type_=ARRAY(BigInteger))).label("at_ms"),
        func.unnest(bindparam("series_id", type_=ARRAY(BigInteger))).label("series_id"),
        func.unnest(bindparam("value", type_=ARRAY(Double))).label("value"),
        func.unnest(bindparam("quality", type_=ARRAY(Text))).label("quality"),
    )
    statement = postgresql_insert(sample).from_select(list(columns), unfolded)
    values = {
        "at_ms": rows.at_ms.tolist(),
        "series_id": rows.series_id.tolist(),
        "value": rows.value.tolist(),
        "quality": rows.qualities(),
    }
    result = connection.execute(
        statement.on_conflict_do_nothing(), values, execution_options=COUNTED
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
