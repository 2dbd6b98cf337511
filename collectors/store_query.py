"""Raw series for people and programs: which there are, and their samples, thinned out if asked."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

import numpy as np
from sqlalchemy import Connection, select

from suanwang.chunk import Columns
from suanwang.clock import from_epoch_ms, to_epoch_ms
from suanwang.db import samples
from suanwang.db.tables import series
from suanwang.errors import BadInput, NotFound

POINTS_MAX: Final = 50_000
"""Most points of one answer."""


class Span(NamedTuple):
    """From ``start`` up to ``end``, which is left out."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesName:
    """A series; ``id`` is its number."""

    id: int
    subject: str
    metric: str


class Point(NamedTuple):
    """What the samples of a step were: the last, the mean, the least and the greatest value."""

    at: datetime
    last: float
    mean: float
    min: float
    max: float
    samples: int


class Names(NamedTuple):
    """Which series: an empty word is any; a subject that ends in ``*`` is any that begins so."""

    subject: str = ""
    metric: str = ""


def list_series(
    connection: Connection, site_id: str, names: Names, *, after: int, limit: int
) -> list[SeriesName]:
    """Return series of a site by their numbers."""
    wanted = select(series.c.id, series.c.subject, series.c.metric).where(
        series.c.site_id == site_id, series.c.id > after
    )
    if names.subject.endswith("*"):
        begin = names.subject[:-1]
        wanted = wanted.where(series.c.subject.startswith(begin, autoescape=True))
    elif names.subject:
        wanted = wanted.where(series.c.subject == names.subject)
    if names.metric:
        wanted = wanted.where(series.c.metric == names.metric)
    rows = connection.execute(wanted.order_by(series.c.id).limit(limit))
    return [SeriesName(id=row.id, subject=row.subject, metric=row.metric) for row in rows]


def points(
    connection: Connection,
    site_id: str,
    series_id: int,
    period: tuple[datetime, datetime],
    step_s: int,
) -> list[Point]:
    """Return a series from a moment up to another, which is left out; a step of 0 keeps them all.

    Steps begin at whole multiples of their length since 1970; one without samples has no point.
    Raises NotFound for a series of another site, BadInput for more than POINTS_MAX points.
    """
    found = connection.scalar(
        select(series.c.id).where(series.c.id == series_id, series.c.site_id == site_id)
    )
    if found is None:
        raise NotFound(f"site {site_id} has no series {series_id}")
    low_ms, high_ms = (to_epoch_ms(at) for at in period)
    whole = samples.read(connection, series_id, low_ms, high_ms - 1)
    answer = thin(whole, step_s * 1_000)
    if len(answer) > POINTS_MAX:
        raise BadInput(
            f"the answer would have {len(answer)} points, more than {POINTS_MAX}",
            next_step="ask for a shorter period or a longer step",
            points=len(answer),
            most=POINTS_MAX,
        )
    return answer


def thin(found: Columns, step_ms: int) -> list[Point]:
    """Return a point for each step, or for each sample where the step is 0."""
    if not len(found):
        return []
    marks = found.at_ms - found.at_ms % step_ms if step_ms else found.at_ms
    firsts = np.concatenate(([0], np.flatnonzero(np.diff(marks)) + 1))
    counts = np.diff(np.concatenate((firsts, [len(marks)])))
    columns = (
        marks[firsts],
        found.value[firsts + counts - 1],
        np.add.reduceat(found.value, firsts) / counts,
        np.minimum.reduceat(found.value, firsts),
        np.maximum.reduceat(found.value, firsts),
        counts,
    )
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [Point(from_epoch_ms(at_ms), *rest) for at_ms, *rest in rows]
