"""Hourly carbon: averages by time, holes that the year's factor fills, tables that are refused."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from suanwang.energy.carbon_hourly import HourlyCarbon, read_hourly_carbon
from suanwang.energy.catalogue import load_catalogue
from suanwang.errors import BadInput, NotFound

START = datetime(2026, 10, 14, tzinfo=UTC)
HOUR = timedelta(hours=1)


def series(*factors: float, missing: frozenset[int] = frozenset()) -> HourlyCarbon:
    kept = [number for number in range(len(factors)) if number not in missing]
    return HourlyCarbon(
        region="CN-SD",
        starts=tuple(START + number * HOUR for number in kept),
        g_per_kwh=tuple(factors[number] for number in kept),
    )


def test_a_period_has_the_mean_of_its_hours_by_time() -> None:
    half = HOUR / 2
    assert series(400, 800).average(START + half, START + 2 * HOUR, 600) == pytest.approx(
        (400 * 0.5 + 800) / 1.5
    )


def test_a_missing_hour_counts_as_the_years_factor() -> None:
    holed = series(400, 0, 800, missing=frozenset({1}))
    assert holed.average(START, START + 3 * HOUR, 600) == pytest.approx(600)
    assert holed.average(START + HOUR, START + 2 * HOUR, 600) == 600
    assert holed.average(START - 5 * HOUR, START - HOUR, 600) == 600
    assert holed.average(START + 9 * HOUR, START + 10 * HOUR, 600) == 600


def test_a_table_is_read_in_any_zone() -> None:
    table = (
        b"start,g_per_kwh,kind\n2026-10-14T08:00+08:00,400,published\n2026-10-14T01:00Z,800.5,\n"
    )
    found = read_hourly_carbon(table, "CN-SD", "carbon_CN-SD.csv")
    assert found == series(400, 800.5)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param("", "the table has no hour", id="empty"),
        pytest.param("2026-10-14T00:00,1\n", ":2: 2026-10-14T00:00:00 has no time zone", id="zone"),
        pytest.param("noon,1\n", "is not a moment", id="words"),
        pytest.param("2026-10-14T00:00Z,much\n", "is not a factor", id="no number"),
        pytest.param("2026-10-14T00:00Z,-1\n", "-1 g/kWh is not between 0", id="negative"),
        pytest.param("2026-10-14T00:00Z,61910\n", "is not between 0 and 5000", id="units"),
        pytest.param(
            "2026-10-14T00:00Z,1\n2026-10-14T00:30Z,1\n", ":3: .* not after the hour", id="order"
        ),
    ],
)
def test_tables_that_can_not_be_meant_are_refused(rows: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read_hourly_carbon(f"start,g_per_kwh\n{rows}".encode(), "CN-SD", "c.csv")


def test_columns_must_be_named() -> None:
    with pytest.raises(BadInput, match="first columns must be start and g_per_kwh"):
        read_hourly_carbon(b"time,factor\n2026-10-14T00:00Z,1\n", "CN-SD", "c.csv")


def test_an_operators_folder_adds_tariffs_and_hourly_factors(tmp_path: Path) -> None:
    packaged = load_catalogue()
    source = Path(__file__).parents[2] / "suanwang/energy/data/tariff_shandong.yaml"
    text = source.read_text(encoding="utf-8")
    for old, new in (
        ("id: cn-sd-tou-2026", "id: cn-sd-tou-2027"),
        ("{from: 2026-01-01, to: 2026-12-31}", "{from: 2027-01-01, to: 2027-12-31}"),
        ('"110kV": 0.62', '"110kV": 0.60'),
    ):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "tariff_next.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "carbon_CN-SD.csv").write_text("start,g_per_kwh\n2026-10-14T00:00Z,400\n")
    (tmp_path / "notes.txt").write_text("left alone")
    own = packaged.with_folder(tmp_path)
    year = datetime(2027, 6, 1, 12, tzinfo=UTC)
    assert own.tariff_versions("cn-sd-tou-2026").at(year).id == "cn-sd-tou-2027"
    assert own.carbon_g_per_kwh("CN-SD", START, START + HOUR) == 400
    assert own.carbon_g_per_kwh("CN-NX", START, START + HOUR) == pytest.approx(618.7)
    assert packaged.carbon_g_per_kwh("CN-SD", START, START + HOUR) == pytest.approx(619.1)
    (tmp_path / "carbon_CN-XX.csv").write_text("start,g_per_kwh\n2026-10-14T00:00Z,400\n")
    with pytest.raises(NotFound, match="no carbon factor for region 'CN-XX'"):
        packaged.with_folder(tmp_path)
    with pytest.raises(BadInput, match="cannot read the folder"):
        packaged.with_folder(tmp_path / "nowhere")
