"""The electricity bill of a period, exact to the fen: energy, demand, and what a tariff adds.

Each line is rounded once, half up, to a whole fen; the total is the sum of its lines. The steps are
those of a bill on paper: energy by version and band, demand by month, surcharges by the kWh, power
factor, taxes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Final

from suanwang.energy.clauses import PERCENT, Part, Tax
from suanwang.energy.demand import DemandLine, EnergyUse, demand_lines, month_peaks
from suanwang.energy.tariff import BaseTariff, PricedSegment, round_half_up
from suanwang.energy.versions import TariffVersions, VersionPiece
from suanwang.errors import BadInput
from suanwang.model.site import DemandBasis, DemandTerms
from suanwang.units import UYUAN_PER_FEN, Fen

__all__ = [
    "Bill",
    "BillLine",
    "BillPeriod",
    "ChargeLine",
    "DemandBasis",
    "DemandLine",
    "DemandTerms",
    "EnergyUse",
    "bill_of",
    "bill_period",
]
NETWORK: Final = "network"
_WH_PER_KWH: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BillLine:
    """Energy of one version in one band, or on one side of zero of a curve, at its mean price."""

    tariff_id: str
    label: str
    energy_wh: int
    price_uyuan_per_kwh: int
    amount_fen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeLine:
    """What a tariff's clause adds: a rate by the kWh, or a percentage of ``base_fen``.

    The amount of an ``is_included`` line is inside the lines above, and not added again.
    """

    tariff_id: str
    part: Part
    label: str
    amount_fen: int
    energy_wh: int = 0
    price_uyuan_per_kwh: int = 0
    base_fen: int = 0
    percent: Fraction = Fraction(0)
    is_included: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """A bill: lines by band, demand by month, charges of clauses, and their sum.

    ``demand_w`` is the largest demand of its months. ``is_stand_in`` means that for some of it no
    version of the tariff, or no curve of the day, was in force. ``notes`` say in plain words what
    could not be charged.
    """

    tariff_id: str
    voltage: str
    lines: tuple[BillLine, ...]
    demand_lines: tuple[DemandLine, ...]
    charges: tuple[ChargeLine, ...]
    demand_w: int
    is_stand_in: bool
    notes: tuple[str, ...] = ()

    @property
    def energy_fen(self) -> Fen:
        """Sum of the energy lines."""
        return Fen(sum(line.amount_fen for line in self.lines))

    @property
    def demand_fen(self) -> Fen:
        """Sum of the demand charge."""
        return Fen(sum(line.amount_fen for line in self.demand_lines))

    @property
    def charges_fen(self) -> Fen:
        """Sum of what clauses add; what is included in prices is not."""
        return Fen(sum(line.amount_fen for line in self.charges if not line.is_included))

    @property
    def energy_wh(self) -> int:
        """Energy of all lines; that of a network's price is the same energy once more."""
        return sum(line.energy_wh for line in self.lines if line.label != NETWORK)

    @property
    def total_fen(self) -> Fen:
        """All lines together."""
        return Fen(self.energy_fen + self.demand_fen + self.charges_fen)


@dataclass(frozen=True, slots=True, kw_only=True)
class BillPeriod:
    """The time that a bill is for, and what is known of it besides the windows.

    ``peak_so_far_w`` is the largest demand of its first month before it; the power factor is in
    hundredths, None where nobody metered it.
    """

    start: datetime
    end: datetime
    peak_so_far_w: float = 0.0
    power_factor: int | None = None


def bill_of(
    tariff: BaseTariff | TariffVersions,
    voltage: str,
    terms: DemandTerms,
    uses: Sequence[EnergyUse],
    *,
    peak_so_far_w: float = 0.0,
) -> Bill:
    """Return the bill of windows, from the first one's start to the last one's end.

    Raise BadInput for no window, or a negative or empty one.
    """
    if not uses:
        raise BadInput("a bill needs at least one window of energy")
    period = BillPeriod(
        start=min(use.start for use in uses),
        end=max(use.end for use in uses),
        peak_so_far_w=peak_so_far_w,
    )
    return bill_period(tariff, voltage, terms, uses, period)


def bill_period(
    tariff: BaseTariff | TariffVersions,
    voltage: str,
    terms: DemandTerms,
    uses: Sequence[EnergyUse],
    period: BillPeriod,
) -> Bill:
    """Return the bill of a period out of its windows; time without a window has no energy.

    Demand is charged for the share of each month that the period covers. Windows across the edge of
    a band or a version are split by time, to the watt-hour. Raise BadInput for a negative or empty
    window, or one outside the period.
    """
    versions = tariff if isinstance(tariff, TariffVersions) else TariffVersions((tariff,))
    _check(uses, period)
    energy = _Energy()
    pieces = tuple(versions.pieces(period.start, period.end))
    for use in uses:
        energy.add(pieces, voltage, use)
    peaks = month_peaks(versions, uses, period.start, period.peak_so_far_w)
    demand = tuple(demand_lines(versions, voltage, terms, peaks, (period.start, period.end)))
    lines = tuple(energy.lines(versions, voltage))
    charges, notes = _charges(versions, lines, demand, period)
    return Bill(
        tariff_id=versions.at(period.start).id,
        voltage=voltage,
        lines=lines,
        demand_lines=demand,
        charges=charges,
        demand_w=max(peaks.values(), default=0),
        is_stand_in=any(piece.is_stand_in for piece in pieces),
        notes=notes,
    )


def _check(uses: Sequence[EnergyUse], period: BillPeriod) -> None:
    for use in uses:
        if use.end <= use.start or use.energy_wh < 0:
            raise BadInput(f"a window needs a length and no negative energy: {use}")
        if use.start < period.start or use.end > period.end:
            raise BadInput(f"a window lies outside the period of the bill: {use}")
    if period.end <= period.start:
        raise BadInput(f"a bill needs a period, got {period.start} to {period.end}")


