"""The bill: by hand to the fen."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from energy_builders import bands_of
from hypothesis import given
from hypothesis import strategies as st

from suanwang.energy.bill import Bill, DemandBasis, DemandTerms, EnergyUse, bill_of
from suanwang.energy.tariff import Band
from suanwang.errors import BadInput

SHANDONG = bands_of("cn-sd-tou-2026")
MIDNIGHT = datetime(2026, 10, 14, tzinfo=ZoneInfo("Asia/Shanghai"))
NO_DEMAND = DemandTerms(basis=DemandBasis.NONE)
MAX_DEMAND = DemandTerms(basis=DemandBasis.MAX_DEMAND)


def window(hour: float, hours: float, energy_wh: int) -> EnergyUse:
    start = MIDNIGHT + timedelta(hours=hour)
    return EnergyUse(start=start, end=start + timedelta(hours=hours), energy_wh=energy_wh)


def amounts(bill: Bill) -> dict[Band, int]:
    return {Band(line.label): line.amount_fen for line in bill.lines}


def test_a_day_of_a_megawatt_is_billed_by_band_and_peak() -> None:
    day = [window(hour, 1, 1_000_000) for hour in range(24)]
    bill = bill_of(SHANDONG, "110kV", MAX_DEMAND, day)
    # Autumn: flat 0-10, 15-16, 21-24 = 14 h at 0.62; valley 10-11, 14-15 = 2 h at 0.3162;
    # deep 11-14 = 3 h at 0.2294; peak 16-17, 19-21 = 3 h at 0.9238; sharp 17-19 = 2 h at 1.054.
    assert amounts(bill) == {
        Band.SHARP: 210_800,
        Band.PEAK: 277_140,
        Band.FLAT: 868_000,
        Band.VALLEY: 63_240,
        Band.DEEP: 68_820,
    }
    assert bill.energy_fen == 1_488_000
    # 35.2 CNY/kW/month x 1,000 kW / 31 days of October = 1,135.4838... CNY.
    assert bill.demand_fen == 113_548
    assert bill.total_fen == 1_601_548
    assert bill.energy_wh == 24_000_000
    assert not bill.is_stand_in


def test_a_line_is_rounded_half_up_once() -> None:
    # 25 Wh at 0.62 CNY/kWh = 1.55 fen; 5 windows of it are one line of 7.75 fen, not five of 2.
    bill = bill_of(SHANDONG, "110kV", NO_DEMAND, [window(hour, 1, 25) for hour in range(5)])
    assert amounts(bill) == {Band.FLAT: 8}


def test_the_months_earlier_peak_is_what_demand_is_charged_for() -> None:
    uses = [window(0, 24, 2_400_000)]
    bill = bill_of(SHANDONG, "110kV", MAX_DEMAND, uses, peak_so_far_w=500_000)
    assert bill.demand_w == 500_000
    assert bill.demand_fen == 56_774  # 35.2 x 500 / 31 = 567.74 CNY


def test_a_capacity_basis_does_not_ask_how_much_was_used() -> None:
    terms = DemandTerms(basis=DemandBasis.CAPACITY, transformer_kva=2_000)
    bill = bill_of(SHANDONG, "35kV", terms, [window(0, 24, 1)])
    assert bill.demand_fen == 141_935  # 22.0 x 2,000 / 31 = 1,419.35 CNY


def test_a_shorter_peak_than_the_window_counts() -> None:
    use = EnergyUse(start=MIDNIGHT, end=MIDNIGHT + timedelta(hours=1), energy_wh=100, peak_w=900.0)
    assert bill_of(SHANDONG, "110kV", MAX_DEMAND, [use]).demand_w == 900


@given(
    start_minute=st.integers(0, 1_439),
    minutes=st.integers(1, 2_880),
    energy_wh=st.integers(0, 10**9),
)
def test_a_window_across_edges_is_split_without_loss(
    start_minute: int, minutes: int, energy_wh: int
) -> None:
    bill = bill_of(
        SHANDONG, "110kV", NO_DEMAND, [window(start_minute / 60, minutes / 60, energy_wh)]
    )
    assert bill.energy_wh == energy_wh
    dearest, cheapest = 1_054_000, 229_400
    assert energy_wh * cheapest // 10**7 - 5 <= bill.energy_fen <= energy_wh * dearest // 10**7 + 5


def test_a_bill_outside_the_tariffs_dates_says_so() -> None:
    later = MIDNIGHT.replace(year=2027)
    use = EnergyUse(start=later, end=later + timedelta(hours=1), energy_wh=1)
    assert bill_of(SHANDONG, "110kV", NO_DEMAND, [use]).is_stand_in


@pytest.mark.parametrize(
    ("uses", "message"),
    [
        pytest.param([], "at least one window", id="nothing"),
        pytest.param([window(0, 0, 1)], "needs a length", id="no length"),
        pytest.param([window(0, 1, -1)], "no negative energy", id="negative"),
    ],
)
def test_windows_without_sense_are_refused(uses: list[EnergyUse], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        bill_of(SHANDONG, "110kV", NO_DEMAND, uses)
