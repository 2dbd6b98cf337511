"""PUE of a site hour by hour, out of the roll-ups: what a curve over a year shows.

A year has 8,784 hours, so they go by columns: no object is made of a row before somebody asks for
its fields.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, extract, select

from collectors import quality
from collectors.kpi import SiteMeters
from collectors.store_pue import AskedPue, facts_of
from collectors.store_rollup import HOUR_MS, Grain
from suanwang.db.tables import site_energy
from suanwang.ids import SiteId
from suanwang.model.meter import PueCategory, WindowState
from suanwang.model.reading import Quality

Whole = NDArray[np.int64]
UNKNOWN: Final = "not all meters are known at any moment of it"
NO_IT: Final = "the IT meters counted no energy"
BELOW: Final = "facility energy is below IT energy"
ABOVE: Final = f"facility energy is more than {quality.PUE_MAX:g} times IT energy"
_REASONS: Final = ("", UNKNOWN, NO_IT, BELOW, ABOVE)
_STATES: Final = {state.value: state for state in WindowState}
_MWH_PER_WH: Final = 1_000


class HourPue(NamedTuple):
    """An hour of a site; a named tuple, since a year has thousands of them.

    ``value`` is the PUE of its known part, always interim; where it is None ``withheld`` says why.
    ``coverage`` is the share of the hour at which all meters are known.
    """

    start: datetime
    value: float | None
    facility_wh: float
    it_wh: float
    coverage: float
    quality: Quality
    state: WindowState
    revision: int
    withheld: str


HourFields = tuple[float | None, float, float, float, Quality, WindowState, int, str]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PueHours:
    """Hours of a site in order of time, by column; energies are of the common time.

    ``category`` is None where the site measures IT energy in several ways and declares none: then
    there are no hours.
    """

    category: PueCategory | None
    start_s: Whole
    facility_mwh: Whole
    it_mwh: Whole
    common_ms: Whole
    quality: tuple[Quality, ...]
    state: tuple[WindowState, ...]
    revision: Whole

    def __len__(self) -> int:
        return len(self.start_s)

    def reasons(self) -> NDArray[np.int64]:
        """Return of each hour the number of the reason why its PUE is withheld; 0 where it is not.

        Compared as whole numbers, so that a ratio of exactly 1 is not lost to a float.
        """
        return np.select(
            [
                self.common_ms <= 0,
                self.it_mwh <= 0,
                self.facility_mwh < int(quality.PUE_MIN) * self.it_mwh,
                self.facility_mwh > int(quality.PUE_MAX) * self.it_mwh,
            ],
            [1, 2, 3, 4],
            0,
        )

    def rows(self) -> Iterator[HourPue]:
        """Yield the hours one by one."""
        starts = (at.replace(tzinfo=UTC) for at in self.start_s.astype("datetime64[s]").tolist())
        return (HourPue(at, *fields) for at, fields in zip(starts, self.fields(), strict=True))

    def starts_text(self) -> list[str]:
        """Return the start of each hour as RFC 3339 says it."""
        moments = self.start_s.astype("datetime64[s]")
        texts: list[str] = np.datetime_as_string(moments, unit="s", timezone="UTC").tolist()
        return texts

    def fields(self) -> "zip[HourFields]":
        """Yield what is known of each hour but its start, as plain tuples in the order of HourPue.

        An answer of a year is made of these: objects of 8,760 hours cost more than the query.
        """
        reasons = self.reasons().tolist()
        ratios = (self.facility_mwh / np.maximum(self.it_mwh, 1)).tolist()
        return zip(
            [None if why else ratio for ratio, why in zip(ratios, reasons, strict=True)],
            (self.facility_mwh / _MWH_PER_WH).tolist(),
            (self.it_mwh / _MWH_PER_WH).tolist(),
            (self.common_ms / HOUR_MS).tolist(),
            self.quality,
            self.state,
            self.revision.tolist(),
            [_REASONS[why] for why in reasons],
            strict=True,
        )


def hours_of_pue(connection: Connection, site_id: str, asked: AskedPue) -> PueHours:
    """Return the newest revision of each hour that begins in the period and was told.

    An hour that changed and waits to be summed up again is as it was; one without any reading is
    not there. IT energy is that of one category, chosen as for ``pue``.
    """
    facts = facts_of(connection, [site_id])[SiteId(site_id)]
    category = asked.category or facts.category()
    rolled = site_energy.c
    columns = (
        extract("epoch", rolled.start_at),
        rolled.facility_mwh,
        rolled.it_mwh,
        rolled.common_ms,
        rolled.interpolated_ms,
        rolled.estimated_ms,
        rolled.revision,
        rolled.state,
    )
    rows = connection.execute(
        select(*columns)
        .where(
            rolled.site_id == site_id,
            rolled.category == (category.value if category else ""),
            rolled.grain == Grain.HOUR.value,
            rolled.start_at >= asked.start,
            rolled.start_at < min(asked.end, asked.now),
            rolled.is_newest,
        )
        .order_by(rolled.start_at)
    ).all()
    *numbers, states = zip(*rows, strict=True) if rows else [()] * len(columns)
    start_s, facility, it, common, interpolated, estimated, revision = (
        np.array(one, np.int64) for one in numbers
    )
    return PueHours(
        category=category,
        start_s=start_s,
        facility_mwh=facility,
        it_mwh=it,
        common_ms=common,
        quality=_qualities((facility, it, common, interpolated, estimated), facts.about(category)),
        state=tuple(_STATES[state] for state in states),
        revision=revision,
    )


def _qualities(sums: tuple[Whole, ...], meters: SiteMeters) -> tuple[Quality, ...]:
    """Return the quality of each hour, by the rules of ``quality``."""
    facility_mwh, it_mwh, common_ms, interpolated_ms, estimated_ms = sums
    is_coarse = (facility_mwh < quality.COUNTS_MIN * meters.facility_resolution_mwh) | (
        it_mwh < quality.COUNTS_MIN * meters.it_resolution_mwh
    )
    codes = np.select(
        [common_ms <= 0, (estimated_ms > 0) | is_coarse, interpolated_ms > 0], [0, 1, 2], 3
    )
    names = (Quality.MISSING, Quality.ESTIMATED, Quality.INTERPOLATED, Quality.MEASURED)
    return tuple(names[code] for code in codes.tolist())
