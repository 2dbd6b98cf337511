"""Order of sources of a window's energy: register, day shaped by power, power, nothing."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from telemetry_builders import START, a_meter, register

from collectors.accumulator import WINDOW_MS
from collectors.power import Power, PowerCurve
from collectors.register import Episode, History, MeterRules, Register
from collectors.settle import DAY_MS, Period, Source, settle
from suanwang.clock import to_epoch_ms
from suanwang.model.reading import Quality

BEGAN = to_epoch_ms(START)
RULES = MeterRules.of(a_meter(rated_w=100_000, resolution_wh=1, poll_s=60))
WH = 1_000
HOUR_S = 3_600


def watts(second: float, value: float) -> Power:
    return Power(BEGAN + round(second * 1000), round(value * 1000))


def constant(value: float, first: int, last: int, step: int = 60) -> list[Power]:
    return [watts(second, value) for second in range(first, last + 1, step)]


def period(hours: float, *, is_over: bool = True) -> Period:
    return Period(BEGAN, BEGAN + round(hours * HOUR_S * 1000), is_over)


def windows(count: int) -> list[int]:
    return [BEGAN + index * WINDOW_MS for index in range(count)]


def test_power_between_two_readings_is_a_straight_line() -> None:
    """0 to 7.2 kW in 2 minutes: 120 Wh in all, a quarter of them in the first minute."""
    curve = PowerCurve.of(RULES, [watts(0, 0), watts(120, 7_200)])
    assert curve.between(BEGAN, BEGAN + 120_000).energy_mwh == 120 * WH
    assert curve.between(BEGAN, BEGAN + 60_000).energy_mwh == 30 * WH


def test_power_beyond_belief_or_after_a_gap_of_more_than_three_polls_is_not_taken() -> None:
    readings = [watts(0, 60_000), watts(60, 1e9), watts(60, -1), watts(120, 60_000)]
    curve = PowerCurve.of(RULES, [*readings, watts(120 + 182, 60_000)])
    assert curve.between(BEGAN, BEGAN + DAY_MS).covered_ms == 120_000


def test_where_the_register_jumped_power_fills_the_stretch() -> None:
    """36 kW all the while; the register jumps at 00:20, too far to believe."""
    registers = [register(0, 0), register(600, 6_000 * WH), register(1_200, 10**12)]
    registers.append(register(1_800, 10**12 + 6_000 * WH))
    found = settle(History.of(RULES), registers, constant(36_000, 0, 1_800), period(0.5))
    first, second = (found[start] for start in windows(2))
    assert (first.total.energy_mwh, first.source) == (9_000 * WH, Source.MIXED)
    assert (first.total.covered_ms, first.total.estimated_ms) == (WINDOW_MS, 300_000)
    assert second.total.energy_mwh == 9_000 * WH


def test_power_that_knows_less_than_nine_tenths_of_a_stretch_does_not_fill_it() -> None:
    registers = [register(0, 0), register(600, 6_000 * WH), register(1_200, 10**12)]
    powers = [*constant(36_000, 0, 900), *constant(36_000, 1_150, 1_800)]
    found = settle(History.of(RULES), registers, powers, period(0.5, is_over=False))
    assert found[BEGAN].total.covered_ms == 600_000
    assert found[BEGAN].source is Source.REGISTER


def test_a_meter_without_a_register_is_told_from_power_and_its_gaps_are_missing() -> None:
    powers = [*constant(4_000, 0, 900), *constant(4_000, 1_500, 1_800)]
    found = settle(History.of(RULES), [], powers, period(0.5, is_over=False))
    first, second = (found[start] for start in windows(2))
    assert (first.total.energy_mwh, first.source) == (1_000 * WH, Source.POWER)
    assert second.total.covered_ms == 300_000
    assert first.total.estimated_ms == WINDOW_MS


def test_a_register_that_fell_silent_is_followed_by_power_once_the_day_is_over() -> None:
    registers = [register(0, 0), register(900, 1_000 * WH)]
    powers = constant(4_000, 0, 1_800)
    going = settle(History.of(RULES), registers, powers, period(0.5, is_over=False))
    over = settle(History.of(RULES), registers, powers, period(0.5))
    assert list(going) == windows(1)
    assert over[windows(2)[1]].total.energy_mwh == 1_000 * WH
    assert over[windows(2)[1]].source is Source.POWER


COARSE = MeterRules.of(a_meter(rated_w=20_000, resolution_wh=100, poll_s=60))


def coarse_day(shape: list[int]) -> tuple[list[Register], list[Power]]:
    """Return a day at an hourly power each, W, with a register of 0.1 kWh and minutely powers."""
    registers, powers, energy = [], [], 0.0
    for minute in range(24 * 60 + 1):
        power = shape[min(minute // 60, 23)]
        registers.append(register(minute * 60, int(energy // 100) * 100 * WH))
        powers.append(watts(minute * 60, power))
        energy += power / 60
    return registers, powers


def test_a_coarse_day_is_shaped_by_power_and_keeps_the_register_s_total() -> None:
    shape = [2_000 + 250 * (hour % 7) for hour in range(24)]
    registers, powers = coarse_day(shape)
    found = settle(History.of(COARSE), registers, powers, period(24))
    assert {one.source for one in found.values()} == {Source.SCALED}
    total = sum(one.total.energy_mwh for one in found.values())
    assert total == registers[-1].mwh - registers[0].mwh
    worst = max(
        abs(one.total.energy_mwh / WH - shape[index // 4] / 4) / (shape[index // 4] / 4)
        for index, (_, one) in enumerate(sorted(found.items()))
    )
    assert worst < 0.02


def test_without_power_a_coarse_day_stays_as_the_register_tells_it() -> None:
    registers, _ = coarse_day([3_000] * 24)
    found = settle(History.of(COARSE), registers, [], period(24))
    assert {one.source for one in found.values()} == {Source.REGISTER}


def replaced(final_wh: int | None, initial_wh: int | None, factor: int = 1) -> History:
    """Return a meter that was replaced after ten minutes."""
    final = None if final_wh is None else final_wh * WH
    initial = None if initial_wh is None else initial_wh * WH
    new = replace(RULES, factor_num=factor)
    return History((Episode(0, RULES, None, final), Episode(BEGAN + 600_000, new, initial)))


def test_across_a_replacement_both_registers_are_read_at_the_seam() -> None:
    """Old: 100 to 5,600 Wh. New: from 40 Wh, 2,500 Wh more at a factor of 2."""
    registers = [register(0, 100 * WH), register(1_200, 2_540 * WH)]
    found = settle(replaced(5_600, 40, 2), registers, [], period(0.5))
    assert sum(one.total.energy_mwh for one in found.values()) == (5_500 + 5_000) * WH


@pytest.mark.parametrize(
    ("history", "known_s"),
    [
        pytest.param(replaced(None, 40), 600, id="nobody read the old register"),
        pytest.param(replaced(5_600, None), 600, id="nobody read the new register"),
        pytest.param(replaced(None, None), 0, id="nobody read either"),
    ],
)
def test_a_seam_that_nobody_read_is_unknown_on_that_side(history: History, known_s: int) -> None:
    registers = [register(0, 100 * WH), register(1_200, 2_540 * WH)]
    found = settle(history, registers, [], period(0.5))
    assert sum(one.total.covered_ms for one in found.values()) == known_s * 1000


@settings(max_examples=60, deadline=None)
@given(
    num=st.integers(1, 10_000),
    den=st.integers(1, 10_000),
    values=st.lists(st.integers(0, 10**9), min_size=2, max_size=12),
)
def test_any_factor_keeps_the_sum_of_parts(num: int, den: int, values: list[int]) -> None:
    rules = replace(RULES, rated_w=10**12, factor_num=num, factor_den=den)
    values.sort()
    registers = [Register(BEGAN + 60_000 * i, value) for i, value in enumerate(values)]
    found = settle(History.of(rules), registers, [], period(1))
    total = sum(one.total.energy_mwh for one in found.values())
    assert total == values[-1] * num // den - values[0] * num // den


def test_quality_of_a_reading_stays_with_its_stretch() -> None:
    registers = [register(0, 0), register(60, 10, Quality.ESTIMATED)]
    (window,) = settle(History.of(RULES), registers, [], period(0.25)).values()
    assert window.total.estimated_ms == 60_000
