"""Why a PUE changed: less IT over the same fixed losses, or a plant that works worse.

PUE may rise while the site uses less energy, since what a facility draws without any load is then
shared by fewer kilowatt-hours of IT. This says how much of a change is which.
"""

from dataclasses import dataclass
from typing import Final

from suanwang.errors import BadInput

TOLD_MIN: Final = 0.0005
"""A smaller change of PUE is none to people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Mean powers of a period, W; ``fixed_w`` is the part of the overhead that no load changes."""

    it_w: float
    facility_w: float
    fixed_w: float

    def __post_init__(self) -> None:
        if self.it_w <= 0 or self.facility_w < self.it_w:
            raise BadInput(
                f"no PUE can be made of IT {self.it_w:g} W and facility {self.facility_w:g} W"
            )
        if not 0 <= self.fixed_w <= self.facility_w - self.it_w:
            overhead_w = self.facility_w - self.it_w
            raise BadInput(f"the fixed {self.fixed_w:g} W are not within overhead {overhead_w:g} W")

    @property
    def pue(self) -> float:
        """Facility over IT power."""
        return self.facility_w / self.it_w

    @property
    def marginal(self) -> float:
        """Overhead watts that come with each watt of IT."""
        return (self.facility_w - self.it_w - self.fixed_w) / self.it_w


@dataclass(frozen=True, slots=True, kw_only=True)
class PueChange:
    """A change of PUE in three parts that add up to it, and the change of power."""

    before: float
    after: float
    by_it: float
    by_fixed: float
    by_marginal: float
    facility_w: float
    it_w: float
    words: str

    @property
    def is_misleading(self) -> bool:
        """Whether the ratio and the energy went opposite ways."""
        return (self.after - self.before) * self.facility_w < 0


def explain_change(before: Operation, after: Operation) -> PueChange:
    """Return why the PUE changed between two periods.

    With overhead = fixed + marginal x IT, in this order: IT changes at the old plant, then the
    fixed part, then the marginal one. The three parts add up to the whole change.
    """
    by_it = before.fixed_w * (1 / after.it_w - 1 / before.it_w)
    by_fixed = (after.fixed_w - before.fixed_w) / after.it_w
    by_marginal = after.marginal - before.marginal
    facility_w, it_w = after.facility_w - before.facility_w, after.it_w - before.it_w
    return PueChange(
        before=before.pue,
        after=after.pue,
        by_it=by_it,
        by_fixed=by_fixed,
        by_marginal=by_marginal,
        facility_w=facility_w,
        it_w=it_w,
        words=_words(before, after, (by_it, by_fixed, by_marginal)),
    )


def _words(before: Operation, after: Operation, parts: tuple[float, float, float]) -> str:
    rise = after.pue - before.pue
    saved_w = before.facility_w - after.facility_w
    if abs(rise) < TOLD_MIN:
        return f"PUE stayed at {after.pue:.3f}"
    first = f"PUE {'rose' if rise > 0 else 'fell'} from {before.pue:.3f} to {after.pue:.3f}"
    if rise > 0 and saved_w > 0:
        first += f" although the facility drew {saved_w / 1000:.1f} kW less"
    elif rise < 0 and saved_w < 0:
        first += f" although the facility drew {-saved_w / 1000:.1f} kW more"
    by_it, by_fixed, by_marginal = parts
    it_kw = (after.it_w - before.it_w) / 1000
    return (
        f"{first}: {by_it:+.3f} because IT changed by {it_kw:+.1f} kW over "
        f"{before.fixed_w / 1000:.1f} kW of fixed overhead, {by_fixed:+.3f} by the fixed "
        f"overhead itself, {by_marginal:+.3f} by what each further watt of IT costs in cooling "
        "and losses"
    )
