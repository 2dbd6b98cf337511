"""Direct-trading curves: tables with the two ways of naming a quarter, and what is refused."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from energy_builders import CURVE_FILE, quarters

from suanwang.energy.curve import CurveTariff, read_curves
from suanwang.energy.schema_tariff import parse_tariff
from suanwang.errors import BadInput

CHINA = ZoneInfo("Asia/Shanghai")


def table(*rows: list[str], heads: list[str] | None = None) -> bytes:
    header = ["day", "unit", *(heads or quarters(0))]
    return "\n".join(",".join(row) for row in [header, *rows]).encode()


def a_row(day: str = "2026-04-05", unit: str = "CNY/MWh", price: str = "300") -> list[str]:
    return [day, unit, *[price] * 96]


def read(content: bytes) -> CurveTariff:
    found = parse_tariff(CURVE_FILE, "tariff_direct.yaml", content)
    assert isinstance(found, CurveTariff)
    return found


@pytest.mark.parametrize("first", [pytest.param(0, id="begin"), pytest.param(15, id="end")])
def test_exchanges_may_name_a_quarter_by_its_beginning_or_its_end(first: int) -> None:
    row = a_row()
    row[2 + 44] = "-50.5"  # the quarter from 11:00 to 11:15
    tariff = read(table(row, heads=quarters(first)))
    noon = datetime(2026, 4, 5, 11, tzinfo=CHINA)
    before, here, after = tariff.priced(
        noon - timedelta(minutes=1), noon + timedelta(minutes=16), "1-10kV"
    )
    assert (before.uyuan_per_kwh, here.uyuan_per_kwh, after.uyuan_per_kwh) == (
        300_000, -50_500, 300_000,
    )  # fmt: skip
    assert (here.label, here.end - here.start) == ("trade_negative", timedelta(minutes=15))


def test_units_of_a_table_are_told_row_by_row() -> None:
    curves = read_curves(
        table(
            a_row("2026-04-05", "CNY/MWh", "312.45"),
            a_row("2026-04-06", "CNY/kWh", "0.31245"),
            a_row("2026-04-07", "uCNY/kWh", "312450"),
        ),
        "p.csv",
    )
    assert {curve[0] for curve in curves.values()} == {312_450}


def test_a_day_without_a_curve_takes_the_day_before_and_says_so() -> None:
    tariff = read(table(a_row("2026-04-05"), a_row("2026-04-07", price="500")))
    for day, price, own in ((5, 300_000, True), (6, 300_000, False), (8, 500_000, False)):
        start = datetime(2026, 4, day, tzinfo=CHINA)
        end = start + timedelta(hours=1)
        assert {one.uyuan_per_kwh for one in tariff.priced(start, end, "1-10kV")} == {price}
        assert tariff.has_prices(start, end) is own
    first = datetime(2026, 4, 1, tzinfo=CHINA)
    assert next(tariff.priced(first, first + timedelta(hours=1), "1-10kV")).uyuan_per_kwh == 300_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(table(a_row()[:-1]), "is not a price|has 95 prices", id="95 prices"),
        pytest.param(table(a_row(), a_row()), r"2026-04-05 is there twice", id="a day twice"),
        pytest.param(table(a_row(unit="EUR")), r":2: unit 'EUR' is not one of", id="unit"),
        pytest.param(table(a_row(day="5 April")), r":2: '5 April' is not a day", id="day"),
        pytest.param(table(a_row(price="cheap")), r":2: 'cheap' is not a price", id="words"),
        pytest.param(table(a_row(price="NaN")), r"'NaN' is not a price", id="not a number"),
        pytest.param(
            table(a_row(price="300", unit="CNY/kWh")), r"beyond 100", id="CNY/MWh taken for kWh"
        ),
        pytest.param(
            table(a_row(price="0.00001", unit="CNY/MWh")), r"finer than a micro-yuan", id="fine"
        ),
        pytest.param(
            table(a_row(), heads=quarters(30)), r"headings must be day, unit", id="shifted"
        ),
        pytest.param(table(), r"the table has no day", id="no rows"),
    ],
)
def test_tables_that_can_not_be_meant_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read(content)


def test_a_curve_without_its_table_is_refused() -> None:
    with pytest.raises(BadInput, match=r"prices from prices\.csv, which was not given"):
        parse_tariff(CURVE_FILE, "tariff_direct.yaml")


def test_days_may_stand_in_the_file_itself() -> None:
    text = CURVE_FILE.replace(
        "prices_file: prices.csv", "days: {2026-04-05: [" + ", ".join(["0.3"] * 96) + "]}"
    )
    tariff = parse_tariff(text, "t.yaml")
    assert isinstance(tariff, CurveTariff)
    assert tariff.curves == {date(2026, 4, 5): (300_000,) * 96}
    with pytest.raises(BadInput, match="2026-04-05 has 95 prices, a day has 96"):
        parse_tariff(text.replace("[0.3, ", "["), "t.yaml")


def test_quarters_are_counted_by_local_time_in_zones_of_45_minutes() -> None:
    text = CURVE_FILE.replace("Asia/Shanghai", "Asia/Kathmandu")
    row = a_row()
    row[2] = "700"
    tariff = parse_tariff(text, "t.yaml", table(row))
    midnight = datetime(2026, 4, 5, tzinfo=ZoneInfo("Asia/Kathmandu"))
    first, second = tariff.priced(midnight, midnight + timedelta(minutes=20), "1-10kV")
    assert (first.uyuan_per_kwh, second.uyuan_per_kwh) == (700_000, 300_000)
    assert first.end - first.start == timedelta(minutes=15)
