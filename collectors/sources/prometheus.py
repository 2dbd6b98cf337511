"""Any exporter of Prometheus text: node-exporter, dcgm-exporter, npu-exporter and others."""

import math
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

import aiohttp

from collectors.http_port import HttpPort
from collectors.prometheus_text import Series, WantedNames, series_of
from collectors.sources.port import Pace, SourceError
from suanwang.clock import Clock
from suanwang.model.reading import Reading

TEXT_BYTES_MAX: Final = 8 * 1024 * 1024
_CHUNK: Final = 65_536
SERIES_MAX: Final = 50_000
"""Most series of one endpoint whose meaning is remembered; beyond that it is found out anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRule:
    """Turns samples of one name into readings of one metric.

    ``subject`` may hold labels in braces (``gpu:{UUID}``) and ``{host}``; a sample that lacks one
    of them is left out, as is one that differs from ``where``. Of several samples with the same
    subject the first counts, or their sum where ``is_sum``. ``keep`` names labels to hand on.
    """

    name: str
    metric: str
    subject: str
    scale: float = 1.0
    where: Mapping[str, str] = field(default_factory=dict)
    is_sum: bool = False
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where to ask. ``token_file`` holds a bearer token and is read for each poll."""

    url: str
    host: str
    token_file: Path | None = None
    bytes_max: int = TEXT_BYTES_MAX


_NODE: Final = (
    MetricRule(name="node_load1", metric="load_1m", subject="host:{host}"),
    MetricRule(
        name="node_memory_MemTotal_bytes", metric="memory_total_bytes", subject="host:{host}"
    ),
    MetricRule(
        name="node_memory_MemAvailable_bytes",
        metric="memory_available_bytes",
        subject="host:{host}",
    ),
    MetricRule(
        name="node_cpu_seconds_total",
        metric="cpu_idle_s_total",
        subject="host:{host}",
        where={"mode": "idle"},
        is_sum=True,
    ),
    MetricRule(
        name="node_filesystem_size_bytes",
        metric="disk_total_bytes",
        subject="disk:{host}:{mountpoint}",
    ),
    MetricRule(
        name="node_filesystem_avail_bytes",
        metric="disk_free_bytes",
        subject="disk:{host}:{mountpoint}",
    ),
)


def _gpu(name: str, metric: str, scale: float = 1.0) -> MetricRule:
    return MetricRule(
        name=name, metric=metric, subject="gpu:{UUID}", scale=scale, keep=("modelName", "Hostname")
    )


def _npu(name: str, metric: str, scale: float = 1.0) -> MetricRule:
    return MetricRule(
        name=name, metric=metric, subject="npu:{vdie_id}", scale=scale, keep=("id", "model_name")
    )


_MIB: Final = 1_048_576.0
_WH_PER_MJ: Final = 1 / 3_600_000

