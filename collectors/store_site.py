"""What a site's meters know together of a period, out of windows and raw readings.

Windows that lie wholly inside the period and are wholly known by every meter are added up in the
database. What is left, the two ends of the period and windows with holes, is computed from the raw
register readings, so a period need not begin or end on a window and may be as short as a minute.
A window whose energy comes from power is taken as it is in the record.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Row, Subquery, and_, case, func, select

from collectors.accumulator import WINDOW_MS, window_start
from collectors.kpi import Interval, SiteEnergy, add_segments
from collectors.register import History, Segment, segments
from collectors.settle import Source
from collectors.store_meters import histories, series_of, site_meters
from collectors.store_samples import chunks, registers_between
from suanwang.clock import from_epoch_ms, to_epoch_ms
from suanwang.db.tables import energy_window, meter, meter_state
from suanwang.model.meter import CARRIER_UNITS, Meter, MeterRole, PueCategory

ROLES = (MeterRole.FACILITY, MeterRole.IT)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownMeter:
    """A meter, the number of its register's series (0: none yet), and from when it is kept."""

    meter: Meter
    history: History
    series_id: int
    kept_from_ms: int
    first_ms: int | None


def load_meters(
    connection: Connection, site_id: str, roles: Sequence[MeterRole]
) -> tuple[KnownMeter, ...]:
    """Return the meters of a site that have one of the roles, by their ids."""
    meters = [one for one in site_meters(connection, site_id) if one.role in roles]
    known = histories(connection, meters)
    numbers = series_of(connection, meters)
    states: dict[str, Row[tuple[str, int, int | None]]] = {}
    for piece in chunks([one.id for one in meters]):
        columns = (meter_state.c.meter_id, meter_state.c.kept_from_ms, meter_state.c.first_ms)
        rows = connection.execute(select(*columns).where(meter_state.c.meter_id.in_(piece)))
        states |= {row.meter_id: row for row in rows}
    return tuple(
        KnownMeter(
            meter=one,
            history=known[one.id],
            series_id=numbers[one.id].register,
            kept_from_ms=states[one.id].kept_from_ms if one.id in states else 0,
            first_ms=states[one.id].first_ms if one.id in states else None,
        )
        for one in meters
    )


def of_category(
    meters: Sequence[KnownMeter], category: PueCategory | None
) -> tuple[KnownMeter, ...]:
    """Return the facility meters, and the IT meters of one category."""
    return tuple(
        known
        for known in meters
        if known.meter.role is MeterRole.FACILITY
        or (known.meter.role is MeterRole.IT and known.meter.category is category)
    )


def inside(period: Interval) -> Interval:
    """Return the whole windows inside a period, as one interval (maybe empty)."""
    low = -(-period.start_ms // WINDOW_MS) * WINDOW_MS
    return Interval(low, max(low, window_start(period.end_ms)))


def ends(period: Interval) -> list[Interval]:
    """Return the parts of a period that are less than a window: one or two."""
    whole = inside(period)
    if whole.start_ms >= whole.end_ms:
        edge = min(whole.start_ms, period.end_ms)
        pieces = [Interval(period.start_ms, edge), Interval(edge, period.end_ms)]
    else:
        pieces = [
            Interval(period.start_ms, whole.start_ms),
            Interval(whole.end_ms, period.end_ms),
        ]
    return [piece for piece in pieces if piece.start_ms < piece.end_ms]


def add_period(
    connection: Connection, meters: Sequence[KnownMeter], total: SiteEnergy, period: Interval
) -> None:
    """Add what facility and IT meters know of a period; both roles are among ``meters``."""
    windows = by_window(meters, inside(period))
    counts = {role: sum(known.meter.role is role for known in meters) for role in ROLES}
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
    pieces = ends(period)
    kept_from_ms = max(known.kept_from_ms for known in meters)
    for row in connection.execute(select(windows).where(~is_whole).order_by("start_at")):
        start_ms = to_epoch_ms(row.start_at)
        if start_ms >= kept_from_ms and not row.powered:
            pieces.append(Interval(start_ms, start_ms + WINDOW_MS))
            continue
        total.facility_ms += row.facility_ms if row.facility == counts[MeterRole.FACILITY] else 0
        total.it_ms += row.it_ms if row.it == counts[MeterRole.IT] else 0
    for piece in pieces:
        if piece.start_ms >= kept_from_ms:
            _add_piece(connection, meters, total, piece)


def by_window(meters: Sequence[KnownMeter], whole: Interval) -> Subquery:
    """Select one row a window: what each role knows of it, by the newest revisions."""
    newer = energy_window.alias("newer")
    is_facility = meter.c.role == MeterRole.FACILITY.value
    window = energy_window.c
    is_powered = window.source.in_([Source.POWER.value, Source.MIXED.value])
    return (
        select(
            window.start_at,
            func.count().label("meters"),
            func.count(case((is_facility, 1))).label("facility"),
            func.count(case((~is_facility, 1))).label("it"),
            func.count(case((is_powered, 1))).label("powered"),
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
            window.start_at >= from_epoch_ms(whole.start_ms),
            window.start_at < from_epoch_ms(whole.end_ms),
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


def _add_piece(
    connection: Connection, meters: Sequence[KnownMeter], total: SiteEnergy, piece: Interval
) -> None:
    """Add a short stretch of time, computed from the raw register readings around it."""
    by_role: dict[MeterRole, list[list[Segment]]] = {role: [] for role in ROLES}
    for known in meters:
        by_role[known.meter.role].append(segments_in(connection, known, piece))
    add_segments(total, by_role, piece)


def segments_in(connection: Connection, known: KnownMeter, piece: Interval) -> list[Segment]:
    """Return what a meter's raw register readings say of a stretch of time."""
    registers = registers_between(
        connection,
        known.series_id,
        piece.start_ms,
        piece.end_ms,
        wh_per_unit=CARRIER_UNITS[known.meter.carrier].wh_per_unit,
    )
    return list(segments(known.history, registers))
