"""What rules can look at: each signal with its unit, and how often it is worth reading."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from suanwang.model.source import LOST_S_MIN, SILENT_S_MIN


class Unit(StrEnum):
    """How a value is written for people."""

    SECONDS = "s"
    RATIO = "ratio"
    SHARE = "share"
    CELSIUS = "°C"
    COUNT = "count"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A number about subjects. ``is_count`` ones count what happened in a rule's ``lookback``.

    ``limits`` are the facts that it tells of each subject, by which a rule may judge it.
    """

    unit: Unit
    words: str
    every: timedelta = timedelta(seconds=15)
    is_count: bool = False
    limits: tuple[str, ...] = ()


PUE_LIMIT: Final = "site.pue_limit"
LOST_AFTER: Final = "source.lost_after_s"
SILENT_AFTER: Final = "source.silent_after_s"
FACTS: Final[Mapping[str, float | None]] = {
    PUE_LIMIT: None,
    LOST_AFTER: LOST_S_MIN,
    SILENT_AFTER: SILENT_S_MIN,
}
"""Limits that a subject or its site has itself, each with the least that it can be where known."""

_SLOW: Final = timedelta(minutes=5)
_SLOWER: Final = timedelta(hours=1)

SIGNALS: Final[Mapping[str, Signal]] = {
    "agent_silent_s": Signal(
        unit=Unit.SECONDS, words="time since a site's agent called; of agents that ever did"
    ),
    "source_lost_s": Signal(
        unit=Unit.SECONDS,
        words="time since a source that is down was polled with success",
        limits=(LOST_AFTER,),
    ),
    "source_silent_s": Signal(
        unit=Unit.SECONDS,
        words="time since a source's last report, good or bad; for seven days",
        limits=(SILENT_AFTER,),
    ),
    "clock_skew_s": Signal(
        unit=Unit.SECONDS, words="how far the agent's clock is off, either way; newest batch"
    ),
    "meter_resets": Signal(
        unit=Unit.COUNT, words="register resets that were seen in the lookback", is_count=True
    ),
    "meter_rollovers": Signal(
        unit=Unit.COUNT, words="register rollovers that were seen in the lookback", is_count=True
    ),
    "meter_doubts": Signal(
        unit=Unit.COUNT,
        words="stretches of a register that can't be believed, and conflicts of two values",
        is_count=True,
    ),
    "coverage_24h_ratio": Signal(
        unit=Unit.SHARE,
        words="share of the last 24 h known by facility and IT meters, the lesser of the two",
        every=_SLOW,
    ),
    "pue_24h": Signal(
        unit=Unit.RATIO, words="PUE of the last 24 h", every=_SLOW, limits=(PUE_LIMIT,)
    ),
    "pue_30d": Signal(
        unit=Unit.RATIO, words="PUE of the last 30 days", every=_SLOWER, limits=(PUE_LIMIT,)
    ),
    "pue_365d": Signal(
        unit=Unit.RATIO, words="PUE of the last 365 days", every=_SLOWER, limits=(PUE_LIMIT,)
    ),
    "energy_ratio_1h": Signal(
        unit=Unit.RATIO,
        words="facility over IT energy of the last hour, also where it is no PUE",
        every=timedelta(minutes=1),
    ),
    "balance_24h_ratio": Signal(
        unit=Unit.SHARE,
        words="(meter - sum of the meters behind it) / meter, energy of the last 24 h",
        every=_SLOW,
    ),
    "feed_load_ratio": Signal(
        unit=Unit.SHARE,
        words="newest power of a feed over its rating, of a rack over the weaker of its feeds",
    ),
    "xid_errors": Signal(
        unit=Unit.COUNT, words="XID errors of a GPU in the lookback", is_count=True
    ),
    "ecc_errors": Signal(
        unit=Unit.COUNT,
        words="rise of a GPU's uncorrected memory errors, failed and pending remaps, last XID code",
        is_count=True,
    ),
    "inlet_temperature_c": Signal(
        unit=Unit.CELSIUS, words="newest temperature of air that enters, not older than 5 min"
    ),
    "copy_behind_s": Signal(
        unit=Unit.SECONDS,
        words="age of the oldest sample of a site that a copy for a time series database may lack",
    ),
    "partition_strays": Signal(
        unit=Unit.COUNT,
        words="rows of a table that have no part by time, 10,000 at most; on PostgreSQL",
        every=_SLOW,
    ),
    "partitions_missing": Signal(
        unit=Unit.COUNT,
        words="parts by time that a table should have by now and has not; on PostgreSQL",
        every=_SLOW,
    ),
    "intelligent_share_ratio": Signal(
        unit=Unit.SHARE, words="intelligent over all compute of the network at FP32", every=_SLOWER
    ),
}
"""Every signal by its name; docs/alarms.md lists them."""


def value_text(unit: Unit, value: float | None) -> str:
    """Write a value for people."""
    if value is None:
        return "–"
    if unit is Unit.SECONDS:
        return _duration(value)
    if unit is Unit.SHARE:
        return f"{value * 100:.1f} %"
    if unit is Unit.CELSIUS:
        return f"{value:.1f} °C"
    return f"{value:.3f}" if unit is Unit.RATIO else f"{value:g}"


def _duration(seconds: float) -> str:
    for limit, unit_s, unit in ((120, 1, "s"), (7_200, 60, "min"), (172_800, 3_600, "h")):
        if seconds < limit:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"
