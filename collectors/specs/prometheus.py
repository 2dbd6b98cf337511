"""Settings of a Prometheus source."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field, model_validator

from collectors.http_port import HttpPort
from collectors.lanes import Place
from collectors.sources.port import Source
from collectors.sources.prometheus import (
    PRESETS,
    TEXT_BYTES_MAX,
    Endpoint,
    MetricRule,
    PrometheusSource,
    RuleBook,
    subject_labels,
)
from collectors.specs.base import Factor, Metric, Name, Part, Spec, Workshop, this_host


def _subject(template: str) -> str:
    subject_labels(template)
    return template


class MetricSpec(Part):
    """One rule of a Prometheus source; see ``MetricRule``."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")]
    metric: Metric
    subject: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_subject)]
    scale: Factor = 1.0
    where: dict[str, str] = Field(default_factory=dict)
    is_sum: bool = False
    keep: tuple[str, ...] = ()


class PrometheusSpec(Spec):
    """A Prometheus text endpoint: a preset (node, dcgm, npu), rules of one's own, or both."""

    parts: ClassVar[tuple[type[BaseModel], ...]] = (MetricSpec,)

    kind: Literal["prometheus"] = "prometheus"
    url: Annotated[str, Field(pattern=r"^https?://")]
    preset: Literal["node", "dcgm", "npu"] | None = None
    metrics: tuple[MetricSpec, ...] = ()
    host: Name = Field(default_factory=this_host)
    token_file: Path | None = None
    bytes_max: Annotated[int, Field(ge=1_024)] = TEXT_BYTES_MAX

    @model_validator(mode="after")
    def _wants_something(self) -> "PrometheusSpec":
        if not self.preset and not self.metrics:
            raise ValueError("give a preset (node, dcgm or npu) or metrics")
        return self

    @property
    def place(self) -> Place:
        """Return the protocol and the address."""
        return Place(self.kind, f"prometheus {urlsplit(self.url).netloc}")

    def build(self, workshop: Workshop) -> Source:
        """Return the source."""
        endpoint = Endpoint(
            url=self.url, host=self.host, token_file=self.token_file, bytes_max=self.bytes_max
        )
        http = workshop.shared("http", HttpPort)
        rules = workshop.shared(f"prometheus rules {self._rules()!r}", self._filter)
        return PrometheusSource(workshop.clock, http, self.pace, endpoint, rules)

    def _filter(self) -> RuleBook:
        """Return the rules with what finds their lines; endpoints of one kind share it."""
        return RuleBook(self._rules())

    def _rules(self) -> tuple[MetricRule, ...]:
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
            for each in self.metrics
        )
        return (*own, *(PRESETS[self.preset] if self.preset else ()))
