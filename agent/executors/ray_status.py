"""What Ray says about a job, read into a run's status: pure.

Never trust ``start_time``: it is the moment of submission. The window of execution is the life of
the job's supervisor actor; where Ray no longer knows it, our own polls bound it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agent.executors.port import ExecutorError, RunState, RunStatus
from suanwang.clock import from_epoch_ms

SUPERVISOR: Final = "_ray_internal_job_actor_"

_STATES: Final = {
    "PENDING": RunState.PENDING,
    "RUNNING": RunState.RUNNING,
    "STOPPED": RunState.STOPPED,
    "SUCCEEDED": RunState.SUCCEEDED,
    "FAILED": RunState.FAILED,
}
_INFRASTRUCTURE: Final = frozenset(
    {
        "JOB_SUPERVISOR_ACTOR_START_TIMEOUT",
        "JOB_SUPERVISOR_ACTOR_START_FAILURE",
        "JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE",
        "JOB_SUPERVISOR_ACTOR_UNKNOWN_FAILURE",
        "JOB_SUPERVISOR_ACTOR_DIED",
        "JOB_ENTRYPOINT_COMMAND_START_ERROR",
    }
)
_PACKAGE_LOST: Final = re.compile(
    r"gcs://\S+.*(Failed to download|not found)|Failed to download.*gcs://", re.S
)
_MESSAGE_CHARS: Final = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """When the supervisor lived; None is not known (yet)."""

    started_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What we know ourselves: our first sight of it running, and whether we stopped it."""

    running_at: datetime | None = None
    is_stopped_by_us: bool = False


def _moment(value: object) -> datetime | None:
    return from_epoch_ms(int(value)) if isinstance(value, int | float) and value > 0 else None


def supervisor_window(actor: Mapping[str, object] | None) -> Window:
    """Return the window of a supervisor as ``/logical/actors`` shows it."""
    if actor is None:
        return Window()
    return Window(
        started_at=_moment(actor.get("startTime")), ended_at=_moment(actor.get("endTime"))
    )


def is_infrastructure(error_type: str, message: str) -> bool:
    """Whether a failure is not the program's own.

    A runtime environment that cannot be built is the user's, unless Ray lost the uploaded package.
    """
    if error_type == "RUNTIME_ENV_SETUP_FAILURE":
        return _PACKAGE_LOST.search(message) is not None
    return error_type in _INFRASTRUCTURE


def read_status(
    run_id: str, details: Mapping[str, object], window: Window, seen: Seen
) -> RunStatus:
    """Return the status of a run; raise ExecutorError for a state that Ray did not have before."""
    state = _STATES.get(str(details.get("status")))
    if state is None:
        raise ExecutorError(f"Ray reports an unknown state of {run_id}: {details.get('status')}")
    message = str(details.get("message") or "")
    error_type = str(details.get("error_type") or "")
    exit_code = details.get("driver_exit_code")
    blamed = state is RunState.FAILED and is_infrastructure(error_type, message)
    has_started = window.started_at is not None or seen.running_at is not None
    if blamed and seen.is_stopped_by_us and not has_started:
        state, blamed, message = RunState.STOPPED, False, "stopped before it started"
    started_at = window.started_at or seen.running_at
    ended_at = window.ended_at or _moment(details.get("end_time"))
    has_run = started_at is not None and state is not RunState.PENDING
    return RunStatus(
        id=run_id,
        state=state,
        message=message[-_MESSAGE_CHARS:],
        exit_code=int(exit_code) if isinstance(exit_code, int) else None,
        started_at=started_at if has_run else None,
        ended_at=ended_at if has_run and state.is_final else None,
        window_source="supervisor" if window.started_at is not None else "poll",
        is_infrastructure=blamed,
    )
