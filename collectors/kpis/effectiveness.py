"""PUE as a member of the family, and the partial PUE of zones that share a plant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from collectors import quality
from collectors.kpis.figure import FORMULAS, Known, Kpi, KpiFigure, told, withheld
from suanwang.errors import BadInput
from suanwang.model.meter import PueFigure
from suanwang.model.site import SplitKey


def pue(figure: PueFigure) -> KpiFigure:
    """Return a site's PUE in the form of the family; the rules are those of ``collectors.kpi``."""
    rule = FORMULAS[Kpi.PUE]
    return KpiFigure(
        kpi=Kpi.PUE,
        value=figure.value,
        unit=rule.unit,
        formula=rule.version,
        start=figure.start,
        end=figure.end,
        coverage=min(figure.coverage_facility, figure.coverage_it),
        quality=figure.quality,
        is_interim=figure.is_interim,
        basis=figure.category.value,
        withheld=figure.withheld,
        parts={"facility_wh": figure.facility_wh, "it_wh": figure.it_wh},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneEnergy:
    """IT energy of a zone, and of the infrastructure that serves it alone, in Wh.

    ``cooling_wh`` is what the zone's cooling sub-meters counted, None where it has none.
    """

    zone: str
    it_wh: float
    own_wh: float = 0.0
    cooling_wh: float | None = None


def partial_pue(
    known: Known,
    zones: Sequence[ZoneEnergy],
    shared_wh: float,
    key: SplitKey = SplitKey.HEAT,
) -> Mapping[str, KpiFigure]:
    """Return the pPUE of every zone, the shared energy split by the declared key.

    So split, the zones' energies add up to the facility's: weighted with IT energy the pPUEs give
    the PUE of the site. Raise BadInput for a zone that is named twice or a negative energy.
    """
    shares, used, split = _shares(zones, key)
    names = [zone.zone for zone in zones]
    if len(set(names)) < len(names):
        raise BadInput(f"a zone is named twice: {', '.join(sorted(names))}")
    if shared_wh < 0 or any(zone.it_wh < 0 or zone.own_wh < 0 for zone in zones):
        raise BadInput("an energy of a zone is negative: check the roles of its meters")
    figures: dict[str, KpiFigure] = {}
    for zone, share in zip(zones, shares, strict=True):
        basis = f"zone {zone.zone}; shared plant split by {split}"
        if zone.it_wh <= 0:
            why = "the IT meters of the zone counted no energy"
            figures[zone.zone] = withheld(Kpi.PPUE, known, why, basis=basis)
            continue
        infrastructure_wh = zone.own_wh + share * shared_wh
        value = (zone.it_wh + infrastructure_wh) / zone.it_wh
        parts = {
            "it_wh": zone.it_wh,
            "own_wh": zone.own_wh,
            "shared_wh": share * shared_wh,
        }
        if value > quality.PUE_MAX:
            why = (
                f"{value:.3f} is more than {quality.PUE_MAX:g}: check which meter is in which zone"
            )
            figures[zone.zone] = withheld(Kpi.PPUE, known, why, basis=basis, parts=parts)
        else:
            figures[zone.zone] = told(Kpi.PPUE, known, value, basis=basis, parts=parts)
    version = f"{FORMULAS[Kpi.PPUE].version}/{used}"
    return {name: replace(figure, formula=version) for name, figure in figures.items()}


def _shares(zones: Sequence[ZoneEnergy], key: SplitKey) -> tuple[list[float], SplitKey, str]:
    """Return the share of each zone in a shared plant, by which key, and that in words.

    By cooling only where every zone has a sub-meter of its own and they counted something.
    """
    if key is SplitKey.EVEN:
        return [1 / len(zones) for _ in zones], key, key
    cooling = [zone.cooling_wh for zone in zones if zone.cooling_wh is not None]
    if key is SplitKey.COOLING and len(cooling) == len(zones) and sum(cooling) > 0:
        return [one / sum(cooling) for one in cooling], key, key
    it_wh = sum(zone.it_wh for zone in zones)
    shares = [zone.it_wh / it_wh if it_wh > 0 else 0.0 for zone in zones]
    if key is SplitKey.HEAT:
        return shares, key, key
    lacks = ", ".join(zone.zone for zone in zones if zone.cooling_wh is None)
    why = f"no cooling meter in {lacks}" if lacks else "the cooling meters counted nothing"
    return shares, SplitKey.HEAT, f"{SplitKey.HEAT} instead of {key}: {why}"
