"""Why a PUE changed, and what the year will end with."""

import math
import random
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.kpis.change import Operation, explain_change
from collectors.kpis.figure import Known
from collectors.kpis.forecast import DAYS_MIN, Ahead, Day, forecast
from suanwang.errors import BadInput

NEW_YEAR = date(2026, 1, 1)
YEAR = Known(
    start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2027, 1, 1, tzinfo=UTC), coverage=0.5
)


def test_a_pue_that_rises_while_energy_falls_is_explained() -> None:
    # 100 kW IT with 20 kW fixed and 0.1 of IT: PUE 1.3. Half of it sleeps: 50 + 20 + 5 = 75 kW.
    change = explain_change(
        Operation(it_w=100_000, facility_w=130_000, fixed_w=20_000),
        Operation(it_w=50_000, facility_w=75_000, fixed_w=20_000),
    )
    assert change.is_misleading
    assert change.by_it == pytest.approx(0.2, rel=1e-9)
    assert change.by_fixed == pytest.approx(0.0, abs=1e-12)
    assert change.by_marginal == pytest.approx(0.0, abs=1e-12)
    assert change.words.startswith(
        "PUE rose from 1.300 to 1.500 although the facility drew 55.0 kW less: +0.200 because IT "
        "changed by -50.0 kW over 20.0 kW of fixed overhead"
    )


def test_a_worse_plant_is_not_blamed_on_the_load() -> None:
    change = explain_change(
        Operation(it_w=100_000, facility_w=130_000, fixed_w=20_000),
        Operation(it_w=100_000, facility_w=135_000, fixed_w=20_000),
    )
    assert not change.is_misleading
    assert change.by_it == pytest.approx(0.0)
    assert change.by_marginal == pytest.approx(0.05)


OPERATIONS = st.builds(
    lambda it, overhead, share: Operation(
        it_w=it,
        facility_w=it * (1 + overhead),
        fixed_w=max(0.0, it * (1 + overhead) - it) * share,
    ),
    st.floats(1e3, 1e8),
    st.floats(0.0, 1.5),
    st.floats(0, 1),
)


@given(OPERATIONS, OPERATIONS)
def test_the_three_parts_add_up_to_the_change(before: Operation, after: Operation) -> None:
    change = explain_change(before, after)
    parts = change.by_it + change.by_fixed + change.by_marginal
    assert math.isclose(parts, after.pue - before.pue, rel_tol=1e-6, abs_tol=1e-9)


@pytest.mark.parametrize(
    ("it_w", "facility_w", "fixed_w"), [(0, 1, 0), (10, 9, 0), (10, 12, 3), (10, 12, -1)]
)
def test_powers_that_make_no_pue_are_refused(
    it_w: float, facility_w: float, fixed_w: float
) -> None:
    with pytest.raises(BadInput):
        Operation(it_w=it_w, facility_w=facility_w, fixed_w=fixed_w)


def wet_bulb(day: int) -> float:
    return 12 - 12 * math.cos(2 * math.pi * (day - 15) / 365)


def a_day(number: int, noise: float = 0.0, season: float = 0.01) -> Day:
    wet = wet_bulb(number)
    overhead = 0.2 + season * max(0.0, wet - 10) + noise
    return Day(
        day=NEW_YEAR + timedelta(days=number),
        it_wh=1e6,
        facility_wh=1e6 * (1 + overhead),
        wet_bulb_c=wet,
        model_overhead_wh=1e6 * (0.15 + 0.004 * max(0.0, wet - 5)),
    )


def year_of(season: float = 0.01, sigma: float = 0.0, seed: int = 1) -> list[Day]:
    chance = random.Random(seed)
    return [a_day(number, chance.gauss(0, sigma), season) for number in range(365)]


def ahead_of(days: list[Day]) -> list[Ahead]:
    return [
        Ahead(wet_bulb_c=day.wet_bulb_c, model_overhead_wh=day.model_overhead_wh) for day in days
    ]


def pue_of(days: list[Day]) -> float:
    return sum(day.facility_wh for day in days) / sum(day.it_wh for day in days)


def test_a_year_that_follows_its_degree_days_is_forecast_exactly() -> None:
    year = year_of()
    figure = forecast(YEAR, year[:200], ahead_of(year[200:]), 1.3)
    assert figure.value == pytest.approx(pue_of(year), rel=1e-6)
    assert figure.basis.startswith("degree days")
    assert figure.is_interim


def test_the_band_holds_the_truth_in_most_years() -> None:
    inside = 0
    for seed in range(40):
        year = year_of(sigma=0.02, seed=seed)
        figure = forecast(YEAR, year[:150], ahead_of(year[150:]), 1.3)
        inside += figure.parts["low"] <= pue_of(year) <= figure.parts["high"]
    assert inside >= 34


def test_a_young_site_is_forecast_by_its_power_model_with_a_wider_band() -> None:
    year = year_of(sigma=0.01)
    young = forecast(YEAR, year[:30], ahead_of(year[30:]), 1.3)
    old = forecast(YEAR, year[:300], ahead_of(year[300:]), 1.3)
    assert young.basis.startswith("power model")
    assert young.parts["high"] - young.parts["low"] > old.parts["high"] - old.parts["low"]


def test_the_chance_to_keep_a_limit_follows_the_limit() -> None:
    year = year_of(sigma=0.01)
    chances = [
        forecast(YEAR, year[:200], ahead_of(year[200:]), limit).parts["chance_within_limit"]
        for limit in (1.0, pue_of(year), 2.0)
    ]
    assert chances[0] < 0.01
    assert 0.01 < chances[1] < 0.99
    assert chances[2] > 0.99


def test_at_the_end_of_the_year_the_forecast_is_the_figure() -> None:
    year = year_of(sigma=0.02)
    figure = forecast(YEAR, year, [], 1.3)
    assert figure.value == pytest.approx(pue_of(year), rel=1e-12)
    assert figure.parts["low"] == figure.parts["high"]


def test_few_days_make_no_forecast() -> None:
    figure = forecast(YEAR, year_of()[: DAYS_MIN - 1], [], 1.3)
    assert figure.value is None
    assert str(DAYS_MIN) in figure.withheld
