"""Sleep, storage, sun, peak and promises: small cases with costs worked out by hand.

A site has PUE 1.5 and 0.60 yuan a kilowatt-hour, a unit draws 1 kW more at work; slots are hours.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from problem_builders import ORIGIN, a_battery, a_job, a_pool, a_problem, a_site, a_sleep

from optimizer.check import violations
from optimizer.planner import plan
from optimizer.problem import JobSpec, PeakSpec, Policy, Problem, slots_of
from suanwang.energy.grid import GridEvent
from suanwang.ids import PoolId
from suanwang.model.energy_plan import SiteEnergy
from suanwang.model.plan import Plan

POOL = PoolId("near-gpu")
IN_THIRD_SLOT: dict[str, Any] = {"earliest_s": 7_200.0, "deadline_s": 10_800.0}
IN_FIRST_SLOT: dict[str, Any] = {"deadline_s": 3_600.0}


def _planned(problem: Problem) -> tuple[Plan, SiteEnergy]:
    made = plan(problem)
    assert violations(problem, made) == ()
    assert made.bound is not None
    assert made.bound <= made.objective + 1e-6
    (energy,) = made.energy
    return made, energy


def _asleep(jobs: tuple[JobSpec, ...] = (), **sleep: Any) -> Problem:
    """Two idle nodes of 1 kW each, which are the site's whole load."""
    site = a_site(it_base_w=(2_000.0,) * 4)
    return a_problem(jobs=jobs, sites=[site], pools=[a_pool(sleep=a_sleep(**sleep))])


def _awake(energy: SiteEnergy) -> list[int]:
    return [slot.awake[POOL] for slot in energy.slots]


def test_nodes_that_nobody_needs_sleep() -> None:
    made, energy = _planned(_asleep())
    assert _awake(energy) == [0, 0, 0, 0]
    assert made.objective == pytest.approx(0.0)
    assert energy.saved_wh == pytest.approx(2_000 * 4 * 1.5)


def test_a_node_that_may_not_sleep_is_no_business_of_the_plan() -> None:
    assert plan(_asleep(sleepable=False)).energy == ()


def test_spare_nodes_stay_awake() -> None:
    made, energy = _planned(_asleep(spare_nodes=1))
    assert _awake(energy) == [1, 1, 1, 1]
    assert made.objective == pytest.approx(4 * 1.5 * 0.60)


def test_a_node_is_woken_for_a_job_before_it_starts() -> None:
    made, energy = _planned(_asleep((a_job(**IN_THIRD_SLOT),)))
    assert _awake(energy) == [0, 0, 1, 0]
    wake_wh = energy.slots[1].facility_w
    assert wake_wh == pytest.approx(500 * 1.5)
    job = 10.0 + 2 * 0.05
    assert made.objective == pytest.approx(job + 2 * 1.5 * 0.60 + 0.5 * 1.5 * 0.60 + 0.1)


def test_a_node_stays_awake_where_a_wake_is_dearer_than_an_idle_hour() -> None:
    made, energy = _planned(_asleep((a_job(), a_job("later", **IN_THIRD_SLOT)), wear_yuan=2.0))
    assert _awake(energy) == [1, 1, 1, 0]
    assert energy.wakes == 0
    jobs = 10.0 + 10.0 + 2 * 0.05
    assert made.objective == pytest.approx(jobs + (2 + 1 + 2) * 1.5 * 0.60)


def test_jobs_go_to_the_node_that_is_awake_anyway() -> None:
    """Four units at once keep one node awake for an hour; two times two would keep it for two."""
    made, energy = _planned(_asleep((a_job("a", units=2), a_job("b", units=2))))
    assert _awake(energy) == [1, 0, 0, 0]
    assert made.objective == pytest.approx(40.0 + (1 + 4) * 1.5 * 0.60)


def test_a_job_waits_until_a_node_can_be_awake() -> None:
    made, energy = _planned(_asleep((a_job(),), awake_now=0, wake_s=3_600.0))
    assert [one.start for one in made.later] == [ORIGIN + timedelta(hours=1)]
    assert energy.slots[0].facility_w == pytest.approx(500 * 1.5)


