"""Heat that a site hands on: what a heating network pays lowers the cost of computing there.

Each watt of IT becomes a watt of heat, of which a share can be recovered, up to what the network
takes. The credit falls away beyond that and outside the heating months, so the cost of one more
kilowatt-hour of IT is lower in winter at a site with a taker, and only while it wants more heat.
"""

from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Final
from zoneinfo import ZoneInfo

from suanwang.energy.tariff import round_half_up
from suanwang.errors import BadInput
from suanwang.units import UYUAN_PER_FEN, Fen

_WH_PER_KWH: Final = 1_000
_MONTHS: Final = frozenset(range(1, 13))


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatReuse:
    """A contract about heat: its price, months, share of IT heat, and the most that is taken."""

    uyuan_per_kwh: int
    months: frozenset[int]
    share: float
    usable_w_max: float
    timezone: str

    def __post_init__(self) -> None:
        if self.uyuan_per_kwh < 0 or not self.usable_w_max >= 0:
            raise BadInput("the price and the power of reused heat must not be negative")
        if not 0 <= self.share <= 1:
            raise BadInput(f"the share of heat that is recovered is in [0, 1], got {self.share}")
        if not self.months <= _MONTHS:
            raise BadInput(f"heating months are 1 to 12, got {sorted(self.months - _MONTHS)}")

    def is_wanted(self, moment: datetime) -> bool:
        """Whether a moment lies in a heating month of the place."""
        return moment.astimezone(ZoneInfo(self.timezone)).month in self.months

    def recovered_w(self, it_w: float, moment: datetime) -> float:
        """Return the heat that is handed on at an IT power, W."""
        if it_w < 0:
            raise BadInput(f"IT power must not be negative, got {it_w} W")
        return min(self.share * it_w, self.usable_w_max) if self.is_wanted(moment) else 0.0

    def credit_uyuan_per_kwh(self, it_w: float, moment: datetime) -> int:
        """Return what one more kWh of IT earns in heat, rounded half up to a micro-yuan."""
        has_room = self.is_wanted(moment) and self.share * it_w < self.usable_w_max
        return round_half_up(Fraction(self.share) * self.uyuan_per_kwh) if has_room else 0

    def credit_fen(self, recovered_wh: int) -> Fen:
        """Return what metered heat earned, rounded half up to a fen once."""
        uyuan = Fraction(recovered_wh * self.uyuan_per_kwh, _WH_PER_KWH)
        return Fen(round_half_up(uyuan / UYUAN_PER_FEN))


def it_cost_uyuan_per_kwh(
    marginal_pue: float, price_uyuan_per_kwh: int, credit_uyuan_per_kwh: int = 0
) -> int:
    """Return what one more kWh of IT costs: its facility energy, less what its heat earns.

    It may be below zero, where electricity is cheap and heat is paid for.
    """
    energy = Fraction(marginal_pue) * price_uyuan_per_kwh
    return round_half_up(energy - credit_uyuan_per_kwh)
