"""Energy of one meter in 15-minute windows, out of its cumulative register. Pure.

Every pair of neighbouring readings is one segment, judged by itself; a window's energy is the sum
of the parts of the segments that lie in it. So the result depends on the set of readings alone and
not on the order in which they came: a late reading takes one segment out and puts two in. Energy
is whole thousandths of a watt-hour and every segment is cut by the same running sum, so windows add
up to exactly what the register advanced.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Final, NamedTuple

from suanwang.model.meter import Meter
from suanwang.model.reading import Quality, worst

WINDOW_MS: Final = 900_000
"""Fifteen minutes, on the clock of UTC."""
GAP_POLLS: Final = 3
"""Neighbouring readings further apart than this many polls have a gap between them."""
GAP_MS_MIN: Final = 30_000
"""No pause shorter than this is a gap, however fast the polls."""
JITTER_MS: Final = 1_000
"""How far the moments of two readings may be wrong together."""
_BELIEF_NUM: Final = 12
_BELIEF_DEN: Final = 10
_MS_PER_HOUR: Final = 3_600_000


class Register(NamedTuple):
    """A register's value at a moment. A named tuple, since a batch holds a million of them."""

    at_ms: int
    mwh: int
    quality: Quality = Quality.MEASURED


class Step(StrEnum):
    """How a register got from one reading to the next."""

    ADVANCE = "advance"
    ROLLOVER = "rollover"
    RESET = "reset"
    UNKNOWN = "unknown"


class Segment(NamedTuple):
    """The energy between two neighbouring readings; an unknown one covers nothing."""

    start_ms: int
    end_ms: int
    energy_mwh: int
    step: Step
    quality: Quality

    @property
    def is_known(self) -> bool:
        """Whether the energy can be believed."""
        return self.step is not Step.UNKNOWN

    def energy_until(self, moment_ms: int) -> int:
        """Return the energy from the start to a moment inside, in mWh, rounded down."""
        return self.energy_mwh * (moment_ms - self.start_ms) // (self.end_ms - self.start_ms)

    def energy_between(self, start_ms: int, end_ms: int) -> int:
        """Return the energy of the part inside the two moments, in mWh."""
        low, high = max(start_ms, self.start_ms), min(end_ms, self.end_ms)
        return self.energy_until(high) - self.energy_until(low) if low < high else 0


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


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterRules:
    """What is believed of a meter: ``modulus_mwh`` is where it wraps (0: never)."""

    rated_w: int
    resolution_mwh: int
    modulus_mwh: int
    gap_ms: int

    @classmethod
    def of(cls, meter: Meter) -> "MeterRules":
        """Return the rules of a registered meter."""
        return cls(
            rated_w=meter.rated_w,
            resolution_mwh=max(1, round(meter.resolution_wh * 1000)),
            modulus_mwh=meter.modulus_wh * 1000,
            gap_ms=max(round(GAP_POLLS * meter.poll_s * 1000), GAP_MS_MIN),
        )

    def is_plausible(self, energy_mwh: int, duration_ms: int) -> bool:
        """Whether the meter can have counted this: 1.2 times its rating, and one count of slack.

        1 W for 1 ms is 1/3600 mWh.
        """
        most = _BELIEF_NUM * self.rated_w * (duration_ms + JITTER_MS)
        return _BELIEF_DEN * 3_600 * (energy_mwh - self.resolution_mwh) <= most


def judge(rules: MeterRules, first: Register, second: Register) -> Segment:
    """Return the segment between two readings, ``second`` later than ``first``.

    A register that fell has wrapped where that is plausible, else it was reset and counts from
    zero where that is plausible; else, and where it rose more than the meter can carry, the energy
    between the two is unknown.
    """
    duration_ms = second.at_ms - first.at_ms
    advance = second.mwh - first.mwh
    quality = _segment_quality(rules, first, second, duration_ms)
    step = Step.UNKNOWN
    energy_mwh = 0
    if advance >= 0:
        if rules.is_plausible(advance, duration_ms):
            step, energy_mwh = Step.ADVANCE, advance
    elif _wraps(rules, first, advance, duration_ms):
        step, energy_mwh = Step.ROLLOVER, advance + rules.modulus_mwh
    elif rules.is_plausible(second.mwh, duration_ms):
        # What was counted between the last reading and the reset is lost, so this is a lower bound.
        step, energy_mwh, quality = Step.RESET, second.mwh, worst(quality, Quality.ESTIMATED)
    return Segment(first.at_ms, second.at_ms, energy_mwh, step, quality)


def _wraps(rules: MeterRules, first: Register, advance: int, duration_ms: int) -> bool:
    wrapped = advance + rules.modulus_mwh
    return (
        rules.modulus_mwh > 0
        and first.mwh < rules.modulus_mwh
        and wrapped >= 0
        and rules.is_plausible(wrapped, duration_ms)
    )


def _segment_quality(
    rules: MeterRules, first: Register, second: Register, duration_ms: int
) -> Quality:
    if first.quality is Quality.MEASURED and second.quality is Quality.MEASURED:
        read = Quality.MEASURED
    else:
        read = worst(first.quality, second.quality)
    return worst(read, Quality.INTERPOLATED) if duration_ms > rules.gap_ms else read


def window_start(at_ms: int) -> int:
    """Return the start of the window that holds a moment, ms since 1970."""
    return at_ms - at_ms % WINDOW_MS


def segments(rules: MeterRules, registers: Sequence[Register]) -> Iterator[Segment]:
    """Judge every pair of neighbours; the readings are in the order of time, no moment twice."""
    return (judge(rules, first, second) for first, second in pairwise(registers))


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


def windows(rules: MeterRules, registers: Iterable[Register]) -> dict[int, WindowSum]:
    """Return every window by its start, out of the whole record at once (first reading wins)."""
    kept: dict[int, Register] = {}
    for register in registers:
        kept.setdefault(register.at_ms, register)
    sums: dict[int, WindowSum] = {}
    for segment in segments(rules, [kept[at_ms] for at_ms in sorted(kept)]):
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
    the difference against the record, and ``late`` the windows that a late reading changed.
    """

    rules: MeterRules
    known: list[Register] = field(default_factory=list)
    changes: dict[int, WindowSum] = field(default_factory=dict)
    late: set[int] = field(default_factory=set)
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
                self._put(judge(self.rules, known[-1], reading), 1)
            known.append(reading)
            return Taken.NEW
        place = bisect_left(known, reading.at_ms, key=_moment)
        if known[place].at_ms == reading.at_ms:
            if known[place].mwh == reading.mwh:
                return Taken.DUPLICATE
            self.tally.conflicts += 1
            return Taken.CONFLICT
        self._insert(place, reading)
        return Taken.LATE

    def _insert(self, place: int, reading: Register) -> None:
        after = self.known[place]
        if place > 0:
            before = self.known[place - 1]
            self._put(judge(self.rules, before, after), -1, self.late)
            self._put(judge(self.rules, before, reading), 1, self.late)
        self._put(judge(self.rules, reading, after), 1, self.late)
        self.known.insert(place, reading)

    def _put(self, segment: Segment, sign: int, touched: set[int] | None = None) -> None:
        add_segment(self.changes, segment, sign, touched=touched)
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
