"""Facility power from meters: true to what made the hours, convex, and modest beyond them."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanwang.energy.catalogue import load_catalogue
from suanwang.energy.facility import FacilityModel
from suanwang.energy.facility_fit import FacilityHour, fit_facility
from suanwang.energy.facility_fitted import FitMark, FittedFacility
from suanwang.model.site import CoolingKind

CATALOGUE = load_catalogue()
START = datetime(2026, 5, 1, tzinfo=UTC)
DESIGN_W = 1_000_000.0
Load = Callable[[random.Random, int], float]


def varied(chance: random.Random, hour: int) -> float:
    return 0.30 + 0.3 * (hour % 24) / 24 + chance.gauss(0, 0.04)


def steady(chance: random.Random, hour: int) -> float:
    return 0.40 + chance.gauss(0, 0.005)


def design_of(kind: CoolingKind) -> FacilityModel:
    return CATALOGUE.facility(kind, DESIGN_W)


def truth_of(kind: CoolingKind) -> FacilityModel:
    """Return a hall that is worse than its design in losses, pumps and compressors."""
    design = design_of(kind)
    parts = design.coefficients
    worse = replace(parts, e1=parts.e1 * 1.5, c0=parts.c0 * 1.3, cop=parts.cop * 0.8)
    return replace(design, coefficients=worse)


def hours_of(
    truth: FacilityModel, load: Load = varied, days: int = 60, noise: float = 0.005
) -> list[FacilityHour]:
    """Return hours of a hall with noise, of which one in 50 is far off."""
    chance = random.Random(7)
    climate = CATALOGUE.climate("qingdao")
    hours = []
    for number in range(days * 24):
        at = START + timedelta(hours=number)
        wet_bulb_c = climate.wet_bulb_at(at, "Asia/Shanghai") + chance.gauss(0, 2.5)
        it_w = max(0.05, load(chance, number)) * DESIGN_W
        off = 1.15 if chance.random() < 0.02 else 1.0
        power_w = truth.facility_w(it_w, wet_bulb_c) * (1 + chance.gauss(0, noise)) * off
        hours.append(FacilityHour(at=at, it_w=it_w, facility_w=power_w, wet_bulb_c=wet_bulb_c))
    return hours


def fitted(kind: CoolingKind = CoolingKind.MODERN_WSE_WARMWATER, **more: object) -> FittedFacility:
    found = fit_facility(design_of(kind), hours_of(truth_of(kind), **more))  # type: ignore[arg-type]
    assert found is not None
    return found


CURVES = {kind: fitted(kind) for kind in CoolingKind}


@pytest.mark.parametrize("kind", list(CoolingKind))
def test_a_hall_is_found_again_in_its_noisy_hours(kind: CoolingKind) -> None:
    curve, truth, seen = CURVES[kind], truth_of(kind), CURVES[kind].quality
    assert seen.why == ()
    assert seen.residual_p95 < 0.02 < seen.design_residual_p95
    low_c, high_c = seen.wet_bulb_min_c, seen.wet_bulb_max_c
    slopes, design_slopes = [], []
    for load in (seen.load_min, 0.35, 0.45, seen.load_max):
        for wet in (low_c, (low_c + high_c) / 2, high_c):
            it_w = load * DESIGN_W
            assert curve.mark(it_w, wet) is FitMark.FITTED
            right = truth.facility_w(it_w, wet)
            assert curve.facility_w(it_w, wet) == pytest.approx(right, rel=0.02)
            slopes.append(abs(curve.marginal(it_w, wet) - truth.marginal(it_w, wet)))
            design_slopes.append(abs(curve.design.marginal(it_w, wet) - truth.marginal(it_w, wet)))
    assert sum(slopes) < sum(design_slopes) / 2


@given(kind=st.sampled_from(CoolingKind), wet=st.floats(-25, 40), pieces=st.integers(1, 24))
def test_every_curve_is_convex_and_rises_by_at_least_a_watt_for_a_watt(
    kind: CoolingKind, wet: float, pieces: int
) -> None:
    points = CURVES[kind].breakpoints(wet, pieces)
    slopes = [(upper[1] - lower[1]) / (upper[0] - lower[0]) for lower, upper in pairwise(points)]
    assert points[0][1] >= 0
    assert slopes[0] >= 1 - 1e-9
    assert all(later >= earlier - 1e-9 for earlier, later in pairwise(slopes))


@given(kind=st.sampled_from(CoolingKind), wet=st.floats(-25, 40), load=st.floats(0, 1.2))
def test_the_marginal_figure_is_the_slope_and_warmth_never_helps(
    kind: CoolingKind, wet: float, load: float
) -> None:
    curve, it_w = CURVES[kind], load * DESIGN_W
    step = curve.facility_w(it_w + 1, wet) - curve.facility_w(it_w, wet)
    assert curve.marginal(it_w, wet) <= step + 1e-3
    assert step <= curve.marginal(it_w + 1, wet) + 1e-3
    if load >= curve.quality.load_min:
        assert curve.facility_w(it_w, wet + 1) >= curve.facility_w(it_w, wet) - 1e-6


def test_beyond_what_was_seen_the_more_careful_slope_counts_and_the_figure_is_mixed() -> None:
    curve = CURVES[CoolingKind.MODERN_WSE_WARMWATER]
    seen, design = curve.quality, curve.design
    edge_w, wet = seen.load_max * DESIGN_W, 15.0
    assert curve.mark(edge_w + 1_000, wet) is FitMark.MIXED
    assert curve.mark(edge_w, seen.wet_bulb_max_c + 1) is FitMark.MIXED
    at_full = curve.marginal(DESIGN_W, wet)
    assert at_full == max(curve.marginal(edge_w, wet), design.marginal(DESIGN_W, wet))
    hotter = curve.facility_w(edge_w, 35.0) - curve.facility_w(edge_w, seen.wet_bulb_max_c)
    by_design = design.facility_w(edge_w, 35.0) - design.facility_w(edge_w, seen.wet_bulb_max_c)
    assert hotter == pytest.approx(by_design)
    assert curve.facility_w(edge_w, -20) == curve.facility_w(edge_w, seen.wet_bulb_min_c)


def test_hours_at_one_load_scale_the_design_and_say_why() -> None:
    kind = CoolingKind.LEGACY_AIR_CHILLER
    curve, truth = fitted(kind, load=steady), truth_of(kind)
    assert not curve.coefficients
    assert "loads differ by 0.0" in curve.quality.why[0]
    assert curve.mark(400_000, 15) is FitMark.MIXED
    assert curve.facility_w(400_000, 15) == pytest.approx(truth.facility_w(400_000, 15), rel=0.03)
    slope = curve.design.marginal(400_000, 15) - 1
    assert curve.marginal(400_000, 15) == pytest.approx(1 + curve.level * slope)


def test_meters_that_disagree_with_themselves_are_not_believed() -> None:
    curve = fitted(noise=0.08)
    assert not curve.coefficients
    assert "of facility power, not 3%" in curve.quality.why[0]


def test_less_than_a_week_tells_nothing() -> None:
    hours = hours_of(truth_of(CoolingKind.INDIRECT_EVAPORATIVE), days=6)
    assert fit_facility(design_of(CoolingKind.INDIRECT_EVAPORATIVE), hours) is None


def test_hours_below_a_pue_of_one_are_left_out() -> None:
    kind = CoolingKind.MODERN_WSE_WARMWATER
    hours = hours_of(truth_of(kind))
    wrong = [replace(one, facility_w=one.it_w / 2) for one in hours]
    both = fit_facility(design_of(kind), [*hours, *wrong])
    assert both is not None
    assert both.coefficients == CURVES[kind].coefficients
