"""PUE of sites over any period, out of the record: of one site, or of all in a few questions.

A figure needs of its meters only how many alike there are, and of the record the sums of its days
and hours. So a year of twenty sites is asked for at once, and no meter is loaded for it; meters are
where a period begins or ends inside an hour, or where hours changed since.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Select, and_, func, select

from collectors.kpi import NO_TIME, Interval, SiteEnergy, SiteMeters, pue_figure
from collectors.register import MeterRules, resolution_mwh
from collectors.store_energy import check_period
from collectors.store_site import ROLES, KnownMeter
from collectors.store_sums import SiteSum, add_sums
from suanwang.clock import from_epoch_ms, to_epoch_ms
from suanwang.db.tables import meter, meter_episode, meter_state, site
from suanwang.ids import SiteId
from suanwang.model.meter import MeterRole, PueCategory, PueFigure

_UTC: Final = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedPue:
    """A period and the moment it is asked at; IT energy is that of ``category`` where given."""

    start: datetime
    end: datetime
    now: datetime
    category: PueCategory | None = None


@dataclass(frozen=True, slots=True)
class Alike:
    """Meters of a site that a figure need not tell apart: what one count of all of them is."""

    role: MeterRole
    category: PueCategory
    count_mwh: int
    first_ms: int | None


@dataclass(slots=True)
class PueFacts:
    """What a figure needs to know of a site besides its energies."""

    site_id: SiteId
    zone: ZoneInfo = _UTC
    declared: PueCategory | None = None
    meters: list[Alike] = field(default_factory=list)

    def category(self) -> PueCategory | None:
        """Return where IT energy is measured; None for several ways of which none is declared."""
        found = {one.category for one in self.meters if one.role is MeterRole.IT}
        if self.declared is None and len(found) == 1:
            return found.pop()
        return self.declared

    def of_category(self, category: PueCategory | None) -> list[Alike]:
        """Return the facility meters, and the IT meters of one category; None takes all."""
        return [
            one
            for one in self.meters
            if category is None or one.role is MeterRole.FACILITY or one.category is category
        ]

    def about(self, category: PueCategory | None) -> SiteMeters:
        """Return what a figure of one category says of its meters."""
        taken = self.of_category(category)
        resolution = {
            role: sum(one.count_mwh for one in taken if one.role is role) for role in ROLES
        }
        return SiteMeters(
            site_id=self.site_id,
            facility_resolution_mwh=resolution[MeterRole.FACILITY],
            it_resolution_mwh=resolution[MeterRole.IT],
            categories=frozenset(one.category for one in taken if one.role is MeterRole.IT),
        )


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A figure on its way: over which time it is, and the energies that it will stand on.

    ``why`` tells in plain words of a period that is to come, or was before the first reading.
    """

    about: SiteMeters
    start: datetime
    end: datetime
    energy: SiteEnergy
    sum: SiteSum | None
    why: str


def pue(
    connection: Connection,
    site_id: str,
    start: datetime,
    end: datetime,
    now: datetime,
    category: PueCategory | None = None,
) -> PueFigure:
    """Return the PUE of a site, for the part of the period that has happened and been metered.

    IT energy is that of one category: the one asked for, else the one that the site declares, else
    the only one that its IT meters have. The figure's own ``start`` is not before the first reading
    of the site's meters and its ``end`` not after ``now``; coverage is against that. Raises
    BadInput for an empty period.
    """
    asked = AskedPue(start=start, end=end, now=now, category=category)
    return pues(connection, [site_id], asked)[SiteId(site_id)]


def pues(
    connection: Connection, site_ids: Sequence[str], asked: AskedPue
) -> dict[SiteId, PueFigure]:
    """Return the PUE of each of these sites over one period, in their order; see ``pue``.

    The number of statements does not grow with the number of sites.
    """
    check_period(asked.start, asked.end)
    found = [_wanted(facts, asked) for facts in facts_of(connection, site_ids).values()]
    add_sums(connection, [one.sum for one in found if one.sum is not None])
    return {one.about.site_id: _figure(one) for one in found}


def _figure(one: _Wanted) -> PueFigure:
    figure = pue_figure(one.about, one.energy, one.start, one.end)
    return replace(figure, withheld=one.why) if one.why and figure.withheld == NO_TIME else figure


