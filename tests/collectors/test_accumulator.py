"""Rules of the energy record for one meter, without a database."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from telemetry_builders import a_meter, register

from collectors.accumulator import WINDOW_MS, Accumulator, Taken, WindowSum, windows
from collectors.register import History, MeterRules, Register, Step, judge
from suanwang.model.reading import Quality

RULES = MeterRules.of(a_meter(rated_w=100_000, modulus_wh=1_000_000, resolution_wh=1))
NO_WRAP = MeterRules.of(a_meter(rated_w=100_000, resolution_wh=1))
WH = 1_000


@pytest.mark.parametrize(
    ("rules", "first_wh", "second_wh", "seconds", "step", "energy_wh"),
    [
        pytest.param(RULES, 100, 500, 15, Step.ADVANCE, 400, id="96 kW is below 1.2 x 100 kW"),
        pytest.param(RULES, 100, 100, 15, Step.ADVANCE, 0, id="no load"),
        pytest.param(RULES, 100, 634, 15, Step.ADVANCE, 534, id="1.2 x rated, 1 s and a count"),
        pytest.param(RULES, 100, 636, 15, Step.UNKNOWN, 0, id="more than that is unknown"),
        pytest.param(RULES, 999_900, 100, 15, Step.ROLLOVER, 200, id="wraps at the modulus"),
        pytest.param(NO_WRAP, 999_900, 100, 15, Step.RESET, 100, id="without a modulus: reset"),
        pytest.param(RULES, 500_000, 100, 15, Step.RESET, 100, id="wrap not plausible: reset"),
        pytest.param(RULES, 500_000, 9_000, 15, Step.UNKNOWN, 0, id="neither is plausible"),
    ],
)
def test_a_pair_of_readings_is_judged_by_what_the_meter_can_carry(
    rules: MeterRules, first_wh: int, second_wh: int, seconds: float, step: Step, energy_wh: int
) -> None:
    segment = judge(rules, register(0, first_wh * WH), register(seconds, second_wh * WH))
    assert (segment.step, segment.energy_mwh) == (step, energy_wh * WH)


@pytest.mark.parametrize(
    ("seconds", "second_wh", "read", "quality"),
    [
        pytest.param(45, 10, Quality.MEASURED, Quality.MEASURED, id="three polls are no gap"),
        pytest.param(46, 10, Quality.MEASURED, Quality.INTERPOLATED, id="a longer pause is one"),
        pytest.param(15, 10, Quality.ESTIMATED, Quality.ESTIMATED, id="as good as its reading"),
        pytest.param(15, 0, Quality.MEASURED, Quality.ESTIMATED, id="a reset is a lower bound"),
    ],
)
def test_a_segment_tells_how_good_it_is(
    seconds: float, second_wh: int, read: Quality, quality: Quality
) -> None:
    segment = judge(NO_WRAP, register(0, 5 * WH), register(seconds, second_wh * WH, read))
    assert segment.quality is quality


def test_energy_is_shared_between_windows_by_time() -> None:
    """9 kWh from 00:10 to 00:40: 5 of 30 minutes, 15, and 10."""
    sums = windows(History.of(NO_WRAP), [register(600, 0), register(2400, 9_000 * WH)])
    assert [total.energy_mwh for _, total in sorted(sums.items())] == [
        1_500 * WH,
        4_500 * WH,
        3_000 * WH,
    ]
    assert [total.covered_ms for _, total in sorted(sums.items())] == [300_000, 900_000, 600_000]
    assert all(total.interpolated_ms == total.covered_ms for total in sums.values())


def test_an_unknown_segment_covers_nothing() -> None:
    sums = windows(
        History.of(NO_WRAP), [register(0, 0), register(60, 10**9), register(120, 10**9 + 10)]
    )
    assert list(sums.values()) == [WindowSum(10, 60_000, 60_000, 0)]


def test_readings_are_new_late_duplicate_or_in_conflict() -> None:
    accumulator = Accumulator(History.of(NO_WRAP))
    taken = [
        accumulator.add(reading)
        for reading in (
            register(0, 0),
            register(30, 20),
            register(15, 10),
            register(15, 10),
            register(15, 11),
        )
    ]
    assert taken == [Taken.NEW, Taken.NEW, Taken.LATE, Taken.DUPLICATE, Taken.CONFLICT]
    assert accumulator.tally.conflicts == 1
    assert len(accumulator.late) == 1


readings = st.lists(
    st.tuples(st.integers(1, 2_000_000), st.integers(0, 60_000)), min_size=2, max_size=30
)


@settings(max_examples=150, deadline=None)
@given(steps=readings, seed=st.integers(0, 2**32))
def test_windows_add_up_to_exactly_what_the_register_advanced(
    steps: list[tuple[int, int]], seed: int
) -> None:
    """No mWh is made or lost at a boundary, over wraps and in any order of arrival."""
    rules = MeterRules.of(a_meter(rated_w=10**9, modulus_wh=100, resolution_wh=0.001))
    at_ms, total, story = 1_000_000, 0, [Register(1_000_000, 0)]
    for pause_ms, advance in steps:
        at_ms, total = at_ms + pause_ms, total + advance
        story.append(Register(at_ms, total % 100_000))
    shuffled = [*story, *story[::2]]
    random.Random(seed).shuffle(shuffled)
    accumulator = Accumulator(History.of(rules))
    for reading in shuffled:
        accumulator.add(reading)
    found = {start: part for start, part in accumulator.changes.items() if not part.is_nothing()}
    assert found == windows(History.of(rules), story)
    assert sum(part.energy_mwh for part in found.values()) == total
    assert sum(part.covered_ms for part in found.values()) == at_ms - 1_000_000
    assert all(0 <= part.covered_ms <= WINDOW_MS for part in found.values())
    assert accumulator.tally.rejected == accumulator.tally.resets == 0
    wraps = sum(second.mwh < first.mwh for first, second in pairwise(story))
    assert accumulator.tally.rollovers == wraps