class _Energy:
    """Energy and its price by version and line; products are summed before anything is rounded."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], tuple[int, int]] = {}

    def add(self, pieces: Sequence[VersionPiece], voltage: str, use: EnergyUse) -> None:
        """Cut a window's energy at the edges of prices; the parts add up to the whole exactly."""
        length_us = (use.end - use.start) // timedelta(microseconds=1)
        passed_us = given_wh = 0
        for tariff, piece in _priced(pieces, voltage, use):
            passed_us += piece.length_us
            reached_wh = use.energy_wh * passed_us // length_us
            part_wh, given_wh = reached_wh - given_wh, reached_wh
            key = (tariff.id, piece.label)
            wh, uyuan_wh = self._sums.get(key, (0, 0))
            self._sums[key] = (wh + part_wh, uyuan_wh + part_wh * piece.uyuan_per_kwh)

    def lines(self, versions: TariffVersions, voltage: str) -> Iterable[BillLine]:
        """Return the lines in the order of the versions; without energy there is no line."""
        for tariff in versions.versions:
            mine = {label: sums for (one, label), sums in self._sums.items() if one == tariff.id}
            for label, (wh, uyuan_wh) in mine.items():
                if wh:
                    yield _line(tariff, label, wh, uyuan_wh)
            network = tariff.network_uyuan_per_kwh_at(voltage)
            total_wh = sum(wh for wh, _ in mine.values())
            if network and total_wh:
                yield _line(tariff, NETWORK, total_wh, total_wh * network)


def _priced(
    pieces: Sequence[VersionPiece], voltage: str, use: EnergyUse
) -> Iterable[tuple[BaseTariff, PricedSegment]]:
    for piece in pieces:
        start, end = max(use.start, piece.start), min(use.end, piece.end)
        if start < end:
            for one in piece.tariff.priced(start, end, voltage):
                yield piece.tariff, one


def _line(tariff: BaseTariff, label: str, energy_wh: int, uyuan_wh: int) -> BillLine:
    return BillLine(
        tariff_id=tariff.id,
        label=label,
        energy_wh=energy_wh,
        price_uyuan_per_kwh=round_half_up(Fraction(uyuan_wh, energy_wh)),
        amount_fen=_fen(Fraction(uyuan_wh, _WH_PER_KWH)),
    )


def _fen(uyuan: Fraction) -> int:
    return round_half_up(uyuan / UYUAN_PER_FEN)


def _charges(
    versions: TariffVersions,
    lines: Sequence[BillLine],
    demand: Sequence[DemandLine],
    period: BillPeriod,
) -> tuple[tuple[ChargeLine, ...], tuple[str, ...]]:
    charges: list[ChargeLine] = []
    notes: list[str] = []
    for tariff in versions.versions:
        mine = [line for line in lines if line.tariff_id == tariff.id]
        parts = {
            Part.ENERGY: sum(line.amount_fen for line in mine),
            Part.DEMAND: sum(one.amount_fen for one in demand if one.tariff_id == tariff.id),
        }
        energy_wh = sum(line.energy_wh for line in mine if line.label != NETWORK)
        if not mine and not parts[Part.DEMAND]:
            continue
        found = list(_surcharges(tariff, energy_wh))
        parts[Part.SURCHARGE] = sum(one.amount_fen for one in found)
        found += _power_factor(tariff, parts, period.power_factor, notes)
        parts[Part.POWER_FACTOR] = sum(
            one.amount_fen for one in found if one.part is Part.POWER_FACTOR
        )
        found += [_tax(tariff, tax, parts) for tax in tariff.clauses.taxes]
        charges += found
    return tuple(charges), tuple(notes)


def _surcharges(tariff: BaseTariff, energy_wh: int) -> Iterable[ChargeLine]:
    for one in tariff.clauses.surcharges:
        yield ChargeLine(
            tariff_id=tariff.id,
            part=Part.SURCHARGE,
            label=one.id,
            amount_fen=_fen(Fraction(energy_wh * one.uyuan_per_kwh, _WH_PER_KWH)),
            energy_wh=energy_wh,
            price_uyuan_per_kwh=one.uyuan_per_kwh,
        )


def _power_factor(
    tariff: BaseTariff, parts: dict[Part, int], hundredths: int | None, notes: list[str]
) -> list[ChargeLine]:
    clause = tariff.clauses.power_factor
    if clause is None:
        return []
    if hundredths is None:
        notes.append(f"{tariff.id}: the power factor is not known, so nothing is charged for it")
        return []
    percent = clause.percent(hundredths)
    base_fen = sum(fen for part, fen in parts.items() if part in clause.on)
    return [
        ChargeLine(
            tariff_id=tariff.id,
            part=Part.POWER_FACTOR,
            label=f"power factor {hundredths / PERCENT:.2f}",
            amount_fen=round_half_up(base_fen * percent / PERCENT),
            base_fen=base_fen,
            percent=percent,
        )
    ]


def _tax(tariff: BaseTariff, tax: Tax, parts: dict[Part, int]) -> ChargeLine:
    """Return a tax; one that is inside a price is ``percent / (100 + percent)`` of it."""
    base_fen = sum(fen for part, fen in parts.items() if part in tax.on)
    whole = PERCENT + tax.percent if tax.is_included else PERCENT
    return ChargeLine(
        tariff_id=tariff.id,
        part=Part.TAX,
        label=tax.id,
        amount_fen=round_half_up(base_fen * tax.percent / whole),
        base_fen=base_fen,
        percent=tax.percent,
        is_included=tax.is_included,
    )