def test_units_that_other_jobs_hold_keep_their_nodes_awake() -> None:
    problem = _asleep()
    held = replace(problem.pools[0], units_free=(3, 3, 8, 8))
    _, energy = _planned(replace(problem, pools=(held,)))
    assert _awake(energy) == [2, 2, 0, 0]


def _stored(**battery: Any) -> Problem:
    """Ten kilowatts of IT, two cheap hours and two dear ones, an empty battery."""
    site = a_site(
        it_base_w=(10_000.0,) * 4,
        price_uyuan_per_kwh=(200_000, 200_000, 1_000_000, 1_000_000),
        battery=a_battery(**{"soc_wh": 0.0, **battery}),
    )
    return a_problem(sites=[site])


def test_a_battery_buys_cheap_and_gives_dear() -> None:
    made, energy = _planned(_stored())
    assert made.objective == pytest.approx(15 * (2 * 0.2 + 2 * 1.0) + 10 * 0.2 - 8 * 1.0)
    assert energy.discharged_wh == pytest.approx(8_000.0)


def test_wear_keeps_a_battery_at_rest_where_it_does_not_pay() -> None:
    made, energy = _planned(_stored(wear_yuan_per_kwh=0.8))
    assert energy.discharged_wh == pytest.approx(0.0)
    assert made.objective == pytest.approx(15 * 2.4)


def test_what_a_battery_must_hold_at_the_end_is_kept() -> None:
    _, energy = _planned(_stored(soc_end_min_wh=4_000.0))
    assert energy.slots[-1].soc_wh == pytest.approx(4_000.0)
    assert energy.discharged_wh == pytest.approx(6_000 * 0.8)


def test_a_battery_that_cannot_be_filled_in_time_is_told() -> None:
    _, energy = _planned(_stored(charge_w_max=500.0, soc_end_min_wh=4_000.0))
    assert energy.short_wh == pytest.approx(2_000.0)


def test_sun_is_used_and_never_sold() -> None:
    site = a_site(it_base_w=(10_000.0,) * 4, solar_w=(20_000.0, 5_000.0, 0.0, 0.0))
    made, energy = _planned(a_problem(sites=[site]))
    assert [slot.grid_w for slot in energy.slots] == pytest.approx([0.0, 10_000, 15_000, 15_000])
    assert made.objective == pytest.approx(40 * 0.60)


def test_a_negative_price_fills_the_battery_and_burns_nothing() -> None:
    problem = _stored()
    site = replace(problem.sites[0], price_uyuan_per_kwh=(-100_000, 600_000, 600_000, 600_000))
    made, energy = _planned(replace(problem, sites=(site,)))
    assert energy.slots[0].charge_w == pytest.approx(5_000.0)
    assert energy.slots[0].discharge_w == pytest.approx(0.0)
    assert made.objective == pytest.approx(-0.1 * 20 + 0.6 * (45 - 4))


def _peaked(jobs: tuple[JobSpec, ...], **site: Any) -> Problem:
    """A base of 15 kW at the meter, which is the month's peak so far; 10 yuan for each kW above."""
    peak = PeakSpec(so_far_w=15_000.0, yuan_per_kw=10.0)
    own = a_site(**{"it_base_w": (10_000.0,) * 4, "peak": peak, **site})
    return a_problem(jobs=jobs, sites=[own])


def test_jobs_follow_each_other_where_a_peak_costs_more_than_waiting() -> None:
    made, energy = _planned(_peaked((a_job("a"), a_job("b"))))
    assert energy.peak_w == pytest.approx(16_500.0)
    jobs = 20.0 + 0.05 + 2 * 1.5 * 0.60
    assert made.objective == pytest.approx(60 * 0.60 + jobs + 1.5 * 10)


def test_a_peak_that_was_there_already_costs_nothing() -> None:
    seen = PeakSpec(so_far_w=30_000.0, yuan_per_kw=10.0)
    made, _ = _planned(_peaked((a_job("a"), a_job("b")), peak=seen))
    assert made.objective == pytest.approx(60 * 0.60 + 20.0 + 2 * 1.5 * 0.60)


