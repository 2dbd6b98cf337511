"""Who gets what when the pool is smaller than the claims: first come, pro rata, or ranked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from voucher.programmes.application import Application
from voucher.programmes.findings import Finding
from voucher.programmes.predicate import failures
from voucher.programmes.programme import Programme
from voucher.programmes.schema import LastOne, Policy, ShortageRule, is_unseen
from voucher.programmes.share import largest_remainder
from voucher.programmes.values import not_seen


@dataclass(frozen=True, slots=True, order=True)
class Turn:
    """Where an application stands: priority first, then rank (0 if not ranked), time and id."""

    is_behind: bool
    rank: int
    submitted_at: datetime
    application_id: str


def turn(programme: Programme, application: Application) -> Turn:
    """Return an application's turn; it depends on nothing but the application itself."""
    shortage = programme.policy.shortage
    priority = shortage.priority if shortage else ()
    failed = failures(priority, application.facts, programme.known, "shortage.priority")
    rank = 0
    if shortage and shortage.rule is ShortageRule.RANKED and shortage.rank_by:
        score = application.facts.get(shortage.rank_by)
        rank = -score if isinstance(score, int) else 0
    return Turn(bool(failed), rank, application.submitted_at, application.id)


def gap(policy: Policy) -> Finding | None:
    """Return why a short pool cannot be shared out: a rule that nobody could read."""
    shortage = policy.shortage
    if shortage is None:
        return not_seen(policy, "shortage")
    for field in ("rule", "last", "rank_by"):
        if is_unseen(shortage, field):
            return not_seen(policy, f"shortage.{field}")
    for index, predicate in enumerate(shortage.priority):
        if predicate.is_unseen:
            return not_seen(policy, f"shortage.priority.{index}.value")
    return None


def takes_turns(policy: Policy) -> bool:
    """Say whether applications are served one after the other, so that each sees what is left."""
    if policy.shortage is None or gap(policy) is not None:
        return False
    return policy.shortage.rule is not ShortageRule.PRORATA


def share(
    policy: Policy, turns: Sequence[Turn], claims: Sequence[int], pool_fen: int
) -> tuple[int, ...]:
    """Return what each claim gets of a pool; turns are sorted, and the rule is readable."""
    shortage = policy.shortage
    assert shortage is not None, "gap() refuses a policy without a shortage rule"
    if shortage.rule is not ShortageRule.PRORATA:
        return _in_turn(claims, pool_fen, shortage.last is LastOne.PARTIAL)
    first = sum(1 for one in turns if not one.is_behind)
    ahead = _pro_rata(claims[:first], pool_fen)
    return ahead + _pro_rata(claims[first:], pool_fen - sum(ahead))


def _in_turn(claims: Sequence[int], pool_fen: int, is_partial: bool) -> tuple[int, ...]:
    left, grants = pool_fen, []
    for claim in claims:
        grant = min(claim, left) if is_partial or claim <= left else 0
        grants.append(grant)
        left -= grant
    return tuple(grants)


def _pro_rata(claims: Sequence[int], pool_fen: int) -> tuple[int, ...]:
    return largest_remainder(min(pool_fen, sum(claims)), claims)
