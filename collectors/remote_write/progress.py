"""How far the copy is, site by site. Everything before a site's position is settled for good.

| mode | what comes in | what is read |
|---|---|---|
| live | waits in the queue | nothing |
| behind | stays in the record | the record, from each site's position on, in order of time |

A batch says before its transaction how old its samples may be, and its samples count as unsettled
until they are in the queue, or, behind, until the position was put back to them. So there is no
moment at which a sample is in the record and neither queued nor ahead of a position.
"""

import itertools
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

MARGIN_MS: Final = 120_000
"""Positions are written down so much too old: what comes a little late then lowers none."""


class Progress:
    """Positions of sites, ms. Safe for many threads; ``lock`` is held for moments only."""

    def __init__(self, positions: Mapping[str, int]) -> None:
        self.lock = threading.RLock()
        self.is_behind = True
        self._next = dict(positions)
        """Where the record is read on, while it is read."""
        self._reading: dict[str, int] = {}
        """From where it is being read just now."""
        self._flight: dict[int, tuple[str, int]] = {}
        self._numbers = itertools.count()

    @contextmanager
    def admitting(self, site_id: str, low_ms: int) -> Iterator[None]:
        """Hold a position at ``low_ms`` while a batch goes into the record and then the queue."""
        number = next(self._numbers)
        with self.lock:
            self._flight[number] = (site_id, low_ms)
        try:
            yield
        finally:
            with self.lock:
                del self._flight[number]
                self._next[site_id] = min(self._next.get(site_id, low_ms), low_ms)

    def fall_behind(self, floors: Mapping[str, int], now_ms: int) -> None:
        """Let the record be read again, from what is no longer queued on."""
        with self.lock:
            former = self._reading
            self._next = {
                site_id: min(
                    self._next[site_id] if self.is_behind else now_ms,
                    former.get(site_id, now_ms),
                    floors.get(site_id, now_ms),
                )
                for site_id in {*self._next, *floors}
            }
            self._reading = {}
            self.is_behind = True

    def oldest(self, before_ms: int) -> tuple[str, int] | None:
        """Return the site that is furthest behind, and its position, if older than a moment."""
        with self.lock:
            site_id = min(self._next, key=lambda one: self._next[one], default=None)
            if site_id is None or self._next[site_id] >= before_ms:
                return None
            return site_id, self._next[site_id]

    def read_until(self, site_id: str, low_ms: int, high_ms: int) -> None:
        """Note before it is read what of a site is read: what comes in meanwhile lowers it."""
        with self.lock:
            self._reading[site_id] = low_ms
            self._next[site_id] = high_ms

    def settled(self, site_id: str) -> None:
        """Note that the database has what was read of a site."""
        with self.lock:
            self._reading.pop(site_id, None)

    def go_live(self) -> dict[str, int]:
        """Let what comes in be queued from now on; return from where each site is read before."""
        with self.lock:
            self.is_behind = False
            self._reading = dict(self._next)
            return dict(self._next)

    def positions(
        self, floors: Mapping[str, int], now_ms: int, margin_ms: int = MARGIN_MS
    ) -> dict[str, int]:
        """Return the positions to write down; ``floors`` are the oldest samples that wait."""
        with self.lock:
            found = {
                site_id: min(at_ms if self.is_behind else now_ms, now_ms)
                for site_id, at_ms in self._next.items()
            }
            unsettled = (*self._flight.values(), *self._reading.items(), *floors.items())
        for site_id, low_ms in unsettled:
            found[site_id] = min(found.get(site_id, low_ms), low_ms)
        return {site_id: max(0, at_ms - margin_ms) for site_id, at_ms in found.items()}
