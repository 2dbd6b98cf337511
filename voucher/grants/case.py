"""The words of the state machine: where an application stands, who acts, and what was done."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from suanwang.model.tenant import Role
from voucher.actor import Actor
from voucher.wording import Told


class State(StrEnum):
    """Where an application stands; docs/applicants.md explains each."""

    DRAFT = "draft"
    RETURNED = "returned"
    REVIEW = "review"
    READY = "ready"
    PUBLICITY = "publicity"
    GRANTED = "granted"
    ISSUED = "issued"
    SETTLED = "settled"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    CLAWBACK = "clawback"
    RECLAIMED = "reclaimed"
    EXPIRED = "expired"
    LAPSED = "lapsed"


EDITABLE: Final = frozenset({State.DRAFT, State.RETURNED})
"""The applicant may change what it says."""
ENDED: Final = frozenset({State.REJECTED, State.WITHDRAWN, State.LAPSED})
"""What these claim is free for others."""
LIVING: Final = frozenset(State) - ENDED - {State.DRAFT}
"""What these claim may not be claimed elsewhere."""

DECIDED_BY: Final = "decide"
REJECTED_BY: Final = "reject"
CLAWBACK_BY: Final = "clawback"
SUBMITTED_BY: Final = "submit"
"""Names in ``done`` beside the stages of the policy: who did these steps."""


CLOCK: Final = Actor(person="clock", tenant_id="platform", role=Role.ADMIN)
"""Who does what time alone does; no key has this id."""


class DueKind(StrEnum):
    """What time does to an application; docs/reviewers.md explains each."""

    PUBLICITY = "publicity"
    REVIEW = "review"
    WARNING = "warning"
    END = "end"
    OVERDUE = "overdue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What is due next, and when. ``overdue`` waits for people, whatever the moment."""

    kind: DueKind
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What the state machine knows of an application. Money in fen.

    ``done`` says who did which stage; ``award_fen`` is reserved of the caps once ``is_decided``.
    ``ends_at`` is the end of its lots, or of the time in which its claim can be redeemed.
    """

    id: str
    tenant_id: str
    district: str
    state: State
    stage: str = ""
    done: Mapping[str, str] = field(default_factory=dict)
    has_flags: bool = False
    is_decided: bool = False
    publicity_ends_at: datetime | None = None
    award_fen: int = 0
    redeemed_fen: int = 0
    settled_fen: int = 0
    state_before_clawback: State | None = None
    ends_at: datetime | None = None
    due: Due | None = None


class Action(StrEnum):
    """What people do; the audit keeps these words."""

    CREATE = "create"
    EDIT = "edit"
    ATTACH = "attach"
    SUBMIT = "submit"
    APPROVE = "approve"
    RETURN = "return"
    REJECT = "reject"
    REOPEN = "reopen"
    WITHDRAW = "withdraw"
    DECIDE = "decide"
    ISSUE = "issue"
    REDEEM = "redeem"
    SETTLE = "settle"
    CLOSE = "close"
    REQUEST_CLAWBACK = "request-clawback"
    APPROVE_CLAWBACK = "approve-clawback"
    REFUSE_CLAWBACK = "refuse-clawback"
    END_PUBLICITY = "end-publicity"
    WARN = "warn"
    END = "end"
    OVERDUE = "overdue"
    FREE = "free"


class Effect(StrEnum):
    """What the step demands of the caller, in the same transaction."""

    DECIDE = "decide"
    FREE_AWARD = "free-award"
    FREE_REST = "free-rest"
    FREE_UNUSED = "free-unused"
    ISSUE_LOTS = "issue-lots"
    BOOK_CLAWBACK = "book-clawback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One act: by whom, why, and the fen it is about where it is about money.

    ``ends_at`` is when what is issued ends. ``why`` are the reasons where a policy's rules give
    them; ``reason_zh`` is the reason in Chinese where the centre itself words it.
    """

    action: Action
    actor: Actor
    reason: str = ""
    stage: str = ""
    amount_fen: int = 0
    ends_at: datetime | None = None
    why: tuple[Told, ...] = ()
    reason_zh: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The application after an act, and what must be done with it."""

    case: Case
    effects: tuple[Effect, ...] = ()
