"""KPIs by hand to 1e-9, and what must hold of them for any energies."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.kpis import carbon, effectiveness, grade, racks, utilities
from collectors.kpis.effectiveness import ZoneEnergy
from collectors.kpis.figure import FORMULAS, Known, Kpi, KpiFigure, told
from collectors.kpis.grade import CharacteristicPoint, GradeTable
from collectors.kpis.racks import RackFact
from collectors.kpis.tables import load_tables
from collectors.kpis.utilities import Renewable
from suanwang.energy.carbon import CarbonFactor
from suanwang.errors import BadInput
from suanwang.model.meter import Carrier
from suanwang.model.reading import Quality
from suanwang.model.site import SplitKey

END = datetime(2026, 10, 14, tzinfo=UTC)
YEAR = Known(start=END - timedelta(days=365), end=END, coverage=0.99)
DAY = Known(start=END - timedelta(days=1), end=END)
FACTORS = carbon.CarbonFactors(
    location=CarbonFactor(region="CN-SD", year=2023, g_per_kwh=619.1),
    residual=CarbonFactor(region="national", year=2023, g_per_kwh=609.6),
    others={Carrier.DIESEL: 265.7},
)
E_WH = st.floats(min_value=1.0, max_value=1e12)


def value(figure: KpiFigure) -> float:
    assert figure.value is not None, figure.withheld
    return figure.value


def pue_of(number: float, known: Known = YEAR) -> KpiFigure:
    return told(Kpi.PUE, known, number)


def test_every_kpi_has_a_formula_with_a_version_of_its_own() -> None:
    assert set(FORMULAS) == set(Kpi)
    assert len({rule.version for rule in FORMULAS.values()}) == len(FORMULAS)


def test_a_figure_under_a_year_badly_covered_or_estimated_is_interim() -> None:
    assert not utilities.wue(YEAR, 1.0, 1.0).is_interim
    for known in (
        DAY,
        Known(start=YEAR.start, end=END, coverage=0.97),
        Known(start=YEAR.start, end=END, quality=Quality.ESTIMATED),
    ):
        assert utilities.wue(known, 1.0, 1.0).is_interim


def test_water_renewables_and_reuse_by_hand() -> None:
    # 1,800 l over 1,000 kWh; 1,300 kWh came in, 100 kWh made inside, 500 kWh proven, 130 kWh reused
    assert math.isclose(value(utilities.wue(DAY, 1_800, 1e6)), 1.8, rel_tol=1e-9)
    renewable = Renewable(on_site_wh=1e5, cancelled_wh=5e5)
    assert math.isclose(value(utilities.ref(DAY, 1.3e6, renewable)), 600 / 1400, rel_tol=1e-9)
    assert math.isclose(value(utilities.erf(DAY, 1.3e6, 1.3e5)), 0.1, rel_tol=1e-9)
    assert math.isclose(value(utilities.ere(DAY, 1.3e6, 1e6, 1.3e5)), 1.17, rel_tol=1e-9)


def test_both_carbon_books_by_hand() -> None:
    # 1,300 kWh of electricity and 10 l of diesel (99 kWh) for 1,000 kWh of IT; 400 kWh are covered
    energy = {Carrier.ELECTRICITY: 1.3e6, Carrier.DIESEL: 99_000.0}
    location = carbon.cue_location(DAY, energy, 1e6, FACTORS)
    market = carbon.cue_market(DAY, energy, 1e6, FACTORS, 4e5)
    diesel_kg = 99 * 0.2657
    assert math.isclose(value(location), (1300 * 0.6191 + diesel_kg) / 1000, rel_tol=1e-9)
    assert math.isclose(value(market), (900 * 0.6096 + diesel_kg) / 1000, rel_tol=1e-9)
    assert "2023" in location.basis
    assert "residual" in market.basis


def test_certificates_beyond_the_consumption_count_nothing_and_are_told() -> None:
    energy = {Carrier.ELECTRICITY: 1e6}
    market = carbon.cue_market(DAY, energy, 1e6, FACTORS, 3e6)
    assert market.value == 0.0
    assert market.parts["surplus_wh"] == 2e6
    share = utilities.ref(DAY, 1e6, Renewable(cancelled_wh=3e6))
    assert (share.value, share.parts["surplus_wh"]) == (1.0, 2e6)


def test_a_carrier_without_a_factor_makes_no_carbon_figure() -> None:
    figure = carbon.cue_location(
        DAY, {Carrier.ELECTRICITY: 1.0, Carrier.DISTRICT_COOLING: 5.0}, 1.0, FACTORS
    )
    assert figure.value is None
    assert "5 Wh of district_cooling" in figure.withheld


@given(E_WH, E_WH)
def test_with_grid_power_alone_cue_is_the_factor_times_pue(facility: float, it: float) -> None:
    figure = carbon.cue_location(DAY, {Carrier.ELECTRICITY: facility}, it, FACTORS)
    assert math.isclose(value(figure), 0.6191 * facility / it, rel_tol=1e-12)


@given(E_WH, st.floats(0, 1), E_WH)
def test_reuse_is_a_share_and_lowers_what_is_left(facility: float, share: float, it: float) -> None:
    erf = value(utilities.erf(DAY, facility, facility * share))
    ere = value(utilities.ere(DAY, facility, it, facility * share))
    assert 0 <= erf <= 1
    assert math.isclose(ere, (1 - erf) * facility / it, rel_tol=1e-9, abs_tol=1e-9 * facility / it)


@given(E_WH, st.floats(0, 1e12), st.floats(0, 1e12))
def test_the_renewable_share_is_a_share(facility: float, on_site: float, cancelled: float) -> None:
    figure = utilities.ref(DAY, facility, Renewable(on_site_wh=on_site, cancelled_wh=cancelled))
    assert 0 <= value(figure) <= 1


@pytest.mark.parametrize(
    "figure",
    [
        pytest.param(utilities.wue(DAY, 1.0, 0.0), id="water without IT"),
        pytest.param(utilities.ref(DAY, 0.0, Renewable()), id="renewables of nothing"),
        pytest.param(utilities.erf(DAY, 10.0, 11.0), id="more reused than came in"),
        pytest.param(utilities.ere(DAY, 10.0, 0.0, 1.0), id="reuse without IT"),
        pytest.param(carbon.cue_market(DAY, {}, 0.0, FACTORS, 0.0), id="carbon without IT"),
        pytest.param(racks.rack_installed(DAY, []), id="no racks"),
        pytest.param(racks.rack_installed(DAY, [RackFact(rated_w=1)]), id="racks nobody told of"),
        pytest.param(racks.power_density(DAY, 1.0, 0, what="drawn"), id="density without racks"),
    ],
)
def test_what_cannot_be_said_is_withheld_with_its_reason(figure: KpiFigure) -> None:
    assert figure.value is None
    assert figure.withheld


def test_partial_pue_by_hand() -> None:
    # heat: A has 3/4 of the IT energy, so 300 of the 400 shared Wh
    zones = [ZoneEnergy(zone="A", it_wh=3000, own_wh=150), ZoneEnergy(zone="B", it_wh=1000)]
    by_heat = effectiveness.partial_pue(DAY, zones, 400)
    assert math.isclose(value(by_heat["A"]), 3450 / 3000, rel_tol=1e-9)
    assert math.isclose(value(by_heat["B"]), 1100 / 1000, rel_tol=1e-9)
    even = effectiveness.partial_pue(DAY, zones, 400, SplitKey.EVEN)
    assert math.isclose(value(even["B"]), 1200 / 1000, rel_tol=1e-9)
    assert "heat" in by_heat["A"].basis
    assert by_heat["A"].formula == "ppue-2/heat"


def test_partial_pue_by_the_cooling_that_each_zone_measures() -> None:
    # A has 3/4 of the IT energy, but its coolers ran only for a third of the cooling.
    zones = [
        ZoneEnergy(zone="A", it_wh=3000, own_wh=150, cooling_wh=100),
        ZoneEnergy(zone="B", it_wh=1000, own_wh=200, cooling_wh=200),
    ]
    found = effectiveness.partial_pue(DAY, zones, 300, SplitKey.COOLING)
    assert math.isclose(value(found["A"]), (3000 + 150 + 100) / 3000, rel_tol=1e-9)
    assert math.isclose(value(found["B"]), (1000 + 200 + 200) / 1000, rel_tol=1e-9)
    assert {one.formula for one in found.values()} == {"ppue-2/cooling"}


def test_partial_pue_falls_back_to_heat_where_a_zone_measures_no_cooling() -> None:
    zones = [ZoneEnergy(zone="A", it_wh=3000, cooling_wh=100), ZoneEnergy(zone="B", it_wh=1000)]
    found = effectiveness.partial_pue(DAY, zones, 400, SplitKey.COOLING)
    assert math.isclose(value(found["B"]), 1100 / 1000, rel_tol=1e-9)
    assert found["B"].formula == "ppue-2/heat"
    assert "no cooling meter in B" in found["B"].basis
    silent = [replace(zone, cooling_wh=0.0) for zone in zones]
    found = effectiveness.partial_pue(DAY, silent, 400, SplitKey.COOLING)
    assert "counted nothing" in found["A"].basis


@given(
    st.lists(st.tuples(st.floats(1, 1e9), st.floats(0, 0.5)), min_size=1, max_size=6),
    st.floats(0, 0.5),
    st.sampled_from(SplitKey),
)
def test_partial_pues_weighted_with_it_are_the_pue_of_the_site(
    sizes: list[tuple[float, float]], share: float, key: SplitKey
) -> None:
    zones = [
        ZoneEnergy(zone=str(n), it_wh=it, own_wh=it * own, cooling_wh=it * own)
        for n, (it, own) in enumerate(sizes)
    ]
    it_wh = sum(zone.it_wh for zone in zones)
    shared_wh = share * min(zone.it_wh for zone in zones)
    figures = effectiveness.partial_pue(DAY, zones, shared_wh, key)
    facility_wh = it_wh + shared_wh + sum(zone.own_wh for zone in zones)
    weighted = sum(value(figures[zone.zone]) * zone.it_wh for zone in zones) / it_wh
    assert math.isclose(weighted, facility_wh / it_wh, rel_tol=1e-9)


def test_a_zone_may_be_named_once_and_has_no_negative_energy() -> None:
    with pytest.raises(BadInput, match="twice"):
        effectiveness.partial_pue(DAY, [ZoneEnergy(zone="A", it_wh=1)] * 2, 0)
    with pytest.raises(BadInput, match="negative"):
        effectiveness.partial_pue(DAY, [ZoneEnergy(zone="A", it_wh=-1)], 0)


@pytest.mark.parametrize(
    ("pue", "expected"),
    [(1.1, 1), (1.2, 1), (1.2001, 2), (1.3, 2), (1.5, 3), (1.5001, None)],
)
def test_grades_end_at_their_limits(pue: float, expected: int | None) -> None:
    figure = grade.grade(YEAR, pue_of(pue), load_tables().grades, 1000)
    assert figure.value == expected
    assert "believed" in figure.basis


def test_an_edge_site_has_no_grade_and_the_newest_table_in_force_counts() -> None:
    assert "edge" in grade.grade(YEAR, pue_of(1.2), load_tables().grades, 100).withheld
    tables = [
        GradeTable(id="old", since=END.date() - timedelta(days=9), limits=(2.0,), mark="read"),
        GradeTable(id="new", since=END.date(), limits=(1.0,), mark="read"),
    ]
    assert grade.table_of(tables, END.date()).id == "new"
    assert grade.table_of(tables, END.date() - timedelta(days=1)).id == "old"
    with pytest.raises(BadInput, match="in force"):
        grade.table_of(tables, END.date() - timedelta(days=10))


def test_the_route_of_five_points_by_hand() -> None:
    shares = (0.1, 0.2, 0.3, 0.25, 0.15)
    powers = (1200.0, 1250.0, 1300.0, 1400.0, 1500.0)
    points = [
        CharacteristicPoint(share=share, facility_w=power, it_w=1000.0)
        for share, power in zip(shares, powers, strict=True)
    ]
    assert math.isclose(grade.pue_of_points(points), 1.335, rel_tol=1e-9)
    with pytest.raises(BadInput, match="add up"):
        grade.pue_of_points([*points[:4], points[0]])
    with pytest.raises(BadInput, match="five"):
        grade.pue_of_points(points[:4])


def test_racks_by_both_definitions() -> None:
    fleet = [
        RackFact(rated_w=8000, is_in_use=True),
        RackFact(rated_w=8000, is_in_use=False),
        RackFact(rated_w=8000, is_in_use=True),
        RackFact(rated_w=8000, is_deliverable=False),
    ]
    assert math.isclose(value(racks.rack_installed(DAY, fleet)), 2 / 3, rel_tol=1e-9)
    drawn = racks.rack_power(DAY, 12_000, 32_000)
    assert math.isclose(value(drawn), 0.375, rel_tol=1e-9)
    assert drawn.basis.startswith("drawn")
    assert value(racks.standard_racks(DAY, 162_500_000)) == 65_000
    assert value(racks.power_density(DAY, 24_000, 3, what="drawn / in use")) == 8.0


def test_a_target_of_compute_names_its_precision_and_gaps_have_a_sign() -> None:
    targets = {target.id: target for target in load_tables().targets}
    assert math.isclose(targets["pue-procurement"].gap(1.35), 0.05, rel_tol=1e-9)
    assert targets["racks-qingdao"].gap(65_000) == 0
    assert targets["racks-qingdao"].gap(70_000) < 0
    assert all(t.precision for t in targets.values() if t.kpi is Kpi.INTELLIGENT_SHARE)
