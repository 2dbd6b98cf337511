"""Work on a thread of its own begins once, and ends when it is told to."""

import threading

from suanwang.background import Background, every

_PATIENCE_S = 10.0


def test_it_runs_until_it_is_told_to_stop() -> None:
    seen = threading.Event()
    background = Background("looker", every(0.001, seen.set))
    background.start()
    assert seen.wait(_PATIENCE_S)
    background.stop()
    assert "looker" not in {thread.name for thread in threading.enumerate()}


def test_starting_twice_makes_one_thread() -> None:
    begun: list[int] = []
    started = threading.Event()

    def run(stopping: threading.Event) -> None:
        begun.append(1)
        started.set()
        stopping.wait(_PATIENCE_S)

    background = Background("once", run)
    background.start()
    background.start()
    assert started.wait(_PATIENCE_S)
    background.stop()
    assert begun == [1]


def test_work_that_waits_for_something_else_is_woken() -> None:
    woken = threading.Event()

    def run(stopping: threading.Event) -> None:
        woken.wait()

    background = Background("sleeper", run, wake=woken.set)
    background.start()
    background.stop()
    assert "sleeper" not in {thread.name for thread in threading.enumerate()}
