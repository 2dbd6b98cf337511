"""What a site's meters know together of a period, out of windows and raw readings.

Windows that lie wholly inside the period and are wholly known by every meter come from the record,
many sites in one question. What is left, the two ends of the period and windows with holes, is
computed from the raw register readings, so a period need not begin or end on a window and may be as
short as a minute. A window whose energy comes from power is taken as it is in the record.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Subquery, and_, case, func, or_, select

from collectors.accumulator import WINDOW_MS, window_start
from collectors.kpi import Interval, SiteEnergy, add_segments
from collectors.register import History, Segment, segments
from collectors.settle import Source
from collectors.store_meters import histories, meters_of, series_of
from collectors.store_newest import is_newest_window
from collectors.store_roles import Former
from collectors.store_samples import chunks, registers_of
from suanwang.clock import from_epoch_ms, to_epoch_ms
from suanwang.db import samples
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
    connection: Connection,
    site_id: str,
    roles: Sequence[MeterRole],
    former: Mapping[str, Former] | None = None,
) -> tuple[KnownMeter, ...]:
    """Return the meters of a site that have one of the roles, by their ids.

    ``former`` are those that stood for something else at the time in question.
    """
    return load_meters_of(connection, [site_id], roles, former).get(site_id, ())


def load_meters_of(
    connection: Connection,
    site_ids: Sequence[str],
    roles: Sequence[MeterRole],
    former: Mapping[str, Former] | None = None,
) -> dict[str, tuple[KnownMeter, ...]]:
    """Return the meters of each of these sites that have one of the roles, by their ids."""
    there = (_as_it_was(one, former or {}) for one in meters_of(connection, site_ids))
    meters = [one for one in there if one.role in roles]
    known = histories(connection, meters)
    numbers = series_of(connection, meters)
    states: dict[str, Row[tuple[str, int, int | None]]] = {}
    for piece in chunks([one.id for one in meters]):
        columns = (meter_state.c.meter_id, meter_state.c.kept_from_ms, meter_state.c.first_ms)
        rows = connection.execute(select(*columns).where(meter_state.c.meter_id.in_(piece)))
        states |= {row.meter_id: row for row in rows}
    found: dict[str, list[KnownMeter]] = {}
    for one in meters:
        found.setdefault(one.site_id, []).append(
            KnownMeter(
                meter=one,
                history=known[one.id],
                series_id=numbers[one.id].register,
                kept_from_ms=states[one.id].kept_from_ms if one.id in states else 0,
                first_ms=states[one.id].first_ms if one.id in states else None,
            )
        )
    return {site_id: tuple(of_it) for site_id, of_it in found.items()}


def _as_it_was(one: Meter, former: Mapping[str, Former]) -> Meter:
    was = former.get(one.id)
    return one if was is None else replace(one, role=was.role, category=was.category)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A time of a site to be added to ``total``; facility and IT are both among ``meters``.

    The IT meters are all that the site has of one category.
    """

    meters: Sequence[KnownMeter]
    total: SiteEnergy
    period: Interval
    former: Mapping[str, Former] = field(default_factory=dict)
    """Meters of the site that stood for something else at that time."""

    @property
    def site_id(self) -> str:
        """The site that all of the meters belong to."""
        return self.meters[0].meter.site_id

    @property
    def kept_from_ms(self) -> int:
        """From when on raw readings of all meters are kept."""
        return max(known.kept_from_ms for known in self.meters)

    def count(self, role: MeterRole) -> int:
        """Return how many meters have a role."""
        return sum(known.meter.role is role for known in self.meters)


def add_period(
    connection: Connection,
    meters: Sequence[KnownMeter],
    total: SiteEnergy,
    period: Interval,
    former: Mapping[str, Former] | None = None,
) -> None:
    """Add what facility and IT meters of a site know of a period; both roles are among them."""
    one = Stretch(meters=meters, total=total, period=period, former=former or {})
    add_stretches(connection, [one])


def add_stretches(connection: Connection, stretches: Iterable[Stretch]) -> None:
    """Add what the meters of sites know of times; sites with the same time are asked together."""
    by_period: dict[Interval, list[Stretch]] = {}
    for one in stretches:
        by_period.setdefault(one.period, []).append(one)
    raw: dict[Interval, list[Stretch]] = {}
    for period, same in by_period.items():
        windows = _windows(connection, same, inside(period))
        for one in same:
            pieces = [*ends(period), *_take_windows(one, windows.get(one.site_id, ()))]
            for piece in pieces:
                if piece.start_ms >= one.kept_from_ms:
                    raw.setdefault(piece, []).append(one)
    for piece, wanted in raw.items():
        _add_raw(connection, wanted, piece)


