"""The facility power curve by REST and on the command line."""

from typing import Any

import pytest
from api_client import World
from in_process import InProcess
from typer.testing import CliRunner

from cli import facility as command
from cli.main import app
from collectors import store_facility
from suanwang.db.engine import writing
from suanwang.energy.catalogue import load_catalogue
from suanwang.energy.facility_fit import FacilityHour, fit_facility
from suanwang.model.site import CoolingKind

PATH = "/v1/sites/east/facility-model"


def give_hours(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the record have ten days of a hall that is exactly its design."""
    from datetime import timedelta
    from math import sin

    design = load_catalogue().facility(CoolingKind.MODERN_WSE_WARMWATER, 100_000)
    hours = []
    for number in range(240):
        it_w, wet = 45_000 + 15_000 * sin(number / 4), 12 + 6 * sin(number / 31)
        hours.append(
            FacilityHour(
                at=world.clock.now() - timedelta(hours=240 - number),
                it_w=it_w,
                facility_w=design.facility_w(it_w, wet),
                wet_bulb_c=wet,
            )
        )
    assert fit_facility(design, hours) is not None
    monkeypatch.setattr(store_facility, "_hours", lambda *asked: hours)


def test_without_hours_the_design_is_shown_and_says_so(small_world: World) -> None:
    small_world.register()
    found = small_world.client.get(PATH, small_world.researcher).json()
    assert (found["mark"], found["version"], found["quality"]) == ("design", 0, None)
    assert {one["mark"] for one in found["points"]} == {"design"}
    refused = small_world.client.post(PATH, small_world.operator)
    assert (refused.status_code, "168 are needed" in refused.text) == (409, True)


def test_a_fitted_curve_is_shown_with_what_it_rests_on(
    small_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_world.register()
    give_hours(small_world, monkeypatch)
    made = small_world.client.post(PATH, small_world.operator)
    assert made.status_code == 201
    found = small_world.client.get(PATH, small_world.researcher).json()
    assert found == made.json()
    assert (found["mark"], found["version"], found["quality"]["hours"]) == ("fitted", 1, 240)
    assert found["quality"]["residual_p95"] < 0.01
    assert {one["mark"] for one in found["points"]} == {"fitted", "mixed"}


def run(world: World, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    monkeypatch.setattr(command, "connect", lambda url, key: InProcess(world))
    done = CliRunner().invoke(app, ["pue", "model", "east", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_command_prints_the_table_of_marginal_pue(
    small_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_world.register()
    assert "by design; its meters told no curve yet" in run(small_world, monkeypatch)
    give_hours(small_world, monkeypatch)
    text = run(small_world, monkeypatch, "--fit")
    assert "east: fitted, version 1" in text
    assert "240 hours, loads 0.30 to 0.60 of 100 kW" in text
    assert '"version": 1' in run(small_world, monkeypatch, "--json")


def test_plans_go_by_the_sites_own_curve(
    small_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scheduler.snapshot import take_snapshot

    small_world.register()
    give_hours(small_world, monkeypatch)
    small_world.client.post(PATH, small_world.operator)
    with writing(small_world.engine) as connection:
        (state,) = take_snapshot(connection, small_world.clock.now()).sites
    assert state.own_facility is not None
    assert state.own_facility.quality.hours == 240