PRESETS: Final[Mapping[str, tuple[MetricRule, ...]]] = {
    "node": _NODE,
    "dcgm": (
        _gpu("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "energy_wh", _WH_PER_MJ),
        _gpu("DCGM_FI_DEV_POWER_USAGE", "power_w"),
        _gpu("DCGM_FI_DEV_GPU_UTIL", "utilisation_ratio", 0.01),
        _gpu("DCGM_FI_DEV_FB_USED", "memory_used_bytes", _MIB),
        _gpu("DCGM_FI_DEV_GPU_TEMP", "temperature_c"),
        _gpu("DCGM_FI_DEV_XID_ERRORS", "xid_last"),
    ),
    "npu": (
        _npu("npu_chip_info_power", "power_w"),
        _npu("npu_chip_info_utilization", "utilisation_ratio", 0.01),
        _npu("npu_chip_info_temperature", "temperature_c"),
        _npu("npu_chip_info_hbm_used_memory", "memory_used_bytes", _MIB),
        _npu("npu_chip_info_hbm_total_memory", "memory_total_bytes", _MIB),
        _npu("npu_chip_info_health_status", "health_ratio"),
    ),
}
"""Rules for well-known exporters. A MIG row repeats its whole GPU's energy; it counts once."""


class RuleBook:
    """Rules by the name of their samples, and what finds the lines of these names."""

    def __init__(self, rules: Sequence[MetricRule]) -> None:
        self.by_name: dict[str, list[MetricRule]] = {}
        for rule in rules:
            self.by_name.setdefault(rule.name, []).append(rule)
        self.wanted = WantedNames(self.by_name)


@dataclass(frozen=True, slots=True)
class _Slot:
    """What becomes of one series: subject and metric, and how its number is taken."""

    key: tuple[str, str]
    scale: float
    is_sum: bool
    labels: Mapping[str, str]


class PrometheusSource:
    """One endpoint. Raises SourceError where it does not answer, says no, or has nothing wanted."""

    def __init__(
        self, clock: Clock, http: HttpPort, pace: Pace, endpoint: Endpoint, rules: RuleBook
    ) -> None:
        self.name = pace.name
        self.interval_s = pace.interval_s
        self.timeout_s = pace.timeout_s
        self._clock = clock
        self._http = http
        self._endpoint = endpoint
        self._rules = rules
        self._patience = aiohttp.ClientTimeout(total=pace.timeout_s)
        self._slots: dict[str, tuple[_Slot, ...]] = {}
        self._is_open = True
        http.enter()

    async def collect(self) -> Sequence[Reading]:
        """Return the mapped samples; their time is the moment of the answer."""
        text = await self._fetch()
        readings = self._map(text, self._clock.now())
        if not readings:
            raise SourceError(
                f"{self._endpoint.url} answered {len(text)} characters without one of "
                f"{', '.join(sorted(self._rules.by_name))}",
                next_step="check the URL and the names in the source's metrics",
                url=self._endpoint.url,
            )
        return readings

    async def close(self) -> None:
        """Let go of the shared client."""
        if self._is_open:
            self._is_open = False
            await self._http.leave()

    async def _fetch(self) -> str:
        url = self._endpoint.url
        try:
            async with self._http.session.get(
                url, headers=self._headers(), timeout=self._patience
            ) as answer:
                if answer.status != 200:
                    raise SourceError(
                        f"{url} answered {answer.status} {answer.reason}",
                        url=url,
                        http_status=answer.status,
                    )
                return await self._read(answer)
        except TimeoutError as failure:
            raise SourceError(
                f"{url} did not answer within {self.timeout_s:g} s", url=url
            ) from failure
        except (aiohttp.ClientError, OSError, ValueError) as failure:
            raise SourceError(f"{url} cannot be read: {failure}", url=url) from failure

    def _headers(self) -> dict[str, str]:
        if self._endpoint.token_file is None:
            return {}
        token = self._endpoint.token_file.read_text(encoding="utf-8").strip()
        return {"Authorization": f"Bearer {token}"}

    async def _read(self, answer: aiohttp.ClientResponse) -> str:
        body = bytearray()
        async for piece in answer.content.iter_chunked(_CHUNK):
            body += piece
            if len(body) > self._endpoint.bytes_max:
                raise SourceError(
                    f"{self._endpoint.url} sends more than {self._endpoint.bytes_max} bytes",
                    next_step="narrow what the exporter tells, or raise bytes_max",
                    url=self._endpoint.url,
                )
        return body.decode("utf-8", "replace")

    def _map(self, text: str, at: datetime) -> tuple[Reading, ...]:
        found: dict[tuple[str, str], tuple[float, _Slot]] = {}
        for words, value in self._rules.wanted.values(text):
            slots = self._slots.get(words)
            if slots is None:
                slots = self._learn(words)
            number = float(value) if slots else math.inf
            if math.isinf(number):
                continue
            for slot in slots:
                if slot.key not in found:
                    found[slot.key] = (number * slot.scale, slot)
                elif slot.is_sum:
                    found[slot.key] = (found[slot.key][0] + number * slot.scale, slot)
        return tuple(
            Reading(subject=slot.key[0], metric=slot.key[1], value=value, at=at, labels=slot.labels)
            for value, slot in found.values()
            if math.isfinite(value)
        )

    def _learn(self, words: str) -> tuple[_Slot, ...]:
        """Find out what becomes of a series, and remember it: texts hardly differ but in values."""
        series = series_of(words)
        rules = self._rules.by_name.get(series.name, ()) if series else ()
        slots = tuple(slot for rule in rules if series and (slot := self._slot(rule, series)))
        if len(self._slots) >= SERIES_MAX:
            self._slots.clear()
        self._slots[words] = slots
        return slots

    def _slot(self, rule: MetricRule, series: Series) -> _Slot | None:
        """Return what a rule makes of a series; None where it differs or lacks a label."""
        labels = series.labels
        if any(labels.get(label) != value for label, value in rule.where.items()):
            return None
        try:
            subject = rule.subject.format_map({"host": self._endpoint.host, **labels})
        except KeyError:
            return None
        kept = {label: labels[label] for label in rule.keep if label in labels}
        return _Slot((subject, rule.metric), rule.scale, rule.is_sum, kept) if subject else None


def subject_labels(template: str) -> tuple[str, ...]:
    """Return the labels that a subject needs; raise ValueError for a template that is not one."""
    parts = list(string.Formatter().parse(template))
    if any(spec or conversion for _, _, spec, conversion in parts):
        raise ValueError(f"{template!r} may hold only names in braces, such as gpu:{{UUID}}")
    names = tuple(name for _, name, _, _ in parts if name is not None)
    if not all(name.isidentifier() for name in names):
        raise ValueError(f"{template!r} may hold only names in braces, such as gpu:{{UUID}}")
    return names
