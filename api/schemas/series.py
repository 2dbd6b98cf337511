"""Raw series and their samples."""

from datetime import datetime

from api.schemas.common import Out


class SeriesOut(Out):
    """A raw series."""

    id: int
    subject: str
    metric: str


class SeriesList(Out):
    """A page of series by number; ``next`` goes into ``after``."""

    items: list[SeriesOut]
    next: int | None


class PointOut(Out):
    """The samples of a step that begins ``at``."""

    at: datetime
    last: float
    mean: float
    min: float
    max: float
    samples: int


class PointList(Out):
    """A stretch of a series, in order of time."""

    items: list[PointOut]
