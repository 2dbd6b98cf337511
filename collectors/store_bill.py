"""What a site drew from the grid in 15-minute windows: the record behind its electricity bill.

A window counts where every electricity meter at the site's border knows all of it. Of one that is
known in part nothing is guessed: it is missing, and the bill says how many are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, select

from collectors.accumulator import WINDOW_MS
from collectors.store_newest import is_newest_window
from suanwang.clock import from_epoch_ms, to_epoch_ms
from suanwang.db.tables import energy_window, meter
from suanwang.energy.demand import EnergyUse, month_of, month_start
from suanwang.errors import BadInput
from suanwang.model.meter import Carrier, MeterRole, WindowState
from suanwang.units import MS_PER_HOUR

WINDOW: Final = timedelta(milliseconds=WINDOW_MS)
PERIOD_MAX: Final = timedelta(days=400)
"""Longest time that is replayed at once: a year's windows of a site."""
_MWH_PER_WH: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GridRecord:
    """Windows of a site in a period, cut to what is over.

    ``expected`` windows are over by now, of which ``uses`` are known; ``provisional`` of these may
    still change. ``asked`` windows are in the whole period.
    """

    start: datetime
    end: datetime
    uses: tuple[EnergyUse, ...]
    asked: int
    expected: int
    provisional: int
    interpolated_ms: int
    estimated_ms: int
    meters: int

    @property
    def coverage(self) -> float:
        """The share of the windows which are over that is known."""
        return len(self.uses) / self.expected if self.expected else 0.0

    @property
    def is_provisional(self) -> bool:
        """Whether the bill may still change: time to come, windows missing or not yet final."""
        return self.provisional > 0 or len(self.uses) < self.asked


EXPECTED_SHARE: Final = 0.9
"""Of the last month's peak, so much is expected of a month that has only begun."""
WINDOWS_MIN: Final = 96
"""A record of less than a day does not know what a month's peak will be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeakSoFar:
    """The largest demand of a site in the month so far, in W, and how much of it is known.

    ``windows`` are known of this month and the last together.
    """

    month_start: datetime
    peak_w: int
    coverage: float
    last_month_w: int = 0
    windows: int = 0

    @property
    def expected_w(self) -> float | None:
        """What the month is paid for anyway: its peak, or most of the last month's.

        Without the last month's every kilowatt of a month's first day would carry the price of a
        whole month; so it would with a record of a few hours, which therefore expects nothing.
        """
        if self.windows < WINDOWS_MIN:
            return None
        return max(float(self.peak_w), EXPECTED_SHARE * self.last_month_w)


def grid_record(
    connection: Connection, site_id: str, start: datetime, end: datetime, now: datetime
) -> GridRecord:
    """Return the windows of a period; it is widened to whole windows.

    Energies telescope: each is the difference of running sums in whole Wh, so a month of windows
    is the month's energy to the watt-hour. Raise BadInput for more than a year, or where the site
    has no electricity meter at its border.
    """
    low_ms = to_epoch_ms(start) // WINDOW_MS * WINDOW_MS
    high_ms = -(-to_epoch_ms(end) // WINDOW_MS) * WINDOW_MS
    over_ms = max(low_ms, min(high_ms, to_epoch_ms(now) // WINDOW_MS * WINDOW_MS))
    if end - start > PERIOD_MAX:
        raise BadInput(
            f"{(end - start).days} days are asked for; the most is {PERIOD_MAX.days}",
            next_step="ask month by month",
        )
    meters = _count_of_meters(connection, site_id)
    if not meters:
        raise BadInput(
            f"site {site_id} has no meter of electricity at its border (role facility)",
            next_step="register the meter that the grid company reads",
        )
    low, high = from_epoch_ms(low_ms), from_epoch_ms(over_ms)
    rows = connection.execute(_windows(site_id, low, high, meters)).all()
    return GridRecord(
        start=low,
        end=from_epoch_ms(high_ms),
        uses=tuple(_uses([(row.start_at, int(row.energy_mwh)) for row in rows])),
        asked=(high_ms - low_ms) // WINDOW_MS,
        expected=(over_ms - low_ms) // WINDOW_MS,
        provisional=sum(1 for row in rows if row.provisional),
        interpolated_ms=sum(int(row.interpolated_ms) for row in rows),
        estimated_ms=sum(int(row.estimated_ms) for row in rows),
        meters=meters,
    )


def peak_so_far(
    connection: Connection, site_id: str, timezone: str, now: datetime
) -> PeakSoFar | None:
    """Return the largest demand of the running local month; None without a meter at the border."""
    zone = ZoneInfo(timezone)
    start = month_start(month_of(now, zone), zone)
    meters = _count_of_meters(connection, site_id)
    if not meters:
        return None
    over = from_epoch_ms(to_epoch_ms(now) // WINDOW_MS * WINDOW_MS)
    known, peak_w = _peak(connection, site_id, (start, over), meters)
    before = month_start(month_of(start - WINDOW, zone), zone)
    known_before, last_w = _peak(connection, site_id, (before, start), meters)
    return PeakSoFar(
        month_start=start,
        peak_w=peak_w,
        coverage=known * WINDOW / (over - start) if over > start else 1.0,
        last_month_w=last_w,
        windows=known + known_before,
    )


def drawn_w(connection: Connection, site_id: str, now: datetime) -> float | None:
    """Return the mean power that a site drew so far in the running 15 minutes.

    What a meter did not tell yet of that time counts like what it told. None where one of the
    meters at the border has told nothing of it, or there is none.
    """
    start = from_epoch_ms(to_epoch_ms(now) // WINDOW_MS * WINDOW_MS)
    window = energy_window.c
    rows = connection.execute(
        select(window.energy_mwh, window.covered_ms)
        .join(meter, meter.c.id == window.meter_id)
        .where(
            _border(site_id),
            window.start_at == start,
            window.covered_ms > 0,
            is_newest_window(start, start + WINDOW),
        )
    ).all()
    if not rows or len(rows) < _count_of_meters(connection, site_id):
        return None
    mwh_per_ms = sum(float(row.energy_mwh / row.covered_ms) for row in rows)
    return mwh_per_ms * MS_PER_HOUR / _MWH_PER_WH


class PeakBook:
    """Expected peaks of sites, asked of the record once for each 15 minutes.

    No sooner can they change. Any thread may ask.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, float | None]] = {}

    def expected_w(
        self, connection: Connection, site_id: str, timezone: str, now: datetime
    ) -> float | None:
        """Return the demand that a site's month is paid for anyway.

        None without a meter, and where its record is younger than a day.
        """
        window = to_epoch_ms(now) // WINDOW_MS
        told, value = self._known.get(site_id, (-1, None))
        if told != window:
            found = peak_so_far(connection, site_id, timezone, now)
            value = None if found is None else found.expected_w
            self._known[site_id] = (window, value)
        return value


