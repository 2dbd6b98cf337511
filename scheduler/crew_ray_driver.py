"""What runs in the child that uses Ray: it joins a cluster and hands calls on to its actors.

The only module of the centre that knows Ray.
"""

import contextlib
from collections.abc import Sequence
from typing import Any, Final

import ray
from ray.exceptions import GetTimeoutError, RayError

import optimizer
import scheduler
import suanwang
from optimizer.crew import CrewLost
from optimizer.deadline import Deadline
from scheduler.crew_remote import Call
from scheduler.crew_worker import Keeper

LOCAL: Final = "local"
"""Start a Ray cluster of its own on this machine, with one processor a worker."""
_WORDS_MAX: Final = 300

_ACTORS: Final[list[Any]] = []
"""The actors of this process, a worker each; Ray has no types for them."""


def join(address: str, count: int, time_s: float) -> None:
    """Join a cluster and start the actors; raise CrewLost."""
    deadline = Deadline(time_s)
    while True:
        try:
            _init(address, count)
            break
        except Exception as failure:  # noqa: BLE001 - Ray raises plain ones, too
            with contextlib.suppress(Exception):
                ray.shutdown()
            # Ray gives a node 30 s to start; a busy machine may need a second try.
            if address != LOCAL or deadline.left_s() < time_s / 2:
                raise CrewLost(f"Ray at {address}: {failure}"[:_WORDS_MAX]) from None
    actor: Any = ray.remote(num_cpus=1, max_restarts=0)(Keeper)
    _ACTORS[:] = [actor.remote() for _ in range(count)]
    drive([Call(worker, "versions") for worker in range(count)], deadline.left_s())


def drive(calls: Sequence[Call], time_s: float) -> list[object]:
    """Make the calls side by side; raise CrewLost where an actor is gone or silent."""
    there: dict[int, Any] = {}
    for call in calls:
        for item in call.given:
            if not isinstance(item, int) and not callable(item) and id(item) not in there:
                there[id(item)] = ray.put(item)
    try:
        answers = [
            getattr(_ACTORS[call.worker], call.method).remote(
                *(there.get(id(item), item) for item in call.given)
            )
            for call in calls
        ]
        found: list[object] = ray.get(answers, timeout=max(0.001, time_s))
    except GetTimeoutError:
        raise CrewLost(f"a Ray worker was silent for {time_s:.1f} s") from None
    except RayError as failure:
        words = " ".join(str(failure).split())
        raise CrewLost(f"{type(failure).__name__}: {words}"[:_WORDS_MAX]) from None
    return found


def leave() -> None:
    """End the actors, and the cluster where it is our own."""
    for actor in _ACTORS:
        ray.kill(actor)
    _ACTORS.clear()
    ray.shutdown()


def _init(address: str, count: int) -> None:
    if address == LOCAL:
        own: dict[str, Any] = {"num_cpus": count, "include_dashboard": False}
    else:
        own = {"runtime_env": {"py_modules": [optimizer, scheduler, suanwang]}}
    ray.init(address=address, log_to_driver=False, configure_logging=False, **own)
