"""What the checks share, apart from the planner's arrays: facility power, what jobs take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from optimizer.problem import Breakpoints

Where = tuple[str, int]
"""A site or a pool, and a slot."""


@dataclass(frozen=True, slots=True)
class End:
    """A run that ends within a slot: its IT power, and when, in seconds of the problem."""

    watts: float
    at_s: float


@dataclass(frozen=True, slots=True)
class Taken:
    """What the plan's jobs take: units by pool; IT power by site, mean and highest in a slot.

    ``ends`` are the runs that end within a slot of a site.
    """

    units: Mapping[Where, int]
    mean_w: Mapping[Where, float]
    high_w: Mapping[Where, float]
    ends: Mapping[Where, Sequence[End]] = field(default_factory=dict)


def facility_w(points: Breakpoints, it_w: float) -> float:
    """Return the highest of the lines through neighbouring breakpoints."""
    return max(slope * it_w + offset for slope, offset in _lines(points))


def flattest_slope(points: Breakpoints) -> float:
    """Return the least that facility power grows with a watt of IT power."""
    return min(slope for slope, _ in _lines(points))


def _lines(points: Breakpoints) -> list[tuple[float, float]]:
    if not points:
        return [(1.0, 0.0)]
    if len(points) == 1:
        ((x, y),) = points
        return [(y / x, 0.0)] if x > 0 else [(1.0, y)]
    found = []
    for (x0, y0), (x1, y1) in pairwise(points):
        slope = (y1 - y0) / (x1 - x0)
        found.append((slope, y0 - x0 * slope))
    return found
