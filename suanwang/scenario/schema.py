"""The shape of a world file, version 1. Unknown keys are an error."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from suanwang.energy.bill import DemandBasis
from suanwang.energy.schema_site import BatteryFile, PromiseFile, SleepFile
from suanwang.model.meter import Carrier, MeterRole, PueCategory
from suanwang.model.site import CoolingKind, DataClass, SiteClass
from suanwang.scenario.shapes import Shape

Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
DataId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
OriginId = Annotated[str, StringConstraints(pattern=r"^(\*|[a-z0-9][a-z0-9._-]{0,63})$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Yuan = Annotated[Decimal, Field(ge=0, max_digits=15, decimal_places=2)]
Kilowatts = Annotated[Decimal, Field(gt=0, max_digits=12, decimal_places=3)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Share = Annotated[float, Field(ge=0, le=1)]
Hours = Annotated[Decimal, Field(gt=0, le=744)]


class WorldModel(BaseModel):
    """Unknown keys are an error; values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class DayFile(WorldModel):
    """The time that is planned."""

    start: AwareDatetime
    hours: Annotated[int, Field(ge=1, le=168)]
    slot_minutes: Annotated[int, Field(ge=1, le=1440)]


class OriginFile(WorldModel):
    """Where users are."""

    id: Id
    name: Name
    lat: float
    lon: float


class TariffChoice(WorldModel):
    """A site's tariff, its voltage class and the basis of its demand charge."""

    id: Id
    voltage: str
    demand_basis: DemandBasis
    transformer_kva: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _capacity_needs_a_transformer(self) -> "TariffChoice":
        if self.demand_basis is DemandBasis.CAPACITY and self.transformer_kva is None:
            raise ValueError("demand_basis capacity needs transformer_kva")
        return self


class PowerFile(WorldModel):
    """Power of one unit, or of one host, in W."""

    idle_w: Annotated[float, Field(ge=0)]
    busy_w: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _busy_is_not_below_idle(self) -> "PowerFile":
        if self.busy_w < self.idle_w:
            raise ValueError(f"busy_w {self.busy_w} is below idle_w {self.idle_w}")
        return self


class PoolFile(WorldModel):
    """Equal units; ``power`` is needed for cpu and else comes from the accelerator's data."""

    id: Id | None = None
    accelerator: Id
    units: Count
    units_per_node: Count
    price_cny: Yuan
    power: PowerFile | None = None
    host: PowerFile | None = None
    domestic: bool | None = None


class MeterFile(WorldModel):
    """A meter with a cumulative register."""

    id: Id
    name: Name
    role: MeterRole
    category: PueCategory = PueCategory.PUE3
    carrier: Carrier = Carrier.ELECTRICITY
    rated_w: Annotated[int, Field(gt=0)]
    resolution_wh: Annotated[float, Field(gt=0)]
    modulus_wh: Annotated[int, Field(ge=0)]
    poll_s: Annotated[float, Field(gt=0)]


class WasteHeatFile(WorldModel):
    """Heat that can be sold, and when."""

    usable_kw: Kilowatts
    heating_months: tuple[Annotated[int, Field(ge=1, le=12)], ...]


class PowerChainFile(WorldModel):
    """How power reaches the racks."""

    hvdc: bool
    ups_efficiency: Share


class SiteFile(WorldModel):
    """A site; the keys from ``standard_racks`` on are kept for later parts of the product."""

    id: Id
    name: Name
    operator: Id
    seed: str = ""
    fact: str = ""
    kind: Id
    lat: float
    lon: float
    region: str
    timezone: str | None = None
    cooling: CoolingKind
    climate: Id
    it_design_kw: Kilowatts
    background_it_kw: Annotated[Decimal, Field(ge=0)]
    contract_kw: Kilowatts
    site_class: SiteClass | None = None
    pue_limit: Annotated[float, Field(gt=1)] | None = None
    pue_category: PueCategory | None = None
    tariff: TariffChoice
    carbon_region: str | None = None
    accepts: frozenset[DataClass]
    data_homes: frozenset[DataId] = frozenset()
    pools: Annotated[tuple[PoolFile, ...], Field(min_length=1)]
    meters: tuple[MeterFile, ...] = ()
    standard_racks: Annotated[int, Field(ge=0)] | None = None
    racks_installed: Annotated[int, Field(ge=0)] | None = None
    renewable_share: Share | None = None
    supply_water_c: float | None = None
    security_level: Annotated[int, Field(ge=1, le=5)] | None = None
    runtimes: tuple[Id, ...] = ()
    collectors: tuple[Id, ...] = ()
    battery: BatteryFile | None = None
    sleep: SleepFile | None = None
    solar_kw_by_hour: Annotated[
        tuple[Annotated[float, Field(ge=0)], ...], Field(min_length=24, max_length=24)
    ] = (0.0,) * 24
    promises: tuple[PromiseFile, ...] = ()
    waste_heat: WasteHeatFile | None = None
    power_chain: PowerChainFile | None = None
    cpu_nodes: Count | None = None
    retrofit_candidates: tuple[Id, ...] = ()

    @model_validator(mode="after")
    def _a_limit_is_known(self) -> "SiteFile":
        if self.pue_limit is None and self.site_class is None:
            raise ValueError("name a site_class, whose limit of PUE holds, or a pue_limit")
        return self


