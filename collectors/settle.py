"""The windows of a meter once the day is over: the register first, then what power can say. Pure.

The order of sources is that of ``docs/pue.md``: the register; where single windows are too short
for its counts, its day shaped by power; where it says nothing, power itself; else nothing.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from collectors.accumulator import WINDOW_MS, WindowSum, add_segment, window_start
from collectors.power import Power, PowerCurve
from collectors.quality import COUNTS_MIN
from collectors.register import History, Register, segments

DAY_MS: Final = 86_400_000
"""A day of UTC: the shortest time over which power is scaled to the register."""
_KNOWN_NUM: Final = 9
_KNOWN_DEN: Final = 10
"""Power stands in for the register where it knows nine tenths of the time."""


class Source(StrEnum):
    """What a window's energy comes from."""

    REGISTER = "register"
    SCALED = "scaled"
    POWER = "power"
    MIXED = "mixed"


class Settled(NamedTuple):
    """A window and where its energy comes from."""

    total: WindowSum
    source: Source


class Period(NamedTuple):
    """Whole windows from ``low_ms`` to ``high_ms``; ``is_over``: nothing more is expected of it."""

    low_ms: int
    high_ms: int
    is_over: bool


def settle(
    history: History, registers: Sequence[Register], powers: Iterable[Power], period: Period
) -> dict[int, Settled]:
    """Return every window of a period of which something is known, by its start.

    ``registers`` are in the order of time, no moment twice, with one before and one after the
    period where there are any; ``powers`` reach a little over both ends too.
    """
    curve = PowerCurve.of(history.rules_at(period.low_ms), powers)
    sums: dict[int, WindowSum] = {}
    filled: dict[int, int] = {}
    unknown: list[tuple[int, int]] = []
    for segment in segments(history, registers):
        if segment.is_known:
            add_segment(sums, segment, 1)
        elif _is_enough(curve, segment.start_ms, segment.end_ms):
            unknown.append((segment.start_ms, segment.end_ms))
    if period.is_over or not registers:
        unknown += _open_ends(registers, period)
    inside = {start: total for start, total in sums.items() if _is_in(start, period)}
    for low, high in unknown:
        _fill(inside, filled, curve, (max(low, period.low_ms), min(high, period.high_ms)))
    known = {start: total for start, total in inside.items() if not total.is_nothing()}
    scaled = _scaled(history, known, filled, curve, period)
    return {
        start: Settled(total, _source(total, filled.get(start, 0), start in scaled))
        for start, total in (known | scaled).items()
    }


def _is_in(start: int, period: Period) -> bool:
    return period.low_ms <= start < period.high_ms


def _is_enough(curve: PowerCurve, start_ms: int, end_ms: int) -> bool:
    known_ms = curve.between(start_ms, end_ms).covered_ms
    return known_ms * _KNOWN_DEN >= (end_ms - start_ms) * _KNOWN_NUM


def _open_ends(registers: Sequence[Register], period: Period) -> list[tuple[int, int]]:
    """Return the time before the first and after the last register reading."""
    if not registers:
        return [(period.low_ms, period.high_ms)]
    ends = [(period.low_ms, registers[0].at_ms), (registers[-1].at_ms, period.high_ms)]
    return [(low, high) for low, high in ends if low < high]


def _fill(
    sums: dict[int, WindowSum],
    filled: dict[int, int],
    curve: PowerCurve,
    stretch: tuple[int, int],
) -> None:
    """Add what power knows of a stretch to each window in it."""
    low, end = stretch
    while low < end:
        start = window_start(low)
        high = min(end, start + WINDOW_MS)
        energy = curve.between(low, high)
        if energy.covered_ms:
            total = sums.setdefault(start, WindowSum())
            total.energy_mwh += energy.energy_mwh
            total.covered_ms += energy.covered_ms
            total.estimated_ms += energy.covered_ms
            filled[start] = filled.get(start, 0) + energy.covered_ms
        low = high


def _source(total: WindowSum, filled_ms: int, is_scaled: bool) -> Source:
    if is_scaled:
        return Source.SCALED
    if not filled_ms:
        return Source.REGISTER
    return Source.POWER if filled_ms == total.covered_ms else Source.MIXED


def _scaled(
    history: History,
    known: dict[int, WindowSum],
    filled: dict[int, int],
    curve: PowerCurve,
    period: Period,
) -> dict[int, WindowSum]:
    """Return the windows of coarse days anew: the register's day, shaped by power.

    Only days that the register knows wholly, and power to nine tenths of every window.
    """
    found: dict[int, WindowSum] = {}
    if not period.is_over or curve.is_empty:
        return found
    first = -(-period.low_ms // DAY_MS) * DAY_MS
    for day in range(first, period.high_ms - DAY_MS + 1, DAY_MS):
        starts = range(day, day + DAY_MS, WINDOW_MS)
        least = COUNTS_MIN * history.rules_at(day).count_mwh
        whole = [known[start] for start in starts if _is_whole(start, known, filled)]
        if len(whole) < len(starts):
            continue
        total = sum(window.energy_mwh for window in whole)
        is_coarse = any(window.energy_mwh < least for window in whole)
        if is_coarse and total >= least:
            found |= _shaped(starts, whole, total, curve)
    return found


def _is_whole(start: int, known: dict[int, WindowSum], filled: dict[int, int]) -> bool:
    return start in known and known[start].covered_ms == WINDOW_MS and start not in filled


def _shaped(
    starts: range, windows: Sequence[WindowSum], total_mwh: int, curve: PowerCurve
) -> dict[int, WindowSum]:
    """Share a day's energy out in proportion to power, by one running sum; empty where it can't."""
    parts = [curve.between(start, start + WINDOW_MS) for start in starts]
    whole = sum(part.energy for part in parts)
    least_ms = WINDOW_MS * _KNOWN_NUM // _KNOWN_DEN
    if whole == 0 or any(part.covered_ms < least_ms for part in parts):
        return {}
    shaped: dict[int, WindowSum] = {}
    done = shared = 0
    for start, part, window in zip(starts, parts, windows, strict=True):
        done += part.energy
        until = total_mwh * done // whole
        shaped[start] = WindowSum(
            until - shared, WINDOW_MS, WINDOW_MS - window.estimated_ms, window.estimated_ms
        )
        shared = until
    return shaped
