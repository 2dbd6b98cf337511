"""What a site's operator allows becomes energy data of the problem, and nothing else does."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from optimizer.planner import plan
from optimizer.problem import Policy, Problem
from scheduler.problem import Money, build_problem
from suanwang.energy.catalogue import load_catalogue
from suanwang.energy.grid import GridEvent
from suanwang.errors import BadInput
from suanwang.model.network import ComputeNetwork
from suanwang.model.site_terms import EnergyTerms, SleepTerms
from suanwang.scenario.load import load_world
from suanwang.scenario.network import network_of
from suanwang.scenario.packaged import world_path

CATALOGUE = load_catalogue()
WORLD = load_world(world_path("qingdao"), CATALOGUE)
SITE = "unicom-westcoast"


def _problem(network: ComputeNetwork) -> Problem:
    return build_problem(network, (), Money(), CATALOGUE, Policy(), (3_600.0,) * 24)


def _with(terms: EnergyTerms) -> Problem:
    plain = network_of(WORLD, CATALOGUE)
    sites = tuple(
        replace(state, terms=terms) if state.site.id == SITE else state for state in plain.sites
    )
    return _problem(replace(plain, sites=sites))


def test_without_terms_a_problem_has_no_energy_data() -> None:
    problem = _problem(network_of(WORLD, CATALOGUE))
    assert all(pool.sleep is None for pool in problem.pools)
    assert all(
        (site.battery, site.solar_w, site.peak, site.events) == (None, (), None, ())
        for site in problem.sites
    )
    assert plan(problem).energy == ()


def test_nodes_of_a_pool_hold_its_units_and_their_idle_power() -> None:
    problem = _with(EnergyTerms(sleep=SleepTerms(wake_s=360.0, wake_wh=150.0)))
    (h20,) = [pool for pool in problem.pools if pool.id == f"{SITE}-nvidia-h20"]
    assert h20.sleep is not None
    assert (h20.sleep.nodes, h20.sleep.node_units, h20.sleep.awake_now) == (256, 8, 256)
    assert h20.sleep.idle_w == pytest.approx(8 * 60 + 1_300)
    assert {pool.sleep for pool in problem.pools if pool.site_id != SITE} == {None}


def test_all_that_sleeps_was_counted_in_the_base() -> None:
    problem = _with(EnergyTerms(sleep=SleepTerms(wake_s=360.0, wake_wh=150.0)))
    (energy,) = plan(problem).energy
    (site,) = [one for one in problem.sites if one.id == SITE]
    idle_w = sum(
        pool.sleep.nodes * pool.sleep.idle_w for pool in problem.pools if pool.sleep is not None
    )
    assert site.it_base_w[0] - idle_w == pytest.approx(400_000.0)
    assert energy.it_wh == pytest.approx(24 * 400_000.0)


def test_sun_follows_the_local_hour() -> None:
    by_hour = tuple(float(hour) for hour in range(24))
    (site,) = [one for one in _with(EnergyTerms(solar_w_by_hour=by_hour)).sites if one.solar_w]
    assert site.solar_w == by_hour


def test_a_world_prices_its_days_share_of_the_month() -> None:
    problem = _problem(network_of(WORLD, CATALOGUE, with_energy=True))
    peaks = {site.id: site.peak for site in problem.sites}
    own = peaks[SITE]
    assert own is not None
    assert own.yuan_per_kw == pytest.approx(35.2 / 30)
    assert peaks["telecom-westcoast"] is None
    assert peaks["edge-port"] is None


def test_a_promise_reaches_the_problem() -> None:
    start = datetime(2026, 10, 13, 20, tzinfo=UTC)
    event = GridEvent(id="e", start=start, end=start + timedelta(hours=1), firm_w=1e6)
    (site,) = [one for one in _with(EnergyTerms(events=(event,))).sites if one.events]
    assert site.events == (event,)


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        pytest.param({"wake_s": -1.0, "wake_wh": 0.0}, "negative", id="negative wake"),
        pytest.param(
            {"wake_s": 1.0, "wake_wh": 0.0, "spare_nodes": -1}, "negative", id="negative spare"
        ),
    ],
)
def test_terms_of_sleep_that_make_no_sense_are_refused(terms: dict[str, float], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        SleepTerms(**terms)  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize("by_hour", [(1.0,), (-1.0,) * 24])
def test_sun_that_is_not_a_day_of_powers_is_refused(by_hour: tuple[float, ...]) -> None:
    with pytest.raises(BadInput, match="solar"):
        EnergyTerms(solar_w_by_hour=by_hour)
