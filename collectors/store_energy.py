"""Energy and PUE of a site over any period, out of the record.

Windows that lie wholly inside the period and are wholly known by every meter are added up in the
database. What is left, the two ends of the period and windows with holes, is computed from the raw
register readings, so a period need not begin or end on a window and may be as short as a minute.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from sqlalchemy import Connection, Subquery, and_, case, func, select

from collectors import quality
from collectors.accumulator import WINDOW_MS, MeterRules, Segment, judge, window_start
from collectors.kpi import Interval, SiteEnergy, SiteMeters, add_segments, pue_figure
from collectors.store_samples import registers_between
from collectors.store_windows import meter_from_row
from suanwang.clock import from_epoch_ms, to_epoch_ms
from suanwang.db.tables import energy_window, meter, meter_state, sample, series
from suanwang.errors import BadInput
from suanwang.ids import SiteId
from suanwang.model.meter import Meter, MeterRole, PueFigure
from suanwang.model.reading import Quality

_ROLES = (MeterRole.FACILITY, MeterRole.IT)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyFigure:
    """Energy of all meters of one role in a period, with the share of it that is known."""

    wh: float
    coverage: float
    quality: Quality


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A meter, the number of its register's series (0: none yet), and from when it is kept."""

    meter: Meter
    rules: MeterRules
    series_id: int
    kept_from_ms: int


def pue(
    connection: Connection, site_id: str, start: datetime, end: datetime, now: datetime
) -> PueFigure:
    """Return the PUE of a site, for the part of the period that has happened and been metered.

    The figure's own ``start`` is not before the first reading of the site's meters and its ``end``
    not after ``now``; coverage is against that. Raises BadInput for an empty period.
    """
    _check(start, end)
    meters = _load_meters(connection, site_id, _ROLES)
    resolution = {
        role: sum(known.rules.resolution_mwh for known in meters if known.meter.role is role)
        for role in _ROLES
    }
    about = SiteMeters(
        site_id=SiteId(site_id),
        facility_resolution_mwh=resolution[MeterRole.FACILITY],
        it_resolution_mwh=resolution[MeterRole.IT],
        categories=frozenset(k.meter.category for k in meters if k.meter.role is MeterRole.IT),
    )
    first_ms = _first_reading_ms(connection, meters)
    low = max(start, from_epoch_ms(first_ms)) if first_ms is not None else start
    high = min(end, now)
    total = SiteEnergy()
    has_both = {known.meter.role for known in meters} == set(_ROLES)
    if first_ms is not None and has_both and low < high:
        _add_period(connection, meters, total, Interval(to_epoch_ms(low), to_epoch_ms(high)))
    else:
        low, high = start, end
    return pue_figure(about, total, low, high)


def energy_wh(
    connection: Connection, site_id: str, role: MeterRole, start: datetime, end: datetime
) -> EnergyFigure:
    """Return the energy of all meters of a role in a period, in Wh, as far as it is known.

    Coverage is the known share of the whole period, the mean of the meters. Raises BadInput for an
    empty period.
    """
    _check(start, end)
    meters = _load_meters(connection, site_id, (role,))
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
    resolution = sum(known.rules.resolution_mwh for known in meters)
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


def _load_meters(
    connection: Connection, site_id: str, roles: Sequence[MeterRole]
) -> tuple[_Known, ...]:
    rows = connection.execute(
        select(
            meter,
            func.coalesce(series.c.id, 0).label("series_id"),
            func.coalesce(meter_state.c.kept_from_ms, 0).label("kept_from_ms"),
        )
        .outerjoin(
            series,
            and_(
                series.c.site_id == meter.c.site_id,
                series.c.metric == "energy_wh",
                series.c.subject == "meter:" + meter.c.id,
            ),
        )
        .outerjoin(meter_state, meter_state.c.meter_id == meter.c.id)
        .where(meter.c.site_id == site_id, meter.c.role.in_([role.value for role in roles]))
        .order_by(meter.c.id)
    ).mappings()
    found = []
    for row in rows:
        known = meter_from_row({str(key): value for key, value in row.items()})
        found.append(
            _Known(
                meter=known,
                rules=MeterRules.of(known),
                series_id=row["series_id"],
                kept_from_ms=row["kept_from_ms"],
            )
        )
    return tuple(found)


def _first_reading_ms(connection: Connection, meters: Sequence[_Known]) -> int | None:
    """Return the moment from which on at least one of the meters is known."""
    first = connection.scalar(
        select(func.min(energy_window.c.start_at)).where(
            energy_window.c.meter_id.in_([known.meter.id for known in meters])
        )
    )
    if first is None:
        return None
    window_ms = to_epoch_ms(first)
    if any(known.kept_from_ms > window_ms for known in meters):
        return window_ms
    sample_ms = connection.scalar(
        select(func.min(sample.c.at_ms)).where(
            sample.c.series_id.in_([known.series_id for known in meters]),
            sample.c.at_ms >= window_ms,
        )
    )
    return window_ms if sample_ms is None else int(sample_ms)


