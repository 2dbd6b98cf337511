"""Figures of all sites together, and how they and each site stand against their targets."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from collectors.kpis.compute import Fleet, compute, intelligent_share
from collectors.kpis.figure import Known, Kpi, KpiFigure, told, withheld
from collectors.kpis.tables import KpiTables, Target
from suanwang.energy.compute import Precision
from suanwang.energy.limits import PueLimit, limits_of
from suanwang.model.reading import Quality, worst
from suanwang.model.site import SiteClass


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteResult:
    """The figures of a site, what it has installed, and its own limit of PUE."""

    site_id: str
    figures: Sequence[KpiFigure]
    fleets: Sequence[Fleet]
    it_design_w: int
    site_class: SiteClass | None
    pue_limit: float

    def figure(self, kpi: Kpi) -> KpiFigure | None:
        """Return the first figure of a kind."""
        return next((one for one in self.figures if one.kpi is kpi), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A target and what is there; without a value it cannot be said whether it is met.

    ``gap`` is by how much the value misses the target, 0 or less where it is met.
    """

    target: Target
    site_id: str
    value: float | None
    gap: float | None
    is_met: bool | None
    is_interim: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Two parts of the sites' figures whose sums make the network's."""

    above: str
    below: str
    why_none: str = field(default="no site has the figure")


_RATIOS: Mapping[Kpi, Ratio] = {
    Kpi.PUE: Ratio(above="facility_wh", below="it_wh"),
    Kpi.WUE: Ratio(above="water_l", below="it_wh"),
    Kpi.CUE_LOCATION: Ratio(above="carbon_kg", below="it_wh"),
    Kpi.CUE_MARKET: Ratio(above="carbon_kg", below="it_wh"),
    Kpi.ERF: Ratio(above="reused_wh", below="facility_wh"),
    Kpi.RACK_POWER: Ratio(above="power_w", below="it_design_w"),
    Kpi.RACK_CONTRACTED: Ratio(above="power_w", below="it_design_w"),
    Kpi.RACK_INSTALLED: Ratio(above="racks_in_use", below="racks_deliverable"),
}
_PER_KWH = frozenset({Kpi.WUE, Kpi.CUE_LOCATION, Kpi.CUE_MARKET})


def network_figures(
    known: Known, sites: Sequence[SiteResult], tables: KpiTables
) -> tuple[KpiFigure, ...]:
    """Return the network's figures: sums of the sites' parts, never means of their ratios."""
    fleets = [fleet for one in sites for fleet in one.fleets]
    design_w = sum(one.it_design_w for one in sites)
    return (
        *(_ratio(kpi, known, sites) for kpi in _RATIOS),
        told(Kpi.STANDARD_RACKS, known, design_w / 2_500, basis="design IT power of all sites"),
        *(compute(known, fleets, tables.compute, precision) for precision in Precision),
        *(
            intelligent_share(known, fleets, tables.compute, precision)
            for precision in (Precision.FP32, Precision.FP16)
        ),
    )


def _ratio(kpi: Kpi, known: Known, sites: Sequence[SiteResult]) -> KpiFigure:
    rule = _RATIOS[kpi]
    found = [one.figure(kpi) for one in sites]
    figures = [one for one in found if one is not None and one.value is not None]
    if not figures:
        nothing = Known(start=known.start, end=known.end, coverage=0.0, quality=Quality.MISSING)
        return withheld(kpi, nothing, rule.why_none)
    bases = sorted({one.basis for one in figures})
    if kpi is Kpi.PUE and len(bases) > 1:
        why = f"the sites measure IT energy differently, which is never mixed: {', '.join(bases)}"
        return withheld(kpi, known, why)
    above = sum(one.parts[rule.above] for one in figures)
    below = sum(one.parts[rule.below] for one in figures)
    if below <= 0:
        return withheld(kpi, known, "the sites' sums are zero")
    here = Known(
        start=min(one.start for one in figures),
        end=max(one.end for one in figures),
        coverage=sum(one.coverage for one in figures) / len(sites),
        quality=worst(*(one.quality for one in figures))
        if len(figures) == len(sites)
        else worst(Quality.ESTIMATED, *(one.quality for one in figures)),
    )
    basis = f"{len(figures)} of {len(sites)} sites; {'; '.join(bases)}"
    value = above / below * (1_000 if kpi in _PER_KWH else 1)
    return told(kpi, here, value, basis=basis, parts={rule.above: above, rule.below: below})


def standings(
    sites: Sequence[SiteResult],
    network: Sequence[KpiFigure],
    tables: KpiTables,
    limits: Sequence[PueLimit],
    day: date,
) -> Iterator[Standing]:
    """Yield how the network stands against targets, and each site against those that it has.

    A site has its own limit of PUE, and what policies ask of its class, where its operator names
    one.
    """
    for target in tables.targets:
        if target.applies == "network":
            yield _of_network(target, network, tables, sites)
    for one in sites:
        for target in _targets_of(one, tables, limits, day):
            figure = one.figure(target.kpi)
            if figure is not None:
                yield _standing(target, one.site_id, figure)


def _targets_of(
    one: SiteResult, tables: KpiTables, limits: Sequence[PueLimit], day: date
) -> Iterator[Target]:
    yield Target(
        id=f"pue-limit-{one.site_id}", kpi=Kpi.PUE, applies="site", at_most=one.pue_limit,
        scope=one.site_id, by=day, source="registered limit of the yearly PUE", mark="registered",
    )  # fmt: skip
    if one.site_class is None:
        return
    for limit in limits_of(limits, one.site_class, day):
        yield Target(
            id=limit.id, kpi=Kpi.PUE, applies="site", classes=limit.classes, at_most=limit.at_most,
            scope=limit.scope, by=limit.since, source=limit.source, mark=limit.mark,
        )  # fmt: skip
    for target in tables.targets:
        if target.applies == "site" and one.site_class in target.classes:
            yield target


def _of_network(
    target: Target,
    network: Sequence[KpiFigure],
    tables: KpiTables,
    sites: Sequence[SiteResult],
) -> Standing:
    if target.kpi is Kpi.COMPUTE and target.precision is not None:
        fleets = [fleet for one in sites for fleet in one.fleets]
        known = Known(start=network[0].start, end=network[0].end)
        figure = compute(known, fleets, tables.compute, target.precision, target.kind)
        return _standing(target, "", figure)
    for one in network:
        if one.kpi is target.kpi and (
            target.precision is None or one.basis.startswith(target.precision)
        ):
            return _standing(target, "", one)
    return Standing(
        target=target,
        site_id="",
        value=None,
        gap=None,
        is_met=None,
        is_interim=True,
        why="the network has no such figure",
    )


def _standing(target: Target, site_id: str, figure: KpiFigure) -> Standing:
    gap = None if figure.value is None else target.gap(figure.value)
    return Standing(
        target=target,
        site_id=site_id,
        value=figure.value,
        gap=gap,
        is_met=None if gap is None else gap <= 0,
        is_interim=figure.is_interim,
        why=figure.withheld,
    )
