"""The nouns answer the few questions that belong to themselves."""

from datetime import UTC, datetime, timedelta

import pytest

from suanwang.ids import AttemptId, HoldId, LotId, PoolId, SiteId, TenantId
from suanwang.model.attempt import DEAD_ATTEMPT_STATES, AttemptState
from suanwang.model.inventory import Rack
from suanwang.model.job import FINAL_JOB_STATES, JobState
from suanwang.model.network import (
    FRESH_FOR,
    USABLE_FOR,
    ComputeNetwork,
    Fact,
    Freshness,
    PoolState,
    SiteState,
)
from suanwang.model.reading import Quality, worst
from suanwang.model.site import CoolingKind, DataClass, Pool, Site
from suanwang.model.usage import UsageInterval
from suanwang.model.voucher import Hold, HoldSlice, HoldState

NOW = datetime(2026, 10, 14, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("age", "freshness"),
    [
        pytest.param(FRESH_FOR, Freshness.FRESH, id="just fresh"),
        pytest.param(FRESH_FOR + SECOND, Freshness.STALE, id="just stale"),
        pytest.param(USABLE_FOR, Freshness.STALE, id="just usable"),
        pytest.param(USABLE_FOR + SECOND, Freshness.LOST, id="lost"),
    ],
)
def test_a_fact_ages(age: timedelta, freshness: Freshness) -> None:
    fact = Fact(value=1.0, at=NOW - age, quality=Quality.MEASURED)
    assert fact.freshness(NOW) is freshness


def test_a_fact_that_was_never_seen_is_lost() -> None:
    fact = Fact(value=0.0, at=None, quality=Quality.MISSING)
    assert fact.freshness(NOW) is Freshness.LOST


def test_a_figure_is_as_good_as_its_worst_part() -> None:
    assert worst(Quality.MEASURED, Quality.ESTIMATED, Quality.DERIVED) is Quality.ESTIMATED
    assert worst() is Quality.MISSING


def test_three_states_of_a_job_are_final() -> None:
    assert {state for state in JobState if state.is_final} == FINAL_JOB_STATES
    assert len(FINAL_JOB_STATES) == 3


def test_an_attempt_out_of_sight_is_not_dead() -> None:
    assert not AttemptState.UNKNOWN.is_dead
    assert {state for state in AttemptState if state.is_dead} == DEAD_ATTEMPT_STATES


def a_pool(**changes: object) -> Pool:
    facts: dict[str, object] = {
        "id": PoolId("p"),
        "site_id": SiteId("s"),
        "accelerator": "cpu",
        "units": 8,
        "units_per_node": 4,
        "power_w_idle": 1.0,
        "power_w_busy": 9.0,
        "price_uyuan_per_unit_hour": 100,
    }
    return Pool(**(facts | changes))  # type: ignore[arg-type] # a builder with any field changed


def a_site(pool: Pool) -> Site:
    return Site(
        id=SiteId("s"),
        name="S",
        operator="O",
        region="CN-SD",
        timezone="Asia/Shanghai",
        cooling=CoolingKind.LEGACY_AIR_CHILLER,
        climate="c",
        it_design_w=25_000,
        background_it_w=0,
        contract_w=50_000,
        tariff_id="t",
        voltage="v",
        carbon_region="CN-SD",
        pue_limit=1.5,
        accepts=frozenset({DataClass.GENERAL}),
        pools=(pool,),
    )


def test_units_taken_out_are_not_usable_and_never_negative() -> None:
    assert a_pool(drained_units=3).units_usable == 5
    assert a_pool(drained_units=9).units_usable == 0


def test_a_standard_rack_is_two_and_a_half_kilowatts() -> None:
    rack = Rack(id="r", name="R", rated_w=10_000)
    assert rack.standard_racks == 4
    assert a_site(a_pool()).standard_racks == 10


def test_a_pool_is_found_in_the_network_by_its_id() -> None:
    pool = a_pool()
    fact = Fact(value=0.0, at=NOW, quality=Quality.MEASURED)
    state = SiteState(
        site=a_site(pool),
        pools=(PoolState(pool=pool, units_free=8),),
        it_power_w=fact,
        facility_power_w=fact,
        pue=fact,
        wet_bulb_c=fact,
        agent_seen_at=NOW,
        is_reachable=True,
    )
    network = ComputeNetwork(at=NOW, sites=(state,), rtt_ms={})
    assert network.pool(PoolId("p")).units_free == 8
    with pytest.raises(KeyError):
        network.pool(PoolId("q"))


def test_use_is_counted_in_exact_unit_milliseconds() -> None:
    use = UsageInterval(
        attempt_id=AttemptId("a"),
        resource="cpu",
        quantity=3,
        started_at=NOW,
        ended_at=NOW + timedelta(seconds=1, microseconds=999),
        source="supervisor",
    )
    assert use.unit_ms == 3_000


def test_a_hold_is_the_sum_of_its_slices() -> None:
    hold = Hold(
        id=HoldId("h"),
        tenant_id=TenantId("t"),
        attempt_id="a",
        state=HoldState.CAPTURED,
        slices=(
            HoldSlice(lot_id=LotId("l"), amount_fen=70, captured_fen=50),
            HoldSlice(lot_id=None, amount_fen=30, captured_fen=5),
        ),
        held_at=NOW,
    )
    assert (hold.amount_fen, hold.captured_fen) == (100, 55)
