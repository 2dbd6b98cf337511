"""What Ray says, read into a status; and what packages are called."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.executors.port import ExecutorError, RunState
from agent.executors.ray_packages import Package, content_name, name_packages, rewrite
from agent.executors.ray_status import Seen, Window, read_status, supervisor_window

SEEN_AT = datetime(2026, 10, 14, 0, 0, 5, tzinfo=UTC)
BEGAN = datetime(2026, 10, 14, 0, 0, 10, tzinfo=UTC)
ENDED = datetime(2026, 10, 14, 0, 0, 30, tzinfo=UTC)
LIFE = Window(started_at=BEGAN, ended_at=ENDED)
DIGEST = "ab" * 32


@pytest.mark.parametrize(
    ("error_type", "message", "is_infrastructure"),
    [
        pytest.param("JOB_ENTRYPOINT_COMMAND_ERROR", "exit code 1", False, id="the program"),
        pytest.param("JOB_SUPERVISOR_ACTOR_DIED", "worker died", True, id="the supervisor"),
        pytest.param("JOB_SUPERVISOR_ACTOR_START_TIMEOUT", "900 s", True, id="no room"),
        pytest.param("RUNTIME_ENV_SETUP_FAILURE", "no such wheel", False, id="bad requirement"),
        pytest.param(
            "RUNTIME_ENV_SETUP_FAILURE",
            "Failed to download runtime_env file package gcs://_ray_pkg_1.zip",
            True,
            id="package lost",
        ),
    ],
)
def test_a_failure_is_blamed_on_who_caused_it(
    error_type: str, message: str, is_infrastructure: bool
) -> None:
    details = {"status": "FAILED", "error_type": error_type, "message": message}
    status = read_status("a", details, LIFE, Seen())
    assert status.state is RunState.FAILED
    assert status.is_infrastructure is is_infrastructure


def test_the_window_is_the_supervisors_life_and_never_rays_start_time() -> None:
    details = {"status": "SUCCEEDED", "start_time": 1, "end_time": 2, "driver_exit_code": 0}
    status = read_status("a", details, LIFE, Seen(running_at=SEEN_AT))
    assert (status.started_at, status.ended_at) == (BEGAN, ENDED)
    assert status.window_source == "supervisor"


def test_our_own_first_sight_bounds_a_run_whose_supervisor_is_forgotten() -> None:
    end_ms = int(ENDED.timestamp() * 1_000)
    details = {"status": "SUCCEEDED", "start_time": 1, "end_time": end_ms}
    status = read_status("a", details, Window(), Seen(running_at=SEEN_AT))
    assert (status.started_at, status.ended_at) == (SEEN_AT, ENDED)
    assert status.window_source == "poll"


def test_a_run_that_was_stopped_while_it_waited_never_ran() -> None:
    details = {"status": "FAILED", "error_type": "JOB_SUPERVISOR_ACTOR_DIED", "end_time": 5}
    status = read_status("a", details, Window(), Seen(is_stopped_by_us=True))
    assert status.state is RunState.STOPPED
    assert not status.is_infrastructure
    assert status.ended_at is None


def test_a_pending_supervisor_has_no_window() -> None:
    assert supervisor_window({"startTime": 0, "endTime": 0}) == Window()
    assert supervisor_window(None) == Window()


def test_a_state_that_is_not_known_is_an_error() -> None:
    with pytest.raises(ExecutorError, match="PAUSED"):
        read_status("a", {"status": "PAUSED"}, Window(), Seen())


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("gcs://_ray_pkg_0123.zip", f"_ray_pkg_{DIGEST[:40]}.zip"),
        ("gcs://code.tar.gz", f"_ray_pkg_{DIGEST[:40]}.tar.gz"),
        ("gcs://_ray_pkg_0123", f"_ray_pkg_{DIGEST[:40]}.zip"),
        ("gcs://tool-1.0-py3-none-any.whl", f"tool-1.0-0{DIGEST[:32]}-py3-none-any.whl"),
        ("gcs://tool-1.0-7-py3-none-any.whl", f"tool-1.0-0{DIGEST[:32]}-py3-none-any.whl"),
    ],
)
def test_a_package_is_named_after_its_bytes(uri: str, name: str) -> None:
    assert content_name(uri, DIGEST) == name


def test_two_packages_with_one_claimed_name_stay_apart(tmp_path: Path) -> None:
    for name in ("mine", "yours"):
        (tmp_path / name).write_bytes(name.encode())
    mine = name_packages({"gcs://same.zip": tmp_path / "mine"})["gcs://same.zip"]
    yours = name_packages({"gcs://same.zip": tmp_path / "yours"})["gcs://same.zip"]
    assert mine.uri != yours.uri


def test_a_runtime_environment_keeps_what_is_not_ours() -> None:
    package = Package("_ray_pkg_x.zip", Path("x"))
    env = rewrite(
        {
            "working_dir": "gcs://a.zip",
            "py_modules": ["gcs://a.zip", "https://example.com/b.zip"],
            "pip": ["numpy"],
            "env_vars": {"A": "1", "SUANWANG_ATTEMPT": "forged"},
        },
        {"gcs://a.zip": package},
        {"SUANWANG_ATTEMPT": "train-a1"},
    )
    assert env == {
        "working_dir": "gcs://_ray_pkg_x.zip",
        "py_modules": ["gcs://_ray_pkg_x.zip", "https://example.com/b.zip"],
        "pip": ["numpy"],
        "env_vars": {"A": "1", "SUANWANG_ATTEMPT": "train-a1"},
    }
