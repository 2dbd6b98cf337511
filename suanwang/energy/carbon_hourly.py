"""Carbon of a region hour by hour, where its grid publishes it.

A table has the columns ``start`` (a moment with its zone) and ``g_per_kwh``, a row an hour, in
order; further columns are left alone. Where an hour is missing the yearly factor stands in, so a
plan never stops for want of a signal.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from suanwang.errors import BadInput
from suanwang.sheets import Row, read_table

HOUR: Final = timedelta(hours=1)
G_PER_KWH_MAX: Final = 5_000.0
"""No power station emits as much; a larger figure is a mistake of units."""
ROWS_MAX: Final = 100_000
_COLUMNS: Final = ("start", "g_per_kwh")


@dataclass(frozen=True, slots=True)
class HourlyCarbon:
    """Factors of a region, each from ``starts`` for an hour, in order of time, UTC."""

    region: str
    starts: tuple[datetime, ...]
    g_per_kwh: tuple[float, ...]

    def average(self, start: datetime, end: datetime, yearly_g_per_kwh: float) -> float:
        """Return the factor of a period, weighted by time; a missing hour counts as the year's."""
        if end <= start:
            raise BadInput(f"a period must end after its start, got {start} to {end}")
        index = max(0, bisect_right(self.starts, start) - 1)
        known = timedelta()
        grams = 0.0
        while index < len(self.starts) and self.starts[index] < end:
            low, high = max(start, self.starts[index]), min(end, self.starts[index] + HOUR)
            if high > low:
                known += high - low
                grams += self.g_per_kwh[index] * ((high - low) / HOUR)
            index += 1
        rest = (end - start) - known
        return (grams + yearly_g_per_kwh * (rest / HOUR)) / ((end - start) / HOUR)


def read_hourly_carbon(content: bytes, region: str, source: str) -> HourlyCarbon:
    """Read a table of a region (CSV or xlsx); raise BadInput with the line of a mistake."""
    table = read_table(content, ROWS_MAX)
    names = tuple(name.strip().lower() for name in table.header)
    if names[:2] != _COLUMNS:
        raise BadInput(
            f"{source}:{table.header_line}: the first columns must be start and g_per_kwh",
            next_step="name them so; the moments carry their zone, such as 2026-10-14T08:00+08:00",
        )
    starts: list[datetime] = []
    factors: list[float] = []
    for row in table.rows:
        start, factor = _row(source, row)
        if starts and start < starts[-1] + HOUR:
            raise BadInput(f"{source}:{row.line}: {start.isoformat()} is not after the hour before")
        starts.append(start)
        factors.append(factor)
    if not starts:
        raise BadInput(f"{source}: the table has no hour")
    return HourlyCarbon(region=region, starts=tuple(starts), g_per_kwh=tuple(factors))


def _row(source: str, row: Row) -> tuple[datetime, float]:
    cells: Sequence[object] = row.cells
    try:
        start = datetime.fromisoformat(str(cells[0]).strip())
    except (ValueError, IndexError):
        raise BadInput(f"{source}:{row.line}: {cells[:1]} is not a moment") from None
    if start.tzinfo is None:
        raise BadInput(f"{source}:{row.line}: {start.isoformat()} has no time zone")
    try:
        factor = float(str(cells[1]).strip())
    except (ValueError, IndexError):
        raise BadInput(f"{source}:{row.line}: {cells[1:2]} is not a factor") from None
    if not (math.isfinite(factor) and 0 <= factor <= G_PER_KWH_MAX):
        raise BadInput(
            f"{source}:{row.line}: {factor:g} g/kWh is not between 0 and {G_PER_KWH_MAX:g}"
        )
    return start.astimezone(UTC), factor
