"""Which function reads each signal."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from sqlalchemy import Connection

from alerts import store_figures, store_loads, store_signals
from alerts.model import Limit, Rule, Seen
from alerts.signals import FACTS
from alerts.store_signals import Ask

Reader = Callable[[Connection, Ask], Seen]

READERS: Final[Mapping[str, Reader]] = {
    "agent_silent_s": store_signals.agent_silent,
    "source_lost_s": store_signals.source_lost,
    "source_silent_s": store_signals.source_silent,
    "clock_skew_s": store_signals.clock_skew,
    "meter_resets": store_signals.meter_resets,
    "meter_rollovers": store_signals.meter_rollovers,
    "meter_doubts": store_signals.meter_doubts,
    "coverage_24h_ratio": store_figures.coverage,
    "pue_24h": store_figures.pue_over(store_figures.DAY),
    "pue_30d": store_figures.pue_over(store_figures.MONTH),
    "pue_365d": store_figures.pue_over(store_figures.YEAR),
    "energy_ratio_1h": store_figures.energy_ratio,
    "balance_24h_ratio": store_figures.balance,
    "feed_load_ratio": store_loads.feed_load,
    "xid_errors": store_signals.xid_errors,
    "ecc_errors": store_signals.ecc_errors,
    "inlet_temperature_c": store_signals.inlet_temperature,
    "copy_behind_s": store_signals.copy_behind,
    "partition_strays": store_signals.partition_strays,
    "partitions_missing": store_signals.partitions_missing,
    "intelligent_share_ratio": store_figures.share,
}
"""Every signal's reader."""


def floor_of(rules: Iterable[Rule]) -> float | None:
    """Return below which no value concerns any of the rules; None where every value may.

    A value at its clear level is not told, and what is not told is well.
    """
    floors: list[float] = []
    for rule in rules:
        least = _least(rule.above) if rule.above is not None and rule.below is None else None
        if least is None:
            return None
        floors.append(least - rule.margin)
    return min(floors, default=None)


def _least(limit: Limit) -> float | None:
    """Return the least that a limit can be, where that is known."""
    return FACTS[limit.fact] if limit.fact else limit.number
