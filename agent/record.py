"""What a site knows of an attempt, and what it must do about it next: pure.

``advise(record, now, rules)`` decides, ``observe`` and its neighbours write down what came of it;
``agent.runner`` does what was decided. Nothing here calls, waits or reads a clock.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal

from agent.executors.port import RunState, RunStatus
from suanwang.clock import to_epoch_ms
from suanwang.wire.agent import (
    AttemptReport,
    ExtendOrder,
    FenceOrder,
    NoteOrder,
    Order,
    StartOrder,
    StopOrder,
)

SKEW_S_MIN: Final = 1.0
"""Clocks closer than this are taken as equal: a greeting cannot measure better."""

NOTE: Final = "\n[suanwang: {words}]\n"
"""A line of the centre's in the output of a job."""

WindowSource = Literal["supervisor", "poll", "lease"]
ReportState = Literal[
    "submitting", "starting", "running", "succeeded", "failed", "stopped", "unknown", "fenced"
]


class LocalState(StrEnum):
    """``intent → submitting → starting → running → succeeded | failed | stopped``, and ``unknown``
    (nothing is known; it may live) and ``fenced`` (every process is proven dead).
    """

    INTENT = "intent"
    SUBMITTING = "submitting"
    STARTING = "starting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    UNKNOWN = "unknown"
    FENCED = "fenced"

    @property
    def is_final(self) -> bool:
        """Whether nothing of the attempt lives any more."""
        return self in _FINAL


_FINAL = frozenset({LocalState.SUCCEEDED, LocalState.FAILED, LocalState.STOPPED, LocalState.FENCED})
_ENDS = {
    RunState.SUCCEEDED: LocalState.SUCCEEDED,
    RunState.FAILED: LocalState.FAILED,
    RunState.STOPPED: LocalState.STOPPED,
}


class Wish(StrEnum):
    """What the attempt shall do; it only ever moves downwards in this list."""

    RUN = "run"
    STOP = "stop"
    FENCE = "fence"


