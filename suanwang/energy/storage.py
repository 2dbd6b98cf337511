"""A battery at a site: what it can do, and what becomes of its charge under a schedule.

Powers and energies are at the terminals, where the meter is; the state of charge is inside. Over
``h`` hours it moves by ``(efficiency_charge * charge_w - discharge_w / efficiency_discharge) * h``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from suanwang.errors import BadInput
from suanwang.units import SECONDS_PER_HOUR

WH_TOLERANCE: Final = 1e-3
"""A solver's schedule may be off by so much: its numbers are floats."""
W_TOLERANCE: Final = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class BatterySpec:
    """A battery as it stands now; ``soc_end_min_wh`` is what must be in it when the plan ends.

    ``wear_yuan_per_kwh`` is what a kilowatt-hour taken out at the terminals costs in lost life.
    """

    capacity_wh: float
    charge_w_max: float
    discharge_w_max: float
    efficiency_charge: float
    efficiency_discharge: float
    soc_wh: float
    soc_min_wh: float = 0.0
    soc_end_min_wh: float = 0.0
    wear_yuan_per_kwh: float = 0.0

    def __post_init__(self) -> None:
        _at_least_zero(
            capacity_wh=self.capacity_wh,
            charge_w_max=self.charge_w_max,
            discharge_w_max=self.discharge_w_max,
            soc_min_wh=self.soc_min_wh,
            soc_end_min_wh=self.soc_end_min_wh,
            wear_yuan_per_kwh=self.wear_yuan_per_kwh,
        )
        for name, share in (
            ("efficiency_charge", self.efficiency_charge),
            ("efficiency_discharge", self.efficiency_discharge),
        ):
            if not 0 < share <= 1:
                raise BadInput(f"a battery's {name} must be above 0 and at most 1, got {share}")
        if not self.soc_min_wh <= self.soc_wh <= self.capacity_wh:
            raise BadInput(
                f"a battery's charge of {self.soc_wh} Wh must lie between its least, "
                f"{self.soc_min_wh} Wh, and its capacity, {self.capacity_wh} Wh"
            )
        if self.soc_end_min_wh > self.capacity_wh:
            raise BadInput(
                f"a battery of {self.capacity_wh} Wh can not end with {self.soc_end_min_wh} Wh"
            )

    @property
    def round_trip(self) -> float:
        """What comes out again of what was put in."""
        return self.efficiency_charge * self.efficiency_discharge

    def charged(self, soc_wh: float) -> "BatterySpec":
        """Return the same battery at another state of charge."""
        return replace(self, soc_wh=soc_wh)


