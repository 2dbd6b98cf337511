"""The forecast of a plan: energy and bill of each site, by hand where it can be."""

from datetime import timedelta
from functools import cache

import pytest

from optimizer.planner import plan
from optimizer.problem import Policy
from scheduler.forecast import SiteForecast, forecast
from scheduler.problem import Money, build_problem
from suanwang.energy.catalogue import load_catalogue
from suanwang.model.plan import Placement
from suanwang.scenario.load import load_world
from suanwang.scenario.network import network_of
from suanwang.scenario.packaged import world_path
from suanwang.scenario.world import World

CATALOGUE = load_catalogue()
DEMO = load_world(world_path("demo"))
QINGDAO = load_world(world_path("qingdao"))


@cache
def placed_in_qingdao() -> tuple[Placement, ...]:
    return placed(QINGDAO)


def placed(world: World) -> tuple[Placement, ...]:
    network = network_of(world, CATALOGUE)
    money = Money(lots=world.lots, cash_fen=world.cash_fen)
    made = plan(
        build_problem(
            network, world.jobs, money, CATALOGUE, Policy(), tuple(map(float, world.slot_lengths_s))
        )
    )
    return made.starts + made.later


def foreseen(world: World, placements: tuple[Placement, ...]) -> dict[str, SiteForecast]:
    network = network_of(world, CATALOGUE)
    sites = forecast(network, placements, world.jobs, CATALOGUE, world.demand_terms, world.end)
    return {site.site_id: site for site in sites}


def test_an_idle_world_draws_its_base_all_the_time() -> None:
    near = foreseen(DEMO, ())["laoshan"]
    assert near.it_wh == pytest.approx(4 * (200 + 4 * 30))
    assert near.bill == near.idle_bill
    assert (near.jobs, near.unit_hours, near.unit_hours_installed) == (0, 0.0, 16.0)


def test_a_job_adds_the_difference_of_busy_and_idle_power_while_it_may_run() -> None:
    placements = placed(DEMO)
    near = foreseen(DEMO, placements)["laoshan"]
    # Two jobs of one core for two minutes at 90 W above idle.
    assert near.it_wh - 4 * 320 == pytest.approx(2 * 90 * 2 / 60)
    assert near.unit_hours == pytest.approx(4 / 60)
    assert near.bill.energy_wh >= near.idle_bill.energy_wh


def test_figures_of_a_site_belong_together() -> None:
    for site in foreseen(QINGDAO, placed_in_qingdao()).values():
        assert site.pue is not None
        assert 1.1 < site.pue < 1.7
        assert site.bill.energy_wh == site.facility_wh
        assert site.peak_w <= site.contract_w
        assert site.peak_w >= site.facility_wh / 24
        assert site.carbon_g == pytest.approx(site.facility_wh / 1_000 * site.carbon.g_per_kwh)
        assert site.bill.total_fen >= site.idle_bill.total_fen
        assert not site.bill.is_stand_in


def test_what_runs_beyond_the_horizon_is_cut_there() -> None:
    placement = next(one for one in placed_in_qingdao() if one.units == 1_024)
    site = foreseen(QINGDAO, (placement,))[placement.site_id]
    hours = (QINGDAO.end - placement.start) / timedelta(hours=1)
    assert site.unit_hours == pytest.approx(1_024 * min(24.0, hours))