class LinkFile(WorldModel):
    """A round-trip time; ``*`` stands for every origin or site that no other row names."""

    origin: OriginId
    site: OriginId
    rtt_ms: Annotated[float, Field(ge=0, le=60_000)]


class DatasetFile(WorldModel):
    """A data set and its home."""

    id: DataId
    at: Id
    tb: Annotated[float, Field(gt=0)]
    data_class: DataClass = Field(alias="class")


class LotFile(WorldModel):
    """A voucher lot that pays at most ``ratio_percent`` of a job."""

    id: Id
    programme: Id
    amount_cny: Yuan
    ratio_percent: Annotated[int, Field(ge=1, le=100)]
    expires: AwareDatetime
    rank: int = 0
    sites: frozenset[Id] = frozenset()
    accelerators: frozenset[Id] = frozenset()


class TenantFile(WorldModel):
    """A tenant with its money."""

    id: Id
    name: Name
    kind: Literal["enterprise", "research", "government"]
    uscc: str = ""
    cash_cny: Yuan
    lots: tuple[LotFile, ...] = ()


class JobClassFile(WorldModel):
    """Equal jobs: ``count`` of them in a day, each between the two ``hours`` long."""

    id: Id
    tenant: Id
    origin: Id
    count: Annotated[int, Field(ge=1, le=100_000)]
    shape: Shape
    accelerators: frozenset[Id]
    units: Count
    hours: tuple[Hours, Hours]
    latency_ms: Annotated[float, Field(gt=0)] | None = None
    deadline_hours: Hours | None = None
    start_within_minutes: Annotated[int, Field(ge=1)] | None = None
    dataset: DataId | None = None
    domestic_only: bool = False
    voucher: bool = True
    elastic: tuple[Count, Count] | None = None
    checkpoint_minutes: Count | None = None
    preemptible: bool = False

    @model_validator(mode="after")
    def _lengths_and_deadlines_agree(self) -> "JobClassFile":
        shortest, longest = self.hours
        if longest < shortest:
            raise ValueError(f"hours run from {shortest} down to {longest}")
        if self.deadline_hours is not None and self.start_within_minutes is not None:
            raise ValueError("deadline_hours and start_within_minutes exclude each other")
        if self.deadline_hours is not None and self.deadline_hours < longest:
            raise ValueError(f"deadline_hours {self.deadline_hours} is below hours {longest}")
        return self


class ExpectFile(WorldModel):
    """What the reader of the demo will see."""

    site: Id | None = None
    refused: bool = False
    why: str

    @model_validator(mode="after")
    def _either_a_site_or_a_refusal(self) -> "ExpectFile":
        if (self.site is None) != self.refused:
            raise ValueError("name either a site or refused: true")
        return self


class DemoJobFile(WorldModel):
    """A job for the stock Ray client."""

    id: Id
    title: str
    entrypoint: Name
    metadata: dict[str, str]
    expect: ExpectFile


class DemoFile(WorldModel):
    """Jobs for a real run and their working directory."""

    files: dict[Annotated[str, StringConstraints(pattern=r"^[a-z_]+\.py$")], str]
    jobs: tuple[DemoJobFile, ...]


class EventFile(WorldModel):
    """Something that happens at a site."""

    at: AwareDatetime
    kind: Literal["grid_request", "cooling_derate", "telemetry_gap", "link_cut"]
    site: Id
    for_minutes: Count
    within_minutes: Count | None = None
    shed_kw: Count | None = None
    it_cap_kw: Count | None = None


class ExpectedFile(WorldModel):
    """Totals that the file must add up to: a check against slips of the pen."""

    sites: int
    accelerators: int
    jobs: int


class WorldFile(WorldModel):
    """A whole world file."""

    schema_: Literal["world/v1"] = Field(alias="schema")
    id: Id
    title: Name
    timezone: str
    seed: int
    day: DayFile
    origins: tuple[OriginFile, ...]
    sites: Annotated[tuple[SiteFile, ...], Field(min_length=1)]
    links: tuple[LinkFile, ...]
    datasets: tuple[DatasetFile, ...] = ()
    tenants: tuple[TenantFile, ...]
    job_classes: tuple[JobClassFile, ...] = ()
    demo: DemoFile | None = None
    events: tuple[EventFile, ...] = ()
    expected: ExpectedFile | None = None
