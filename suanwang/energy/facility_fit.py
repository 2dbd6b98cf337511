"""Fitting a facility's power curve to the site's own meters.

The shape (``facility_fitted``) is convex and rising because no coefficient may be below zero, as
the physical terms are: square-law losses, and heat times the compressors' share, for which the
ramps of the wet bulb stand whatever its shape. It is least squares over hours, with those that are
far off counting less, and it is tested on days that were held out of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from suanwang.energy.facility import FacilityModel
from suanwang.energy.facility_fitted import FitQuality, FittedFacility

Floats = NDArray[np.float64]
HOURS_MIN: Final = 168
"""Fewer hours than a week do not tell a facility's curve."""
LOAD_SPAN_MIN: Final = 0.10
"""Loads must differ by so much of the design before their slope is believed."""
RESIDUAL_MAX: Final = 0.03
"""Held-out hours must be met to this share of facility power, for 95 of 100."""
RAMPS: Final = 4
EDGE_GAP_K: Final = 1.0
ROUNDS: Final = 8
HUBER: Final = 1.345
"""In units of the usual residual: hours beyond it count less, by the usual choice of Huber."""
FOLDS: Final = 2
_TRIM: Final = 0.005
"""Of the hours at either end, so many do not count as the range that was seen."""
_TINY: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class FacilityHour:
    """An hour of the record: mean powers in W and the wet bulb that a sensor read."""

    at: datetime
    it_w: float
    facility_w: float
    wet_bulb_c: float


def fit_facility(design: FacilityModel, hours: Sequence[FacilityHour]) -> FittedFacility | None:
    """Return a site's own curve, of what its hours can tell; None where they tell nothing.

    Hours without IT power, or with less facility than IT power, are meters' mistakes and left out.
    """
    sound = [one for one in hours if 0 < one.it_w <= one.facility_w]
    if len(sound) < HOURS_MIN:
        return None
    seen = _Seen.of(design, sorted(sound, key=lambda one: one.at))
    level = max(0.0, float(np.median(seen.overhead / np.maximum(seen.design, _TINY))))
    quality = _quality(design, seen, level)
    if quality.why:
        return FittedFacility(design=design, quality=quality, level=level)
    edges = _edges(design, seen.wet_bulb_c)
    solved = _solve(seen, edges, np.ones(len(seen.load), dtype=bool))
    rows = tuple((float(a), float(b), float(c)) for a, b, c in solved.reshape(-1, 3))
    return FittedFacility(
        design=design, quality=quality, level=level, edges_c=edges, coefficients=rows
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Seen:
    """Hours as columns, powers as shares of the design IT power."""

    load: Floats
    overhead: Floats
    wet_bulb_c: Floats
    design: Floats
    fold: NDArray[np.int64]
    since: datetime
    until: datetime

    @classmethod
    def of(cls, design: FacilityModel, hours: Sequence[FacilityHour]) -> "_Seen":
        """Take hours in order of time; folds are whole days by turns, since hours are alike."""
        scale = design.it_design_w
        return cls(
            load=np.array([one.it_w / scale for one in hours]),
            overhead=np.array([(one.facility_w - one.it_w) / scale for one in hours]),
            wet_bulb_c=np.array([one.wet_bulb_c for one in hours]),
            design=np.array(
                [(design.facility_w(h.it_w, h.wet_bulb_c) - h.it_w) / scale for h in hours]
            ),
            fold=np.array([one.at.toordinal() % FOLDS for one in hours]),
            since=hours[0].at,
            until=hours[-1].at,
        )


def _quality(design: FacilityModel, seen: _Seen, level: float) -> FitQuality:
    """Fit each half of the days, and see how well it meets the other."""
    loads = np.quantile(seen.load, (_TRIM, 1 - _TRIM))
    wets = np.quantile(seen.wet_bulb_c, (_TRIM, 1 - _TRIM))
    why: list[str] = []
    span = float(loads[1] - loads[0])
    if span < LOAD_SPAN_MIN:
        why.append(f"loads differ by {span:.3f} of the design, {LOAD_SPAN_MIN:.2f} are needed")
    facility = seen.load + seen.overhead
    met = seen.design * level
    if not why:
        edges = _edges(design, seen.wet_bulb_c)
        for fold in range(FOLDS):
            held = seen.fold == fold
            if held.all() or not held.any():
                why.append("the hours are of one day; two are needed to test a fit")
                break
            met = np.where(held, _columns(seen, edges) @ _solve(seen, edges, ~held), met)
    off = float(np.quantile(np.abs(seen.overhead - met) / facility, 0.95))
    design_off = float(np.quantile(np.abs(seen.overhead - seen.design) / facility, 0.95))
    if not why and off > RESIDUAL_MAX:
        why.append(f"held-out hours are met to {off:.1%} of facility power, not {RESIDUAL_MAX:.0%}")
    variance = float(np.sum((seen.overhead - seen.overhead.mean()) ** 2))
    return FitQuality(
        hours=len(seen.load),
        since=seen.since,
        until=seen.until,
        load_min=float(loads[0]),
        load_max=float(loads[1]),
        wet_bulb_min_c=float(wets[0]),
        wet_bulb_max_c=float(wets[1]),
        r2=1 - float(np.sum((seen.overhead - met) ** 2)) / variance if variance > _TINY**2 else 0.0,
        residual_p95=off,
        design_residual_p95=design_off,
        why=tuple(why),
    )


def _edges(design: FacilityModel, wet_bulb_c: Floats) -> tuple[float, ...]:
    """Edges of the ramps: where the economiser begins and ends to help, the rest even in hours.

    The knees come first; what lies within ``EDGE_GAP_K`` of an edge is left out, since a ramp needs
    hours on it.
    """
    low, *even, high = np.quantile(wet_bulb_c, np.linspace(_TRIM, 1 - _TRIM, RAMPS + 1)).tolist()
    knees = (design.coefficients.full, design.coefficients.part)
    edges = [low, high]
    for edge in (*(knee for knee in knees if knee is not None and low < knee < high), *even):
        if all(abs(edge - other) >= EDGE_GAP_K for other in edges):
            edges.append(edge)
    return tuple(sorted({round(edge, 3) for edge in edges}))


def _ramps(wet_bulb_c: Floats, edges: Sequence[float]) -> Floats:
    """Return a row an hour: 1, then how far each ramp has risen."""
    columns = [np.ones_like(wet_bulb_c)]
    for low, high in pairwise(edges):
        columns.append(np.clip((wet_bulb_c - low) / (high - low), 0.0, 1.0))
    return np.column_stack(columns)


def _columns(seen: _Seen, edges: Sequence[float]) -> Floats:
    ramps = _ramps(seen.wet_bulb_c, edges)
    powers = np.column_stack((np.ones_like(seen.load), seen.load, seen.load**2))
    product: Floats = (ramps[:, :, None] * powers[:, None, :]).reshape(len(seen.load), -1)
    return product


def _solve(seen: _Seen, edges: Sequence[float], taken: NDArray[np.bool_]) -> Floats:
    """Non-negative least squares over the taken hours, with those far off counting less."""
    columns, overhead = _columns(seen, edges)[taken], seen.overhead[taken]
    weights = np.ones(len(overhead))
    found: Floats = np.zeros(columns.shape[1])
    for _ in range(ROUNDS):
        root = np.sqrt(weights)
        found, _ = nnls(columns * root[:, None], overhead * root)
        off = np.abs(overhead - columns @ found)
        usual = float(np.median(off)) * 1.4826
        if usual <= _TINY:
            break
        weights = np.minimum(1.0, HUBER * usual / np.maximum(off, _TINY))
    return found
