"""Hours and days of sites: what long periods are added up from.

An hour is summed up once it is over and its last polls are in, and again whenever a window in it
changes. What is final is never changed silently: a change makes a new revision.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, Table, delete, func, select, update

from collectors import quality
from collectors.accumulator import WINDOW_MS, WindowSum
from collectors.kpi import FORMULA, Interval, SiteEnergy, is_implausible
from collectors.store_kpi_due import mark_days
from collectors.store_meters import EventKind, MeterEvent, note_events
from collectors.store_newest import is_newest_window
from collectors.store_revisions import Change, revise
from collectors.store_roles import REASON as ROLE_CHANGED
from collectors.store_roles import Former, moments_of, roles_at
from collectors.store_site import ROLES, KnownMeter, add_period, load_meters, of_category
from suanwang.clock import from_epoch_ms, to_epoch_ms
from suanwang.db.tables import (
    energy_day,
    energy_window,
    kpi_day,
    meter,
    rollup_due,
    site,
    site_energy,
)
from suanwang.ids import SiteId
from suanwang.model.meter import MeterRole, PueCategory, WindowState

HOUR: Final = timedelta(hours=1)
HOUR_MS: Final = 3_600_000
DAY_HOURS: Final = 24
HOURS_MAX: Final = 100
"""Most hours of sites that one transaction sums up: others wait to write meanwhile."""
SUMS: Final = tuple(one.name for one in fields(SiteEnergy))
"""What a roll-up adds up."""


class Grain(StrEnum):
    """The two lengths of a roll-up, as they stand in the table."""

    HOUR = "hour"
    DAY = "day"


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledUp:
    """How many hours were summed up, and whether some had to wait."""

    hours: int = 0
    is_behind: bool = False


def roll_up(connection: Connection, now: datetime) -> RolledUp:
    """Sum up the hours that are due and over, and the days that they are in."""
    rows = connection.execute(
        select(rollup_due)
        .where(rollup_due.c.hour_at <= now - HOUR - quality.WAITED)
        .order_by(rollup_due.c.hour_at, rollup_due.c.site_id)
        .limit(HOURS_MAX)
        .with_for_update(skip_locked=True)
    ).all()
    by_site: dict[SiteId, dict[datetime, str]] = {}
    for row in rows:
        by_site.setdefault(SiteId(row.site_id), {})[row.hour_at] = row.reason
    hours = 0
    for site_id, due in by_site.items():
        meters = load_meters(connection, site_id, ROLES)
        longest_s = max((known.meter.poll_s for known in meters), default=0.0)
        last = now - HOUR - quality.WAITED - timedelta(seconds=quality.POLLS_WAITED * longest_s)
        ready = {at: reason for at, reason in due.items() if at <= last}
        for same in _by_roles(connection, site_id, ready):
            _roll_up_site(connection, site_id, same, now)
        hours += len(ready)
    return RolledUp(hours=hours, is_behind=len(rows) >= HOURS_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    """Hours of a site in which each meter stood for one thing, with the reasons to tell them."""

    hours: Mapping[datetime, str]
    meters: Sequence[KnownMeter]
    former: Mapping[str, Former]

    @property
    def is_of_roles(self) -> bool:
        """Whether hours are told anew since roles of meters changed."""
        return any(reason.startswith(ROLE_CHANGED) for reason in self.hours.values())

    def categories(self) -> Sequence[PueCategory]:
        """Return the categories to tell: where roles changed also those that have no meter now."""
        if self.is_of_roles:
            return tuple(PueCategory)
        found = (known.meter for known in self.meters)
        return sorted({one.category for one in found if one.role is MeterRole.IT})


def _by_roles(
    connection: Connection, site_id: SiteId, due: Mapping[datetime, str]
) -> Iterator[_Due]:
    """Yield the hours that are due, those together that lie between two changes of roles."""
    moments = moments_of(connection, site_id)
    parts: dict[int, dict[datetime, str]] = {}
    for at, reason in due.items():
        parts.setdefault(bisect_right(moments, at), {})[at] = reason
    for place, hours in parts.items():
        former = roles_at(connection, [site_id], min(hours)) if place < len(moments) else {}
        meters = load_meters(connection, site_id, ROLES, former)
        yield _Due(hours=hours, meters=meters, former=former)


def _roll_up_site(connection: Connection, site_id: SiteId, same: _Due, now: datetime) -> None:
    zone, due = zone_of(connection, site_id), same.hours
    for category in same.categories():
        changed = _roll_up_hours(connection, site_id, category, same, now)
        days = {day_of(at, zone): reason for at, reason in changed.items()}
        for day, reason in days.items():
            _roll_up_day(connection, site_id, category, day, (reason, now))
    _add_meter_days(connection, site_id, {day_of(at, zone): why for at, why in due.items()}, now)
    for at in due:
        connection.execute(
            delete(rollup_due).where(rollup_due.c.site_id == site_id, rollup_due.c.hour_at == at)
        )


def _roll_up_hours(
    connection: Connection, site_id: SiteId, category: PueCategory, same: _Due, now: datetime
) -> dict[datetime, str]:
    """Tell the hours of a category; return those that changed, with the reasons.

    A category whose meters have all become something else is told as unknown, where it was told.
    """
    taken = of_category(same.meters, category)
    is_told = {known.meter.role for known in taken} == set(ROLES)
    if not is_told and not same.is_of_roles:
        return {}
    changed: dict[datetime, str] = {}
    for at, reason in same.hours.items():
        total = SiteEnergy()
        period = Interval(to_epoch_ms(at), to_epoch_ms(at) + HOUR_MS)
        if is_told:
            add_period(connection, taken, total, period, same.former)
        change = Change(end_at=at + HOUR, reason=reason, now=now)
        _note_implausible(connection, (site_id, category, at), total, now)
        if _write(connection, (site_id, category, Grain.HOUR, at), total, change):
            changed[at] = reason
    return changed


def _note_implausible(
    connection: Connection,
    hour: tuple[SiteId, PueCategory, datetime],
    total: SiteEnergy,
    now: datetime,
) -> None:
    """Note once where an hour has a PUE that no site has: its meters are mapped wrongly."""
    if not is_implausible(total):
        return
    site_id, category, at = hour
    facts = {"facility_mwh": total.facility_mwh, "it_mwh": total.it_mwh}
    event = MeterEvent(
        site_id=site_id, subject=pue_subject(category), kind=EventKind.WITHHELD, at=at,
        until=at + HOUR, facts=facts,
    )  # fmt: skip
    note_events(connection, [event], now)


def pue_subject(category: PueCategory) -> str:
    """Return the subject of events about a site's PUE."""
    return f"pue:{category}"


