"""Why something was refused: a code for programs, a sentence for people, the policy's path."""

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """Reasons of a programme; docs/programmes.md explains each."""

    PREDICATE_FAILED = "predicate-failed"
    FACT_UNKNOWN = "fact-unknown"
    FACT_UNUSABLE = "fact-unusable"
    VALUE_NOT_SEEN = "value-not-seen"
    NOT_IN_FORCE = "not-in-force"
    WINDOW_CLOSED = "window-closed"
    BELOW_MINIMUM = "below-minimum"
    NO_TIER = "no-tier"
    NOTHING_COUNTS = "nothing-counts"
    EXCLUDED_BY_OTHER = "excluded-by-other"
    SPEND_USED = "spend-used"
    ABOVE_CAP = "above-cap"
    POOL_SHORT = "pool-short"
    POOL_EXHAUSTED = "pool-exhausted"
    FUNDERS_DO_NOT_ADD_UP = "funders-do-not-add-up"
    WRONG_MODE = "wrong-mode"
    NO_CLAIM = "no-claim"
    TOO_LATE = "too-late"
    NO_CLAWBACK = "no-clawback"
    SAME_PERSON = "same-person"
    OUT_OF_ORDER = "out-of-order"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One reason. ``path`` is the place in the policy, ``line_id`` the spend line it is about."""

    code: Code
    path: str
    message: str
    line_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """An amount that a cap or the pool made smaller."""

    code: Code
    path: str
    from_fen: int
    to_fen: int