class Step(StrEnum):
    """What to do next for one attempt."""

    NOTHING = "nothing"
    SUBMIT = "submit"
    POLL = "poll"
    STOP = "stop"
    FENCE = "fence"
    GIVE_UP = "give-up"
    ARCHIVE = "archive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Named limits of the runner, in seconds. ``skew_s`` is the centre's clock minus ours."""

    unknown_after_s: float = 30.0
    fence_after_s: float = 60.0
    fence_every_s: float = 30.0
    stop_every_s: float = 5.0
    stop_patience_s: float = 30.0
    submit_patience_s: float = 120.0
    skew_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One attempt as the site has it on disk. ``order`` is None where only its end was ordered.

    ``session`` is the executor's session that took the run, empty until it did. ``log_read`` counts
    the characters of its output that are on disk here; ``notes_chars`` of them are lines of the
    centre's, from the orders in ``notes``. ``seq`` is that of the last report.
    """

    attempt_id: str
    executor_id: str
    accepted_at: datetime
    order: StartOrder | None = None
    state: LocalState = LocalState.INTENT
    wish: Wish = Wish.RUN
    reason: str = ""
    session: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    window_source: WindowSource = "poll"
    exit_code: int | None = None
    is_infrastructure: bool = False
    message: str = ""
    seq: int = 0
    log_read: int = 0
    notes: tuple[str, ...] = ()
    notes_chars: int = 0
    silent_since: datetime | None = None
    submitting_since: datetime | None = None
    submitted_at: datetime | None = None
    stopping_since: datetime | None = None
    stop_sent_at: datetime | None = None
    fence_tried_at: datetime | None = None
    is_archived: bool = False

    @property
    def stop_grace_s(self) -> int:
        """Seconds that the run has to end after it was asked to."""
        return self.order.stop_grace_s if self.order is not None else 3


def _is_due(since: datetime | None, pause_s: float, now: datetime) -> bool:
    return since is None or (now - since).total_seconds() >= pause_s


def overdue(record: Record, now: datetime, rules: Rules) -> str:
    """Return why the attempt may no longer run, empty where it may."""
    order = record.order
    if order is None or record.state.is_final:
        return ""
    if record.started_at is not None:
        ran_s = (now - record.started_at).total_seconds()
        if ran_s >= order.run_s_max:
            return f"stopped after {order.run_s_max} s, all that was granted"
    lease_end = order.lease_expires_at - timedelta(seconds=rules.skew_s)
    if now >= lease_end:
        return f"its lease ended at {order.lease_expires_at.isoformat()}"
    return ""


def advise(record: Record, now: datetime, rules: Rules) -> Step:
    """Return what to do next for an attempt."""
    if record.state.is_final:
        return Step.NOTHING if record.is_archived else Step.ARCHIVE
    if record.wish is Wish.FENCE or _must_fence(record, now, rules):
        is_due = _is_due(record.fence_tried_at, rules.fence_every_s, now)
        return Step.FENCE if is_due else Step.NOTHING
    if record.state in (LocalState.INTENT, LocalState.SUBMITTING):
        return _advise_unsubmitted(record, now, rules)
    if record.wish is Wish.STOP and _is_due(record.stop_sent_at, rules.stop_every_s, now):
        return Step.STOP
    return Step.POLL


def _advise_unsubmitted(record: Record, now: datetime, rules: Rules) -> Step:
    is_untouched = record.state is LocalState.INTENT and record.order is not None
    tried_since = record.submitting_since
    is_hopeless = tried_since is not None and _is_due(tried_since, rules.submit_patience_s, now)
    if record.wish is Wish.STOP or is_hopeless or record.order is None:
        return Step.GIVE_UP if is_untouched else Step.FENCE
    return Step.SUBMIT


def _must_fence(record: Record, now: datetime, rules: Rules) -> bool:
    """Whether gentle ways are used up: a stop was not heard, or the executor is long silent."""
    if record.stopping_since is not None:
        patience_s = record.stop_grace_s + rules.stop_patience_s
        if _is_due(record.stopping_since, patience_s, now):
            return True
    return record.silent_since is not None and _is_due(
        record.silent_since, rules.unknown_after_s + rules.fence_after_s, now
    )


def accept(record: Record | None, order: Order, now: datetime) -> Record:
    """Return the record after an order. Orders may come twice and in any order."""
    if record is None:
        record = Record(attempt_id=order.attempt_id, executor_id=order.executor_id, accepted_at=now)
    if isinstance(order, StartOrder):
        is_longer = record.order is None or order.lease_expires_at > record.order.lease_expires_at
        return replace(record, order=order) if is_longer else record
    if record.state.is_final:
        return record
    match order:
        case FenceOrder():
            return replace(record, wish=Wish.FENCE, fence_tried_at=None)
        case StopOrder():
            return want_stop(record, order.reason or "stopped by the centre")
        case ExtendOrder():
            return _extended(record, order)
        case NoteOrder():
            return record


def _extended(record: Record, order: ExtendOrder) -> Record:
    """Let it run longer, unless it is being stopped already; limits never shrink."""
    start = record.order
    if start is None or record.wish is not Wish.RUN:
        return record
    limits = {
        "run_s_max": max(start.run_s_max, order.run_s_max),
        "lease_expires_at": max(start.lease_expires_at, order.lease_expires_at),
    }
    return replace(record, order=start.model_copy(update=limits))


def is_late(record: Record | None, order: ExtendOrder) -> bool:
    """Whether an extension that was taken has no effect: the attempt ends at its old limit."""
    return record is None or record.order is None or record.order.run_s_max < order.run_s_max


def with_note(record: Record, order: ExtendOrder | NoteOrder) -> tuple[Record, str]:
    """Return the record after a line of the centre's joined its output, and the line.

    There is no line where it is there already, or where the output has ended.
    """
    if not order.note or order.id in record.notes or record.state.is_final:
        return record, ""
    line = NOTE.format(words=order.note)
    noted = replace(
        record,
        notes=(*record.notes, order.id),
        notes_chars=record.notes_chars + len(line),
        log_read=record.log_read + len(line),
    )
    return noted, line


def want_stop(record: Record, reason: str) -> Record:
    """Return the record of an attempt that shall end; a fence already asked for stays."""
    if record.wish is not Wish.RUN or record.state.is_final:
        return record
    return replace(record, wish=Wish.STOP, reason=reason)


def observe(record: Record, status: RunStatus) -> Record:
    """Return the record after the executor answered."""
    seen = replace(
        record,
        silent_since=None,
        submitting_since=None,
        started_at=status.started_at or record.started_at,
        window_source="supervisor" if status.window_source == "supervisor" else "poll",
        message=status.message,
    )
    if status.state is RunState.PENDING:
        return replace(seen, state=LocalState.STARTING)
    if status.state is RunState.RUNNING:
        return replace(seen, state=LocalState.RUNNING)
    ended = replace(
        seen,
        state=_ENDS[status.state],
        ended_at=status.ended_at,
        exit_code=status.exit_code,
        is_infrastructure=status.is_infrastructure,
    )
    has_run = ended.started_at is not None
    if status.is_infrastructure and record.wish is Wish.STOP and not has_run:
        ended = replace(ended, state=LocalState.STOPPED, is_infrastructure=False)
    if ended.state is LocalState.STOPPED and record.reason:
        ended = replace(ended, message=record.reason)
    return ended


def silent(record: Record, now: datetime, message: str, rules: Rules) -> Record:
    """Return the record after the executor did not answer; unknown when that lasts."""
    since = record.silent_since or now
    quiet = replace(record, silent_since=since)
    if (now - since).total_seconds() < rules.unknown_after_s:
        return quiet
    return replace(quiet, state=LocalState.UNKNOWN, message=f"the executor is silent: {message}")


def given_up(record: Record, rules: Rules) -> Record:
    """Return the record of an attempt that ends before the executor ever heard of it."""
    if record.wish is Wish.STOP:
        return replace(record, state=LocalState.STOPPED, message=record.reason)
    message = f"not submitted within {rules.submit_patience_s:g} s: {record.message}"
    return replace(record, state=LocalState.FAILED, is_infrastructure=True, message=message)


def proven_dead(record: Record, now: datetime) -> Record:
    """Return the record after a fence proved that nothing lives.

    An attempt that had to end anyway is stopped, with the time it ran; any other is fenced.
    """
    was_stopping = record.wish is Wish.STOP
    message = record.reason if was_stopping else "every process is proven dead"
    return replace(
        record,
        state=LocalState.STOPPED if was_stopping else LocalState.FENCED,
        ended_at=now if record.started_at is not None else None,
        window_source="poll",
        message=message,
        silent_since=None,
    )


def make_report(record: Record, now: datetime, skew_s: float = 0.0) -> tuple[Record, AttemptReport]:
    """Return the report of where an attempt stands, and the record that remembers its number.

    Numbers follow the clock, so they grow even where the record was lost in between. Moments are
    told by the centre's clock, where ours is off by more than ``SKEW_S_MIN``.
    """
    off = timedelta(seconds=skew_s if abs(skew_s) >= SKEW_S_MIN else 0.0)
    numbered = replace(record, seq=max(record.seq + 1, to_epoch_ms(now)))
    return numbered, AttemptReport(
        attempt_id=record.attempt_id,
        seq=numbered.seq,
        at=now + off,
        state=_report_state(record.state),
        started_at=None if record.started_at is None else record.started_at + off,
        ended_at=None if record.ended_at is None else record.ended_at + off,
        window_source=record.window_source,
        exit_code=record.exit_code,
        is_infrastructure=record.is_infrastructure,
        message=record.message[:4_000],
    )


def _report_state(state: LocalState) -> ReportState:
    """Return the wire's word; an intent is on its way to the executor."""
    words: dict[LocalState, ReportState] = {
        LocalState.INTENT: "submitting",
        LocalState.SUBMITTING: "submitting",
        LocalState.STARTING: "starting",
        LocalState.RUNNING: "running",
        LocalState.SUCCEEDED: "succeeded",
        LocalState.FAILED: "failed",
        LocalState.STOPPED: "stopped",
        LocalState.UNKNOWN: "unknown",
        LocalState.FENCED: "fenced",
    }
    return words[state]


def is_news(before: Record, after: Record) -> bool:
    """Whether the centre must hear of the change."""
    return before.state is not after.state or before.started_at != after.started_at
