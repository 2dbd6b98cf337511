"""The commands around PUE, against a centre in this process."""

import csv
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from api_client import World
from in_process import InProcess
from typer.testing import CliRunner

from cli import energy
from collectors import store
from collectors.upkeep import keep_up
from suanwang.db.engine import writing
from suanwang.errors import BadInput
from suanwang.ids import SiteId
from suanwang.model.batch import TelemetryBatch, gathered
from suanwang.model.reading import Reading


@pytest.fixture
def run(small_world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command as the admin; the site has been metered for six hours at PUE 1.25."""
    small_world.register()
    now = small_world.clock.now()
    readings = [
        Reading(
            subject=f"meter:east-{meter}",
            metric="energy_wh",
            value=1_000 + watts * minute / 60,
            at=now - timedelta(minutes=360 - minute),
        )
        for meter, watts in (("it", 40_000), ("facility", 50_000))
        for minute in range(361)
    ]
    batch = TelemetryBatch(id="b", site_id=SiteId("east"), sent_at=now, readings=gathered(readings))
    with writing(small_world.engine) as connection:
        store.ingest(connection, batch, "digest", now)
    keep_up(small_world.engine, small_world.clock)
    monkeypatch.setattr(energy, "connect", lambda url, key: InProcess(small_world))

    def call(*arguments: str) -> str:
        done = CliRunner().invoke(energy.app, list(arguments), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    return call


def test_all_sites_are_shown_over_hours_or_a_period(run: Any) -> None:
    assert "1.2500" in run("--hours", "6")
    assert "interim" in run("--period", "last-7d", "--category", "PUE3")


def test_hours_are_shown_with_what_they_add_up_to(run: Any) -> None:
    text = run("hours", "east")
    assert text.count("interpolated") == 5
    assert "5 of 24 hours are in the record, PUE over them 1.2500 (interim, PUE3)" in text


def test_hours_go_out_as_csv_and_json(run: Any) -> None:
    rows = list(csv.DictReader(StringIO(run("hours", "east", "last-7d", "--csv"))))
    assert len(rows) == 5
    assert {float(row["value"]) for row in rows} == {1.25}
    assert rows[0]["start"].endswith("Z")
    assert {(row["state"], row["revision"], row["withheld"]) for row in rows} == {
        ("provisional", "0", "")
    }
    assert '"hours": 168' in run("hours", "east", "last-7d", "--json")


def test_hours_between_two_edges(run: Any) -> None:
    text = run("hours", "east", "--from", "2026-10-13T20:00Z", "--to", "2026-10-13T22:30Z")
    assert "of 3 hours" in text
    with pytest.raises(BadInput, match="no --from"):
        run("hours", "east", "--to", "2026-10-13")
    with pytest.raises(BadInput, match="is not a period"):
        run("hours", "east", "--from", "yesterday", "--to", "2026-10-13")
