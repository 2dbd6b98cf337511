"""A site's own facility power: convex in IT load, and not less when it is warmer.

With ``l`` the IT load over the design IT load and ``r_k`` ramps of the wet bulb from 0 to 1 between
two of its edges::

    overhead(l, Tw) = sum over k of (a_k + b_k l + c_k l^2) r_k(Tw)        r_0 = 1

with no coefficient below zero. What was not measured is not extrapolated: beyond the loads that
were seen the slope is that of the design model where that is the more careful one, and warmer than
seen the design model's difference is added. Where hours do not tell a slope, the design model is
scaled to their level.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import Final

from suanwang.energy.facility import FacilityModel
from suanwang.energy.facility_curve import FacilityCurve

_TINY: Final = 1e-9


class FitMark(StrEnum):
    """How far a figure of the curve rests on the site's own meters."""

    FITTED = "fitted"
    MIXED = "mixed"
    DESIGN = "design"


@dataclass(frozen=True, slots=True, kw_only=True)
class FitQuality:
    """What a fit rests on. Shares of residuals are of facility power, on hours held out of the fit.

    ``r2`` is of the overhead, not of facility power: that is nearly IT power, and any curve looks
    good against it. ``why`` says what is missing where the fit is not used.
    """

    hours: int
    since: datetime
    until: datetime
    load_min: float
    load_max: float
    wet_bulb_min_c: float
    wet_bulb_max_c: float
    r2: float
    residual_p95: float
    design_residual_p95: float
    why: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedFacility(FacilityCurve):
    """A site's own curve over the design model that it falls back to.

    ``edges_c`` are those of the ramps, ``coefficients`` a row (constant, by load, by its square)
    for the base and each ramp. Without them the design's overhead is scaled by ``level``.
    """

    design: FacilityModel
    quality: FitQuality
    level: float
    edges_c: tuple[float, ...] = ()
    coefficients: tuple[tuple[float, float, float], ...] = ()

    @property
    def it_design_w(self) -> float:
        """Design IT power, W."""
        return self.design.it_design_w

    def facility_w(self, it_w: float, wet_bulb_c: float) -> float:
        """Return facility power in W; raise BadInput for a negative IT power."""
        load = self._load(it_w)
        return self.it_design_w * (load + max(0.0, self._overhead(load, wet_bulb_c)))

    def marginal(self, it_w: float, wet_bulb_c: float) -> float:
        """Return the facility watts that one more IT watt costs."""
        load = self._load(it_w)
        if self._overhead(load, wet_bulb_c) < 0:
            return 1.0
        return 1.0 + self._slope(load, wet_bulb_c)

    def mark(self, it_w: float, wet_bulb_c: float) -> FitMark:
        """Return whether a point lies among the hours that were measured."""
        seen, load = self.quality, self._load(it_w)
        is_seen = seen.load_min - _TINY <= load <= seen.load_max + _TINY and (
            seen.wet_bulb_min_c <= wet_bulb_c <= seen.wet_bulb_max_c
        )
        return FitMark.FITTED if self.coefficients and is_seen else FitMark.MIXED

    def _overhead(self, load: float, wet_bulb_c: float) -> float:
        """Overhead as a share of design IT power, beyond the seen loads by the careful slope."""
        if not self.coefficients:
            return self.level * self._design_overhead(load, wet_bulb_c)
        low, high = self.quality.load_min, self.quality.load_max
        inside = min(max(load, low), high)
        over = self._fitted(inside, wet_bulb_c) + self._warmer(inside, wet_bulb_c)
        if load > high:
            return over + self._steeper(high, load, wet_bulb_c)
        if load < low:
            return over - self._flatter(load, low, wet_bulb_c)
        return over

    def _slope(self, load: float, wet_bulb_c: float) -> float:
        """Slope of the overhead by load."""
        design = self._design_slope(load, wet_bulb_c)
        if not self.coefficients:
            return self.level * design
        low, high = self.quality.load_min, self.quality.load_max
        edge = self._edge_slope(min(max(load, low), high), wet_bulb_c)
        if load > high:
            return max(edge, design)
        return min(edge, design) if load < low else edge

    def _edge_slope(self, load: float, wet_bulb_c: float) -> float:
        ramps = self._ramps(wet_bulb_c)
        slope = sum(
            (linear + 2 * square * load) * ramp
            for (_, linear, square), ramp in zip(self.coefficients, ramps, strict=True)
        )
        top_c = self.quality.wet_bulb_max_c
        if wet_bulb_c > top_c:
            slope += self._design_slope(load, wet_bulb_c) - self._design_slope(load, top_c)
        return slope

    def _fitted(self, load: float, wet_bulb_c: float) -> float:
        ramps = self._ramps(wet_bulb_c)
        return sum(
            (constant + linear * load + square * load * load) * ramp
            for (constant, linear, square), ramp in zip(self.coefficients, ramps, strict=True)
        )

    def _ramps(self, wet_bulb_c: float) -> list[float]:
        return [1.0] + [
            min(max((wet_bulb_c - low) / (high - low), 0.0), 1.0)
            for low, high in pairwise(self.edges_c)
        ]

    def _warmer(self, load: float, wet_bulb_c: float) -> float:
        """What the design model adds between the warmest hour seen and a warmer one."""
        top_c = self.quality.wet_bulb_max_c
        if wet_bulb_c <= top_c:
            return 0.0
        return self._design_overhead(load, wet_bulb_c) - self._design_overhead(load, top_c)

    def _steeper(self, high: float, load: float, wet_bulb_c: float) -> float:
        """Integral of the larger of the two slopes from ``high`` to ``load``."""
        edge = self._edge_slope(high, wet_bulb_c)
        turn = min(max(self._meets(edge, wet_bulb_c), high), load)
        rest = self._design_overhead(load, wet_bulb_c) - self._design_overhead(turn, wet_bulb_c)
        return edge * (turn - high) + rest

    def _flatter(self, load: float, low: float, wet_bulb_c: float) -> float:
        """Integral of the smaller of the two slopes from ``load`` to ``low``."""
        edge = self._edge_slope(low, wet_bulb_c)
        turn = min(max(self._meets(edge, wet_bulb_c), load), low)
        rest = self._design_overhead(turn, wet_bulb_c) - self._design_overhead(load, wet_bulb_c)
        return edge * (low - turn) + rest

    def _meets(self, slope: float, wet_bulb_c: float) -> float:
        """Return the load from which on the design model is steeper than ``slope``."""
        first = self._design_slope(0.0, wet_bulb_c)
        growth = self._design_slope(1.0, wet_bulb_c) - first
        if growth <= _TINY:
            return 0.0 if first >= slope else float("inf")
        return (slope - first) / growth

    def _design_overhead(self, load: float, wet_bulb_c: float) -> float:
        it_w = load * self.it_design_w
        return self.design.facility_w(it_w, wet_bulb_c) / self.it_design_w - load

    def _design_slope(self, load: float, wet_bulb_c: float) -> float:
        return self.design.marginal(load * self.it_design_w, wet_bulb_c) - 1.0
