"""What a site's operator allows becomes energy data of the problem, and nothing else does."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from collectors.kpis.tables import load_tables
from optimizer.planner import plan
from optimizer.problem import Policy, Problem, SiteSpec
from scheduler.problem import Money, build_problem
from scheduler.problem_energy import with_terms
from suanwang.energy.carbon_books import CarbonBook
from suanwang.energy.catalogue import load_catalogue
from suanwang.energy.grid import GridEvent
from suanwang.energy.solar import SolarField
from suanwang.energy.storage import BatterySpec
from suanwang.errors import BadInput
from suanwang.model.network import ComputeNetwork, Fact
from suanwang.model.reading import Quality
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


FIELD = SolarField(
    peak_w=1_000.0,
    latitude=36.07,
    longitude=120.38,
    timezone="UTC",
    month_share=(0.5,) * 12,
)


def _site_with(terms: EnergyTerms, charge: Fact | None = None) -> SiteSpec:
    plain = network_of(WORLD, CATALOGUE)
    sites = tuple(
        replace(state, terms=terms, charge_ratio=charge) if state.site.id == SITE else state
        for state in plain.sites
    )
    (found,) = [one for one in _problem(replace(plain, sites=sites)).sites if one.id == SITE]
    return found


def test_a_solar_field_makes_power_by_the_sun_and_none_at_night() -> None:
    site = _site_with(EnergyTerms(solar=FIELD))
    slots = [WORLD.start + timedelta(hours=hour) for hour in range(24)]
    noon = max(range(24), key=lambda at: site.solar_w[at])
    assert slots[noon].astimezone(ZoneInfo("Asia/Shanghai")).hour in {11, 12}
    assert site.solar_w[noon] == FIELD.expected_w(slots[noon], slots[noon] + timedelta(hours=1))
    assert min(site.solar_w) == 0.0


def test_the_market_book_weighs_with_the_residual_factor() -> None:
    residual = load_tables().residual_factor().g_per_kwh
    site = _site_with(EnergyTerms(carbon_book=CarbonBook.MARKET))
    assert site.carbon_g_per_kwh == (residual,) * 24
    assert _site_with(EnergyTerms()).carbon_g_per_kwh[0] != residual


@pytest.mark.parametrize(
    ("told", "soc_wh"),
    [
        pytest.param(None, 500.0, id="nobody told"),
        pytest.param((0.2, 0), 200.0, id="told now"),
        pytest.param((0.2, 3_600), 500.0, id="told too long ago"),
        pytest.param((1.7, 0), 1_000.0, id="more than full"),
    ],
)
def test_a_battery_has_the_charge_that_its_source_tells(
    told: tuple[float, int] | None, soc_wh: float
) -> None:
    battery = BatterySpec(
        capacity_wh=1_000.0, charge_w_max=100.0, discharge_w_max=100.0, soc_wh=500.0,
        efficiency_charge=0.9, efficiency_discharge=0.9, soc_end_min_wh=500.0,
    )  # fmt: skip
    charge = None
    if told is not None:
        at = WORLD.start - timedelta(seconds=told[1])
        charge = Fact(value=told[0], at=at, quality=Quality.MEASURED)
    site = _site_with(EnergyTerms(battery=battery, charge_from="battery/a"), charge)
    assert site.battery is not None
    assert (site.battery.soc_wh, site.battery.soc_end_min_wh) == (soc_wh, 500.0)


def test_a_registered_power_chain_changes_what_the_facility_draws() -> None:
    plain = network_of(WORLD, CATALOGUE)
    chained = tuple(
        replace(state, site=replace(state.site, power_chain="ups_2n"))
        if state.site.id == SITE
        else state
        for state in plain.sites
    )

    def facility_w(network: ComputeNetwork) -> float:
        (site,) = [one for one in _problem(network).sites if one.id == SITE]
        return site.facility_w[0][0][1]

    assert facility_w(replace(plain, sites=chained)) != pytest.approx(facility_w(plain), rel=1e-3)


def test_registered_terms_go_before_those_of_the_file() -> None:
    (state,) = [one for one in network_of(WORLD, CATALOGUE).sites if one.site.id == SITE]
    in_file = EnergyTerms(solar=FIELD)
    catalogue = replace(CATALOGUE, terms={SITE: in_file})
    own = EnergyTerms(carbon_book=CarbonBook.MARKET)
    assert with_terms(state, catalogue).terms == in_file
    assert with_terms(replace(state, terms=own), catalogue).terms == own


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
