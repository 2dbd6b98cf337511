"""Solar: the sun where almanacs have it, months that let less through, series of others."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanwang.energy.solar import SolarField, SolarSeries, clear_sky_w_per_m2
from suanwang.errors import BadInput

QINGDAO = (36.07, 120.38)
HOUR = timedelta(hours=1)


def a_field(**changes: object) -> SolarField:
    figures: dict[str, object] = {
        "peak_w": 1_000_000.0,
        "latitude": QINGDAO[0],
        "longitude": QINGDAO[1],
        "timezone": "Asia/Shanghai",
        "month_share": (0.6,) * 12,
    }
    return SolarField(**(figures | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("moment", "elevation_sine"),
    [
        # At noon of the sun its height is 90 - latitude + declination; noon in Qingdao is at
        # 12 h - (120.38 - 120) x 4 min - equation of time.
        pytest.param(datetime(2026, 6, 21, 4, 0, 20, tzinfo=UTC), 0.9761, id="June: 77.4 degrees"),
        pytest.param(datetime(2026, 12, 21, 3, 56, 40, tzinfo=UTC), 0.5065, id="December: 30.5"),
        pytest.param(datetime(2026, 3, 20, 4, 6, 0, tzinfo=UTC), 0.8083, id="March: 53.9"),
    ],
)
def test_the_sun_stands_at_noon_where_it_should(moment: datetime, elevation_sine: float) -> None:
    import math

    expected = 1_098 * elevation_sine * math.exp(-0.057 / elevation_sine)
    assert clear_sky_w_per_m2(moment, *QINGDAO) == pytest.approx(expected, rel=0.004)


def test_the_sun_rises_and_sets_when_almanacs_say() -> None:
    # 21 March 2026 in Qingdao: sunrise about 06:01, sunset about 18:10 (China).
    day = datetime(2026, 3, 20, 16, tzinfo=UTC)
    lit = [
        minute
        for minute in range(24 * 60)
        if clear_sky_w_per_m2(day + timedelta(minutes=minute), *QINGDAO) > 0
    ]
    assert lit[0] == pytest.approx(6 * 60 + 3, abs=6)
    assert lit[-1] == pytest.approx(18 * 60 + 9, abs=6)


def test_a_month_lets_its_share_through_and_the_inverter_no_more() -> None:
    noon = datetime(2026, 6, 21, 3, 30, tzinfo=UTC)
    shares = (1.0,) * 5 + (0.5,) + (1.0,) * 6
    full = a_field(month_share=(1.0,) * 12).expected_w(noon, noon + HOUR)
    assert a_field(month_share=shares).expected_w(noon, noon + HOUR) == pytest.approx(full / 2)
    assert a_field(inverter_w_max=200_000.0).expected_w(noon, noon + HOUR) == 200_000
    # 1 MW x 0.8 x 1.01 kW/m2
    assert full == pytest.approx(808_000, rel=0.01)


@given(
    start=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis wants naive bounds
    hours=st.floats(0.1, 48),
)
def test_power_stays_between_night_and_the_peak(start: datetime, hours: float) -> None:
    assert 0 <= a_field().expected_w(start, start + hours * HOUR) <= 600_000


def test_a_given_series_counts_by_time_and_nothing_outside_it() -> None:
    start = datetime(2026, 6, 21, 2, tzinfo=UTC)
    series = SolarSeries((start, start + HOUR), (100.0, 300.0))
    assert series.expected_w(start, start + 2 * HOUR) == pytest.approx(200)
    assert series.expected_w(start + HOUR / 2, start + 1.5 * HOUR) == pytest.approx(200)
    assert series.expected_w(start + HOUR, start + 4 * HOUR) == pytest.approx(100)
    assert series.expected_w(start - 2 * HOUR, start) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"peak_w": -1.0}, "must not be negative", id="power"),
        pytest.param({"latitude": 120.0}, "there is no place", id="swapped"),
        pytest.param({"performance": 1.2}, r"performance is in \(0, 1\]", id="performance"),
        pytest.param({"month_share": (0.5,)}, "twelve shares", id="one month"),
    ],
)
def test_fields_without_sense_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        a_field(**changes)


def test_series_and_periods_without_sense_are_refused() -> None:
    start = datetime(2026, 6, 21, tzinfo=UTC)
    for starts, powers in (
        ((start,), (1.0,)),
        ((start, start), (1.0, 1.0)),
        ((start, start + HOUR), (1.0, -1.0)),
    ):
        with pytest.raises(BadInput):
            SolarSeries(starts, powers)
    for forecast in (a_field(), SolarSeries((start, start + HOUR), (1.0, 1.0))):
        with pytest.raises(BadInput, match="must end after its start"):
            forecast.expected_w(start, start)
