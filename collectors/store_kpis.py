"""Every figure of a site over a period, out of the record."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, select

from collectors import quality, store_green, store_zones
from collectors.accumulator import WINDOW_MS
from collectors.kpi import Interval
from collectors.kpis import carbon, compute, effectiveness, grade, racks, utilities
from collectors.kpis.compute import Fleet
from collectors.kpis.figure import Known, Kpi, KpiFigure, withheld
from collectors.kpis.tables import KpiTables
from collectors.store_common import CommonEnergy, common_energy
from collectors.store_idle import idle_figure
from collectors.store_pue import declared_category, pue
from collectors.store_site import KnownMeter, load_meters, of_category
from suanwang.clock import from_epoch_ms, to_epoch_ms
from suanwang.db.tables import pool, rack, site
from suanwang.energy.catalogue import EnergyCatalogue
from suanwang.energy.compute import Precision
from suanwang.errors import NotFound
from suanwang.model.inventory import Delivery
from suanwang.model.meter import Carrier, MeterRole, PueCategory
from suanwang.model.reading import Quality
from suanwang.model.site import CoolingKind, SiteClass, SplitKey

ALL_ROLES: Final = tuple(MeterRole)
MWH_PER_WH: Final = 1_000
MS_PER_H: Final = 3_600_000
SHARE_PRECISION: Final = Precision.FP32
"""The precision of the intelligent share, where nobody asks for another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteFacts:
    """What the figures need to know of a site besides its meters."""

    id: str
    operator: str
    timezone: str
    cooling: CoolingKind
    climate: str
    carbon_region: str
    it_design_w: int
    power_chain: str = ""
    site_class: SiteClass | None
    pue_limit: float
    ppue_split: SplitKey
    fleets: tuple[Fleet, ...]
    racks: tuple[racks.RackFact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What figures are made of: the site, the period, now, and the tables."""

    facts: SiteFacts
    start: datetime
    end: datetime
    now: datetime
    tables: KpiTables
    catalogue: EnergyCatalogue

    def whole(self, of: Quality = Quality.MEASURED) -> Known:
        """Return the asked period, for figures that no meter makes."""
        coverage = 0.0 if of is Quality.MISSING else 1.0
        return Known(start=self.start, end=self.end, coverage=coverage, quality=of)


def site_facts(connection: Connection, site_id: str) -> SiteFacts:
    """Return what is registered of a site; raise NotFound for an unknown one."""
    row = connection.execute(select(site).where(site.c.id == site_id)).first()
    if row is None:
        raise NotFound(f"there is no site {site_id}", site_id=site_id)
    pools = connection.execute(
        select(pool.c.accelerator, pool.c.units).where(pool.c.site_id == site_id)
    )
    standing = connection.execute(
        select(rack.c.rated_w, rack.c.contracted_w, rack.c.delivery).where(
            rack.c.site_id == site_id
        )
    )
    return SiteFacts(
        id=row.id,
        operator=row.operator,
        timezone=row.timezone,
        cooling=CoolingKind(row.cooling),
        climate=row.climate,
        carbon_region=row.carbon_region,
        it_design_w=row.it_design_w,
        power_chain=row.power_chain,
        site_class=SiteClass(row.site_class) if row.site_class else None,
        pue_limit=row.pue_limit,
        ppue_split=SplitKey(row.ppue_split or SplitKey.HEAT),
        fleets=tuple(Fleet(accelerator, units) for accelerator, units in pools),
        racks=tuple(
            racks.RackFact(
                rated_w=row.rated_w,
                contracted_w=row.contracted_w,
                is_deliverable=row.delivery != Delivery.PLANNED,
                is_in_use=row.delivery == Delivery.IN_USE,
            )
            for row in standing
        ),
    )


def fleets(connection: Connection) -> list[Fleet]:
    """Return what is installed at all sites."""
    rows = connection.execute(select(pool.c.accelerator, pool.c.units))
    return [Fleet(accelerator, units) for accelerator, units in rows]


def site_ids(connection: Connection) -> list[str]:
    """Return all sites by id."""
    return list(connection.scalars(select(site.c.id).order_by(site.c.id)))


def site_figures(
    connection: Connection, asked: Asked, precision: Precision = SHARE_PRECISION
) -> tuple[KpiFigure, ...]:
    """Return every figure of a site over a period, each with its value or why it has none."""
    facts = asked.facts
    meters = load_meters(connection, facts.id, ALL_ROLES)
    chosen = declared_category(connection, facts.id, meters)
    first = effectiveness.pue(pue(connection, facts.id, asked.start, asked.end, asked.now))
    standard = racks.standard_racks(asked.whole(), facts.it_design_w)
    known = Known(start=first.start, end=first.end, coverage=first.coverage, quality=first.quality)
    size = standard.value or 0.0
    return (
        first,
        *_zone_figures(connection, asked, meters, chosen),
        grade.grade(known, first, asked.tables.grades, size),
        *energy_figures(connection, asked, meters, chosen),
        standard,
        *_rack_figures(connection, asked, of_role(meters, MeterRole.IT, chosen)),
        *_compute_figures(asked, precision),
        idle_figure(connection, facts.id, asked.start, min(asked.end, asked.now)),
    )


def of_role(
    meters: Sequence[KnownMeter], role: MeterRole, chosen: PueCategory | None
) -> list[KnownMeter]:
    """Return the meters of a role; IT meters are those of the chosen category."""
    if role is MeterRole.IT:
        taken = of_category(meters, chosen)
        return [one for one in taken if one.meter.role is MeterRole.IT]
    return [one for one in meters if one.meter.role is role]


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """Energies of some roles over their common time; ``lacks`` says why there are none.

    ``by_carrier`` is that of the facility alone. All are in Wh, water in litres.
    """

    known: Known
    common_ms: int = 0
    by_role: Mapping[MeterRole, float] = field(default_factory=dict)
    by_carrier: Mapping[Carrier, float] = field(default_factory=dict)
    by_meter: Mapping[str, float] = field(default_factory=dict)
    lacks: str = ""

    def wh(self, role: MeterRole) -> float:
        """Return the energy of a role, Wh; 0 of one that did not take part."""
        return self.by_role.get(role, 0.0)


def together(
    connection: Connection,
    asked: Asked,
    by_role: Mapping[MeterRole, Sequence[KnownMeter]],
) -> Together:
    """Return what meters counted over the time that all know, each role being needed.

    The period begins where the last of the meters began, ends now, and is cut to whole windows.
    """
    missing = [role.value for role, of_it in by_role.items() if not of_it]
    meters = [one for of_it in by_role.values() for one in of_it]
    firsts = [one.first_ms for one in meters if one.first_ms is not None]
    if missing or len(firsts) < len(meters):
        roles = " and ".join(missing)
        lacks = f"the site has no meter of the role {roles}" if missing else "a meter is unread"
        return Together(known=asked.whole(Quality.MISSING), lacks=lacks)
    low = -(-max(to_epoch_ms(asked.start), *firsts) // WINDOW_MS) * WINDOW_MS
    high = min(to_epoch_ms(asked.end), to_epoch_ms(asked.now)) // WINDOW_MS * WINDOW_MS
    if low >= high:
        lacks = "no whole window of 15 minutes lies in the period"
        return Together(known=asked.whole(Quality.MISSING), lacks=lacks)
    total = common_energy(connection, [one.meter.id for one in meters], Interval(low, high))
    known = Known(
        start=from_epoch_ms(low),
        end=from_epoch_ms(high),
        coverage=total.common_ms / (high - low),
        quality=_quality(total, by_role),
    )
    if not total.common_ms:
        names = ", ".join(role.value for role in by_role)
        lacks = f"there is no window that all meters know: {names}"
        return Together(known=known, lacks=lacks)
    carriers: dict[Carrier, float] = {}
    for one in by_role.get(MeterRole.FACILITY, ()):
        wh = total.mwh[one.meter.id] / MWH_PER_WH
        carriers[one.meter.carrier] = carriers.get(one.meter.carrier, 0.0) + wh
    sums = {role: _sum(total, of_it) / MWH_PER_WH for role, of_it in by_role.items()}
    return Together(
        known=known,
        common_ms=total.common_ms,
        by_role=sums,
        by_carrier=carriers,
        by_meter={meter_id: mwh / MWH_PER_WH for meter_id, mwh in total.mwh.items()},
    )


def _sum(total: CommonEnergy, meters: Sequence[KnownMeter]) -> int:
    return sum(total.mwh[one.meter.id] for one in meters)


def _quality(total: CommonEnergy, by_role: Mapping[MeterRole, Sequence[KnownMeter]]) -> Quality:
    parts = quality.parts_quality(total.common_ms, total.interpolated_ms, total.estimated_ms)
    for meters in by_role.values():
        count_mwh = sum(one.history.rules.count_mwh for one in meters)
        parts = quality.figure_quality(_sum(total, meters), count_mwh, parts)
    return parts


def energy_figures(
    connection: Connection,
    asked: Asked,
    meters: Sequence[KnownMeter],
    chosen: PueCategory | None,
) -> Iterator[KpiFigure]:
    """Yield water, carbon, renewable and reused energy of a period."""
    roles = {role: of_role(meters, role, chosen) for role in MeterRole}
    it, facility = roles[MeterRole.IT], roles[MeterRole.FACILITY]
    water = together(connection, asked, {MeterRole.IT: it, MeterRole.WATER: roles[MeterRole.WATER]})
    if water.lacks:
        yield withheld(Kpi.WUE, water.known, water.lacks)
    else:
        litres = water.wh(MeterRole.WATER)
        yield utilities.wue(water.known, litres, water.wh(MeterRole.IT))
    both = {MeterRole.FACILITY: facility, MeterRole.IT: it}
    yield from _carbon(connection, asked, together(connection, asked, both))
    yield _renewable(connection, asked, facility, roles[MeterRole.RENEWABLE])
    reuse = together(connection, asked, {**both, MeterRole.REUSE: roles[MeterRole.REUSE]})
    if reuse.lacks:
        yield withheld(Kpi.ERF, reuse.known, reuse.lacks)
        yield withheld(Kpi.ERE, reuse.known, reuse.lacks)
        return
    energies = reuse.wh(MeterRole.FACILITY), reuse.wh(MeterRole.REUSE)
    yield utilities.erf(reuse.known, *energies)
    yield utilities.ere(reuse.known, energies[0], reuse.wh(MeterRole.IT), energies[1])


def _carbon(connection: Connection, asked: Asked, energy: Together) -> Iterator[KpiFigure]:
    if energy.lacks:
        yield withheld(Kpi.CUE_LOCATION, energy.known, energy.lacks)
        yield withheld(Kpi.CUE_MARKET, energy.known, energy.lacks)
        return
    year = energy.known.end.year
    factors = carbon.CarbonFactors(
        location=asked.catalogue.carbon.factor(asked.facts.carbon_region, year),
        residual=asked.tables.residual_factor(year),
        others=asked.tables.fuels_g_per_kwh,
    )
    it_wh = energy.wh(MeterRole.IT)
    yield carbon.cue_location(energy.known, energy.by_carrier, it_wh, factors)
    cancelled_wh = _cancelled(connection, asked, energy.known)
    yield carbon.cue_market(energy.known, energy.by_carrier, it_wh, factors, cancelled_wh)


def _cancelled(connection: Connection, asked: Asked, known: Known) -> float:
    """Certificates of the known part of the time: the rest of them belongs to the holes."""
    whole = store_green.cancelled_wh(connection, asked.facts.id, known.start, known.end)
    return whole * known.coverage


def _renewable(
    connection: Connection,
    asked: Asked,
    facility: Sequence[KnownMeter],
    on_site: Sequence[KnownMeter],
) -> KpiFigure:
    roles: dict[MeterRole, Sequence[KnownMeter]] = {MeterRole.FACILITY: facility}
    if on_site:
        roles[MeterRole.RENEWABLE] = on_site
    energy = together(connection, asked, roles)
    if energy.lacks:
        return withheld(Kpi.REF, energy.known, energy.lacks)
    renewable = utilities.Renewable(
        on_site_wh=energy.wh(MeterRole.RENEWABLE),
        cancelled_wh=_cancelled(connection, asked, energy.known),
    )
    return utilities.ref(energy.known, energy.wh(MeterRole.FACILITY), renewable)


def _zone_figures(
    connection: Connection,
    asked: Asked,
    meters: Sequence[KnownMeter],
    chosen: PueCategory | None,
) -> Iterator[KpiFigure]:
    it = of_role(meters, MeterRole.IT, chosen)
    found = store_zones.zones_of(connection, asked.facts.id, [one.meter.id for one in it])
    if found is None:
        return
    if found.lacks:
        yield from store_zones.withheld_zones(asked.whole(), found, found.lacks)
        return
    roles = {MeterRole.FACILITY: of_role(meters, MeterRole.FACILITY, chosen), MeterRole.IT: it}
    own = [one for one in meters if one.meter.id in found.own]
    energy = together(connection, asked, {**roles, MeterRole.OTHER: own} if own else roles)
    if energy.lacks:
        yield from store_zones.withheld_zones(energy.known, found, energy.lacks)
        return
    facility_wh = energy.wh(MeterRole.FACILITY)
    yield from store_zones.zone_figures(
        energy.known, found, energy.by_meter, facility_wh, asked.facts.ppue_split
    )


def _rack_figures(
    connection: Connection, asked: Asked, it: Sequence[KnownMeter]
) -> Iterator[KpiFigure]:
    facts = asked.facts
    yield racks.rack_installed(asked.whole(), facts.racks)
    yield racks.rack_contracted(asked.whole(), facts.racks, facts.it_design_w)
    energy = together(connection, asked, {MeterRole.IT: it})
    if energy.lacks:
        yield withheld(Kpi.RACK_POWER, energy.known, energy.lacks)
        yield withheld(Kpi.POWER_DENSITY, energy.known, energy.lacks)
        return
    drawn_w = energy.wh(MeterRole.IT) / (energy.common_ms / MS_PER_H)
    yield racks.rack_power(energy.known, drawn_w, facts.it_design_w)
    used = sum(bool(one.is_in_use) for one in facts.racks)
    what = "drawn IT power / racks in use"
    yield racks.power_density(energy.known, drawn_w, used, what=what)


def _compute_figures(asked: Asked, chosen: Precision) -> Iterator[KpiFigure]:
    matrix, fleets, known = asked.tables.compute, asked.facts.fleets, asked.whole()
    for precision in Precision:
        yield compute.compute(known, fleets, matrix, precision)
    yield compute.intelligent_share(known, fleets, matrix, chosen)
