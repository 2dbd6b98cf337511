"""What sources last said about themselves, and which of them their agent still polls.

A report brings a source in, or back; only the agent's own list takes one out. So whatever comes in
whatever order, the next list, which is told at least once an hour, sets it right.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update

from collectors.store_samples import chunks, insert_or_put
from suanwang.db.tables import source_state
from suanwang.model.reading import SourceListing, SourceReport
from suanwang.model.source import Standing, standing

_STATE = source_state.c
_VALUES = (
    "is_up",
    "duration_s",
    "readings",
    "error",
    "polled_at",
    "up_at",
    "interval_s",
    "retired_at",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """A source's last word about itself; ``up_at`` is the last poll that succeeded.

    ``interval_s`` is 0 where it was never told; ``retired_at`` is when its agent ceased to poll it.
    """

    source: str
    is_up: bool
    duration_s: float
    readings: int
    error: str
    polled_at: datetime
    up_at: datetime | None
    interval_s: float
    retired_at: datetime | None

    def standing(self, now: datetime) -> Standing:
        """Return how it does, by its own interval."""
        return standing(self.interval_s, self.up_at, self.retired_at, now)


def source_states(
    connection: Connection, site_id: str, *, with_retired: bool = False
) -> tuple[SourceState, ...]:
    """Return the sources of a site with their last words, by name; retired ones only on demand."""
    query = select(source_state).where(_STATE.site_id == site_id).order_by(_STATE.source)
    if not with_retired:
        query = query.where(_STATE.retired_at.is_(None))
    return tuple(
        SourceState(
            source=row.source,
            is_up=row.is_up,
            duration_s=row.duration_s,
            readings=row.readings,
            error=row.error,
            polled_at=row.polled_at,
            up_at=row.up_at,
            interval_s=row.interval_s,
            retired_at=row.retired_at,
        )
        for row in connection.execute(query)
    )


def write_reports(connection: Connection, site_id: str, reports: Sequence[SourceReport]) -> None:
    """Keep the newest word of each source, and when it was last up.

    A source that reports after it was retired is polled again.
    """
    if not reports:
        return
    names = sorted({report.source for report in reports})
    known = {
        row.source: row
        for piece in chunks(names)
        for row in connection.execute(
            select(source_state)
            .where(_STATE.site_id == site_id, _STATE.source.in_(piece))
            .with_for_update()
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
        former = known.get(report.source)
        retired_at = former.retired_at if former is not None else None
        rows[report.source] = {
            "site_id": site_id,
            "source": report.source,
            "is_up": report.is_up,
            "duration_s": report.duration_s,
            "readings": report.readings,
            "error": report.error,
            "polled_at": report.at,
            "up_at": up_at.get(report.source),
            "interval_s": report.interval_s,
            "retired_at": None if retired_at and report.at > retired_at else retired_at,
        }
    if rows:
        put = insert_or_put(connection, source_state, ("site_id", "source"), _VALUES)
        connection.execute(put, list(rows.values()))


def take_listing(connection: Connection, site_id: str, listing: SourceListing) -> None:
    """Retire the sources that the agent did not poll any more at that moment; take others back."""
    rows = connection.execute(
        select(_STATE.source, _STATE.polled_at, _STATE.retired_at)
        .where(_STATE.site_id == site_id)
        .with_for_update()
    ).all()
    ended, back = [], []
    for row in rows:
        if row.source in listing.sources:
            if row.retired_at is not None and row.retired_at < listing.at:
                back.append(row.source)
        elif row.retired_at is None and row.polled_at <= listing.at:
            ended.append(row.source)
    for names, retired_at in ((ended, listing.at), (back, None)):
        for piece in chunks(sorted(names)):
            connection.execute(
                update(source_state)
                .where(_STATE.site_id == site_id, _STATE.source.in_(piece))
                .values(retired_at=retired_at)
            )
