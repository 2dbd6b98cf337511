"""Named formulas for what a device does not measure itself, each with its source and range."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Formula:
    """A formula: the units of what goes in, in order, where it is from and where it holds."""

    units: tuple[str, ...]
    source: str
    holds: str
    compute: Callable[..., float | None]


def wet_bulb_stull(dry_bulb_c: float, humidity_ratio: float) -> float | None:
    """Return the wet-bulb temperature at sea-level pressure, °C; None outside the formula's range.

    The paper's range is 5 to 99 % and -20 to 50 °C without cold dry air. For that corner we take
    the line from (-20 °C, 40 %) to (10 °C, 5 %), on whose good side the formula stays within 1.4 K
    of the psychrometric equation, and within 1 K where the air is not drier than 10 %.
    """
    humidity = humidity_ratio * 100
    driest = max(5.0, 5.0 + (10.0 - dry_bulb_c) * 35.0 / 30.0)
    if not (-20 <= dry_bulb_c <= 50 and driest <= humidity <= 99):
        return None
    wet_bulb_c: float = (
        dry_bulb_c * math.atan(0.151977 * math.sqrt(humidity + 8.313659))
        + math.atan(dry_bulb_c + humidity)
        - math.atan(humidity - 1.676331)
        + 0.00391838 * humidity**1.5 * math.atan(0.023101 * humidity)
        - 4.686035
    )
    return wet_bulb_c


WATER_J_PER_LITRE_K: Final = 4_150.0
"""Density times heat capacity of water at 35 °C: 994 kg/m³ x 4,178 J/(kg K), in J/(l K)."""


def heat_of_water(flow_litres_per_s: float, return_c: float, supply_c: float) -> float | None:
    """Return the heat that water carries away, W; None below 5 °C or above 80 °C.

    The constant is within 1.5 % between these. Water with 25 % glycol carries about 4 % less.
    """
    if not (5 <= supply_c <= 80 and 5 <= return_c <= 80):
        return None
    return flow_litres_per_s * WATER_J_PER_LITRE_K * (return_c - supply_c)


FORMULAS: Final[Mapping[str, Formula]] = {
    "wet_bulb_stull": Formula(
        units=("c", "ratio"),
        source="R. Stull, Wet-Bulb Temperature from Relative Humidity and Air Temperature, "
        "J. Appl. Meteor. Climatol. 50 (2011), 2267-2269",
        holds="-20 to 50 °C and 5 to 99 % relative humidity, less cold dry air; about 101 kPa",
        compute=wet_bulb_stull,
    ),
    "heat_of_water": Formula(
        units=("litres_per_s", "c", "c"),
        source="heat = density x heat capacity x flow x temperature difference, "
        "with the density and heat capacity of water at 35 °C",
        holds="5 to 80 °C, water without glycol",
        compute=heat_of_water,
    ),
}
