"""Batches over HTTP and from the command line."""

import json
from pathlib import Path
from typing import Any

import pytest
from api_client import World
from in_process import InProcess
from typer.testing import CliRunner

from cli import batches, jobs
from cli.main import app
from suanwang.errors import BadInput

KEY = {"Idempotency-Key": "k1"}
FILM = {"entrypoint": "python render.py", "submission_id": "film", "array": "0-4"}


@pytest.fixture
def open_world(world: World) -> World:
    """A centre with a site and money."""
    world.register()
    world.hello(world.token())
    world.fund()
    return world


def _send(world: World, *items: Any, headers: Any = KEY) -> Any:
    body = {"jobs": list(items)}
    return world.client.post("/v1/job-batches", world.enterprise, body, headers=headers)


def test_an_array_is_a_job_for_each_index(open_world: World) -> None:
    answer = _send(open_world, FILM)
    assert answer.status_code == 201, answer.text
    taken = answer.json()
    assert taken["submission_ids"] == [f"film-{index}" for index in range(5)]
    assert open_world.wakes >= 1
    ray = open_world.client.get("/api/jobs/film-3", open_world.researcher).json()
    variables = {"SUANWANG_ARRAY_INDEX": "3", "SUANWANG_ARRAY_COUNT": "5"}
    assert ray["runtime_env"]["env_vars"] == variables
    page = open_world.client.get(
        "/v1/jobs", open_world.enterprise, params={"batch": taken["batch_id"], "limit": 3}
    ).json()
    assert [job["submission_id"] for job in page["items"]] == ["film-4", "film-3", "film-2"]
    assert {job["batch_id"] for job in page["items"]} == {taken["batch_id"]}


def test_a_repeat_is_the_same_batch_and_another_body_a_conflict(open_world: World) -> None:
    first = _send(open_world, FILM).json()
    again = _send(open_world, FILM)
    assert again.status_code == 201
    assert again.json() == first | {"is_repeat": True}
    assert _send(open_world, {**FILM, "array": "0-5"}).status_code == 409
    body = {"jobs": [{**FILM, "submission_id": "theirs"}]}
    answer = open_world.client.post("/v1/job-batches", open_world.other, body, headers=KEY)
    assert answer.status_code == 402, "another tenant's key is its own; it has no money"


def test_a_batch_without_a_key_is_refused(open_world: World) -> None:
    answer = _send(open_world, FILM, headers=None)
    assert answer.status_code == 422
    assert "needs a key" in answer.json()["detail"]


def test_every_bad_item_is_named(open_world: World) -> None:
    good = {"entrypoint": "true"}
    answer = _send(
        open_world,
        good,
        {**good, "metadata": {"units": "many"}},
        good,
        {**good, "array": "9-1"},
        {**good, "array": "1-3", "runtime_env": {"env_vars": {"SUANWANG_ARRAY_INDEX": "1"}}},
    )
    assert answer.status_code == 422
    facts = answer.json()["facts"]
    assert (facts["jobs"], facts["failed"]) == (5, 3)
    assert [item["index"] for item in facts["items"]] == [1, 3, 4]
    listed = open_world.client.get("/v1/jobs", open_world.enterprise).json()
    assert listed["items"] == []


def test_a_batch_has_a_limit(open_world: World) -> None:
    answer = _send(open_world, {**FILM, "array": "0-5000"})
    assert answer.status_code == 422
    assert "more than 5000 jobs" in answer.json()["detail"]
    halves = [{**FILM, "submission_id": name, "array": "1-2501"} for name in ("a", "b")]
    assert "more than 5000 jobs" in _send(open_world, *halves).json()["detail"]


def test_a_batch_is_looked_at_and_stopped_as_a_whole(open_world: World) -> None:
    batch = _send(open_world, FILM, {"entrypoint": "true"}).json()["batch_id"]
    client, path = open_world.client, f"/v1/job-batches/{batch}"
    seen = client.get(path, open_world.researcher).json()
    assert (seen["jobs"], seen["states"], seen["is_final"]) == (6, {"queued": 6}, False)
    assert client.get(path, open_world.other).status_code == 404
    assert client.post(f"{path}/stop", open_world.other).status_code == 404
    assert client.post(f"{path}/stop", open_world.enterprise).json() == {"stopped": 6}
    assert client.post(f"{path}/stop", open_world.enterprise).json() == {"stopped": 0}
    seen = client.get(path, open_world.admin).json()
    assert (seen["states"], seen["is_final"]) == ({"stopped": 6}, True)


@pytest.fixture
def run(small_world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command as an enterprise with one site and money."""
    small_world.register()
    small_world.fund()
    client = InProcess(small_world, small_world.enterprise)
    for module in (batches, jobs):
        monkeypatch.setattr(module, "connect", lambda url, key: client)

    def call(*arguments: str) -> str:
        done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    return call


def test_an_array_is_submitted_from_the_command_line(run: Any) -> None:
    said = run(
        "submit", "--no-wait", "--submission-id", "film", "--array", "1,3-4", "--key", "k", "true"
    )
    assert "3 jobs: film-1 to film-4" in said
    batch = said.split(":")[0]
    assert "3 jobs: 3 queued" in run("batch", "show", batch)
    assert "3 jobs are asked to end" in run("batch", "stop", batch)
    assert json.loads(run("batch", "show", batch, "--json"))["is_final"]


def test_a_count_is_an_array(run: Any) -> None:
    assert "2 jobs: n-0 to n-1" in run(
        "submit", "--no-wait", "--submission-id", "n", "--count", "2", "true"
    )
    with pytest.raises(BadInput, match="twice"):
        run("submit", "--no-wait", "--count", "2", "--array", "1", "true")


def test_a_file_of_jobs_is_one_batch(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "jobs.jsonl"
    lines = [json.dumps({"entrypoint": "true", "submission_id": f"f-{at}"}) for at in range(3)]
    file.write_text("\n\n".join(lines), encoding="utf-8")
    assert "3 jobs: f-0 to f-2" in run("batch", "submit", str(file), "--key", "k")
    assert "it was taken in before" in run("batch", "submit", str(file), "--key", "k")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("", "has no job", id="empty"),
        pytest.param('{"entrypoint": "true"}\n{', "line 2 is not JSON", id="not JSON"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(
    run: Any, tmp_path: Path, text: str, why: str
) -> None:
    file = tmp_path / "jobs.jsonl"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=why):
        run("batch", "submit", str(file))
