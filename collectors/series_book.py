"""Numbers of series, kept in memory: a site names the same few thousand in each of its batches.

A series keeps its number for ever, so what is kept can't become wrong. It is kept only once the
transaction that read it has ended well: the number of a series that was just named, and whose
transaction was then rolled back, may become another one's.
"""

import threading
from collections.abc import Mapping
from typing import Final

from suanwang.ids import SiteId
from suanwang.model.batch import SeriesKey

SERIES_MAX: Final = 1_000_000
"""Most series that are kept, about 200 bytes each; above it all are forgotten and read anew."""


class SeriesBook:
    """Numbers of series by site."""

    def __init__(self, most: int = SERIES_MAX) -> None:
        self._most = most
        self._sites: dict[str, dict[SeriesKey, int]] = {}
        self._kept = 0
        self._lock = threading.Lock()

    def of(self, site_id: SiteId) -> Mapping[SeriesKey, int]:
        """Return what is kept of a site."""
        return self._sites.get(site_id, {})

    def keep(self, site_id: SiteId, numbers: Mapping[SeriesKey, int]) -> None:
        """Keep numbers out of a transaction that was committed."""
        if not numbers:
            return
        with self._lock:
            if self._kept + len(numbers) > self._most:
                self._sites, self._kept = {}, 0
            of = self._sites.setdefault(site_id, {})
            before = len(of)
            of.update(numbers)
            self._kept += len(of) - before
