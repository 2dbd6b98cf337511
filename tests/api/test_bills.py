"""The bill of a site by REST and on the command line, against the arithmetic by hand."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from api_client import World
from energy_builders import CURVE_FILE, quarters
from in_process import InProcess
from typer.testing import CliRunner

from cli import bill as command
from cli.main import app
from collectors import store
from suanwang.db.engine import writing
from suanwang.errors import BadInput
from suanwang.ids import SiteId
from suanwang.model.batch import TelemetryBatch, gathered
from suanwang.model.reading import Reading
from suanwang.model.tenant import Role
from suanwang.sheets import read_table

DAY = datetime(2026, 10, 12, 16, tzinfo=UTC)
"""Midnight of 13 October at the site."""
PATH = "/v1/sites/east/bill"


def meter_day(world: World, hours: int = 24) -> World:
    """Register a site and send in 40 kW of its local 13 October."""
    world.register(demand_basis="max_demand")
    readings = [
        Reading(
            subject="meter:east-facility",
            metric="energy_wh",
            value=40_000.0 * minute / 60,
            at=DAY + timedelta(minutes=minute),
        )
        for minute in range(0, hours * 60 + 1, 5)
    ]
    with writing(world.engine) as connection:
        now = world.clock.now()
        batch = TelemetryBatch(
            id="b1", site_id=SiteId("east"), sent_at=now, readings=gathered(readings)
        )
        store.ingest(connection, batch, "digest", now)
    return world


@pytest.fixture
def metered(small_world: World) -> World:
    return meter_day(small_world)


def test_a_day_is_billed_out_of_the_record(metered: World) -> None:
    asked = f"{PATH}?period=2026-10-13&power_factor=0.85"
    found = metered.client.get(asked, metered.operator).json()
    # 40 kW; 0.6559 flat, x 0.51 valley, x 0.37 deep, x 1.49 peak, x 1.70 sharp.
    assert {one["label"]: one["amount_fen"] for one in found["lines"]} == {
        "flat": 36_730,  #   560 kWh x 0.6559   = 367.304
        "valley": 2_676,  #   80 kWh x 0.334509 =  26.761
        "deep": 2_912,  #    120 kWh x 0.242683 =  29.122
        "peak": 11_727,  #   120 kWh x 0.977291 = 117.275
        "sharp": 8_920,  #    80 kWh x 1.11503  =  89.202
    }
    assert found["energy_fen"] == 62_965
    assert (found["demand_w"], found["demand_fen"]) == (40_000, 4_955)  # 38.4 x 40 / 31 = 49.548
    factor, vat = found["charges"]
    assert (factor["amount_fen"], factor["percent"]) == (1_698, 2.5)  # of 679.20: 16.98
    assert vat["is_included"]
    assert found["total_fen"] == 62_965 + 4_955 + 1_698
    assert (found["coverage"], found["windows_known"]) == (1.0, 96)
    assert found["is_provisional"]  # windows of yesterday are not final yet


def test_a_month_that_runs_says_what_is_missing_and_to_come(metered: World) -> None:
    found = metered.client.get(f"{PATH}?period=2026-10", metered.operator).json()
    # Until 08:00 of the 14th 13 days and 8 hours are over, of which one day is known.
    assert (found["windows_asked"], found["windows_over"]) == (31 * 96, 13 * 96 + 32)
    assert found["windows_known"] == 96
    assert "1184 of 1280 windows that are over are not known" in " ".join(found["notes"])
    assert "1696 windows of the period are to come" in found["notes"]
    assert found["demand_fen"] == 153_600  # 38.4 x 40 for the month


def test_a_bill_is_for_the_operator_of_the_site(metered: World) -> None:
    stranger = metered.key("dc-west", Role.OPERATOR)
    assert metered.client.get(f"{PATH}?period=2026-10", stranger).status_code == 404
    assert metered.client.get(f"{PATH}?period=2026-10", metered.enterprise).status_code == 403


def prices() -> str:
    row = ["400"] * 40 + ["-100"] * 20 + ["400"] * 36
    return "\n".join(
        [",".join(["day", "unit", *quarters()]), ",".join(["2026-10-13", "CNY/MWh", *row])]
    )


def test_a_past_day_is_replayed_under_a_curve_with_negative_prices(metered: World) -> None:
    body = {"period": "2026-10-13", "tariff": CURVE_FILE, "prices": prices()}
    found = metered.client.post(PATH, metered.operator, body).json()
    # 10 kWh a quarter: 76 at 0.40, 20 at -0.10; 960 kWh of network at 0.15.
    assert {one["label"]: one["amount_fen"] for one in found["lines"]} == {
        "trade": 30_400,
        "trade_negative": -2_000,
        "network": 14_400,
    }
    assert not found["is_stand_in"]
    refused = metered.client.post(PATH, metered.operator, body | {"prices": ""})
    assert (refused.status_code, "which was not given" in refused.text) == (422, True)


def test_a_site_that_never_said_how_demand_is_charged_is_told_so(small_world: World) -> None:
    small_world.register()
    found = small_world.client.get(f"{PATH}?period=2026-10-13", small_world.operator).json()
    assert (found["total_fen"], found["demand"]) == (0, [])
    assert "is not registered, so no demand is charged" in found["notes"][-1]


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_table_adds_up_to_its_total(metered: World, kind: str) -> None:
    asked = f"{PATH}/table?period=2026-10-13&format={kind}"
    table = read_table(metered.client.get(asked, metered.operator).content)
    rows = {str(row.cells[0]): row.cells for row in table.rows}
    assert str(rows["total"][7]) == "679.20"
    assert str(rows["demand"][2]) == "max_demand 2026-10, 0.0323 of the month"


def run(world: World, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    monkeypatch.setattr(command, "connect", lambda url, key: InProcess(world))
    done = CliRunner().invoke(app, ["bill", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_command_prints_lines_marks_and_total(
    metered: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = run(metered, monkeypatch, "east", "2026-10-13", "--power-factor", "0.85")
    assert "(provisional)" in text
    assert "power factor 0.85" in text
    assert "696.18" in text
    tariff, table = tmp_path / "curve.yaml", tmp_path / "prices.csv"
    tariff.write_text(CURVE_FILE)
    table.write_text(prices())
    options = ("--tariff", str(tariff), "--prices", str(table))
    assert "trade_negative" in run(metered, monkeypatch, "east", "2026-10-13", *options)
    file = tmp_path / "bill.csv"
    run(metered, monkeypatch, "east", "2026-10-13", "-o", str(file))
    assert b"679.20" in file.read_bytes()
    for wrong in (["--prices", str(table)], [*options, "-o", str(file)], ["-o", "bill.pdf"]):
        with pytest.raises(BadInput):
            run(metered, monkeypatch, "east", "2026-10-13", *wrong)
