"""Water, renewable energy and reused energy of a site, over the time that its meters know."""

from dataclasses import dataclass

from collectors.kpis.figure import WH_PER_KWH, Known, Kpi, KpiFigure, told, withheld

NO_IT = "the IT meters counted no energy"
NO_FACILITY = "the facility meters counted no energy"


def wue(known: Known, water_l: float, it_wh: float) -> KpiFigure:
    """Return litres of water for a kilowatt-hour of IT."""
    parts = {"water_l": water_l, "it_wh": it_wh}
    if it_wh <= 0:
        return withheld(Kpi.WUE, known, NO_IT, parts=parts)
    return told(Kpi.WUE, known, water_l / (it_wh / WH_PER_KWH), basis="site water", parts=parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewable:
    """Renewable energy of a period, Wh: made on site, and proven by what was cancelled for it."""

    on_site_wh: float = 0.0
    cancelled_wh: float = 0.0


def ref(known: Known, facility_wh: float, renewable: Renewable) -> KpiFigure:
    """Return the renewable share of all energy: what crosses the border and what is made inside.

    Certificates count up to the energy that came in; what is left over is told, and counts nothing.
    """
    counted_wh = min(renewable.cancelled_wh, max(0.0, facility_wh))
    total_wh = facility_wh + renewable.on_site_wh
    parts = {
        "facility_wh": facility_wh,
        "on_site_wh": renewable.on_site_wh,
        "cancelled_wh": renewable.cancelled_wh,
        "surplus_wh": renewable.cancelled_wh - counted_wh,
    }
    if total_wh <= 0:
        return withheld(Kpi.REF, known, NO_FACILITY, parts=parts)
    value = (renewable.on_site_wh + counted_wh) / total_wh
    return told(Kpi.REF, known, value, basis="certificates cancelled once", parts=parts)


def erf(known: Known, facility_wh: float, reused_wh: float) -> KpiFigure:
    """Return the share of the facility's energy that is handed on as heat."""
    parts = {"facility_wh": facility_wh, "reused_wh": reused_wh}
    why = _reuse_is_wrong(facility_wh, reused_wh)
    if why:
        return withheld(Kpi.ERF, known, why, parts=parts)
    return told(Kpi.ERF, known, reused_wh / facility_wh, parts=parts)


def ere(known: Known, facility_wh: float, it_wh: float, reused_wh: float) -> KpiFigure:
    """Return what is left of the facility's energy after reuse, over IT energy."""
    parts = {"facility_wh": facility_wh, "it_wh": it_wh, "reused_wh": reused_wh}
    why = _reuse_is_wrong(facility_wh, reused_wh) or (NO_IT if it_wh <= 0 else "")
    if why:
        return withheld(Kpi.ERE, known, why, parts=parts)
    return told(Kpi.ERE, known, (facility_wh - reused_wh) / it_wh, parts=parts)


def _reuse_is_wrong(facility_wh: float, reused_wh: float) -> str:
    if facility_wh <= 0:
        return NO_FACILITY
    if reused_wh > facility_wh:
        return (
            f"{reused_wh:.0f} Wh handed on are more than the {facility_wh:.0f} Wh that came in: "
            "check the meters of the role reuse"
        )
    return ""
