"""What a bill holds besides energy and demand: power factor, surcharges by the kWh, and taxes.

All of it is data of a tariff, so a new notice is a new file and no new program.
"""

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Final

from suanwang.errors import BadInput

PERCENT: Final = 100
_HALF_STEPS: Final = 2 * PERCENT


class Part(StrEnum):
    """Parts of a bill that a percentage can be taken of."""

    ENERGY = "energy"
    DEMAND = "demand"
    SURCHARGE = "surcharge"
    POWER_FACTOR = "power_factor"
    TAX = "tax"


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerFactorStep:
    """From ``at_least`` hundredths on, ``percent`` more (or less, below zero) is paid."""

    at_least: int
    percent: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerFactorClause:
    """What a month's power factor adds to or takes off some parts; steps from the best down."""

    steps: tuple[PowerFactorStep, ...]
    on: frozenset[Part]

    def percent(self, hundredths: int) -> Fraction:
        """Return what is paid at a power factor in hundredths, in percent of the parts."""
        if not 0 <= hundredths <= PERCENT:
            raise BadInput(f"a power factor is between 0 and 1, got {hundredths / PERCENT:.2f}")
        return next(step.percent for step in self.steps if hundredths >= step.at_least)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surcharge:
    """A price by the kilowatt-hour beside that of energy: a fund, a loss, a network's share."""

    id: str
    uyuan_per_kwh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tax:
    """A percentage of some parts; an ``is_included`` one is inside their prices already."""

    id: str
    percent: Fraction
    on: frozenset[Part]
    is_included: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Clauses:
    """All of a tariff's clauses; a tariff may have none."""

    power_factor: PowerFactorClause | None = None
    surcharges: tuple[Surcharge, ...] = ()
    taxes: tuple[Tax, ...] = ()

    def per_kwh(self, energy_uyuan: Fraction) -> Fraction:
        """Return what one more kilowatt-hour costs whose energy price is ``energy_uyuan``."""
        surcharges = sum(one.uyuan_per_kwh for one in self.surcharges)
        price = energy_uyuan + surcharges
        taxed = price
        for tax in self.taxes:
            if not tax.is_included:
                base = energy_uyuan if Part.ENERGY in tax.on else Fraction(0)
                base += surcharges if Part.SURCHARGE in tax.on else 0
                taxed += base * tax.percent / PERCENT
        return taxed


NO_CLAUSES: Final = Clauses()


def power_factor_hundredths(active_wh: int, reactive_varh: int) -> int:
    """Return a month's power factor in hundredths, rounded half up; exact, without a square root.

    That is ``active / sqrt(active^2 + reactive^2)``; raise BadInput where nothing was used.
    """
    if active_wh < 0 or reactive_varh < 0:
        raise BadInput("active and reactive energy must not be negative")
    square = active_wh * active_wh
    whole = square + reactive_varh * reactive_varh
    if not whole:
        raise BadInput("a power factor needs energy, got 0 Wh and 0 varh")
    # k hundredths are reached where (k - 1/2) / 100 <= factor: compared as squares.
    return max(
        k
        for k in range(PERCENT + 1)
        if k == 0 or (2 * k - 1) ** 2 * whole <= _HALF_STEPS**2 * square
    )
