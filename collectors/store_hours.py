"""PUE of a site hour by hour, out of the roll-ups: what a curve over a year shows."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, select

from collectors.store_rollup import Grain
from suanwang.db.tables import site_energy
from suanwang.model.meter import PueCategory


class HourPue(NamedTuple):
    """An hour: ``value`` is the interim PUE of its known part, None without IT energy.

    A named tuple, since a year has 8,760 of them.
    """

    start_at: datetime
    value: float | None
    common_ms: int


def hours_of_pue(
    connection: Connection, site_id: str, category: PueCategory, start: datetime, end: datetime
) -> Iterator[HourPue]:
    """Yield the newest revision of each hour that begins in the period, in order of time."""
    rows = connection.execute(
        select(
            site_energy.c.start_at,
            site_energy.c.facility_mwh,
            site_energy.c.it_mwh,
            site_energy.c.common_ms,
        )
        .where(
            site_energy.c.site_id == site_id,
            site_energy.c.category == category.value,
            site_energy.c.grain == Grain.HOUR.value,
            site_energy.c.start_at >= start,
            site_energy.c.start_at < end,
            site_energy.c.is_newest,
        )
        .order_by(site_energy.c.start_at)
    )
    for start_at, facility_mwh, it_mwh, common_ms in rows.all():
        value = facility_mwh / it_mwh if it_mwh > 0 else None
        yield HourPue(start_at, value, common_ms)
