"""What a policy says about an award's later life: its end, its review, and taking it back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from suanwang.units import share_fen
from voucher.programmes.findings import Finding, finding
from voucher.programmes.schema import Frees, Mode, Policy, Take, Unused, is_unseen
from voucher.programmes.sentences import Code
from voucher.programmes.values import not_seen


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The last day of a voucher (None: no end is stated), or why it cannot be said.

    Jobs that run at the end are paid for ``grace_days`` more.
    """

    last_day: date | None = None
    grace_days: int = 0
    findings: tuple[Finding, ...] = ()


def end_of(policy: Policy, issued_on: date) -> End:
    """Return the earliest end that the policy states for a voucher issued on a day."""
    validity = policy.validity
    if validity is None:
        return End(findings=(not_seen(policy, "validity"),))
    unseen = tuple(
        not_seen(policy, f"validity.{field}")
        for field in ("days_from_issue", "hard_end", "grace_days_running_jobs", "unused", "frees")
        if is_unseen(validity, field)
    )
    if unseen:
        return End(findings=unseen)
    ends = []
    if validity.days_from_issue is not None:
        ends.append(issued_on + timedelta(days=validity.days_from_issue))
    if validity.hard_end is not None:
        ends.append(validity.hard_end)
    return End(last_day=min(ends, default=None), grace_days=validity.grace_days_running_jobs or 0)


def is_reusing(policy: Policy) -> bool:
    """Return whether what a voucher did not pay can be granted again; unread, it lapses."""
    return policy.validity is not None and policy.validity.unused is Unused.POOL


@dataclass(frozen=True, slots=True, kw_only=True)
class Freed:
    """What of an award the caps are free of again, in fen: the pool's, its own, and those of
    redemptions. Its own are the caps of contract, award, applicant and group.
    """

    pool_fen: int = 0
    own_fen: int = 0
    redeemed_fen: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Back:
    """What of an award came back, in fen: by its end, and by a demand as far as it was repaid.

    ``rest_fen`` of a claim was never paid out when a demand ended it; ``unpaid_fen`` of that was
    redeemed.
    """

    expired_fen: int = 0
    reclaimed_fen: int = 0
    rest_fen: int = 0
    unpaid_fen: int = 0


def freed(policy: Policy, back: Back, trigger_id: str) -> Freed:
    """Return of how much the caps are free once so much of an award is back: caps follow money.

    What lapses is not granted again, so it frees nothing. A claim's money always goes back.
    """
    mode, validity = policy.benefit.mode, policy.validity
    trigger = next((one for one in policy.clawback or () if one.id == trigger_id), None)
    is_own = trigger is not None and trigger.frees is Frees.ALL
    own = back.reclaimed_fen if is_own else 0
    if mode is not Mode.DEDUCT:
        redeemed = own + back.unpaid_fen if mode is Mode.CLAIM_THEN_REDEEM else 0
        pool_fen = back.rest_fen + back.reclaimed_fen
        return Freed(pool_fen=pool_fen, own_fen=back.rest_fen + own, redeemed_fen=redeemed)
    if not is_reusing(policy):
        return Freed()
    if validity is not None and validity.frees is Frees.ALL:
        own += back.expired_fen
    return Freed(pool_fen=back.expired_fen + back.reclaimed_fen, own_fen=own)


def redeem_by(policy: Policy, applied_on: date) -> End:
    """Return the last day on which a claim that was applied for on a day is redeemed."""
    validity = policy.validity
    if validity is None:
        return End(findings=(not_seen(policy, "validity"),))
    if is_unseen(validity, "redeem_within_days"):
        return End(findings=(not_seen(policy, "validity.redeem_within_days"),))
    days = validity.redeem_within_days
    return End() if days is None else End(last_day=applied_on + timedelta(days=days))


def no_lots(policy: Policy) -> tuple[Finding, ...]:
    """Return why awards of a policy cannot become lots: lots pay for jobs, so for compute."""
    kind = policy.benefit.kind
    if policy.benefit.mode is not Mode.DEDUCT or kind == "compute":
        return ()
    return (finding(Code.WRONG_KIND, "benefit.kind", benefit=str(kind)),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reclaim:
    """What is taken back in fen and for how many years the applicant is out, or why not."""

    amount_fen: int = 0
    ban_years: int = 0
    findings: tuple[Finding, ...] = ()


def reclaim(policy: Policy, trigger_id: str, paid_fen: int, *, unserved: int, term: int) -> Reclaim:
    """Return what an event takes back of ``paid_fen``.

    ``unserved`` of ``term`` (days, months, any one unit) were not served: the pro rata part,
    rounded down to the fen.
    """
    if policy.clawback is None:
        return Reclaim(findings=(not_seen(policy, "clawback"),))
    trigger = next((one for one in policy.clawback if one.id == trigger_id), None)
    if trigger is None:
        known = ", ".join(one.id for one in policy.clawback) or "–"
        figures = {"policy": policy.id, "trigger": trigger_id, "known": known}
        return Reclaim(findings=(finding(Code.NO_CLAWBACK, "clawback", **figures),))
    path = f"clawback.{trigger.id}"
    if trigger.take is None:
        return Reclaim(findings=(not_seen(policy, f"{path}.take"),))
    unseen = [field for field in ("ban_years", "frees") if is_unseen(trigger, field)]
    if unseen:
        return Reclaim(findings=tuple(not_seen(policy, f"{path}.{field}") for field in unseen))
    whole = trigger.take is Take.FULL
    amount = paid_fen if whole else int(share_fen(paid_fen, unserved, term))
    return Reclaim(amount_fen=amount, ban_years=trigger.ban_years or 0)


def objections(
    policy: Policy, stage_id: str, person: str, done: Mapping[str, str]
) -> tuple[Finding, ...]:
    """Return what keeps a person from doing a stage; ``done`` is who did which stage."""
    if policy.workflow is None:
        return (not_seen(policy, "workflow"),)
    ids = [stage.id for stage in policy.workflow]
    if stage_id not in ids:
        figures = {"policy": policy.id, "stage": stage_id, "known": ", ".join(ids) or "–"}
        return (finding(Code.NO_STAGE, "workflow", **figures),)
    stage = policy.workflow[ids.index(stage_id)]
    path = f"workflow.{stage_id}"
    found = []
    open_before = [one for one in ids[: ids.index(stage_id)] if one not in done]
    if stage_id in done:
        found.append(finding(Code.STAGE_DONE, path, stage=stage_id))
    elif open_before:
        earlier = ", ".join(open_before)
        found.append(finding(Code.OUT_OF_ORDER, path, stage=stage_id, earlier=earlier))
    for other in stage.not_same_as:
        if done.get(other) == person:
            figures = {"person": person, "earlier": other, "stage": stage_id}
            found.append(finding(Code.SAME_PERSON, path, **figures))
    return tuple(found)