def zone_of(connection: Connection, site_id: SiteId) -> ZoneInfo:
    """Return the time zone of a site's days."""
    return ZoneInfo(str(connection.scalar(select(site.c.timezone).where(site.c.id == site_id))))


def day_of(at: datetime, zone: ZoneInfo) -> Interval:
    """Return the day in a time zone that holds a moment: 23, 24 or 25 hours."""
    local = at.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    start = local.astimezone(UTC)
    end = (local + timedelta(days=1)).astimezone(UTC)
    return Interval(to_epoch_ms(start), to_epoch_ms(end))


def _roll_up_day(
    connection: Connection,
    site_id: SiteId,
    category: PueCategory,
    day: Interval,
    change: tuple[str, datetime],
) -> None:
    if day.start_ms % HOUR_MS:
        return  # In such a zone no hour of UTC lies in one day: long periods use the hours.
    total = _sum_of_hours(connection, site_id, category, day)
    slot = (site_id, category, Grain.DAY, from_epoch_ms(day.start_ms))
    _write(connection, slot, total, _day_change(day, *change))


def _day_change(day: Interval, reason: str, now: datetime) -> Change:
    return Change(end_at=from_epoch_ms(day.end_ms), reason=reason, now=now)


def _write(
    connection: Connection,
    slot: tuple[SiteId, PueCategory, Grain, datetime],
    total: SiteEnergy,
    change: Change,
) -> bool:
    site_id, category, grain, start = slot
    key = {"site_id": site_id, "category": category.value, "grain": grain.value, "start_at": start}
    sums = {name: getattr(total, name) for name in SUMS}
    return revise(connection, site_energy, key, sums, change, formula=FORMULA)


