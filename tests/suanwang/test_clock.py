"""Time stands still until it is moved, is always aware, and counts in exact milliseconds."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanwang.clock import SystemClock, VirtualClock, from_epoch_ms, to_epoch_ms

CHINA = timezone(timedelta(hours=8))


def test_a_virtual_clock_moves_only_when_it_is_moved(clock: VirtualClock) -> None:
    before = clock.now()
    assert clock.now() == before
    clock.advance(90)
    assert clock.now() - before == timedelta(seconds=90)
    assert clock.monotonic() == 90


async def test_sleeping_and_waiting_move_a_virtual_clock(clock: VirtualClock) -> None:
    clock.sleep(1.5)
    await clock.wait(2.5)
    assert clock.monotonic() == 4


def test_a_virtual_clock_never_runs_backwards(clock: VirtualClock) -> None:
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)


def test_a_clock_needs_an_aware_start() -> None:
    with pytest.raises(ValueError, match="aware"):
        VirtualClock(datetime(2026, 1, 1))  # noqa: DTZ001 - the mistake that is refused


def test_a_clock_speaks_utc_whatever_zone_it_was_started_in() -> None:
    clock = VirtualClock(datetime(2026, 1, 1, 8, tzinfo=CHINA))
    assert clock.now() == datetime(2026, 1, 1, tzinfo=UTC)
    assert clock.now().tzinfo is UTC


async def test_the_machine_s_clock_is_aware_and_its_monotonic_never_falls() -> None:
    clock = SystemClock()
    first = clock.monotonic()
    clock.sleep(0)
    await clock.wait(0)
    assert clock.monotonic() >= first
    assert clock.now().tzinfo is UTC


@given(st.integers(-(10**12), 10**13))
def test_milliseconds_survive_being_turned_into_a_moment(epoch_ms: int) -> None:
    assert to_epoch_ms(from_epoch_ms(epoch_ms)) == epoch_ms


def test_a_moment_of_another_zone_counts_the_same_milliseconds() -> None:
    moment = datetime(2026, 10, 14, 8, 0, 0, 123_000, tzinfo=CHINA)
    assert to_epoch_ms(moment) == to_epoch_ms(moment.astimezone(UTC)) == 1_791_936_000_123


def test_a_moment_without_a_zone_has_no_place_in_time() -> None:
    with pytest.raises(ValueError, match="time zone"):
        to_epoch_ms(datetime(2026, 1, 1))  # noqa: DTZ001 - the mistake that is refused
