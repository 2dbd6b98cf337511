"""Tariffs: what a kilowatt-hour costs at a moment, exact in micro-yuan.

Every kind of tariff has dates of effect, a demand charge and clauses, and cuts any time into pieces
of one price. ``Tariff`` is the time-of-use kind with bands; ``curve`` has the other.

Only part of the price floats: ``price = flat x (1 + floating_share x multiplier of the band)``. The
published +100 % or -90 % never apply to the whole price.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from typing import Final
from zoneinfo import ZoneInfo

from suanwang.energy.clauses import NO_CLAUSES, Clauses
from suanwang.errors import BadInput

MINUTES_PER_DAY: Final = 1_440
_MICROSECOND: Final = timedelta(microseconds=1)


class Band(StrEnum):
    """Price bands, dearest first: 尖, 峰, 平, 谷, 深谷."""

    SHARP = "sharp"
    PEAK = "peak"
    FLAT = "flat"
    VALLEY = "valley"
    DEEP = "deep"


@dataclass(frozen=True, slots=True)
class BandSpan:
    """A band between two minutes of the local day; the end is exclusive."""

    start_minute: int
    end_minute: int
    band: Band


@dataclass(frozen=True, slots=True)
class Season:
    """The months that share one pattern of the day."""

    name: str
    months: frozenset[int]
    spans: tuple[BandSpan, ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of time in one band."""

    start: datetime
    end: datetime
    band: Band

    @property
    def length_us(self) -> int:
        """Length in microseconds, exact."""
        return (self.end - self.start) // _MICROSECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandCharge:
    """The second part of a two-part tariff, by voltage, in micro-yuan a month.

    A site pays on ONE basis: by its largest demand (a kW, averaged over ``window_minutes``) or by
    its transformer capacity (a kVA).
    """

    max_demand_uyuan_per_kw: Mapping[str, int]
    capacity_uyuan_per_kva: Mapping[str, int]
    window_minutes: int


