"""Batteries: what a schedule does to the charge, and which of its wishes are refused."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanwang.energy.storage import BatterySpec, Breach, StorageStep, replay
from suanwang.errors import BadInput

HOUR = 3_600.0


def a_battery(**changes: float) -> BatterySpec:
    figures = {
        "capacity_wh": 1_000_000.0,
        "charge_w_max": 500_000.0,
        "discharge_w_max": 400_000.0,
        "efficiency_charge": 0.9,
        "efficiency_discharge": 0.8,
        "soc_wh": 500_000.0,
        "soc_min_wh": 100_000.0,
        "soc_end_min_wh": 100_000.0,
        "wear_yuan_per_kwh": 0.1,
    }
    return BatterySpec(**{**figures, **changes})


def test_losses_of_both_ways_are_paid_inside() -> None:
    steps = [
        StorageStep(length_s=HOUR, charge_w=200_000.0),
        StorageStep(length_s=HOUR / 2, discharge_w=320_000.0),
    ]
    found = replay(a_battery(), steps)
    # In: 200 kWh x 0.9 = 180; out: 320 kW x 0.5 h = 160 kWh, which takes 160 / 0.8 = 200.
    assert found.soc_wh == (500_000.0, 680_000.0, 480_000.0)
    assert (found.charged_wh, found.discharged_wh) == (200_000.0, 160_000.0)
    assert found.lost_wh == pytest.approx(60_000.0)  # 20 going in, 40 coming out
    assert found.wear_yuan == pytest.approx(16.0)
    assert found.is_sound


@pytest.mark.parametrize(
    ("steps", "code", "asked", "allowed"),
    [
        pytest.param(
            [StorageStep(length_s=60, charge_w=600_000)],
            Breach.TOO_FAST_IN,
            600_000,
            500_000,
            id="charging faster than it can",
        ),
        pytest.param(
            [StorageStep(length_s=60, discharge_w=500_000)],
            Breach.TOO_FAST_OUT,
            500_000,
            400_000,
            id="discharging faster than it can",
        ),
        pytest.param(
            [StorageStep(length_s=HOUR, charge_w=30_000, discharge_w=20_000)],
            Breach.BOTH_WAYS,
            20_000,
            0,
            id="both ways at once",
        ),
        pytest.param(
            # 500 + 2 x 500 x 0.9 = 1,400 kWh in 1,000.
            [StorageStep(length_s=2 * HOUR, charge_w=500_000)],
            Breach.FULL,
            1_400_000,
            1_000_000,
            id="more than fits",
        ),
        pytest.param(
            # 500 - 400 / 0.8 = 0 kWh, where 100 must stay.
            [StorageStep(length_s=HOUR, discharge_w=400_000)],
            Breach.EMPTY,
            0,
            100_000,
            id="more than is in it",
        ),
    ],
)
def test_what_the_battery_can_not_do_is_named_with_both_numbers(
    steps: Sequence[StorageStep], code: Breach, asked: float, allowed: float
) -> None:
    (breach,) = replay(a_battery(), steps).breaches
    assert (breach.step, breach.code) == (0, code)
    assert (breach.asked, breach.allowed) == pytest.approx((asked, allowed))


def test_a_plan_that_ends_too_low_is_named() -> None:
    (breach,) = replay(a_battery(soc_end_min_wh=600_000.0), []).breaches
    assert (breach.code, breach.asked, breach.allowed) == (Breach.END_TOO_LOW, 500_000, 600_000)


def test_a_battery_gives_what_it_has_and_no_more() -> None:
    found = replay(a_battery(), [StorageStep(length_s=HOUR, discharge_w=400_000)])
    assert found.soc_wh[-1] == 100_000
    assert found.discharge_w == (320_000.0,)  # (500 - 100) kWh x 0.8 in an hour


@given(
    asked=st.lists(
        st.builds(
            StorageStep,
            length_s=st.floats(1, 86_400),
            charge_w=st.floats(0, 1e6),
            discharge_w=st.floats(0, 1e6),
        ),
        max_size=20,
    )
)
def test_no_schedule_takes_the_charge_out_of_its_bounds_or_makes_energy(
    asked: list[StorageStep],
) -> None:
    battery = a_battery()
    found = replay(battery, asked)
    assert all(battery.soc_min_wh <= one <= battery.capacity_wh for one in found.soc_wh)
    assert found.lost_wh >= -1e-3
    done = [
        StorageStep(length_s=step.length_s, charge_w=into, discharge_w=out)
        for step, into, out in zip(asked, found.charge_w, found.discharge_w, strict=True)
    ]
    again = replay(battery, done)
    assert {one.code for one in again.breaches} <= {Breach.END_TOO_LOW}
    assert again.soc_wh == pytest.approx(found.soc_wh)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"efficiency_charge": 1.1}, "efficiency_charge must be above 0", id="gain"),
        pytest.param({"efficiency_discharge": 0.0}, "efficiency_discharge", id="nothing out"),
        pytest.param({"soc_wh": 2e6}, "must lie between its least", id="fuller than full"),
        pytest.param({"soc_wh": 0.0}, "must lie between its least", id="below its least"),
        pytest.param({"soc_end_min_wh": 2e6}, "can not end with 2000000.0 Wh", id="ends over"),
        pytest.param({"charge_w_max": -1.0}, "charge_w_max must not be negative", id="power"),
        pytest.param({"capacity_wh": float("nan")}, "capacity_wh must not", id="not a number"),
    ],
)
def test_batteries_without_sense_are_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        a_battery(**changes)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        pytest.param({"length_s": 0.0}, "needs a length", id="no time"),
        pytest.param({"length_s": 1.0, "charge_w": -1.0}, "no negative power", id="negative"),
    ],
)
def test_steps_without_sense_are_refused(step: dict[str, float], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        StorageStep(**step)
