"""Typical wet-bulb temperature of a place by month and hour, where no sensor says better.

Temperature swings by a cosine with its top at 15 h; relative humidity falls by 3 points for each
kelvin of that swing; the wet bulb follows by Stull's formula (2011). Passing weather is a normal
deviation of the temperature, ``sigma_c``.
"""

import math
from dataclasses import dataclass
from datetime import datetime
from statistics import NormalDist
from typing import Final
from zoneinfo import ZoneInfo

HOTTEST_HOUR: Final = 15
HUMIDITY_POINTS_PER_K: Final = 3.0
_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True, slots=True, kw_only=True)
class Climate:
    """Twelve typical months: mean temperature, mean humidity, daily range and passing weather."""

    id: str
    temperature_c: tuple[float, ...]
    humidity_percent: tuple[float, ...]
    daily_range_k: float
    sigma_c: float

    def wet_bulb_c(self, month: int, hour: float, weather_k: float = 0.0) -> float:
        """Return the wet bulb of a local hour (0 to 24) in a month (1 to 12).

        ``weather_k`` is how much warmer than typical the day is.
        """
        swing = self.daily_range_k / 2 * math.cos(2 * math.pi * (hour - HOTTEST_HOUR) / 24)
        humidity = self.humidity_percent[month - 1] - HUMIDITY_POINTS_PER_K * swing
        return stull_wet_bulb_c(self.temperature_c[month - 1] + swing + weather_k, humidity)

    def wet_bulb_at(self, moment: datetime, timezone: str) -> float:
        """Return the typical wet bulb at an aware moment, at a place in ``timezone``."""
        local = moment.astimezone(ZoneInfo(timezone))
        return self.wet_bulb_c(local.month, local.hour + local.minute / 60)


@dataclass(frozen=True, slots=True, kw_only=True)
class YearPart:
    """A part of the typical year with one wet bulb, and how many hours it stands for."""

    month: int
    wet_bulb_c: float
    hours: float


def typical_year(climate: Climate, weather_steps: int = 21) -> tuple[YearPart, ...]:
    """Return the whole year by month, hour and equally likely kinds of weather (8,760 h)."""
    normal = NormalDist()
    weather = [
        climate.sigma_c * normal.inv_cdf((step + 0.5) / weather_steps)
        for step in range(weather_steps)
    ]
    return tuple(
        YearPart(
            month=month,
            wet_bulb_c=climate.wet_bulb_c(month, hour, deviation),
            hours=_DAYS[month - 1] / weather_steps,
        )
        for month in range(1, 13)
        for hour in range(24)
        for deviation in weather
    )


def stull_wet_bulb_c(temperature_c: float, humidity_percent: float) -> float:
    """Return the wet bulb by Stull's formula; humidity is held between 5 and 100 %."""
    humidity = min(max(humidity_percent, 5.0), 100.0)
    wet_bulb_c: float = (
        temperature_c * math.atan(0.151977 * math.sqrt(humidity + 8.313659))
        + math.atan(temperature_c + humidity)
        - math.atan(humidity - 1.676331)
        + 0.00391838 * humidity**1.5 * math.atan(0.023101 * humidity)
        - 4.686035
    )
    return wet_bulb_c
