"""Facility power as the checks read it, written apart from the planner's arrays."""

from itertools import pairwise

from optimizer.problem import Breakpoints


def facility_w(points: Breakpoints, it_w: float) -> float:
    """Return the highest of the lines through neighbouring breakpoints."""
    if not points:
        return it_w
    if len(points) == 1:
        ((x, y),) = points
        return it_w * y / x if x > 0 else it_w + y
    return max(y0 + (it_w - x0) * (y1 - y0) / (x1 - x0) for (x0, y0), (x1, y1) in pairwise(points))
