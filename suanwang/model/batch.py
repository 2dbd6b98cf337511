"""Readings in bulk: a table of series, and columns of rows that refer to it.

From the agent's buffer to the record a reading is no object but a row of four columns: a fleet
makes thousands a second, and an object for each costs more than everything else done with it.
"""

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from suanwang.clock import from_epoch_ms, to_epoch_ms
from suanwang.ids import SiteId
from suanwang.model.reading import Quality, Reading, SourceListing, SourceReport

QUALITIES: Final = tuple(Quality)
"""Codes of qualities are places in here: their order is part of every format."""
QUALITY_CODES: Final[Mapping[Quality, int]] = {name: code for code, name in enumerate(QUALITIES)}


class SeriesKey(NamedTuple):
    """What is read, and which number of it."""

    subject: str
    metric: str


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Readings by column. ``series`` are places in a table of series, ``quality`` are codes."""

    series: NDArray[np.uint32]
    at_ms: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.at_ms)

    def taken(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> "Rows":
        """Return the rows that a mask says, or those at these places, in their order."""
        return Rows(self.series[which], self.at_ms[which], self.value[which], self.quality[which])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Readings:
    """Readings in the order in which they came; ``labels`` are by place of their series."""

    series: tuple[SeriesKey, ...]
    labels: Mapping[int, Mapping[str, str]]
    rows: Rows

    def __len__(self) -> int:
        return len(self.rows)

    def each(self) -> Iterable[Reading]:
        """Yield the readings one by one, for people and tests."""
        rows = self.rows
        columns = (rows.series, rows.at_ms, rows.value, rows.quality)
        for place, at_ms, value, code in zip(*(c.tolist() for c in columns), strict=True):
            yield Reading(
                subject=self.series[place].subject,
                metric=self.series[place].metric,
                value=value,
                at=from_epoch_ms(at_ms),
                quality=QUALITIES[code],
                labels=self.labels.get(place, {}),
            )


class Gathering:
    """Takes readings one by one and hands them on by column."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], int] = {}
        self._labels: dict[int, Mapping[str, str]] = {}
        self._series = array("I")
        self._at_ms = array("q")
        self._value = array("d")
        self._quality = array("B")

    def __len__(self) -> int:
        return len(self._at_ms)

    def add(self, readings: Iterable[Reading]) -> None:
        """Take readings in; moments are kept to the millisecond, as in the record."""
        places, last_at, at_ms = self._places, None, 0
        for reading in readings:
            place = places.get((reading.subject, reading.metric))
            if place is None:
                place = self._name(reading)
            if reading.at is not last_at:
                # The readings of a poll share their moment.
                last_at, at_ms = reading.at, to_epoch_ms(reading.at)
            self._series.append(place)
            self._at_ms.append(at_ms)
            self._value.append(reading.value)
            self._quality.append(QUALITY_CODES[reading.quality])

    def readings(self) -> Readings:
        """Return what was taken in."""
        return Readings(
            series=tuple(SeriesKey(*name) for name in self._places),
            labels=dict(self._labels),
            rows=Rows(
                np.array(self._series, np.uint32),
                np.array(self._at_ms, np.int64),
                np.array(self._value, np.float64),
                np.array(self._quality, np.uint8),
            ),
        )

    def _name(self, reading: Reading) -> int:
        place = len(self._places)
        self._places[reading.subject, reading.metric] = place
        if reading.labels:
            self._labels[place] = dict(reading.labels)
        return place


def gathered(readings: Iterable[Reading]) -> Readings:
    """Return readings by column."""
    found = Gathering()
    found.add(readings)
    return found.readings()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TelemetryBatch:
    """What an agent sends in one piece; the same id is recorded once, however often it arrives."""

    id: str
    site_id: SiteId
    sent_at: datetime
    readings: Readings
    reports: tuple[SourceReport, ...] = ()
    listing: SourceListing | None = None
