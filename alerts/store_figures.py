"""Signals out of the energy record: coverage, PUE, balances of meters, and the network's compute.

They change by the quarter of an hour, so they are read less often than what a device says.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Row, case, func, or_, select

from alerts.model import NETWORK, WHOLE_SITE, Observation, Seen
from alerts.signals import PUE_LIMIT
from alerts.store_signals import Ask
from collectors import store_forecast, store_kpis
from collectors.accumulator import WINDOW_MS
from collectors.kpis.change import PueChange
from collectors.kpis.compute import intelligent_share
from collectors.kpis.figure import Known
from collectors.kpis.tables import load_tables
from collectors.store_pue import AskedPue, pues
from collectors.store_site import ROLES
from suanwang.db.tables import energy_window, meter, meter_state, site
from suanwang.errors import BadInput
from suanwang.model.meter import MeterRole, PueFigure
from suanwang.model.reading import Quality

SETTLING: Final = timedelta(minutes=2)
"""Readings of the last minutes may be on their way still: figures end before them."""
DAY: Final = timedelta(days=1)
MONTH: Final = timedelta(days=30)
YEAR: Final = timedelta(days=365)
HOUR: Final = timedelta(hours=1)
KNOWN_LEAST: Final = 0.9
"""A figure of a period of which less is known is not judged."""
BALANCED_LEAST: Final = timedelta(hours=6)
"""A balance needs so much time that a meter and all behind it know."""
BY_LOAD_LEAST: Final = 0.5
"""A rise is explained where at least this part of it comes from less IT over the same plant."""
BASELINE: Final[dict[timedelta, timedelta]] = {DAY: MONTH, MONTH: MONTH, YEAR: YEAR}
"""The time before a period that its PUE is compared with."""


def _metered(connection: Connection) -> list[str]:
    """Return the sites that can have a PUE: both roles were read, IT in one known category."""
    role, category = meter.c.role, meter.c.category
    is_it = role == MeterRole.IT.value
    found = (
        select(meter.c.site_id)
        .join(meter_state, meter_state.c.meter_id == meter.c.id)
        .join(site, site.c.id == meter.c.site_id)
        .where(meter_state.c.first_ms.is_not(None), role.in_([one.value for one in ROLES]))
        .group_by(meter.c.site_id, site.c.pue_category)
        .having(func.count(role.distinct()) == len(ROLES))
        .having(
            or_(
                site.c.pue_category.is_not(None),
                func.count(case((is_it, category)).distinct()) == 1,
            )
        )
        .order_by(meter.c.site_id)
    )
    return list(connection.scalars(found))


def _limits(connection: Connection) -> dict[str, float]:
    return {
        row.id: row.pue_limit for row in connection.execute(select(site.c.id, site.c.pue_limit))
    }


def _until(now: datetime) -> datetime:
    return now - SETTLING


def _figures(connection: Connection, now: datetime, length: timedelta) -> list[PueFigure]:
    """Return the PUE of every site that can have one, over the last ``length``."""
    sites = _metered(connection)
    if not sites:
        return []
    end = _until(now)
    asked = AskedPue(start=end - length, end=end, now=now)
    return list(pues(connection, sites, asked).values())


def _known(figure: PueFigure) -> timedelta:
    """Return for how long facility and IT meters know the period, the lesser of the two."""
    return (figure.end - figure.start) * min(figure.coverage_facility, figure.coverage_it)


def coverage(connection: Connection, ask: Ask) -> Seen:
    """Return the share of the last day that each site's meters know."""
    return Seen(
        observations=tuple(_coverage(figure) for figure in _figures(connection, ask.now, DAY))
    )


def _coverage(figure: PueFigure) -> Observation:
    share = min(figure.coverage_facility, figure.coverage_it)
    words = (
        f"facility meters know {figure.coverage_facility:.1%}, IT meters {figure.coverage_it:.1%}"
        f" of {figure.start.isoformat(timespec='minutes')} to "
        f"{figure.end.isoformat(timespec='minutes')}"
    )
    is_long = figure.end - figure.start >= HOUR
    return Observation(
        site_id=figure.site_id, subject=WHOLE_SITE, value=share if is_long else None, words=words
    )


def pue_over(length: timedelta) -> Callable[[Connection, Ask], Seen]:
    """Return the reader of the PUE over a rolling period."""

    def read(connection: Connection, ask: Ask) -> Seen:
        limits = _limits(connection)
        return Seen(
            observations=tuple(
                _pue(connection, ask, figure, length, limits[figure.site_id])
                for figure in _figures(connection, ask.now, length)
            )
        )

    return read


def _pue(
    connection: Connection, ask: Ask, figure: PueFigure, length: timedelta, limit: float
) -> Observation:
    facts = {PUE_LIMIT: limit}
    if figure.value is None or _known(figure) < KNOWN_LEAST * length:
        return Observation(site_id=figure.site_id, subject=WHOLE_SITE, value=None, facts=facts)
    words = (
        f"{figure.facility_wh / 1000:.1f} kWh / {figure.it_wh / 1000:.1f} kWh, {figure.category},"
        f" {figure.quality}"
    )
    least = limit if ask.floor is None else min(limit, ask.floor)
    change = _change(connection, ask, figure, length) if figure.value > least else None
    return Observation(
        site_id=figure.site_id,
        subject=WHOLE_SITE,
        value=figure.value,
        words=words if change is None else f"{words}. {change.words}",
        facts=facts,
        excuse=change.words if change is not None and is_explained(change) else "",
        baseline=None if change is None else change.before,
    )


