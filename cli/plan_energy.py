"""The energy schedule of a plan: what sleeps, what the battery does, what becomes of the PUE."""

from collections.abc import Sequence

from cli.output import NOTHING, Json, line, number, table
from suanwang.model.energy_plan import EnergySlot, SiteEnergy

WH_PER_KWH = 1_000


def print_energy(sites: Sequence[SiteEnergy]) -> None:
    """Print a row for each site with a schedule; nothing where there is none."""
    if not sites:
        return
    columns = ("site", "asleep kWh", "wakes", "sun kWh", "battery kWh", "grid kWh", "peak kW",
               "PUE awake", "PUE", "broken promise kWh", "battery short kWh")  # fmt: skip
    table(
        columns,
        [_cells(site) for site in sites],
        title="Energy schedule (asleep: what sleeping nodes do not burn, with their cooling)",
    )
    line(
        "The table of sites counts every node as awake; this one does not. PUE may rise while "
        "energy falls: idle nodes that sleep leave a hall's fixed losses to fewer watts of IT."
    )
    line()


def _cells(site: SiteEnergy) -> tuple[str, ...]:
    return (
        str(site.site_id),
        _kwh(site.saved_wh),
        str(site.wakes),
        _kwh(site.solar_wh),
        _kwh(site.discharged_wh),
        number(site.grid_wh / WH_PER_KWH),
        number(site.peak_w / WH_PER_KWH),
        NOTHING if site.pue_awake is None else number(site.pue_awake, 3),
        NOTHING if site.pue is None else number(site.pue, 3),
        _kwh(site.over_wh),
        _kwh(site.short_wh),
    )


def _kwh(watt_hours: float) -> str:
    return number(watt_hours / WH_PER_KWH) if watt_hours >= 1 else NOTHING


def energy_document(site: SiteEnergy) -> Json:
    """Return a site's schedule as a JSON document; energy in Wh, powers in W, times in UTC."""
    return {
        "site_id": site.site_id,
        "cost_yuan": site.cost_yuan,
        "it_wh": site.it_wh,
        "facility_wh": site.facility_wh,
        "grid_wh": site.grid_wh,
        "saved_wh": site.saved_wh,
        "solar_wh": site.solar_wh,
        "discharged_wh": site.discharged_wh,
        "pue": site.pue,
        "pue_awake": site.pue_awake,
        "wakes": site.wakes,
        "peak_w": site.peak_w,
        "peak_before_w": site.peak_before_w,
        "over_wh": site.over_wh,
        "short_wh": site.short_wh,
        "slots": [_slot_document(slot) for slot in site.slots],
    }


def _slot_document(slot: EnergySlot) -> Json:
    return {
        "start": slot.start.isoformat(),
        "end": slot.end.isoformat(),
        "facility_w": slot.facility_w,
        "grid_w": slot.grid_w,
        "draw_w": slot.draw_w,
        "solar_w": slot.solar_w,
        "charge_w": slot.charge_w,
        "discharge_w": slot.discharge_w,
        "soc_wh": slot.soc_wh,
        "over_w": slot.over_w,
        "awake": {str(pool_id): nodes for pool_id, nodes in slot.awake.items()},
    }
