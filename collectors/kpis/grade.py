"""Energy efficiency grades of GB 40879-2021, by a table of limits and by both of its routes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from collectors.kpis.figure import Known, Kpi, KpiFigure, told, withheld
from suanwang.errors import BadInput

HOURS: Final = 8_760
EDGE_RACKS: Final = 100
"""A data centre of so many standard racks or fewer is an edge site, without a grade."""
_SHARES_TOLERANCE: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class GradeTable:
    """Limits of PUE by grade, best first; the last one is the limit of the standard.

    ``mark`` says how sure the limits are.
    """

    id: str
    since: date
    limits: tuple[float, ...]
    mark: str

    def grade(self, pue: float) -> int | None:
        """Return the grade from 1, or None above the limit."""
        return next((n for n, limit in enumerate(self.limits, start=1) if pue <= limit), None)


def table_of(tables: Sequence[GradeTable], day: date) -> GradeTable:
    """Return the table in force on a day; raise BadInput before the first."""
    valid = [table for table in tables if table.since <= day]
    if not valid:
        raise BadInput(f"no table of grades is in force on {day.isoformat()}")
    return max(valid, key=lambda table: table.since)


def grade(
    known: Known, pue: KpiFigure, tables: Sequence[GradeTable], standard_racks: float
) -> KpiFigure:
    """Return the grade of a measured PUE (route RM2)."""
    table = table_of(tables, known.end.date())
    basis = f"{table.id}, measured over the period; limits {table.mark}"
    limits = {f"limit_{n}": limit for n, limit in enumerate(table.limits, start=1)}
    if standard_racks <= EDGE_RACKS:
        why = f"{standard_racks:g} standard racks are an edge site, which {table.id} leaves out"
        return withheld(Kpi.GB40879_GRADE, known, why, basis=basis, parts=limits)
    if pue.value is None:
        return withheld(Kpi.GB40879_GRADE, known, pue.withheld, basis=basis, parts=limits)
    found = table.grade(pue.value)
    if found is None:
        why = f"PUE {pue.value:.4f} is above the limit of {table.limits[-1]:.2f}"
        return withheld(
            Kpi.GB40879_GRADE, known, why, basis=basis, parts={"pue": pue.value, **limits}
        )
    return told(Kpi.GB40879_GRADE, known, found, basis=basis, parts={"pue": pue.value, **limits})


@dataclass(frozen=True, slots=True, kw_only=True)
class CharacteristicPoint:
    """One of the five points of route RM1: a share of the year and the powers measured at it."""

    share: float
    facility_w: float
    it_w: float


def pue_of_points(points: Sequence[CharacteristicPoint]) -> float:
    """Return the PUE by route RM1: energies of a year, each point for its share of 8,760 hours.

    Raise BadInput unless there are five points whose shares add up to one.
    """
    if len(points) != 5:
        raise BadInput(f"route RM1 has five characteristic points, got {len(points)}")
    total = sum(point.share for point in points)
    if abs(total - 1) > _SHARES_TOLERANCE or any(point.share < 0 for point in points):
        raise BadInput(f"the shares of the year add up to {total:.6f} and not to 1")
    it_wh = sum(HOURS * point.share * point.it_w for point in points)
    if it_wh <= 0:
        raise BadInput("the points have no IT power")
    return sum(HOURS * point.share * point.facility_w for point in points) / it_wh
