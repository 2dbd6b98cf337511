"""The real ``ray`` client against our gateway; a played agent stands in for a site's cluster."""

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from api_agent import PlayedAgent
from api_client import site_body
from api_server import PATIENCE_S, RunningCentre, running_centre
from sqlalchemy import Engine

RAY = str(Path(sys.executable).with_name("ray"))
LOG = "".join(f"step {number}\n" for number in range(25))


@pytest.fixture
def centre(sqlite_engine: Engine) -> Iterator[RunningCentre]:
    """A centre with one funded tenant and one open site."""
    with running_centre(sqlite_engine) as running:
        running.key("haiyun")
        with httpx.Client(
            base_url=running.url,
            headers={"Authorization": f"Bearer {running.admin}"},
            timeout=PATIENCE_S,
        ) as admin:
            cash = {"tenant_id": "haiyun", "amount_fen": 10_000, "key": "first"}
            assert admin.post("/v1/cash", json=cash).status_code == 201
            assert admin.post("/v1/sites", json=site_body()).status_code == 201
        yield running


@pytest.fixture
def agent(centre: RunningCentre) -> Iterator[PlayedAgent]:
    """The site's agent, which has greeted."""
    headers = {"Authorization": f"Bearer {centre.admin}"}
    answer = httpx.post(f"{centre.url}/v1/sites/east/token", headers=headers, timeout=PATIENCE_S)
    played = PlayedAgent(centre.url, answer.json()["secret"], centre.clock)
    played.hello()
    yield played
    played.close()


def environment(key: str) -> dict[str, str]:
    """Return the environment of a researcher with a key."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return kept | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": key, "NO_COLOR": "1"}


def ray(centre: RunningCentre, key: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run ``ray job …`` against the centre."""
    command, *rest = words
    return subprocess.run(
        [RAY, "job", command, "--address", centre.url, *rest],
        env=environment(key),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_the_stock_client_submits_with_a_working_dir_and_follows_to_the_end(
    centre: RunningCentre, agent: PlayedAgent, tmp_path: Path
) -> None:
    (tmp_path / "train.py").write_text("print('hello')\n")
    packages: list[bytes] = []

    def play() -> None:
        order = agent.next_start()
        packages.extend(agent.fetch(digest) for digest in order["packages"].values())
        assert [hashlib.sha256(one).hexdigest() for one in packages] == list(
            order["packages"].values()
        )
        agent.run(order, [LOG[:40], LOG[40:]])

    player = threading.Thread(target=play)
    player.start()
    key = centre.key("haiyun")
    done = ray(
        centre, key, "submit", "--working-dir", str(tmp_path), "--submission-id", "follow-me",
        "--metadata-json", '{"units": "2", "max_minutes": "10"}', "--", "python", "train.py",
    )  # fmt: skip
    player.join(30)
    assert done.returncode == 0, done.stdout + done.stderr
    assert LOG in done.stdout
    assert "Job 'follow-me' succeeded" in done.stdout + done.stderr
    assert len(packages) == 1
    assert b"train.py" in packages[0]


def test_the_stock_client_sees_a_job_wait_and_stops_it(centre: RunningCentre) -> None:
    key = centre.key("haiyun")
    submitted = ray(
        centre, key, "submit", "--no-wait", "--submission-id", "waiting-1", "--", "sleep", "60"
    )
    assert submitted.returncode == 0, submitted.stdout + submitted.stderr
    status = ray(centre, key, "status", "waiting-1")
    assert "PENDING" in status.stdout + status.stderr
    assert "waiting:" in status.stdout + status.stderr
    listed = ray(centre, key, "list")
    assert "waiting-1" in listed.stdout
    stopped = ray(centre, key, "stop", "waiting-1")
    assert stopped.returncode == 0
    assert "was stopped" in stopped.stdout + stopped.stderr
    deleted = ray(centre, key, "delete", "waiting-1")
    assert "deleted successfully" in deleted.stdout + deleted.stderr
    gone = ray(centre, key, "status", "waiting-1")
    assert gone.returncode != 0
    assert "does not exist" in gone.stderr


def test_a_failed_job_gives_the_client_exit_code_1(
    centre: RunningCentre, agent: PlayedAgent
) -> None:
    def play() -> None:
        agent.run(agent.next_start(), ["boom\n"], state="failed", code=3)

    player = threading.Thread(target=play)
    player.start()
    done = ray(centre, centre.key("haiyun"), "submit", "--submission-id", "bad", "--", "false")
    player.join(30)
    assert done.returncode == 1
    assert "boom" in done.stdout
    logs = ray(centre, centre.key("haiyun"), "logs", "bad")
    assert "boom" in logs.stdout
    again = ray(centre, centre.key("haiyun"), "logs", "-f", "bad")
    assert "boom" in again.stdout


def test_a_refusal_reaches_the_user_with_both_amounts(
    centre: RunningCentre, agent: PlayedAgent
) -> None:
    done = ray(
        centre, centre.key("haiyun"), "submit", "--no-wait", "--metadata-json",
        '{"units": "8", "max_minutes": "44000"}', "--", "python", "train.py",
    )  # fmt: skip
    assert done.returncode != 0
    assert "status code 402" in done.stderr
    assert "100.00" in done.stderr


def test_a_wrong_key_is_told_so(centre: RunningCentre) -> None:
    done = ray(centre, "swk_wrong", "list")
    assert done.returncode != 0
    assert "unknown or revoked" in done.stderr or "uthentication" in done.stderr


SDK = """
import asyncio, json, sys
from ray.job_submission import JobSubmissionClient
client = JobSubmissionClient(sys.argv[1])
job = client.submit_job(
    entrypoint="python x.py", submission_id="sdk-1", metadata={"units": "1", "mine": "yes"},
    runtime_env={"env_vars": {"TOKEN": "s3cret"}}, entrypoint_num_cpus=1, entrypoint_memory=1000,
)
info = client.get_job_info(job)
print(json.dumps({
    "job": job, "status": str(info.status), "message": info.message, "env": info.runtime_env,
    "metadata": info.metadata, "listed": [one.submission_id for one in client.list_jobs()],
    "logs": client.get_job_logs(job), "stopped": client.stop_job(job),
    "after": str(client.get_job_status(job)), "again": client.stop_job(job),
    "version": client.get_version(), "deleted": client.delete_job(job),
}))
"""


def test_the_python_client_sees_rays_own_shapes(centre: RunningCentre) -> None:
    import json

    done = subprocess.run(
        [sys.executable, "-c", SDK, centre.url],
        env=environment(centre.key("haiyun")),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.strip().splitlines()[-1])
    assert seen["job"] == "sdk-1"
    assert seen["status"] == "PENDING"
    assert seen["message"].startswith("waiting: ")
    assert seen["env"] == {"env_vars": {"TOKEN": "s3cret"}}
    assert seen["metadata"] == {"units": "1", "mine": "yes"}
    assert seen["listed"] == ["sdk-1"]
    assert (seen["stopped"], seen["after"], seen["again"]) == (True, "STOPPED", False)
    assert (seen["logs"], seen["version"], seen["deleted"]) == ("", "4", True)
