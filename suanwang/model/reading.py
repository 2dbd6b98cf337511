"""What a collector hands on: readings with a quality, and a report of each source about itself."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Quality(StrEnum):
    """How a number came about, best first. A figure is as good as its worst part."""

    MEASURED = "measured"
    DERIVED = "derived"
    INTERPOLATED = "interpolated"
    ESTIMATED = "estimated"
    MISSING = "missing"


class Circuit(StrEnum):
    """State of a source's circuit breaker: asked as usual, seldom, or just now on trial."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


_ORDER = list(Quality)


def worst(*qualities: Quality) -> Quality:
    """Return the worst of the qualities; of none it is ``missing``."""
    return max(qualities, key=_ORDER.index, default=Quality.MISSING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One number at one moment.

    ``metric`` carries its unit (``power_w``, ``energy_wh``, ``utilisation_ratio``); ``subject`` is
    what was read (``meter:m1``, ``host:gpu-07``, ``gpu:GPU-3f…``).
    """

    subject: str
    metric: str
    value: float
    at: datetime
    quality: Quality = Quality.MEASURED
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReport:
    """A source's word about itself after each poll; when it is down, ``error`` says why.

    ``circuit`` is the state of its breaker, ``circuit_since`` when it last opened or closed (None:
    never), and ``next_at`` when it is polled again. ``interval_s`` is its own pace, 0 where it has
    none.
    """

    source: str
    is_up: bool
    duration_s: float
    at: datetime
    readings: int = 0
    error: str = ""
    circuit: Circuit = Circuit.CLOSED
    circuit_since: datetime | None = None
    next_at: datetime | None = None
    interval_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceListing:
    """All sources that an agent polls at a moment: whatever else it polled before has ended."""

    at: datetime
    sources: Set[str]
