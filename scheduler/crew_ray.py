"""Workers that are actors of a Ray cluster: one of its own on this machine, or one that is there.

Ray ends a process that uses it when its cluster is gone for a minute. The centre must not end with
a cluster, so Ray is used by a child (``crew_ray_driver``), which hands calls on to the actors.
"""

import contextlib
import os
from collections.abc import Callable, Sequence
from typing import Final

from optimizer.crew import CrewLost
from scheduler.crew_child import Child
from scheduler.crew_ray_driver import drive, join, leave
from scheduler.crew_remote import Call, Workers

_GRACE_S: Final = 5.0
"""Seconds that the child may take beyond the limit of what it waits for."""
_LEAVE_S: Final = 20.0
"""Seconds that ending actors, and a cluster of our own, may take before the child is killed."""


class RayWorkers(Workers):
    """The child that has joined the cluster."""

    def __init__(self, address: str, count: int, time_s: float) -> None:
        self._child = Child("the Ray driver")
        try:
            joined = self._child.begin(join, address, count, time_s)
            self._child.end(joined, time_s + _GRACE_S)
        except CrewLost:
            self._child.dismiss()
            raise

    def do(self, calls: Sequence[Call], time_s: float) -> list[object]:
        """Make the calls side by side."""
        return self._child.end(self._child.begin(drive, list(calls), time_s), time_s + _GRACE_S)

    def dismiss(self) -> None:
        """End the actors, then the child."""
        with contextlib.suppress(CrewLost):
            self._child.end(self._child.begin(leave), _LEAVE_S)
        # Where it did not answer it is killed now, and its cluster ends its actors then.
        self._child.dismiss()


def hire_in(address: str) -> Callable[[int, float], Workers]:
    """Return who hires at the Ray cluster of an address; ``local`` starts one of its own."""

    def hire(count: int, time_s: float) -> Workers:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        return RayWorkers(address, count, time_s)

    return hire
