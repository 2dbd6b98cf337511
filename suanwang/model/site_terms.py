"""What a site's operator lets the planner use of its energy side; by default nothing."""

from dataclasses import dataclass

from suanwang.energy.carbon_books import CarbonBook
from suanwang.energy.grid import GridEvent
from suanwang.energy.solar import SolarField
from suanwang.energy.storage import BatterySpec
from suanwang.errors import BadInput

HOURS_A_DAY = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class SleepTerms:
    """How idle nodes may be put to sleep: what a wake of one takes, and how many stay on."""

    wake_s: float
    wake_wh: float
    wear_yuan: float = 0.0
    spare_nodes: int = 0

    def __post_init__(self) -> None:
        given = (self.wake_s, self.wake_wh, self.wear_yuan, self.spare_nodes)
        if min(given) < 0:
            raise BadInput(f"the terms of sleep must not be negative, got {given}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyTerms:
    """Sleep, battery, own sun, promises to the grid, and the book that carbon is counted in.

    ``solar_w_by_hour`` is empty or has a usual power for each hour of the local day, ``solar`` is a
    field in its place. ``charge_from`` is the subject of the telemetry that tells the battery's
    charge, if any does.
    """

    sleep: SleepTerms | None = None
    battery: BatterySpec | None = None
    solar_w_by_hour: tuple[float, ...] = ()
    events: tuple[GridEvent, ...] = ()
    solar: SolarField | None = None
    charge_from: str = ""
    carbon_book: CarbonBook = CarbonBook.LOCATION

    def __post_init__(self) -> None:
        if len(self.solar_w_by_hour) not in (0, HOURS_A_DAY):
            raise BadInput(f"solar power needs 24 hours, got {len(self.solar_w_by_hour)}")
        if min(self.solar_w_by_hour, default=0.0) < 0:
            raise BadInput("solar power must not be negative")