def _windows(
    connection: Connection, stretches: Sequence[Stretch], whole: Interval
) -> dict[str, list[Row[Any]]]:
    """Return the rows of ``by_window`` inside whole windows, by site and in order of time."""
    if whole.start_ms >= whole.end_ms:
        return {}
    former = {meter_id: was for one in stretches for meter_id, was in one.former.items()}
    windows = by_window(_meters_of(stretches, former), whole, former)
    found: dict[str, list[Row[Any]]] = {}
    for row in connection.execute(select(windows).order_by(windows.c.start_at)):
        found.setdefault(row.site_id, []).append(row)
    return found


def _role_of(former: Mapping[str, Former]) -> ColumnElement[str]:
    """Select what a meter stood for."""
    return _in_its_time(meter.c.role, {meter_id: was.role for meter_id, was in former.items()})


def _category_of(former: Mapping[str, Former]) -> ColumnElement[str]:
    category = {meter_id: was.category for meter_id, was in former.items()}
    return _in_its_time(meter.c.category, category)


def _in_its_time(now: ColumnElement[str], former: Mapping[str, StrEnum]) -> ColumnElement[str]:
    """Select what a column held: for some meters something else than now."""
    if not former:
        return now
    was = {meter_id: value.value for meter_id, value in former.items()}
    return case(was, value=meter.c.id, else_=now)


def _meters_of(stretches: Sequence[Stretch], former: Mapping[str, Former]) -> ColumnElement[bool]:
    """Select the meters of stretches: by site and category, since the ids may be thousands."""
    by_category: dict[PueCategory, list[str]] = {}
    for one in stretches:
        category = next(k.meter.category for k in one.meters if k.meter.role is MeterRole.IT)
        by_category.setdefault(category, []).append(one.site_id)
    is_facility = _role_of(former) == MeterRole.FACILITY.value
    is_it = _role_of(former) == MeterRole.IT.value
    return or_(
        *(
            and_(
                meter.c.site_id.in_(site_ids),
                or_(is_facility, and_(is_it, _category_of(former) == category.value)),
            )
            for category, site_ids in by_category.items()
        )
    )


def _take_windows(stretch: Stretch, rows: Iterable[Row[Any]]) -> Iterator[Interval]:
    """Add windows to the total of a stretch; yield those that only raw readings can tell."""
    total, meters = stretch.total, len(stretch.meters)
    facility, it = stretch.count(MeterRole.FACILITY), stretch.count(MeterRole.IT)
    for row in rows:
        start_ms = to_epoch_ms(row.start_at)
        if row.meters == meters and row.facility_ms == row.it_ms == WINDOW_MS:
            total.facility_mwh += int(row.facility_mwh)
            total.it_mwh += int(row.it_mwh)
            total.interpolated_ms += row.interpolated_ms
            total.estimated_ms += row.estimated_ms
            total.common_ms += WINDOW_MS
            total.facility_ms += WINDOW_MS
            total.it_ms += WINDOW_MS
        elif start_ms >= stretch.kept_from_ms and not row.powered:
            yield Interval(start_ms, start_ms + WINDOW_MS)
        else:
            total.facility_ms += row.facility_ms if row.facility == facility else 0
            total.it_ms += row.it_ms if row.it == it else 0


def by_window(
    taken: ColumnElement[bool], whole: Interval, former: Mapping[str, Former]
) -> Subquery:
    """Select one row a site and window: what each role knows of it, by the newest revisions.

    ``taken`` says which rows of the meter table take part.
    """
    start, end = from_epoch_ms(whole.start_ms), from_epoch_ms(whole.end_ms)
    is_facility = _role_of(former) == MeterRole.FACILITY.value
    window = energy_window.c
    is_powered = window.source.in_([Source.POWER.value, Source.MIXED.value])
    return (
        select(
            meter.c.site_id,
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
            taken,
            window.start_at >= start,
            window.start_at < end,
            is_newest_window(start, end),
        )
        .group_by(meter.c.site_id, window.start_at)
        .subquery()
    )


def _add_raw(connection: Connection, stretches: Sequence[Stretch], piece: Interval) -> None:
    """Add a short time of sites, computed from the raw register readings around it."""
    everyone = [known for one in stretches for known in one.meters]
    found = segments_of(connection, everyone, piece)
    for one in stretches:
        by_role: dict[MeterRole, list[list[Segment]]] = {role: [] for role in ROLES}
        for known in one.meters:
            by_role[known.meter.role].append(found[known.meter.id])
        add_segments(one.total, by_role, piece)


def segments_of(
    connection: Connection, meters: Sequence[KnownMeter], piece: Interval
) -> dict[str, list[Segment]]:
    """Return what the raw register readings of meters say of a stretch of time, by their ids."""
    read = samples.around(
        connection, [known.series_id for known in meters if known.series_id], *piece
    )
    return {
        known.meter.id: list(
            segments(
                known.history,
                registers_of(
                    read.get(known.series_id, samples.NOTHING),
                    CARRIER_UNITS[known.meter.carrier].wh_per_unit,
                ),
            )
        )
        for known in meters
    }
