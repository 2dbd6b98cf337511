"""What holds of every energy schedule, whatever the problem."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from energy_problems import an_energy_problem
from hypothesis import given, settings
from hypothesis import strategies as st
from problem_builders import a_battery, a_job, a_pool, a_problem, a_site, a_sleep

from optimizer.check import violations
from optimizer.columns import columns_of
from optimizer.deadline import Deadline
from optimizer.direct_route import solve_direct
from optimizer.dispatch import settle
from optimizer.formulation import formulate
from optimizer.greedy import plan_greedy
from optimizer.instance import instance_of
from optimizer.occupancy import empty_occupancy
from optimizer.planner import plan
from optimizer.problem import PeakSpec, Problem
from optimizer.solution import Limits
from suanwang.ids import PoolId
from suanwang.model.energy_plan import EnergySlot, SiteEnergy
from suanwang.model.plan import Plan

_EXACT = Limits(time_s=60.0, gap=1e-9)


def _relaxed_optimum(problem: Problem) -> float:
    instance = instance_of(problem)
    model = formulate(instance, columns_of(instance)).model
    return solve_direct(model.relaxed(), _EXACT).objective


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 100_000))
def test_no_schedule_breaks_balance_charge_promise_or_need_and_no_bound_is_above_it(
    seed: int,
) -> None:
    problem = an_energy_problem(seed)
    made = plan(problem)
    assert violations(problem, made) == ()
    assert "refused by our check" not in made.note
    optimum = _relaxed_optimum(problem)
    slack = 1e-5 * max(1.0, abs(optimum))
    assert optimum <= made.objective + slack
    assert made.bound is not None
    assert made.bound <= optimum + slack


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 100_000))
def test_the_greedy_plan_has_a_sound_schedule_too_and_never_costs_less(seed: int) -> None:
    problem = an_energy_problem(seed)
    greedy = plan_greedy(problem)
    assert violations(problem, greedy) == ()
    assert plan(problem).objective <= greedy.objective + 0.02 + 1e-5 * abs(greedy.objective)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 100_000), share=st.floats(0.0, 2.0))
def test_more_battery_or_sun_never_makes_the_optimum_worse(seed: int, share: float) -> None:
    problem = an_energy_problem(seed)
    more = replace(
        problem,
        sites=tuple(
            replace(
                site,
                solar_w=tuple(power_w + share * abs(power_w) for power_w in site.solar_w),
                battery=None
                if site.battery is None
                else replace(
                    site.battery,
                    capacity_wh=site.battery.capacity_wh * (1 + share),
                    charge_w_max=site.battery.charge_w_max * (1 + share),
                    discharge_w_max=site.battery.discharge_w_max * (1 + share),
                ),
            )
            for site in problem.sites
        ),
    )
    before = _relaxed_optimum(problem)
    assert _relaxed_optimum(more) <= before + 1e-5 * max(1.0, abs(before))


@pytest.mark.parametrize("seed", range(3))
def test_equal_problems_have_equal_schedules(seed: int) -> None:
    problem = an_energy_problem(seed)
    assert plan(problem).energy == plan(problem).energy


def test_without_time_for_a_solver_the_schedule_is_the_plain_one() -> None:
    """Nodes are awake where they are needed, and the battery rests."""
    site = a_site(it_base_w=(2_000.0,) * 4, battery=a_battery())
    problem = a_problem(sites=[site], pools=[a_pool(sleep=a_sleep(spare_nodes=1))])
    instance = instance_of(problem)
    settled = settle(empty_occupancy(instance, columns_of(instance)), Deadline(0.0))
    assert settled.schedule is not None
    assert settled.schedule.choice.awake.tolist() == [[1.0] * 4]
    assert settled.schedule.choice.discharge_w.sum() == 0.0
    assert settled.objective == pytest.approx(4 * 1.5 * 0.60)


def _whole() -> Problem:
    site = a_site(
        it_base_w=(10_000.0,) * 4,
        battery=a_battery(soc_end_min_wh=1_000.0),
        solar_w=(3_000.0,) * 4,
        peak=PeakSpec(so_far_w=1_000.0, yuan_per_kw=1.0),
    )
    pool = a_pool(sleep=a_sleep(awake_now=1))
    return a_problem(jobs=[a_job(units=4)], sites=[site], pools=[pool])


def _changed(made: Plan, change: Callable[[SiteEnergy], SiteEnergy]) -> Plan:
    return replace(made, energy=tuple(change(site) for site in made.energy))


def _at_once(**changes: object) -> Callable[[SiteEnergy], SiteEnergy]:
    def change(site: SiteEnergy) -> SiteEnergy:
        first: EnergySlot = replace(site.slots[0], **changes)  # type: ignore[arg-type]  # any field
        return replace(site, slots=(first, *site.slots[1:]))

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(_at_once(awake={PoolId("near-gpu"): 0}), "0 nodes awake", id="asleep"),
        pytest.param(_at_once(awake={PoolId("near-gpu"): 3}), "at most 1", id="too many"),
        pytest.param(_at_once(facility_w=1.0), "of facility power", id="facility"),
        pytest.param(_at_once(grid_w=1.0), "do not balance", id="balance"),
        pytest.param(_at_once(draw_w=1.0), "a draw of", id="draw"),
        pytest.param(_at_once(solar_w=9_000.0), "of sun used", id="sun"),
        pytest.param(_at_once(discharge_w=9_000.0), "too fast out", id="discharge"),
        pytest.param(_at_once(charge_w=1_000.0, discharge_w=2_000.0), "both ways", id="both ways"),
        pytest.param(_at_once(soc_wh=1.0), "a charge of", id="charge"),
        pytest.param(_at_once(over_w=500.0), "above its promise", id="promise"),
        pytest.param(lambda site: replace(site, peak_w=1.0), "a peak of", id="peak"),
        pytest.param(lambda site: replace(site, short_wh=7.0), "short", id="end"),
        pytest.param(lambda site: replace(site, slots=site.slots[1:]), "slots", id="slots"),
        pytest.param(lambda site: replace(site, site_id="far"), "no schedule", id="site"),
        pytest.param(lambda site: replace(site, cost_yuan=1.0), "costs", id="cost"),
    ],
)
def test_a_tampered_schedule_is_found(
    change: Callable[[SiteEnergy], SiteEnergy], words: str
) -> None:
    problem = _whole()
    made = plan(problem)
    assert violations(problem, made) == ()
    assert any(words in line for line in violations(problem, _changed(made, change)))
