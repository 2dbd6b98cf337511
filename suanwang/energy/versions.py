"""Versions of a tariff: which one is in force when, and prices across a change."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from suanwang.energy.tariff import BaseTariff, PricedSegment, average_of
from suanwang.errors import BadInput


@dataclass(frozen=True, slots=True)
class VersionPiece:
    """A piece of time under one version; ``is_stand_in`` where the version is not in force then."""

    start: datetime
    end: datetime
    tariff: BaseTariff
    is_stand_in: bool


@dataclass(frozen=True, slots=True)
class TariffVersions:
    """Versions of one tariff in the order of their dates; their dates do not overlap.

    Where none is in force, the newest one before stands in, and before the first the first.
    """

    versions: tuple[BaseTariff, ...]

    @classmethod
    def of(cls, tariffs: Iterable[BaseTariff]) -> "TariffVersions":
        """Put versions in order; raise BadInput where they do not go together."""
        ordered = tuple(sorted(tariffs, key=lambda one: one.effective_from))
        if not ordered:
            raise BadInput("a tariff needs at least one version")
        for one, two in pairwise(ordered):
            if two.effective_from <= one.effective_to:
                raise BadInput(
                    f"tariffs {one.id} and {two.id} of the series {one.series} are both in force "
                    f"on {two.effective_from.isoformat()}",
                    next_step="end the one on the day before the other begins",
                )
            if (one.timezone, one.region) != (two.timezone, two.region):
                raise BadInput(
                    f"tariffs {one.id} and {two.id} of the series {one.series} are of different "
                    f"places: {one.region} {one.timezone} and {two.region} {two.timezone}"
                )
        return cls(ordered)

    @property
    def series(self) -> str:
        """The name that all versions share."""
        return self.versions[0].series

    @property
    def zone(self) -> ZoneInfo:
        """The time zone that days and months are counted in."""
        return ZoneInfo(self.versions[0].timezone)

    def at(self, moment: datetime) -> BaseTariff:
        """Return the version in force, or that stands in."""
        day = moment.astimezone(self.zone).date()
        before = [one for one in self.versions if one.effective_from <= day]
        return before[-1] if before else self.versions[0]

    def check_voltage(self, voltage: str) -> None:
        """Raise BadInput where a version has no price for a voltage class."""
        for one in self.versions:
            one.check_voltage(voltage)

    def pieces(self, start: datetime, end: datetime) -> Iterator[VersionPiece]:
        """Cut a time where versions change; each piece says whether its version is in force."""
        here, end_utc = start.astimezone(UTC), end.astimezone(UTC)
        while here < end_utc:
            edges = [edge for edge in self._edges() if edge > here]
            stop = min([*edges, end_utc])
            tariff = self.at(here)
            yield VersionPiece(here, stop, tariff, not tariff.has_prices(here, stop))
            here = stop

    def priced(
        self, start: datetime, end: datetime, voltage: str
    ) -> Iterator[tuple[BaseTariff, PricedSegment]]:
        """Cut a time into pieces of one price, each with its version."""
        for piece in self.pieces(start, end):
            for one in piece.tariff.priced(piece.start, piece.end, voltage):
                yield piece.tariff, one

    def average_uyuan_per_kwh(self, start: datetime, end: datetime, voltage: str) -> int:
        """Return what one more kWh over a period costs, weighted by time, in whole micro-yuan."""
        return average_of(self.priced(start, end, voltage), (start, end), voltage)

    def is_stand_in(self, start: datetime, end: datetime) -> bool:
        """Whether some moment of a period has a price that only stands in."""
        return any(piece.is_stand_in for piece in self.pieces(start, end))

    def _edges(self) -> list[datetime]:
        """Moments at which a version begins, or ends with none after it."""
        days = {one.effective_from for one in self.versions}
        days |= {one.effective_to + timedelta(days=1) for one in self.versions}
        return sorted(self._midnight(day) for day in days)

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), tzinfo=self.zone).astimezone(UTC)
