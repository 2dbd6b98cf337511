"""Facility power as a convex function of IT power and outdoor wet-bulb temperature.

With ``l`` the IT load over the design IT load and ``Tw`` the wet bulb in degrees Celsius::

    electrical(l) = e0 + e1 l + e2 l^2                      UPS, transformers, distribution
    phi(Tw)       = clip((part - Tw) / (part - full), 0, 1) share of heat removed without compressor
    COP(Tw)       = clip(cop (1 - kc (Tw - 18)), 2.5, 1.35 cop)
    overhead(l)   = electrical + c0 + c1 l + (l + electrical) (1 - phi) / COP + fixed
    facility      = design x (l + overhead(l))

The cost of one more watt of IT is the *marginal* value, 1 + d overhead / d l, not the average PUE.
"""

from dataclasses import dataclass, field
from typing import Final

from suanwang.energy.facility_curve import FacilityCurve
from suanwang.energy.power_chain import PowerChain
from suanwang.errors import BadInput
from suanwang.model.site import CoolingKind

COP_MIN: Final = 2.5
COP_GAIN_MAX: Final = 1.35
COP_RATED_AT_C: Final = 18.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FacilityCoefficients:
    """Coefficients of a cooling kind; ``full`` and ``part`` are None without economiser."""

    e0: float
    e1: float
    e2: float
    c0: float
    c1: float
    cop: float
    kc: float
    full: float | None
    part: float | None
    fixed: float

    def electrical(self, load: float) -> float:
        """Return electrical losses as a share of design IT power."""
        return self.e0 + self.e1 * load + self.e2 * load * load

    def compressor_share(self, wet_bulb_c: float) -> float:
        """Return how much power a watt of heat costs in compressors: ``(1 - phi) / COP``."""
        cop = self.cop * (1 - self.kc * (wet_bulb_c - COP_RATED_AT_C))
        cop = min(max(cop, COP_MIN), COP_GAIN_MAX * self.cop)
        if self.full is None or self.part is None:
            return 1 / cop
        phi = min(max((self.part - wet_bulb_c) / (self.part - self.full), 0.0), 1.0)
        return (1 - phi) / cop


@dataclass(frozen=True, slots=True, kw_only=True)
class FacilityModel(FacilityCurve):
    """The power model of one site: a cooling kind at a design IT power.

    With a ``chain`` the electrical losses are its own, and not those of the coefficients.
    """

    kind: CoolingKind
    # A bare annotation would take the abstract property of the base for its default.
    it_design_w: float = field()
    coefficients: FacilityCoefficients
    chain: PowerChain | None = None

    def __post_init__(self) -> None:
        if self.it_design_w <= 0:
            raise BadInput(f"design IT power must be positive, got {self.it_design_w} W")

    def facility_w(self, it_w: float, wet_bulb_c: float) -> float:
        """Return facility power in W; raise BadInput for a negative IT power."""
        load = self._load(it_w)
        part = self.coefficients
        electrical = self._electrical(load)
        heat = (load + electrical) * part.compressor_share(wet_bulb_c)
        overhead = electrical + part.c0 + part.c1 * load + heat + part.fixed
        return self.it_design_w * (load + overhead)

    def marginal(self, it_w: float, wet_bulb_c: float) -> float:
        """Return the facility watts that one more IT watt costs."""
        load = self._load(it_w)
        part = self.coefficients
        slope = part.e1 + 2 * part.e2 * load if self.chain is None else self.chain.slope(load)
        return 1 + slope + part.c1 + (1 + slope) * part.compressor_share(wet_bulb_c)

    def _electrical(self, load: float) -> float:
        return (self.chain or self.coefficients).electrical(load)
