"""What the agent asks of its own process."""

import gc
import logging
import resource
from collections.abc import Iterator

import pytest

from agent.process import FILES_BESIDES, YOUNG_OBJECTS, allow_files, settle_memory


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


def test_what_lives_is_passed_over_and_what_died_since_is_given_back(garbage: None) -> None:
    class Thing:
        """Something that can be seen to be gone."""

    settle_memory()
    assert gc.get_threshold()[0] == YOUNG_OBJECTS
    assert gc.get_freeze_count() > 10_000
    loop: list[object] = [Thing()]
    loop.append(loop)
    gc.freeze()
    del loop
    gc.collect()
    assert any(isinstance(each, Thing) for each in gc.get_objects()) is False
    settle_memory()
    assert not any(type(each).__name__ == "Thing" for each in gc.get_objects())
