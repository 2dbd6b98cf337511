"""What a policy grants to one application: every reason against it, or the amount and its cuts.

Nothing stops at the first failure: an applicant learns everything that is missing at once. The pool
is not looked at here, since it is shared with the others (``rounds.decide``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from suanwang.units import share_fen
from voucher.programmes.application import Application, Line, china_day, text_fact
from voucher.programmes.facts import Facts
from voucher.programmes.findings import Cut, Finding, finding
from voucher.programmes.predicate import Op, about, failures, figure, unknown, unusable
from voucher.programmes.programme import Programme
from voucher.programmes.schema import (
    Beneficiary,
    CapScope,
    Mode,
    OncePer,
    Ratio,
    ShortageRule,
    Tier,
    is_unseen,
)
from voucher.programmes.sentences import Code, Use
from voucher.programmes.share import largest_remainder
from voucher.programmes.usage import (
    CLAIMED,
    CapView,
    SpendKey,
    Usage,
    cap_key,
    caps_of,
    cut_to,
    left_fen,
)
from voucher.programmes.values import not_seen
from voucher.wording import Words

_CONTRACT: Final = OncePer.CONTRACT.fact
_EITHER: Final = (Beneficiary.DEMANDER, Beneficiary.PROVIDER)
_SIDE: Final = "applicant.side"
_PAPERS: Final = {
    OncePer.CONTRACT.fact: Words(en="contract", zh="合同"),
    OncePer.INVOICE.fact: Words(en="invoice", zh="发票"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LineAward:
    """A line's part: what of it counts, the tier and ratio, and the amount. Money in fen.

    ``notes`` are tiers that were not considered because a fact is unknown.
    """

    line_id: str
    contract: str
    base_fen: int = 0
    counted_fen: int = 0
    tier_id: str = ""
    ratio: Ratio | None = None
    amount_fen: int = 0
    findings: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Award:
    """The answer to an application. ``findings`` refuse it whole; a line can fail by itself."""

    application_id: str
    policy_id: str
    version: int
    digest: str
    lines: tuple[LineAward, ...]
    entitled_fen: int
    amount_fen: int
    cuts: tuple[Cut, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def is_refused(self) -> bool:
        """Nothing is granted."""
        return self.amount_fen == 0

    @property
    def reasons(self) -> tuple[Finding, ...]:
        """All reasons: against the whole, then against its lines."""
        return self.findings + tuple(one for line in self.lines for one in line.findings)


def assess(programme: Programme, application: Application, usage: Usage) -> Award:
    """Return what the application is granted before the pool is looked at; changes nothing."""
    view = caps_of(programme, application, CLAIMED)
    against = (
        *_not_in_force(programme, application),
        *_not_eligible(programme, application),
        *_wrong_side(programme, application),
        *_excluded(programme, application),
        *view.findings,
    )
    lines = _lines(programme, application, usage, view)
    against += _too_little(programme, lines)
    entitled = sum(line.amount_fen for line in lines)
    award = Award(
        application_id=application.id,
        policy_id=programme.policy.id,
        version=programme.policy.version,
        digest=programme.digest,
        lines=lines,
        entitled_fen=entitled,
        amount_fen=entitled,
        findings=against,
    )
    if against:
        return with_amount(award, 0)
    return _capped(award, application, usage, view)


def with_amount(award: Award, amount_fen: int) -> Award:
    """Return the award at ``amount_fen`` (at most its own), shared out over contracts and lines."""
    by_contract: dict[str, int] = {}
    for line in award.lines:
        by_contract[line.contract] = by_contract.get(line.contract, 0) + line.amount_fen
    parts = largest_remainder(amount_fen, tuple(by_contract.values()))
    granted = dict(zip(by_contract, parts, strict=True))
    return replace(award, amount_fen=amount_fen, lines=_with_contracts(award.lines, granted))


def _with_contracts(
    lines: Sequence[LineAward], granted: Mapping[str, int]
) -> tuple[LineAward, ...]:
    amounts: dict[str, int] = {}
    for contract, total in granted.items():
        own = [line for line in lines if line.contract == contract]
        parts = largest_remainder(total, [line.amount_fen for line in own])
        amounts.update({line.line_id: part for line, part in zip(own, parts, strict=True)})
    return tuple(replace(line, amount_fen=amounts[line.line_id]) for line in lines)


def by_contract_fen(award: Award) -> dict[str, int]:
    """Return what is granted by contract number, in fen; lines without one stand alone."""
    amounts: dict[str, int] = {}
    for line in award.lines:
        amounts[line.contract] = amounts.get(line.contract, 0) + line.amount_fen
    return amounts


def _not_in_force(programme: Programme, application: Application) -> tuple[Finding, ...]:
    policy, day = programme.policy, china_day(application.submitted_at)
    found: list[Finding] = []
    valid, window = policy.valid, policy.window
    for field, path in (("start", "valid.from"), ("end", "valid.to")):
        if is_unseen(valid, field):
            found.append(not_seen(policy, path))
    if (valid.start and day < valid.start) or (valid.end and day > valid.end):
        days = {"first_day": str(valid.start or "–"), "last_day": str(valid.end or "")}
        found.append(finding(Code.NOT_IN_FORCE, "valid", applied_on=str(day), **days))
    if window and not window.opens <= application.submitted_at < window.closes:
        moments = {
            "applied_at": application.submitted_at.isoformat(),
            "opens_at": window.opens.isoformat(),
            "closes_at": window.closes.isoformat(),
        }
        found.append(finding(Code.WINDOW_CLOSED, "window", **moments))
    return tuple(found)


def _not_eligible(programme: Programme, application: Application) -> tuple[Finding, ...]:
    policy = programme.policy
    if policy.eligibility is None:
        return (not_seen(policy, "eligibility"),)
    found = failures(policy.eligibility, application.facts, programme.known, "eligibility")
    shortage = policy.shortage
    if shortage is None or shortage.rule is not ShortageRule.RANKED or not shortage.rank_by:
        return found
    score, path = application.facts.get(shortage.rank_by), "shortage.rank_by"
    if programme.known[shortage.rank_by].accepts(score):
        return found
    if score is None:
        return (*found, unknown(shortage.rank_by, Use.RANKING, programme.known, path))
    return (*found, unusable(shortage.rank_by, score, programme.known, path))


def _wrong_side(programme: Programme, application: Application) -> tuple[Finding, ...]:
    """Return why this side of the contract gets nothing; who states no side is a demander."""
    policy, path = programme.policy, "benefit.beneficiary"
    wanted = policy.benefit.beneficiary
    if wanted is None:
        return (not_seen(policy, path),)
    side = text_fact(application.facts, _SIDE)
    if side is None and wanted is Beneficiary.DEMANDER:
        return ()
    if policy.benefit.mode is Mode.DEDUCT:
        wanted = Beneficiary.DEMANDER
    sides = _EITHER if wanted is Beneficiary.EITHER else (wanted,)
    if side in sides:
        return ()
    figures = {
        **about(_SIDE, programme.known),
        "kind": programme.known[_SIDE].kind.value,
        "op": Op.IN.value if len(sides) > 1 else Op.EQ.value,
        "wanted": figure(sides),
    }
    if side is None:
        return (finding(Code.FACT_UNKNOWN, path, "", **figures, use=Use.CONDITION.value),)
    return (finding(Code.PREDICATE_FAILED, path, "", **figures, stated=side),)


def _excluded(programme: Programme, application: Application) -> tuple[Finding, ...]:
    policy = programme.policy
    if policy.stacking is None:
        return (not_seen(policy, "stacking"),)
    if policy.stacking.exclusive_with is None:
        return (not_seen(policy, "stacking.exclusive_with"),)
    clashes = sorted(application.other_programmes & set(policy.stacking.exclusive_with))
    return tuple(
        finding(Code.EXCLUDED_BY_OTHER, "stacking.exclusive_with", other=other, policy=policy.id)
        for other in clashes
    )


def _too_little(programme: Programme, lines: Sequence[LineAward]) -> tuple[Finding, ...]:
    spend = programme.policy.spend
    if is_unseen(spend, "min_total_fen"):
        return (not_seen(programme.policy, "spend.min_total_fen"),)
    sound = [line for line in lines if not line.findings]
    if not sound:
        return (finding(Code.NOTHING_COUNTS, "spend"),)
    total = sum(line.base_fen for line in sound)
    if spend.min_total_fen is not None and total < spend.min_total_fen:
        path, least = "spend.min_total_fen", spend.min_total_fen
        return (finding(Code.BELOW_MINIMUM, path, counted_fen=total, least_fen=least),)
    return ()


def _lines(
    programme: Programme, application: Application, usage: Usage, view: CapView
) -> tuple[LineAward, ...]:
    needs_contract = any(cap.scope is CapScope.CONTRACT for cap in view.caps)
    spent = set(usage.spent)
    results = []
    for line in application.lines:
        result = _line(programme, application, line, needs_contract=needs_contract)
        once = _used(programme, line, spent)
        results.append(replace(result, amount_fen=0, findings=(*result.findings, *once))
                       if once else result)  # fmt: skip
        # A contract may be spread over lines of one application; an invoice may not come twice.
        if not results[-1].findings:
            spent |= {key for key in spend_keys(programme, line) if key.fact == "line.invoice_no"}
    return tuple(results)


def spend_keys(programme: Programme, line: Line) -> tuple[SpendKey, ...]:
    """Return what a line uses up for everybody, if the policy has such a rule.

    Where either side of a contract may apply, the contract is used up by the first of the two.
    """
    policy = programme.policy
    facts = [policy.stacking.once_per.fact] if policy.stacking and policy.stacking.once_per else []
    if policy.benefit.beneficiary is Beneficiary.EITHER and _CONTRACT not in facts:
        facts.append(_CONTRACT)
    numbers = ((fact, text_fact(line.facts, fact)) for fact in facts)
    return tuple(SpendKey(fact, number) for fact, number in numbers if number)


def _used(programme: Programme, line: Line, spent: set[SpendKey]) -> tuple[Finding, ...]:
    stacking, path = programme.policy.stacking, "stacking.once_per"
    if stacking is None:
        return ()
    if is_unseen(stacking, "once_per"):
        return (not_seen(programme.policy, path, line.id),)
    keys = spend_keys(programme, line)
    known = {key.fact for key in keys}
    if programme.policy.benefit.beneficiary is Beneficiary.EITHER and _CONTRACT not in known:
        return (unknown(_CONTRACT, Use.ONE_SIDE, programme.known, path, line.id),)
    if stacking.once_per is not None and stacking.once_per.fact not in known:
        return (unknown(stacking.once_per.fact, Use.ONCE, programme.known, path, line.id),)
    for key in keys:
        if key in spent:
            paper = _PAPERS[key.fact]
            figures = {"paper_en": paper.en, "paper_zh": paper.zh, "number": key.number}
            return (finding(Code.SPEND_USED, path, line.id, **figures),)
    return ()


def _line(
    programme: Programme, application: Application, line: Line, *, needs_contract: bool
) -> LineAward:
    spend = programme.policy.spend
    facts = application.line_facts(line)
    contract = text_fact(line.facts, "line.contract_no")
    found: list[Finding] = []
    if spend.require is None:
        found.append(not_seen(programme.policy, "spend.require", line.id))
    found += failures(spend.require or (), facts, programme.known, "spend.require", line.id)
    if needs_contract and contract is None:
        found.append(unknown(_CONTRACT, Use.BY_CONTRACT, programme.known, "caps", line.id))
    base_fen, missing = _base_fen(programme, facts, line.id)
    found += missing
    result = LineAward(line_id=line.id, contract=contract or f"line {line.id}", base_fen=base_fen)
    if missing:
        return replace(result, findings=tuple(found))
    best = _best_tier(programme, facts, result)
    if found:
        return replace(best, amount_fen=0, findings=(*found, *best.findings))
    return best


def _base_fen(programme: Programme, facts: Facts, line_id: str) -> tuple[int, tuple[Finding, ...]]:
    base = programme.policy.spend.base
    if base is None:
        return 0, (not_seen(programme.policy, "spend.base", line_id),)
    value, path = facts.get(base.fact), "spend.base"
    if value is None:
        return 0, (unknown(base.fact, Use.BASE, programme.known, path, line_id),)
    if not programme.known[base.fact].accepts(value) or not isinstance(value, int) or value < 0:
        return 0, (unusable(base.fact, value, programme.known, path, line_id),)
    return value, ()


def _best_tier(programme: Programme, facts: Facts, result: LineAward) -> LineAward:
    """Return the line under the tier that grants it most; the first one of equal tiers."""
    offers: list[LineAward] = []
    missed: list[Finding] = []
    unseen: list[Finding] = []
    for tier in programme.policy.tiers:
        path = f"tiers.{tier.id}"
        failed = failures(tier.when, facts, programme.known, f"{path}.when", result.line_id)
        failed += _term_unknown(programme, tier, facts, result.line_id)
        if failed:
            missed.extend(failed)
            continue
        gaps = _tier_gaps(programme, tier, path, result.line_id)
        unseen.extend(gaps)
        if not gaps:
            offers.append(_offer(tier, facts, result))
    notes = tuple(one for one in missed if one.code is not Code.PREDICATE_FAILED)
    if unseen:
        return replace(result, findings=tuple(unseen), notes=notes)
    if not offers:
        none = Finding(
            code=Code.NO_TIER, path="tiers", line_id=result.line_id, causes=tuple(missed)
        )
        return replace(result, findings=(none,))
    return replace(max(offers, key=lambda offer: offer.amount_fen), notes=notes)


def _term_unknown(
    programme: Programme, tier: Tier, facts: Facts, line_id: str
) -> tuple[Finding, ...]:
    if tier.max_months is None:
        return ()
    fact, path = "line.contract_months", f"tiers.{tier.id}.max_months"
    months = facts.get(fact)
    if isinstance(months, int) and not isinstance(months, bool) and months > 0:
        return ()
    if months is not None:
        return (unusable(fact, months, programme.known, path, line_id),)
    figures = {**about(fact, programme.known), "use": Use.TERM.value, "months": tier.max_months}
    return (finding(Code.FACT_UNKNOWN, path, line_id, **figures),)


def _tier_gaps(programme: Programme, tier: Tier, path: str, line_id: str) -> tuple[Finding, ...]:
    return tuple(
        not_seen(programme.policy, f"{path}.{field}", line_id)
        for field in ("ratio", "cap_fen", "max_months")
        if is_unseen(tier, field)
    )


def _offer(tier: Tier, facts: Facts, result: LineAward) -> LineAward:
    assert tier.ratio is not None, f"tier {tier.id} has no ratio; _tier_gaps refuses it"
    counted = counted_fen(tier, facts, result.base_fen)
    amount = int(share_fen(counted, tier.ratio.num, tier.ratio.den))
    if tier.cap_fen is not None:
        amount = min(amount, tier.cap_fen)
    return replace(
        result, counted_fen=counted, tier_id=tier.id, ratio=tier.ratio, amount_fen=amount
    )


def counted_fen(tier: Tier, facts: Facts, base_fen: int) -> int:
    """Return the part of an amount that lies within the tier's first months, rounded down."""
    months = facts.get("line.contract_months")
    if tier.max_months is None or not isinstance(months, int) or months <= tier.max_months:
        return base_fen
    return int(share_fen(base_fen, tier.max_months, months))


