"""What a file says of a site's energy: sleep, battery, sun and promises."""

from dataclasses import replace
from datetime import UTC, timedelta
from decimal import Decimal
from math import inf, sqrt
from typing import Annotated, Final, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from suanwang.energy.carbon_books import CarbonBook
from suanwang.energy.file_model import FileModel
from suanwang.energy.grid import GridEvent
from suanwang.energy.solar import SolarField
from suanwang.energy.storage import BatterySpec
from suanwang.model.site_terms import HOURS_A_DAY, EnergyTerms, SleepTerms

SiteName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Power = Annotated[Decimal, Field(gt=0, max_digits=12, decimal_places=3)]
Share = Annotated[float, Field(ge=0, le=1)]
Cost = Annotated[Decimal, Field(ge=0, max_digits=15, decimal_places=2)]
_W_PER_KW: Final = 1_000
_S_PER_MINUTE: Final = 60


class BatteryFile(FileModel):
    """A battery of a site, which a plan leaves as full as ``charged`` says at its end.

    ``charge_from`` names the subject of the telemetry whose ``battery_charge_ratio`` tells how full
    it is now; without one it counts as ``charged``.
    """

    kw: Power
    kwh: Power
    round_trip: Annotated[float, Field(gt=0, le=1)]
    charged: Share = 0.5
    wear_cny_per_kwh: Cost = Decimal(0)
    charge_from: Annotated[str, Field(max_length=256)] = ""

    def build(self) -> BatterySpec:
        """Return the battery; half of its losses are on the way in, half on the way out."""
        one_way = sqrt(self.round_trip)
        capacity_wh = _watts(self.kwh)
        return BatterySpec(
            capacity_wh=capacity_wh,
            charge_w_max=_watts(self.kw),
            discharge_w_max=_watts(self.kw),
            efficiency_charge=one_way,
            efficiency_discharge=one_way,
            soc_wh=self.charged * capacity_wh,
            soc_end_min_wh=self.charged * capacity_wh,
            wear_yuan_per_kwh=float(self.wear_cny_per_kwh),
        )


class SolarFile(FileModel):
    """A solar field; ``month_share`` is what a usual month, from January on, lets through."""

    kw_peak: Power
    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]
    month_share: Annotated[tuple[Share, ...], Field(min_length=12, max_length=12)]
    performance: Annotated[float, Field(gt=0, le=1)] = 0.8
    inverter_kw: Power | None = None

    def build(self) -> SolarField:
        """Return the field; its months are those of UTC until a site's zone is known."""
        limit_w = inf if self.inverter_kw is None else _watts(self.inverter_kw)
        return SolarField(
            peak_w=_watts(self.kw_peak),
            latitude=self.latitude,
            longitude=self.longitude,
            timezone="UTC",
            month_share=self.month_share,
            performance=self.performance,
            inverter_w_max=limit_w,
        )


class SleepFile(FileModel):
    """How idle nodes of a site may sleep, and what a wake of one takes."""

    wake_minutes: Annotated[float, Field(ge=0, le=1440)]
    wake_kwh: Annotated[float, Field(ge=0, le=100)]
    wear_cny: Cost = Decimal(0)
    spare_nodes: Annotated[int, Field(ge=0)] = 0

    def build(self) -> SleepTerms:
        """Return the terms."""
        return SleepTerms(
            wake_s=self.wake_minutes * _S_PER_MINUTE,
            wake_wh=self.wake_kwh * _W_PER_KW,
            wear_yuan=float(self.wear_cny),
            spare_nodes=self.spare_nodes,
        )


class PromiseFile(FileModel):
    """A power that the site promised the grid not to pass for a while."""

    id: SiteName
    at: AwareDatetime
    for_minutes: Annotated[int, Field(ge=1, le=1_000_000)]
    firm_kw: Power

    def build(self) -> GridEvent:
        """Return the promise."""
        start = self.at.astimezone(UTC)
        end = start + timedelta(minutes=self.for_minutes)
        return GridEvent(id=self.id, start=start, end=end, firm_w=_watts(self.firm_kw))


class TermsFile(FileModel):
    """What an operator lets be planned of a site's energy, and how its carbon counts."""

    sleep: SleepFile | None = None
    battery: BatteryFile | None = None
    solar: SolarFile | None = None
    solar_kw_by_hour: tuple[Annotated[float, Field(ge=0)], ...] = ()
    promises: tuple[PromiseFile, ...] = ()
    carbon_book: CarbonBook = CarbonBook.LOCATION

    @model_validator(mode="after")
    def _sun_is_of_a_day(self) -> Self:
        if len(self.solar_kw_by_hour) not in (0, HOURS_A_DAY):
            raise ValueError(f"solar_kw_by_hour has {len(self.solar_kw_by_hour)} hours, not 24")
        if self.solar is not None and self.solar_kw_by_hour:
            raise ValueError("name a solar field or solar_kw_by_hour, not both")
        return self

    def build(self) -> EnergyTerms:
        """Return the terms."""
        plain = energy_terms(self.sleep, self.battery, self.solar_kw_by_hour, self.promises)
        return replace(
            plain,
            solar=None if self.solar is None else self.solar.build(),
            charge_from="" if self.battery is None else self.battery.charge_from,
            carbon_book=self.carbon_book,
        )


class SiteTermsFile(TermsFile):
    """The terms of one site in a file of many."""

    id: SiteName


class SitesTermsFile(FileModel):
    """``site_terms.yaml`` in an operator's folder of energy files."""

    schema_: Literal["site_terms/v1"] = Field(alias="schema")
    sites: tuple[SiteTermsFile, ...]

    @model_validator(mode="after")
    def _each_site_once(self) -> "SitesTermsFile":
        names = [site.id for site in self.sites]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"sites stand twice: {', '.join(twice)}")
        return self

    def build(self) -> dict[str, EnergyTerms]:
        """Return the terms by site."""
        return {site.id: site.build() for site in self.sites}


def energy_terms(
    sleep: SleepFile | None,
    battery: BatteryFile | None,
    solar_kw_by_hour: tuple[float, ...],
    promises: tuple[PromiseFile, ...],
) -> EnergyTerms:
    """Return what the parts of a file say together."""
    has_sun = any(solar_kw_by_hour)
    return EnergyTerms(
        sleep=None if sleep is None else sleep.build(),
        battery=None if battery is None else battery.build(),
        solar_w_by_hour=tuple(_W_PER_KW * kw for kw in solar_kw_by_hour) if has_sun else (),
        events=tuple(one.build() for one in promises),
    )


def _watts(kilowatts: Decimal) -> float:
    return float(kilowatts * _W_PER_KW)
