"""What stands in the way of a waiting job, over HTTP."""

import pytest
from api_client import World
from in_process import InProcess
from typer.testing import CliRunner

from cli import jobs, main
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
    assert found["demands"] == [
        {
            "demand": "open",
            "reason": "site-down",
            "figures": {},
            "words": "sites that are open",
            "words_zh": "站点开放要求",
        }
    ]
    assert found["words"].startswith("no pool meets sites that are open; without sites that are")
    assert found["words_zh"].startswith("没有资源池满足站点开放要求；若放宽站点开放要求，可立即在")
    (remedy,) = found["remedies"]
    assert found["words"].endswith(remedy["words"])
    assert found["words_zh"].endswith(remedy["words_zh"])
    assert remedy["dropped"] == ["open"]
    assert remedy["price_fen_max"] > 0
    assert world.client.get(path, world.other).status_code == 404


def test_a_job_with_a_place_has_nothing_in_its_way(world: World) -> None:
    path = _submit(world)
    free = {"demands": [], "remedies": [], "submission_id": "mine"}
    assert world.client.get(path, world.enterprise).json() == {
        **free,
        "words": "nothing stands in its way; it is queued",
        "words_zh": "没有什么妨碍该作业；其状态为 queued",
    }
    run_cycle(world.engine, world.writer, world.client.context.scheduling)
    placed = world.client.get(path, world.enterprise).json()
    assert placed["words"] == "nothing stands in its way; it is placed"
    assert placed["demands"] == []


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", "in its way: no pool meets sites that are open; without"),
        ("zh", "in its way: 没有资源池满足站点开放要求；若放宽"),
    ],
)
def test_the_command_line_tells_it_in_the_language_that_is_asked_for(
    world: World, monkeypatch: pytest.MonkeyPatch, language: str, told: str
) -> None:
    _submit(world)
    world.clock.sleep(3_600.0)
    monkeypatch.setattr(jobs, "connect", lambda url, key: InProcess(world, world.enterprise))
    shown = CliRunner().invoke(main.app, ["explain", "mine", "--lang", language])
    assert told in shown.output
