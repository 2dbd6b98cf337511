"""The energy record of a site: its PUE, what stands behind it, and its meters."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query
from sqlalchemy import Connection
from starlette.responses import Response

from api.context import Context
from api.identity import Identity, SiteManager, SiteReader
from api.ownership import own_site
from api.schemas.energy import (
    EpisodeBegun,
    EpisodeIn,
    EpisodeOut,
    MeterList,
    MeterOut,
    PueHourList,
    PueList,
    hours_json,
)
from collectors import store as telemetry
from collectors import store_explain as explaining
from collectors import store_meters
from collectors.store import AskedPue
from collectors.store_explain import Checked, Explained
from collectors.store_hours import hours_of_pue
from collectors.store_inventory_history import Author, Origin, capture_meters
from collectors.store_rollup import HOUR_MS
from scheduler import registry
from suanwang.clock import from_epoch_ms, to_epoch_ms
from suanwang.errors import BadInput, NotFound
from suanwang.ids import SiteId
from suanwang.model.meter import PueCategory, PueFigure
from suanwang.periods import EXAMPLES, Period, parse_period

router = APIRouter(prefix="/v1/sites", tags=["energy"])
network_router = APIRouter(prefix="/v1", tags=["energy"])

Hours = Annotated[int, Query(ge=1, le=366 * 24, description="hours back from now")]
PeriodText = Annotated[
    str | None,
    Query(max_length=100, description=f"in the site's time zone, instead of hours: {EXAMPLES}"),
]
Category = Annotated[
    PueCategory | None, Query(description="where IT is measured; else what the site declares")
]


@dataclass(frozen=True, slots=True)
class AskedText:
    """Which PUE is asked for, as the address says it."""

    hours: Hours = 24
    period: PeriodText = None
    category: Category = None

    def in_zone(self, zone: str, now: datetime) -> Period:
        """Return the period; a named one is in the given time zone."""
        return in_zone(self.period, self.hours, zone, now)

    def question(self, period: Period, now: datetime) -> AskedPue:
        """Return the question for the record."""
        return AskedPue(start=period.start, end=period.end, now=now, category=self.category)


Asked = Annotated[AskedText, Depends()]
HOUR: Final = timedelta(hours=1)
HOURS_LONGEST: Final = timedelta(days=366, hours=1)
"""Most hours of one answer: a leap year, back from any moment."""
_MEASURES: Final = tuple(name for name in MeterOut.model_fields if name != "episodes")


def asked_period(
    connection: Connection, site_id: str, text: str | None, hours: int, now: datetime
) -> Period:
    """Return the asked period; raise NotFound for an unknown site, BadInput for no period."""
    site = registry.find_site(connection, SiteId(site_id)).site
    return in_zone(text, hours, site.timezone, now)


def in_zone(text: str | None, hours: int, zone: str, now: datetime) -> Period:
    if text is None:
        return Period(now - timedelta(hours=hours), now)
    return parse_period(text, ZoneInfo(zone), now)


@router.get("/{site_id}/pue", summary="PUE of a site")
def read_pue(site_id: str, identity: SiteReader, context: Context, asked: Asked) -> PueFigure:
    """Return the PUE of a period with energies, coverage, quality and category.

    ``value`` is null where it is withheld; ``withheld`` says why.
    """
    now = context.clock.now()
    with context.reading() as connection:
        period = asked_period(connection, site_id, asked.period, asked.hours, now)
        return telemetry.pue(connection, site_id, period.start, period.end, now, asked.category)


@router.get(
    "/{site_id}/pue/hours", summary="PUE of a site hour by hour", response_model=PueHourList
)
def read_pue_hours(site_id: str, identity: SiteReader, context: Context, asked: Asked) -> Response:
    """Return the hours that a period touches and that are over, as they stand in the record.

    A year at most. An hour that changed is as it was until it is summed up again, half a minute
    later.
    """
    now = context.clock.now()
    with context.reading() as connection:
        touched = asked_period(connection, site_id, asked.period, asked.hours, now)
        period = _whole_hours(touched, now)
        found = hours_of_pue(connection, site_id, asked.question(period, now))
    return Response(hours_json(site_id, found, period), media_type="application/json")


def _whole_hours(period: Period, now: datetime) -> Period:
    """Return the hours that a period touches and that are over, as one period (maybe empty)."""
    low_ms = to_epoch_ms(period.start) // HOUR_MS * HOUR_MS
    high_ms = -(-to_epoch_ms(period.end) // HOUR_MS) * HOUR_MS
    over_ms = to_epoch_ms(now) // HOUR_MS * HOUR_MS
    start, end = from_epoch_ms(low_ms), from_epoch_ms(max(low_ms, min(high_ms, over_ms)))
    if end - start > HOURS_LONGEST:
        raise BadInput(
            f"{(end - start) // HOUR} hours are asked for; the most is {HOURS_LONGEST // HOUR}",
            next_step="ask year by year",
        )
    return Period(start, end)


@network_router.get("/pue", summary="PUE of all sites")
def read_all_pue(identity: SiteReader, context: Context, asked: Asked) -> PueList:
    """Return the PUE of every site by id; a named period is each site's own, in its time zone."""
    now = context.clock.now()
    with context.reading() as connection:
        zones = registry.zones(connection)
        by_period: dict[Period, list[SiteId]] = {}
        for site_id, zone in zones.items():
            by_period.setdefault(asked.in_zone(zone, now), []).append(site_id)
        figures: dict[SiteId, PueFigure] = {}
        for period, site_ids in by_period.items():
            figures |= telemetry.pues(connection, site_ids, asked.question(period, now))
    return PueList(items=[figures[site_id] for site_id in zones])


