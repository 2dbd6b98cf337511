"""Work for crews, in a module that their workers can import, and crews that are there."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from optimizer.crew import Crew, InProcess
from scheduler.crew_processes import hire_processes
from scheduler.crew_ray import hire_in
from scheduler.crew_remote import RemoteCrew

WORKERS: Final = 2
KINDS: Final = ("one", "three", "processes", "ray")


@contextmanager
def running_crew(kind: str) -> Iterator[Crew]:
    """Run a crew of a kind; its workers end with the block."""
    if kind == "one":
        yield InProcess()
    elif kind == "three":
        yield InProcess(3)
    else:
        with running_remote(kind) as crew:
            yield crew


@contextmanager
def running_remote(kind: str) -> Iterator[RemoteCrew]:
    """Run a crew of ``processes`` or of a local ``ray``."""
    hire = hire_in("local") if kind == "ray" else hire_processes
    crew = RemoteCrew(f"{WORKERS} of {kind}", WORKERS, hire)
    with pytest.MonkeyPatch.context() as patch:
        # Ray's workers look for this module where their environment says.
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        try:
            crew.open()
            yield crew
        finally:
            crew.close()


def end_worker(crew: RemoteCrew, how: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to the process of one worker."""
    pid = crew.call_all("pid")[-1]
    assert isinstance(pid, int)
    assert pid != os.getpid()
    os.kill(pid, how)


def add(part: int, item: int) -> int:
    """Return the sum."""
    return part + item


def remember(part: list[int], item: int) -> list[int]:
    """Return all items that the part was asked about."""
    part.append(item)
    return list(part)


def divide(part: int, item: int) -> float:
    """Return the quotient."""
    return part / item


def die_elsewhere(part: int, pid: int) -> int:
    """Return the part in the process ``pid``; kill any other that asks."""
    if os.getpid() != pid:
        os.kill(os.getpid(), signal.SIGKILL)
    return part
