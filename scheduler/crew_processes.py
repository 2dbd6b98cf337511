"""Workers that are processes of this machine: for a centre with many cores and no Ray cluster."""

from collections.abc import Callable, Sequence
from typing import Final

from optimizer.deadline import Deadline
from scheduler.crew_child import Child
from scheduler.crew_remote import Call, Workers
from scheduler.crew_worker import Keeper

_KEEPER: Final = Keeper()
"""The keeper of the process that this module is loaded in."""


class ProcessWorkers(Workers):
    """One process for each worker."""

    def __init__(self, count: int) -> None:
        self._children = [Child(f"process {number}") for number in range(count)]

    def do(self, calls: Sequence[Call], time_s: float) -> list[object]:
        """Make the calls side by side."""
        deadline = Deadline(time_s)
        begun = [self._children[call.worker].begin(_call, call) for call in calls]
        return [
            self._children[call.worker].end(one, deadline.left_s())
            for call, one in zip(calls, begun, strict=True)
        ]

    def dismiss(self) -> None:
        """End the processes."""
        for child in self._children:
            child.dismiss()


def hire_processes(count: int, _time_s: float) -> Workers:
    """Start so many processes."""
    return ProcessWorkers(count)


def _call(call: Call) -> object:
    run: Callable[..., object] = getattr(_KEEPER, call.method)
    return run(*call.given)
