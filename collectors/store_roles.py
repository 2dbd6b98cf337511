"""What meters stood for at a moment, and what a change of that makes to be told anew.

The table of meters has the present role and category. A change is a correction of the whole record,
or holds from a moment on; then what the meter was before stays on file, so that a late reading of
an earlier hour is summed up as that hour was.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, delete, select

from collectors.inventory.change import Change
from collectors.kpi import Interval
from collectors.store_kpi_due import mark_days
from collectors.store_meters import mark_hours
from collectors.store_samples import chunks, insert_new
from suanwang.clock import to_epoch_ms
from suanwang.db.tables import energy_window, meter, meter_role, site
from suanwang.errors import BadInput
from suanwang.model.inventory import Kind
from suanwang.model.meter import MeterRole, PueCategory

REASON: Final = "role of a meter"
"""How the reason begins for which hours and days are told anew."""
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Former:
    """What a meter stood for at a moment, where that is not what it stands for now."""

    role: MeterRole
    category: PueCategory


def roles_at(connection: Connection, site_ids: Sequence[str], at: datetime) -> dict[str, Former]:
    """Return the meters of sites that stood for something else at a moment, by their ids."""
    found: dict[str, Former] = {}
    for piece in chunks(list(site_ids)):
        rows = connection.execute(
            select(meter_role)
            .join(meter, meter.c.id == meter_role.c.meter_id)
            .where(meter.c.site_id.in_(piece), meter_role.c.until_at > at)
            .order_by(meter_role.c.until_at)
        )
        for row in rows:
            former = Former(MeterRole(row.role), PueCategory(row.category))
            found.setdefault(row.meter_id, former)
    return found


def moments_of(connection: Connection, site_id: str) -> list[datetime]:
    """Return the moments at which meters of a site became something else, in order."""
    rows = connection.scalars(
        select(meter_role.c.until_at)
        .join(meter, meter.c.id == meter_role.c.meter_id)
        .where(meter.c.site_id == site_id)
        .distinct()
    )
    return sorted(rows)


def note_changes(
    connection: Connection,
    site_id: str,
    changes: Iterable[Change],
    words: str,
    now: datetime,
    from_at: datetime | None,
) -> None:
    """Have what rests on changed roles and categories told anew, with ``words`` as the reason.

    From ``from_at`` on, or, without one, since the beginning. Raise BadInput for a moment that is
    not over, or where nothing has changed that a moment could be of.
    """
    changed = [one for one in changes if _is_of_roles(one)]
    if from_at is not None and (from_at > now or not changed):
        raise BadInput(
            f"a change holds from a moment that is over, not from {from_at.isoformat()}"
            if changed
            else "from_at is of a change of role or category, and neither changes"
        )
    for one in changed:
        assert one.before is not None
        _keep_former(connection, one.id, one.before, now, from_at)
    known = [one.id for one in changed]
    low, high = _windows_of(connection, known)
    if low is None or high is None:
        return
    low = low if from_at is None else max(low, from_at)
    reason = f"{REASON}: {', '.join(known[:3])}{' and others' if len(known) > 3 else ''}: {words}"
    hours = _starts(_hour(low), high + _HOUR, _HOUR)
    for piece in chunks(hours):
        mark_hours(connection, ((site_id, at) for at in piece), reason)
    zone = ZoneInfo(str(connection.scalar(select(site.c.timezone).where(site.c.id == site_id))))
    mark_days(connection, site_id, _days(low, high, zone), reason)


def _is_of_roles(change: Change) -> bool:
    if change.kind is not Kind.METERS or change.before is None or change.after is None:
        return False
    return any(change.before.get(name) != change.after.get(name) for name in ("role", "category"))


def _keep_former(
    connection: Connection,
    meter_id: str,
    before: Mapping[str, object],
    now: datetime,
    from_at: datetime | None,
) -> None:
    """Keep what a meter was before; what was kept of the time that is corrected goes."""
    corrected = delete(meter_role).where(meter_role.c.meter_id == meter_id)
    if from_at is None:
        connection.execute(corrected)
        return
    connection.execute(corrected.where(meter_role.c.until_at >= from_at))
    row = {
        "meter_id": meter_id, "until_at": from_at, "role": before["role"],
        "category": before["category"], "recorded_at": now,
    }  # fmt: skip
    connection.execute(insert_new(connection, meter_role).values(row))


def _windows_of(
    connection: Connection, meter_ids: Sequence[str]
) -> tuple[datetime | None, datetime | None]:
    """Return when the first and the last window of meters begin."""
    start = energy_window.c.start_at
    ends: list[datetime] = []
    for meter_id in meter_ids:
        for edge in (start.asc(), start.desc()):
            found = connection.scalar(
                select(start).where(energy_window.c.meter_id == meter_id).order_by(edge).limit(1)
            )
            ends += [] if found is None else [found]
    return (min(ends), max(ends)) if ends else (None, None)


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _starts(low: datetime, high: datetime, step: timedelta) -> list[datetime]:
    return [low + n * step for n in range(max(0, -((low - high) // step)))]


def _days(low: datetime, high: datetime, zone: ZoneInfo) -> list[Interval]:
    """Return the days of a time zone that hold any moment from ``low`` to ``high``."""
    first = low.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    days: list[Interval] = []
    while first <= high.astimezone(zone):
        after = first + _DAY
        days.append(Interval(to_epoch_ms(first), to_epoch_ms(after)))
        first = after
    return days
