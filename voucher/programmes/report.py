"""Policies and simulations as plain documents for JSON: amounts in fen, names as in the code."""

from voucher.programmes.award import Award, LineAward
from voucher.programmes.rounds import PoolUse
from voucher.programmes.schema import Policy
from voucher.programmes.share import FunderShare
from voucher.programmes.simulate import Fate, Replay, Row, Simulation
from voucher.programmes.values import digest, gaps, tree_of
from voucher.programmes.words import in_words
from voucher.wording import documents

Json = dict[str, object]


def policy_json(policy: Policy) -> Json:
    """Return a policy with its digest, its gaps, and itself in words."""
    words = [{"title": one.title, "lines": list(one.lines)} for one in in_words(policy)]
    return {
        "id": policy.id,
        "version": policy.version,
        "digest": digest(policy),
        "gaps": list(gaps(policy)),
        "words": words,
        "policy": tree_of(policy),
    }


def award_json(award: Award) -> Json:
    """Return an award with its lines, cuts and reasons."""
    return {
        "application": award.application_id,
        "policy": award.policy_id,
        "version": award.version,
        "digest": award.digest,
        "entitled_fen": award.entitled_fen,
        "amount_fen": award.amount_fen,
        "is_refused": award.is_refused,
        "lines": [_line_json(line) for line in award.lines],
        "cuts": documents(award.cuts),
        "findings": documents(award.findings),
    }


def simulation_json(simulation: Simulation) -> Json:
    """Return a whole simulation."""
    return {
        "policy": simulation.policy_id,
        "version": simulation.version,
        "digest": simulation.digest,
        "entitled_fen": simulation.entitled_fen,
        "granted_fen": simulation.granted_fen,
        "pools": [_pool_json(pool) for pool in simulation.pools],
        "funders": [_share_json(share) for share in simulation.funders],
        "refusals": {str(code): count for code, count in simulation.refusals},
        "gaps": list(simulation.gaps),
        "applications": [_row_json(row) for row in simulation.rows],
    }


def replay_json(replay: Replay) -> Json:
    """Return a replay: both simulations' totals, and each application's fate."""
    return {
        "old": _totals_json(replay.old),
        "new": _totals_json(replay.new),
        "applications": [_fate_json(fate) for fate in replay.fates],
    }


def _line_json(line: LineAward) -> Json:
    ratio = line.ratio
    return {
        "line": line.line_id,
        "base_fen": line.base_fen,
        "counted_fen": line.counted_fen,
        "tier": line.tier_id or None,
        "ratio": {"num": ratio.num, "den": ratio.den} if ratio else None,
        "amount_fen": line.amount_fen,
        "findings": documents(line.findings),
        "notes": documents(line.notes),
    }


def _pool_json(pool: PoolUse) -> Json:
    return {
        "cap": pool.cap_id,
        "period": pool.period,
        "amount_fen": pool.amount_fen,
        "before_fen": pool.before_fen,
        "claimed_fen": pool.claimed_fen,
        "granted_fen": pool.granted_fen,
    }


def _share_json(share: FunderShare) -> Json:
    return {"funder": share.funder_id, "name": share.name, "amount_fen": share.amount_fen}


def _row_json(row: Row) -> Json:
    return {
        **award_json(row.award),
        "applicant": row.applicant_id,
        "shares": [_share_json(share) for share in row.shares],
        "funding_findings": documents(row.funding_findings),
    }


def _fate_json(fate: Fate) -> Json:
    return {
        "application": fate.application_id,
        "applicant": fate.applicant_id,
        "change": str(fate.change),
        "before_fen": fate.before_fen,
        "after_fen": fate.after_fen,
        "change_fen": fate.change_fen,
        "granted_fen": fate.granted_fen,
        "cuts": documents(fate.cuts),
        "reasons": documents(fate.reasons),
    }


def _totals_json(simulation: Simulation) -> Json:
    return {
        "policy": simulation.policy_id,
        "version": simulation.version,
        "digest": simulation.digest,
        "entitled_fen": simulation.entitled_fen,
        "granted_fen": simulation.granted_fen,
        "pools": [_pool_json(pool) for pool in simulation.pools],
        "refusals": {str(code): count for code, count in simulation.refusals},
    }
