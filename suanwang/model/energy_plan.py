"""The energy side of a plan: which nodes are awake, what the battery does, what the grid gives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from suanwang.ids import PoolId, SiteId


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergySlot:
    """One slot of a site's schedule, powers in W.

    ``facility_w`` is the mean over the slot and ``grid_w = facility_w - solar_w - discharge_w +
    charge_w``. ``draw_w`` is the highest power from the grid within the slot; ``over_w`` is how far
    that is above a power promised to the grid. ``awake`` counts the nodes that are on, by pool.
    ``soc_wh`` is the battery's charge at the end of the slot.
    """

    start: datetime
    end: datetime
    facility_w: float
    grid_w: float
    draw_w: float
    solar_w: float = 0.0
    charge_w: float = 0.0
    discharge_w: float = 0.0
    soc_wh: float = 0.0
    over_w: float = 0.0
    awake: Mapping[PoolId, int] = field(default_factory=dict)

    @property
    def hours(self) -> float:
        """Length of the slot in hours."""
        return (self.end - self.start) / timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteEnergy:
    """The schedule of one site, and what it costs.

    ``cost_yuan`` is what the planner minimises: energy from the grid with its carbon, the rise of
    the month's peak, wear of battery and nodes, and the price of promises that cannot be kept.
    ``saved_wh`` is facility energy that sleeping nodes do not burn; ``pue_awake`` is what the PUE
    would be if all of them were on. ``short_wh`` is what the battery lacks of its charge at the
    end; ``peak_w`` is the highest draw of the plan, ``peak_before_w`` of the month before it.
    """

    site_id: SiteId
    slots: tuple[EnergySlot, ...]
    cost_yuan: float
    it_wh: float
    saved_wh: float
    pue_awake: float | None
    wakes: int
    peak_w: float
    peak_before_w: float
    short_wh: float = 0.0

    @property
    def facility_wh(self) -> float:
        """Energy of the whole facility."""
        return sum(slot.facility_w * slot.hours for slot in self.slots)

    @property
    def grid_wh(self) -> float:
        """Energy from the grid."""
        return sum(slot.grid_w * slot.hours for slot in self.slots)

    @property
    def solar_wh(self) -> float:
        """Own solar energy that was used."""
        return sum(slot.solar_w * slot.hours for slot in self.slots)

    @property
    def discharged_wh(self) -> float:
        """Energy that the battery gave."""
        return sum(slot.discharge_w * slot.hours for slot in self.slots)

    @property
    def over_wh(self) -> float:
        """Energy above the power that was promised to the grid."""
        return sum(slot.over_w * slot.hours for slot in self.slots)

    @property
    def pue(self) -> float | None:
        """Facility over IT energy; None without IT energy."""
        return self.facility_wh / self.it_wh if self.it_wh > 0 else None
