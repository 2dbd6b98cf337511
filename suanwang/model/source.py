"""Where a telemetry source stands, by its own pace: a slow source is no lost one."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

FRESH_POLLS: Final = 2
LOST_POLLS: Final = 5
"""So many polls without an answer, and a source is lost."""
FRESH_S_MIN: Final = 60.0
LOST_S_MIN: Final = 300.0
"""No source is lost sooner, however often it is polled."""
SILENT_S_MIN: Final = 900.0
"""No source is called silent sooner: a batch may wait behind others for a while."""


class Standing(StrEnum):
    """How a source does, by the age of its last good poll against its own interval."""

    FRESH = "fresh"
    STALE = "stale"
    LOST = "lost"
    RETIRED = "retired"


def lost_after_s(interval_s: float) -> float:
    """Return how long a source may go without a good poll before it is lost."""
    return max(LOST_S_MIN, LOST_POLLS * interval_s)


def silent_after_s(interval_s: float) -> float:
    """Return how long a source may report nothing at all before that is odd."""
    return max(SILENT_S_MIN, LOST_POLLS * interval_s)


def standing(
    interval_s: float, up_at: datetime | None, retired_at: datetime | None, now: datetime
) -> Standing:
    """Return how a source does; ``interval_s`` is 0 where it was never told."""
    if retired_at is not None:
        return Standing.RETIRED
    if up_at is None or now - up_at > timedelta(seconds=lost_after_s(interval_s)):
        return Standing.LOST
    fresh_s = max(FRESH_S_MIN, FRESH_POLLS * interval_s)
    return Standing.FRESH if now - up_at <= timedelta(seconds=fresh_s) else Standing.STALE