def _capped(award: Award, application: Application, usage: Usage, view: CapView) -> Award:
    """Return the award within its caps, from the inside out: contract, award, applicant, group."""
    day = china_day(application.submitted_at)
    cuts: list[Cut] = []
    granted = by_contract_fen(award)
    for cap in (one for one in view.caps if one.scope is CapScope.CONTRACT):
        for contract, amount in granted.items():
            key = cap_key(cap, application, day, CLAIMED, contract)
            cut = cut_to(cap, amount, left_fen(cap, key, usage))
            if cut:
                cuts.append(cut)
                granted[contract] = cut.to_fen
    award = replace(award, lines=_with_contracts(award.lines, granted))
    amount = sum(granted.values())
    for scope in (CapScope.AWARD, CapScope.APPLICANT, CapScope.GROUP):
        for cap in (one for one in view.caps if one.scope is scope):
            key = cap_key(cap, application, day, CLAIMED)
            cut = cut_to(cap, amount, left_fen(cap, key, usage))
            if cut:
                cuts.append(cut)
                amount = cut.to_fen
    return replace(with_amount(award, amount), cuts=tuple(cuts))


def reserve(
    programme: Programme, application: Application, award: Award, usage: Usage, sign: int = 1
) -> None:
    """Take what an award uses of every cap (``sign`` -1: give it back); pools are ``rounds``'."""
    if award.amount_fen == 0:
        return
    day = china_day(application.submitted_at)
    for cap in caps_of(programme, application, CLAIMED).caps:
        if cap.scope is CapScope.CONTRACT:
            for contract, amount in by_contract_fen(award).items():
                usage.add(cap_key(cap, application, day, CLAIMED, contract), sign * amount)
        elif cap.scope is not CapScope.POOL:
            usage.add(cap_key(cap, application, day, CLAIMED), sign * award.amount_fen)
    sound = {line.line_id for line in award.lines if line.amount_fen > 0}
    keys = {key for line in application.lines if line.id in sound
            for key in spend_keys(programme, line)}  # fmt: skip
    if sign > 0:
        usage.spent.update(keys)
    else:
        usage.spent.difference_update(keys)
