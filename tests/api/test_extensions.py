"""More time over HTTP: who may ask, once for each key, and what a running job shows of itself."""

from datetime import timedelta

import pytest
from api_client import Json, World

from scheduler.cycle import run_cycle
from scheduler.reconcile import reconcile
from suanwang.clock import VirtualClock

TEN_MINUTES = {"units": "4", "max_minutes": "10", "grace_s": "0"}
"""Four cores at 0.12 yuan: 8 fen at most."""


@pytest.fixture
def running(world: World, clock: VirtualClock) -> tuple[World, str, str]:
    """A job that has run for five of its ten minutes; the centre, the site's token, the attempt."""
    world.register()
    world.fund(amount_fen=20)
    token = world.token()
    world.hello(token)
    assert world.submit(submission_id="train-1", metadata=TEN_MINUTES).status_code == 201
    run_cycle(world.engine, world.client.context.writer, world.client.context.scheduling)
    (order,) = world.client.get("/agent/v1/orders", token).json()["orders"]
    call(world, token, "/orders/ack", {"ids": [order["id"]]})
    told = {"state": "running", "started_at": clock.now().isoformat()}
    report(world, token, order["attempt_id"], 1, **told)
    clock.advance(300)
    greet(world, token, order["attempt_id"])
    return world, token, order["attempt_id"]


def call(world: World, token: str, path: str, body: Json) -> Json:
    """Make a call of the agent that must succeed."""
    answer = world.client.post(f"/agent/v1{path}", token, body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def report(world: World, token: str, attempt_id: str, seq: int, **facts: Json) -> None:
    """Report on an attempt."""
    said = {"attempt_id": attempt_id, "seq": seq, "at": world.clock.now().isoformat()}
    call(world, token, "/reports", {"reports": [said | facts]})


def greet(world: World, token: str, attempt_id: str) -> None:
    """Let the site say that the attempt runs."""
    greeting = {
        "agent_version": "0.1.0",
        "clock": world.clock.now().isoformat(),
        "executor_state": "up",
        "running": [attempt_id],
    }
    call(world, token, "/hello", greeting)


def extend(world: World, key: str, by_s: int, idempotency: str = "k1") -> Json:
    """Ask for more time."""
    headers = {"Idempotency-Key": idempotency} if idempotency else {}
    return world.client.post("/v1/jobs/train-1/extensions", key, {"by_s": by_s}, headers=headers)


def detail(world: World) -> Json:
    """The job as its tenant sees it."""
    return world.client.get("/v1/jobs/train-1", world.enterprise).json()


def test_a_running_job_shows_cost_so_far_what_is_held_and_the_time_left(
    running: tuple[World, str, str],
) -> None:
    world, _, attempt = running
    meter = detail(world)["meter"]
    assert (meter["attempt_id"], meter["used_s"], meter["left_s"]) == (attempt, 300.0, 300)
    assert (meter["cost_fen"], meter["held_fen"], meter["run_s_max"]) == (4, 8, 600)
    assert detail(world)["account"] is None


def test_more_time_is_granted_once_for_each_key_and_confirmed_by_the_site(
    running: tuple[World, str, str],
) -> None:
    world, token, _ = running
    first = extend(world, world.researcher, 600)
    assert (first.status_code, first.json()["is_repeat"]) == (201, False)
    assert (first.json()["run_s_max"], first.json()["amount_fen"]) == (1_200, 8)
    assert extend(world, world.enterprise, 600).json()["is_repeat"]
    assert extend(world, world.enterprise, 60).status_code == 409
    job = detail(world)
    assert [one["confirmed_at"] for one in job["extensions"]] == [None]
    assert job["extensions"][0]["asked_by"].startswith("key_")
    assert (job["meter"]["run_s_max"], job["meter"]["run_s_confirmed"]) == (1_200, 600)
    (order,) = world.client.get("/agent/v1/orders", token).json()["orders"]
    assert (order["kind"], order["run_s_max"]) == ("extend", 1_200)
    call(world, token, "/orders/ack", {"ids": [order["id"]]})
    job = detail(world)
    assert job["extensions"][0]["confirmed_at"] is not None
    assert (job["meter"]["left_s"], job["meter"]["held_fen"]) == (900, 16)
    events = world.client.get("/v1/jobs/train-1/events", world.enterprise).json()["items"]
    assert [event["kind"] for event in events][-2:] == ["extended", "extension-confirmed"]


def test_refused_time_says_both_amounts_and_changes_nothing(
    running: tuple[World, str, str],
) -> None:
    world, _, _ = running
    before = detail(world)
    refused = extend(world, world.enterprise, 1_200)
    assert refused.status_code == 402
    problem = refused.json()
    assert "0.16 yuan of cash are needed, 0.12 are free" in problem["detail"]
    assert problem["facts"]["ledger_code"] == "cash-short"
    assert detail(world) == before


def test_only_the_owner_and_the_admin_may_ask(running: tuple[World, str, str]) -> None:
    world, _, _ = running
    assert extend(world, world.other, 60).status_code == 404
    assert extend(world, world.operator, 60).status_code == 403
    assert extend(world, world.admin, 60).status_code == 201


def test_a_request_without_a_key_or_without_time_is_refused(
    running: tuple[World, str, str],
) -> None:
    world, _, _ = running
    assert extend(world, world.enterprise, 60, "").status_code == 422
    assert extend(world, world.enterprise, 0).status_code == 422


def test_a_run_that_is_short_of_time_says_so_to_the_gateways_clients_too(
    running: tuple[World, str, str], clock: VirtualClock
) -> None:
    world, token, attempt = running
    clock.advance(250)
    greet(world, token, attempt)
    reconcile(world.engine, world.client.context.writer, world.client.context.scheduling)
    job = world.client.get("/api/jobs/train-1", world.enterprise).json()
    assert job["status"] == "RUNNING"
    assert job["message"].startswith("running at east: 50 s of the 600 s that are paid for")
    assert detail(world)["reason"] == "time-short"
    (order,) = world.client.get("/agent/v1/orders", token).json()["orders"]
    assert (order["kind"], order["note"][:4]) == ("note", "50 s")


def test_a_job_that_has_ended_is_a_conflict(
    running: tuple[World, str, str], clock: VirtualClock
) -> None:
    world, token, attempt = running
    started = (clock.now() - timedelta(seconds=300)).isoformat()
    window = {"started_at": started, "ended_at": clock.now().isoformat()}
    report(world, token, attempt, 2, state="succeeded", exit_code=0, **window)
    answer = extend(world, world.enterprise, 60)
    assert answer.status_code == 409
    assert "succeeded" in answer.json()["detail"]
    assert detail(world)["meter"] is None
    assert detail(world)["account"]["price_fen"] == 4
