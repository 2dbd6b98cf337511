"""What stands in the way of a waiting job, over HTTP."""

from api_client import World

from scheduler.cycle import run_cycle


def _submit(world: World, **metadata: str) -> str:
    world.register()
    world.fund(amount_fen=1_000_000)
    world.hello(world.token())
    wishes = {"units": "4", "max_minutes": "60", **metadata}
    made = world.submit(submission_id="mine", metadata=wishes)
    assert made.status_code == 201, made.text
    return "/v1/jobs/mine/conflict"


def test_a_waiting_job_is_told_what_stands_in_its_way(world: World) -> None:
    path = _submit(world)
    world.clock.sleep(3_600.0)
    found = world.client.get(path, world.enterprise).json()
    assert found["demands"] == ["open"]
    assert found["words"].startswith("no pool meets sites that are open; without sites that are")
    (remedy,) = found["remedies"]
    assert remedy["dropped"] == ["open"]
    assert remedy["price_fen_max"] > 0
    assert world.client.get(path, world.other).status_code == 404


def test_a_job_with_a_place_has_nothing_in_its_way(world: World) -> None:
    path = _submit(world)
    free = {"demands": [], "remedies": [], "submission_id": "mine"}
    waiting = {**free, "words": "nothing stands in its way; it is queued"}
    assert world.client.get(path, world.enterprise).json() == waiting
    run_cycle(world.engine, world.writer, world.client.context.scheduling)
    placed = {**free, "words": "nothing stands in its way; it is placed"}
    assert world.client.get(path, world.enterprise).json() == placed
