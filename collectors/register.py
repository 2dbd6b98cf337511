"""What a meter's cumulative register says between two readings. Pure.

Every pair of neighbouring readings is one segment, judged by itself, so the result depends on the
set of readings alone and not on the order in which they came. A meter that was replaced, or whose
transformers were, has episodes: between two of them the register is read at both sides of the seam.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final, NamedTuple

from suanwang.model.meter import Meter
from suanwang.model.reading import Quality, worst

GAP_POLLS: Final = 3
"""Neighbouring readings further apart than this many polls have a gap between them."""
GAP_MS_MIN: Final = 30_000
"""No pause shorter than this is a gap, however fast the polls."""
JITTER_MS: Final = 1_000
"""How far the moments of two readings may be wrong together."""
_BELIEF_NUM: Final = 12
_BELIEF_DEN: Final = 10


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


def resolution_mwh(resolution_wh: float) -> int:
    """Return one count of a register in mWh, in which energies are kept."""
    return max(1, round(resolution_wh * 1000))


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterRules:
    """What is believed of a meter: ``modulus_mwh`` is where it wraps (0: never).

    Resolution and modulus are the register's own; its advance times ``factor_num / factor_den``
    is the energy. ``rated_w`` is what the meter stands for at most, the factor included.
    """

    rated_w: int
    resolution_mwh: int
    modulus_mwh: int
    gap_ms: int
    factor_num: int = 1
    factor_den: int = 1

    @classmethod
    def of(cls, meter: Meter) -> "MeterRules":
        """Return the rules of a registered meter."""
        return cls(
            rated_w=meter.rated_w,
            resolution_mwh=resolution_mwh(meter.resolution_wh),
            modulus_mwh=meter.modulus_wh * 1000,
            gap_ms=max(round(GAP_POLLS * meter.poll_s * 1000), GAP_MS_MIN),
        )

    @property
    def count_mwh(self) -> int:
        """What one count of the register stands for after the factor, mWh."""
        return -(-self.resolution_mwh * self.factor_num // self.factor_den)

    def energy(self, first_mwh: int, second_mwh: int) -> int:
        """Return the energy between two register values, mWh: parts add up to the whole."""
        if self.factor_num == self.factor_den:
            return second_mwh - first_mwh
        scaled = (value * self.factor_num // self.factor_den for value in (first_mwh, second_mwh))
        low, high = scaled
        return high - low

    def is_plausible(self, energy_mwh: int, duration_ms: int) -> bool:
        """Whether the meter can have counted this: 1.2 times its rating, and one count of slack.

        1 W for 1 ms is 1/3600 mWh.
        """
        most = _BELIEF_NUM * self.rated_w * (duration_ms + JITTER_MS)
        return _BELIEF_DEN * 3_600 * (energy_mwh - self.count_mwh) <= most


def judge(rules: MeterRules, first: Register, second: Register) -> Segment:
    """Return the segment between two readings, ``second`` later than ``first``.

    A register that fell has wrapped where that is plausible, else it was reset and counts from
    zero where that is plausible; else, and where it rose more than the meter can carry, the energy
    between the two is unknown.
    """
    duration_ms = second.at_ms - first.at_ms
    quality = _segment_quality(rules, first, second, duration_ms)
    step = Step.UNKNOWN
    energy_mwh = 0
    if second.mwh >= first.mwh:
        advance = rules.energy(first.mwh, second.mwh)
        if rules.is_plausible(advance, duration_ms):
            step, energy_mwh = Step.ADVANCE, advance
    elif (wrapped := _wrapped(rules, first, second, duration_ms)) is not None:
        step, energy_mwh = Step.ROLLOVER, wrapped
    elif rules.is_plausible(since_reset := rules.energy(0, second.mwh), duration_ms):
        # What was counted between the last reading and the reset is lost, so this is a lower bound.
        step, energy_mwh, quality = Step.RESET, since_reset, worst(quality, Quality.ESTIMATED)
    return Segment(first.at_ms, second.at_ms, energy_mwh, step, quality)


def _wrapped(rules: MeterRules, first: Register, second: Register, duration_ms: int) -> int | None:
    """Return the energy of a wrap between two readings, or None where none can be believed."""
    if not 0 < rules.modulus_mwh > first.mwh:
        return None
    energy_mwh = rules.energy(first.mwh, second.mwh + rules.modulus_mwh)
    is_believed = energy_mwh >= 0 and rules.is_plausible(energy_mwh, duration_ms)
    return energy_mwh if is_believed else None


def _segment_quality(
    rules: MeterRules, first: Register, second: Register, duration_ms: int
) -> Quality:
    if first.quality is Quality.MEASURED and second.quality is Quality.MEASURED:
        read = Quality.MEASURED
    else:
        read = worst(first.quality, second.quality)
    return worst(read, Quality.INTERPOLATED) if duration_ms > rules.gap_ms else read


class Episode(NamedTuple):
    """One life of a meter, from its first moment to the next episode's: a device and its ratios.

    ``initial_mwh`` and ``final_mwh`` are the register at both ends, None where nobody read it.
    """

    from_ms: int
    rules: MeterRules
    initial_mwh: int | None = None
    final_mwh: int | None = None


class History:
    """A meter's episodes in the order of time; the first also stands for all time before it."""

    __slots__ = ("_starts", "episodes")

    def __init__(self, episodes: Sequence[Episode]) -> None:
        assert episodes, "a meter has at least one episode"
        self.episodes = tuple(episodes)
        self._starts = [episode.from_ms for episode in self.episodes]

    @classmethod
    def of(cls, rules: MeterRules) -> "History":
        """Return the history of a meter that was never replaced."""
        return cls((Episode(0, rules),))

    def rules_at(self, at_ms: int) -> MeterRules:
        """Return what is believed of the meter at a moment."""
        return self.episodes[self._place(at_ms)].rules

    @property
    def rules(self) -> MeterRules:
        """What is believed of the meter now."""
        return self.episodes[-1].rules

    def bridge(self, first: Register, second: Register) -> Iterable[Segment]:
        """Return the segments between two neighbouring readings: one for each episode between."""
        if len(self._starts) == 1 and first.at_ms < second.at_ms:
            # Nearly all of them; a batch has thousands.
            return (judge(self.episodes[0].rules, first, second),)
        return self._bridged(first, second)

    def _bridged(self, first: Register, second: Register) -> Iterator[Segment]:
        low, high = self._place(first.at_ms), self._place(second.at_ms)
        here: Register | None = first
        here_ms = first.at_ms
        for old, new in pairwise(self.episodes[low : high + 1]):
            end = _reading(new.from_ms, old.final_mwh)
            yield from _judged(old.rules, here, end, here_ms, new.from_ms)
            here, here_ms = _reading(new.from_ms, new.initial_mwh), new.from_ms
        yield from _judged(self.episodes[high].rules, here, second, here_ms, second.at_ms)

    def _place(self, at_ms: int) -> int:
        return max(0, bisect_right(self._starts, at_ms) - 1)


def _reading(at_ms: int, mwh: int | None) -> Register | None:
    return None if mwh is None else Register(at_ms, mwh)


def _judged(
    rules: MeterRules, first: Register | None, second: Register | None, low_ms: int, high_ms: int
) -> Iterator[Segment]:
    """Yield the segment of a stretch in one episode, unknown where an end was not read."""
    if low_ms >= high_ms:
        return
    if first is None or second is None:
        yield Segment(low_ms, high_ms, 0, Step.UNKNOWN, Quality.MISSING)
        return
    yield judge(rules, first, second)


def segments(history: History, registers: Sequence[Register]) -> Iterator[Segment]:
    """Judge every pair of neighbours; the readings are in the order of time, no moment twice."""
    for first, second in pairwise(registers):
        yield from history.bridge(first, second)