def _wanted(facts: PueFacts, asked: AskedPue) -> _Wanted:
    chosen = asked.category or facts.category()
    taken = facts.of_category(chosen)
    firsts = [one.first_ms for one in taken if one.first_ms is not None]
    low = max(asked.start, from_epoch_ms(min(firsts))) if firsts else asked.start
    high = min(asked.end, asked.now)
    energy, wanted = SiteEnergy(), None
    has_both = {one.role for one in taken} == set(ROLES)
    if not firsts or not has_both or low >= high:
        low, high = asked.start, asked.end
    elif chosen is not None:
        period = Interval(to_epoch_ms(low), to_epoch_ms(high))
        wanted = SiteSum(
            site_id=facts.site_id, zone=facts.zone, category=chosen, period=period, total=energy
        )
    why = _out_of_reach(asked, from_epoch_ms(min(firsts)) if firsts else None)
    return _Wanted(facts.about(chosen), low, high, energy, wanted, why)


def _out_of_reach(asked: AskedPue, first_at: datetime | None) -> str:
    """Return why nothing can be known of a period, an empty text where something could."""
    if asked.start >= asked.now:
        return f"the period begins at {asked.start.isoformat()}, which is to come"
    if first_at is not None and first_at >= asked.end:
        return f"the site's meters were first read at {first_at.isoformat()}, after the period"
    return ""


def facts_of(connection: Connection, site_ids: Sequence[str]) -> dict[SiteId, PueFacts]:
    """Return what figures of these sites need to know; an unknown site has no meters."""
    found = {SiteId(site_id): PueFacts(SiteId(site_id)) for site_id in site_ids}
    wanted = site.c.id.in_(list(found))
    for row in connection.execute(
        select(site.c.id, site.c.timezone, site.c.pue_category).where(wanted)
    ):
        of = found[SiteId(row.id)]
        of.zone = ZoneInfo(row.timezone)
        of.declared = PueCategory(row.pue_category) if row.pue_category else None
    for row in connection.execute(_meters_alike(list(found))):
        rules = MeterRules(
            rated_w=0, modulus_mwh=0, gap_ms=0,
            resolution_mwh=resolution_mwh(row.resolution_wh),
            factor_num=row.factor_num, factor_den=row.factor_den,
        )  # fmt: skip
        role, category = MeterRole(row.role), PueCategory(row.category)
        alike = Alike(role, category, rules.count_mwh * row.meters, row.first_ms)
        found[SiteId(row.site_id)].meters.append(alike)
    return found


def _meters_alike(site_ids: Sequence[str]) -> Select[Any]:
    """Select how many meters of the sites are alike, by what their newest episode says of them."""
    newest = (
        select(meter_episode.c.meter_id, func.max(meter_episode.c.seq).label("seq"))
        .group_by(meter_episode.c.meter_id)
        .subquery()
    )
    is_newest = and_(
        meter_episode.c.meter_id == newest.c.meter_id, meter_episode.c.seq == newest.c.seq
    )
    alike = (
        meter.c.site_id,
        meter.c.role,
        meter.c.category,
        func.coalesce(meter_episode.c.resolution_wh, meter.c.resolution_wh).label("resolution_wh"),
        func.coalesce(meter_episode.c.factor_num, 1).label("factor_num"),
        func.coalesce(meter_episode.c.factor_den, 1).label("factor_den"),
    )
    return (
        select(
            *alike,
            func.count().label("meters"),
            func.min(meter_state.c.first_ms).label("first_ms"),
        )
        .select_from(meter)
        .outerjoin(meter_state, meter_state.c.meter_id == meter.c.id)
        .outerjoin(newest, newest.c.meter_id == meter.c.id)
        .outerjoin(meter_episode, is_newest)
        .where(meter.c.site_id.in_(site_ids), meter.c.role.in_([role.value for role in ROLES]))
        .group_by(*alike)
    )


def declared_category(
    connection: Connection, site_id: str, meters: Sequence[KnownMeter]
) -> PueCategory | None:
    """Return where a site measures IT energy; None where it has several ways and declares none."""
    declared = connection.scalar(select(site.c.pue_category).where(site.c.id == site_id))
    if declared:
        return PueCategory(declared)
    found = {known.meter.category for known in meters if known.meter.role is MeterRole.IT}
    return found.pop() if len(found) == 1 else None
