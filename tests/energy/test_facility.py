"""Facility power: convex, and true to the yearly figures that the data file states."""

from importlib import resources
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanwang.document import parse_document, validate
from suanwang.energy.catalogue import load_catalogue
from suanwang.energy.climate import typical_year
from suanwang.energy.facility import FacilityModel
from suanwang.energy.schema import ClimatesFile, FacilityFile
from suanwang.errors import BadInput
from suanwang.model.site import CoolingKind

DATA = resources.files("suanwang.energy").joinpath("data")
CATALOGUE = load_catalogue()
KINDS = st.sampled_from(CoolingKind)
WET_BULBS = st.floats(-25, 35)
ROUNDING = 0.003
"""The file's figures have three digits and came from random weather."""


def facility(kind: CoolingKind, it_design_w: float = 1_000_000.0) -> FacilityModel:
    return CATALOGUE.facility(kind, it_design_w)


def checks() -> list[tuple[str, CoolingKind, list[float], list[float], list[float]]]:
    document = parse_document((DATA / "pue_models.yaml").read_text(encoding="utf-8"), "pue")
    return [
        (place, kind, list(one.pue), list(one.summer_winter_70), list(one.marginal_30))
        for place, kinds in validate(document, FacilityFile).computed_check.items()
        for kind, one in kinds.items()
    ]


def over_the_year(place: str, months: set[int], figure: object) -> float:
    assert callable(figure)
    parts = [part for part in typical_year(CATALOGUE.climate(place)) if part.month in months]
    hours = sum(part.hours for part in parts)
    return sum(float(figure(part.wet_bulb_c)) * part.hours for part in parts) / hours


@pytest.mark.parametrize(("place", "kind", "pue", "seasons", "marginal"), checks())
def test_yearly_figures_of_the_data_file_are_reproduced(
    place: str, kind: CoolingKind, pue: list[float], seasons: list[float], marginal: list[float]
) -> None:
    model, year, summer, winter = facility(kind, 1.0), set(range(1, 13)), {7, 8}, {12, 1}
    for load, expected in zip((0.3, 0.5, 0.7, 1.0), pue, strict=True):
        computed = over_the_year(place, year, lambda wet, it_w=load: model.pue(it_w, wet))
        assert computed == pytest.approx(expected, abs=ROUNDING)
    for months, expected in zip((summer, winter), seasons, strict=True):
        computed = over_the_year(place, months, lambda wet: model.pue(0.7, wet))
        assert computed == pytest.approx(expected, abs=ROUNDING)
    for months, expected in zip((summer, winter), marginal, strict=True):
        computed = over_the_year(place, months, lambda wet: model.marginal(0.3, wet))
        assert computed == pytest.approx(expected, abs=ROUNDING)


def test_hours_of_free_cooling_are_near_those_of_the_data_file() -> None:
    document = parse_document((DATA / "climate_typical.yaml").read_text(encoding="utf-8"), "c")
    for place, stated in validate(document, ClimatesFile).hours_per_year_computed.items():
        year = typical_year(CATALOGUE.climate(place))
        free = sum(part.hours for part in year if part.wet_bulb_c <= 12.5)
        assert sum(part.hours for part in year) == pytest.approx(8_760)
        assert free == pytest.approx(stated["free"], abs=40)


@given(kind=KINDS, wet_bulb_c=WET_BULBS, pieces=st.integers(1, 12))
def test_breakpoints_are_convex_and_rise_by_at_least_a_watt_for_a_watt(
    kind: CoolingKind, wet_bulb_c: float, pieces: int
) -> None:
    points = facility(kind).breakpoints(wet_bulb_c, pieces)
    slopes = [(upper[1] - lower[1]) / (upper[0] - lower[0]) for lower, upper in pairwise(points)]
    assert points[0][0] == 0.0
    assert slopes[0] > 1
    assert all(later >= earlier - 1e-9 for earlier, later in pairwise(slopes))


@given(kind=KINDS, wet_bulb_c=WET_BULBS, load=st.floats(0.0, 1.0))
def test_chords_lie_on_or_above_the_curve_and_near_it(
    kind: CoolingKind, wet_bulb_c: float, load: float
) -> None:
    model = facility(kind)
    points = model.breakpoints(wet_bulb_c)
    it_w = load * model.it_design_w
    lower, upper = next(pair for pair in pairwise(points) if pair[0][0] <= it_w <= pair[1][0])
    share = (it_w - lower[0]) / (upper[0] - lower[0])
    chord = lower[1] + share * (upper[1] - lower[1])
    assert 0 <= chord - model.facility_w(it_w, wet_bulb_c) + 1e-6 < 0.001 * model.it_design_w


@given(kind=KINDS, wet_bulb_c=WET_BULBS, load=st.floats(0.0, 1.0))
def test_the_marginal_figure_is_the_slope_of_the_curve(
    kind: CoolingKind, wet_bulb_c: float, load: float
) -> None:
    model = facility(kind)
    it_w = load * model.it_design_w
    slope = model.facility_w(it_w + 1, wet_bulb_c) - model.facility_w(it_w, wet_bulb_c)
    assert model.marginal(it_w, wet_bulb_c) == pytest.approx(slope, abs=1e-4)


def test_average_and_marginal_pue_can_disagree_on_the_better_hall() -> None:
    new_and_empty, old = (
        facility(CoolingKind.MODERN_WSE_WARMWATER),
        facility(CoolingKind.LEGACY_AIR_CHILLER),
    )
    assert new_and_empty.pue(100_000, 22.0) > old.pue(800_000, 22.0)
    assert new_and_empty.marginal(100_000, 22.0) < old.marginal(800_000, 22.0)


def test_power_without_sense_is_refused() -> None:
    model = facility(CoolingKind.LEGACY_AIR_CHILLER)
    with pytest.raises(BadInput, match="must not be negative"):
        model.facility_w(-1, 10)
    with pytest.raises(BadInput, match="PUE needs IT power"):
        model.pue(0, 10)
    with pytest.raises(BadInput, match="at least one piece"):
        model.breakpoints(10, 0)
    with pytest.raises(BadInput, match="design IT power must be positive"):
        facility(CoolingKind.LEGACY_AIR_CHILLER, 0)
