"""What waits to be sent: bounded, and the oldest gives way."""

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from collectors.remote_write.known import Samples, joined

Floors = dict[str, int]
"""The oldest moment of what waits, ms, by site."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Samples, and since when the oldest of them waits, on the monotonic clock.

    ``floors`` say of which sites they are, and how old at most; what is made here has none.
    """

    samples: Samples
    since_s: float
    floors: Floors


class SampleQueue:
    """First in, first out. Safe for many threads; nobody ever waits for it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._blocks: deque[Waiting] = deque()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def since_s(self) -> float | None:
        """Since when the oldest sample waits, or None."""
        with self._lock:
            return self._blocks[0].since_s if self._blocks else None

    @property
    def floors(self) -> Floors:
        """The oldest moments of all that waits."""
        with self._lock:
            return lowest(block.floors for block in self._blocks)

    def has_room(self, samples: int) -> bool:
        """Whether so many more fit in."""
        return self._count + samples <= self._most

    def put(
        self, samples: Samples, now_s: float, site_id: str = "", *, is_bounded: bool = True
    ) -> int:
        """Add samples of a site; return how many of the oldest had to give way."""
        floors = {site_id: int(samples.at_ms.min())} if site_id else {}
        with self._lock:
            self._blocks.append(Waiting(samples, now_s, floors))
            self._count += len(samples)
            excess = max(0, self._count - self._most) if is_bounded else 0
            self._cut(excess)
        return excess

    def take(self, most: int) -> Waiting | None:
        """Take up to so many of the oldest out, or None where nothing waits."""
        with self._lock:
            if not self._count:
                return None
            since_s = self._blocks[0].since_s
            taken = self._cut(most)
            floors = lowest(block.floors for block in taken)
            return Waiting(joined([block.samples for block in taken]), since_s, floors)

    def clear(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._blocks.clear()
            self._count = 0

    def _cut(self, count: int) -> list[Waiting]:
        """Take the ``count`` oldest out."""
        gone: list[Waiting] = []
        while count > 0 and self._blocks:
            block = self._blocks.popleft()
            size = len(block.samples)
            if size > count:
                rest = block.samples.pick(slice(count, None))
                self._blocks.appendleft(Waiting(rest, block.since_s, block.floors))
                first = block.samples.pick(slice(0, count))
                block = Waiting(first, block.since_s, block.floors)
            taken = len(block.samples)
            gone.append(block)
            self._count -= taken
            count -= taken
        return gone


def lowest(floors: Iterable[Floors]) -> Floors:
    """Return the lowest floor of each site."""
    found: Floors = {}
    for each in floors:
        for site_id, at_ms in each.items():
            found[site_id] = min(found.get(site_id, at_ms), at_ms)
    return found