def _add_meter_days(
    connection: Connection, site_id: SiteId, days: Mapping[Interval, str], now: datetime
) -> None:
    """Bring the daily energy of each of a site's meters up to date."""
    changed: dict[Interval, str] = {}
    for day, reason in days.items():
        if day.start_ms % WINDOW_MS:
            continue
        start, end = from_epoch_ms(day.start_ms), from_epoch_ms(day.end_ms)
        for meter_id, total in _day_sums(connection, site_id, start, end):
            parts = quality.parts_quality(
                total.covered_ms, total.interpolated_ms, total.estimated_ms
            )
            sums = {one.name: getattr(total, one.name) for one in fields(WindowSum)}
            key = {"meter_id": meter_id, "start_at": start}
            change = _day_change(day, reason, now)
            if revise(connection, energy_day, key, sums, change, quality=parts.value):
                changed[day] = reason
    for day, reason in changed.items():
        mark_days(connection, site_id, [day], reason)


def _day_sums(
    connection: Connection, site_id: SiteId, start: datetime, end: datetime
) -> list[tuple[str, WindowSum]]:
    window = energy_window.c
    columns = (window.energy_mwh, window.covered_ms, window.interpolated_ms, window.estimated_ms)
    rows = connection.execute(
        select(window.meter_id, *(func.sum(column) for column in columns))
        .join(meter, meter.c.id == window.meter_id)
        .where(
            meter.c.site_id == site_id,
            window.start_at >= start,
            window.start_at < end,
            is_newest_window(start, end),
        )
        .group_by(window.meter_id)
    )
    return [(row[0], WindowSum(*(int(value) for value in row[1:]))) for row in rows]


def finish_rollups(connection: Connection, now: datetime) -> int:
    """Call roll-ups final whose day of grace is over; return how many became so."""
    found = 0
    for table in (site_energy, energy_day, kpi_day):
        found += _finish(connection, table, now)
    return found


def _finish(connection: Connection, table: Table, now: datetime) -> int:
    return connection.execute(
        update(table)
        .where(
            table.c.is_newest,
            table.c.state == WindowState.PROVISIONAL.value,
            table.c.end_at <= now - quality.FINAL_AFTER,
        )
        .values(state=WindowState.FINAL.value)
    ).rowcount


def _sum_of_hours(
    connection: Connection, site_id: SiteId, category: PueCategory, day: Interval
) -> SiteEnergy:
    """Return the newest hours that begin in a day, together."""
    row = connection.execute(
        select(*sum_columns()).where(
            site_energy.c.site_id == site_id,
            site_energy.c.category == category.value,
            site_energy.c.grain == Grain.HOUR.value,
            site_energy.c.start_at >= from_epoch_ms(day.start_ms),
            site_energy.c.start_at < from_epoch_ms(day.end_ms),
            site_energy.c.is_newest,
        )
    ).one()
    return SiteEnergy(**{name: int(value) for name, value in zip(SUMS, row, strict=True)})


def sum_columns() -> list[ColumnElement[int]]:
    """Return the sums of roll-ups to select, in the order of ``SUMS``."""
    return [func.coalesce(func.sum(site_energy.c[name]), 0).label(name) for name in SUMS]
