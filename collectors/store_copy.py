"""How far the copy for a time series database is, and the samples that it lacks.

A row says of a site: samples from ``from_ms`` on may be missing in the copy, older ones are there
or were given up for good. It is lowered in the transaction that takes in something older, and
raised only after the database has answered, so that a crash at any moment loses nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np
from sqlalchemy import Connection, Engine, bindparam, select, update

from collectors.store_samples import insert_new
from suanwang.clock import Clock, from_epoch_ms, to_epoch_ms
from suanwang.db import samples
from suanwang.db.engine import reading, writing
from suanwang.db.tables import remote_copy, series, site
from suanwang.model.batch import Readings, Rows, SeriesKey

SERIES_AT_ONCE: Final = 200
"""Series whose hour is read in one go."""
KEPT: Final = timedelta(days=36)
"""The record keeps no older samples."""
_COPY = remote_copy.c


def lower(connection: Connection, name: str, site_id: str, low_ms: int, clock: Clock) -> None:
    """Note in the transaction of a batch that the copy may lack samples from ``low_ms`` on."""
    now = clock.now()
    row = {"name": name, "site_id": site_id, "from_at": from_epoch_ms(low_ms), "moved_at": now}
    connection.execute(insert_new(connection, remote_copy).values(row))
    connection.execute(
        update(remote_copy)
        .where(_COPY.name == name, _COPY.site_id == site_id, _COPY.from_at > from_epoch_ms(low_ms))
        .values(from_at=from_epoch_ms(low_ms))
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyRecord:
    """The record, as the copy of one process sees it; ``name`` tells it from others."""

    engine: Engine
    clock: Clock
    name: str

    def begin(self) -> dict[str, int]:
        """Return the position of each site, ms; one that has none yet begins now."""
        now = self.clock.now()
        with writing(self.engine) as connection:
            rows = [
                {"name": self.name, "site_id": site_id, "from_at": now, "moved_at": now}
                for site_id in connection.scalars(select(site.c.id))
            ]
            if rows:
                connection.execute(insert_new(connection, remote_copy), rows)
            found = connection.execute(
                select(_COPY.site_id, _COPY.from_at).where(_COPY.name == self.name)
            )
            oldest_ms = to_epoch_ms(now - KEPT)
            return {site_id: max(oldest_ms, to_epoch_ms(at)) for site_id, at in found}

    def move(self, positions: Mapping[str, int]) -> None:
        """Write positions down."""
        if not positions:
            return
        now = self.clock.now()
        rows = [
            {"of": site_id, "from_at": from_epoch_ms(at_ms), "moved_at": now}
            for site_id, at_ms in positions.items()
        ]
        moved = update(remote_copy).where(_COPY.name == self.name, _COPY.site_id == bindparam("of"))
        with writing(self.engine) as connection:
            connection.execute(
                moved.values(from_at=bindparam("from_at"), moved_at=bindparam("moved_at")), rows
            )

    def lower(self, connection: Connection, site_id: str, low_ms: int) -> None:
        """Note in a batch's own transaction that the copy may lack samples from then on."""
        lower(connection, self.name, site_id, low_ms, self.clock)

    def read(self, site_id: str, low_ms: int, high_ms: int) -> Iterator[Readings]:
        """Yield the samples of a site between two moments, both included, some series at a time."""
        with reading(self.engine) as connection:
            names = connection.execute(
                select(series.c.id, series.c.subject, series.c.metric, series.c.labels)
                .where(series.c.site_id == site_id)
                .order_by(series.c.id)
            ).all()
        for start in range(0, len(names), SERIES_AT_ONCE):
            piece = {row.id: row for row in names[start : start + SERIES_AT_ONCE]}
            with reading(self.engine) as connection:
                found = samples.read_many(connection, list(piece), low_ms, high_ms)
            if not found:
                continue
            columns = list(found.values())
            yield Readings(
                series=tuple(SeriesKey(piece[n].subject, piece[n].metric) for n in found),
                labels={at: piece[n].labels for at, n in enumerate(found) if piece[n].labels},
                rows=Rows(
                    np.repeat(
                        np.arange(len(columns), dtype=np.uint32), [len(one) for one in columns]
                    ),
                    np.concatenate([one.at_ms for one in columns]),
                    np.concatenate([one.value for one in columns]),
                    np.concatenate([one.quality for one in columns]),
                ),
            )
