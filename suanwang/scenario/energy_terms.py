"""What a world file says of a site's energy: sleep, battery, sun, promises."""

from datetime import UTC, timedelta
from decimal import Decimal
from math import sqrt
from typing import Final

from suanwang.energy.grid import GridEvent
from suanwang.energy.storage import BatterySpec
from suanwang.model.site_terms import EnergyTerms, SleepTerms
from suanwang.scenario.schema import BatteryFile, PromiseFile, SiteFile, SleepFile

_W_PER_KW: Final = 1_000
_S_PER_MINUTE: Final = 60


def energy_terms(site: SiteFile) -> EnergyTerms:
    """Return what may be planned of a site."""
    return EnergyTerms(
        sleep=None if site.sleep is None else _sleep(site.sleep),
        battery=None if site.battery is None else _battery(site.battery),
        solar_w_by_hour=_solar_w(site),
        events=tuple(_promise(one) for one in site.promises),
    )


def _solar_w(site: SiteFile) -> tuple[float, ...]:
    if not any(site.solar_kw_by_hour):
        return ()
    return tuple(_W_PER_KW * power for power in site.solar_kw_by_hour)


def _sleep(file: SleepFile) -> SleepTerms:
    return SleepTerms(
        wake_s=file.wake_minutes * _S_PER_MINUTE,
        wake_wh=file.wake_kwh * _W_PER_KW,
        wear_yuan=float(file.wear_cny),
        spare_nodes=file.spare_nodes,
    )


def _battery(file: BatteryFile) -> BatterySpec:
    """Return a battery that loses half of its losses each way and ends as full as it began."""
    one_way = sqrt(file.round_trip)
    capacity_wh = _watts(file.kwh)
    return BatterySpec(
        capacity_wh=capacity_wh,
        charge_w_max=_watts(file.kw),
        discharge_w_max=_watts(file.kw),
        efficiency_charge=one_way,
        efficiency_discharge=one_way,
        soc_wh=file.charged * capacity_wh,
        soc_end_min_wh=file.charged * capacity_wh,
        wear_yuan_per_kwh=float(file.wear_cny_per_kwh),
    )


def _promise(file: PromiseFile) -> GridEvent:
    start = file.at.astimezone(UTC)
    end = start + timedelta(minutes=file.for_minutes)
    return GridEvent(id=file.id, start=start, end=end, firm_w=_watts(file.firm_kw))


def _watts(kilowatts: Decimal) -> float:
    return float(kilowatts * _W_PER_KW)
