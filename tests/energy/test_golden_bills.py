"""Bills that were worked out by hand; the arithmetic stands beside each figure."""

from dataclasses import replace
from datetime import date, datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from energy_builders import bands_of, windows

from suanwang.energy.bill import Bill, BillPeriod, DemandBasis, DemandTerms, bill_of, bill_period
from suanwang.energy.catalogue import load_catalogue
from suanwang.energy.clauses import Clauses, Part, Surcharge, Tax
from suanwang.energy.curve import CurveTariff
from suanwang.energy.tariff import Tariff
from suanwang.energy.versions import TariffVersions
from suanwang.errors import BadInput

CHINA = ZoneInfo("Asia/Shanghai")
SHANDONG = bands_of("cn-sd-tou-2026")
PLAIN = replace(SHANDONG, clauses=Clauses())
NO_DEMAND = DemandTerms(basis=DemandBasis.NONE)
MAX_DEMAND = DemandTerms(basis=DemandBasis.MAX_DEMAND)


def day(month: int, number: int) -> datetime:
    return datetime(2026, month, number, tzinfo=CHINA)


def amounts(bill: Bill) -> dict[str, int]:
    return {line.label: line.amount_fen for line in bill.lines}


def test_two_seasons_with_a_floating_share() -> None:
    bill = bill_of(PLAIN, "110kV", MAX_DEMAND, windows(day(5, 31), [1_000.0] * 48))
    # Flat 0.62; of it 0.70 float: sharp x 1.70 = 1.054, peak x 1.49 = 0.9238, valley x 0.51 =
    # 0.3162, deep x 0.37 = 0.2294. Hours of 31 May (spring) and 1 June:
    #   sharp 3 + 5 = 8, peak 2 + 2 = 4, flat 14 + 12 = 26, valley 2 + 5 = 7, deep 3 + 0 = 3.
    assert amounts(bill) == {
        "flat": 1_612_000,  # 26,000 kWh x 0.62   = 16,120.00
        "valley": 221_340,  #  7,000 kWh x 0.3162 =  2,213.40
        "deep": 68_820,  #     3,000 kWh x 0.2294 =    688.20
        "sharp": 843_200,  #   8,000 kWh x 1.054  =  8,432.00
        "peak": 369_520,  #    4,000 kWh x 0.9238 =  3,695.20
    }
    # 1,000 kW x 35.2 a month: 1 of 31 days 1,135.48, 1 of 30 days 1,173.33.
    assert [line.amount_fen for line in bill.demand_lines] == [113_548, 117_333]
    assert [line.month for line in bill.demand_lines] == [date(2026, 5, 1), date(2026, 6, 1)]
    assert bill.total_fen == 3_114_880 + 230_881


def a_curve(**changes: object) -> CurveTariff:
    curve = [300_000] * 96
    curve[44:56] = [-50_000] * 12  # 11:00 to 14:00
    tariff = CurveTariff(
        id="cn-sd-direct",
        series="cn-sd-direct",
        region="CN-SD",
        timezone="Asia/Shanghai",
        effective_from=date(2026, 3, 1),
        effective_to=date(2026, 12, 31),
        demand=SHANDONG.demand,
        clauses=Clauses(
            surcharges=(Surcharge(id="funds", uyuan_per_kwh=20_000),),
            taxes=(
                Tax(
                    id="vat",
                    percent=Fraction(13),
                    on=frozenset({Part.ENERGY, Part.SURCHARGE}),
                    is_included=False,
                ),
            ),
        ),
        curves={date(2026, 4, 5): tuple(curve)},
        network_uyuan_per_kwh={"110kV": 150_000},
    )
    return replace(tariff, **changes)  # type: ignore[arg-type]