def test_a_run_of_half_a_slot_makes_the_whole_peak() -> None:
    _, energy = _planned(_peaked((a_job(run_s=1_800.0),)))
    assert energy.peak_w == pytest.approx(16_500.0)
    assert energy.slots[0].facility_w == pytest.approx(15_750.0)


def _by_minutes(
    jobs: tuple[JobSpec, ...], lengths_s: tuple[float, ...] = (60.0,) * 30, **peak: Any
) -> Problem:
    """Like ``_peaked`` over slots of other lengths; waiting costs nothing."""
    spec = PeakSpec(**{"so_far_w": 15_000.0, "yuan_per_kw": 10.0, **peak})
    slots = len(lengths_s)
    own = a_site(slots=slots, it_base_w=(10_000.0,) * slots, peak=spec)
    problem = a_problem(jobs=jobs, sites=[own], pools=[a_pool(slots=slots)])
    policy = replace(problem.policy, waiting_yuan_per_unit_hour=0.0)
    return replace(problem, slots=slots_of(lengths_s), policy=policy)


def test_a_run_of_a_minute_costs_a_fifteenth_of_the_peak_of_a_run_of_fifteen() -> None:
    """One unit takes 1.5 kW at the meter, so 15 yuan if it lasts for a window of demand."""
    _, minute = _planned(_by_minutes((a_job(run_s=60.0, deadline_s=60.0),)))
    _, quarter = _planned(_by_minutes((a_job(run_s=900.0, deadline_s=900.0),)))
    assert minute.peak_w == pytest.approx(15_000.0 + 1_500.0 / 15)
    assert quarter.peak_w == pytest.approx(15_000.0 + 1_500.0)
    base = 15 * 0.5 * 0.60
    assert minute.cost_yuan == pytest.approx(base + 1.5 / 60 * 0.60 + 15.0 / 15)
    assert quarter.cost_yuan == pytest.approx(base + 1.5 / 4 * 0.60 + 15.0)


def test_a_run_of_a_minute_in_a_slot_of_an_hour_costs_a_fifteenth_too() -> None:
    made, energy = _planned(_peaked((a_job(run_s=60.0),)))
    assert [one.start for one in made.starts] == [ORIGIN]
    assert energy.peak_w == pytest.approx(15_000.0 + 1_500.0 / 15)
    assert energy.slots[0].draw_w == pytest.approx(16_500.0)


def test_minutes_of_one_window_add_up_and_those_of_two_do_not() -> None:
    jobs = tuple(a_job(f"j{at}", run_s=60.0) for at in range(4))
    _, energy = _planned(_by_minutes(jobs))
    assert energy.peak_w == pytest.approx(15_000.0 + 2 * 1_500.0 / 15)
    late = tuple(replace(job, deadline_s=900.0) for job in jobs)
    _, energy = _planned(_by_minutes(late))
    assert energy.peak_w == pytest.approx(15_000.0 + 4 * 1_500.0 / 15)


def test_windows_are_those_of_the_meters_clock() -> None:
    """A minute that lies across the edge of two windows counts in each for half of it."""
    drawn_wh = 15_000.0 * 870 / 3_600
    jobs = (a_job(run_s=60.0, deadline_s=60.0),)
    _, energy = _planned(_by_minutes(jobs, elapsed_s=870.0, drawn_wh=drawn_wh))
    assert energy.peak_w == pytest.approx(15_000.0 + 1_500.0 / 30)


def test_what_was_drawn_in_the_running_window_leaves_less_for_jobs() -> None:
    """Ten minutes at 14.4 kW leave 400 Wh at 15 kW below the peak, which is 100 W in the mean.

    A unit of one job takes 25 Wh in a minute, so four such jobs fit and eight do not.
    """
    lengths_s = (60.0,) * 5
    jobs = tuple(a_job(f"j{at}", run_s=60.0) for at in range(8))
    few = _by_minutes(jobs[:4], lengths_s, elapsed_s=600.0, drawn_wh=2_400.0)
    assert _planned(few)[1].peak_w == pytest.approx(15_000.0)
    many = _by_minutes(jobs, lengths_s, elapsed_s=600.0, drawn_wh=2_400.0)
    assert _planned(many)[1].peak_w == pytest.approx(15_000.0 + 4 * 25 * 4)


