"""Slots as arrays, and which of them a job of a given length touches."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from optimizer.arrays import Floats, Ints
from optimizer.problem import Slot

_INSTANT_S = 1e-6
"""A job that ends this little after the beginning of a slot does not touch it."""


@dataclass(frozen=True, slots=True)
class Span:
    """Which slots a run touches, for each slot it may start in.

    It touches ``start .. last``. It is in use for all of each but the last, where it is in use for
    ``last_share`` of the slot. ``tail_s`` is what lies beyond the horizon.
    """

    last: Ints
    last_share: Floats
    tail_s: Floats


@dataclass(frozen=True, slots=True)
class Timeline:
    """The slots of a problem: one after the other, without gaps."""

    start_s: Floats
    length_s: Floats

    @property
    def slots(self) -> int:
        """How many slots there are."""
        return len(self.start_s)

    @property
    def end_s(self) -> float:
        """End of the horizon."""
        return float(self.start_s[-1] + self.length_s[-1])

    def span(self, run_s: float) -> Span:
        """Return the slots that a run of ``run_s`` touches, for every slot it may start in."""
        ends_s = self.start_s + run_s
        last = np.searchsorted(self.start_s, ends_s - _INSTANT_S, side="left") - 1
        last = np.maximum(last, np.arange(self.slots)).astype(np.int64)
        share = (ends_s - self.start_s[last]) / self.length_s[last]
        return Span(
            last=last,
            last_share=np.clip(share, 0.0, 1.0),
            tail_s=np.maximum(0.0, ends_s - self.end_s),
        )


def timeline_of(slots: tuple[Slot, ...]) -> Timeline:
    """Return the slots as arrays; raise ValueError where they are empty or do not join."""
    if not slots:
        raise ValueError("a problem needs at least one slot")
    for before, after in pairwise(slots):
        if abs(before.end_s - after.start_s) > _INSTANT_S:
            raise ValueError(
                f"slots must join: one ends at {before.end_s} s and the next begins at "
                f"{after.start_s} s"
            )
    return Timeline(
        start_s=np.array([slot.start_s for slot in slots], dtype=np.float64),
        length_s=np.array([slot.length_s for slot in slots], dtype=np.float64),
    )
