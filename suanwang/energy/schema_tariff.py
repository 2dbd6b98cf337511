"""The shape of tariff files of both kinds, and how they become tariffs."""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Final, Literal, TypedDict
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from suanwang.document import Document, parse_document, validate
from suanwang.energy.clauses import (
    Clauses,
    Part,
    PowerFactorClause,
    PowerFactorStep,
    Surcharge,
    Tax,
)
from suanwang.energy.curve import CurveTariff, check_curve, read_curves
from suanwang.energy.file_model import FileModel
from suanwang.energy.tariff import (
    MINUTES_PER_DAY,
    Band,
    BandSpan,
    BaseTariff,
    DemandCharge,
    Season,
    Tariff,
    check_seasons,
)
from suanwang.errors import BadInput
from suanwang.units import UYUAN_PER_YUAN

Month = Annotated[int, Field(ge=1, le=12)]
ClockText = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$|^24:00$")]
Yuan = Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=6)]
SignedYuan = Annotated[Decimal, Field(max_digits=12, decimal_places=6)]
Percent = Annotated[Decimal, Field(ge=-100, le=1_000, decimal_places=4)]
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9._-]*$")]
LAST_DAY: Final = date(2999, 12, 31)
ReadFile = Callable[[str], bytes]
"""Returns the bytes of a file that a tariff names, or raises BadInput."""


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
    metering_window_minutes: Annotated[int, Field(gt=0, le=60)]

    def build(self) -> DemandCharge:
        """Return the charge."""
        return DemandCharge(
            max_demand_uyuan_per_kw=_uyuan_by_voltage(self.max_demand),
            capacity_uyuan_per_kva=_uyuan_by_voltage(self.capacity),
            window_minutes=self.metering_window_minutes,
        )


class EffectiveFile(FileModel):
    """First and last day of effect."""

    start: date = Field(alias="from")
    end: Annotated[date, Field(alias="to", le=LAST_DAY)]

    @model_validator(mode="after")
    def _in_order(self) -> "EffectiveFile":
        if self.end < self.start:
            raise ValueError(f"{self.end} is before {self.start}")
        return self


class GreenSupplyFile(FileModel):
    """Direct green supply on offer (绿电直供)."""

    price: Yuan
    share_max: Annotated[Decimal, Field(ge=0, le=1)]
    unit: Literal["CNY/kWh"]


class StepFile(FileModel):
    """From a power factor on, so many percent are added (or taken off, below zero)."""

    at_least: Annotated[Decimal, Field(ge=0, le=1, decimal_places=2)]
    percent: Percent


