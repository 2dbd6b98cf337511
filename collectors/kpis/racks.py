"""How far a site is filled, by both definitions that reports use; each figure names its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from collectors.kpis.figure import Known, Kpi, KpiFigure, told, withheld

STANDARD_RACK_W: Final = 2_500
"""A standard rack (标准机架) is 2.5 kW of design IT power."""
_W_PER_KW: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RackFact:
    """A rack: its rated power, whether it can be handed over, and whether somebody uses it.

    ``is_in_use`` is None where nobody has said so, ``contracted_w`` where nobody has said how much
    its user has booked.
    """

    rated_w: int
    contracted_w: int | None = None
    is_deliverable: bool = True
    is_in_use: bool | None = None


def standard_racks(known: Known, it_design_w: int) -> KpiFigure:
    """Return the size of a site in standard racks."""
    value = it_design_w / STANDARD_RACK_W
    return told(
        Kpi.STANDARD_RACKS,
        known,
        value,
        basis="design IT power",
        parts={"it_design_w": it_design_w},
    )


def rack_installed(known: Known, racks: Sequence[RackFact]) -> KpiFigure:
    """Return the racks in use among those that can be handed over (上架率 by number)."""
    deliverable = [rack for rack in racks if rack.is_deliverable]
    unknown = sum(rack.is_in_use is None for rack in deliverable)
    basis = "racks in use / deliverable racks"
    if not deliverable:
        why = "no deliverable rack is registered"
        return withheld(Kpi.RACK_INSTALLED, known, why, basis=basis)
    if unknown:
        why = f"of {unknown} of {len(deliverable)} racks it is not known whether they are in use"
        return withheld(Kpi.RACK_INSTALLED, known, why, basis=basis)
    used = sum(bool(rack.is_in_use) for rack in deliverable)
    return told(
        Kpi.RACK_INSTALLED,
        known,
        used / len(deliverable),
        basis=basis,
        parts={"racks_in_use": used, "racks_deliverable": len(deliverable)},
    )


def rack_power(known: Known, drawn_w: float, it_design_w: int) -> KpiFigure:
    """Return the mean IT power that is drawn over design IT power (上架率 by power)."""
    return _of_design(Kpi.RACK_POWER, known, drawn_w, it_design_w, "drawn")


def rack_contracted(known: Known, racks: Sequence[RackFact], it_design_w: int) -> KpiFigure:
    """Return what the users of racks have booked over design IT power (上架率 by contract)."""
    used = [rack for rack in racks if rack.is_deliverable and rack.is_in_use]
    booked_w = [rack.contracted_w for rack in used if rack.contracted_w is not None]
    basis = "contracted IT power / design IT power"
    if not used:
        return withheld(Kpi.RACK_CONTRACTED, known, "no rack is in use", basis=basis)
    if len(booked_w) < len(used):
        unknown = len(used) - len(booked_w)
        why = f"of {unknown} of {len(used)} racks in use it is not known how much is booked"
        return withheld(Kpi.RACK_CONTRACTED, known, why, basis=basis)
    return _of_design(Kpi.RACK_CONTRACTED, known, sum(booked_w), it_design_w, "contracted")


def _of_design(kpi: Kpi, known: Known, power_w: float, it_design_w: int, what: str) -> KpiFigure:
    basis = f"{what} IT power / design IT power"
    parts = {"power_w": float(power_w), "it_design_w": float(it_design_w)}
    if it_design_w <= 0:
        return withheld(kpi, known, "the design IT power is zero", basis=basis, parts=parts)
    return told(kpi, known, power_w / it_design_w, basis=basis, parts=parts)


def power_density(known: Known, power_w: float, racks: int, *, what: str) -> KpiFigure:
    """Return kilowatts of IT for a rack; ``what`` names the power and the racks."""
    if racks <= 0:
        return withheld(Kpi.POWER_DENSITY, known, "no rack is in use", basis=what)
    value = power_w / racks / _W_PER_KW
    return told(
        Kpi.POWER_DENSITY, known, value, basis=what, parts={"power_w": power_w, "racks": racks}
    )
