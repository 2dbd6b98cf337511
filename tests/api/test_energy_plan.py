"""The energy schedule of a site over REST and the command line."""

from dataclasses import replace

import pytest
from api_client import Json, World
from in_process import InProcess
from typer.testing import CliRunner

from cli import main
from cli import sites as sites_command
from scheduler.cycle import run_cycle
from suanwang.model.site_terms import EnergyTerms, SleepTerms


@pytest.fixture
def planned(world: World) -> World:
    """A centre whose site lets nodes sleep, after a cycle with a job in the queue."""
    world.register()
    world.fund(amount_fen=1_000_000)
    world.hello(world.token())
    world.submit(metadata={"units": "1", "max_minutes": "60"})
    scheduling = world.client.context.scheduling
    sites = world.client.get("/v1/sites", world.admin).json()["items"]
    sleep = SleepTerms(wake_s=300.0, wake_wh=100.0)
    terms = {site["id"]: EnergyTerms(sleep=sleep) for site in sites}
    catalogue = replace(scheduling.catalogue, terms=terms)
    run_cycle(world.engine, world.writer, replace(scheduling, catalogue=catalogue))
    return world


def _site_id(world: World) -> str:
    (site,) = world.client.get("/v1/sites", world.admin).json()["items"]
    return str(site["id"])


def _plan(world: World) -> Json:
    answer = world.client.get(f"/v1/sites/{_site_id(world)}/energy-plan", world.admin)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_site_reads_which_nodes_should_be_awake(planned: World) -> None:
    plan = _plan(planned)
    assert plan["site_id"] == _site_id(planned)
    assert plan["saved_wh"] > 0
    first, last = plan["slots"][0], plan["slots"][-1]
    assert sum(first["awake"].values()) >= 1
    assert sum(last["awake"].values()) == 0
    assert first["grid_w"] == pytest.approx(first["facility_w"])


def test_a_site_of_which_nothing_may_be_planned_has_no_schedule(world: World) -> None:
    world.register()
    answer = world.client.get(f"/v1/sites/{_site_id(world)}/energy-plan", world.admin)
    assert answer.status_code == 404
    assert "site_terms.yaml" in answer.text


def test_the_command_line_shows_the_schedule(
    planned: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sites_command, "connect", lambda url, key: InProcess(planned))
    shown = CliRunner().invoke(main.app, ["sites", "energy-plan", _site_id(planned)])
    assert shown.exit_code == 0, shown.output
    assert "nodes awake" in shown.output
    assert "it may rise while energy falls" in shown.output
