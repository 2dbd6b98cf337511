"""What waits to be sent: bounded, and the oldest gives way."""

import threading
from collections import deque
from dataclasses import dataclass

from collectors.remote_write.known import Samples, joined


@dataclass(frozen=True, slots=True)
class Waiting:
    """Samples, and since when the oldest of them waits, on the monotonic clock."""

    samples: Samples
    since_s: float


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

    def put(self, samples: Samples, now_s: float) -> int:
        """Add samples; return how many of the oldest had to give way."""
        with self._lock:
            self._blocks.append(Waiting(samples, now_s))
            self._count += len(samples)
            excess = max(0, self._count - self._most)
            self._cut(excess)
        return excess

    def take(self, most: int) -> Waiting | None:
        """Take up to so many of the oldest out, or None where nothing waits."""
        with self._lock:
            if not self._count:
                return None
            since_s = self._blocks[0].since_s
            return Waiting(joined(self._cut(most)), since_s)

    def _cut(self, count: int) -> list[Samples]:
        """Take the ``count`` oldest out."""
        gone: list[Samples] = []
        while count > 0 and self._blocks:
            block = self._blocks.popleft()
            size = len(block.samples)
            if size > count:
                rest = block.samples.pick(slice(count, None))
                self._blocks.appendleft(Waiting(rest, block.since_s))
                block = Waiting(block.samples.pick(slice(0, count)), block.since_s)
            taken = len(block.samples)
            gone.append(block.samples)
            self._count -= taken
            count -= taken
        return gone
