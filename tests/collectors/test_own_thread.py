"""The thread of a source that may hang: one call at a time, and a last one behind it."""

import asyncio
import threading
from pathlib import Path
from typing import BinaryIO

import pytest

from collectors import own_thread
from collectors.own_thread import OwnThread
from collectors.sources.port import SourceError


async def test_what_a_call_gives_or_raises_is_handed_on() -> None:
    thread = OwnThread("t", "t still hangs")
    assert await thread.run(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await thread.run(lambda: 1 // 0)
    await thread.close(lambda: None)


async def test_while_a_call_hangs_the_next_says_so() -> None:
    thread, go_on = OwnThread("t", "t still hangs"), threading.Event()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(thread.run(go_on.wait), 0.02)
    with pytest.raises(SourceError, match="t still hangs"):
        await thread.run(lambda: 7)
    go_on.set()
    await thread.close(lambda: None)


async def test_what_a_call_opened_while_it_was_given_up_is_closed(tmp_path: Path) -> None:
    thread, go_on = OwnThread("t", "t still hangs"), threading.Event()
    path = tmp_path / "file"
    path.touch()
    opened: list[BinaryIO] = []

    def opens() -> None:
        go_on.wait()
        opened.append(path.open("rb"))

    poll = asyncio.create_task(thread.run(opens))
    await asyncio.sleep(0)
    poll.cancel()
    asyncio.get_running_loop().call_later(0.05, go_on.set)
    await thread.close(lambda: opened[0].close())
    assert opened[0].closed


async def test_closing_does_not_wait_long_and_the_last_call_still_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(own_thread, "CLOSE_S", 0.02)
    thread, go_on, closed = OwnThread("t", "t still hangs"), threading.Event(), threading.Event()
    poll = asyncio.create_task(thread.run(go_on.wait))
    await asyncio.sleep(0)
    poll.cancel()
    await thread.close(closed.set)
    assert not closed.is_set()
    go_on.set()
    assert await asyncio.to_thread(closed.wait, 10)


async def test_a_last_call_that_fails_says_so_and_a_second_close_does_nothing() -> None:
    thread = OwnThread("t", "t still hangs")
    await thread.run(lambda: None)
    with pytest.raises(ZeroDivisionError):
        await thread.close(lambda: 1 // 0)
    await thread.close(lambda: 1 // 0)
