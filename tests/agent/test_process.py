"""What the agent asks of its own process."""

import asyncio
import gc
import logging
import resource
import weakref
from collections.abc import Iterator

import pytest

from agent.process import (
    FILES_BESIDES,
    SETTLE_AT_S,
    YOUNG_OBJECTS,
    allow_files,
    settle_later,
    settle_memory,
    settle_newer,
)


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    """Give the limits of open files back as they were."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture
def garbage() -> Iterator[None]:
    """Give the collector of garbage back as it was."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_a_low_limit_of_open_files_is_raised_as_far_as_it_may_be(
    limits: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    _, hard = limits
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    assert allow_files(1_000) == 1_000 + FILES_BESIDES
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        allowed = allow_files(10**9)
    assert allowed == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert "too few open files" in caplog.text


def test_what_lives_is_passed_over_and_what_died_young_is_not_kept(garbage: None) -> None:
    class Thing:
        """Something that can be seen to be gone."""

    settle_memory()
    assert gc.get_threshold()[0] == YOUNG_OBJECTS
    before = gc.get_freeze_count()
    assert before > 10_000
    kept = [Thing() for _ in range(100)]
    loop: list[object] = [Thing()]
    loop.append(loop)
    gone = weakref.ref(loop[0])
    del loop
    settle_newer()
    assert gone() is None
    assert gc.get_freeze_count() >= before + len(kept)


async def test_what_is_made_in_the_first_minutes_is_settled_soon_and_often(garbage: None) -> None:
    settling = settle_later(asyncio.get_running_loop())
    assert len(settling) == len(SETTLE_AT_S)
    for each in settling:
        each.cancel()
