"""The sources of a site as its operator writes them down, and the making of sources from that."""

import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, assert_never

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from collectors.modbus_client import ModbusClient
from collectors.profiles.profile import load_profile
from collectors.sources.host import HostSource
from collectors.sources.modbus import MeterPoint, ModbusSource
from collectors.sources.nvml import NvmlSource
from collectors.sources.port import Pace, Source
from collectors.sources.prometheus import (
    PRESETS,
    TEXT_BYTES_MAX,
    Endpoint,
    MetricRule,
    PrometheusSource,
    subject_labels,
)
from collectors.words import explain, nearest
from suanwang.clock import Clock
from suanwang.errors import BadInput

SOURCES_MAX: Final = 100_000
"""Most sources of one agent."""

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:/-]{1,200}$")]
Factor = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def this_host() -> str:
    """Return the name of this machine."""
    return socket.gethostname()


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HostSpec(_Spec):
    """This machine by psutil."""

    kind: Literal["host"] = "host"
    name: Name = "host"
    interval_s: Seconds = 15.0
    timeout_s: Seconds = 5.0
    host: Name = Field(default_factory=this_host)
    disk_paths: tuple[str, ...] = ("/",)


class NvmlSpec(_Spec):
    """NVIDIA GPUs of this machine."""

    kind: Literal["nvml"] = "nvml"
    name: Name = "nvml"
    interval_s: Seconds = 15.0
    timeout_s: Seconds = 10.0
    host: Name = Field(default_factory=this_host)


class ModbusSpec(_Spec):
    """A power meter. ``request_timeout_s`` is for each request, ``timeout_s`` for the poll."""

    kind: Literal["modbus"] = "modbus"
    name: Name
    meter_id: Name
    profile: str
    host: str
    port: Annotated[int, Field(ge=1, le=65_535)] = 502
    unit: Annotated[int, Field(ge=0, le=255)] = 1
    ct: Factor = 1.0
    pt: Factor = 1.0
    interval_s: Seconds = 15.0
    timeout_s: Seconds = 5.0
    request_timeout_s: Seconds = 2.0


def _subject(template: str) -> str:
    subject_labels(template)
    return template


class MetricSpec(_Spec):
    """One rule of a Prometheus source; see ``MetricRule``."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")]
    metric: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,99}$")]
    subject: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_subject)]
    scale: Factor = 1.0
    where: dict[str, str] = Field(default_factory=dict)
    is_sum: bool = False
    keep: tuple[str, ...] = ()


class PrometheusSpec(_Spec):
    """A Prometheus text endpoint: a preset (node, dcgm, npu), rules of one's own, or both."""

    kind: Literal["prometheus"] = "prometheus"
    name: Name
    url: Annotated[str, Field(pattern=r"^https?://")]
    preset: Literal["node", "dcgm", "npu"] | None = None
    metrics: tuple[MetricSpec, ...] = ()
    host: Name = Field(default_factory=this_host)
    token_file: Path | None = None
    bytes_max: Annotated[int, Field(ge=1_024)] = TEXT_BYTES_MAX
    interval_s: Seconds = 15.0
    timeout_s: Seconds = 5.0

    @model_validator(mode="after")
    def _wants_something(self) -> "PrometheusSpec":
        if not self.preset and not self.metrics:
            raise ValueError("give a preset (node, dcgm or npu) or metrics")
        return self


SourceSpec = Annotated[
    HostSpec | NvmlSpec | ModbusSpec | PrometheusSpec, Field(discriminator="kind")
]
_ADAPTER: Final[TypeAdapter[HostSpec | NvmlSpec | ModbusSpec | PrometheusSpec]] = TypeAdapter(
    SourceSpec
)
_KINDS: Final[Mapping[str, type[_Spec]]] = {
    "host": HostSpec,
    "nvml": NvmlSpec,
    "modbus": ModbusSpec,
    "prometheus": PrometheusSpec,
}


def parse_source(raw: Mapping[str, object]) -> HostSpec | NvmlSpec | ModbusSpec | PrometheusSpec:
    """Return the spec of one source; raise BadInput that names key, fault and nearest known key."""
    kind = raw.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        hint = nearest(str(kind), _KINDS)
        raise BadInput(
            f"source {raw.get('name', '')!r}: kind {kind!r} is not known{hint}",
            next_step=f"use one of {', '.join(_KINDS)}",
        )
    try:
        return _ADAPTER.validate_python(dict(raw))
    except ValidationError as failure:
        known = {*_KINDS[kind].model_fields, *MetricSpec.model_fields}
        text = explain(failure, known).replace(f"{kind}.", "", 1)
        raise BadInput(f"source {raw.get('name', kind)!r}: {text}") from failure


def parse_sources(
    raw: Iterable[Mapping[str, object]],
) -> tuple[HostSpec | NvmlSpec | ModbusSpec | PrometheusSpec, ...]:
    """Return the specs of a site's sources; raise BadInput, also where two have one name."""
    specs = tuple(parse_source(each) for each in raw)
    if len(specs) > SOURCES_MAX:
        raise BadInput(f"{len(specs)} sources are more than one agent takes ({SOURCES_MAX})")
    seen: set[str] = set()
    for spec in specs:
        if spec.name in seen:
            raise BadInput(f"two sources are called {spec.name!r}; give each a name of its own")
        seen.add(spec.name)
    return specs


def build_source(spec: HostSpec | NvmlSpec | ModbusSpec | PrometheusSpec, clock: Clock) -> Source:
    """Return a source that is ready to be polled; nothing is opened yet. Raises BadInput."""
    pace = Pace(name=spec.name, interval_s=spec.interval_s, timeout_s=spec.timeout_s)
    match spec:
        case HostSpec():
            return HostSource(clock, pace, host=spec.host, disk_paths=spec.disk_paths)
        case NvmlSpec():
            return NvmlSource(clock, pace, host=spec.host)
        case ModbusSpec():
            client = ModbusClient(
                spec.host, spec.port, unit=spec.unit, timeout_s=spec.request_timeout_s
            )
            point = MeterPoint(meter_id=spec.meter_id, ct=spec.ct, pt=spec.pt)
            return ModbusSource(clock, client, load_profile(spec.profile), point, pace)
        case PrometheusSpec():
            endpoint = Endpoint(
                url=spec.url,
                host=spec.host,
                token_file=spec.token_file,
                bytes_max=spec.bytes_max,
            )
            return PrometheusSource(clock, pace, endpoint, _rules(spec))
        case _:
            assert_never(spec)


def _rules(spec: PrometheusSpec) -> tuple[MetricRule, ...]:
    own = tuple(
        MetricRule(
            name=each.name,
            metric=each.metric,
            subject=each.subject,
            scale=each.scale,
            where=each.where,
            is_sum=each.is_sum,
            keep=each.keep,
        )
        for each in spec.metrics
    )
    return (*own, *(PRESETS[spec.preset] if spec.preset else ()))
