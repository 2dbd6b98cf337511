"""What time does to an application, and when: pure.

Whenever an application comes to another place, what is due there is written with it. So one query
finds everything that is due, and doing it twice is impossible: the place has changed.
"""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Final

from voucher.grants.application import publicity_end, stage_of
from voucher.grants.case import Case, Due, DueKind, State
from voucher.programmes.application import CHINA, china_day
from voucher.programmes.life import redeem_by
from voucher.programmes.schema import Mode, Policy

WARN_BEFORE: Final = timedelta(days=30)
"""Applicants are warned so long before an end, or when half of a shorter time is over."""


def with_due(
    before: Case | None, after: Case, policy: Policy, submitted_at: datetime | None, now: datetime
) -> Case:
    """Return the case with what is due where it has come to; in one place that never changes."""
    if before is not None and (before.state, before.stage) == (after.state, after.stage):
        return after
    case = replace(after, ends_at=_ends_at(after, policy, submitted_at))
    return replace(case, due=_due(before, case, policy, now))


def _ends_at(case: Case, policy: Policy, submitted_at: datetime | None) -> datetime | None:
    """Return the end of a claim: the midnight in China after its last day to be redeemed."""
    is_claim = policy.benefit.mode is Mode.CLAIM_THEN_REDEEM
    if case.state is not State.GRANTED or not is_claim or submitted_at is None:
        return case.ends_at
    last_day = redeem_by(policy, china_day(submitted_at)).last_day
    if last_day is None:
        return None
    midnight = datetime.combine(last_day + timedelta(days=1), time(), tzinfo=CHINA)
    return midnight.astimezone(UTC)


def _due(before: Case | None, case: Case, policy: Policy, now: datetime) -> Due | None:
    match case.state:
        case State.PUBLICITY if case.publicity_ends_at is not None:
            return Due(kind=DueKind.PUBLICITY, at=case.publicity_ends_at)
        case State.REVIEW:
            stage = stage_of(policy, case.stage)
            days = stage.review_days if stage is not None else None
            return None if days is None else Due(kind=DueKind.REVIEW, at=publicity_end(now, days))
        case State.GRANTED | State.ISSUED if case.ends_at is not None:
            was_warned = before is not None and before.state is State.CLAWBACK
            return _end_or_warning(case.ends_at, now, is_new=not was_warned)
    return None


def _end_or_warning(ends_at: datetime, now: datetime, *, is_new: bool) -> Due:
    ahead = min(WARN_BEFORE, (ends_at - now) // 2) if is_new else WARN_BEFORE
    warn_at = ends_at - ahead
    if warn_at > now:
        return Due(kind=DueKind.WARNING, at=warn_at)
    return Due(kind=DueKind.END, at=ends_at)
