"""What an accelerator draws, by kind of load, with its share of the host around it.

Power does not follow the utilisation counter: an H100 draws two thirds of its full power at a batch
of 8. So power is stated by kind of load, as a range with the quality of its source. Where a kind
was never read, the shares between idle and full power that the H100 showed stand in, as an
estimate.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from suanwang.energy.compute import Compute
from suanwang.errors import BadInput


class LoadKind(StrEnum):
    """Kinds of load that draw differently; small batches wait for memory, large ones compute."""

    IDLE = "idle"
    INFERENCE_SMALL = "inference_small"
    INFERENCE_LARGE = "inference_large"
    TRAINING = "training"


class FigureQuality(StrEnum):
    """Where a figure comes from: metered by its source, printed in public readings, or neither."""

    MEASURED = "measured"
    PRINTED = "printed"
    ESTIMATE = "estimate"


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerRange:
    """Power in W from low to high, with what is usual; ``readings`` is how many stand behind it."""

    low_w: float
    typical_w: float
    high_w: float
    quality: FigureQuality
    readings: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.low_w <= self.typical_w <= self.high_w:
            raise BadInput(
                f"a range of power must rise, got {self.low_w}, {self.typical_w}, {self.high_w} W"
            )

    def plus(self, host_w: float, units: int) -> "PowerRange":
        """Return the range of ``units`` boards with ``host_w`` around them, as an estimate.

        The split between host and boards is not metered anywhere.
        """
        return PowerRange(
            low_w=self.low_w * units + host_w,
            typical_w=self.typical_w * units + host_w,
            high_w=self.high_w * units + host_w,
            quality=FigureQuality.ESTIMATE,
            readings=self.readings,
        )


SHARES: Final[Mapping[LoadKind, tuple[float, float, float]]] = {
    LoadKind.INFERENCE_SMALL: (0.56, 0.62, 0.78),
    LoadKind.INFERENCE_LARGE: (0.74, 0.85, 0.98),
    LoadKind.TRAINING: (0.70, 0.85, 1.0),
}
"""Low, usual and high share of the way from idle to full power: what an H100 drew in 16 runs of
ML.ENERGY (batches to 32, from 128); of training an estimate."""
IDLE_SPREAD: Final = 0.1
"""Idle readings of one kind differ by so much either way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOverhead:
    """What a server draws beside its accelerators, in W; ``units`` is how many it holds.

    A node that was off takes ``wake_s`` from order to ready, and draws ``wake_wh`` in that time.
    """

    id: str
    units: int
    idle_w: float
    busy_w: float
    wake_s: float = 0.0
    wake_wh: float = 0.0


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
    loads: Mapping[LoadKind, PowerRange] = field(default_factory=dict)

    def board_power(self, kind: LoadKind) -> PowerRange:
        """Return what one board draws under a kind of load."""
        known = self.loads.get(kind)
        if known is not None:
            return known
        if kind is LoadKind.IDLE:
            low, usual, high = 1 - IDLE_SPREAD, 1.0, 1 + IDLE_SPREAD
            parts = (low * self.idle_w, usual * self.idle_w, high * self.idle_w)
        else:
            full_w = max(self.tdp_w, self.idle_w)
            low, usual, high = (self.idle_w + one * (full_w - self.idle_w) for one in SHARES[kind])
            parts = (low, usual, high)
        return PowerRange(
            low_w=parts[0], typical_w=parts[1], high_w=parts[2], quality=FigureQuality.ESTIMATE
        )

    def node_power(self, kind: LoadKind) -> PowerRange:
        """Return what a whole server of these draws, all of its boards under one kind of load."""
        host_w = self.host.idle_w if kind is LoadKind.IDLE else self.host.busy_w
        return self.board_power(kind).plus(host_w, self.host.units)

    def unit_power(self, host: HostOverhead | None = None) -> UnitPower:
        """Return the power of one unit with its share of its host, or of another ``host``."""
        around = host or self.host
        if around.units < 1:
            raise BadInput(f"host {around.id} must hold at least one unit, got {around.units}")
        return UnitPower(
            idle_w=self.idle_w + around.idle_w / around.units,
            busy_w=self.busy_w + around.busy_w / around.units,
        )