def _change(
    connection: Connection, ask: Ask, figure: PueFigure, length: timedelta
) -> PueChange | None:
    """Return why a PUE differs from that of the time before it; None where nobody can say."""
    end = _until(ask.now)
    asked = store_kpis.Asked(
        facts=store_kpis.site_facts(connection, figure.site_id),
        start=end - length,
        end=end,
        now=ask.now,
        tables=load_tables(),
        catalogue=ask.catalogue,
    )
    try:
        return store_forecast.pue_change(connection, asked, BASELINE[length])
    except BadInput:
        return None


def is_explained(change: PueChange) -> bool:
    """Return whether a PUE rose only because less IT shares the same plant, and energy fell."""
    rise = change.after - change.before
    return rise > 0 and change.is_misleading and change.by_it >= BY_LOAD_LEAST * rise


def energy_ratio(connection: Connection, ask: Ask) -> Seen:
    """Return facility over IT energy, also where it can be no PUE.

    It is that of an hour; of a day where an hour is too short for what the registers count.
    """
    found = {one.site_id: _ratio(one, HOUR) for one in _figures(connection, ask.now, HOUR)}
    if any(one.value is None for one in found.values()):
        for figure in _figures(connection, ask.now, DAY):
            if found[figure.site_id].value is None:
                found[figure.site_id] = _ratio(figure, DAY)
    return Seen(observations=tuple(found.values()))


def _ratio(figure: PueFigure, length: timedelta) -> Observation:
    is_known = _known(figure) >= KNOWN_LEAST * length and figure.it_wh > 0
    if not is_known or figure.quality in (Quality.ESTIMATED, Quality.MISSING):
        return Observation(site_id=figure.site_id, subject=WHOLE_SITE, value=None)
    return Observation(
        site_id=figure.site_id,
        subject=WHOLE_SITE,
        value=figure.facility_wh / figure.it_wh,
        words=(
            f"{figure.facility_wh / 1000:.3f} kWh of the facility, {figure.it_wh / 1000:.3f} kWh "
            f"of IT since {figure.start.isoformat(timespec='minutes')}"
        ),
    )


def balance(connection: Connection, ask: Ask) -> Seen:
    """Return by how much each meter differs from the sum of those behind it."""
    end = _until(ask.now)
    return Seen(
        observations=tuple(
            _balance(row) for row in _sums(connection, end - DAY, end) if row.mwh > 0
        )
    )


def _balance(row: Row[tuple[str, str, int, int, int, int]]) -> Observation:
    parent, parts = int(row.mwh), int(row.parts_mwh)
    known = timedelta(milliseconds=row.windows * WINDOW_MS)
    words = (
        f"{parent / 1e6:.3f} kWh against {parts / 1e6:.3f} kWh of {row.children} meters behind it"
        f" in {known.total_seconds() / 3600:.1f} h"
    )
    return Observation(
        site_id=row.site_id,
        subject=f"meter:{row.id}",
        value=(parent - parts) / parent if known >= BALANCED_LEAST else None,
        words=words,
    )


def _sums(
    connection: Connection, start: datetime, end: datetime
) -> Iterator[Row[tuple[str, str, int, int, int, int]]]:
    """Yield energies of each meter and of those behind it, of windows that all of them know."""
    window, newer = energy_window.c, energy_window.alias("newer")
    whole = (
        window.start_at >= start,
        window.start_at < end,
        window.covered_ms == WINDOW_MS,
        ~select(newer.c.revision)
        .where(
            newer.c.meter_id == window.meter_id,
            newer.c.start_at == window.start_at,
            newer.c.revision > window.revision,
        )
        .exists(),
    )
    child, parent = meter.alias("child"), meter.alias("parent")
    counted = (
        select(child.c.parent_id, func.count().label("children"))
        .join_from(child, parent, parent.c.id == child.c.parent_id)
        .where(child.c.carrier == parent.c.carrier)
        .group_by(child.c.parent_id)
        .subquery()
    )
    parts = (
        select(
            child.c.parent_id,
            window.start_at,
            func.sum(window.energy_mwh).label("mwh"),
            func.count().label("known"),
        )
        .join_from(child, parent, parent.c.id == child.c.parent_id)
        .join(energy_window, window.meter_id == child.c.id)
        .where(child.c.carrier == parent.c.carrier, *whole)
        .group_by(child.c.parent_id, window.start_at)
        .subquery()
    )
    yield from connection.execute(
        select(
            parent.c.site_id,
            parent.c.id,
            counted.c.children,
            func.sum(window.energy_mwh).label("mwh"),
            func.sum(parts.c.mwh).label("parts_mwh"),
            func.count().label("windows"),
        )
        .join_from(parent, counted, counted.c.parent_id == parent.c.id)
        .join(parts, (parts.c.parent_id == parent.c.id) & (parts.c.known == counted.c.children))
        .join(
            energy_window,
            (window.meter_id == parent.c.id) & (window.start_at == parts.c.start_at),
        )
        .where(*whole)
        .group_by(parent.c.site_id, parent.c.id, counted.c.children)
    )


def share(connection: Connection, ask: Ask) -> Seen:
    """Return the intelligent share of the network's compute."""
    figure = intelligent_share(
        Known(start=ask.now, end=ask.now),
        store_kpis.fleets(connection),
        load_tables().compute,
        store_kpis.SHARE_PRECISION,
    )
    one = Observation(
        site_id=NETWORK,
        subject="network",
        value=figure.value,
        words=figure.withheld or figure.basis,
    )
    return Seen(observations=(one,))
