"""Energies of sites over any period: whole days and hours from their roll-ups, the rest anew.

The sums are the same either way, since a roll-up is made by the same function. Any number of sites
is asked for in the same few statements.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Text, and_, column, select, values

from collectors.kpi import Interval, SiteEnergy
from collectors.store_rollup import HOUR_MS, SUMS, Grain, day_of, sum_columns
from collectors.store_site import ROLES, Stretch, add_stretches, load_meters_of, of_category
from suanwang.clock import from_epoch_ms, to_epoch_ms
from suanwang.db.tables import rollup_due, site_energy
from suanwang.db.types import UtcDateTime
from suanwang.ids import SiteId
from suanwang.model.meter import PueCategory

PARTS_MAX: Final = 1_000
"""Most parts that one statement asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSum:
    """A period of a site, to be added to ``total``; its days are those of ``zone``."""

    site_id: SiteId
    zone: ZoneInfo
    category: PueCategory
    period: Interval
    total: SiteEnergy = field(default_factory=SiteEnergy)

    @property
    def whole(self) -> Interval:
        """The whole hours inside the period, as one interval (maybe empty)."""
        low = -(-self.period.start_ms // HOUR_MS) * HOUR_MS
        return Interval(low, max(low, self.period.end_ms - self.period.end_ms % HOUR_MS))


class _Part(NamedTuple):
    """Days or hours of a site that lie side by side."""

    site_id: str
    category: str
    grain: str
    low_at: datetime
    high_at: datetime


def add_sums(connection: Connection, sums: Sequence[SiteSum]) -> None:
    """Add to each total what facility and IT meters of the site know of its period."""
    if not sums:
        return
    stale = _stale_hours(connection, sums)
    parts: list[_Part] = []
    anew: list[tuple[SiteSum, Interval]] = []
    for one in sums:
        changed = stale.get(one.site_id, set())
        parts += _parts(one, changed)
        anew += [(one, period) for period in _anew(one, changed)]
    _add_parts(connection, {one.site_id: one.total for one in sums}, parts)
    if not anew:
        return
    meters = load_meters_of(connection, sorted({one.site_id for one, _ in anew}), ROLES)
    add_stretches(
        connection,
        [
            Stretch(
                meters=of_category(meters[one.site_id], one.category),
                total=one.total,
                period=period,
            )
            for one, period in anew
        ],
    )


def _stale_hours(connection: Connection, sums: Sequence[SiteSum]) -> dict[str, set[int]]:
    """Return the hours of each site that changed since they were summed up."""
    low_ms = min(one.whole.start_ms for one in sums)
    high_ms = max(one.whole.end_ms for one in sums)
    found: dict[str, set[int]] = {}
    for site_id, hour_at in connection.execute(
        select(rollup_due.c.site_id, rollup_due.c.hour_at).where(
            rollup_due.c.site_id.in_([one.site_id for one in sums]),
            rollup_due.c.hour_at >= from_epoch_ms(low_ms),
            rollup_due.c.hour_at < from_epoch_ms(high_ms),
        )
    ):
        found.setdefault(site_id, set()).add(to_epoch_ms(hour_at))
    return found


def _parts(one: SiteSum, stale: set[int]) -> Iterator[_Part]:
    """Yield the days and hours whose roll-ups are up to date."""
    for clean in _clean(one.whole, stale):
        days = _days_in(clean, one.zone)
        if days.start_ms < days.end_ms:
            yield _part(one, Grain.DAY, days)
            hours = [
                Interval(clean.start_ms, days.start_ms),
                Interval(days.end_ms, clean.end_ms),
            ]
        else:
            hours = [clean]
        for piece in hours:
            if piece.start_ms < piece.end_ms:
                yield _part(one, Grain.HOUR, piece)


def _part(one: SiteSum, grain: Grain, of: Interval) -> _Part:
    ends = from_epoch_ms(of.start_ms), from_epoch_ms(of.end_ms)
    return _Part(one.site_id, one.category.value, grain.value, *ends)


def _clean(whole: Interval, stale: set[int]) -> Iterator[Interval]:
    """Yield the stretches of whole hours between those that changed since."""
    start = whole.start_ms
    for hour in sorted(stale):
        if not whole.start_ms <= hour < whole.end_ms:
            continue
        if start < hour:
            yield Interval(start, hour)
        start = hour + HOUR_MS
    if start < whole.end_ms:
        yield Interval(start, whole.end_ms)


def _days_in(part: Interval, zone: ZoneInfo) -> Interval:
    """Return the whole days of a time zone inside a stretch of hours, empty where it has none."""
    first = day_of(from_epoch_ms(part.start_ms), zone)
    if first.start_ms % HOUR_MS:
        return Interval(part.end_ms, part.end_ms)
    low = first.start_ms if first.start_ms == part.start_ms else first.end_ms
    high = day_of(from_epoch_ms(part.end_ms), zone).start_ms
    return Interval(low, max(low, high)) if low < high else Interval(part.end_ms, part.end_ms)


def _anew(one: SiteSum, stale: set[int]) -> Iterator[Interval]:
    """Yield, joined where they touch, the times that no roll-up tells."""
    period, whole = one.period, one.whole
    parts = [Interval(period.start_ms, min(whole.start_ms, period.end_ms))]
    if period.end_ms > whole.start_ms:
        parts.append(Interval(max(whole.end_ms, period.start_ms), period.end_ms))
    parts += [
        Interval(hour, hour + HOUR_MS) for hour in stale if whole.start_ms <= hour < whole.end_ms
    ]
    joined: list[Interval] = []
    for part in sorted(parts):
        if part.start_ms >= part.end_ms:
            continue
        if joined and joined[-1].end_ms == part.start_ms:
            joined[-1] = Interval(joined[-1].start_ms, part.end_ms)
        else:
            joined.append(part)
    yield from joined


def _add_parts(
    connection: Connection, totals: dict[str, SiteEnergy], parts: Sequence[_Part]
) -> None:
    """Add the newest roll-ups that begin in the parts, of all sites at once."""
    names = [column(name, Text) for name in ("site_id", "category", "grain")]
    edges = [column(name, UtcDateTime) for name in ("low_at", "high_at")]
    for low in range(0, len(parts), PARTS_MAX):
        asked = values(*names, *edges, name="part").data(parts[low : low + PARTS_MAX]).cte("part")
        is_inside = and_(
            site_energy.c.site_id == asked.c.site_id,
            site_energy.c.category == asked.c.category,
            site_energy.c.grain == asked.c.grain,
            site_energy.c.start_at >= asked.c.low_at,
            site_energy.c.start_at < asked.c.high_at,
            site_energy.c.is_newest,
        )
        rows = connection.execute(
            select(asked.c.site_id, *sum_columns())
            .join_from(asked, site_energy, is_inside)
            .group_by(asked.c.site_id)
        )
        for site_id, *sums in rows:
            total = totals[site_id]
            for name, value in zip(SUMS, sums, strict=True):
                setattr(total, name, getattr(total, name) + int(value))
