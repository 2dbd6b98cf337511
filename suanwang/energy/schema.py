"""The shape of the energy files, and how they become the objects of this package."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from suanwang.energy.accelerators import (
    Accelerator,
    FigureQuality,
    HostOverhead,
    LoadKind,
    PowerRange,
)
from suanwang.energy.carbon import CarbonTable
from suanwang.energy.climate import Climate
from suanwang.energy.compute import Compute
from suanwang.energy.facility import FacilityCoefficients
from suanwang.energy.file_model import FileModel
from suanwang.energy.limits import PueLimit
from suanwang.energy.power_chain import PowerChain, PowerStage
from suanwang.energy.throughput import FamilyPrior
from suanwang.errors import BadInput
from suanwang.model.site import CoolingKind, SiteClass

TwelveFloats = Annotated[tuple[float, ...], Field(min_length=12, max_length=12)]


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


Share = Annotated[float, Field(gt=0, le=1)]


class StageFile(FileModel):
    """A stage of a power chain: efficiency by load, and the loss without load."""

    no_load: Annotated[float, Field(ge=0, lt=1)]
    efficiency: Annotated[dict[Share, Share], Field(min_length=1)]


class ChainFile(FileModel):
    """A power chain: its stages from the border to the rack, and how many paths share the load."""

    stages: Annotated[tuple[str, ...], Field(min_length=1)]
    paths: Annotated[int, Field(ge=1, le=4)]


class PowerChainsFile(FileModel):
    """Power chains and their stages."""

    schema_: Literal["power_chains/v1"] = Field(alias="schema")
    stages: dict[str, StageFile]
    chains: dict[str, ChainFile]

    def build(self) -> dict[str, PowerChain]:
        """Return the chains by id; raise BadInput for an unknown stage, or one not convex."""
        stages = {
            name: PowerStage.of(name, one.no_load, tuple(one.efficiency.items()))
            for name, one in self.stages.items()
        }
        for name, chain in self.chains.items():
            for stage in chain.stages:
                if stage not in stages:
                    known = ", ".join(stages)
                    raise BadInput(f"power chain {name}: {stage!r} is not in stages: {known}")
        return {
            name: PowerChain(name, tuple(stages[stage] for stage in chain.stages), chain.paths)
            for name, chain in self.chains.items()
        }


class FamilyPriorFile(FileModel):
    """How speed grows with compute for a family of models."""

    elasticity: Annotated[float, Field(ge=0, le=3)]
    spread: Annotated[float, Field(gt=0, le=3)]
    measured_on: tuple[str, ...]
    source: str


class ThroughputFile(FileModel):
    """Priors of throughput by family."""

    schema_: Literal["throughput_priors/v1"] = Field(alias="schema")
    families: Annotated[dict[str, FamilyPriorFile], Field(min_length=1)]

    def build(self) -> dict[str, FamilyPrior]:
        """Return the priors by family."""
        return {
            name: FamilyPrior(id=name, **one.model_dump()) for name, one in self.families.items()
        }


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
    hours_per_year_computed: dict[str, dict[str, int]] = Field(default_factory=dict)

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
    wake_s: Annotated[float, Field(ge=0)] = 0.0
    wake_wh: Annotated[float, Field(ge=0)] = 0.0


class LoadFile(FileModel):
    """Power of one board under one kind of load: low, usual, high."""

    w: Annotated[tuple[float, float, float], Field(description="low, usual, high")]
    quality: FigureQuality
    n: Annotated[int, Field(ge=0, description="readings behind it")]

    def build(self) -> PowerRange:
        """Return the range; raise BadInput where it does not rise."""
        low_w, typical_w, high_w = self.w
        return PowerRange(
            low_w=low_w, typical_w=typical_w, high_w=high_w, quality=self.quality, readings=self.n
        )


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
    loads: dict[LoadKind, LoadFile] = Field(default_factory=dict)


class AcceleratorsFile(FileModel):
    """All kinds of accelerators and hosts."""

    schema_: Literal["accelerators/v1"] = Field(alias="schema")
    unit: dict[str, str]
    hosts: dict[str, HostFile]
    accelerators: dict[str, AcceleratorFile]

    def build(self) -> dict[str, Accelerator]:
        """Return the accelerators by id; raise BadInput for an unknown host or a bad figure."""
        hosts = {
            name: HostOverhead(id=name, **host.model_dump()) for name, host in self.hosts.items()
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
        loads={kind: load.build() for kind, load in one.loads.items()},
    )
