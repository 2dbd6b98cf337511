"""What every curve of facility power has, whether it is of a design or of a site's own meters."""

from abc import ABC, abstractmethod
from typing import Final

from suanwang.errors import BadInput

OVERLOAD: Final = 1.2
"""Breakpoints reach this share of design IT power, so that a base above design has a figure too."""

Breakpoints = tuple[tuple[float, float], ...]


class FacilityCurve(ABC):
    """Facility power over IT power and wet bulb, convex in IT power."""

    __slots__ = ()

    @property
    @abstractmethod
    def it_design_w(self) -> float:
        """Design IT power, W."""

    @abstractmethod
    def facility_w(self, it_w: float, wet_bulb_c: float) -> float:
        """Return facility power in W; raise BadInput for a negative IT power."""

    @abstractmethod
    def marginal(self, it_w: float, wet_bulb_c: float) -> float:
        """Return the facility watts that one more IT watt costs."""

    def pue(self, it_w: float, wet_bulb_c: float) -> float:
        """Return facility over IT power; raise BadInput without IT power."""
        if it_w <= 0:
            raise BadInput(f"PUE needs IT power, got {it_w} W")
        return self.facility_w(it_w, wet_bulb_c) / it_w

    def breakpoints(self, wet_bulb_c: float, pieces: int = 4) -> Breakpoints:
        """Return ``(IT W, facility W)`` pairs from zero to design, and one at overload.

        The chords between them lie on or above the curve: a plan that keeps below them keeps below
        the curve.
        """
        if pieces < 1:
            raise BadInput(f"a curve needs at least one piece, got {pieces}")
        loads = [piece / pieces for piece in range(pieces + 1)] + [OVERLOAD]
        return tuple(
            (load * self.it_design_w, self.facility_w(load * self.it_design_w, wet_bulb_c))
            for load in loads
        )

    def _load(self, it_w: float) -> float:
        if it_w < 0:
            raise BadInput(f"IT power must not be negative, got {it_w} W")
        return it_w / self.it_design_w
