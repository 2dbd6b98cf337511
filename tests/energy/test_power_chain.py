"""Power chains: losses by hand, convex, dearer in two half-empty paths; heat that is paid for."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanwang.energy.catalogue import load_catalogue
from suanwang.energy.heat import HeatReuse, it_cost_uyuan_per_kwh
from suanwang.energy.power_chain import PowerChain, PowerStage
from suanwang.errors import BadInput, NotFound
from suanwang.model.site import CoolingKind

CATALOGUE = load_catalogue()
CHAINS = st.sampled_from(sorted(CATALOGUE.power_chains))
JANUARY = datetime(2026, 1, 14, tzinfo=UTC)
JULY = datetime(2026, 7, 14, tzinfo=UTC)


def test_losses_of_two_stages_follow_each_other() -> None:
    first = PowerStage.of("transformer", 0.0, ((1.0, 0.98),))
    second = PowerStage.of("ups", 0.02, ((0.5, 0.9),))
    chain = PowerChain("c", (first, second))
    # 0.5 at the rack: the UPS takes 0.5 / 0.9 = 0.5556, the transformer loses 0.5556 x 0.020408.
    through_ups = 0.5 / 0.9
    assert chain.electrical(0.5) == pytest.approx(through_ups * (1 + 1 / 0.98 - 1) - 0.5)
    # Without load the UPS draws its 0.02, and the transformer loses on that too.
    assert chain.electrical(0.0) == pytest.approx(0.02 / 0.98)


def test_two_paths_at_half_load_lose_more_than_one_at_full() -> None:
    one, two = CATALOGUE.power_chains["ups_n"], CATALOGUE.power_chains["ups_2n"]
    assert two.electrical(0.3) > one.electrical(0.3)
    # At 30 % load 2N runs each UPS at 15 %: between 0.895 and 0.937.
    ups = two.stages[1]
    assert ups.loss(0.15) == pytest.approx((0.1 * (1 / 0.895 - 1) + 0.2 * (1 / 0.937 - 1)) / 2)


@given(name=CHAINS, load=st.floats(0, 1.2))
def test_every_chain_is_convex_and_its_slope_is_that_of_its_losses(name: str, load: float) -> None:
    chain = CATALOGUE.power_chains[name]
    step = (chain.electrical(load + 1e-6) - chain.electrical(load)) / 1e-6
    assert chain.slope(load) - 1e-4 <= step <= chain.slope(load + 1e-6) + 1e-4
    losses = [chain.electrical(part / 20) for part in range(25)]
    rises = [two - one for one, two in pairwise(losses)]
    assert all(two >= one - 1e-12 for one, two in pairwise(rises))
    assert rises[0] >= 0


@given(kind=st.sampled_from(CoolingKind), name=CHAINS, wet=st.floats(-20, 35))
def test_a_facility_with_its_own_chain_stays_convex(
    kind: CoolingKind, name: str, wet: float
) -> None:
    model = CATALOGUE.facility(kind, 1_000_000, name)
    points = model.breakpoints(wet, 12)
    slopes = [(two[1] - one[1]) / (two[0] - one[0]) for one, two in pairwise(points)]
    assert slopes[0] > 1
    assert all(two >= one - 1e-9 for one, two in pairwise(slopes))
    step = model.facility_w(500_001, wet) - model.facility_w(500_000, wet)
    assert model.marginal(500_000.5, wet) == pytest.approx(step, abs=1e-6)


@pytest.mark.parametrize(
    ("no_load", "efficiency", "message"),
    [
        pytest.param(0.01, ((0.5, 0.9), (1.0, 0.97)), "it is not convex", id="too good at full"),
        pytest.param(0.2, ((0.5, 0.95),), "must rise from what it is without", id="no load"),
        pytest.param(0.01, ((0.5, 1.1),), "is none", id="gain"),
        pytest.param(0.01, (), "must rise", id="nothing"),
    ],
)
def test_stages_that_can_not_be_meant_are_refused(
    no_load: float, efficiency: tuple[tuple[float, float], ...], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        PowerStage.of("s", no_load, efficiency)


def test_an_unknown_chain_names_the_known_ones() -> None:
    with pytest.raises(NotFound, match="there is no power chain 'dc'; known: hvdc_2n"):
        CATALOGUE.facility(CoolingKind.LEGACY_AIR_CHILLER, 1, "dc")
    with pytest.raises(BadInput, match="needs a stage and a path"):
        PowerChain("c", ())


def some_heat(**changes: object) -> HeatReuse:
    figures: dict[str, object] = {
        "uyuan_per_kwh": 120_000,
        "months": frozenset({11, 12, 1, 2, 3}),
        "share": 0.8,
        "usable_w_max": 220_000.0,
        "timezone": "Asia/Shanghai",
    }
    return HeatReuse(**(figures | changes))  # type: ignore[arg-type]


def test_heat_is_paid_for_in_heating_months_up_to_what_is_taken() -> None:
    heat = some_heat()
    assert heat.recovered_w(200_000, JANUARY) == 160_000
    assert heat.recovered_w(400_000, JANUARY) == 220_000
    assert heat.recovered_w(200_000, JULY) == 0
    # 0.12 CNY x 0.8; beyond 275 kW of IT no more is taken.
    assert heat.credit_uyuan_per_kwh(200_000, JANUARY) == 96_000
    assert heat.credit_uyuan_per_kwh(275_000, JANUARY) == 0
    assert heat.credit_uyuan_per_kwh(200_000, JULY) == 0
    assert heat.credit_fen(1_234_567) == 14_815  # 1,234.567 kWh x 0.12 = 148.148 CNY


def test_the_heating_month_is_the_places_own() -> None:
    eve = datetime(2026, 10, 31, 17, tzinfo=UTC)
    assert some_heat().is_wanted(eve)
    assert not some_heat(timezone="UTC").is_wanted(eve)


def test_heat_lowers_the_cost_of_a_kilowatt_hour_even_below_zero() -> None:
    # 1.15 x 0.60 - 0.096 = 0.594; 1.05 x 0.05 - 0.096 = -0.0435.
    assert it_cost_uyuan_per_kwh(1.15, 600_000, 96_000) == 594_000
    assert it_cost_uyuan_per_kwh(1.05, 50_000, 96_000) == -43_500
    assert it_cost_uyuan_per_kwh(1.15, 600_000) == 690_000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"share": 1.5}, r"in \[0, 1\], got 1.5", id="share"),
        pytest.param({"months": frozenset({0, 1})}, r"are 1 to 12, got \[0\]", id="month"),
        pytest.param({"uyuan_per_kwh": -1}, "must not be negative", id="price"),
    ],
)
def test_contracts_without_sense_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        some_heat(**changes)
    with pytest.raises(BadInput, match="must not be negative"):
        some_heat().recovered_w(-1, JANUARY)
