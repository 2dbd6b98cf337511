"""Tariffs and windows for tests of money."""

from datetime import datetime, timedelta
from decimal import Decimal

from suanwang.energy.bill import EnergyUse
from suanwang.energy.catalogue import load_catalogue
from suanwang.energy.tariff import BaseTariff, Tariff

CURVE_FILE = """
schema: tariff_curve/v1
id: cn-sd-direct-2026
series: cn-sd-direct
region: CN-SD
currency: CNY
unit: CNY/kWh
timezone: Asia/Shanghai
resolution_minutes: 15
effective: {from: 2026-03-01, to: 2026-12-31}
applies_to: direct_market_customers
network_price: {"1-10kV": 0.15}
prices_file: prices.csv
demand_charge:
  max_demand: {"1-10kV": 38.4, unit: CNY/kW/month}
  capacity: {"1-10kV": 24.0, unit: CNY/kVA/month}
  metering_window_minutes: 15
"""
"""A direct-trading tariff whose prices are in a table beside it."""


def quarters(first: int = 0) -> list[str]:
    """Return the heads of a day's 96 prices, the first of them that of a minute of the day."""
    return [f"{m // 60:02d}:{m % 60:02d}" for m in range(first, first + 1_440, 15)]


def bands_of(tariff_id: str) -> Tariff:
    """Return a packaged time-of-use tariff."""
    found: BaseTariff = load_catalogue().tariff(tariff_id)
    assert isinstance(found, Tariff)
    return found


def windows(start: datetime, kilowatts: list[float], minutes: int = 60) -> list[EnergyUse]:
    """Return windows one after the other, each at a constant power in kW."""
    length = timedelta(minutes=minutes)
    return [
        EnergyUse(
            start=start + index * length,
            end=start + (index + 1) * length,
            energy_wh=int(Decimal(str(power)) * 1_000 * minutes / 60),
        )
        for index, power in enumerate(kilowatts)
    ]