def _inside(period: Interval) -> Interval:
    """Return the whole windows inside a period, as one interval (maybe empty)."""
    low = -(-period.start_ms // WINDOW_MS) * WINDOW_MS
    return Interval(low, max(low, window_start(period.end_ms)))


def _ends(period: Interval) -> list[Interval]:
    """Return the parts of a period that are less than a window: one or two."""
    inside = _inside(period)
    if inside.start_ms >= inside.end_ms:
        edge = min(inside.start_ms, period.end_ms)
        pieces = [Interval(period.start_ms, edge), Interval(edge, period.end_ms)]
    else:
        pieces = [
            Interval(period.start_ms, inside.start_ms),
            Interval(inside.end_ms, period.end_ms),
        ]
    return [piece for piece in pieces if piece.start_ms < piece.end_ms]


def _add_period(
    connection: Connection, meters: Sequence[_Known], total: SiteEnergy, period: Interval
) -> None:
    windows = _by_window(meters, _inside(period))
    counts = {role: sum(known.meter.role is role for known in meters) for role in _ROLES}
    is_whole = and_(
        windows.c.meters == len(meters),
        windows.c.facility_ms == WINDOW_MS,
        windows.c.it_ms == WINDOW_MS,
    )
    sums = connection.execute(
        select(
            func.count(),
            *(
                func.coalesce(func.sum(windows.c[name]), 0)
                for name in ("facility_mwh", "it_mwh", "interpolated_ms", "estimated_ms")
            ),
        ).where(is_whole)
    ).one()
    whole, facility_mwh, it_mwh, interpolated_ms, estimated_ms = (int(value) for value in sums)
    total.facility_mwh += facility_mwh
    total.it_mwh += it_mwh
    total.interpolated_ms += interpolated_ms
    total.estimated_ms += estimated_ms
    total.common_ms += whole * WINDOW_MS
    total.facility_ms += whole * WINDOW_MS
    total.it_ms += whole * WINDOW_MS
    pieces = _ends(period)
    kept_from_ms = max(known.kept_from_ms for known in meters)
    for row in connection.execute(select(windows).where(~is_whole).order_by("start_at")):
        start_ms = to_epoch_ms(row.start_at)
        if start_ms >= kept_from_ms:
            pieces.append(Interval(start_ms, start_ms + WINDOW_MS))
            continue
        total.facility_ms += row.facility_ms if row.facility == counts[MeterRole.FACILITY] else 0
        total.it_ms += row.it_ms if row.it == counts[MeterRole.IT] else 0
    _add_pieces(connection, meters, total, [p for p in pieces if p.start_ms >= kept_from_ms])


def _by_window(meters: Sequence[_Known], inside: Interval) -> Subquery:
    """Select one row a window: what each role knows of it, by the newest revisions."""
    newer = energy_window.alias("newer")
    is_facility = meter.c.role == MeterRole.FACILITY.value
    window = energy_window.c
    return (
        select(
            window.start_at,
            func.count().label("meters"),
            func.count(case((is_facility, 1))).label("facility"),
            func.count(case((~is_facility, 1))).label("it"),
            func.min(case((is_facility, window.covered_ms))).label("facility_ms"),
            func.min(case((~is_facility, window.covered_ms))).label("it_ms"),
            func.sum(case((is_facility, window.energy_mwh), else_=0)).label("facility_mwh"),
            func.sum(case((~is_facility, window.energy_mwh), else_=0)).label("it_mwh"),
            func.max(window.interpolated_ms).label("interpolated_ms"),
            func.max(window.estimated_ms).label("estimated_ms"),
        )
        .join(meter, meter.c.id == window.meter_id)
        .where(
            window.meter_id.in_([known.meter.id for known in meters]),
            window.start_at >= from_epoch_ms(inside.start_ms),
            window.start_at < from_epoch_ms(inside.end_ms),
            ~select(newer.c.revision)
            .where(
                newer.c.meter_id == window.meter_id,
                newer.c.start_at == window.start_at,
                newer.c.revision > window.revision,
            )
            .exists(),
        )
        .group_by(window.start_at)
        .subquery()
    )


def _add_pieces(
    connection: Connection,
    meters: Sequence[_Known],
    total: SiteEnergy,
    pieces: Sequence[Interval],
) -> None:
    """Add short stretches of time, each computed from the raw register readings around it."""
    for piece in pieces:
        by_role: dict[MeterRole, list[list[Segment]]] = {role: [] for role in _ROLES}
        for known in meters:
            by_role[known.meter.role].append(_segments(connection, known, piece))
        add_segments(total, by_role, piece)


def _segments(connection: Connection, known: _Known, piece: Interval) -> list[Segment]:
    registers = registers_between(connection, known.series_id, piece.start_ms, piece.end_ms)
    return [judge(known.rules, first, second) for first, second in pairwise(registers)]


def _meter_energy(connection: Connection, known: _Known, period: Interval) -> SiteEnergy:
    """Return one meter's energy in a period, in the fields for IT."""
    windows = _by_window([known], _inside(period))
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
    for piece in _ends(period):
        if piece.start_ms >= known.kept_from_ms:
            add_segments(total, {MeterRole.IT: [_segments(connection, known, piece)]}, piece)
        else:
            _add_share(connection, known, total, piece)
    return total


def _add_share(connection: Connection, known: _Known, total: SiteEnergy, piece: Interval) -> None:
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
