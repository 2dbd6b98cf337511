"""What became of samples, counted; shared by the shards and those who ask."""

import logging
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from collectors.remote_write.request import Dropped
from suanwang.clock import Clock

_LOG = logging.getLogger(__name__)

TOLD_MAX: Final = 100
"""Most different refusals that are told in the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteState:
    """How the copy for the database does now. ``down_since`` is None while it answers.

    ``lag_s`` is how long the oldest sample waits; ``trouble`` is the database's last refusal.
    ``is_behind`` says that it is read from the record just now, ``behind_s`` how old the oldest
    sample is that the copy may lack, and ``stalls`` how often the database failed over everything.
    """

    sent: int
    dropped: Mapping[Dropped, int]
    retries: int
    requests: int
    queued: int
    series: int
    lag_s: float
    down_since: datetime | None
    trouble: str
    is_behind: bool = False
    behind_s: float = 0.0
    stalls: int = 0


class Tally:
    """Counts, and tells each kind of refusal once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._told: set[tuple[int, Dropped]] = set()
        self.sent = 0
        self.retries = 0
        self.requests = 0
        self.dropped: Counter[Dropped] = Counter()
        self.down_since: datetime | None = None
        self.trouble = ""

    def taken(self, samples: int) -> None:
        """Count samples that the database has."""
        if self.down_since is not None:
            _LOG.info("the time series database answers again")
        with self._lock:
            self.sent += samples
            self.requests += 1
            self.down_since = None

    def drop(self, reason: Dropped, samples: int) -> None:
        """Count samples that it will never have."""
        if samples:
            with self._lock:
                self.dropped[reason] += samples

    def refused(self, reason: Dropped, samples: int, status: int, text: str) -> None:
        """Count samples that it turned away, and keep its words; the first time tell them."""
        self.drop(reason, samples)
        with self._lock:
            self.requests += 1
            self.down_since = None
            self.trouble = f"{status}: {text}"
            is_new = (status, reason) not in self._told and len(self._told) < TOLD_MAX
            self._told.add((status, reason))
        if is_new:
            _LOG.error(
                "the time series database turns samples away; further ones are only counted",
                extra={"status": status, "reason": reason.value, "text": text},
            )

    def again(self, why: str) -> None:
        """Count a try that failed and will be repeated."""
        with self._lock:
            self.retries += 1
            self.trouble = why
            is_new = self.down_since is None
            self.down_since = self.down_since or self._clock.now()
        if is_new:
            _LOG.warning("the time series database does not take samples", extra={"why": why})
