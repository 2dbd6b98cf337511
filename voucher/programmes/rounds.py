"""Deciding many applications that compete for one pool. The order of the list changes nothing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from suanwang.errors import BadInput
from voucher.programmes.application import Application, china_day, period_label
from voucher.programmes.award import Award, assess, reserve, with_amount
from voucher.programmes.findings import Cut, Finding, finding
from voucher.programmes.programme import Programme
from voucher.programmes.schema import Cap, CapScope, Period
from voucher.programmes.sentences import Code
from voucher.programmes.shortage import Turn, gap, share, takes_turns, turn
from voucher.programmes.usage import CLAIMED, Usage, cap_key, left_fen
from voucher.programmes.values import not_seen

_SHORTEST_FIRST = (Period.MONTH, Period.QUARTER, Period.YEAR, Period.LIFE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolUse:
    """One pool in one period after the round, in fen; ``amount_fen`` None: not seen."""

    cap_id: str
    period: str
    amount_fen: int | None
    before_fen: int
    claimed_fen: int
    granted_fen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The awards of a round in their turn, what the pools gave, and the usage afterwards."""

    awards: tuple[Award, ...]
    pools: tuple[PoolUse, ...]
    usage: Usage


def decide(
    programme: Programme, applications: Sequence[Application], usage: Usage | None = None
) -> Decision:
    """Decide applications period by period of the pool; raise BadInput if an id comes twice."""
    twice = [name for name, count in Counter(one.id for one in applications).items() if count > 1]
    if twice:
        raise BadInput(f"application {twice[0]!r} comes twice")
    book = usage.copy() if usage else Usage()
    awards: list[Award] = []
    uses: list[PoolUse] = []
    for batch in _batches(programme, applications):
        more, used = _decide_batch(programme, batch, book)
        awards += more
        uses += used
    return Decision(awards=tuple(awards), pools=_merged(uses), usage=book)


def _pools(programme: Programme) -> tuple[Cap, ...]:
    caps = programme.policy.caps or ()
    return tuple(cap for cap in caps if cap.scope is CapScope.POOL)


def _batches(programme: Programme, applications: Sequence[Application]) -> list[list[Application]]:
    """Return what is decided at once, in its turn: one by one where the rule takes turns.

    Otherwise all applications of the shortest period of a pool, in time.
    """
    periods = {cap.period for cap in _pools(programme)}
    shortest = next((one for one in _SHORTEST_FIRST if one in periods), Period.LIFE)
    batches: dict[str, list[Application]] = {}
    for application in applications:
        label = period_label(shortest, china_day(application.submitted_at))
        batches.setdefault(label, []).append(application)
    ordered = [
        sorted(batches[label], key=lambda one: turn(programme, one)) for label in sorted(batches)
    ]
    if takes_turns(programme.policy):
        return [[application] for batch in ordered for application in batch]
    return ordered


def _decide_batch(
    programme: Programme, batch: Sequence[Application], book: Usage
) -> tuple[list[Award], list[PoolUse]]:
    claims = []
    for application in batch:
        claim = assess(programme, application, book)
        reserve(programme, application, claim, book)
        claims.append(claim)
    grants, uses = _pooled(programme, batch, claims, book)
    for application, claim, grant in zip(batch, claims, grants, strict=True):
        if grant.amount_fen < claim.amount_fen:
            reserve(programme, application, claim, book, sign=-1)
            reserve(programme, application, grant, book)
    return grants, uses


def _pooled(
    programme: Programme, batch: Sequence[Application], claims: list[Award], book: Usage
) -> tuple[list[Award], list[PoolUse]]:
    """Return the awards that the pools can pay, and what they took of each."""
    pools = _pools(programme)
    demand = sum(claim.amount_fen for claim in claims)
    unseen = _unseen(programme, pools)
    if unseen:
        empty = [_pool_use(cap, "not seen", 0, demand, 0) for cap in pools]
        return [_refused(claim, unseen) for claim in claims], empty
    if not pools:
        return claims, []
    day = china_day(batch[0].submitted_at)
    keys = [cap_key(cap, batch[0], day, CLAIMED) for cap in pools]
    lefts = [left_fen(cap, key, book) for cap, key in zip(pools, keys, strict=True)]
    tightest = pools[lefts.index(min(lefts))]
    turns = [turn(programme, application) for application in batch]
    grants = _granted(programme, turns, claims, min(lefts), tightest)
    total, uses = sum(grant.amount_fen for grant in grants), []
    for cap, key in zip(pools, keys, strict=True):
        uses.append(_pool_use(cap, key.period, book.taken.get(key, 0), demand, total))
        book.add(key, total)
    return grants, uses


def _unseen(programme: Programme, pools: Sequence[Cap]) -> Finding | None:
    for cap in pools:
        for field in ("amount_fen", "period"):
            if getattr(cap, field) is None:
                return not_seen(programme.policy, f"caps.{cap.id}.{field}")
    return None


def _granted(
    programme: Programme, turns: Sequence[Turn], claims: list[Award], left: int, pool: Cap
) -> list[Award]:
    amounts = [claim.amount_fen for claim in claims]
    if sum(amounts) <= left:
        return claims
    unreadable = gap(programme.policy)
    if unreadable:
        return [_refused(claim, unreadable) for claim in claims]
    grants = share(programme.policy, turns, amounts, left)
    path = f"caps.{pool.id}"
    return [_cut(claim, grant, path) for claim, grant in zip(claims, grants, strict=True)]


def _cut(claim: Award, grant: int, path: str) -> Award:
    if grant == claim.amount_fen:
        return claim
    cut = Cut(code=Code.POOL_SHORT, path=path, from_fen=claim.amount_fen, to_fen=grant)
    award = replace(with_amount(claim, grant), cuts=(*claim.cuts, cut))
    if grant > 0:
        return award
    exhausted = finding(Code.POOL_EXHAUSTED, path, asked_fen=claim.amount_fen)
    return replace(award, findings=(exhausted,))


def _refused(claim: Award, reason: Finding) -> Award:
    if claim.amount_fen == 0:
        return claim
    return replace(with_amount(claim, 0), findings=(*claim.findings, reason))


def _pool_use(cap: Cap, period: str, before: int, claimed: int, granted: int) -> PoolUse:
    return PoolUse(
        cap_id=cap.id,
        period=period,
        amount_fen=cap.amount_fen,
        before_fen=before,
        claimed_fen=claimed,
        granted_fen=granted,
    )


def _merged(uses: Sequence[PoolUse]) -> tuple[PoolUse, ...]:
    """Return one row for each pool and period: a yearly pool runs over many monthly rounds."""
    rows: dict[tuple[str, str], PoolUse] = {}
    for use in uses:
        key = (use.cap_id, use.period)
        first = rows.get(key)
        rows[key] = use if first is None else replace(
            first,
            claimed_fen=first.claimed_fen + use.claimed_fen,
            granted_fen=first.granted_fen + use.granted_fen,
        )  # fmt: skip
    return tuple(rows.values())
