"""What the poller decides with: grids of time, breakers, and lanes."""

import itertools
from collections import Counter
from datetime import UTC, datetime

import pytest

from collectors.breaker import Breaker
from collectors.lanes import Lanes, Limits, Place
from collectors.phases import grid_of, share_of
from collectors.poll_stats import Histogram
from suanwang.model.reading import Circuit

AT = datetime(2026, 10, 14, tzinfo=UTC)
LATER = datetime(2026, 10, 14, 0, 1, tzinfo=UTC)


def test_phases_of_a_fleet_are_spread_evenly() -> None:
    tenths = Counter(int(share_of(f"pdu-{n}", 7) * 10) for n in range(20_000))
    assert len(tenths) == 10
    assert all(1_800 < count < 2_200 for count in tenths.values())


def test_a_restart_moves_no_phase() -> None:
    share = share_of("pdu-7", 7)
    before = grid_of(share, 60.0, epoch_s=1_760_000_000.0)
    after = grid_of(share, 60.0, epoch_s=1_760_000_123.4)
    first, again = 1_760_000_000.0 + before.after(500.0), 1_760_000_123.4 + after.after(500.0)
    assert (first - again) % 60 == pytest.approx(0, abs=1e-3) or (
        first - again
    ) % 60 == pytest.approx(60, abs=1e-3)


def test_the_next_moment_is_later_and_never_more_than_an_interval_away() -> None:
    grid = grid_of(0.3, 7.0, epoch_s=0.0)
    moment = 0.0
    for _ in range(1_000):
        later = grid.after(moment)
        assert moment < later <= moment + 7.0 * 1.000001
        moment = later


def test_a_source_of_an_hour_is_polled_in_the_first_minute() -> None:
    grid = grid_of(0.9, 3_600.0, epoch_s=0.0)
    assert grid.after(0.0) == pytest.approx(3_240.0)
    assert 0 < grid.first(0.0) <= 60.0


def broken(failures: int) -> Breaker:
    """Return a breaker after so many failures in a row."""
    breaker = Breaker()
    for _ in range(failures):
        breaker = breaker.asked().failed(AT, "no answer")
    return breaker


def test_the_third_failure_opens_a_breaker_and_says_why_and_since_when() -> None:
    assert [broken(n).circuit for n in range(5)] == [Circuit.CLOSED] * 3 + [Circuit.OPEN] * 2
    assert broken(3).reason == "no answer"
    assert broken(3).since == AT


def test_a_trial_closes_an_open_breaker_or_opens_it_for_longer() -> None:
    trial = broken(3).asked()
    assert trial.circuit is Circuit.HALF_OPEN
    closed = trial.answered(LATER)
    assert (closed.circuit, closed.failures, closed.since) == (Circuit.CLOSED, 0, LATER)
    opened = trial.failed(LATER, "refused")
    assert (opened.circuit, opened.since, opened.reason) == (Circuit.OPEN, AT, "refused")
    assert opened.pause_s(10) == 2 * broken(3).pause_s(10)


def test_failures_with_a_success_between_open_nothing() -> None:
    breaker = broken(2).answered(LATER)
    assert breaker.failed(LATER, "no answer").circuit is Circuit.CLOSED


@pytest.mark.parametrize(
    ("interval_s", "pauses_s"),
    [
        pytest.param(1, [1, 2, 4, 8, 16, 32, 60, 60], id="quick: once a minute"),
        pytest.param(15, [15, 30, 60, 60], id="usual: once a minute"),
        pytest.param(60, [60, 120, 240, 240], id="slow: every fourth time"),
        pytest.param(120, [120, 240, 300, 300], id="slower: every five minutes"),
        pytest.param(3_600, [3_600, 3_600, 3_600], id="hourly: as ever"),
    ],
)
def test_pauses_double_up_to_a_limit(interval_s: float, pauses_s: list[float]) -> None:
    assert [broken(2 + n).pause_s(interval_s) for n in range(len(pauses_s))] == pauses_s


def test_a_breaker_that_failed_for_years_still_has_a_pause() -> None:
    assert Breaker(circuit=Circuit.OPEN, failures=10**6).pause_s(0.001) == 60.0


class Started:
    """Lanes that note whom they let in."""

    def __init__(self, **limits: dict[str, int]) -> None:
        self.names: list[str] = []
        self.lanes: Lanes[str] = Lanes(Limits(**limits), self.names.append)


def test_an_address_takes_no_more_polls_than_its_limit_and_the_rest_in_order() -> None:
    started = Started(of_protocol={}, of_address={"bmc": 2})
    bmc = Place("redfish", "bmc 10.0.0.8")
    for name in "abcd":
        started.lanes.enter(name, bmc)
    started.lanes.enter("other", Place("ipmi", "bmc 10.0.0.9"))
    assert started.names == ["a", "b", "other"]
    assert started.lanes.waiting == 2
    started.lanes.leave(bmc)
    started.lanes.leave(bmc)
    assert started.names == ["a", "b", "other", "c", "d"]


def test_a_crowded_address_leaves_the_places_of_its_protocol_to_others() -> None:
    started = Started(of_protocol={"redfish": 3}, of_address={"bmc": 2})
    for n in range(50):
        started.lanes.enter(f"crowd-{n}", Place("redfish", "bmc 10.0.0.8"))
    started.lanes.enter("other", Place("redfish", "bmc 10.0.0.9"))
    assert started.names == ["crowd-0", "crowd-1", "other"]


def test_all_who_wait_are_let_in_and_every_place_comes_back() -> None:
    started = Started(of_protocol={"redfish": 3}, of_address={"bmc": 2})
    places = [Place("redfish", f"bmc 10.0.0.{n % 4}") for n in range(100)]
    for n, place in enumerate(places):
        started.lanes.enter(str(n), place)
    for turn in itertools.count():
        if turn >= len(started.names):
            break
        assert started.lanes.in_flight <= 3
        started.lanes.leave(places[int(started.names[turn])])
    assert sorted(started.names, key=int) == [str(n) for n in range(100)]
    assert (started.lanes.in_flight, started.lanes.waiting) == (0, 0)
    started.lanes.enter("again", places[0])
    assert started.names[-1] == "again"


def test_a_place_without_a_limit_lets_all_in() -> None:
    started = Started()
    for n in range(10_000):
        started.lanes.enter(str(n), Place())
    assert len(started.names) == 10_000


def test_a_histogram_tells_quantiles_by_its_bounds() -> None:
    histogram = Histogram()
    assert histogram.quantile(0.99) == 0.0
    for n in range(100):
        histogram.add(0.002 if n < 98 else 40.0)
    assert histogram.count == 100
    assert histogram.quantile(0.5) == 0.005
    assert histogram.quantile(0.99) == 40.0
    assert histogram.greatest == 40.0
