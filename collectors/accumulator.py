"""Energy of one meter in 15-minute windows, out of its cumulative register. Pure.

A window's energy is the sum of the parts of the segments that lie in it. A late reading takes one
segment out and puts two in. Energy is whole thousandths of a watt-hour and every segment is cut by
the same running sum, so windows add up to exactly what the register advanced.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from collectors.register import History, Register, Segment, Step, segments
from suanwang.model.reading import Quality

WINDOW_MS: Final = 900_000
"""Fifteen minutes, on the clock of UTC."""


@dataclass(slots=True)
class WindowSum:
    """What is known of one window: energy in mWh, and how many ms of it are how good."""

    energy_mwh: int = 0
    covered_ms: int = 0
    interpolated_ms: int = 0
    estimated_ms: int = 0

    def is_nothing(self) -> bool:
        """Whether all four are zero."""
        return not (self.energy_mwh or self.covered_ms or self.interpolated_ms or self.estimated_ms)


def window_start(at_ms: int) -> int:
    """Return the start of the window that holds a moment, ms since 1970."""
    return at_ms - at_ms % WINDOW_MS


def add_segment(
    sums: dict[int, WindowSum], segment: Segment, sign: int, *, touched: set[int] | None = None
) -> None:
    """Add (``sign`` 1) or take out (-1) a segment's part of each window that it lies in."""
    if not segment.is_known:
        return
    start_ms, end_ms, energy_mwh, _, quality = segment
    is_interpolated = quality is Quality.INTERPOLATED
    is_estimated = quality is Quality.ESTIMATED or quality is Quality.MISSING
    window = window_start(start_ms)
    low, low_energy = start_ms, 0
    while low < end_ms:
        high = min(end_ms, window + WINDOW_MS)
        high_energy = energy_mwh if high == end_ms else segment.energy_until(high)
        total = sums.get(window)
        if total is None:
            total = sums[window] = WindowSum()
        part_ms = sign * (high - low)
        total.energy_mwh += sign * (high_energy - low_energy)
        total.covered_ms += part_ms
        if is_interpolated:
            total.interpolated_ms += part_ms
        elif is_estimated:
            total.estimated_ms += part_ms
        if touched is not None:
            touched.add(window)
        low, low_energy, window = high, high_energy, window + WINDOW_MS


def windows(history: History, registers: Iterable[Register]) -> dict[int, WindowSum]:
    """Return every window by its start, out of the whole record at once (first reading wins)."""
    kept: dict[int, Register] = {}
    for register in registers:
        kept.setdefault(register.at_ms, register)
    sums: dict[int, WindowSum] = {}
    for segment in segments(history, [kept[at_ms] for at_ms in sorted(kept)]):
        add_segment(sums, segment, 1)
    return {start: total for start, total in sums.items() if not total.is_nothing()}


class Taken(StrEnum):
    """What became of a reading."""

    NEW = "new"
    LATE = "late"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


@dataclass(slots=True)
class Tally:
    """How often a meter did something odd. Late readings may take a count back."""

    conflicts: int = 0
    resets: int = 0
    rollovers: int = 0
    rejected: int = 0


@dataclass(slots=True)
class Accumulator:
    """Takes readings in any order and keeps what they change, window by window.

    ``known`` are readings that are in the record already, in the order of time; ``changes`` holds
    the difference against the record, ``late`` the windows that a late reading changed,
    ``odd`` the segments that are no simple advance, and ``conflicts`` moments with two values.
    """

    history: History
    known: list[Register] = field(default_factory=list)
    changes: dict[int, WindowSum] = field(default_factory=dict)
    late: set[int] = field(default_factory=set)
    odd: list[Segment] = field(default_factory=list)
    conflicts: list[int] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)

    @property
    def newest(self) -> Register | None:
        """The newest reading so far."""
        return self.known[-1] if self.known else None

    def add(self, reading: Register) -> Taken:
        """Take one reading in and say what it was."""
        known = self.known
        if not known or reading.at_ms > known[-1].at_ms:
            if known:
                self._put(known[-1], reading, 1)
            known.append(reading)
            return Taken.NEW
        place = bisect_left(known, reading.at_ms, key=_moment)
        if known[place].at_ms == reading.at_ms:
            if known[place].mwh == reading.mwh:
                return Taken.DUPLICATE
            self.tally.conflicts += 1
            self.conflicts.append(reading.at_ms)
            return Taken.CONFLICT
        self._insert(place, reading)
        return Taken.LATE

    def _insert(self, place: int, reading: Register) -> None:
        after = self.known[place]
        if place > 0:
            before = self.known[place - 1]
            self._put(before, after, -1, self.late)
            self._put(before, reading, 1, self.late)
        self._put(reading, after, 1, self.late)
        self.known.insert(place, reading)

    def _put(
        self, first: Register, second: Register, sign: int, touched: set[int] | None = None
    ) -> None:
        for segment in self.history.bridge(first, second):
            add_segment(self.changes, segment, sign, touched=touched)
            if segment.step is not Step.ADVANCE and sign > 0:
                self.odd.append(segment)
            match segment.step:
                case Step.ROLLOVER:
                    self.tally.rollovers += sign
                case Step.RESET:
                    self.tally.resets += sign
                case Step.UNKNOWN:
                    self.tally.rejected += sign
                case Step.ADVANCE:
                    pass


def _moment(register: Register) -> int:
    return register.at_ms
