"""What can happen to a job, and what can follow: the vocabulary of ``lifecycle.advance``."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from suanwang.ids import AttemptId, HoldId, PoolId, SiteId
from suanwang.model.attempt import Attempt, AttemptState, Extension
from suanwang.model.job import Job
from suanwang.model.plan import ReasonCode
from suanwang.model.voucher import HoldSlice

OrderKind = Literal["start", "stop", "fence", "extend", "note"]
WindowSource = Literal["supervisor", "poll", "lease"]

# --- events -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """The plan puts the job into a pool; the intent of an attempt is written before any call."""

    at: datetime
    site_id: SiteId
    pool_id: PoolId
    price_uyuan_per_unit_hour: int
    epoch: int
    lease_expires_at: datetime
    slices: tuple[HoldSlice, ...]
    units: int | None = None
    """The width of those that the job names; None: the one that it asks for first."""
    is_held: bool = False
    """The job moves here: its money was set aside when that was decided."""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """The plan leaves the job in the queue, for this reason."""

    at: datetime
    reason: ReasonCode
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """A queued job can never start any more, for this reason (its deadline has passed)."""

    at: datetime
    reason: ReasonCode
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveAsked:
    """The plan moves a running job: it saves its state, ends, and goes on in ``pool_id``.

    ``slices`` are set aside for the rest of its run there, before anything is stopped.
    """

    at: datetime
    pool_id: PoolId
    slices: tuple[HoldSlice, ...]
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveDropped:
    """A job that was stopped to move cannot go on where it was bound for: it is planned anew."""

    at: datetime
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StopAsked:
    """The user wants the job to end. ``was_handed_out`` is False while no agent can know of it."""

    at: datetime
    was_handed_out: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """The agent says where an attempt stands. ``at`` is the centre's clock; windows the agent's."""

    at: datetime
    seq: int
    state: AttemptState
    started_at: datetime | None = None
    ended_at: datetime | None = None
    window_source: WindowSource = "poll"
    exit_code: int | None = None
    is_infrastructure: bool = False
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The agent, whose executor answers, counts the attempt among the running ones."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """There was no news of the attempt for too long."""

    at: datetime
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceDue:
    """The attempt is unknown for so long that its agent must prove it dead."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseEnded:
    """The attempt may not run any more, and no end was reported."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeShort:
    """Nine tenths of the time that is paid for are used: people should know before the end.

    ``why_not_longer`` says why the job's own wish for more time was not granted, where it has one.
    """

    at: datetime
    why_not_longer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeUsed:
    """The attempt has run for all the time that is paid for."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Extended:
    """More time is granted to a live attempt: ``slices`` and ``amount_fen`` join its hold.

    ``asked_by`` is the id of the key that asked, empty where the job's own wish did.
    """

    at: datetime
    by_s: int
    slices: tuple[HoldSlice, ...]
    amount_fen: int
    is_automatic: bool
    asked_by: str
    request_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtensionKnown:
    """The agent has an extension on disk; where ``is_late`` it had begun to stop the attempt."""

    at: datetime
    number: int
    run_s_max: int
    is_late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fenced:
    """Proven dead from outside the agent: an operator's word, or an order that never left."""

    at: datetime
    message: str


QueueEvent = Placed | Waited | GivenUp | MoveDropped
TimeEvent = TimeShort | TimeUsed | Extended | ExtensionKnown
AttemptEvent = Reported | Seen | Lost | FenceDue | LeaseEnded | TimeEvent | Fenced | MoveAsked
Event = QueueEvent | StopAsked | AttemptEvent


# --- instructions -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenHold:
    """Set the attempt's money aside; a refusal undoes the whole step."""

    hold_id: HoldId
    attempt_id: AttemptId
    slices: tuple[HoldSlice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendHold:
    """Add to the attempt's hold and write the extension down; a refusal undoes the whole step."""

    hold_id: HoldId
    slices: tuple[HoldSlice, ...]
    extension: Extension


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmExtension:
    """Note that the agent knows of an extension."""

    attempt_id: AttemptId
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueOrder:
    """Tell the agent; an order of this kind and number that is there is handed out again.

    ``message`` is a line for the job's output.
    """

    kind: OrderKind
    attempt_id: AttemptId
    site_id: SiteId
    number: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawOrders:
    """Take back the orders of an attempt that will never run."""

    attempt_id: AttemptId


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """Pay for this window from the hold, release the rest."""

    attempt_id: AttemptId
    started_at: datetime
    ended_at: datetime
    source: WindowSource


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseHold:
    """Give all the money back."""

    attempt_id: AttemptId
    hold_id: HoldId
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Requeue:
    """The job waits for another place; the plan avoids this site for a while."""

    avoid_site_id: SiteId
    avoid_pool_id: PoolId
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A line in the job's story."""

    kind: str
    message: str
    attempt_id: AttemptId | None = None
    is_alarm: bool = False


Instruction = (
    OpenHold
    | ExtendHold
    | ConfirmExtension
    | IssueOrder
    | WithdrawOrders
    | Bill
    | ReleaseHold
    | Requeue
    | Note
)


class Step(NamedTuple):
    """A job and its attempt after an event, and what must be done about it, in this order."""

    job: Job
    attempt: Attempt | None
    instructions: tuple[Instruction, ...] = ()
