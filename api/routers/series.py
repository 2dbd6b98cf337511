"""Raw series of a site: which there are, and their samples."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime

from api.context import Context
from api.identity import SiteManager
from api.ownership import own_site
from api.schemas.series import PointList, PointOut, SeriesList, SeriesOut
from collectors import store_query
from collectors.store_query import Names, Span
from suanwang.errors import BadInput
from suanwang.units import INT64_MAX

router = APIRouter(prefix="/v1/sites", tags=["energy"])

DAY = timedelta(days=1)
LONGEST = timedelta(days=37)
"""A little more than raw samples are kept."""
Number = Annotated[int, Query(ge=0, le=INT64_MAX)]
Moment = Annotated[AwareDatetime | None, Query(description="with its zone")]


def _names(
    subject: Annotated[
        str,
        Query(max_length=201, description="of this subject only, or those that begin so: `gpu:*`"),
    ] = "",
    metric: Annotated[str, Query(max_length=100, description="of this metric only")] = "",
) -> Names:
    return Names(subject, metric)


@router.get("/{site_id}/series", summary="Raw series of a site")
def list_series(
    site_id: str,
    identity: SiteManager,
    context: Context,
    names: Annotated[Names, Depends(_names)],
    after: Number = 0,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 200,
) -> SeriesList:
    """Return series with their subject and metric, by number."""
    with context.reading() as connection:
        own_site(connection, identity, site_id)
        found = store_query.list_series(connection, site_id, names, after=after, limit=limit)
    return SeriesList(
        items=[SeriesOut(id=one.id, subject=one.subject, metric=one.metric) for one in found],
        next=found[-1].id if len(found) == limit else None,
    )


def _span(context: Context, start: Moment = None, end: Moment = None) -> Span:
    until = end or context.clock.now()
    since = start or until - DAY
    if since >= until or until - since > LONGEST:
        raise BadInput(
            f"the period from {since.isoformat()} to {until.isoformat()} is empty, or longer than"
            f" {LONGEST.days} days",
            next_step="give an end after the start",
        )
    return Span(since, until)


@router.get("/{site_id}/samples", summary="Samples of a raw series")
def read_samples(
    site_id: str,
    identity: SiteManager,
    context: Context,
    series: Number,
    span: Annotated[Span, Depends(_span)],
    step_s: Annotated[int, Query(ge=0, le=86_400, description="0 gives every sample")] = 0,
) -> PointList:
    """Return last, mean, least and greatest value of each step; without a period the last day."""
    with context.reading() as connection:
        own_site(connection, identity, site_id)
        found = store_query.points(connection, site_id, series, span, step_s)
    return PointList(items=[PointOut(**point._asdict()) for point in found])
