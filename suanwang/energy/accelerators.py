"""What an accelerator draws, with its share of the host around it."""

from dataclasses import dataclass

from suanwang.energy.compute import Compute
from suanwang.errors import BadInput


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOverhead:
    """What a server draws beside its accelerators, in W; ``units`` is how many it holds."""

    id: str
    units: int
    idle_w: float
    busy_w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitPower:
    """Power of one accelerator with its share of the host, idle and at typical load, in W."""

    idle_w: float
    busy_w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """A kind of accelerator: power of the board alone, performance, and the server it sits in."""

    id: str
    vendor: str
    is_domestic: bool
    tdp_w: float
    idle_w: float
    busy_w: float
    compute: Compute
    memory_gb: int
    host: HostOverhead

    def unit_power(self, host: HostOverhead | None = None) -> UnitPower:
        """Return the power of one unit with its share of its host, or of another ``host``."""
        around = host or self.host
        if around.units < 1:
            raise BadInput(f"host {around.id} must hold at least one unit, got {around.units}")
        return UnitPower(
            idle_w=self.idle_w + around.idle_w / around.units,
            busy_w=self.busy_w + around.busy_w / around.units,
        )
