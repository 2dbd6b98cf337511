"""Prices and quotes over REST and the command line, with and without a scheduler beside."""

from datetime import timedelta

import pytest
from api_client import Json, World
from in_process import InProcess
from typer.testing import CliRunner

from cli import jobs, main
from cli import prices as prices_command
from scheduler.cycle import run_cycle

POOL_UNITS = {"units": "4", "max_minutes": "60"}


@pytest.fixture
def open_world(world: World) -> World:
    """A centre whose site is up, and whose enterprise has cash."""
    world.register()
    world.fund(amount_fen=1_000_000)
    world.hello(world.token())
    return world


def prices(world: World, key: str) -> Json:
    """The board as a key sees it."""
    answer = world.client.get("/v1/prices", key)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_without_a_queue_a_unit_costs_its_electricity(open_world: World) -> None:
    board = prices(open_world, open_world.enterprise)
    (pool,) = board["pools"]
    assert board["queued"] == 0
    for slot in pool["slots"]:
        assert slot["price"] == pytest.approx(slot["energy"])
        assert slot["energy"] > 0
        assert slot["low"] == slot["high"] == slot["price"]


def test_a_queue_is_counted_whether_this_process_schedules_or_not(open_world: World) -> None:
    world = open_world
    free = prices(world, world.enterprise)["pools"][0]["slots"][0]["units_left"]
    crowd = str(free // 2 + 1)
    for name in ("one", "two"):
        answer = world.submit(submission_id=name, metadata={"units": crowd, "max_minutes": "200"})
        assert answer.status_code == 201, answer.text
    world.client.context.scheduling.desk.forget()
    asked = {"metadata": {"units": crowd, "max_minutes": "200"}}
    looked = world.client.post("/v1/quotes", world.enterprise, asked).json()
    run_cycle(world.engine, world.writer, world.client.context.scheduling)
    planned = world.client.post("/v1/quotes", world.enterprise, asked).json()
    assert looked["queued"] == planned["queued"] == 2
    for quote in (looked, planned):
        assert quote["is_sure"]
        # What is free now is one thing, what those who wait leave of it another.
        assert quote["rows"][0]["start"] < (quote["best"]["start"] or "9")
    assert planned["best"]["cost"] == pytest.approx(looked["best"]["cost"], rel=1e-6)


def test_an_estimate_can_be_had_without_solving(open_world: World) -> None:
    world = open_world
    world.submit(submission_id="one", metadata=POOL_UNITS)
    world.client.context.scheduling.desk.forget()
    asked = {"metadata": POOL_UNITS, "is_exact": False}
    quote = world.client.post("/v1/quotes", world.enterprise, asked).json()
    assert quote["best"]["by"] == "prices"
    assert quote["rows"][0]["estimate"]["cost"] == quote["best"]["cost"]


def test_a_closed_site_is_seen_at_once(open_world: World) -> None:
    world = open_world
    run_cycle(world.engine, world.writer, world.client.context.scheduling)
    asked = {"metadata": POOL_UNITS}
    (row,) = world.client.post("/v1/quotes", world.enterprise, asked).json()["rows"]
    assert row["reason"] == "placed"
    (site,) = world.client.get("/v1/sites", world.admin).json()["items"]
    closed = world.client.post(f"/v1/sites/{site['id']}/close", world.admin)
    assert closed.status_code == 200
    (row,) = world.client.post("/v1/quotes", world.enterprise, asked).json()["rows"]
    assert row["reason"] == "site-down"


def test_the_newest_plans_prices_are_metrics(open_world: World) -> None:
    world = open_world
    run_cycle(world.engine, world.writer, world.client.context.scheduling)
    text = world.client.get("/metrics").text
    assert 'suanwang_price_yuan_per_unit_hour{part="energy",pool="east-cpu",site="east"}' in text


def test_the_command_line_shows_prices_and_what_the_queue_means(
    open_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = open_world
    world.submit(submission_id="one", metadata=POOL_UNITS)
    world.client.context.scheduling.desk.forget()
    for module in (prices_command, jobs):
        monkeypatch.setattr(module, "connect", lambda url, key: InProcess(world, world.enterprise))
    shown = CliRunner().invoke(main.app, ["prices"], catch_exceptions=False)
    assert "1 jobs in the queue" in shown.stdout
    assert "east-cpu" in shown.stdout
    quoted = CliRunner().invoke(
        main.app, ["quote", "--units", "4", "--max-minutes", "60"], catch_exceptions=False
    )
    assert "with 1 jobs that wait: east-cpu from" in quoted.stdout


def test_a_waiting_job_is_told_what_would_change_it(
    open_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = open_world
    free = prices(world, world.enterprise)["pools"][0]["slots"][0]["units_left"]
    late = (world.clock.now() + timedelta(hours=3)).isoformat()
    for name in ("one", "two"):
        wishes = {"units": str(free), "max_minutes": "100", "deadline": late}
        assert world.submit(submission_id=name, metadata=wishes).status_code == 201
    run_cycle(world.engine, world.writer, world.client.context.scheduling)
    waits = [
        name
        for name in ("one", "two")
        if world.client.get(f"/v1/jobs/{name}", world.enterprise).json()["state"] == "queued"
    ]
    (name,) = waits
    items = world.client.get(f"/v1/jobs/{name}/changes", world.enterprise).json()["items"]
    told = {item["wish"]: item for item in items}
    assert {"deadline", "units", "cash"} <= set(told)
    assert told["deadline"]["is_solved"]
    assert told["deadline"]["after"]["start"] is not None
    assert told["deadline"]["words"].startswith("deadline two hours later: ")
    assert told["deadline"]["words_zh"].startswith("截止时间推迟两小时")
    assert told["cash"]["words"] == "cash +1,000 yuan: changes nothing"
    monkeypatch.setattr(jobs, "connect", lambda url, key: InProcess(world, world.enterprise))
    shown = CliRunner().invoke(main.app, ["explain", name], catch_exceptions=False)
    assert "with deadline two hours later: " in shown.stdout