def test_a_day_of_direct_trading_with_a_negative_noon() -> None:
    bill = bill_of(a_curve(), "110kV", NO_DEMAND, windows(day(4, 5), [200.0] * 96, minutes=15))
    # 200 kW x 0.25 h = 50 kWh a quarter: 84 at 0.30, 12 at -0.05.
    assert amounts(bill) == {
        "trade": 126_000,  #         4,200 kWh x  0.30 = 1,260.00
        "trade_negative": -3_000,  #   600 kWh x -0.05 =   -30.00
        "network": 72_000,  #        4,800 kWh x  0.15 =   720.00
    }
    # Funds 4,800 x 0.02 = 96.00; VAT 13 % of 1,260 - 30 + 720 + 96 = 2,046.00 is 265.98.
    assert [(one.label, one.amount_fen) for one in bill.charges] == [
        ("funds", 9_600),
        ("vat", 26_598),
    ]
    assert bill.energy_wh == 4_800_000
    assert bill.total_fen == 231_198
    assert not bill.is_stand_in


def test_the_marginal_price_of_a_curve_has_network_funds_and_tax_on_top() -> None:
    # (0.30 + 0.15 + 0.02) x 1.13 = 0.5311; (-0.05 + 0.15 + 0.02) x 1.13 = 0.1356.
    noon, evening = day(4, 5).replace(hour=11), day(4, 5).replace(hour=20)
    quarter = evening.replace(minute=15)
    assert a_curve().average_uyuan_per_kwh(evening, quarter, "110kV") == 531_100
    assert a_curve().average_uyuan_per_kwh(noon, noon.replace(minute=30), "110kV") == 135_600


def october(basis: DemandTerms, voltage: str, peak_kw: float = 700.0, **more: int) -> Bill:
    """Return the bill of an October at 400 kW, with one quarter from 12:00 on the 14th higher."""
    powers = [400.0] * (31 * 96)
    powers[13 * 96 + 48] = peak_kw
    uses = windows(day(10, 1), powers, minutes=15)
    period = BillPeriod(start=day(10, 1), end=day(11, 1), **more)
    return bill_period(SHANDONG, voltage, basis, uses, period)


def test_one_quarter_of_an_hour_makes_the_demand_of_a_month() -> None:
    bill = october(MAX_DEMAND, "110kV")
    # A day has 14 h flat, 2 valley, 3 deep, 3 peak, 2 sharp; 31 days of 400 kW:
    assert amounts(bill) == {
        "flat": 10_763_200,  # 173,600 kWh x 0.62   = 107,632.00
        "valley": 784_176,  #   24,800 kWh x 0.3162 =   7,841.76
        "deep": 855_089,  # 37,200 + 300 kW x 0.25 h = 37,275 kWh x 0.2294 = 8,550.885
        "peak": 3_436_536,  #   37,200 kWh x 0.9238 =  34,365.36
        "sharp": 2_613_920,  #  24,800 kWh x 1.054  =  26,139.20
    }
    assert bill.demand_w == 700_000
    assert bill.demand_fen == 2_464_000  # 700 kW x 35.2
    # The VAT inside: 13 / 113 of 184,529.21 + 24,640.00 = 209,169.21 is 24,063.714...
    (vat,) = bill.charges
    assert (vat.amount_fen, vat.is_included) == (2_406_371, True)
    assert bill.total_fen == 18_452_921 + 2_464_000


def test_75_kwh_of_deep_valley_cost_17_yuan_and_their_peak_10_560() -> None:
    with_it, without = october(MAX_DEMAND, "110kV"), october(MAX_DEMAND, "110kV", 400.0)
    # 75 kWh x 0.2294 = 17.205, half a fen of it rounded; 300 kW x 35.2 = 10,560.00.
    assert with_it.energy_fen - without.energy_fen == 1_721
    assert with_it.demand_fen - without.demand_fen == 1_056_000


def test_a_transformer_is_paid_for_whatever_is_drawn() -> None:
    terms = DemandTerms(basis=DemandBasis.CAPACITY, transformer_kva=2_000)
    for peak_kw in (400.0, 1_900.0):
        bill = october(terms, "35kV", peak_kw)
        assert bill.demand_fen == 4_400_000  # 2,000 kVA x 22.0
    (line,) = bill.demand_lines
    assert (line.quantity, line.rate_uyuan, line.share) == (2_000, 22_000_000, Fraction(1))


