"""What holds of every bill: nothing is lost by cutting, and two ways to one price agree."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from energy_builders import bands_of, windows
from hypothesis import given, settings
from hypothesis import strategies as st

from suanwang.energy.bill import BillPeriod, DemandBasis, DemandTerms, bill_of, bill_period
from suanwang.energy.clauses import Clauses
from suanwang.energy.curve import CurveTariff
from suanwang.energy.tariff import Band, Tariff

CHINA = ZoneInfo("Asia/Shanghai")
PLAIN: Tariff = replace(bands_of("cn-sd-tou-2026"), clauses=Clauses())
MAX_DEMAND = DemandTerms(basis=DemandBasis.MAX_DEMAND)
DAYS = st.dates(date(2026, 1, 1), date(2026, 12, 30))
POWERS = st.lists(st.floats(0, 5_000), min_size=24, max_size=24)


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=CHINA)


def curve_of(day: date) -> CurveTariff:
    """Return a curve that has the prices of the bands of a day, and the same demand charge."""
    start = midnight(day)
    prices = tuple(
        PLAIN.price_uyuan_per_kwh(start + timedelta(minutes=15 * point), "110kV")
        for point in range(96)
    )
    return CurveTariff(
        id="curve",
        series="curve",
        region=PLAIN.region,
        timezone=PLAIN.timezone,
        effective_from=date(2026, 1, 1),
        effective_to=date(2026, 12, 31),
        demand=PLAIN.demand,
        curves={day: prices},
        network_uyuan_per_kwh={"110kV": 0},
    )


@settings(max_examples=40)
@given(day=DAYS, powers=POWERS)
def test_a_curve_with_the_prices_of_bands_costs_what_the_bands_cost(
    day: date, powers: list[float]
) -> None:
    uses = windows(midnight(day), powers)
    by_bands = bill_of(PLAIN, "110kV", MAX_DEMAND, uses)
    by_curve = bill_of(curve_of(day), "110kV", MAX_DEMAND, uses)
    assert by_curve.energy_wh == by_bands.energy_wh == sum(use.energy_wh for use in uses)
    # A line is rounded once: five bands are at most half a fen off each, the curve half a fen.
    assert abs(by_curve.energy_fen - by_bands.energy_fen) <= 3
    assert by_curve.demand_fen == by_bands.demand_fen


@settings(max_examples=40)
@given(day=DAYS, powers=POWERS, cut=st.integers(1, 23))
def test_two_parts_of_a_day_cost_what_the_day_costs(
    day: date, powers: list[float], cut: int
) -> None:
    uses = windows(midnight(day), powers)
    terms = DemandTerms(basis=DemandBasis.NONE)
    whole = bill_of(PLAIN, "110kV", terms, uses)
    parts = [bill_of(PLAIN, "110kV", terms, some) for some in (uses[:cut], uses[cut:])]
    assert sum(one.energy_wh for one in parts) == whole.energy_wh
    assert abs(sum(one.energy_fen for one in parts) - whole.energy_fen) <= len(Band)


@settings(max_examples=40)
@given(day=DAYS, powers=POWERS, times=st.integers(2, 9))
def test_a_price_that_is_so_many_times_as_high_makes_a_bill_that_is(
    day: date, powers: list[float], times: int
) -> None:
    uses = windows(midnight(day), powers)
    dear = replace(
        PLAIN,
        flat_uyuan_per_kwh={"110kV": PLAIN.flat_uyuan_per_kwh["110kV"] * times},
        demand=replace(
            PLAIN.demand,
            max_demand_uyuan_per_kw={
                "110kV": PLAIN.demand.max_demand_uyuan_per_kw["110kV"] * times
            },
        ),
    )
    once = bill_of(PLAIN, "110kV", MAX_DEMAND, uses)
    many = bill_of(dear, "110kV", MAX_DEMAND, uses)
    assert abs(many.total_fen - times * once.total_fen) <= times * (len(Band) + 1)


@settings(max_examples=40)
@given(day=DAYS, powers=POWERS, order=st.randoms(use_true_random=False))
def test_the_order_of_windows_changes_nothing(
    day: date, powers: list[float], order: object
) -> None:
    uses = windows(midnight(day), powers)
    mixed = list(uses)
    order.shuffle(mixed)  # type: ignore[attr-defined]
    assert sorted(map(str, bill_of(PLAIN, "110kV", MAX_DEMAND, mixed).lines)) == sorted(
        map(str, bill_of(PLAIN, "110kV", MAX_DEMAND, uses).lines)
    )


def test_days_of_a_month_pay_its_demand_in_shares_that_add_up_to_one() -> None:
    shares = Fraction(0)
    for number in range(1, 32):
        start = datetime(2026, 10, number, tzinfo=CHINA)
        period = BillPeriod(start=start, end=start + timedelta(days=1), peak_so_far_w=1e6)
        (line,) = bill_period(PLAIN, "110kV", MAX_DEMAND, [], period).demand_lines
        shares += line.share
        assert line.quantity == 1_000_000
    assert shares == 1


def test_a_period_given_in_utc_is_cut_at_local_midnights() -> None:
    start = datetime(2026, 9, 30, 15, tzinfo=UTC)
    period = BillPeriod(start=start, end=start + timedelta(hours=2))
    lines = bill_period(PLAIN, "110kV", MAX_DEMAND, [], period).demand_lines
    assert [(line.month.month, line.share) for line in lines] == [
        (9, Fraction(1, 30 * 24)),
        (10, Fraction(1, 31 * 24)),
    ]
