"""Daily figures beside PUE: two sums each, so that a month is the sum of its days.

A day is due when the daily energy of one of the site's meters changed, or certificates were used
for it. What was told once is never changed silently: a change makes a new revision.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, select

from collectors.kpis.figure import FORMULAS, Kpi, KpiFigure
from collectors.kpis.tables import load_tables
from collectors.store_kpis import ALL_ROLES, Asked, energy_figures, site_facts
from collectors.store_pue import declared_category
from collectors.store_revisions import Change, revise
from collectors.store_roles import roles_at
from collectors.store_site import load_meters
from suanwang.db.tables import kpi_day, kpi_due
from suanwang.energy.catalogue import load_catalogue
from suanwang.model.reading import Quality

DAYS_MAX: Final = 50
"""Most days of sites that one transaction tells: others wait to write meanwhile."""
TOLD_AFTER: Final = timedelta(hours=1)
"""A day is told so long after its end: its last hour is summed up by then."""
_MILLI: Final = 1_000
_MG_PER_KG: Final = 1_000_000
Parts = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class DayRule:
    """How the two sums of a daily figure follow from its parts, and what turns them into it."""

    above: Callable[[Parts], float]
    below: Callable[[Parts], float]
    above_units: int = _MILLI
    factor: int = 1


RULES: Final[Mapping[Kpi, DayRule]] = {
    Kpi.WUE: DayRule(lambda p: p["water_l"], lambda p: p["it_wh"], factor=1_000),
    Kpi.CUE_LOCATION: DayRule(lambda p: p["carbon_kg"], lambda p: p["it_wh"], _MG_PER_KG),
    Kpi.CUE_MARKET: DayRule(lambda p: p["carbon_kg"], lambda p: p["it_wh"], _MG_PER_KG),
    Kpi.REF: DayRule(
        lambda p: p["on_site_wh"] + p["cancelled_wh"] - p["surplus_wh"],
        lambda p: p["facility_wh"] + p["on_site_wh"],
    ),
    Kpi.ERF: DayRule(lambda p: p["reused_wh"], lambda p: p["facility_wh"]),
    Kpi.ERE: DayRule(lambda p: p["facility_wh"] - p["reused_wh"], lambda p: p["it_wh"]),
}
"""The daily figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KpiDay:
    """A day's figure by its newest revision; ``value`` is None where it could not be told again."""

    kpi: Kpi
    start: datetime
    end: datetime
    revision: int
    value: float | None
    numerator: int
    denominator: int
    common_ms: int
    quality: Quality
    basis: str
    formula: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldDays:
    """How many days were told, and whether some had to wait."""

    days: int = 0
    is_behind: bool = False


def tell_days(connection: Connection, now: datetime) -> ToldDays:
    """Tell the figures of days that are due and over."""
    rows = connection.execute(
        select(kpi_due)
        .where(kpi_due.c.end_at <= now - TOLD_AFTER)
        .order_by(kpi_due.c.start_at, kpi_due.c.site_id)
        .limit(DAYS_MAX)
        .with_for_update(skip_locked=True)
    ).all()
    for row in rows:
        for figure in _figures(connection, row.site_id, row.start_at, row.end_at):
            _write(connection, row.site_id, figure, (row.start_at, row.end_at, row.reason, now))
        connection.execute(
            delete(kpi_due).where(
                kpi_due.c.site_id == row.site_id, kpi_due.c.start_at == row.start_at
            )
        )
    return ToldDays(days=len(rows), is_behind=len(rows) >= DAYS_MAX)


def _figures(
    connection: Connection, site_id: str, start: datetime, end: datetime
) -> list[KpiFigure]:
    former = roles_at(connection, [site_id], start)
    meters = load_meters(connection, site_id, ALL_ROLES, former)
    asked = Asked(
        facts=site_facts(connection, site_id),
        start=start,
        end=end,
        now=end,
        tables=load_tables(),
        catalogue=load_catalogue(),
    )
    chosen = declared_category(connection, site_id, meters)
    return list(energy_figures(connection, asked, meters, chosen))


def _write(
    connection: Connection,
    site_id: str,
    figure: KpiFigure,
    when: tuple[datetime, datetime, str, datetime],
) -> None:
    start, end, reason, now = when
    rule = RULES[figure.kpi]
    sums = {"numerator": 0, "denominator": 0, "common_ms": 0}
    if figure.value is not None:
        known_ms = (figure.end - figure.start) / timedelta(milliseconds=1) * figure.coverage
        sums = {
            "numerator": round(rule.above(figure.parts) * rule.above_units),
            "denominator": round(rule.below(figure.parts) * _MILLI),
            "common_ms": round(known_ms),
        }
    revise(
        connection,
        kpi_day,
        {"site_id": site_id, "kpi": figure.kpi.value, "start_at": start},
        sums,
        Change(end_at=end, reason=reason, now=now),
        quality=figure.quality.value,
        basis=figure.basis,
        formula=FORMULAS[figure.kpi].version,
    )


def days(
    connection: Connection, site_id: str, kpi: Kpi, start: datetime, end: datetime
) -> list[KpiDay]:
    """Return the daily figures of one kind that begin in a period, by their newest revisions."""
    rows = connection.execute(
        select(kpi_day)
        .where(
            kpi_day.c.site_id == site_id,
            kpi_day.c.kpi == kpi.value,
            kpi_day.c.is_newest,
            kpi_day.c.start_at >= start,
            kpi_day.c.start_at < end,
        )
        .order_by(kpi_day.c.start_at)
    )
    return [_day(row) for row in rows]


def _day(row: Row[Any]) -> KpiDay:
    kpi = Kpi(row.kpi)
    factor = RULES[kpi].factor
    return KpiDay(
        kpi=kpi,
        start=row.start_at,
        end=row.end_at,
        revision=row.revision,
        value=row.numerator / row.denominator * factor if row.denominator else None,
        numerator=row.numerator,
        denominator=row.denominator,
        common_ms=row.common_ms,
        quality=Quality(row.quality),
        basis=row.basis,
        formula=row.formula,
        state=row.state,
        reason=row.reason,
    )


def newest(connection: Connection) -> list[tuple[str, KpiDay]]:
    """Return each site's newest day of every daily figure, with the site's id."""
    last = (
        select(kpi_day.c.site_id, kpi_day.c.kpi, func.max(kpi_day.c.start_at).label("start_at"))
        .where(kpi_day.c.is_newest)
        .group_by(kpi_day.c.site_id, kpi_day.c.kpi)
        .subquery()
    )
    rows = connection.execute(
        select(kpi_day)
        .join(
            last,
            (last.c.site_id == kpi_day.c.site_id)
            & (last.c.kpi == kpi_day.c.kpi)
            & (last.c.start_at == kpi_day.c.start_at),
        )
        .where(kpi_day.c.is_newest)
        .order_by(kpi_day.c.site_id, kpi_day.c.kpi)
    )
    return [(row.site_id, _day(row)) for row in rows]
