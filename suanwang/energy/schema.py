"""The shape of the energy files, and how they become the objects of this package."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from suanwang.document import Document
from suanwang.energy.accelerators import Accelerator, HostOverhead
from suanwang.energy.carbon import CarbonTable
from suanwang.energy.climate import Climate
from suanwang.energy.compute import Compute
from suanwang.energy.facility import FacilityCoefficients
from suanwang.energy.limits import PueLimit
from suanwang.energy.tariff import (
    MINUTES_PER_DAY,
    Band,
    BandSpan,
    DemandCharge,
    Season,
    Tariff,
    check_seasons,
)
from suanwang.errors import BadInput
from suanwang.model.site import CoolingKind, SiteClass
from suanwang.units import UYUAN_PER_YUAN

Month = Annotated[int, Field(ge=1, le=12)]
ClockText = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$|^24:00$")]
Yuan = Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=6)]
TwelveFloats = Annotated[tuple[float, ...], Field(min_length=12, max_length=12)]


class FileModel(BaseModel):
    """Unknown keys are an error; values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class BandFile(FileModel):
    """A band of the day, in local clock time."""

    start: ClockText = Field(alias="from")
    end: ClockText = Field(alias="to")
    band: Band


class SeasonFile(FileModel):
    """The months that share one pattern."""

    name: str
    months: tuple[Month, ...]
    bands: tuple[BandFile, ...]


class EnergyPriceFile(FileModel):
    """The energy part of a tariff, CNY/kWh."""

    flat_price: dict[str, Yuan]
    floating_share: Annotated[Decimal, Field(ge=0, le=1)]
    multiplier: dict[Band, Annotated[Decimal, Field(ge=-1)]]
    seasons: tuple[SeasonFile, ...]
    example_35kV_2025_04: dict[Band, Yuan] | None = None  # noqa: N815 - the key as the file spells it


class DemandFile(FileModel):
    """The demand part of a tariff; besides prices by voltage each table names its unit."""

    max_demand: dict[str, Yuan | Literal["CNY/kW/month"]]
    capacity: dict[str, Yuan | Literal["CNY/kVA/month"]]
    metering_window_minutes: Annotated[int, Field(gt=0)]


class EffectiveFile(FileModel):
    """First and last day of effect."""

    start: date = Field(alias="from")
    end: date = Field(alias="to")


class GreenSupplyFile(FileModel):
    """Direct green supply on offer (绿电直供)."""

    price: Yuan
    share_max: Annotated[Decimal, Field(ge=0, le=1)]
    unit: Literal["CNY/kWh"]


class TariffFile(FileModel):
    """A tariff file."""

    schema_: Literal["tariff/v1"] = Field(alias="schema")
    id: str
    region: str
    currency: Literal["CNY"]
    unit: Literal["CNY/kWh"]
    timezone: str
    resolution_minutes: Annotated[int, Field(gt=0)]
    effective: EffectiveFile
    applies_to: str
    energy: EnergyPriceFile
    demand_charge: DemandFile
    direct_green_supply: GreenSupplyFile | None = None

    def build(self, document: Document) -> Tariff:
        """Return the tariff; a gap or an overlap is BadInput with file, season and hour."""
        seasons = tuple(self._season(season) for season in self.energy.seasons)
        check_seasons(document.name, seasons)
        missing = [band for band in Band if band not in self.energy.multiplier]
        if missing:
            raise BadInput(f"{document.name}: energy.multiplier lacks {', '.join(missing)}")
        return Tariff(
            id=self.id,
            region=self.region,
            timezone=self.timezone,
            effective_from=self.effective.start,
            effective_to=self.effective.end,
            flat_uyuan_per_kwh=_uyuan_by_voltage(self.energy.flat_price),
            floating_share=Fraction(self.energy.floating_share),
            multiplier={band: Fraction(part) for band, part in self.energy.multiplier.items()},
            seasons=seasons,
            demand=DemandCharge(
                max_demand_uyuan_per_kw=_uyuan_by_voltage(self.demand_charge.max_demand),
                capacity_uyuan_per_kva=_uyuan_by_voltage(self.demand_charge.capacity),
                window_minutes=self.demand_charge.metering_window_minutes,
            ),
            source=document.name,
        )

    def _season(self, season: SeasonFile) -> Season:
        spans = tuple(
            BandSpan(self._minute(season, part.start), self._minute(season, part.end), part.band)
            for part in season.bands
        )
        ordered = tuple(sorted(spans, key=lambda span: span.start_minute))
        return Season(season.name, frozenset(season.months), ordered)

    def _minute(self, season: SeasonFile, text: str) -> int:
        minute = int(text[:2]) * 60 + int(text[3:])
        if minute % self.resolution_minutes and minute != MINUTES_PER_DAY:
            step = f"{self.resolution_minutes} minutes"
            raise BadInput(f"season {season.name}: {text} is not a multiple of {step}")
        return minute


def _uyuan_by_voltage(prices: Mapping[str, Decimal | str]) -> dict[str, int]:
    return {
        voltage: int(price * UYUAN_PER_YUAN)
        for voltage, price in prices.items()
        if isinstance(price, Decimal)
    }


