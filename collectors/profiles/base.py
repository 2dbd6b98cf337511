"""What every profile has, whatever its protocol: who made the map, what is read, what is sane."""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from collectors.formulas import FORMULAS
from collectors.words import nearest

POINTS_MAX: Final = 2_000
"""Most points of one profile."""

COUNT_MAX: Final = 1e300
"""No count is larger; a whole number beyond could not be made a float."""

UNITS: Final[Mapping[str, tuple[float, float]]] = {
    "w": (-1e9, 1e9),
    "wh": (0, 1e18),
    "va": (0, 1e9),
    "var": (-1e9, 1e9),
    "v": (-2_000_000, 2_000_000),
    "a": (-1e6, 1e6),
    "hz": (0, 1_000),
    "c": (-100, 300),
    "k": (-100, 100),
    "pa": (-1e8, 1e8),
    "ratio": (-1, 2),
    "s": (0, 1e10),
    "rpm": (0, 1e6),
    "litres_per_s": (0, 1e5),
    "metres_per_s": (0, 200),
    "code": (0, 1e6),
}
"""Units that end the name of a metric, and what no real device lies beyond."""


class Mark(StrEnum):
    """How sure a map is: read in the maker's own words, believed from others', or our own."""

    READ = "read"
    BELIEVED = "believed"
    OWN = "own"


class Device(StrEnum):
    """What kind of thing a profile reads; the word is the first half of its subjects."""

    METER = "meter"
    UPS = "ups"
    CDU = "cdu"
    WEATHER = "weather"
    SENSOR = "sensor"
    HOST = "host"


NAME: Final = re.compile(r"\{([a-z][a-z0-9_]*)\}")
UNIT: Final = "unit"
"""The name in braces that the source's settings fill: which device of a chain."""

_METRIC: Final = re.compile(r"[a-z][a-z0-9_]{0,99}")
_PART: Final = re.compile(r"(?:[a-z0-9]|\{[a-z][a-z0-9_]*\})(?:[a-z0-9.-]|\{[a-z][a-z0-9_]*\})*")


def split_key(key: str) -> tuple[str, str]:
    """Return part and metric of a point's key: ``outlet-{outlet}/power_w``; the part may be ''."""
    part, _, metric = key.rpartition("/")
    return part, metric


@lru_cache(maxsize=4_096)
def unit_of(metric: str) -> str:
    """Return the unit that ends a metric's name, the longest that fits; '' where none does."""
    fitting = [unit for unit in UNITS if metric == unit or metric.endswith(f"_{unit}")]
    return max(fitting, key=len, default="")


def _key(key: str) -> str:
    part, metric = split_key(key)
    if not _METRIC.fullmatch(metric) or (part and not _PART.fullmatch(part)):
        raise ValueError(f"{key!r} is not 'metric' or 'part/metric' in lower case")
    if not unit_of(metric):
        raise ValueError(f"{metric!r} does not end with its unit: _{', _'.join(UNITS)}")
    return key


Key = Annotated[str, AfterValidator(_key)]


class Model(BaseModel):
    """A part of a profile; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Point(Model):
    """One quantity: ``(count + offset) x scale x ratio`` is in the unit of the metric's name.

    ``modulus`` is where the register wraps, in its own counts (0: where its type ends).
    ``resolution`` is the step in which it really moves, in counts. ``absent`` counts mean that the
    device does not know. Beyond ``min`` and ``max``, in the metric's unit, a value is garbage.
    """

    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    offset: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    modulus: Annotated[int, Field(ge=0)] = 0
    resolution: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    absent: tuple[int, ...] = ()
    min: Annotated[float, Field(allow_inf_nan=False)] | None = None
    max: Annotated[float, Field(allow_inf_nan=False)] | None = None
    required: bool = True

    def limits(self, metric: str) -> tuple[float, float]:
        """Return between what a value of the metric is sane."""
        low, high = UNITS[unit_of(metric)]
        return (low if self.min is None else self.min, high if self.max is None else self.max)

    def convert(self, metric: str, count: object, factor: float) -> float | None:
        """Return the metric's value, None where the device has none.

        ``factor`` is the scale with every ratio. Raises ValueError saying why a count is garbage.
        """
        if isinstance(count, bool) or not isinstance(count, int | float):
            raise ValueError(f"{count!r} is no number")
        if count in self.absent:
            return None
        value = (float(count) + self.offset) * factor if abs(count) <= COUNT_MAX else math.inf
        low, high = self.limits(metric)
        if not (math.isfinite(value) and low <= value <= high):
            raise ValueError(f"{value:g} is not within {low:g} and {high:g}")
        return value


class Derived(Model):
    """A quantity by a named formula from other points of the same profile."""

    formula: str
    of: tuple[Key, ...]

    @model_validator(mode="after")
    def _fits_the_formula(self) -> "Derived":
        formula = FORMULAS.get(self.formula)
        if formula is None:
            hint = nearest(self.formula, FORMULAS)
            raise ValueError(f"formula {self.formula!r} is not known{hint}")
        units = tuple(unit_of(split_key(key)[1]) for key in self.of)
        if units != formula.units:
            raise ValueError(f"{self.formula} wants units {formula.units}, and has {units}")
        return self


class Profile(Model, ABC):
    """A kind of device. ``rated_w`` is what it carries at most, before CT and PT ratios, W."""

    parts: ClassVar[tuple[type[BaseModel], ...]] = (Derived,)
    """Models inside; their keys are known too when a key is not."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,60}$")]
    title: Annotated[str, Field(min_length=1, max_length=200)]
    source: Annotated[str, Field(min_length=1, max_length=500)]
    mark: Mark = Mark.BELIEVED
    device: Device = Device.METER
    rated_w: Annotated[int, Field(gt=0)] | None = None
    resettable: bool | None = None
    derived: dict[Key, Derived] = Field(default_factory=dict)

    def all_keys(self) -> Iterator[str]:
        """Return the keys of all points, measured and derived."""
        yield from self.points_of()
        yield from self.derived

    @abstractmethod
    def points_of(self) -> Mapping[str, Point]:
        """Return the points by key, whatever the protocol calls them."""

    @model_validator(mode="after")
    def _is_whole(self) -> "Profile":
        points = self.points_of()
        if not 0 < len(points) <= POINTS_MAX:
            raise ValueError(f"{len(points)} points are not between 1 and {POINTS_MAX}")
        metrics = {split_key(key)[1] for key in points}
        if self.device is Device.METER and not metrics & {"energy_wh", "power_w"}:
            raise ValueError("a meter needs a point for energy_wh or power_w")
        if self.device is Device.METER and (self.rated_w is None or self.resettable is None):
            raise ValueError("a meter needs rated_w and resettable")
        for key, derived in self.derived.items():
            lost = set(derived.of) - points.keys()
            if lost or key in points:
                raise ValueError(f"{key} needs points {sorted(lost)} and a key of its own")
        return self

    def subject(self, device_id: str, part: str = "") -> str:
        """Return the subject of the device, or of a part of it."""
        return f"{self.device}:{device_id}" + (f"/{part}" if part else "")


ModbusFunction = Literal["holding", "input"]
