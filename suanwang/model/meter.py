"""Electricity meters and the energy that they prove."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from suanwang.ids import MeterId, SiteId
from suanwang.model.reading import Quality


class MeterRole(StrEnum):
    """What a meter stands for in the PUE of its site."""

    FACILITY = "facility"
    IT = "it"
    COOLING = "cooling"
    OTHER = "other"


class PueCategory(StrEnum):
    """Where IT energy is measured: UPS output, distribution (PDU) output, or equipment input."""

    PUE1 = "PUE1"
    PUE2 = "PUE2"
    PUE3 = "PUE3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """A meter with a cumulative register.

    ``modulus_wh`` is where the register wraps to zero (0: never); ``resolution_wh`` is one count;
    ``rated_w`` bounds what is believed between two polls.
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
