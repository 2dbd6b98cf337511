"""Facility power of all sites and slots as arrays: marginal PUE, power room, energy price.

Facility power is the largest of straight lines in IT power (a convex piecewise-linear function), so
its slope at the present load is the marginal PUE. Beyond the last breakpoint the last line goes on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from optimizer.arrays import Floats, Ints
from optimizer.problem import Breakpoints, Problem, SiteSpec
from suanwang.units import SECONDS_PER_HOUR, UYUAN_PER_YUAN

_W_PER_KW = 1_000.0


@dataclass(frozen=True, slots=True)
class Rise:
    """What lifts the month's peak, as a guide foresees it, by (s, t): power above ``level_w``.

    ``yuan_per_w`` is its price, zero where none is paid. ``window`` is the share of a slot that a
    window of demand is: power counts by its mean over so much of the beginning of the slot.
    """

    level_w: Floats
    yuan_per_w: Floats
    window: Floats


@dataclass(frozen=True, slots=True)
class Facilities:
    """Facility power of sites s over slots t in lines k: ``max over k of slope * IT + offset``.

    ``base_w[s,t]`` is IT power that no decision changes; ``room_w[s,t]`` is how much more IT power
    the power limit allows; ``price[s,t]`` is yuan for a kilowatt-hour at the meter with its carbon;
    ``carbon_g[s,t]`` is grams a kilowatt-hour; ``base_slope[s,t]`` is the marginal PUE of an
    otherwise empty site, with which everything beyond the horizon is priced. Where the price is
    negative ``cost_slope`` and ``cost_offset`` keep only the flattest line: the gain of using power
    is then understated, never overstated, and the cost stays convex. ``rise`` is a guide's.
    """

    slope: Floats
    offset: Floats
    cost_slope: Floats
    cost_offset: Floats
    base_w: Floats
    room_w: Floats
    price: Floats
    carbon_g: Floats
    hours: Floats
    base_slope: Floats
    rise: Rise | None = None

    def rise_yuan(self, demand_w: Floats) -> Floats:
        """Return what ``demand_w`` of IT above the base costs for the peak, for all (s, t)."""
        if self.rise is None:
            return np.zeros(self.base_w.shape)
        drawn_w = largest(self.cost_slope, self.cost_offset, self.base_w + demand_w)
        return self.rise.yuan_per_w * np.maximum(0.0, drawn_w - self.rise.level_w)

    def added_rise_yuan(self, place: tuple[Ints, Ints], load_w: Floats, more_w: Floats) -> Floats:
        """Return what ``more_w`` on top of ``load_w`` at the (s, t) pairs costs for the peak."""
        if self.rise is None:
            return np.zeros(len(place[0]))
        slope, offset = self.cost_slope[place], self.cost_offset[place]
        before_w = largest(slope, offset, self.base_w[place] + load_w)
        after_w = largest(slope, offset, self.base_w[place] + load_w + more_w)
        level_w = self.rise.level_w[place]
        added: Floats = np.maximum(level_w, after_w) - np.maximum(level_w, before_w)
        return self.rise.yuan_per_w[place] * added

    def extra_w(self, it_extra_w: Floats) -> Floats:
        """Return facility watts above the base for IT watts above the base, for all (s, t)."""
        at_load = largest(self.slope, self.offset, self.base_w + it_extra_w)
        return at_load - largest(self.slope, self.offset, self.base_w)

    def cost_yuan(self, it_extra_w: Floats) -> Floats:
        """Return what ``it_extra_w`` costs in yuan, for all (s, t)."""
        at_load = largest(self.cost_slope, self.cost_offset, self.base_w + it_extra_w)
        extra_w = at_load - largest(self.cost_slope, self.cost_offset, self.base_w)
        return extra_w / _W_PER_KW * self.hours * self.price

    def added_cost_yuan(self, place: tuple[Ints, Ints], load_w: Floats, more_w: Floats) -> Floats:
        """Return the cost of ``more_w`` on top of ``load_w`` at the given (s, t) pairs, in yuan."""
        slope, offset = self.cost_slope[place], self.cost_offset[place]
        before_w = largest(slope, offset, self.base_w[place] + load_w)
        after_w = largest(slope, offset, self.base_w[place] + load_w + more_w)
        added: Floats = (after_w - before_w) / _W_PER_KW * self.hours[place[1]] * self.price[place]
        return added

    def marginal_yuan(self, load_w: Floats) -> Floats:
        """Return what one more watt of IT over a whole slot costs at a load, in yuan, by (s, t)."""
        sites, slots = np.indices(load_w.shape)
        everywhere = (sites.ravel(), slots.ravel())
        one = self.added_cost_yuan(everywhere, load_w.ravel(), np.ones(load_w.size))
        return one.reshape(load_w.shape)

    def added_w(self, place: tuple[Ints, Ints], load_w: Floats, more_w: Floats) -> Floats:
        """Return facility watts that ``more_w`` of IT adds to ``load_w`` at the (s, t) pairs."""
        slope, offset = self.slope[place], self.offset[place]
        before_w = largest(slope, offset, self.base_w[place] + load_w)
        return largest(slope, offset, self.base_w[place] + load_w + more_w) - before_w


def facilities_of(problem: Problem, base_w: Floats | None = None) -> Facilities:
    """Return the facility power, prices and room of all sites and slots.

    ``base_w`` takes the place of the sites' own base, where some of it can be asleep.
    """
    slots = len(problem.slots)
    lines = [[_lines(site.facility_w[t]) for t in range(slots)] for site in problem.sites]
    pieces = max((len(line) for row in lines for line in row), default=1)
    shape = (len(problem.sites), slots, pieces)
    slope, offset = np.empty(shape), np.empty(shape)
    for s, row in enumerate(lines):
        for t, line in enumerate(row):
            padded = line + [line[-1]] * (pieces - len(line))
            slope[s, t] = [piece[0] for piece in padded]
            offset[s, t] = [piece[1] for piece in padded]
    if base_w is None:
        base_w = _table(problem, lambda site: site.it_base_w)
    price = _table(problem, lambda site: site.price_uyuan_per_kwh) / UYUAN_PER_YUAN
    carbon_g = _table(problem, lambda site: site.carbon_g_per_kwh)
    price = price + carbon_g / _W_PER_KW * problem.policy.carbon_yuan_per_kg
    cost_slope, cost_offset = _flattest_where_negative(slope, offset, base_w, price)
    return Facilities(
        slope=slope,
        offset=offset,
        cost_slope=cost_slope,
        cost_offset=cost_offset,
        base_w=base_w,
        room_w=room_w(slope, offset, base_w, _table(problem, lambda site: site.power_w_max)),
        price=price,
        carbon_g=carbon_g,
        hours=np.array([slot.length_s for slot in problem.slots]) / SECONDS_PER_HOUR,
        base_slope=largest(slope, offset, base_w + 1.0) - largest(slope, offset, base_w),
    )


def _table(problem: Problem, row_of: Callable[[SiteSpec], Sequence[float]]) -> Floats:
    rows = [row_of(site) for site in problem.sites]
    return np.array(rows, dtype=np.float64).reshape(len(problem.sites), len(problem.slots))


def _lines(points: Breakpoints) -> list[tuple[float, float]]:
    """Return (slope, offset) of the lines through neighbouring points; of none, IT power itself."""
    if not points:
        return [(1.0, 0.0)]
    if len(points) == 1:
        it_w, facility_w = points[0]
        return [(facility_w / it_w, 0.0)] if it_w > 0 else [(1.0, facility_w)]
    lines = []
    for (x0, y0), (x1, y1) in pairwise(points):
        if x1 <= x0:
            raise ValueError(f"breakpoints of facility power must grow in IT power: {x0} then {x1}")
        slope = (y1 - y0) / (x1 - x0)
        lines.append((slope, y0 - slope * x0))
    return lines


def largest(slope: Floats, offset: Floats, it_w: Floats) -> Floats:
    largest: Floats = (slope * it_w[..., None] + offset).max(axis=-1)
    return largest


def room_w(slope: Floats, offset: Floats, base_w: Floats, limit_w: Floats) -> Floats:
    """Return IT watts above the base to the limit of facility power; zero where it is passed."""
    with np.errstate(divide="ignore", invalid="ignore"):
        it_w = np.where(slope > 0, (limit_w[..., None] - offset) / slope, np.inf).min(axis=-1)
    too_much = largest(slope, offset, base_w) > limit_w
    return np.where(too_much, 0.0, np.maximum(0.0, it_w - base_w))


def _flattest_where_negative(
    slope: Floats, offset: Floats, base_w: Floats, price: Floats
) -> tuple[Floats, Floats]:
    flattest = slope.min(axis=-1, keepdims=True)
    through_base = largest(slope, offset, base_w)[..., None] - flattest * base_w[..., None]
    is_negative = (price < 0)[..., None]
    return np.where(is_negative, flattest, slope), np.where(is_negative, through_base, offset)
