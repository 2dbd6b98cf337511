"""Periods as people write them."""

from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanwang.errors import BadInput
from suanwang.periods import parse_period

SHANGHAI: Final = ZoneInfo("Asia/Shanghai")
NOW: Final = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        pytest.param("2026", "2025-12-31T16", "2026-12-31T16", id="a year"),
        pytest.param("2026-11", "2026-10-31T16", "2026-11-30T16", id="a month"),
        pytest.param("2026-12", "2026-11-30T16", "2026-12-31T16", id="the last month"),
        pytest.param("2026-W47", "2026-11-15T16", "2026-11-22T16", id="a week"),
        pytest.param("2026-11-20", "2026-11-19T16", "2026-11-20T16", id="a day"),
        pytest.param("last-24h", "2026-11-20T12", "2026-11-21T12", id="the last hours"),
        pytest.param("last-7d", "2026-11-14T12", "2026-11-21T12", id="the last days"),
        pytest.param("2026-11-01..2026-11-03", "2026-10-31T16", "2026-11-02T16", id="days"),
        pytest.param(
            "2026-11-01T10:00Z..2026-11-01T12:00", "2026-11-01T10", "2026-11-01T04", id="ends first"
        ),
    ],
)
def test_a_period_is_that_of_the_zone(text: str, start: str, end: str) -> None:
    if end < start:
        with pytest.raises(BadInput, match="not after its start"):
            parse_period(text, SHANGHAI, NOW)
        return
    period = parse_period(text, SHANGHAI, NOW)
    assert period.start == datetime.fromisoformat(start + ":00:00+00:00")
    assert period.end == datetime.fromisoformat(end + ":00:00+00:00")


@given(text=st.text(max_size=30))
def test_any_text_is_a_period_or_a_clear_refusal(text: str) -> None:
    try:
        period = parse_period(text, SHANGHAI, NOW)
    except BadInput:
        return
    assert period.start < period.end
