"""Windows over which demand is billed, cut along the slots: what of which slot falls into which.

A meter takes the mean over windows of its own clock, 15 minutes as a rule, and slots are shorter or
longer than that and begin anywhere in them. A slot is cut where a window begins or ends: power of
our jobs is known for every part, since a run begins with a slot and ends somewhere in its last one.

Of windows that lie within one slot only the first is kept: what is in use there falls within the
slot and never rises, so no later one is higher.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import floor
from typing import Final

import numpy as np

from optimizer.arrays import Floats, Ints
from optimizer.problem import PeakSpec, SiteSpec
from optimizer.timeline import Timeline
from suanwang.units import SECONDS_PER_HOUR

_INSTANT_S: Final = 1e-6
_WHOLE: Final = -1
"""In place of a part: the whole slot."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows v of sites m, parts n of slots, and their ties: share ``weight`` of v is in a slot.

    ``before_w`` is what was drawn in a window before the plan begins, as a part of its mean. Part n
    is of slot ``slot[n]`` of site ``part_m[n]``, from ``begin[n]`` to ``end[n]`` as shares of it;
    ``part_at[m,t]`` are the parts of a slot, padded with -1. A tie has a slot and a part of it, or
    -1 for all of it.
    """

    m: Ints
    before_w: Floats
    part_m: Ints
    part_slot: Ints
    begin: Floats
    end: Floats
    part_at: Ints
    tie_window: Ints
    tie_slot: Ints
    tie_part: Ints
    weight: Floats

    @property
    def parts(self) -> int:
        """How many parts of slots there are."""
        return len(self.part_m)

    def unused(self, part: Ints, last_share: Floats) -> Floats:
        """Return the shares of parts in which runs are over that end within their slots."""
        begin, end = self.begin[part], self.end[part]
        left: Floats = np.clip((end - last_share) / (end - begin), 0.0, 1.0)
        return left

    def demand_w(self, slots_w: Floats, parts_w: Floats) -> Floats:
        """Return the demand of every window, of powers by (m, t) and by part."""
        drawn_w = slots_w[self.m[self.tie_window], self.tie_slot]
        is_part = self.tie_part != _WHOLE
        drawn_w[is_part] = parts_w[self.tie_part[is_part]]
        demand_w = self.before_w.copy()
        np.add.at(demand_w, self.tie_window, self.weight * drawn_w)
        return demand_w

    def share_of_slots(self, slots: int) -> tuple[Floats, Ints]:
        """Return how much of a window each slot is at most by (m, t), and which window that is."""
        total = np.zeros((len(self.m), slots))
        np.add.at(total, (self.tie_window, self.tie_slot), self.weight)
        share = np.zeros((len(self.part_at), slots))
        window = np.zeros(share.shape, dtype=np.int64)
        for v, m in enumerate(self.m):
            is_more = total[v] > share[m]
            window[m][is_more] = v
            share[m][is_more] = total[v][is_more]
        return share, window


@dataclass(slots=True)
class _Draft:
    m: list[int] = field(default_factory=list)
    before_w: list[float] = field(default_factory=list)
    parts: list[tuple[int, int]] = field(default_factory=list)
    edges: list[tuple[float, float]] = field(default_factory=list)
    ties: list[tuple[int, int, int]] = field(default_factory=list)
    weight: list[float] = field(default_factory=list)


def windows_of(timeline: Timeline, sites: Sequence[SiteSpec]) -> Windows:
    """Return the windows of all sites that pay for their peak; ``m`` is a place in ``sites``."""
    draft = _Draft()
    for m, site in enumerate(sites):
        if site.peak is not None and site.peak.yuan_per_kw > 0:
            _check(site.id, site.peak)
            for number in _numbers(timeline, site.peak):
                _add(draft, timeline, m, site.peak, number)
    ties = np.array(draft.ties, dtype=np.int64).reshape(-1, 3)
    parts = np.array(draft.parts, dtype=np.int64).reshape(-1, 2)
    edges = np.array(draft.edges, dtype=np.float64).reshape(-1, 2)
    return Windows(
        m=np.array(draft.m, dtype=np.int64),
        before_w=np.array(draft.before_w, dtype=np.float64),
        part_m=parts[:, 0],
        part_slot=parts[:, 1],
        begin=edges[:, 0],
        end=edges[:, 1],
        part_at=_table(parts, (len(sites), timeline.slots)),
        tie_window=ties[:, 0],
        tie_slot=ties[:, 1],
        tie_part=ties[:, 2],
        weight=np.array(draft.weight, dtype=np.float64),
    )


def _check(site_id: str, peak: PeakSpec) -> None:
    if not (peak.window_s > 0 and 0 <= peak.elapsed_s < peak.window_s):
        raise ValueError(
            f"site {site_id}: {peak.elapsed_s} s of a window of {peak.window_s} s are over"
        )


def _numbers(timeline: Timeline, peak: PeakSpec) -> Iterator[int]:
    """Yield the windows to be kept, ascending: those that cross slots, and the first within one."""
    last = -1
    for start_s, length_s in zip(timeline.start_s, timeline.length_s, strict=True):
        passed_s = float(start_s) + peak.elapsed_s
        number = floor((passed_s + _INSTANT_S) / peak.window_s)
        begins_here = number * peak.window_s >= passed_s - _INSTANT_S
        next_s = (number + 1) * peak.window_s - peak.elapsed_s
        wanted = [number]
        if not begins_here and next_s < float(start_s + length_s) - _INSTANT_S:
            wanted.append(number + 1)
        for one in wanted:
            if one > last:
                last = one
                yield one


def _add(draft: _Draft, timeline: Timeline, m: int, peak: PeakSpec, number: int) -> None:
    """Add a window; one that the horizon cuts is a mean over what the horizon has of it."""
    from_s = number * peak.window_s - peak.elapsed_s
    until_s = min(from_s + peak.window_s, timeline.end_s)
    long_s = until_s - from_s
    v = len(draft.m)
    draft.m.append(m)
    draft.before_w.append(peak.drawn_wh * SECONDS_PER_HOUR / long_s if number == 0 else 0.0)
    first = max(0, int(np.searchsorted(timeline.start_s, from_s + _INSTANT_S, side="right")) - 1)
    for t in range(first, timeline.slots):
        start_s, length_s = float(timeline.start_s[t]), float(timeline.length_s[t])
        if start_s >= until_s - _INSTANT_S:
            break
        begin_s, end_s = max(from_s, start_s), min(until_s, start_s + length_s)
        n = _WHOLE
        if end_s - begin_s < length_s - _INSTANT_S:
            n = len(draft.parts)
            draft.parts.append((m, t))
            draft.edges.append(((begin_s - start_s) / length_s, (end_s - start_s) / length_s))
        draft.ties.append((v, t, n))
        draft.weight.append((end_s - begin_s) / long_s)


def _table(parts: Ints, shape: tuple[int, int]) -> Ints:
    of_slot: dict[tuple[int, int], list[int]] = {}
    for n, (m, t) in enumerate(parts.tolist()):
        of_slot.setdefault((m, t), []).append(n)
    most = max(map(len, of_slot.values()), default=0)
    table = np.full((*shape, most), _WHOLE, dtype=np.int64)
    for (m, t), own in of_slot.items():
        table[m, t, : len(own)] = own
    return table
