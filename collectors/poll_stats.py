"""What polls came to: counts of each source, and how late the polls of all began."""

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final

LATENESS_S: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the histogram; what is later still counts in a last bucket."""


@dataclass(slots=True, kw_only=True)
class PollStats:
    """What a source's polls came to.

    ``skipped`` polls would have been due while one was still under way or waited for its turn;
    ``stuck`` ones were not made, since the one before could not even be cancelled.
    """

    polls: int = 0
    failures: int = 0
    timeouts: int = 0
    skipped: int = 0
    stuck: int = 0
    sink_failures: int = 0
    lateness_s_max: float = 0.0

    def add(self, other: "PollStats") -> None:
        """Count what came of another source's polls in."""
        self.polls += other.polls
        self.failures += other.failures
        self.timeouts += other.timeouts
        self.skipped += other.skipped
        self.stuck += other.stuck
        self.sink_failures += other.sink_failures
        self.lateness_s_max = max(self.lateness_s_max, other.lateness_s_max)


@dataclass(slots=True)
class Histogram:
    """Counts of values by bucket, with their sum and the greatest."""

    bounds: tuple[float, ...] = LATENESS_S
    counts: list[int] = field(default_factory=list)
    total: float = 0.0
    greatest: float = 0.0

    def __post_init__(self) -> None:
        """Begin with empty buckets, one more than there are bounds."""
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value
        self.greatest = max(self.greatest, value)

    @property
    def count(self) -> int:
        """Return how many values were counted."""
        return sum(self.counts)

    def quantile(self, share: float) -> float:
        """Return the bound that so great a share of the values does not exceed; 0 without any."""
        wanted, seen = share * self.count, 0
        for bound, count in zip((*self.bounds, self.greatest), self.counts, strict=True):
            seen += count
            if seen and seen >= wanted:
                return min(bound, self.greatest)
        return 0.0