def _at_least_zero(**figures: float) -> None:
    for name, value in figures.items():
        if not value >= 0:
            raise BadInput(f"a battery's {name} must not be negative, got {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageStep:
    """What a schedule asks of a battery for a time."""

    length_s: float
    charge_w: float = 0.0
    discharge_w: float = 0.0

    def __post_init__(self) -> None:
        if not self.length_s > 0:
            raise BadInput(f"a step of a schedule needs a length, got {self.length_s} s")
        if not (self.charge_w >= 0 and self.discharge_w >= 0):
            raise BadInput(
                "a schedule charges or discharges by no negative power, got "
                f"{self.charge_w} W and {self.discharge_w} W"
            )


class Breach(StrEnum):
    """What a schedule asks that the battery can not do."""

    BOTH_WAYS = "both_ways"
    TOO_FAST_IN = "too_fast_in"
    TOO_FAST_OUT = "too_fast_out"
    FULL = "full"
    EMPTY = "empty"
    END_TOO_LOW = "end_too_low"


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageBreach:
    """A limit that a step would break: what was asked, and what the battery allows.

    Power in W where a power is too large, and the state of charge in Wh elsewhere.
    """

    step: int
    code: Breach
    asked: float
    allowed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageReplay:
    """What a battery does under a schedule.

    ``soc_wh`` has the charge before the first step and after each; ``charge_w`` and ``discharge_w``
    are what the battery really took and gave: as asked, or what its limits left of it.
    """

    soc_wh: tuple[float, ...]
    charge_w: tuple[float, ...]
    discharge_w: tuple[float, ...]
    charged_wh: float
    discharged_wh: float
    breaches: tuple[StorageBreach, ...]
    wear_yuan: float

    @property
    def is_sound(self) -> bool:
        """Whether the battery can do all that the schedule asks."""
        return not self.breaches

    @property
    def lost_wh(self) -> float:
        """What was put in, did not come out, and is not inside."""
        return self.charged_wh - self.discharged_wh - (self.soc_wh[-1] - self.soc_wh[0])


def replay(battery: BatterySpec, steps: Sequence[StorageStep]) -> StorageReplay:
    """Run a schedule through a battery: it does what it can, and each limit met is named.

    A step that asks for both directions at once is netted first: no battery has two pairs of wires.
    """
    soc_wh = [battery.soc_wh]
    done: list[StorageStep] = []
    breaches: list[StorageBreach] = []
    for index, step in enumerate(steps):
        able, found = _within_power(battery, index, step)
        able, soc, more = _within_charge(battery, index, able, soc_wh[-1])
        done.append(able)
        soc_wh.append(soc)
        breaches += [*found, *more]
    if soc_wh[-1] < battery.soc_end_min_wh - WH_TOLERANCE:
        end = (Breach.END_TOO_LOW, soc_wh[-1], battery.soc_end_min_wh)
        breaches.append(_breach(max(0, len(steps) - 1), *end))
    discharged_wh = sum(one.discharge_w * one.length_s for one in done) / SECONDS_PER_HOUR
    return StorageReplay(
        soc_wh=tuple(soc_wh),
        charge_w=tuple(one.charge_w for one in done),
        discharge_w=tuple(one.discharge_w for one in done),
        charged_wh=sum(one.charge_w * one.length_s for one in done) / SECONDS_PER_HOUR,
        discharged_wh=discharged_wh,
        breaches=tuple(breaches),
        wear_yuan=discharged_wh / 1_000 * battery.wear_yuan_per_kwh,
    )


def _within_power(
    battery: BatterySpec, index: int, step: StorageStep
) -> tuple[StorageStep, list[StorageBreach]]:
    """Net the two directions, and hold each to the power that the battery has."""
    found: list[StorageBreach] = []
    charge_w, discharge_w = step.charge_w, step.discharge_w
    both_w = min(charge_w, discharge_w)
    if both_w > W_TOLERANCE:
        found.append(_breach(index, Breach.BOTH_WAYS, both_w, 0.0))
    charge_w, discharge_w = charge_w - both_w, discharge_w - both_w
    if charge_w > battery.charge_w_max + W_TOLERANCE:
        found.append(_breach(index, Breach.TOO_FAST_IN, charge_w, battery.charge_w_max))
    if discharge_w > battery.discharge_w_max + W_TOLERANCE:
        found.append(_breach(index, Breach.TOO_FAST_OUT, discharge_w, battery.discharge_w_max))
    able = replace(
        step,
        charge_w=min(charge_w, battery.charge_w_max),
        discharge_w=min(discharge_w, battery.discharge_w_max),
    )
    return able, found


def _within_charge(
    battery: BatterySpec, index: int, step: StorageStep, soc_wh: float
) -> tuple[StorageStep, float, list[StorageBreach]]:
    """Hold the state of charge between its least and the capacity."""
    hours = step.length_s / SECONDS_PER_HOUR
    gain_w = step.charge_w * battery.efficiency_charge
    loss_w = step.discharge_w / battery.efficiency_discharge
    reached_wh = soc_wh + (gain_w - loss_w) * hours
    if reached_wh > battery.capacity_wh:
        room_w = (battery.capacity_wh - soc_wh) / hours / battery.efficiency_charge
        found = _beyond(index, Breach.FULL, reached_wh, battery.capacity_wh)
        return replace(step, charge_w=max(0.0, room_w)), battery.capacity_wh, found
    if reached_wh < battery.soc_min_wh:
        left_w = (soc_wh - battery.soc_min_wh) / hours * battery.efficiency_discharge
        found = _beyond(index, Breach.EMPTY, reached_wh, battery.soc_min_wh)
        return replace(step, discharge_w=max(0.0, left_w)), battery.soc_min_wh, found
    return step, reached_wh, []


def _beyond(index: int, code: Breach, asked_wh: float, allowed_wh: float) -> list[StorageBreach]:
    if abs(asked_wh - allowed_wh) <= WH_TOLERANCE:
        return []
    return [_breach(index, code, asked_wh, allowed_wh)]


def _breach(step: int, code: Breach, asked: float, allowed: float) -> StorageBreach:
    return StorageBreach(step=step, code=code, asked=asked, allowed=allowed)
