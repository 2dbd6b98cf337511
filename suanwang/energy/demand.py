"""The second part of a two-part tariff: the month's largest demand, or the transformer's capacity.

Demand is the average over the tariff's metering window, 15 minutes as a rule. A month has one peak;
where a period covers part of a month it pays that share of the month's charge, and where the rate
changes inside a month the one peak is charged at each rate for its share of the month.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from suanwang.energy.tariff import BaseTariff, round_half_up
from suanwang.energy.versions import TariffVersions
from suanwang.errors import BadInput
from suanwang.model.site import DemandBasis, DemandTerms
from suanwang.units import SECONDS_PER_HOUR, UYUAN_PER_FEN, UYUAN_PER_YUAN

_W_PER_KW: Final = 1_000
_MICROSECOND: Final = timedelta(microseconds=1)


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
class DemandLine:
    """The charge of one month, or of a version's share of it; ``quantity`` is in W or in kVA."""

    tariff_id: str
    month: date
    basis: DemandBasis
    quantity: int
    rate_uyuan: int
    share: Fraction
    amount_fen: int


def month_of(moment: datetime, zone: ZoneInfo) -> date:
    """Return the first day of the local month that a moment lies in."""
    return moment.astimezone(zone).date().replace(day=1)


def next_month(month: date) -> date:
    """Return the first day of the month after."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def month_start(month: date, zone: ZoneInfo) -> datetime:
    """Return the moment at which a local month begins, in UTC."""
    return datetime(month.year, month.month, 1, tzinfo=zone).astimezone(UTC)


def month_peaks(
    versions: TariffVersions, uses: Sequence[EnergyUse], start: datetime, peak_so_far_w: float
) -> dict[date, int]:
    """Return the largest demand of each local month in whole W; a window is of where it starts.

    ``peak_so_far_w`` is what the month of ``start`` had before. Windows shorter than the tariff's
    metering window are averaged over it, as far as they are there.
    """
    peaks: dict[date, float] = {month_of(start, versions.zone): peak_so_far_w}
    parts: dict[datetime, tuple[int, timedelta]] = {}
    for use in uses:
        length = timedelta(minutes=versions.at(use.start).demand.window_minutes)
        if use.peak_w is None and use.end - use.start < length:
            begin = use.start - (use.start - datetime.min.replace(tzinfo=UTC)) % length
            wh, known = parts.get(begin, (0, timedelta()))
            parts[begin] = (wh + use.energy_wh, known + (use.end - use.start))
        else:
            month = month_of(use.start, versions.zone)
            peaks[month] = max(peaks.get(month, 0.0), use.demand_w())
    for begin, (wh, known) in parts.items():
        month = month_of(begin, versions.zone)
        demand_w = wh * SECONDS_PER_HOUR / known.total_seconds()
        peaks[month] = max(peaks.get(month, 0.0), demand_w)
    return {month: round(peak_w) for month, peak_w in peaks.items()}


def demand_lines(
    versions: TariffVersions,
    voltage: str,
    terms: DemandTerms,
    peaks: Mapping[date, int],
    period: tuple[datetime, datetime],
) -> Iterator[DemandLine]:
    """Yield the demand charge of a period, by month and version."""
    if terms.basis is DemandBasis.NONE:
        return
    for month, start, end in _months(period, versions.zone):
        length = month_start(next_month(month), versions.zone) - month_start(month, versions.zone)
        for piece in versions.pieces(start, end):
            share = Fraction((piece.end - piece.start) // _MICROSECOND, length // _MICROSECOND)
            rate, quantity, units = _rated(piece.tariff, voltage, terms, peaks.get(month, 0))
            yield DemandLine(
                tariff_id=piece.tariff.id,
                month=month,
                basis=terms.basis,
                quantity=quantity,
                rate_uyuan=rate,
                share=share,
                amount_fen=round_half_up(rate * units * share / UYUAN_PER_FEN),
            )


def peak_yuan_per_kw(
    versions: TariffVersions, voltage: str, terms: DemandTerms, moment: datetime
) -> float:
    """Return what one more kW of the month's peak costs; 0 where demand is not what is charged.

    The whole month's rate: a peak is paid for the month, whenever in it it was drawn.
    """
    if terms.basis is not DemandBasis.MAX_DEMAND:
        return 0.0
    return _rated(versions.at(moment), voltage, terms, 0)[0] / UYUAN_PER_YUAN


def _rated(
    tariff: BaseTariff, voltage: str, terms: DemandTerms, peak_w: int
) -> tuple[int, int, Fraction]:
    """Return the rate, the quantity on the line, and how many times the rate is charged."""
    if terms.basis is DemandBasis.MAX_DEMAND:
        rate = _known(tariff, voltage, tariff.demand.max_demand_uyuan_per_kw)
        return rate, peak_w, Fraction(peak_w, _W_PER_KW)
    rate = _known(tariff, voltage, tariff.demand.capacity_uyuan_per_kva)
    if terms.transformer_kva <= 0:
        raise BadInput(
            "demand is charged by transformer capacity, and that is not known",
            next_step="register the site's transformer_kva",
        )
    return rate, terms.transformer_kva, Fraction(terms.transformer_kva)


def _known(tariff: BaseTariff, voltage: str, rates: Mapping[str, int]) -> int:
    rate = rates.get(voltage)
    if rate is None:
        raise BadInput(f"tariff {tariff.id} has no demand charge for {voltage!r}")
    return rate


def _months(
    period: tuple[datetime, datetime], zone: ZoneInfo
) -> Iterator[tuple[date, datetime, datetime]]:
    start, end = period[0].astimezone(UTC), period[1].astimezone(UTC)
    months = [month_of(start, zone)]
    while month_start(next_month(months[-1]), zone) < end:
        months.append(next_month(months[-1]))
    edges = [start, *(month_start(month, zone) for month in months[1:]), end]
    for month, (low, high) in zip(months, pairwise(edges), strict=True):
        yield month, low, high
