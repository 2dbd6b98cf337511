"""Load of feeds and racks: the power of the meters that measure them, over what may be carried.

A rack is held against the weaker of its feeds, which must carry it alone when the other is gone.
"""

from typing import Final

from sqlalchemy import ColumnElement, Connection, Row, Select, Subquery, and_, case, func, select

from alerts.model import Observation, Seen
from alerts.store_signals import FRESH, Ask
from suanwang.clock import to_epoch_ms
from suanwang.db.tables import feed, meter, meter_state, rack
from suanwang.model.meter import Carrier

Load = Row[tuple[str, str, int, float, int]]
FEED: Final = "feed"
RACK: Final = "rack"


def feed_load(connection: Connection, ask: Ask) -> Seen:
    """Return the newest power of each metered feed and rack over what may be carried."""
    fresh_ms = to_epoch_ms(ask.now - FRESH)
    measured = _measured()
    found = []
    for kind, query in ((FEED, _feeds(measured)), (RACK, _racks(measured))):
        loads = query.subquery()
        wanted = select(loads).where(
            loads.c.limit_w > 0,
            loads.c.power_w > loads.c.limit_w * (0.0 if ask.floor is None else ask.floor),
        )
        found += [_observed(kind, row, fresh_ms) for row in connection.execute(wanted)]
    return Seen(observations=tuple(found))


def _observed(kind: str, row: Load, fresh_ms: int) -> Observation:
    return Observation(
        site_id=row.site_id,
        subject=f"{kind}:{row.id}",
        value=row.power_w / row.limit_w if row.at_ms >= fresh_ms else None,
        words=f"{row.power_w / 1000:.1f} kW of {row.limit_w / 1000:.1f} kW",
    )


def _measured() -> Subquery:
    """Select the power of each thing, by its topmost meters; as old as the oldest of them."""
    above = meter.alias("above")
    is_again = (
        select(above.c.id)
        .where(
            above.c.id == meter.c.parent_id,
            above.c.measures == meter.c.measures,
            above.c.object_id == meter.c.object_id,
        )
        .exists()
    )
    return (
        select(
            meter.c.site_id,
            meter.c.measures,
            meter.c.object_id,
            func.sum(meter_state.c.power_w).label("power_w"),
            func.min(meter_state.c.power_at_ms).label("at_ms"),
        )
        .join(meter_state, meter_state.c.meter_id == meter.c.id)
        .where(
            meter.c.carrier == Carrier.ELECTRICITY.value,
            meter.c.object_id.is_not(None),
            meter_state.c.power_w.is_not(None),
            ~is_again,
        )
        .group_by(meter.c.site_id, meter.c.measures, meter.c.object_id)
        .subquery()
    )


def _feeds(measured: Subquery) -> Select[tuple[str, str, int, float, int]]:
    return select(
        feed.c.site_id, feed.c.id, feed.c.rated_w.label("limit_w"), *_power(measured)
    ).join(measured, _is(measured, FEED, feed.c.site_id, feed.c.id))


def _racks(measured: Subquery) -> Select[tuple[str, str, int, float, int]]:
    first, second = feed.alias("first"), feed.alias("second")
    a_w, b_w = first.c.rated_w, second.c.rated_w
    weaker_w = case(
        (and_(a_w.is_not(None), b_w.is_not(None)), case((a_w < b_w, a_w), else_=b_w)),
        else_=func.coalesce(a_w, b_w, rack.c.rated_w),
    )
    return (
        select(rack.c.site_id, rack.c.id, weaker_w.label("limit_w"), *_power(measured))
        .join(measured, _is(measured, RACK, rack.c.site_id, rack.c.id))
        .outerjoin(first, and_(first.c.site_id == rack.c.site_id, first.c.id == rack.c.feed_a_id))
        .outerjoin(
            second, and_(second.c.site_id == rack.c.site_id, second.c.id == rack.c.feed_b_id)
        )
    )


def _power(measured: Subquery) -> tuple[ColumnElement[float], ColumnElement[int]]:
    return measured.c.power_w, measured.c.at_ms


def _is(
    measured: Subquery, kind: str, site_id: ColumnElement[str], thing_id: ColumnElement[str]
) -> ColumnElement[bool]:
    return and_(
        measured.c.measures == kind,
        measured.c.site_id == site_id,
        measured.c.object_id == thing_id,
    )
