"""The fence, on real processes that do not want to die."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent import fence
from suanwang.clock import SystemClock, VirtualClock

_STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        time.sleep(300)
    os._exit(0)
subprocess.Popen(["sleep", "300"], env={})
print("ready", flush=True)
time.sleep(300)
"""


def until(is_so: Callable[[], bool]) -> None:
    """Wait for a process to get somewhere."""
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)  # noqa: TID251 - a real process needs real time


@pytest.fixture
def run_id(tmp_path: Path) -> Iterator[str]:
    """The id of a run whose processes are swept away afterwards."""
    name = f"fence-test-{os.getpid()}-{tmp_path.name}"
    yield name
    for process in fence.scan(fence.marker(name)).marked:
        os.kill(process.pid, 9)


def start(run_id: str, code: str) -> "subprocess.Popen[str]":
    """Start Python code under a run's marker; it prints a line when it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, fence.MARKER_NAME: run_id},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


async def test_processes_that_ignore_signals_and_daemons_die(run_id: str) -> None:
    process = start(run_id, _STUBBORN)
    until(lambda: len(fence.scan(fence.marker(run_id)).marked) == 3)
    pids = [one.pid for one in fence.scan(fence.marker(run_id)).marked]
    sweep = await fence.sweep(fence.marker(run_id), SystemClock(), settle_s=0.3)
    assert sweep.is_proven
    assert sweep.killed == 3
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


_RESTARTER = """
import os, subprocess, sys
while True:
    subprocess.run(["sleep", "300"], env={**os.environ, sys.argv[1]: sys.argv[2]})
"""


@pytest.fixture
def restarter(run_id: str) -> Iterator[None]:
    """Something without a marker that starts a marked process as often as one dies."""
    command = [sys.executable, "-c", _RESTARTER, fence.MARKER_NAME, run_id]
    process = subprocess.Popen(command)
    until(lambda: bool(fence.scan(fence.marker(run_id)).marked))
    yield
    process.kill()
    process.wait()


@pytest.mark.usefixtures("restarter")
async def test_a_run_that_something_restarts_is_not_proven_dead(run_id: str) -> None:
    sweep = await fence.sweep(fence.marker(run_id), SystemClock(), settle_s=1.0, deadline_s=2.0)
    assert not sweep.is_proven
    assert sweep.killed >= 2


async def test_an_empty_scan_is_proof_at_once(clock: VirtualClock) -> None:
    began = clock.monotonic()
    sweep = await fence.sweep(fence.marker("nobody-has-this-id"), clock)
    assert sweep.is_proven
    assert sweep.killed == 0
    assert clock.monotonic() == began


def test_a_marker_that_only_begins_alike_is_another_run(run_id: str) -> None:
    process = start(f"{run_id}0", "print('ready', flush=True); import time; time.sleep(300)")
    assert fence.scan(fence.marker(run_id)).is_clean
    process.kill()
    process.communicate()


def test_a_later_process_with_the_same_pid_is_left_alone(run_id: str) -> None:
    process = start(run_id, "print('ready', flush=True); import time; time.sleep(300)")
    (found,) = fence.scan(fence.marker(run_id)).marked
    earlier = fence.Process(found.pid, found.started_ticks - 1)
    assert not fence.send(earlier, signal.SIGKILL)
    assert process.poll() is None
    assert fence.send(found, signal.SIGKILL)
    process.communicate()


def _fake_process(proc: Path, pid: int, uid: int, parent: int = 1) -> None:
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "stat").write_text(f"{pid} (a b) c) S {parent} " + "0 " * 17 + f"{pid} 0 0\n")
    (folder / "status").write_text(f"Name:\tx\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n")


def test_an_environment_that_cannot_be_read_prevents_the_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fake_process(tmp_path, 4_000_001, os.geteuid())
    _fake_process(tmp_path, 4_000_002, os.geteuid() + 1)
    real = Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        if path.name == "environ":
            raise PermissionError(path)
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    scan = fence.scan("X=1", proc=tmp_path)
    assert scan.unreadable == (4_000_001,)
    assert not scan.is_clean
