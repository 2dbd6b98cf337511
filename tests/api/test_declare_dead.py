"""A person's word that a silent site is dead lets its jobs start elsewhere, and is written down."""

from api_client import World

from scheduler.cycle import run_cycle
from suanwang.clock import VirtualClock

DECLARE = "/v1/sites/east/declare-dead"


def _running_at_east(world: World) -> None:
    world.register("east", "dc-east")
    token = world.token("east")
    world.hello(token)
    world.fund()
    assert world.submit(submission_id="j1").status_code == 201
    run_cycle(world.engine, world.writer, world.client.context.scheduling)
    assert world.client.get("/v1/jobs/j1", world.enterprise).json()["state"] == "placed"
    orders = world.client.get("/agent/v1/orders", token).json()["orders"]
    assert [order["kind"] for order in orders] == ["start"]


def test_a_site_whose_agent_answers_cannot_be_declared_dead(world: World) -> None:
    _running_at_east(world)
    answer = world.client.post(DECLARE, world.operator)
    assert answer.status_code == 409
    assert "sites close east" in answer.json()["next_step"]


def test_the_jobs_of_a_dead_site_wait_for_another(world: World, clock: VirtualClock) -> None:
    _running_at_east(world)
    clock.advance(3_600)
    assert world.client.post(DECLARE, world.other_operator).status_code == 404
    answer = world.client.post(DECLARE, world.operator)
    assert answer.status_code == 200
    assert len(answer.json()["attempts"]) == 1
    job = world.client.get("/v1/jobs/j1", world.enterprise).json()
    assert (job["state"], job["attempts"][0]["state"]) == ("queued", "fenced")
    events = world.client.get("/v1/jobs/j1/events", world.enterprise).json()["items"]
    assert any("operator dc-east" in event["message"] for event in events)
    assert world.client.post(DECLARE, world.operator).json()["attempts"] == []
