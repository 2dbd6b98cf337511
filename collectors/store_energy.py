"""Energy and PUE of a site over any period, out of the record.

Whole days and hours come from their roll-ups, what changed since from windows and raw readings: the
sums are the same, since a roll-up is made by the same function.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from collectors import quality
from collectors.accumulator import WINDOW_MS, window_start
from collectors.kpi import Interval, SiteEnergy, SiteMeters, add_segments, pue_figure
from collectors.store_rollup import add_rolled_up
from collectors.store_site import (
    ROLES,
    KnownMeter,
    by_window,
    ends,
    inside,
    load_meters,
    of_category,
    segments_in,
)
from suanwang.clock import from_epoch_ms, to_epoch_ms
from suanwang.db.tables import energy_window, site
from suanwang.errors import BadInput
from suanwang.ids import SiteId
from suanwang.model.meter import MeterRole, PueCategory, PueFigure
from suanwang.model.reading import Quality


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyFigure:
    """Energy of all meters of one role in a period, with the share of it that is known."""

    wh: float
    coverage: float
    quality: Quality


def pue(
    connection: Connection,
    site_id: str,
    start: datetime,
    end: datetime,
    now: datetime,
    category: PueCategory | None = None,
) -> PueFigure:
    """Return the PUE of a site, for the part of the period that has happened and been metered.

    IT energy is that of one category: the one asked for, else the one that the site declares, else
    the only one that its IT meters have. The figure's own ``start`` is not before the first reading
    of the site's meters and its ``end`` not after ``now``; coverage is against that. Raises
    BadInput for an empty period.
    """
    _check(start, end)
    meters = load_meters(connection, site_id, ROLES)
    chosen = category or declared_category(connection, site_id, meters)
    taken = of_category(meters, chosen) if chosen else meters
    about = _about(site_id, taken)
    first_ms = min((known.first_ms for known in taken if known.first_ms is not None), default=None)
    low = max(start, from_epoch_ms(first_ms)) if first_ms is not None else start
    high = min(end, now)
    total = SiteEnergy()
    has_both = {known.meter.role for known in taken} == set(ROLES)
    if first_ms is None or not has_both or low >= high:
        low, high = start, end
    elif chosen is not None:
        period = Interval(to_epoch_ms(low), to_epoch_ms(high))
        add_rolled_up(connection, SiteId(site_id), taken, total, period)
    return pue_figure(about, total, low, high)


def declared_category(
    connection: Connection, site_id: str, meters: Sequence[KnownMeter]
) -> PueCategory | None:
    """Return where a site measures IT energy; None where it has several ways and declares none."""
    declared = connection.scalar(select(site.c.pue_category).where(site.c.id == site_id))
    if declared:
        return PueCategory(declared)
    found = {known.meter.category for known in meters if known.meter.role is MeterRole.IT}
    return found.pop() if len(found) == 1 else None


def _about(site_id: str, meters: Sequence[KnownMeter]) -> SiteMeters:
    resolution = {
        role: sum(known.history.rules.count_mwh for known in meters if known.meter.role is role)
        for role in ROLES
    }
    return SiteMeters(
        site_id=SiteId(site_id),
        facility_resolution_mwh=resolution[MeterRole.FACILITY],
        it_resolution_mwh=resolution[MeterRole.IT],
        categories=frozenset(k.meter.category for k in meters if k.meter.role is MeterRole.IT),
    )


def energy_wh(
    connection: Connection, site_id: str, role: MeterRole, start: datetime, end: datetime
) -> EnergyFigure:
    """Return the energy of all meters of a role in a period, in Wh, as far as it is known.

    Coverage is the known share of the whole period, the mean of the meters. Raises BadInput for an
    empty period.
    """
    _check(start, end)
    return energy_of(connection, load_meters(connection, site_id, (role,)), start, end)


def energy_of(
    connection: Connection, meters: Sequence[KnownMeter], start: datetime, end: datetime
) -> EnergyFigure:
    """Return the energy of meters in a period, in Wh, each as far as it is known by itself."""
    period = Interval(to_epoch_ms(start), to_epoch_ms(end))
    energy_mwh = covered_ms = interpolated_ms = estimated_ms = 0
    for known in meters:
        total = _meter_energy(connection, known, period)
        energy_mwh += total.it_mwh
        covered_ms += total.it_ms
        interpolated_ms += total.interpolated_ms
        estimated_ms += total.estimated_ms
    length = (period.end_ms - period.start_ms) * max(1, len(meters))
    parts = quality.parts_quality(covered_ms, interpolated_ms, estimated_ms)
    resolution = sum(known.history.rules.count_mwh for known in meters)
    return EnergyFigure(
        wh=energy_mwh / 1000,
        coverage=covered_ms / length,
        quality=quality.figure_quality(energy_mwh, resolution, parts),
    )


def _check(start: datetime, end: datetime) -> None:
    if end <= start:
        raise BadInput(
            f"the period from {start.isoformat()} to {end.isoformat()} is empty",
            next_step="give an end after the start",
        )


def _meter_energy(connection: Connection, known: KnownMeter, period: Interval) -> SiteEnergy:
    """Return one meter's energy in a period, in the fields for IT."""
    windows = by_window([known], inside(period))
    name = "facility" if known.meter.role is MeterRole.FACILITY else "it"
    sums = connection.execute(
        select(
            *(
                func.coalesce(func.sum(windows.c[column]), 0)
                for column in (f"{name}_mwh", f"{name}_ms", "interpolated_ms", "estimated_ms")
            )
        )
    ).one()
    energy_mwh, covered_ms, interpolated_ms, estimated_ms = (int(value) for value in sums)
    total = SiteEnergy(
        it_mwh=energy_mwh,
        it_ms=covered_ms,
        interpolated_ms=interpolated_ms,
        estimated_ms=estimated_ms,
    )
    for piece in ends(period):
        if piece.start_ms >= known.kept_from_ms:
            add_segments(total, {MeterRole.IT: [segments_in(connection, known, piece)]}, piece)
        else:
            _add_share(connection, known, total, piece)
    return total


def _add_share(
    connection: Connection, known: KnownMeter, total: SiteEnergy, piece: Interval
) -> None:
    """Add a part of a window whose raw readings are pruned: its energy in proportion to time."""
    start = from_epoch_ms(window_start(piece.start_ms))
    row = connection.execute(
        select(energy_window)
        .where(energy_window.c.meter_id == known.meter.id, energy_window.c.start_at == start)
        .order_by(energy_window.c.revision.desc())
        .limit(1)
    ).first()
    if row is None:
        return
    length_ms = piece.end_ms - piece.start_ms
    covered_ms = row.covered_ms * length_ms // WINDOW_MS
    total.it_mwh += row.energy_mwh * length_ms // WINDOW_MS
    total.it_ms += covered_ms
    total.interpolated_ms += covered_ms
