"""The electricity bill of a period: energy by band, exact to the fen, and the demand charge.

Each line is rounded once, half up, to a whole fen; the total is the sum of its lines.
"""

import calendar
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from zoneinfo import ZoneInfo

from suanwang.energy.tariff import Band, Tariff, round_half_up
from suanwang.errors import BadInput
from suanwang.units import SECONDS_PER_HOUR, UYUAN_PER_FEN, Fen


class DemandBasis(StrEnum):
    """How the second part of a two-part tariff is counted; small sites pay a single-part tariff."""

    MAX_DEMAND = "max_demand"
    CAPACITY = "capacity"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandTerms:
    """A site's choice of basis; ``transformer_kva`` is needed for the capacity basis."""

    basis: DemandBasis
    transformer_kva: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyUse:
    """Facility energy of one window in whole watt-hours; ``peak_w`` overrides its average."""

    start: datetime
    end: datetime
    energy_wh: int
    peak_w: float | None = None

    def demand_w(self) -> float:
        """Return the demand that the window counts for, in W."""
        if self.peak_w is not None:
            return self.peak_w
        return self.energy_wh * SECONDS_PER_HOUR / (self.end - self.start).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class BillLine:
    """Energy in one band at its price."""

    band: Band
    energy_wh: int
    price_uyuan_per_kwh: int
    amount_fen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """A bill: lines by band, the demand charge for its share of the month, and their sum.

    ``is_stand_in`` means the tariff was not in effect for all of it.
    """

    tariff_id: str
    voltage: str
    lines: tuple[BillLine, ...]
    demand_w: int
    demand_fen: Fen
    is_stand_in: bool

    @property
    def energy_fen(self) -> Fen:
        """Sum of the energy lines."""
        return Fen(sum(line.amount_fen for line in self.lines))

    @property
    def energy_wh(self) -> int:
        """Energy of all lines."""
        return sum(line.energy_wh for line in self.lines)

    @property
    def total_fen(self) -> Fen:
        """Energy and demand together."""
        return Fen(self.energy_fen + self.demand_fen)


def bill_of(
    tariff: Tariff,
    voltage: str,
    terms: DemandTerms,
    uses: Sequence[EnergyUse],
    *,
    peak_so_far_w: float = 0.0,
) -> Bill:
    """Return the bill of windows; demand is charged for the share of the month they span.

    ``peak_so_far_w`` is the month's largest demand before. Windows across the edge of a band are
    split by time, to the watt-hour. Raise BadInput for no window, or a negative or empty one.
    """
    if not uses:
        raise BadInput("a bill needs at least one window of energy")
    energy_wh = dict.fromkeys(Band, 0)
    for use in uses:
        for band, part_wh in _split(tariff, use):
            energy_wh[band] += part_wh
    start, end = min(use.start for use in uses), max(use.end for use in uses)
    peak_w = max(peak_so_far_w, max(use.demand_w() for use in uses))
    last = end - timedelta(microseconds=1)
    return Bill(
        tariff_id=tariff.id,
        voltage=voltage,
        lines=tuple(_line(tariff, voltage, band, wh) for band, wh in energy_wh.items() if wh),
        demand_w=round(peak_w),
        demand_fen=demand_fen(tariff, voltage, terms, round(peak_w), (start, end)),
        is_stand_in=not (tariff.covers(start) and tariff.covers(last)),
    )


def demand_fen(
    tariff: Tariff,
    voltage: str,
    terms: DemandTerms,
    peak_w: int,
    period: tuple[datetime, datetime],
) -> Fen:
    """Return the demand charge of a period: its share of the month in which it starts."""
    share = _month_share(tariff, period)
    if terms.basis is DemandBasis.NONE:
        return Fen(0)
    if terms.basis is DemandBasis.MAX_DEMAND:
        rate = _rate(tariff, voltage, tariff.demand.max_demand_uyuan_per_kw.get(voltage))
        monthly = Fraction(rate * peak_w, 1_000)
    else:
        rate = _rate(tariff, voltage, tariff.demand.capacity_uyuan_per_kva.get(voltage))
        monthly = Fraction(rate * terms.transformer_kva)
    return Fen(round_half_up(monthly * share / UYUAN_PER_FEN))


def _rate(tariff: Tariff, voltage: str, rate: int | None) -> int:
    if rate is None:
        raise BadInput(f"tariff {tariff.id} has no demand charge for {voltage!r}")
    return rate


def _month_share(tariff: Tariff, period: tuple[datetime, datetime]) -> Fraction:
    start, end = period
    local = start.astimezone(ZoneInfo(tariff.timezone))
    days = calendar.monthrange(local.year, local.month)[1]
    length_us = (end - start) // timedelta(microseconds=1)
    return Fraction(length_us, days * 86_400_000_000)


def _line(tariff: Tariff, voltage: str, band: Band, energy_wh: int) -> BillLine:
    price = tariff.band_price_uyuan_per_kwh(band, voltage)
    amount = round_half_up(Fraction(energy_wh * price, 1_000 * UYUAN_PER_FEN))
    return BillLine(band=band, energy_wh=energy_wh, price_uyuan_per_kwh=price, amount_fen=amount)


def _split(tariff: Tariff, use: EnergyUse) -> list[tuple[Band, int]]:
    """Cut a window's energy at band edges; the parts add up to the whole exactly."""
    if use.end <= use.start or use.energy_wh < 0:
        raise BadInput(f"a window needs a length and no negative energy: {use}")
    segments = list(tariff.segments(use.start, use.end))
    total_us = sum(segment.length_us for segment in segments)
    parts: list[tuple[Band, int]] = []
    passed_us = given_wh = 0
    for segment in segments:
        passed_us += segment.length_us
        reached_wh = use.energy_wh * passed_us // total_us
        parts.append((segment.band, reached_wh - given_wh))
        given_wh = reached_wh
    return parts
