"""PUE out of energies over the same time. Pure; the rules in words are in ``docs/pue.md``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from collectors import quality
from collectors.register import Segment
from suanwang.ids import SiteId
from suanwang.model.meter import MeterRole, PueCategory, PueFigure
from suanwang.model.reading import Quality

FORMULA: Final = "pue-1"
"""Version of the rules of ``docs/pue.md`` by which roll-ups are made."""
_MWH_PER_WH: Final = 1_000
NO_TIME: Final = "there is no time at which all facility and IT meters are known"
"""Why a figure is withheld whose meters never knew anything together."""
MILLISECOND: Final = timedelta(milliseconds=1)


class Interval(NamedTuple):
    """A stretch of time, ms since 1970, the end left out."""

    start_ms: int
    end_ms: int


@dataclass(slots=True, kw_only=True)
class SiteEnergy:
    """What a site's meters know of a period.

    The energies, and ``common_ms`` of time, are of those moments at which every facility meter and
    every IT meter is known: the two sums stand for the same time. ``facility_ms`` and ``it_ms`` are
    the times at which the meters of the one role are known.
    """

    facility_mwh: int = 0
    it_mwh: int = 0
    common_ms: int = 0
    facility_ms: int = 0
    it_ms: int = 0
    interpolated_ms: int = 0
    estimated_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteMeters:
    """What a PUE needs to know of a site's meters besides their readings.

    A resolution is the one of all meters of the role together, in mWh.
    """

    site_id: SiteId
    facility_resolution_mwh: int
    it_resolution_mwh: int
    categories: frozenset[PueCategory] = field(default_factory=frozenset)


def add_segments(
    total: SiteEnergy,
    meters: Mapping[MeterRole, Sequence[Sequence[Segment]]],
    period: Interval,
) -> None:
    """Add what the segments of all facility and IT meters know of a period, to ``total``."""
    by_role = {role: common([_known(m, period) for m in meters[role]]) for role in meters}
    together = common(list(by_role.values()))
    total.facility_ms += length_ms(by_role.get(MeterRole.FACILITY, ()))
    total.it_ms += length_ms(by_role.get(MeterRole.IT, ()))
    total.common_ms += length_ms(together)
    for role, of_role in meters.items():
        energy = sum(_energy(segments, together) for segments in of_role)
        if role is MeterRole.FACILITY:
            total.facility_mwh += energy
        else:
            total.it_mwh += energy
    worst_parts = [_parts(segments, together) for group in meters.values() for segments in group]
    total.interpolated_ms += max((part.interpolated_ms for part in worst_parts), default=0)
    total.estimated_ms += max((part.estimated_ms for part in worst_parts), default=0)


class _Parts(NamedTuple):
    interpolated_ms: int
    estimated_ms: int


def _known(segments: Sequence[Segment], period: Interval) -> list[Interval]:
    """Return the stretches of a period that the segments know, joined where they touch."""
    joined: list[Interval] = []
    for segment in segments:
        low = max(segment.start_ms, period.start_ms)
        high = min(segment.end_ms, period.end_ms)
        if low >= high or not segment.is_known:
            continue
        if joined and joined[-1].end_ms == low:
            joined[-1] = Interval(joined[-1].start_ms, high)
        else:
            joined.append(Interval(low, high))
    return joined


def common(many: Sequence[Sequence[Interval]]) -> list[Interval]:
    """Return the time that all have in common; each is in order and without overlaps."""
    if not many:
        return []
    found = list(many[0])
    for other in many[1:]:
        found = _both(found, other)
    return found


def _both(first: Sequence[Interval], second: Sequence[Interval]) -> list[Interval]:
    found: list[Interval] = []
    i = j = 0
    while i < len(first) and j < len(second):
        low = max(first[i].start_ms, second[j].start_ms)
        high = min(first[i].end_ms, second[j].end_ms)
        if low < high:
            found.append(Interval(low, high))
        if first[i].end_ms <= second[j].end_ms:
            i += 1
        else:
            j += 1
    return found


def length_ms(intervals: Sequence[Interval]) -> int:
    """Return the time in all intervals together, ms."""
    return sum(each.end_ms - each.start_ms for each in intervals)


def _energy(segments: Sequence[Segment], intervals: Sequence[Interval]) -> int:
    return sum(
        segment.energy_between(each.start_ms, each.end_ms)
        for segment in segments
        for each in intervals
    )


def _parts(segments: Sequence[Segment], intervals: Sequence[Interval]) -> _Parts:
    interpolated_ms = estimated_ms = 0
    for segment in segments:
        if segment.quality is Quality.MEASURED or not segment.is_known:
            continue
        part = length_ms(_both([Interval(segment.start_ms, segment.end_ms)], intervals))
        if segment.quality is Quality.INTERPOLATED:
            interpolated_ms += part
        elif segment.quality is not Quality.DERIVED:
            estimated_ms += part
    return _Parts(interpolated_ms, estimated_ms)


def pue_figure(meters: SiteMeters, energy: SiteEnergy, start: datetime, end: datetime) -> PueFigure:
    """Return the PUE of the period from ``start`` to ``end``, or why it is withheld.

    It is the ratio of two energies over the same time, never a mean of momentary ratios.
    """
    period_ms = max((end - start) // MILLISECOND, 1)
    coverage_facility = energy.facility_ms / period_ms
    coverage_it = energy.it_ms / period_ms
    withheld = _withheld(meters, energy)
    parts = quality.parts_quality(energy.common_ms, energy.interpolated_ms, energy.estimated_ms)
    parts = quality.figure_quality(energy.facility_mwh, meters.facility_resolution_mwh, parts)
    parts = quality.figure_quality(energy.it_mwh, meters.it_resolution_mwh, parts)
    is_official = (
        not withheld
        and end - start >= quality.OFFICIAL_PERIOD
        and coverage_facility >= quality.OFFICIAL_FACILITY
        and coverage_it >= quality.OFFICIAL_IT
        and parts is not Quality.ESTIMATED
    )
    return PueFigure(
        site_id=meters.site_id,
        start=start,
        end=end,
        value=None if withheld else energy.facility_mwh / energy.it_mwh,
        facility_wh=energy.facility_mwh / _MWH_PER_WH,
        it_wh=energy.it_mwh / _MWH_PER_WH,
        coverage_facility=coverage_facility,
        coverage_it=coverage_it,
        quality=parts,
        category=min(meters.categories, default=PueCategory.PUE3),
        is_interim=not is_official,
        withheld=withheld,
    )


def is_implausible(energy: SiteEnergy) -> bool:
    """Whether the ratio of two energies that are there can only come from a wrong mapping."""
    # Compared as whole numbers, so that a ratio of exactly 1 is not lost to a float.
    return (
        energy.common_ms > 0
        and energy.it_mwh > 0
        and not quality.PUE_MIN * energy.it_mwh
        <= energy.facility_mwh
        <= quality.PUE_MAX * energy.it_mwh
    )


def _withheld(meters: SiteMeters, energy: SiteEnergy) -> str:
    if not meters.categories:
        return "the site has no IT meter"
    if len(meters.categories) > 1:
        names = " and ".join(sorted(meters.categories))
        return (
            f"IT energy is metered in the categories {names}, which are never mixed: "
            "declare one as the site's pue_category, or ask for one"
        )
    if energy.common_ms <= 0:
        return NO_TIME
    if energy.it_mwh <= 0:
        return "the IT meters counted no energy yet"
    # Compared as whole numbers, so that a ratio of exactly 1 is not lost to a float.
    if energy.facility_mwh < quality.PUE_MIN * energy.it_mwh:
        return (
            f"facility energy {energy.facility_mwh / _MWH_PER_WH:.3f} Wh is below IT energy "
            f"{energy.it_mwh / _MWH_PER_WH:.3f} Wh: check which meter has which role"
        )
    if energy.facility_mwh > quality.PUE_MAX * energy.it_mwh:
        return (
            f"facility energy {energy.facility_mwh / _MWH_PER_WH:.3f} Wh is more than "
            f"{quality.PUE_MAX:g} times IT energy {energy.it_mwh / _MWH_PER_WH:.3f} Wh: "
            "check which meter has which role, and CT and PT ratios"
        )
    return ""
