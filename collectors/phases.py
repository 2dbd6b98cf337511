"""When a source is due: a grid of its own, that no restart moves.

A source of 60 s whose phase is 12.3 s is polled at 12.3 s past every full minute of UTC, whichever
process does it. The phase comes from the name, so that phases of a fleet are spread evenly, adding
a source moves no other, and two sites do not poll in step.
"""

import hashlib
import math
from dataclasses import dataclass
from typing import Final

FIRST_POLL_S_MAX: Final = 60.0
"""Longest that a source waits for its first poll; one of an hour gets an early one for a start."""
_NEAR: Final = 1e-6
"""Share of an interval by which floats may be off."""


def share_of(name: str, seed: int) -> float:
    """Return the phase of a name as a share of its interval, evenly spread over [0, 1)."""
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


@dataclass(frozen=True, slots=True)
class Grid:
    """Moments ``origin_s + n * interval_s`` on the monotonic clock, for every whole n."""

    origin_s: float
    interval_s: float

    def after(self, moment_s: float) -> float:
        """Return the first moment of the grid that is later than this one."""
        steps = math.floor((moment_s - self.origin_s) / self.interval_s + _NEAR) + 1
        return self.origin_s + steps * self.interval_s

    def first(self, now_s: float) -> float:
        """Return when to poll first: on the grid, or early where the grid is very coarse."""
        due_s = self.after(now_s)
        if self.interval_s <= FIRST_POLL_S_MAX:
            return due_s
        return now_s + (due_s - now_s) * FIRST_POLL_S_MAX / self.interval_s


def grid_of(share: float, interval_s: float, epoch_s: float) -> Grid:
    """Return the grid of a phase, on a clock that shows 0 at ``epoch_s`` seconds after 1970."""
    return Grid((share * interval_s - epoch_s) % interval_s, interval_s)