class PowerFactorFile(FileModel):
    """The clause of the power factor; steps from the best down to 0."""

    of: Annotated[frozenset[Part], Field(min_length=1)]
    steps: Annotated[tuple[StepFile, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _steps_fall_to_nothing(self) -> "PowerFactorFile":
        factors = [step.at_least for step in self.steps]
        if factors != sorted(set(factors), reverse=True) or factors[-1] != 0:
            raise ValueError("the steps must fall from the best factor, and the last be at_least 0")
        if self.of - {Part.ENERGY, Part.DEMAND, Part.SURCHARGE}:
            raise ValueError("it can be of energy, demand and surcharge")
        return self

    def build(self) -> PowerFactorClause:
        """Return the clause."""
        steps = tuple(
            PowerFactorStep(at_least=int(one.at_least * 100), percent=Fraction(one.percent))
            for one in self.steps
        )
        return PowerFactorClause(steps=steps, on=self.of)


class SurchargeFile(FileModel):
    """A price by the kWh beside that of energy."""

    id: Name
    price: SignedYuan
    unit: Literal["CNY/kWh"]


class TaxFile(FileModel):
    """A percentage of some parts; ``included``: their prices have it inside."""

    id: Name
    percent: Percent
    of: Annotated[frozenset[Part], Field(min_length=1)]
    included: bool

    @model_validator(mode="after")
    def _not_on_itself(self) -> "TaxFile":
        if Part.TAX in self.of:
            raise ValueError("a tax can not be of tax")
        return self


class ClausesFile(FileModel):
    """What a bill holds besides energy and demand."""

    power_factor: PowerFactorFile | None = None
    surcharges: tuple[SurchargeFile, ...] = ()
    taxes: tuple[TaxFile, ...] = ()

    def build(self) -> Clauses:
        """Return the clauses."""
        return Clauses(
            power_factor=None if self.power_factor is None else self.power_factor.build(),
            surcharges=tuple(
                Surcharge(id=one.id, uyuan_per_kwh=int(one.price * UYUAN_PER_YUAN))
                for one in self.surcharges
            ),
            taxes=tuple(
                Tax(id=one.id, percent=Fraction(one.percent), on=one.of, is_included=one.included)
                for one in self.taxes
            ),
        )


class _Head(TypedDict):
    """The fields of every tariff that are read in one way."""

    id: str
    series: str
    region: str
    timezone: str
    effective_from: date
    effective_to: date
    demand: DemandCharge
    clauses: Clauses
    source: str


class TariffHead(FileModel):
    """What files of all tariffs have; versions of one tariff share their ``series``."""

    id: Name
    series: Name | None = None
    region: str
    currency: Literal["CNY"]
    unit: Literal["CNY/kWh"]
    timezone: str
    resolution_minutes: Annotated[int, Field(gt=0)]
    effective: EffectiveFile
    applies_to: str
    demand_charge: DemandFile
    clauses: ClausesFile = ClausesFile()

    @model_validator(mode="after")
    def _zone_is_known(self) -> "TariffHead":
        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{self.timezone!r} is not an IANA time zone") from None
        return self

    def _head(self, document: Document) -> _Head:
        return {
            "id": self.id,
            "series": self.series or self.id,
            "region": self.region,
            "timezone": self.timezone,
            "effective_from": self.effective.start,
            "effective_to": self.effective.end,
            "demand": self.demand_charge.build(),
            "clauses": self.clauses.build(),
            "source": document.name,
        }


class TariffFile(TariffHead):
    """A time-of-use tariff."""

    schema_: Literal["tariff/v1"] = Field(alias="schema")
    energy: EnergyPriceFile
    direct_green_supply: GreenSupplyFile | None = None

    def build(self, document: Document) -> Tariff:
        """Return the tariff; a gap or an overlap is BadInput with file, season and hour."""
        seasons = tuple(self._season(season) for season in self.energy.seasons)
        check_seasons(document.name, seasons)
        missing = [band for band in Band if band not in self.energy.multiplier]
        if missing:
            raise BadInput(f"{document.name}: energy.multiplier lacks {', '.join(missing)}")
        return Tariff(
            **self._head(document),
            flat_uyuan_per_kwh=_uyuan_by_voltage(self.energy.flat_price),
            floating_share=Fraction(self.energy.floating_share),
            multiplier={band: Fraction(part) for band, part in self.energy.multiplier.items()},
            seasons=seasons,
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


class CurveFile(TariffHead):
    """A direct-trading tariff: 96 prices a day, in the file or in a table beside it."""

    schema_: Literal["tariff_curve/v1"] = Field(alias="schema")
    resolution_minutes: Literal[15]
    network_price: dict[str, Yuan]
    days: dict[date, tuple[SignedYuan, ...]] = Field(default_factory=dict)
    prices_file: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] | None = None

    def build(self, document: Document, read_file: ReadFile) -> CurveTariff:
        """Return the tariff; raise BadInput for a day without 96 prices, or given twice."""
        curves = {
            day: tuple(int(price * UYUAN_PER_YUAN) for price in prices)
            for day, prices in self.days.items()
        }
        for day, curve in curves.items():
            check_curve(document.name, day, curve)
        if self.prices_file is not None:
            read = read_curves(read_file(self.prices_file), self.prices_file)
            if twice := sorted(curves.keys() & read.keys()):
                raise BadInput(f"{document.name}: {twice[0]} is in the file and in its table")
            curves |= read
        if not curves:
            raise BadInput(
                f"{document.name}: there is no day with prices",
                next_step="give days, or name a table as prices_file",
            )
        return CurveTariff(
            **self._head(document),
            curves=curves,
            network_uyuan_per_kwh=_uyuan_by_voltage(self.network_price),
        )


def build_tariff(document: Document, read_file: ReadFile) -> BaseTariff:
    """Return the tariff in a file of either kind, told apart by its ``schema``."""
    is_curve = (
        isinstance(document.value, dict) and document.value.get("schema") == "tariff_curve/v1"
    )
    if is_curve:
        return validate(document, CurveFile).build(document, read_file)
    return validate(document, TariffFile).build(document)


def parse_tariff(text: str, name: str, prices: bytes | None = None) -> BaseTariff:
    """Return the tariff in a text; ``prices`` is the table that a curve's file names."""

    def given(file_name: str) -> bytes:
        if prices is None:
            raise BadInput(
                f"{name} takes its prices from {file_name}, which was not given",
                next_step="give the table of prices too",
            )
        return prices

    return build_tariff(parse_document(text, name), given)


def _uyuan_by_voltage(prices: Mapping[str, Decimal | str]) -> dict[str, int]:
    return {
        voltage: int(price * UYUAN_PER_YUAN)
        for voltage, price in prices.items()
        if isinstance(price, Decimal)
    }