@router.get("/{site_id}/pue/explain", summary="What stands behind a PUE")
def explain_pue(site_id: str, identity: SiteReader, context: Context, asked: Asked) -> Explained:
    """Return the figure with each meter's energy, gaps, oddities, sources and revisions."""
    now = context.clock.now()
    with context.reading() as connection:
        period = asked_period(connection, site_id, asked.period, asked.hours, now)
        return explaining.explain(
            connection, site_id, period.start, period.end, now, asked.category
        )


@router.get("/{site_id}/pue/check", summary="Compute the record again")
def check_pue(
    site_id: str,
    identity: SiteManager,
    context: Context,
    hours: Hours = 72,
    period: PeriodText = None,
) -> Checked:
    """Compute whole days from the raw readings and say which windows of the record differ."""
    now = context.clock.now()
    with context.reading() as connection:
        own_site(connection, identity, site_id)
        asked = asked_period(connection, site_id, period, hours, now)
        return explaining.check(connection, site_id, asked.start, asked.end, now)


@router.get("/{site_id}/meters", summary="Meters of a site")
def list_meters(site_id: str, identity: SiteManager, context: Context) -> MeterList:
    """Return the meters with their episodes: each device and transformer ratio that they had."""
    with context.reading() as connection:
        own_site(connection, identity, site_id)
        return MeterList(
            items=[
                MeterOut(
                    **{name: getattr(one, name) for name in _MEASURES},
                    episodes=[
                        EpisodeOut(**asdict(episode))
                        for episode in store_meters.episodes(connection, one.id)
                    ],
                )
                for one in store_meters.site_meters(connection, site_id)
            ]
        )


@router.post(
    "/{site_id}/meters/{meter_id}/episodes", summary="A meter was replaced", status_code=201
)
def begin_episode(
    site_id: str,
    meter_id: str,
    body: EpisodeIn,
    identity: SiteManager,
    context: Context,
) -> EpisodeBegun:
    """Record another device or other ratios; windows from then on are computed anew.

    A repeat of the same episode changes nothing and answers 201 again.
    """
    with context.writing() as connection:
        _own_meter(connection, identity, site_id, meter_id)
        now, actor = context.clock.now(), f"key {identity.key_id}"
        seq = store_meters.begin_episode(connection, meter_id, body.to_episode(actor), now)
        author = Author(actor=actor, origin=Origin.EPISODE, reason=body.reason, at=now)
        capture_meters(connection, site_id, author)
    return EpisodeBegun(meter_id=meter_id, seq=seq)


def _own_meter(connection: Connection, identity: Identity, site_id: str, meter_id: str) -> None:
    own_site(connection, identity, site_id)
    if store_meters.find_meter(connection, meter_id).site_id != site_id:
        raise NotFound(f"there is no meter {meter_id} at site {site_id}")
