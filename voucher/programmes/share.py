"""Dividing whole fen: largest remainder among claims, and shares of funders."""

from collections.abc import Sequence
from dataclasses import dataclass

from suanwang.units import share_fen
from voucher.programmes.application import Application
from voucher.programmes.findings import Finding, finding
from voucher.programmes.predicate import failures
from voucher.programmes.programme import Programme
from voucher.programmes.schema import Funder
from voucher.programmes.sentences import Code
from voucher.programmes.values import not_seen


def largest_remainder(total_fen: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Divide ``total_fen`` in proportion to ``weights``; the parts add up exactly.

    Each part is rounded down, and one fen more goes to the largest remainders, the earlier first.
    A part is never above its weight while the total is not above their sum. All weights zero: all
    parts zero.
    """
    whole = sum(weights)
    if whole == 0:
        return tuple(0 for _ in weights)
    parts = [total_fen * weight // whole for weight in weights]
    remainders = [total_fen * weight % whole for weight in weights]
    first = sorted(range(len(weights)), key=lambda index: (-remainders[index], index))
    for index in first[: total_fen - sum(parts)]:
        parts[index] += 1
    return tuple(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class FunderShare:
    """What one funder pays of an award."""

    funder_id: str
    name: str
    amount_fen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Funding:
    """The shares of an award, or why it cannot be split; shares add up to the award."""

    shares: tuple[FunderShare, ...]
    findings: tuple[Finding, ...]


def split(programme: Programme, application: Application, amount_fen: int) -> Funding:
    """Split an award among its funders; each share rounds down, the first takes the remainder."""
    policy = programme.policy
    if policy.funders is None:
        return Funding(shares=(), findings=(not_seen(policy, "funders"),))
    funders, findings = _funders_of(programme, application, policy.funders)
    if not findings and not _is_whole(funders):
        parts = ", ".join(f"{one.id} {_text(one)}" for one in funders) or "none"
        findings = [finding(Code.FUNDERS_DO_NOT_ADD_UP, "funders", parts=parts)]
    if findings:
        return Funding(shares=(), findings=tuple(findings))
    amounts = [
        share_fen(amount_fen, one.share.num, one.share.den) if one.share else 0 for one in funders
    ]
    amounts[0] += amount_fen - sum(amounts)
    shares = tuple(
        FunderShare(funder_id=one.id, name=one.name, amount_fen=amount)
        for one, amount in zip(funders, amounts, strict=True)
    )
    return Funding(shares=shares, findings=())


def _funders_of(
    programme: Programme, application: Application, funders: Sequence[Funder]
) -> tuple[list[Funder], list[Finding]]:
    chosen: list[Funder] = []
    findings: list[Finding] = []
    for funder in funders:
        path = f"funders.{funder.id}"
        failed = failures(funder.when, application.facts, programme.known, f"{path}.when")
        if any(one.code is Code.PREDICATE_FAILED for one in failed):
            continue
        findings.extend(failed)
        if funder.share is None:
            findings.append(not_seen(programme.policy, f"{path}.share"))
        chosen.append(funder)
    return chosen, findings


def _is_whole(funders: Sequence[Funder]) -> bool:
    numerator, denominator = 0, 1
    for one in funders:
        assert one.share is not None, f"funder {one.id} has no share; split refuses it"
        numerator = numerator * one.share.den + one.share.num * denominator
        denominator *= one.share.den
    return numerator == denominator


def _text(funder: Funder) -> str:
    return f"{funder.share.num}/{funder.share.den}" if funder.share else "not seen"