@dataclass(frozen=True, slots=True)
class PricedSegment:
    """A piece of time with one price; ``label`` is the line of the bill that it goes to."""

    start: datetime
    end: datetime
    label: str
    uyuan_per_kwh: int

    @property
    def length_us(self) -> int:
        """Length in microseconds, exact."""
        return (self.end - self.start) // _MICROSECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseTariff(ABC):
    """What all tariffs have; ``source`` is the file it was read from.

    Tariffs of one ``series`` are versions of each other, in force one after the other.
    """

    id: str
    series: str
    region: str
    timezone: str
    effective_from: date
    effective_to: date
    demand: DemandCharge
    clauses: Clauses = NO_CLAUSES
    source: str = ""

    @property
    @abstractmethod
    def voltages(self) -> tuple[str, ...]:
        """Voltage classes that have a price."""

    @abstractmethod
    def priced(self, start: datetime, end: datetime, voltage: str) -> Iterator[PricedSegment]:
        """Cut the time from ``start`` to ``end`` into pieces of one energy price, in UTC."""

    def covers(self, moment: datetime) -> bool:
        """Whether the tariff is in effect at ``moment``; outside, its prices are a stand-in."""
        day = moment.astimezone(ZoneInfo(self.timezone)).date()
        return self.effective_from <= day <= self.effective_to

    def has_prices(self, start: datetime, end: datetime) -> bool:
        """Whether each moment of a period has a price of its own, and not that of another day."""
        return self.covers(start) and self.covers(end - _MICROSECOND)

    def average_uyuan_per_kwh(self, start: datetime, end: datetime, voltage: str) -> int:
        """Return what one more kWh over a period costs, with surcharges and taxes on top.

        Weighted by time, rounded half up to a micro-yuan.
        """
        pieces = self.priced(start, end, voltage)
        return average_of(((self, one) for one in pieces), (start, end), voltage)

    def network_uyuan_per_kwh_at(self, voltage: str) -> int:
        """Return the network's price of a kWh; 0 where the price of energy has it inside."""
        return 0

    def marginal_uyuan_per_kwh(self, energy_uyuan_per_kwh: int, voltage: str) -> Fraction:
        """Return what one more kWh costs at a price of energy: network, surcharges and taxes."""
        energy = Fraction(energy_uyuan_per_kwh + self.network_uyuan_per_kwh_at(voltage))
        return self.clauses.per_kwh(energy)

    def check_voltage(self, voltage: str) -> None:
        """Raise BadInput for a voltage class that has no price."""
        if voltage not in self.voltages:
            known = ", ".join(self.voltages)
            message = f"tariff {self.id} has no voltage class {voltage!r}; it has {known}"
            raise BadInput(message, tariff=self.id, voltage=voltage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff(BaseTariff):
    """A time-of-use tariff: bands by month and local hour, of which a share of the price floats."""

    flat_uyuan_per_kwh: Mapping[str, int]
    floating_share: Fraction
    multiplier: Mapping[Band, Fraction]
    seasons: tuple[Season, ...]

    @property
    def voltages(self) -> tuple[str, ...]:
        """Voltage classes that have a price."""
        return tuple(self.flat_uyuan_per_kwh)

    def priced(self, start: datetime, end: datetime, voltage: str) -> Iterator[PricedSegment]:
        """Cut the time from ``start`` to ``end`` at the edges of the bands."""
        for one in self.segments(start, end):
            price = self.band_price_uyuan_per_kwh(one.band, voltage)
            yield PricedSegment(one.start, one.end, one.band, price)

    def band_price_uyuan_per_kwh(self, band: Band, voltage: str) -> int:
        """Return the price of a band, rounded half up to a whole micro-yuan."""
        flat = self._flat(voltage)
        return round_half_up(flat * (1 + self.floating_share * self.multiplier[band]))

    def band_at(self, moment: datetime) -> Band:
        """Return the band at an aware moment, by the local clock of the tariff."""
        return self._span_at(moment)[1].band

    def price_uyuan_per_kwh(self, moment: datetime, voltage: str) -> int:
        """Return the price at an aware moment; raise BadInput for an unknown voltage class."""
        return self.band_price_uyuan_per_kwh(self.band_at(moment), voltage)

    def segments(self, start: datetime, end: datetime) -> Iterator[Segment]:
        """Cut the time from ``start`` to ``end`` at the edges of the bands, in UTC."""
        here, end_utc = start.astimezone(UTC), end.astimezone(UTC)
        while here < end_utc:
            edge, span = self._span_at(here)
            stop = min(edge, end_utc)
            yield Segment(here, stop, span.band)
            here = stop

    def _flat(self, voltage: str) -> int:
        self.check_voltage(voltage)
        return self.flat_uyuan_per_kwh[voltage]

    def _span_at(self, moment: datetime) -> tuple[datetime, BandSpan]:
        """Return the span that holds at ``moment``, and the UTC moment at which it ends."""
        local = moment.astimezone(ZoneInfo(self.timezone))
        minute = local.hour * 60 + local.minute
        season = next(one for one in self.seasons if local.month in one.months)
        span = next(one for one in season.spans if one.start_minute <= minute < one.end_minute)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        edge = (midnight + timedelta(minutes=span.end_minute)).astimezone(UTC)
        if edge <= moment:
            # Where clocks are put back, the hour before the edge comes twice.
            edge = moment.astimezone(UTC) + timedelta(minutes=1)
        return edge, span


def average_of(
    pieces: Iterable[tuple[BaseTariff, PricedSegment]],
    period: tuple[datetime, datetime],
    voltage: str,
) -> int:
    """Return what one more kWh costs over pieces of a period, to a whole micro-yuan.

    Weighted by time; raise BadInput for an empty period.
    """
    start, end = period
    if end <= start:
        raise BadInput(f"a period must end after its start, got {start} to {end}")
    total = Fraction(0)
    for tariff, one in pieces:
        total += tariff.marginal_uyuan_per_kwh(one.uyuan_per_kwh, voltage) * one.length_us
    return round_half_up(total / ((end - start) // _MICROSECOND))


def round_half_up(value: Fraction | int) -> int:
    """Round to the nearest whole number, halves up: the one way in which prices are rounded."""
    fraction = Fraction(value)
    return (2 * fraction.numerator + fraction.denominator) // (2 * fraction.denominator)


def check_seasons(source: str, seasons: tuple[Season, ...]) -> None:
    """Raise BadInput, naming file, season and hour, unless 12 months x 24 h have one band each."""
    for month in range(1, 13):
        names = [season.name for season in seasons if month in season.months]
        if len(names) != 1:
            where = f"seasons {' and '.join(names)}" if names else "no season"
            raise BadInput(f"{source}: month {month} is in {where}; it must be in exactly one")
    for season in seasons:
        _check_day(source, season)


def _check_day(source: str, season: Season) -> None:
    reached = 0
    for span in sorted(season.spans, key=lambda one: one.start_minute):
        if span.end_minute <= span.start_minute:
            problem = f"the band from {clock(span.start_minute)} ends at {clock(span.end_minute)}"
            raise BadInput(f"{source}: season {season.name}: {problem}")
        if span.start_minute != reached:
            low, high = sorted((span.start_minute, reached))
            problem = "no band" if span.start_minute > reached else "two bands"
            text = f"{clock(low)} to {clock(high)} is in {problem}"
            raise BadInput(f"{source}: season {season.name}: {text}", season=season.name)
        reached = span.end_minute
    if reached != MINUTES_PER_DAY:
        text = f"{clock(reached)} to 24:00 is in no band"
        raise BadInput(f"{source}: season {season.name}: {text}", season=season.name)


def clock(minute: int) -> str:
    """Write a minute of the day as ``HH:MM``; the end of the day is 24:00."""
    return f"{minute // 60:02d}:{minute % 60:02d}"