@pytest.mark.parametrize("so_far_w", [0.0, 15_000.0, 15_100.0])
def test_short_jobs_are_not_put_off_for_a_peak_that_they_make_in_any_window(
    so_far_w: float,
) -> None:
    """The slots are those of the live planner; a minute costs the same whenever it is."""
    problem = _by_minutes((a_job(run_s=60.0),), (60.0, 240.0, 600.0, 900.0, 1_800.0, 3_600.0))
    spec = PeakSpec(so_far_w=so_far_w, yuan_per_kw=38.0)
    sites = (replace(problem.sites[0], peak=spec),)
    made, _ = _planned(replace(problem, sites=sites, policy=Policy(time_limit_s=30.0)))
    assert [one.start for one in made.starts] == [ORIGIN]


def test_more_of_a_window_than_all_of_it_is_refused() -> None:
    with pytest.raises(ValueError, match="900"):
        plan(_by_minutes((a_job(run_s=60.0),), elapsed_s=900.0))


def test_a_battery_shaves_the_peak() -> None:
    """It gives 1.5 - x kW in the first hour and takes x in each of the other three to be full.

    So 3 x = (1.5 - x) / 0.8, and x = 1.5 / 3.4 is the rise.
    """
    _, energy = _planned(_peaked((a_job(),), battery=a_battery(soc_end_min_wh=10_000.0)))
    assert energy.peak_w == pytest.approx(15_000.0 + 1_500.0 / 3.4)


def _promised(job: JobSpec, **site: Any) -> Problem:
    """A base of 15 kW at the meter, which is all that the site may draw in the first hour."""
    event = GridEvent(id="e", start=ORIGIN, end=ORIGIN + timedelta(hours=1), firm_w=15_000.0)
    own = a_site(**{"it_base_w": (10_000.0,) * 4, "events": (event,), **site})
    return a_problem(jobs=[job], sites=[own])


def test_a_promise_to_the_grid_moves_a_job() -> None:
    made, energy = _planned(_promised(a_job()))
    assert [one.start for one in made.later] == [ORIGIN + timedelta(hours=1)]
    assert energy.slots[0].draw_w == pytest.approx(15_000.0)


def test_a_battery_lets_a_job_run_beside_a_promise() -> None:
    problem = _promised(a_job(**IN_FIRST_SLOT))
    assert not plan(problem).starts
    helped = _promised(a_job(**IN_FIRST_SLOT), battery=a_battery(soc_wh=2_000.0))
    made, energy = _planned(helped)
    assert len(made.starts) == 1
    assert energy.slots[0].draw_w <= 15_000.0 + 1.0
    assert energy.slots[0].discharge_w >= 1_500.0 - 1.0


def test_a_promise_that_cannot_be_kept_even_without_jobs_is_told() -> None:
    made, energy = _planned(_promised(a_job(), it_base_w=(11_000.0,) * 4))
    assert energy.slots[0].over_w == pytest.approx(1_500.0)
    assert not made.starts


def test_a_problem_without_energy_data_has_no_schedule() -> None:
    assert plan(a_problem(jobs=[a_job()])).energy == ()


def test_pue_rises_while_energy_falls() -> None:
    """Fixed losses of 5 kW stay when idle nodes go to sleep."""
    site = a_site(it_base_w=(12_000.0,) * 4, facility_w=(((0.0, 5_000.0), (1e6, 1.105e6)),) * 4)
    problem = a_problem(sites=[site], pools=[a_pool(sleep=a_sleep())])
    _, energy = _planned(problem)
    assert energy.pue_awake == pytest.approx((5 + 1.1 * 12) / 12)
    assert energy.pue == pytest.approx((5 + 1.1 * 10) / 10)
    assert energy.saved_wh == pytest.approx(2_000 * 4 * 1.1)
