"""Grid events: what was promised for a time."""

from datetime import UTC, datetime, timedelta

import pytest

from suanwang.energy.grid import GridEvent, firm_w
from suanwang.errors import BadInput

NOON = datetime(2026, 10, 14, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def an_event(start: datetime = NOON, hours: float = 2, power_w: float = 800_000.0) -> GridEvent:
    return GridEvent(id="e1", start=start, end=start + hours * HOUR, firm_w=power_w)


def test_the_least_promise_of_a_period_holds() -> None:
    events = [an_event(), an_event(NOON + HOUR, power_w=500_000.0)]
    assert firm_w(events, NOON, NOON + HOUR) == 800_000
    assert firm_w(events, NOON, NOON + 2 * HOUR) == 500_000


def test_a_period_that_only_meets_the_end_of_an_event_is_free() -> None:
    assert firm_w([an_event()], NOON + 2 * HOUR, NOON + 3 * HOUR) is None
    assert firm_w([an_event()], NOON - HOUR, NOON) is None


@pytest.mark.parametrize(
    ("event", "message"),
    [
        pytest.param({"hours": 0}, "must end after its start", id="no length"),
        pytest.param({"power_w": -1.0}, "firm_w must not be negative", id="negative"),
        pytest.param({"start": NOON.replace(tzinfo=None)}, "need a time zone", id="no zone"),
    ],
)
def test_events_without_sense_are_refused(event: dict[str, float], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        an_event(**event)  # type: ignore[arg-type]
