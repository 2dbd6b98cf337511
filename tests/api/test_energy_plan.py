"""The energy schedule of a site over REST and the command line."""

from dataclasses import replace
from datetime import datetime

import pytest
from api_client import Json, World, site_body
from in_process import InProcess
from typer.testing import CliRunner

from cli import main
from cli import sites as sites_command
from collectors import store
from scheduler.cycle import run_cycle
from suanwang.clock import VirtualClock
from suanwang.db.engine import writing
from suanwang.ids import SiteId
from suanwang.model.batch import TelemetryBatch, gathered
from suanwang.model.reading import Reading
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
    assert "Register what may be planned of it" in answer.text


ENERGY: Json = {
    "sleep": {"wake_minutes": 5, "wake_kwh": 0.1},
    "battery": {
        "kw": 1, "kwh": 2, "round_trip": 0.81, "charged": 0.5, "charge_from": "battery/a",
    },
    "solar": {
        "kw_peak": 1, "latitude": 36.07, "longitude": 120.38, "month_share": [0.7] * 12,
    },
    "carbon_book": "market",
}  # fmt: skip


def _tell_charge(world: World, ratio: float, now: datetime) -> None:
    told = Reading(subject="battery/a", metric="battery_charge_ratio", value=ratio, at=now)
    batch = TelemetryBatch(
        id="b1",
        site_id=SiteId(_site_id(world)),
        sent_at=now,
        readings=gathered([told]),
    )
    with writing(world.engine) as connection:
        store.ingest(connection, batch, f"digest of {batch.id}", now)


def test_what_is_registered_of_a_sites_energy_is_in_its_schedule(world: World) -> None:
    world.register(energy=ENERGY, power_chain="ups_2n")
    world.fund(amount_fen=1_000_000)
    world.hello(world.token())
    world.submit(metadata={"units": "1", "max_minutes": "60"})
    run_cycle(world.engine, world.writer, world.client.context.scheduling)
    plan = _plan(world)
    inputs = {one["name"]: one for one in plan["inputs"]}
    assert inputs["battery"]["standing"] == "design"
    assert inputs["facility"]["note"].endswith("the power chain ups_2n")
    assert inputs["sun"]["standing"] == "forecast"
    assert inputs["carbon"]["note"].startswith("market book, residual factor of")
    _tell_charge(world, 0.25, world.client.context.clock.now())
    world.submit(metadata={"units": "1", "max_minutes": "60"})
    run_cycle(world.engine, world.writer, world.client.context.scheduling)
    (battery,) = [one for one in _plan(world)["inputs"] if one["name"] == "battery"]
    assert battery["standing"] == "measured"
    assert battery["note"].startswith("25% full")


def test_a_site_that_is_registered_without_it_has_no_energy_terms_any_more(world: World) -> None:
    world.register(energy=ENERGY)
    world.register()
    world.fund(amount_fen=1_000_000)
    world.hello(world.token())
    world.submit(metadata={"units": "1", "max_minutes": "60"})
    run_cycle(world.engine, world.writer, world.client.context.scheduling)
    answer = world.client.get(f"/v1/sites/{_site_id(world)}/energy-plan", world.admin)
    assert answer.status_code == 404


def test_a_power_chain_that_nobody_knows_is_refused(world: World) -> None:
    body = site_body() | {"power_chain": "magic"}
    refused = world.client.post("/v1/sites", world.admin, body)
    assert refused.status_code == 422
    assert "magic" in refused.text


def test_another_process_shows_the_schedule_that_was_kept(planned: World) -> None:
    own = _plan(planned)
    planned.client.context.scheduling.desk.forget()
    assert _plan(planned) == own


def test_a_later_plan_without_a_schedule_leaves_none(planned: World, clock: VirtualClock) -> None:
    scheduling = planned.client.context.scheduling
    clock.advance(60)
    planned.hello(planned.token())
    planned.submit(metadata={"units": "1", "max_minutes": "60"})
    run_cycle(planned.engine, planned.writer, scheduling)
    scheduling.desk.forget()
    answer = planned.client.get(f"/v1/sites/{_site_id(planned)}/energy-plan", planned.admin)
    assert answer.status_code == 404


def test_the_command_line_shows_the_schedule(
    planned: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sites_command, "connect", lambda url, key: InProcess(planned))
    shown = CliRunner().invoke(main.app, ["sites", "energy-plan", _site_id(planned)])
    assert shown.exit_code == 0, shown.output
    assert "nodes awake" in shown.output
    assert "it may rise while energy falls" in shown.output