@pytest.mark.parametrize(
    ("hundredths", "percent", "amount_fen"),
    [
        # Of 184,529.21 energy + 24,640.00 demand = 209,169.21.
        pytest.param(85, "2.5", 522_923, id="0.05 below the standard: 5 x 0.5 %, 5,229.23"),
        pytest.param(90, "0", 0, id="the standard itself"),
        pytest.param(97, "-0.75", -156_877, id="well above it: 0.75 % off, -1,568.769"),
        pytest.param(68, "12", 2_510_031, id="0.68: 10 % + 2 x 1 %, 25,100.305 half up"),
        pytest.param(60, "25", 5_229_230, id="0.60: 15 % + 5 x 2 %, 52,292.3025"),
    ],
)
def test_a_power_factor_is_charged_or_rewarded(
    hundredths: int, percent: str, amount_fen: int
) -> None:
    bill = october(MAX_DEMAND, "110kV", power_factor=hundredths)
    (line,) = [one for one in bill.charges if one.part is Part.POWER_FACTOR]
    assert (line.base_fen, line.percent) == (20_916_921, Fraction(percent))
    assert line.amount_fen == amount_fen
    assert bill.total_fen == 20_916_921 + amount_fen


def test_an_unknown_power_factor_is_said_and_not_guessed() -> None:
    assert october(MAX_DEMAND, "110kV").notes == (
        "cn-sd-tou-2026: the power factor is not known, so nothing is charged for it",
    )


def new_price_on_the_16th() -> TariffVersions:
    old = replace(PLAIN, effective_to=date(2026, 10, 15))
    dearer = replace(PLAIN.demand, max_demand_uyuan_per_kw={"110kV": 40_000_000})
    new = replace(
        PLAIN,
        id="cn-sd-tou-2026b",
        effective_from=date(2026, 10, 16),
        flat_uyuan_per_kwh={"110kV": 700_000},
        demand=dearer,
    )
    return TariffVersions.of([new, old])


def test_a_month_with_two_prices_is_billed_by_both() -> None:
    nights = [use for use in windows(day(10, 1), ([100.0] * 10 + [0.0] * 14) * 31) if use.energy_wh]
    period = BillPeriod(start=day(10, 1), end=day(11, 1))
    bill = bill_period(new_price_on_the_16th(), "110kV", MAX_DEMAND, nights, period)
    # 0 to 10 h are flat: 1,000 kWh a day, 15 days at 0.62, 16 at 0.70.
    assert [(one.tariff_id, one.amount_fen) for one in bill.lines] == [
        ("cn-sd-tou-2026", 930_000),
        ("cn-sd-tou-2026b", 1_120_000),
    ]
    # 100 kW x 35.2 x 15/31 = 1,703.2258; x 40 x 16/31 = 2,064.5161.
    assert [one.amount_fen for one in bill.demand_lines] == [170_323, 206_452]
    assert bill.total_fen == 2_050_000 + 376_775
    assert not bill.is_stand_in


def test_a_window_across_a_change_of_price_is_split_by_time() -> None:
    (one,) = windows(day(10, 15).replace(hour=23), [100.0], minutes=120)
    bill = bill_of(new_price_on_the_16th(), "110kV", NO_DEMAND, [one])
    # 200 kWh: an hour at 0.62, an hour at 0.70.
    assert [line.amount_fen for line in bill.lines] == [6_200, 7_000]


def test_the_version_in_force_is_picked_by_the_local_day() -> None:
    catalogue = load_catalogue().with_tariffs(*new_price_on_the_16th().versions)
    for name in ("cn-sd-tou", "cn-sd-tou-2026", "cn-sd-tou-2026b"):
        versions = catalogue.tariff_versions(name)
        assert versions.at(day(10, 15)).id == "cn-sd-tou-2026"
        assert versions.at(day(10, 16)).id == "cn-sd-tou-2026b"
    later = day(10, 16).replace(year=2027)
    assert catalogue.tariff_versions("cn-sd-tou").at(later).id == "cn-sd-tou-2026b"
    assert catalogue.tariff_versions("cn-sd-tou").is_stand_in(later, later.replace(hour=1))


def test_versions_that_overlap_are_refused() -> None:
    other: Tariff = replace(PLAIN, id="other", effective_from=date(2026, 6, 1))
    with pytest.raises(BadInput, match="both in force on 2026-06-01"):
        load_catalogue().with_tariffs(PLAIN, other)
