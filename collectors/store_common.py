"""Energies of several meters over the time that every one of them knows.

Whole days that every meter knows come from the daily roll-ups, the rest from windows: the sums are
the same, since a day is the sum of its windows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Connection, func, select

from collectors.accumulator import WINDOW_MS
from collectors.kpi import Interval
from collectors.store_newest import is_newest_window
from collectors.store_samples import chunks
from collectors.store_site import inside
from suanwang.clock import from_epoch_ms, to_epoch_ms
from suanwang.db.tables import energy_day, energy_window
from suanwang.ids import MeterId


@dataclass(slots=True, kw_only=True)
class CommonEnergy:
    """What every meter counted in the time that all know, in mWh (of water ml)."""

    mwh: dict[MeterId, int] = field(default_factory=dict)
    common_ms: int = 0
    interpolated_ms: int = 0
    estimated_ms: int = 0

    def add(self, meter_id: str, mwh: int) -> None:
        """Add energy of a meter."""
        self.mwh[MeterId(meter_id)] = self.mwh.get(MeterId(meter_id), 0) + mwh


def common_energy(
    connection: Connection, meter_ids: Sequence[MeterId], period: Interval
) -> CommonEnergy:
    """Return the energies of meters in the whole windows of a period that all of them know."""
    total = CommonEnergy(mwh=dict.fromkeys(meter_ids, 0))
    if not meter_ids:
        return total
    whole = inside(period)
    days = _whole_days(connection, meter_ids, whole)
    _add_days(connection, meter_ids, days, total)
    for part in _between(whole, days):
        _add_windows(connection, meter_ids, part, total)
    return total


def _whole_days(
    connection: Connection, meter_ids: Sequence[MeterId], period: Interval
) -> list[Interval]:
    """Return the days inside a period that every meter knows from beginning to end."""
    day = energy_day.c
    found: list[Interval] = []
    rows = connection.execute(
        select(day.start_at, day.end_at, func.count(), func.min(day.covered_ms))
        .where(
            day.meter_id.in_(meter_ids),
            day.is_newest,
            day.start_at >= from_epoch_ms(period.start_ms),
            day.end_at <= from_epoch_ms(period.end_ms),
        )
        .group_by(day.start_at, day.end_at)
        .order_by(day.start_at)
    )
    for start_at, end_at, meters, covered_ms in rows:
        one = Interval(to_epoch_ms(start_at), to_epoch_ms(end_at))
        is_known = meters == len(meter_ids) and covered_ms >= one.end_ms - one.start_ms
        if is_known and (not found or found[-1].end_ms <= one.start_ms):
            found.append(one)
    return found


def _add_days(
    connection: Connection,
    meter_ids: Sequence[MeterId],
    days: Sequence[Interval],
    total: CommonEnergy,
) -> None:
    day = energy_day.c
    for piece in chunks([from_epoch_ms(one.start_ms) for one in days]):
        taken = (day.meter_id.in_(meter_ids), day.is_newest, day.start_at.in_(piece))
        query = select(day.meter_id, func.sum(day.energy_mwh)).where(*taken)
        for meter_id, mwh in connection.execute(query.group_by(day.meter_id)):
            total.add(meter_id, int(mwh))
        parts = (
            select(
                func.max(day.interpolated_ms).label("interpolated_ms"),
                func.max(day.estimated_ms).label("estimated_ms"),
            )
            .where(*taken)
            .group_by(day.start_at)
            .subquery()
        )
        _add_parts(connection, total, parts.c.interpolated_ms, parts.c.estimated_ms)
    total.common_ms += sum(one.end_ms - one.start_ms for one in days)


def _add_parts(
    connection: Connection,
    total: CommonEnergy,
    interpolated_ms: ColumnElement[int],
    estimated_ms: ColumnElement[int],
) -> None:
    row = connection.execute(
        select(
            func.coalesce(func.sum(interpolated_ms), 0), func.coalesce(func.sum(estimated_ms), 0)
        )
    ).one()
    total.interpolated_ms += int(row[0])
    total.estimated_ms += int(row[1])


def _between(whole: Interval, days: Sequence[Interval]) -> list[Interval]:
    """Return what is left of a stretch of time between days in order."""
    left: list[Interval] = []
    start = whole.start_ms
    for day in days:
        if start < day.start_ms:
            left.append(Interval(start, day.start_ms))
        start = day.end_ms
    if start < whole.end_ms:
        left.append(Interval(start, whole.end_ms))
    return left


def _add_windows(
    connection: Connection, meter_ids: Sequence[MeterId], part: Interval, total: CommonEnergy
) -> None:
    window = energy_window.c
    start, end = from_epoch_ms(part.start_ms), from_epoch_ms(part.end_ms)
    taken = (
        window.meter_id.in_(meter_ids),
        window.start_at >= start,
        window.start_at < end,
        is_newest_window(start, end),
    )
    known = (
        select(
            window.start_at,
            func.max(window.interpolated_ms).label("interpolated_ms"),
            func.max(window.estimated_ms).label("estimated_ms"),
        )
        .where(*taken)
        .group_by(window.start_at)
        .having(func.count() == len(meter_ids), func.min(window.covered_ms) == WINDOW_MS)
        .subquery()
    )
    query = (
        select(window.meter_id, func.sum(window.energy_mwh))
        .join(known, known.c.start_at == window.start_at)
        .where(*taken)
        .group_by(window.meter_id)
    )
    for meter_id, mwh in connection.execute(query):
        total.add(meter_id, int(mwh))
    count = connection.scalar(select(func.count()).select_from(known)) or 0
    total.common_ms += count * WINDOW_MS
    _add_parts(connection, total, known.c.interpolated_ms, known.c.estimated_ms)
