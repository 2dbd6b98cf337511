"""Which moment a reading gets that carries a time of its own."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from collectors.json_values import number, plain_number
from collectors.quality import AHEAD_MAX, SKEW_ALERT

LATE_S_MAX: Final = SKEW_ALERT.total_seconds()
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_MAX: Final = 2200
_SECONDS_MAX: Final = 7_000_000_000.0


class TimeForm(StrEnum):
    """How a payload spells a moment."""

    ISO = "iso"
    SECONDS = "s"
    MILLISECONDS = "ms"


def moment_of(value: object, form: TimeForm) -> datetime | None:
    """Return the aware UTC moment that a value spells, or None; a text without a zone is none."""
    if form is TimeForm.ISO:
        return _iso(value) if isinstance(value, str) else None
    found = plain_number(value) if isinstance(value, str) else number(value)
    if found is None:
        return None
    seconds = found / 1000 if form is TimeForm.MILLISECONDS else found
    if not 0 <= seconds <= _SECONDS_MAX:
        return None
    return _EPOCH + timedelta(seconds=seconds)


def _iso(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
        # The offset may lead out of the calendar.
        return found.astimezone(UTC) if found.tzinfo and found.year < _YEAR_MAX else None
    except (ValueError, OverflowError):
        return None


def placed(own: datetime, received: datetime, late_s_max: float = LATE_S_MAX) -> datetime | None:
    """Return the moment that counts, or None for one that is refused.

    The device's own moment counts where its clock can be right: not more than 30 s ahead, and not
    further back than ``late_s_max``. Else the moment of receipt counts. A clock more than 60 s
    ahead is refused, as the centre would.
    """
    ahead = own - received
    if ahead > AHEAD_MAX:
        return None
    if ahead > SKEW_ALERT or -ahead.total_seconds() > late_s_max:
        return received
    return own
