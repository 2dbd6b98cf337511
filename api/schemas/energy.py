"""Bodies around meters and their energy record."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final

from pydantic import AwareDatetime, Field, TypeAdapter

from api.schemas.common import In, Out, Title
from collectors.kpi import FORMULA
from collectors.store_hours import PueHours
from collectors.store_meters import FACTOR_MAX, NewEpisode
from suanwang.model.inventory import Measures
from suanwang.model.meter import Carrier, MeterRole, PueCategory, PueFigure, WindowState
from suanwang.model.reading import Quality
from suanwang.periods import Period

RegisterWh = Annotated[float, Field(ge=0, le=9e12, allow_inf_nan=False)]
Factor = Annotated[int, Field(ge=1, le=FACTOR_MAX)]


class EpisodeIn(In):
    """A meter was replaced, or its transformers were: what holds from a moment on."""

    from_at: AwareDatetime
    final_wh: RegisterWh | None = Field(
        default=None, description="register of the old life at its end, Wh; null: nobody read it"
    )
    initial_wh: RegisterWh | None = Field(
        default=None, description="register of the new life at its start, Wh"
    )
    factor_num: Factor = 1
    factor_den: Factor = 1
    rated_w: Annotated[int, Field(gt=0, le=10**12)] | None = None
    resolution_wh: float | None = Field(default=None, gt=0, le=10**9, allow_inf_nan=False)
    modulus_wh: int | None = Field(default=None, ge=0, le=9 * 10**12)
    reason: Title

    def to_episode(self, actor: str) -> NewEpisode:
        """Return the episode of the record."""
        return NewEpisode(
            from_at=self.from_at,
            final_wh=self.final_wh,
            initial_wh=self.initial_wh,
            factor_num=self.factor_num,
            factor_den=self.factor_den,
            rated_w=self.rated_w,
            resolution_wh=self.resolution_wh,
            modulus_wh=self.modulus_wh,
            reason=self.reason,
            actor=actor,
        )


class EpisodeBegun(Out):
    """The number of an episode of a meter."""

    meter_id: str
    seq: int


class PueList(Out):
    """PUE of every site over one period, by id."""

    items: list[PueFigure]


class PueHourOut(Out):
    """An hour; ``value`` is null where it is withheld. Energies are of the time known of both."""

    start: AwareDatetime
    value: float | None
    facility_wh: float
    it_wh: float
    coverage: float
    quality: Quality
    state: WindowState
    revision: int
    withheld: str


class PueHourList(Out):
    """Hours in order of time; an hour without any reading is not among them.

    ``hours`` is how many the period has so far; each value is interim.
    """

    site_id: str
    category: PueCategory | None
    formula: str
    start: AwareDatetime
    end: AwareDatetime
    hours: int
    items: list[PueHourOut]


@dataclass(slots=True)
class _HourWords:
    """A ``PueHourOut`` that is only written: not frozen, which would take three times as long."""

    start: str
    value: float | None
    facility_wh: float
    it_wh: float
    coverage: float
    quality: Quality
    state: WindowState
    revision: int
    withheld: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _HourListWords:
    site_id: str
    category: PueCategory | None
    formula: str
    start: datetime
    end: datetime
    hours: int
    items: list[_HourWords]


_HOUR_LIST: Final = TypeAdapter(_HourListWords)


def hours_json(site_id: str, found: PueHours, period: Period) -> bytes:
    """Return a ``PueHourList`` as JSON, written from columns: a year is 8,760 items.

    A model of each item, and a second look at all of them, took three times as long as the query.
    """
    items = [
        _HourWords(start, *fields)
        for start, fields in zip(found.starts_text(), found.fields(), strict=True)
    ]
    return _HOUR_LIST.dump_json(
        _HourListWords(
            site_id=site_id,
            category=found.category,
            formula=FORMULA,
            start=period.start,
            end=period.end,
            hours=(period.end - period.start) // timedelta(hours=1),
            items=items,
        )
    )


class EpisodeOut(Out):
    """An episode as it is in the record; ``from_at`` is null for the first."""

    seq: int
    from_at: AwareDatetime | None
    initial_wh: float | None
    final_wh: float | None
    factor_num: int
    factor_den: int
    rated_w: int
    resolution_wh: float
    modulus_wh: int
    reason: str
    actor: str
    recorded_at: AwareDatetime


class MeterOut(Out):
    """A meter with its episodes; none were recorded: it has had one life so far."""

    id: str
    name: str
    role: MeterRole
    category: PueCategory
    carrier: Carrier
    rated_w: int
    resolution_wh: float
    modulus_wh: int
    poll_s: float
    episodes: list[EpisodeOut]


class MeterList(Out):
    """Meters of a site by their ids."""

    items: list[MeterOut]


class GapOut(Out):
    """A meter and those behind it over the time that they all know; in the meter's unit."""

    own: float
    children: float
    gap: float = Field(description="what goes in and does not come out behind; below 0: too much")
    ratio: float | None = Field(description="that, as a part of the meter's own energy")
    coverage: float
    silent: list[str] = Field(description="meters behind it that counted nothing")
    is_odd: bool = Field(description="more than 3 % apart, with no silent meter behind it")


class BranchOut(Out):
    """A meter in its place in the tree, with what it counted."""

    id: str
    name: str
    depth: int
    is_last: bool
    role: MeterRole
    carrier: Carrier
    category: PueCategory
    measures: Measures
    object_id: str | None
    energy: float
    unit: str = Field(description="Wh, or l of water")
    coverage: float
    gap: GapOut | None


class MeterTree(Out):
    """The meters of a site, each before those behind it."""

    site_id: str
    start: AwareDatetime
    end: AwareDatetime
    items: list[BranchOut]