def _peak(
    connection: Connection, site_id: str, period: tuple[datetime, datetime], meters: int
) -> tuple[int, int]:
    """Return how many windows of a period are known, and the largest demand among them in W."""
    windows = _windows(site_id, *period, meters).subquery()
    known, most_mwh = connection.execute(
        select(func.count(), func.max(windows.c.energy_mwh)).select_from(windows)
    ).one()
    return int(known), round(int(most_mwh or 0) * MS_PER_HOUR / WINDOW_MS / _MWH_PER_WH)


def _border(site_id: str) -> ColumnElement[bool]:
    return and_(
        meter.c.site_id == site_id,
        meter.c.role == MeterRole.FACILITY.value,
        meter.c.carrier == Carrier.ELECTRICITY.value,
    )


def _count_of_meters(connection: Connection, site_id: str) -> int:
    query = select(func.count()).select_from(meter).where(_border(site_id))
    return int(connection.scalar(query) or 0)


def _windows(site_id: str, start: datetime, end: datetime, meters: int) -> Select[Any]:
    """Select the windows that all meters of the border know from beginning to end."""
    window = energy_window.c
    is_provisional = window.state == WindowState.PROVISIONAL.value
    return (
        select(
            window.start_at,
            func.sum(window.energy_mwh).label("energy_mwh"),
            func.max(window.interpolated_ms).label("interpolated_ms"),
            func.max(window.estimated_ms).label("estimated_ms"),
            func.count(case((is_provisional, 1))).label("provisional"),
        )
        .join(meter, meter.c.id == window.meter_id)
        .where(
            _border(site_id),
            window.start_at >= start,
            window.start_at < end,
            is_newest_window(start, end),
        )
        .group_by(window.start_at)
        .having(func.count() == meters, func.min(window.covered_ms) == WINDOW_MS)
        .order_by(window.start_at)
    )


def _uses(windows: Sequence[tuple[datetime, int]]) -> list[EnergyUse]:
    uses: list[EnergyUse] = []
    reached_mwh = 0
    for start, mwh in windows:
        before_wh = reached_mwh // _MWH_PER_WH
        reached_mwh += mwh
        energy_wh = reached_mwh // _MWH_PER_WH - before_wh
        uses.append(EnergyUse(start=start, end=start + WINDOW, energy_wh=energy_wh))
    return uses
