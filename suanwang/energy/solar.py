"""What a site's solar field makes: a given series, or a clear sky times what a month lets through.

The clear sky is that of Haurwitz (1945) on the level: ``1098 cos z exp(-0.057 / cos z)`` W/m2 at
the sun's distance ``z`` from the zenith. It knows no cloud; the month's factor is the share of it
that is left in a usual month, so a forecast is right in the mean and wrong on most days.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from suanwang.errors import BadInput

STANDARD_W_PER_M2: Final = 1_000.0
"""Irradiance at which a field's peak power is stated."""
_STEP: Final = timedelta(minutes=5)
_EPOCH_2000: Final = datetime(2000, 1, 1, 12, tzinfo=UTC)
_MONTHS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class SolarField:
    """A field of ``peak_w`` at standard irradiance; ``month_share`` is January to December.

    ``performance`` is what heat, dirt and inverters leave; ``inverter_w_max`` is all that can come
    out.
    """

    peak_w: float
    latitude: float
    longitude: float
    timezone: str
    month_share: tuple[float, ...]
    performance: float = 0.8
    inverter_w_max: float = math.inf

    def __post_init__(self) -> None:
        if not self.peak_w >= 0 or not self.inverter_w_max >= 0:
            raise BadInput(f"a solar field's powers must not be negative, got {self.peak_w} W")
        if not (-90 <= self.latitude <= 90 and -180 <= self.longitude <= 180):
            raise BadInput(f"there is no place {self.latitude}, {self.longitude}")
        if not 0 < self.performance <= 1:
            raise BadInput(f"a solar field's performance is in (0, 1], got {self.performance}")
        if len(self.month_share) != _MONTHS or not all(0 <= one <= 1 for one in self.month_share):
            raise BadInput("month_share needs twelve shares between 0 and 1, January first")

    def expected_w(self, start: datetime, end: datetime) -> float:
        """Return the mean power of a period in a usual month, W."""
        if end <= start:
            raise BadInput(f"a period must end after its start, got {start} to {end}")
        steps = max(1, math.ceil((end - start) / _STEP))
        length = (end - start) / steps
        powers = [self._at(start + (step + 0.5) * length) for step in range(steps)]
        return sum(powers) / steps

    def _at(self, moment: datetime) -> float:
        month = moment.astimezone(ZoneInfo(self.timezone)).month
        sky = clear_sky_w_per_m2(moment, self.latitude, self.longitude) / STANDARD_W_PER_M2
        power_w = self.peak_w * self.performance * self.month_share[month - 1] * sky
        return min(power_w, self.inverter_w_max)


@dataclass(frozen=True, slots=True)
class SolarSeries:
    """A forecast that somebody else made: mean powers in W, each from its start to the next's.

    The last one lasts as long as the one before it.
    """

    starts: tuple[datetime, ...]
    power_w: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.starts) != len(self.power_w) or len(self.starts) < 2:
            raise BadInput("a solar series needs two powers or more, each with its start")
        if any(two <= one for one, two in pairwise(self.starts)):
            raise BadInput("the starts of a solar series must rise")
        if not all(power >= 0 and math.isfinite(power) for power in self.power_w):
            raise BadInput("the powers of a solar series must not be negative")

    def expected_w(self, start: datetime, end: datetime) -> float:
        """Return the mean power of a period, W; nothing is made outside the series."""
        if end <= start:
            raise BadInput(f"a period must end after its start, got {start} to {end}")
        last_end = self.starts[-1] + (self.starts[-1] - self.starts[-2])
        ends = (*self.starts[1:], last_end)
        total = 0.0
        for index in range(max(0, bisect_right(self.starts, start) - 1), len(self.starts)):
            low, high = max(start, self.starts[index]), min(end, ends[index])
            if high > low:
                total += self.power_w[index] * (high - low).total_seconds()
        return total / (end - start).total_seconds()


def clear_sky_w_per_m2(moment: datetime, latitude: float, longitude: float) -> float:
    """Return the irradiance of a level square metre under a clear sky; 0 at night."""
    cosine = _cos_zenith(moment, latitude, longitude)
    if cosine <= 0:
        return 0.0
    return 1_098.0 * cosine * math.exp(-0.057 / cosine)


def _cos_zenith(moment: datetime, latitude: float, longitude: float) -> float:
    """Return the cosine of the sun's distance from the zenith, by its mean longitude (0.01 rad)."""
    days = (moment.astimezone(UTC) - _EPOCH_2000) / timedelta(days=1)
    anomaly = math.radians((357.528 + 0.9856003 * days) % 360)
    mean = (280.460 + 0.9856474 * days) % 360
    longitude_sun = math.radians(mean + 1.915 * math.sin(anomaly) + 0.020 * math.sin(2 * anomaly))
    tilt = math.radians(23.439 - 0.0000004 * days)
    declination = math.asin(math.sin(tilt) * math.sin(longitude_sun))
    ascension = math.atan2(math.cos(tilt) * math.sin(longitude_sun), math.cos(longitude_sun))
    sidereal_h = (18.697374558 + 24.06570982441908 * days) % 24
    hour_angle = math.radians(sidereal_h * 15 + longitude) - ascension
    here = math.radians(latitude)
    return math.sin(here) * math.sin(declination) + math.cos(here) * math.cos(
        declination
    ) * math.cos(hour_angle)
