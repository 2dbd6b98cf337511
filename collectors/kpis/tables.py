"""The tables that KPIs are made with, read once from the files beside this one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from collectors.kpis.compute import ComputeKind, ModelCompute
from collectors.kpis.figure import Kpi
from collectors.kpis.grade import GradeTable
from suanwang.document import parse_document, validate
from suanwang.energy.carbon import CarbonFactor, CarbonTable
from suanwang.energy.compute import Precision
from suanwang.model.meter import Carrier
from suanwang.model.site import SiteClass

NATIONAL = "national"
ModelT = TypeVar("ModelT", bound=BaseModel)
Above = Annotated[float, Field(gt=0)]


class _File(BaseModel):
    """Unknown keys are an error; values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class _GradeTable(_File):
    id: str
    since: date
    limits: Annotated[tuple[Above, ...], Field(min_length=1)]
    mark: str

    @model_validator(mode="after")
    def _rise(self) -> Self:
        if list(self.limits) != sorted(set(self.limits)):
            raise ValueError(f"the limits {self.limits} of {self.id} do not rise")
        return self


class _GradesFile(_File):
    schema_: Literal["gb40879/v1"] = Field(alias="schema")
    tables: Annotated[tuple[_GradeTable, ...], Field(min_length=1)]


class Target(_File):
    """What is asked for: at most or at least a value, of whom, from when, and who says so."""

    id: str
    kpi: Kpi
    applies: Literal["network", "site"]
    classes: frozenset[SiteClass] = frozenset()
    at_most: float | None = None
    at_least: float | None = None
    precision: Precision | None = None
    kind: ComputeKind | None = None
    scope: str
    by: date
    source: str
    mark: str

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError(f"target {self.id} needs one of at_most and at_least")
        if self.kpi in (Kpi.COMPUTE, Kpi.INTELLIGENT_SHARE) and self.precision is None:
            raise ValueError(f"target {self.id} names no precision")
        return self

    @property
    def value(self) -> float:
        """The value that is asked for."""
        return self.at_most if self.at_most is not None else self.at_least or 0.0

    def gap(self, value: float) -> float:
        """Return by how much a value misses the target; zero or less where it is met."""
        return value - self.value if self.at_most is not None else self.value - value


class _TargetsFile(_File):
    schema_: Literal["kpi_targets/v1"] = Field(alias="schema")
    targets: tuple[Target, ...]


class _CarbonFile(_File):
    schema_: Literal["kpi_carbon/v1"] = Field(alias="schema")
    residual: dict[int, Above]
    fuels_g_per_kwh: dict[Carrier, Annotated[float, Field(ge=0)]]
    mark: str


class _Model(_File):
    kind: ComputeKind
    fp64: Above | None = Field(default=None, alias="FP64")
    fp32: Above | None = Field(default=None, alias="FP32")
    fp16: Above | None = Field(default=None, alias="FP16")
    int8: Above | None = Field(default=None, alias="INT8")
    mark: str

    def by_precision(self) -> dict[Precision, float]:
        """Return what is known of it."""
        both = {
            Precision.FP64: self.fp64,
            Precision.FP32: self.fp32,
            Precision.FP16: self.fp16,
            Precision.INT8: self.int8,
        }
        return {precision: value for precision, value in both.items() if value is not None}


class _ComputeFile(_File):
    schema_: Literal["kpi_compute/v1"] = Field(alias="schema")
    models: dict[str, _Model]


@dataclass(frozen=True, slots=True, kw_only=True)
class KpiTables:
    """Grades, targets, performance by model, and the carbon factors beside the location ones."""

    grades: tuple[GradeTable, ...]
    targets: tuple[Target, ...]
    compute: Mapping[str, ModelCompute]
    residual: CarbonTable
    fuels_g_per_kwh: Mapping[Carrier, float]

    def residual_factor(self, year: int | None = None) -> CarbonFactor:
        """Return the newest national residual factor not younger than ``year``."""
        return self.residual.factor(NATIONAL, year)


@cache
def load_tables() -> KpiTables:
    """Return the packaged tables; raise BadInput where a file is not sound."""
    grades = _read("gb40879.yaml", _GradesFile)
    carbon = _read("carbon.yaml", _CarbonFile)
    compute = _read("compute.yaml", _ComputeFile)
    return KpiTables(
        grades=tuple(
            GradeTable(id=one.id, since=one.since, limits=one.limits, mark=one.mark)
            for one in grades.tables
        ),
        targets=_read("targets.yaml", _TargetsFile).targets,
        compute={
            name: ModelCompute(model=name, kind=one.kind, tflops=one.by_precision(), mark=one.mark)
            for name, one in compute.models.items()
        },
        residual=CarbonTable(
            {NATIONAL: {year: value * 1_000 for year, value in carbon.residual.items()}}
        ),
        fuels_g_per_kwh=carbon.fuels_g_per_kwh,
    )


def _read(name: str, kind: type[ModelT]) -> ModelT:
    entry = resources.files("collectors.kpis").joinpath("data", name)
    return validate(parse_document(entry.read_text(encoding="utf-8"), entry.name), kind)
