"""Tariffs and windows for tests of money."""

from datetime import datetime, timedelta
from decimal import Decimal

from suanwang.energy.bill import EnergyUse
from suanwang.energy.catalogue import load_catalogue
from suanwang.energy.tariff import BaseTariff, Tariff


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
