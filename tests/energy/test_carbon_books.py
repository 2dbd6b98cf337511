"""The two books: what certificates cover, and what one more kilowatt-hour adds to each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanwang.energy.carbon import CarbonFactor
from suanwang.energy.carbon_books import CarbonBook, carbon_kg, marginal_g_per_kwh, market_entry
from suanwang.errors import BadInput

RESIDUAL = CarbonFactor(region="national", year=2023, g_per_kwh=609.6)


def test_the_location_book_takes_every_kilowatt_hour() -> None:
    # 2,500 kWh x 619.1 g = 1,547.75 kg.
    assert carbon_kg(2_500_000, 619.1) == pytest.approx(1_547.75)


def test_certificates_cover_once_and_the_rest_is_residual() -> None:
    entry = market_entry(2_500_000, 1_000_000, RESIDUAL)
    assert (entry.covered_wh, entry.surplus_wh) == (1_000_000, 0)
    assert entry.kg == pytest.approx(914.4)  # 1,500 kWh x 609.6 g
    more = market_entry(2_500_000, 4_000_000, RESIDUAL)
    assert (more.covered_wh, more.surplus_wh, more.kg) == (2_500_000, 1_500_000, 0)


@given(energy_wh=st.floats(0, 1e12), cancelled_wh=st.floats(0, 1e12))
def test_no_certificate_is_lost_and_none_makes_carbon_negative(
    energy_wh: float, cancelled_wh: float
) -> None:
    entry = market_entry(energy_wh, cancelled_wh, RESIDUAL)
    assert entry.covered_wh + entry.surplus_wh == pytest.approx(cancelled_wh)
    assert 0 <= entry.kg <= carbon_kg(energy_wh, RESIDUAL.g_per_kwh)


def test_one_more_kilowatt_hour_adds_by_the_book() -> None:
    assert marginal_g_per_kwh(CarbonBook.LOCATION, 619.1, RESIDUAL, 1_000) == 619.1
    assert marginal_g_per_kwh(CarbonBook.MARKET, 619.1, RESIDUAL) == 609.6
    assert marginal_g_per_kwh(CarbonBook.MARKET, 619.1, RESIDUAL, 1_000) == 0.0


def test_negative_amounts_are_refused() -> None:
    with pytest.raises(BadInput, match="energy must not be negative"):
        carbon_kg(-1, 600)
    with pytest.raises(BadInput, match="certificates must not be negative"):
        market_entry(1, -1, RESIDUAL)
