"""How good a number is: which readings are taken in, and what a window or a figure may claim.

The rules are written for people in ``docs/pue.md``; this file is where they are decided.
"""

from datetime import datetime, timedelta
from typing import Final

from collectors.accumulator import WINDOW_MS
from suanwang.model.meter import CARRIER_UNITS, WindowState
from suanwang.model.reading import Quality, worst

_UNITS: Final = tuple(CARRIER_UNITS.values())

AHEAD_MAX: Final = timedelta(seconds=60)
"""A reading from further in the future is refused: its clock is wrong."""
SKEW_ALERT: Final = timedelta(seconds=30)
"""A difference between the agent's clock and the centre's that is worth a warning."""
SKEW_RIGHT: Final = timedelta(seconds=15)
"""A clock that was wrong is right again within this."""
LATE_MAX: Final = timedelta(days=35)
"""Older readings are refused: raw samples, from which windows are made, are not kept longer."""
RAW_KEPT: Final = LATE_MAX + timedelta(days=1)
"""Raw samples are kept so long: what the latest reading changes is computed from its whole day."""
WINDOW: Final = timedelta(milliseconds=WINDOW_MS)
POLLS_WAITED: Final = 2
WAITED: Final = timedelta(seconds=60)
"""A window or an hour is first told so many polls and this much after its end."""
FINAL_AFTER: Final = timedelta(hours=24)
"""A window is settled this long after its end; a later change makes a new revision."""
OFFICIAL_FACILITY: Final = 0.99
"""Share of the period in which facility energy must be known for an official PUE."""
OFFICIAL_IT: Final = 0.98
"""Share of the period in which IT energy must be known for an official PUE."""
OFFICIAL_PERIOD: Final = timedelta(days=365)
"""Anything shorter is an interim PUE."""
PUE_MIN: Final = 1.0
PUE_MAX: Final = 3.0
"""Outside of these, meters are mapped wrongly, and the figure is withheld."""
COUNTS_MIN: Final = 100
"""A register that advanced by fewer counts is known to worse than 1 %: that is an estimate."""
ENERGY_WH_MAX: Final = 9e12
"""Above this a register cannot be stored in thousandths of a watt-hour without loss."""
REGISTER_MAX: Final = {
    unit.metric: ENERGY_WH_MAX / max(u.wh_per_unit for u in _UNITS if u.metric == unit.metric)
    for unit in _UNITS
}
"""Most that a register's metric may say, in the metric's own unit."""


def clock_shift(sent_at: datetime, now: datetime, *, was_shifted: bool) -> timedelta:
    """Return what is added to a batch's times: whole seconds that bring its clock to ours, or none.

    A clock that is right within 30 s is left alone; one that was wrong before, only within 15 s, so
    that a clock on the border does not jump back and forth. One that is more than 60 s ahead is not
    trusted at all: its readings stay as they are, and those from the future are refused.
    """
    skew = sent_at - now
    if abs(skew) <= (SKEW_RIGHT if was_shifted else SKEW_ALERT) or skew > AHEAD_MAX:
        return timedelta()
    return -timedelta(seconds=round(skew.total_seconds()))


def parts_quality(covered_ms: int, interpolated_ms: int, estimated_ms: int) -> Quality:
    """Return the quality of an energy by how much of its time is known, bridged or estimated."""
    if covered_ms <= 0:
        return Quality.MISSING
    if estimated_ms > 0:
        return Quality.ESTIMATED
    return Quality.INTERPOLATED if interpolated_ms > 0 else Quality.MEASURED


def figure_quality(energy_mwh: int, resolution_mwh: int, parts: Quality) -> Quality:
    """Return the quality of a sum: fewer than 100 counts of the register are only an estimate."""
    if parts is Quality.MISSING or energy_mwh >= COUNTS_MIN * resolution_mwh:
        return parts
    return worst(parts, Quality.ESTIMATED)


def window_state(end: datetime, revision: int, now: datetime) -> WindowState:
    """Return how settled a window is that ended at ``end``."""
    if revision > 0:
        return WindowState.REVISED
    return WindowState.FINAL if now - end >= FINAL_AFTER else WindowState.PROVISIONAL
