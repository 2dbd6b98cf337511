"""What a site's year will end with, and why its PUE changed, out of the daily roll-ups."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from collectors.kpis.change import Operation, PueChange, explain_change
from collectors.kpis.figure import Known, Kpi, KpiFigure, withheld
from collectors.kpis.forecast import Ahead, Day, forecast, recent_it_wh
from collectors.store_kpis import Asked
from collectors.store_pue import declared_category, pue
from collectors.store_rollup import Grain
from collectors.store_site import ROLES, load_meters
from suanwang.db.tables import site_energy
from suanwang.energy.climate import Climate
from suanwang.energy.facility import FacilityModel
from suanwang.errors import BadInput
from suanwang.model.meter import PueCategory, PueFigure

DAY_KNOWN: Final = 0.9
"""A day of which less is known is left out of a forecast."""
HOURS: Final = 24
MWH_PER_WH: Final = 1_000
MS_PER_H: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class _Weather:
    """Typical wet bulbs of a place, and a facility there."""

    climate: Climate
    model: FacilityModel

    def wet_bulbs(self, month: int) -> tuple[float, ...]:
        return _hours_of(self.climate, month)

    def overhead_wh(self, month: int, it_wh: float, hours: float) -> float:
        """Return what the power model expects beside IT energy spread evenly over hours."""
        if hours <= 0:
            return 0.0
        it_w = it_wh / hours
        powers = [self.model.facility_w(it_w, wet) - it_w for wet in self.wet_bulbs(month)]
        return sum(powers) / HOURS * hours


@cache
def _hours_of(climate: Climate, month: int) -> tuple[float, ...]:
    return tuple(climate.wet_bulb_c(month, hour) for hour in range(HOURS))


def _weather(asked: Asked) -> _Weather:
    facts, catalogue = asked.facts, asked.catalogue
    return _Weather(
        climate=catalogue.climate(facts.climate),
        model=catalogue.facility(facts.cooling, facts.it_design_w, facts.power_chain),
    )


def year_forecast(
    connection: Connection, asked: Asked, category: PueCategory | None = None
) -> KpiFigure:
    """Return the PUE that the running calendar year of the site's zone will end with."""
    zone = ZoneInfo(asked.facts.timezone)
    today = asked.now.astimezone(zone).date()
    start, end = date(today.year, 1, 1), date(today.year + 1, 1, 1)
    known = Known(start=_midnight(start, zone), end=_midnight(end, zone))
    meters = load_meters(connection, asked.facts.id, ROLES)
    chosen = category or declared_category(connection, asked.facts.id, meters)
    if chosen is None:
        return withheld(Kpi.PUE_FORECAST, known, "no one category of IT metering is declared")
    weather = _weather(asked)
    days = _days(connection, asked, (known, chosen.value, zone), weather)
    gone = (today - start).days
    coverage = len(days) / max(1, gone)
    here = Known(start=known.start, end=known.end, coverage=coverage, quality=known.quality)
    it_wh = recent_it_wh(days) if days else 0.0
    ahead = [
        Ahead(
            wet_bulb_c=_mean(weather.wet_bulbs(day.month)),
            model_overhead_wh=weather.overhead_wh(day.month, it_wh, HOURS),
        )
        for day in (today + timedelta(days=n) for n in range((end - today).days))
    ]
    return forecast(here, days, ahead, asked.facts.pue_limit)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


def _mean(values: tuple[float, ...]) -> float:
    return sum(values) / len(values)


def _days(
    connection: Connection, asked: Asked, of: tuple[Known, str, ZoneInfo], weather: _Weather
) -> list[Day]:
    known, category, zone = of
    rolled = site_energy.c
    rows = connection.execute(
        select(site_energy)
        .where(
            rolled.site_id == asked.facts.id,
            rolled.category == category,
            rolled.grain == Grain.DAY.value,
            rolled.is_newest,
            rolled.start_at >= known.start,
            rolled.end_at <= asked.now,
        )
        .order_by(rolled.start_at)
    )
    days: list[Day] = []
    for row in rows:
        length_ms = (row.end_at - row.start_at) / timedelta(milliseconds=1)
        if row.common_ms < DAY_KNOWN * length_ms or row.it_mwh <= 0:
            continue
        day = row.start_at.astimezone(zone).date()
        it_wh = row.it_mwh / MWH_PER_WH
        days.append(
            Day(
                day=day,
                it_wh=it_wh,
                facility_wh=row.facility_mwh / MWH_PER_WH,
                wet_bulb_c=_mean(weather.wet_bulbs(day.month)),
                model_overhead_wh=weather.overhead_wh(day.month, it_wh, row.common_ms / MS_PER_H),
            )
        )
    return days


def pue_change(connection: Connection, asked: Asked, before: timedelta | None = None) -> PueChange:
    """Return why the PUE of a period differs from that of the time ``before`` it.

    Without ``before`` that is a time as long as the period.

    The part of the overhead that no load changes is taken from the site's power model, as a share
    of the overhead that was measured. Raise BadInput where one of the two has no PUE.
    """
    length = before or asked.end - asked.start
    weather = _weather(asked)
    operations = [
        _operation(asked, weather, pue(connection, asked.facts.id, low, high, asked.now))
        for low, high in ((asked.start - length, asked.start), (asked.start, asked.end))
    ]
    return explain_change(*operations)


def _operation(asked: Asked, weather: _Weather, figure: PueFigure) -> Operation:
    if figure.value is None:
        raise BadInput(
            f"the PUE from {figure.start.isoformat()} to {figure.end.isoformat()} is withheld: "
            f"{figure.withheld}",
            next_step="ask for a period in which both it and the time before are metered",
        )
    hours = (
        (figure.end - figure.start)
        / timedelta(hours=1)
        * min(figure.coverage_facility, figure.coverage_it)
    )
    if hours <= 0:
        raise BadInput("the period is empty")
    it_w, facility_w = figure.it_wh / hours, figure.facility_wh / hours
    wet_bulb_c = weather.climate.wet_bulb_at(
        figure.start + (figure.end - figure.start) / 2, asked.facts.timezone
    )
    expected_w = weather.model.facility_w(it_w, wet_bulb_c) - it_w
    share = min(1.0, weather.model.facility_w(0.0, wet_bulb_c) / expected_w) if expected_w else 0.0
    fixed_w = max(0.0, facility_w - it_w) * share
    return Operation(it_w=it_w, facility_w=facility_w, fixed_w=min(fixed_w, facility_w - it_w))
