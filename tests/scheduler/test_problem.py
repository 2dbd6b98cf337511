"""The planner's problem: prices, powers, free units by slot, and the careful side of old facts."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.check_lines import facility_w
from optimizer.planner import plan
from optimizer.problem import DEFAULT_SLOT_LENGTHS_S, PeakSpec, Policy, Problem, SiteSpec
from scheduler.problem import Money, build_problem
from suanwang.energy.carbon_hourly import HourlyCarbon
from suanwang.energy.catalogue import load_catalogue
from suanwang.energy.facility_fitted import FitQuality, FittedFacility
from suanwang.ids import JobId, LotId, SiteId, TenantId
from suanwang.model.job import Job, JobState, Wishes
from suanwang.model.network import ComputeNetwork, Fact, PoolState, SiteState
from suanwang.model.plan import ReasonCode
from suanwang.model.reading import Quality
from suanwang.model.site import DataClass, DemandBasis, Site
from suanwang.model.voucher import Lot
from suanwang.scenario.load import load_world
from suanwang.scenario.network import network_of
from suanwang.scenario.packaged import world_path

CATALOGUE = load_catalogue()
DEMO = load_world(world_path("demo"))
NOW = datetime(2026, 10, 14, 1, tzinfo=UTC)
"""Nine in the morning in China."""
IDLE_W = 200 + 4 * 30
BUSY_W = 200 + 4 * 120


def a_state(**changes: object) -> SiteState:
    """Laoshan with its four cores free, as its models see it."""
    state = network_of(DEMO, CATALOGUE, NOW).sites[0]
    return replace(state, **changes)  # type: ignore[arg-type]  # a builder takes any field


def a_job(name: str = "j", **wishes: object) -> Job:
    return Job(
        id=JobId(name),
        submission_id=name,
        tenant_id=TenantId("t"),
        state=JobState.QUEUED,
        entrypoint="true",
        wishes=Wishes(**wishes),  # type: ignore[arg-type]  # a builder takes any field
        submitted_at=NOW - timedelta(seconds=30),
    )


def built(
    *states: SiteState, jobs: tuple[Job, ...] = (), slots: tuple[float, ...] = (3_600.0,) * 3
) -> Problem:
    network = ComputeNetwork(at=NOW, sites=states, rtt_ms=DEMO.rtt_ms)
    return build_problem(network, jobs, Money(), CATALOGUE, Policy(), slots)


def fact(value: float, age_s: float = 0.0, quality: Quality = Quality.MEASURED) -> Fact:
    return Fact(value=value, at=NOW - timedelta(seconds=age_s), quality=quality)


def base_w(state: SiteState) -> list[float]:
    return [round(one, 6) for one in built(state).sites[0].it_base_w]


def with_site(**changes: object) -> SiteState:
    state = a_state()
    site: Site = replace(state.site, **changes)  # type: ignore[arg-type]  # a builder takes any field
    return replace(state, site=site)


def test_prices_follow_the_tariff_slot_by_slot() -> None:
    # 9-10 h flat 0.6559, 10-11 h valley 0.6559 x 0.51, 11-12 h deep 0.6559 x 0.37.
    assert built(a_state()).sites[0].price_uyuan_per_kwh == (655_900, 334_509, 242_683)


def test_a_slot_across_an_edge_has_the_price_averaged_by_time() -> None:
    spec = built(a_state(), slots=(7_200.0,)).sites[0]
    assert spec.price_uyuan_per_kwh == ((655_900 + 334_509 + 1) // 2,)


def test_carbon_is_the_regions_newest_yearly_factor() -> None:
    assert list(built(a_state()).sites[0].carbon_g_per_kwh) == pytest.approx([619.1] * 3)


def test_the_base_is_background_and_idle_units() -> None:
    assert base_w(a_state()) == [IDLE_W] * 3


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        pytest.param(fact(IDLE_W + 50), IDLE_W + 50, id="fresh and higher: believed"),
        pytest.param(fact(IDLE_W - 50), IDLE_W - 50, id="fresh and lower: believed"),
        pytest.param(fact(100), 4 * 30, id="below idle power: never less than idle"),
        pytest.param(fact(IDLE_W + 50, 300), IDLE_W + 50, id="stale and higher: kept"),
        pytest.param(fact(IDLE_W - 50, 300), IDLE_W, id="stale and lower: as registered"),
        pytest.param(fact(9, 3_600), IDLE_W, id="lost, but no load can pass the limit"),
        pytest.param(fact(9, 0, Quality.MISSING), IDLE_W, id="missing is lost"),
    ],
)
def test_a_power_reading_counts_as_its_age_allows(reading: Fact, expected: float) -> None:
    assert base_w(a_state(it_power_w=reading)) == [expected] * 3


def test_without_a_reading_a_site_that_could_overload_is_taken_as_fully_loaded() -> None:
    state = replace(with_site(contract_w=700), it_power_w=fact(0, 3_600))
    problem = built(state, jobs=(a_job(),))
    assert list(problem.sites[0].it_base_w) == [BUSY_W] * 3
    rejection = plan(replace(problem, cash_fen={"t": 10**6})).rejections[0]
    assert rejection.reason is ReasonCode.SITE_POWER


def test_with_a_reading_the_same_site_takes_what_fits() -> None:
    problem = built(with_site(contract_w=700), jobs=(a_job(run_s_max=600),))
    assert [one.job_id for one in plan(replace(problem, cash_fen={"t": 10**6})).starts] == ["j"]


def test_facility_power_is_bound_by_contract_and_by_design_it_power() -> None:
    bound = built(with_site(contract_w=900)).sites[0]
    assert bound.power_w_max == (900.0,) * 3
    free = built(with_site(contract_w=10**6)).sites[0]
    for limit_w, points in zip(free.power_w_max, free.facility_w, strict=True):
        assert limit_w == pytest.approx(dict(points)[1_000.0])


def test_a_fresh_wet_bulb_moves_the_whole_forecast() -> None:
    typical = CATALOGUE.climate("qingdao").wet_bulb_at(NOW, "Asia/Shanghai")
    usual = built(a_state()).sites[0].facility_w
    hot = built(a_state(wet_bulb_c=fact(typical + 12))).sites[0].facility_w
    old = built(a_state(wet_bulb_c=fact(typical + 12, 300))).sites[0].facility_w
    assert all(one[-1][1] > two[-1][1] for one, two in zip(hot, usual, strict=True))
    assert old == usual


def test_units_come_free_when_their_runs_must_end() -> None:
    state = a_state()
    busy = ((NOW + timedelta(minutes=90), 1), (NOW + timedelta(hours=1), 2))
    pool = replace(state.pools[0], units_free=1, busy_until=busy)
    problem = built(replace(state, pools=(pool,), it_power_w=fact(IDLE_W + 3 * 90)))
    assert problem.pools[0].units_free == (1, 3, 4)
    assert problem.sites[0].it_base_w == (IDLE_W + 270, IDLE_W + 90, IDLE_W)


def test_units_that_draw_less_than_they_may_are_not_taken_from_the_background() -> None:
    state = a_state()
    pool = replace(state.pools[0], units_free=0, busy_until=((NOW + timedelta(hours=1), 4),))
    problem = built(replace(state, pools=(pool,), it_power_w=fact(IDLE_W + 10)))
    assert problem.sites[0].it_base_w == (IDLE_W + 360, IDLE_W, IDLE_W)


def test_an_overdue_run_holds_its_units_through_the_first_slot() -> None:
    state = a_state()
    pool = replace(state.pools[0], units_free=3, busy_until=((NOW - timedelta(minutes=1), 1),))
    assert built(replace(state, pools=(pool,))).pools[0].units_free == (3, 4, 4)


def test_drained_units_are_never_free() -> None:
    state = a_state()
    pool = PoolState(
        pool=replace(state.pools[0].pool, drained_units=3),
        units_free=2,
        busy_until=((NOW + timedelta(minutes=5), 2),),
    )
    spec = built(replace(state, pools=(pool,))).pools[0]
    assert (spec.units, spec.units_free) == (1, (1, 1, 1))


@given(
    units_free=st.integers(0, 4),
    busy=st.lists(st.tuples(st.integers(-100, 20_000), st.integers(1, 4)), max_size=4),
)
def test_free_units_only_grow_and_stay_within_the_pool(
    units_free: int, busy: list[tuple[int, int]]
) -> None:
    state = a_state()
    ends = tuple((NOW + timedelta(seconds=end_s), units) for end_s, units in busy)
    pool = replace(state.pools[0], units_free=units_free, busy_until=ends)
    problem = built(replace(state, pools=(pool,)), slots=tuple(map(float, DEFAULT_SLOT_LENGTHS_S)))
    free = list(problem.pools[0].units_free)
    assert free == sorted(free)
    assert free[0] == units_free
    assert free[-1] <= 4
    assert all(one >= IDLE_W - 1e-6 for one in problem.sites[0].it_base_w)


@pytest.mark.parametrize(
    ("changes", "reason", "message"),
    [
        pytest.param(
            {"is_open": False},
            ReasonCode.SITE_DOWN,
            "closed to new jobs by its operator",
            id="closed",
        ),
        pytest.param(
            {"is_reachable": False, "agent_seen_at": NOW - timedelta(minutes=3)},
            ReasonCode.STALE,
            "out of reach; its agent last called 3.0 minutes ago",
            id="silent for a while",
        ),
        pytest.param(
            {"is_reachable": False, "agent_seen_at": NOW - timedelta(hours=1)},
            ReasonCode.SITE_DOWN,
            "out of reach; its agent last called 60.0 minutes ago",
            id="silent for long",
        ),
        pytest.param(
            {"is_reachable": False, "agent_seen_at": None},
            ReasonCode.SITE_DOWN,
            "its agent has never called",
            id="never there",
        ),
    ],
)
def test_a_site_out_of_use_is_kept_with_the_reason(
    changes: dict[str, object], reason: ReasonCode, message: str
) -> None:
    spec = built(a_state(**changes)).sites[0]
    assert (spec.is_open, spec.closed_reason, spec.closed_message) == (False, reason, message)


def test_a_site_with_an_unknown_tariff_harms_no_other() -> None:
    near, far = network_of(DEMO, CATALOGUE, NOW).sites
    broken = replace(near, site=replace(near.site, tariff_id="gone"))
    problem = built(broken, far, jobs=(a_job(run_s_max=600),))
    spec = problem.sites[0]
    assert not spec.is_open
    assert "there is no tariff 'gone'" in spec.closed_message
    started = plan(replace(problem, cash_fen={"t": 10**6})).starts
    assert [one.site_id for one in started] == ["zhongwei"]


def test_a_job_is_told_in_seconds_from_now_with_the_grace_of_its_stop() -> None:
    job = a_job(
        units=2,
        run_s_max=900,
        accelerators=frozenset({"cpu"}),
        origin="qingdao",
        latency_ms_max=5.0,
        data_class=DataClass.IMPORTANT,
        deadline=NOW + timedelta(hours=2),
        earliest_start=NOW + timedelta(minutes=10),
        cash_fen_max=500,
    )
    spec = built(a_state(), jobs=(job,)).jobs[0]
    assert (spec.units, spec.run_s, spec.earliest_s, spec.deadline_s) == (2, 903.0, 600.0, 7_200.0)
    assert (spec.waited_s, spec.latency_ms_max, spec.cash_fen_max) == (30.0, 5.0, 500)
    assert (spec.origin, spec.data_class) == ("qingdao", DataClass.IMPORTANT)


def test_a_job_that_arrives_later_cannot_start_before() -> None:
    later = replace(a_job(), submitted_at=NOW + timedelta(hours=1))
    spec = built(a_state(), jobs=(later,)).jobs[0]
    assert (spec.earliest_s, spec.waited_s) == (3_600.0, 0.0)


def test_an_unnamed_origin_takes_the_link_of_anywhere() -> None:
    network = ComputeNetwork(
        at=NOW,
        sites=(a_state(),),
        rtt_ms={("*", SiteId("laoshan")): 9.0, ("jimo", SiteId("laoshan")): 1.0},
    )
    jobs = [a_job("a", origin="jimo"), a_job("b", origin="mars"), a_job("c")]
    problem = build_problem(network, jobs, Money(), CATALOGUE, Policy())
    assert problem.rtt_ms["jimo", "laoshan"] == 1.0
    assert problem.rtt_ms["mars", "laoshan"] == 9.0
    assert problem.rtt_ms["", "laoshan"] == 9.0


def test_lots_are_told_in_seconds_and_empty_ones_left_out() -> None:
    lot = Lot(
        id=LotId("l"), tenant_id=TenantId("t"), programme="p", issued_fen=500, available_fen=300,
        held_fen=200, spent_fen=0, expired_fen=0, ratio_num=1, ratio_den=2,
        expires_at=NOW + timedelta(days=1), rank=3, accelerators=frozenset({"cpu"}),
    )  # fmt: skip
    empty = replace(lot, id=LotId("e"), available_fen=0, held_fen=500)
    money = Money(lots=(lot, empty), cash_fen={"t": 7})
    network = ComputeNetwork(at=NOW, sites=(a_state(),), rtt_ms={})
    problem = build_problem(network, [], money, CATALOGUE, Policy())
    assert [(one.id, one.available_fen, one.expires_s) for one in problem.lots] == [
        ("l", 300, 86_400.0)
    ]
    assert problem.cash_fen == {"t": 7}


def test_equal_networks_in_any_order_give_equal_problems() -> None:
    states = network_of(DEMO, CATALOGUE, NOW).sites
    assert built(*states) == built(*reversed(states))


def test_the_months_peak_is_priced_where_demand_is_paid_for() -> None:
    paying = replace(DEMO.sites[0], demand_basis=DemandBasis.MAX_DEMAND)
    site = built(a_state(site=paying, peak_w=700.0)).sites[0]
    yuan = CATALOGUE.tariff_versions(paying.tariff_id).at(NOW).demand.max_demand_uyuan_per_kw
    assert site.peak == PeakSpec(so_far_w=700.0, yuan_per_kw=yuan[paying.voltage] / 1e6)
    assert built(a_state(site=paying)).sites[0].peak is None
    by_capacity = replace(paying, demand_basis=DemandBasis.CAPACITY, transformer_kva=100)
    assert built(a_state(site=by_capacity, peak_w=700.0)).sites[0].peak is None


def test_windows_of_demand_are_those_of_the_clock_with_what_was_drawn_in_the_running_one() -> None:
    paying = a_state(site=replace(DEMO.sites[0], demand_basis=DemandBasis.MAX_DEMAND), peak_w=7.0)
    later = NOW + timedelta(minutes=5)

    def site_of(state: SiteState) -> SiteSpec:
        network = ComputeNetwork(at=later, sites=(state,), rtt_ms=DEMO.rtt_ms)
        slots = (60.0, 240.0, 600.0)
        (site,) = build_problem(network, (), Money(), CATALOGUE, Policy(), slots).sites
        return site

    def peak(state: SiteState) -> PeakSpec:
        spec = site_of(state).peak
        assert spec is not None
        return spec

    told = peak(replace(paying, drawn_w=1_200.0))
    assert (told.window_s, told.elapsed_s, told.drawn_wh) == (900.0, 300.0, 100.0)
    read = Fact(value=2_400.0, at=later, quality=Quality.MEASURED)
    assert peak(replace(paying, facility_power_w=read)).drawn_wh == 200.0
    old = replace(read, at=later - timedelta(hours=1))
    site = site_of(replace(paying, facility_power_w=old))
    assert site.peak is not None
    base_w = facility_w(site.facility_w[0], site.it_base_w[0])
    assert site.peak.drawn_wh * 12 == pytest.approx(base_w, rel=2e-3)


def test_carbon_follows_the_hour_where_the_grid_publishes_it() -> None:
    region = DEMO.sites[0].carbon_region
    yearly = CATALOGUE.carbon.factor_g_per_kwh(region, NOW.year)
    hourly = HourlyCarbon(region, (NOW + timedelta(hours=1),), (100.0,))
    catalogue = replace(CATALOGUE, hourly_carbon={region: hourly})
    network = ComputeNetwork(at=NOW, sites=(a_state(),), rtt_ms=DEMO.rtt_ms)
    problem = build_problem(network, (), Money(), catalogue, Policy(), (3_600.0,) * 3)
    assert problem.sites[0].carbon_g_per_kwh == pytest.approx((yearly, 100.0, yearly))


def test_a_curve_fitted_to_the_sites_meters_takes_the_place_of_the_design() -> None:
    state = a_state()
    design = CATALOGUE.facility_of(state.site)
    quality = FitQuality(
        hours=200, since=NOW, until=NOW, load_min=0.2, load_max=0.8, wet_bulb_min_c=0.0,
        wet_bulb_max_c=20.0, r2=0.9, residual_p95=0.01, design_residual_p95=0.05,
    )  # fmt: skip
    own = FittedFacility(design=design, quality=quality, level=2.0)
    facility_w = built(replace(state, own_facility=own)).sites[0].facility_w
    by_design = built(state).sites[0].facility_w
    for (it_w, fitted_w), (_, design_w) in zip(facility_w[0], by_design[0], strict=True):
        assert fitted_w - it_w == pytest.approx(2 * (design_w - it_w))