class EmissionFile(FileModel):
    """Carbon factors, kgCO2/kWh by table, year and region."""

    schema_: Literal["emission_factors/v1"] = Field(alias="schema")
    unit: Literal["kgCO2/kWh"]
    boundary: Literal["location_based_average"]
    default_year: int
    national: dict[int, dict[str, Annotated[Decimal, Field(ge=0)]]]
    region: dict[int, dict[str, Annotated[Decimal, Field(ge=0)]]]
    province: dict[int, dict[str, Annotated[Decimal, Field(ge=0)]]]

    def build(self) -> CarbonTable:
        """Return the table in g/kWh; the national average goes by the name ``national``."""
        table: dict[str, dict[int, float]] = {}
        for years in (self.region, self.province):
            for year, factors in years.items():
                for region, factor in factors.items():
                    table.setdefault(region, {})[year] = float(factor * 1_000)
        table["national"] = {
            year: float(factors["all"] * 1_000) for year, factors in self.national.items()
        }
        return CarbonTable(table)


class PueLimitFile(FileModel):
    """A limit of the yearly PUE."""

    id: str
    classes: Annotated[frozenset[SiteClass], Field(min_length=1)]
    at_most: Annotated[float, Field(ge=1, le=10)]
    since: date
    scope: str
    source: str
    mark: str


class PueLimitsFile(FileModel):
    """Limits of the yearly PUE by class of the site."""

    schema_: Literal["pue_limits/v1"] = Field(alias="schema")
    limits: Annotated[tuple[PueLimitFile, ...], Field(min_length=1)]

    def build(self) -> tuple[PueLimit, ...]:
        """Return the limits."""
        return tuple(PueLimit(**one.model_dump()) for one in self.limits)


class CoefficientsFile(FileModel):
    """Coefficients of one cooling kind."""

    e0: float
    e1: float
    e2: Annotated[float, Field(ge=0, description="not below 0, or the curve is not convex")]
    c0: float
    c1: float
    cop: Annotated[float, Field(gt=0)]
    kc: float
    full: float | None
    part: float | None
    fixed: float


class CheckFile(FileModel):
    """What a model gives over a typical year."""

    pue: tuple[float, ...]
    summer_winter_70: tuple[float, ...]
    marginal_30: tuple[float, ...]


class AnchorFile(FileModel):
    """A published figure that the shapes were compared with."""

    what: str
    value: float
    source: str


class FacilityFile(FileModel):
    """Facility power models, what they give, and published figures beside them."""

    schema_: Literal["pue_models/v1"] = Field(alias="schema")
    models: dict[CoolingKind, CoefficientsFile]
    computed_check: dict[str, dict[CoolingKind, CheckFile]]
    anchors: tuple[AnchorFile, ...]

    def build(self) -> dict[CoolingKind, FacilityCoefficients]:
        """Return the coefficients by cooling kind."""
        return {
            kind: FacilityCoefficients(**model.model_dump()) for kind, model in self.models.items()
        }


class ClimateFile(FileModel):
    """Typical months of one place."""

    t: TwelveFloats
    rh: TwelveFloats
    dtr: Annotated[float, Field(ge=0)]
    sigma: Annotated[float, Field(ge=0)]


class ClimatesFile(FileModel):
    """Typical months by place, and the hours of free cooling that follow."""

    schema_: Literal["climate_typical/v1"] = Field(alias="schema")
    sites: dict[str, ClimateFile]
    hours_per_year_computed: dict[str, dict[str, int]] = {}

    def build(self) -> dict[str, Climate]:
        """Return the climates by id."""
        return {
            name: Climate(
                id=name,
                temperature_c=place.t,
                humidity_percent=place.rh,
                daily_range_k=place.dtr,
                sigma_c=place.sigma,
            )
            for name, place in self.sites.items()
        }


class HostFile(FileModel):
    """What a server draws beside its accelerators."""

    units: Annotated[int, Field(ge=1)]
    idle_w: Annotated[float, Field(ge=0)]
    busy_w: Annotated[float, Field(ge=0)]


class AcceleratorFile(FileModel):
    """One kind of accelerator; ``compute`` must name its precision."""

    vendor: str
    domestic: bool
    tdp_w: Annotated[float, Field(gt=0)]
    idle_w: Annotated[float, Field(ge=0)]
    busy_w: Annotated[float, Field(ge=0)]
    compute: str
    memory_gb: Annotated[int, Field(gt=0)]
    host: str


class AcceleratorsFile(FileModel):
    """All kinds of accelerators and hosts."""

    schema_: Literal["accelerators/v1"] = Field(alias="schema")
    unit: dict[str, str]
    hosts: dict[str, HostFile]
    accelerators: dict[str, AcceleratorFile]

    def build(self) -> dict[str, Accelerator]:
        """Return the accelerators by id; raise BadInput for an unknown host or a bad figure."""
        hosts = {
            name: HostOverhead(id=name, units=host.units, idle_w=host.idle_w, busy_w=host.busy_w)
            for name, host in self.hosts.items()
        }
        return {name: _accelerator(name, one, hosts) for name, one in self.accelerators.items()}


def _accelerator(name: str, one: AcceleratorFile, hosts: dict[str, HostOverhead]) -> Accelerator:
    if one.host not in hosts:
        raise BadInput(f"accelerator {name}: host {one.host!r} is not in hosts: {', '.join(hosts)}")
    return Accelerator(
        id=name,
        vendor=one.vendor,
        is_domestic=one.domestic,
        tdp_w=one.tdp_w,
        idle_w=one.idle_w,
        busy_w=one.busy_w,
        compute=Compute.parse(one.compute),
        memory_gb=one.memory_gb,
        host=hosts[one.host],
    )
