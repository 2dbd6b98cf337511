"""The circuit breaker of a source: what keeps failing is asked less and less often.

```
closed ──3 failures in a row──► open ──the pause is over──► half-open ──answered──► closed
                                  ▲                             │
                                  └──── failed: twice as long ──┘
```

Pure: a breaker is a value, and what comes after a poll is another one.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from suanwang.model.reading import Circuit

FAILURES_TO_OPEN: Final = 3
PAUSE_S_LEAST_MAX: Final = 60.0
"""The longest pause is never shorter than this, so quick sources come down to once a minute."""
PAUSE_S_MOST_MAX: Final = 300.0
"""Nor longer than this, or than the source's own interval where that is longer."""
INTERVALS_MAX: Final = 4
"""In between it is so many intervals: a silent BMC of 60 s is asked every 4 minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """``since`` it is closed, or not closed; ``failures`` in a row; ``reason`` of the newest one.

    ``since`` is None where it was never open.
    """

    circuit: Circuit = Circuit.CLOSED
    failures: int = 0
    since: datetime | None = None
    reason: str = ""

    def asked(self) -> "Breaker":
        """Return the breaker while a poll is under way: an open one tries whether it may close."""
        if self.circuit is not Circuit.OPEN:
            return self
        return replace(self, circuit=Circuit.HALF_OPEN)

    def answered(self, at: datetime) -> "Breaker":
        """Return the breaker after a poll that succeeded."""
        if self.circuit is Circuit.CLOSED:
            return self if not self.failures else Breaker(since=self.since)
        return Breaker(since=at)

    def failed(self, at: datetime, reason: str) -> "Breaker":
        """Return the breaker after a poll that failed."""
        failures = self.failures + 1
        if failures < FAILURES_TO_OPEN:
            return Breaker(failures=failures, since=self.since, reason=reason)
        since = at if self.circuit is Circuit.CLOSED else self.since
        return Breaker(circuit=Circuit.OPEN, failures=failures, since=since, reason=reason)

    def pause_s(self, interval_s: float) -> float:
        """Return the seconds from the last poll to the next one."""
        if self.circuit is Circuit.CLOSED:
            return interval_s
        wide = min(INTERVALS_MAX * interval_s, PAUSE_S_MOST_MAX)
        longest = max(PAUSE_S_LEAST_MAX, wide, interval_s)
        doublings = min(self.failures - FAILURES_TO_OPEN + 1, 32)
        return float(min(interval_s * 2**doublings, longest))
