"""Meters and the energy that they prove."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from suanwang.ids import MeterId, SiteId
from suanwang.model.reading import Quality


class MeterRole(StrEnum):
    """What a meter stands for in the figures of its site.

    ``facility`` is what crosses the site's border inwards, of any carrier. ``cooling`` and
    ``other`` are parts of it already. ``renewable`` is made on site, ``reuse`` is heat handed on.
    """

    FACILITY = "facility"
    IT = "it"
    COOLING = "cooling"
    WATER = "water"
    REUSE = "reuse"
    RENEWABLE = "renewable"
    OTHER = "other"


class Carrier(StrEnum):
    """What flows through a meter."""

    ELECTRICITY = "electricity"
    DIESEL = "diesel"
    GAS = "gas"
    HYDROGEN = "hydrogen"
    BIOETHANOL = "bioethanol"
    DISTRICT_COOLING = "district_cooling"
    HEAT = "heat"
    WATER = "water"


@dataclass(frozen=True, slots=True)
class CarrierUnit:
    """The metric that a carrier's register is read as, and what one unit of it is in Wh.

    Of water one unit is a litre, kept as it is.
    """

    metric: str
    wh_per_unit: int


CARRIER_UNITS: Final[Mapping[Carrier, CarrierUnit]] = {
    Carrier.ELECTRICITY: CarrierUnit("energy_wh", 1),
    Carrier.DIESEL: CarrierUnit("volume_l", 9_900),
    Carrier.GAS: CarrierUnit("volume_m3", 10_500),
    Carrier.HYDROGEN: CarrierUnit("mass_kg", 38_900),
    Carrier.BIOETHANOL: CarrierUnit("volume_l", 6_000),
    Carrier.DISTRICT_COOLING: CarrierUnit("energy_wh", 1),
    Carrier.HEAT: CarrierUnit("energy_wh", 1),
    Carrier.WATER: CarrierUnit("volume_l", 1),
}
"""Factors of EN 50600-4-2: what a fuel counts in the facility's energy."""
REGISTER_METRICS: Final = frozenset(unit.metric for unit in CARRIER_UNITS.values())
"""Metrics that can be a meter's cumulative register."""


class PueCategory(StrEnum):
    """Where IT energy is measured: UPS output, distribution (PDU) output, or equipment input."""

    PUE1 = "PUE1"
    PUE2 = "PUE2"
    PUE3 = "PUE3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """A meter with a cumulative register.

    ``modulus_wh`` is where the register wraps to zero (0: never); ``resolution_wh`` is one count;
    ``rated_w`` bounds what is believed between two polls. Of a fuel all three are its energy, of
    water litres and litres an hour. The energy of a meter that counts no electricity is told in
    the unit of ``CARRIER_UNITS``.
    """

    id: MeterId
    site_id: SiteId
    name: str
    role: MeterRole
    rated_w: int
    resolution_wh: float
    modulus_wh: int
    poll_s: float
    category: PueCategory = PueCategory.PUE3
    carrier: Carrier = Carrier.ELECTRICITY


class WindowState(StrEnum):
    """How settled a window is; late samples turn a final window into a revised one."""

    PROVISIONAL = "provisional"
    FINAL = "final"
    REVISED = "revised"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyWindow:
    """Energy of one meter in one 15-minute window of UTC; ``coverage`` is between 0 and 1.

    ``energy_mwh`` is in thousandths of a watt-hour, so windows of a coarse register telescope.
    """

    meter_id: MeterId
    start: datetime
    energy_mwh: int
    coverage: float
    quality: Quality
    state: WindowState
    revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PueFigure:
    """PUE of a site over a period; ``value`` is None where it is withheld, with the reason.

    Anything shorter than a rolling year is interim, and says so.
    """

    site_id: SiteId
    start: datetime
    end: datetime
    value: float | None
    facility_wh: float
    it_wh: float
    coverage_facility: float
    coverage_it: float
    quality: Quality
    category: PueCategory
    is_interim: bool
    withheld: str = ""
