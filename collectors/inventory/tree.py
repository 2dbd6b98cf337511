"""The tree of a site's meters: what each counted, and what is lost on the way to those behind it.

Pure. A gap compares energies of the same time only: that which the meter and all of its children
that count anything know in full.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from suanwang.model.inventory import PlacedMeter
from suanwang.model.meter import Carrier

GAP_RATIO_MAX: Final = 0.03
"""More than this of a meter's energy should not be missing, or too much, behind it."""
_MWH_PER_WH: Final = 1_000


@dataclass(frozen=True, slots=True)
class Counted:
    """What a meter counted: thousandths of a watt-hour (of water millilitres), and the time."""

    mwh: int
    covered_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A meter and the meters behind it over their common time; ``silent`` children count nothing.

    ``ratio`` is the part of the meter's energy that its children do not have; None of nothing.
    """

    own_wh: float
    children_wh: float
    common_ms: int
    silent: tuple[str, ...] = ()

    @property
    def wh(self) -> float:
        """Energy that goes in and does not come out behind, Wh; below zero it is too much."""
        return self.own_wh - self.children_wh

    @property
    def ratio(self) -> float | None:
        """That, as a part of the meter's energy."""
        return self.wh / self.own_wh if self.own_wh > 0 else None

    @property
    def is_odd(self) -> bool:
        """Whether the two sums disagree by more than meters may; never while a child is silent."""
        if self.silent or not self.common_ms:
            return False
        return abs(self.wh) > GAP_RATIO_MAX * self.own_wh


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A meter in its place: how deep it is, what it counted, and the gap to those behind it."""

    meter: PlacedMeter
    depth: int
    is_last: bool
    counted: Counted
    gap: Gap | None

    @property
    def wh(self) -> float:
        """What it counted, Wh (of water litres)."""
        return self.counted.mwh / _MWH_PER_WH

    @property
    def unit(self) -> str:
        """The unit of what it counts."""
        return "l" if self.meter.carrier is Carrier.WATER else "Wh"


def children_of(meters: Mapping[str, PlacedMeter]) -> dict[str, tuple[str, ...]]:
    """Return the ids of the meters right behind each, and under '' of those behind none."""
    found: dict[str, list[str]] = {}
    for meter_id in sorted(meters):
        parent_id = meters[meter_id].parent_id
        above = parent_id if parent_id is not None and parent_id in meters else ""
        found.setdefault(above, []).append(meter_id)
    return {parent_id: tuple(of_it) for parent_id, of_it in found.items()}


def branches(
    meters: Mapping[str, PlacedMeter],
    counted: Mapping[str, Counted],
    gaps: Mapping[str, Gap],
) -> Iterator[Branch]:
    """Yield the meters of a site in the order of their tree, each before those behind it.

    Meters in a ring stand behind none and are left out; the check of the inventory names them.
    """
    children = children_of(meters)
    waiting = _pushed(children.get("", ()), 0)
    while waiting:
        meter_id, depth, is_last = waiting.pop()
        yield Branch(
            meter=meters[meter_id],
            depth=depth,
            is_last=is_last,
            counted=counted.get(meter_id, Counted(0, 0)),
            gap=gaps.get(meter_id),
        )
        waiting += _pushed(children.get(meter_id, ()), depth + 1)


def _pushed(meter_ids: Sequence[str], depth: int) -> list[tuple[str, int, bool]]:
    last = len(meter_ids) - 1
    return [(one, depth, place == last) for place, one in reversed(list(enumerate(meter_ids)))]
