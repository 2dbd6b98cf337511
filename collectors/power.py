"""Energy of one meter out of its power readings, where its register says nothing. Pure.

Between two readings power is taken as a straight line. Two neighbours further apart than three
polls have a gap between them, which nothing bridges. Sampled power misses what happens between two
polls, so all of this is an estimate.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import Final, NamedTuple

from collectors.register import JITTER_MS, MeterRules

_MW_MS_PER_MWH: Final = 3_600_000
_FINER: Final = 1_000_000
"""A stretch is rounded to a millionth of a mWh, so that a day of them loses next to nothing."""
_BELIEF_NUM: Final = 12
_BELIEF_DEN: Final = 10


class Power(NamedTuple):
    """Power at a moment, in thousandths of a watt."""

    at_ms: int
    mw: int


class Stretch(NamedTuple):
    """Power between two neighbouring readings."""

    start_ms: int
    end_ms: int
    first_mw: int
    last_mw: int

    def energy_until(self, moment_ms: int) -> int:
        """Return the energy from the start to a moment inside, in millionths of a mWh."""
        done_ms, whole_ms = moment_ms - self.start_ms, self.end_ms - self.start_ms
        twice = 2 * whole_ms * self.first_mw * done_ms
        twice += (self.last_mw - self.first_mw) * done_ms * done_ms
        return twice * _FINER // (2 * whole_ms * _MW_MS_PER_MWH)

    def energy_between(self, start_ms: int, end_ms: int) -> int:
        """Return the energy of the part inside two moments, in millionths of a mWh."""
        low, high = max(start_ms, self.start_ms), min(end_ms, self.end_ms)
        return self.energy_until(high) - self.energy_until(low) if low < high else 0


class PowerSum(NamedTuple):
    """Energy in millionths of a mWh, and the time that it stands for in ms."""

    energy: int
    covered_ms: int

    @property
    def energy_mwh(self) -> int:
        """The energy in mWh, rounded to the nearest."""
        return (self.energy + _FINER // 2) // _FINER


class PowerCurve:
    """The power of one meter over time."""

    __slots__ = ("_ends", "_stretches")

    def __init__(self, stretches: Sequence[Stretch]) -> None:
        self._stretches = tuple(stretches)
        self._ends = [stretch.end_ms for stretch in self._stretches]

    @classmethod
    def of(cls, rules: MeterRules, readings: Iterable[Power]) -> "PowerCurve":
        """Return the curve through the readings that can be believed; the first at a moment wins.

        Believed is what lies between zero and 1.2 times the meter's rating.
        """
        most_mw = _BELIEF_NUM * rules.rated_w * 1_000 // _BELIEF_DEN
        kept: dict[int, Power] = {}
        for reading in readings:
            if 0 <= reading.mw <= most_mw:
                kept.setdefault(reading.at_ms, reading)
        ordered = [kept[at_ms] for at_ms in sorted(kept)]
        return cls(tuple(_stretches(ordered, rules.gap_ms + JITTER_MS)))

    def between(self, start_ms: int, end_ms: int) -> PowerSum:
        """Return what is known of the time between two moments."""
        energy = covered_ms = 0
        for stretch in islice(self._stretches, bisect_right(self._ends, start_ms), None):
            low, high = max(start_ms, stretch.start_ms), min(end_ms, stretch.end_ms)
            if low >= high:
                break
            energy += stretch.energy_between(low, high)
            covered_ms += high - low
        return PowerSum(energy, covered_ms)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known at all."""
        return not self._stretches


def _stretches(readings: Sequence[Power], gap_ms: int) -> Iterator[Stretch]:
    for first, second in pairwise(readings):
        if second.at_ms - first.at_ms <= gap_ms:
            yield Stretch(first.at_ms, second.at_ms, first.mw, second.mw)
