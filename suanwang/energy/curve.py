"""Direct-trading tariffs: a price for each quarter of an hour of each day, which may be negative.

Customers who trade directly have no bands that a government sets: their price is a curve of 96
points a day, from a contract or the spot market, plus the network's price by the kilowatt-hour.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from suanwang.energy.tariff import MINUTES_PER_DAY, BaseTariff, PricedSegment, clock, round_half_up
from suanwang.errors import BadInput
from suanwang.sheets import Row, Table, read_table
from suanwang.units import UYUAN_PER_YUAN

POINTS: Final = 96
POINT_MINUTES: Final = MINUTES_PER_DAY // POINTS
TRADE: Final = "trade"
TRADE_NEGATIVE: Final = "trade_negative"
UYUAN_MAX: Final = 100 * UYUAN_PER_YUAN
"""A price beyond 100 yuan a kWh, either way, is a mistake of units."""
UNITS: Final[Mapping[str, Decimal]] = {
    "CNY/kWh": Decimal(UYUAN_PER_YUAN),
    "CNY/MWh": Decimal(UYUAN_PER_YUAN // 1_000),
    "uCNY/kWh": Decimal(1),
}
"""Units that a table of prices may be in, as micro-yuan a kilowatt-hour."""
_BEGINS: Final = tuple(clock(point * POINT_MINUTES) for point in range(POINTS))
_ENDS: Final = tuple(clock((point + 1) * POINT_MINUTES) for point in range(POINTS))

Curve = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveTariff(BaseTariff):
    """A tariff with a curve of 96 prices for each local day, in micro-yuan a kilowatt-hour.

    A day without a curve takes that of the newest day before it, or of the first: a stand-in.
    """

    curves: Mapping[date, Curve]
    network_uyuan_per_kwh: Mapping[str, int]

    @property
    def voltages(self) -> tuple[str, ...]:
        """Voltage classes that have a network price."""
        return tuple(self.network_uyuan_per_kwh)

    def has_prices(self, start: datetime, end: datetime) -> bool:
        """Whether every local day of a period has its own curve and lies in the tariff's dates."""
        zone = ZoneInfo(self.timezone)
        day = start.astimezone(zone).date()
        last = (end - timedelta(microseconds=1)).astimezone(zone).date()
        while day <= last:
            if day not in self.curves or not self.effective_from <= day <= self.effective_to:
                return False
            day += timedelta(days=1)
        return True

    def priced(self, start: datetime, end: datetime, voltage: str) -> Iterator[PricedSegment]:
        """Cut the time from ``start`` to ``end`` at the quarters of the hour."""
        self.check_voltage(voltage)
        zone = ZoneInfo(self.timezone)
        here, end_utc = start.astimezone(UTC), end.astimezone(UTC)
        while here < end_utc:
            local = here.astimezone(zone)
            point = (local.hour * 60 + local.minute) // POINT_MINUTES
            price = self._curve(local.date())[point]
            # Zones differ by whole quarters of an hour, so the edges are those of UTC.
            passed = timedelta(
                minutes=here.minute % POINT_MINUTES,
                seconds=here.second,
                microseconds=here.microsecond,
            )
            stop = min(here - passed + timedelta(minutes=POINT_MINUTES), end_utc)
            label = TRADE if price >= 0 else TRADE_NEGATIVE
            yield PricedSegment(here, stop, label, price)
            here = stop

    def network_uyuan_per_kwh_at(self, voltage: str) -> int:
        """Return the network's price of a kWh."""
        self.check_voltage(voltage)
        return self.network_uyuan_per_kwh[voltage]

    def _curve(self, day: date) -> Curve:
        return self.curves[_day_for(frozenset(self.curves), day)]


@lru_cache(maxsize=4_096)
def _day_for(days: frozenset[date], day: date) -> date:
    """Return the day itself, else the newest one before it, else the first."""
    if day in days:
        return day
    return max((one for one in days if one < day), default=min(days))


def check_curve(source: str, day: date, curve: Curve) -> None:
    """Raise BadInput unless a day has 96 prices that can be meant."""
    if len(curve) != POINTS:
        raise BadInput(
            f"{source}: {day.isoformat()} has {len(curve)} prices, a day has {POINTS}",
            next_step="give a price for each quarter of an hour",
        )
    for point, price in enumerate(curve):
        if abs(price) > UYUAN_MAX:
            raise BadInput(
                f"{source}: {day.isoformat()} {_BEGINS[point]}: {price / UYUAN_PER_YUAN:g} CNY/kWh "
                f"is beyond {UYUAN_MAX / UYUAN_PER_YUAN:g}",
                next_step="check the unit: exchanges quote CNY/MWh",
            )


def read_curves(content: bytes, source: str) -> dict[date, Curve]:
    """Read a table of curves (CSV or xlsx): ``day``, ``unit`` and 96 columns, a row a day.

    The columns are named by the beginnings of the quarters (00:00 to 23:45) or, as exchanges do, by
    their ends (00:15 to 24:00). Raise BadInput with the line of every mistake.
    """
    table = read_table(content)
    _check_header(source, table)
    curves: dict[date, Curve] = {}
    for row in table.rows:
        day, curve = _row(source, row)
        if day in curves:
            raise BadInput(f"{source}:{row.line}: {day.isoformat()} is there twice")
        check_curve(f"{source}:{row.line}", day, curve)
        curves[day] = curve
    if not curves:
        raise BadInput(f"{source}: the table has no day")
    return curves


def _check_header(source: str, table: Table) -> None:
    names = tuple(_heading(name) for name in table.header)
    if names[:2] == ("day", "unit") and names[2:] in (_BEGINS, _ENDS):
        return
    raise BadInput(
        f"{source}:{table.header_line}: the headings must be day, unit and {POINTS} times",
        next_step="name the times 00:00 to 23:45 (beginnings) or 00:15 to 24:00 (ends)",
    )


def _heading(name: str) -> str:
    """Return a heading in small letters; a time as spreadsheets show it (0:15:00) as 00:15."""
    parts = name.split(":")
    return ":".join(parts[:2]).zfill(5) if len(parts) in (2, 3) else name.lower()


def _row(source: str, row: Row) -> tuple[date, Curve]:
    where = f"{source}:{row.line}"
    if row.fault:
        raise BadInput(f"{where}: {row.fault}")
    day_cell, unit_cell, *prices = row.cells
    day = _day(where, day_cell)
    scale = UNITS.get(str(unit_cell).strip())
    if scale is None:
        raise BadInput(f"{where}: unit {unit_cell!r} is not one of {', '.join(UNITS)}")
    return day, tuple(_price(where, cell, scale) for cell in prices)


def _day(where: str, cell: object) -> date:
    if isinstance(cell, datetime):
        return cell.date()
    if isinstance(cell, date):
        return cell
    try:
        return date.fromisoformat(str(cell).strip())
    except ValueError:
        raise BadInput(f"{where}: {cell!r} is not a day, such as 2026-04-05") from None


def _price(where: str, cell: object, scale: Decimal) -> int:
    try:
        price = Decimal(str(cell).strip())
    except InvalidOperation:
        raise BadInput(f"{where}: {cell!r} is not a price") from None
    if not price.is_finite():
        raise BadInput(f"{where}: {cell!r} is not a price")
    numerator, denominator = (price * scale).as_integer_ratio()
    return round_half_up(numerator) if denominator == 1 else _inexact(where, cell)


def _inexact(where: str, cell: object) -> int:
    raise BadInput(
        f"{where}: {cell} is finer than a micro-yuan a kilowatt-hour",
        next_step="round the price to what the contract says",
    )
