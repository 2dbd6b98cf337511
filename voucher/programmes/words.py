"""A policy in words: what it gives, to whom, how much at most, and what nobody could read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from suanwang.units import FEN_PER_YUAN, yuan_text
from voucher.programmes.life import is_reusing
from voucher.programmes.predicate import Predicate, predicate_text
from voucher.programmes.schema import (
    Cap,
    CapScope,
    Counts,
    Funder,
    LastOne,
    Mode,
    Period,
    Policy,
    Ratio,
    ShortageRule,
    Stage,
    Take,
    Tier,
    is_unseen,
)
from voucher.programmes.values import digest, gaps, leaves, mark_of

UNSEEN = "NOT SEEN"
_FEN_PER_WAN = 10_000 * FEN_PER_YUAN
_FEN_PER_YI = 10_000 * _FEN_PER_WAN

_MODES = {
    Mode.DEDUCT: "deducted from the price at purchase; the provider is settled afterwards",
    Mode.CLAIM_THEN_REDEEM: "claimed on a signed contract, redeemed after payment",
    Mode.REIMBURSE: "a part of what was spent is paid back afterwards",
}
_RULES = {
    ShortageRule.FCFS: "first come, first served",
    ShortageRule.PRORATA: "all in proportion to their claims (largest remainder)",
    ShortageRule.RANKED: "by rank",
}
_LAST = {
    LastOne.PARTIAL: "the last one gets what is left",
    LastOne.REFUSE: "who does not fit gets nothing",
}
_SCOPES = {
    CapScope.CONTRACT: "each contract",
    CapScope.AWARD: "each award",
    CapScope.APPLICANT: "each applicant",
    CapScope.GROUP: "each group of related enterprises",
    CapScope.POOL: "all together",
}
_PERIODS = {
    Period.LIFE: "in all",
    Period.YEAR: "a calendar year",
    Period.QUARTER: "a quarter",
    Period.MONTH: "a month",
}
_COUNTS = {
    Counts.CLAIMED: "",
    Counts.REDEEMED: ", counting what is redeemed",
    Counts.BOTH: ", for what is claimed and for what is redeemed",
}

_FREES_POOL = (
    "not stated, so money that comes back frees the cap of the pool and no cap of the applicant"
)


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its sentences."""

    title: str
    lines: tuple[str, ...]


def in_words(policy: Policy) -> tuple[Section, ...]:
    """Return the whole policy in words, the gaps and the assumptions last."""
    return (
        Section("Programme", tuple(_identity(policy))),
        Section("Who may apply", _conditions(policy, policy.eligibility)),
        Section("Which spend counts", tuple(_spend(policy))),
        Section("How much", tuple(_tier(policy, tier) for tier in policy.tiers)),
        Section("Limits", tuple(_caps(policy))),
        Section("Who pays", tuple(_funders(policy))),
        Section("When the pool is short", tuple(_shortage(policy))),
        Section("How long it lasts", tuple(_validity(policy))),
        Section("Not together with", tuple(_stacking(policy))),
        Section("Review", tuple(_workflow(policy))),
        Section("Taking back", tuple(_clawback(policy))),
        Section("Not seen in any source (refused at use)", gaps(policy) or ("nothing",)),
        Section("Assumed", tuple(_marked(policy)) or ("nothing",)),
        Section("Sources", _sources(policy)),
    )


def money_text(amount_fen: int) -> str:
    """Write an amount in yuan, and in 万 or 亿 where it is a whole number of them."""
    yuan = f"{yuan_text(amount_fen)} CNY"
    whole, rest = divmod(amount_fen, _FEN_PER_YI)
    if whole and rest % (_FEN_PER_YI // 10) == 0:
        tenths = rest // (_FEN_PER_YI // 10)
        return f"{yuan} ({whole}{f'.{tenths}' if tenths else ''}亿)"
    if amount_fen and amount_fen % _FEN_PER_WAN == 0:
        return f"{yuan} ({amount_fen // _FEN_PER_WAN}万)"
    return yuan


def ratio_text(ratio: Ratio) -> str:
    """Write a ratio, in percent too where that is a whole number."""
    percent, rest = divmod(100 * ratio.num, ratio.den)
    shown = f"{percent} %" if rest == 0 else f"{ratio.num}/{ratio.den}"
    return f"up to {shown}" if ratio.at_most else shown


def _identity(policy: Policy) -> Iterator[str]:
    yield f"{policy.name.zh} ({policy.name.en}), {policy.ref}, digest {digest(policy)}"
    yield f"holds in {policy.region}"
    yield f"issued by {policy.issuer or UNSEEN}; basis: {policy.legal_basis or UNSEEN}"
    start, end = policy.valid.start or UNSEEN, policy.valid.end
    until = f" to {end}" if end else " on, no end stated"
    until = f" to {UNSEEN}" if is_unseen(policy.valid, "end") else until
    yield f"for applications from {start}{until}"
    if policy.window:
        opens, closes = policy.window.opens.isoformat(), policy.window.closes.isoformat()
        yield f"applications are taken from {opens} until {closes}"
    benefit = policy.benefit
    mode = _MODES[benefit.mode] if benefit.mode else UNSEEN
    yield f"a {benefit.kind} voucher for the {benefit.beneficiary or UNSEEN}: {mode}"


def _conditions(policy: Policy, predicates: Sequence[Predicate] | None) -> tuple[str, ...]:
    if predicates is None:
        return (UNSEEN,)
    return tuple(_condition(policy, one) for one in predicates) or ("no condition",)


def _condition(policy: Policy, predicate: Predicate) -> str:
    reason = f" ({predicate.because})" if predicate.because else ""
    return predicate_text(predicate, policy.known_facts) + reason


def _when(policy: Policy, predicates: Sequence[Predicate], word: str = "where") -> str:
    shown = " and ".join(_condition(policy, one) for one in predicates)
    return f", {word} {shown}" if shown else ""


def _spend(policy: Policy) -> Iterator[str]:
    spend = policy.spend
    yield f"counted is the amount {spend.base}" if spend.base else f"counted amount: {UNSEEN}"
    yield from _conditions(policy, spend.require)
    if is_unseen(spend, "min_total_fen"):
        yield f"at least in all: {UNSEEN}"
    elif spend.min_total_fen is not None:
        yield f"at least {money_text(spend.min_total_fen)} in all"
    if spend.redeem_require is None or spend.redeem_require:
        shown = "; ".join(_conditions(policy, spend.redeem_require))
        yield f"before redemption: {shown}"


def _tier(policy: Policy, tier: Tier) -> str:
    ratio = ratio_text(tier.ratio) if tier.ratio else f"ratio {UNSEEN}"
    text = f"{tier.id}: {ratio}{_when(policy, tier.when)}"
    if is_unseen(tier, "max_months"):
        text += f"; months: {UNSEEN}"
    elif tier.max_months is not None:
        text += f"; of at most {tier.max_months} months"
    if is_unseen(tier, "cap_fen"):
        text += f"; most for one line: {UNSEEN}"
    elif tier.cap_fen is not None:
        text += f"; at most {money_text(tier.cap_fen)} for one line"
    return text


def _caps(policy: Policy) -> Iterator[str]:
    if policy.caps is None:
        yield UNSEEN
        return
    if not policy.caps:
        yield "none"
    for cap in policy.caps:
        yield _cap(policy, cap)


def _cap(policy: Policy, cap: Cap) -> str:
    amount = UNSEEN if cap.amount_fen is None else f"at most {money_text(cap.amount_fen)}"
    period = UNSEEN if cap.period is None else _PERIODS[cap.period]
    unless = _when(policy, cap.unless, "unless")
    where = _when(policy, cap.when)
    return f"{cap.id}: {_SCOPES[cap.scope]} {amount} {period}{_COUNTS[cap.counts]}{where}{unless}"


def _funders(policy: Policy) -> Iterator[str]:
    if policy.funders is None:
        yield UNSEEN
    for funder in policy.funders or ():
        yield _funder(policy, funder)


def _funder(policy: Policy, funder: Funder) -> str:
    share = ratio_text(funder.share) if funder.share else f"share {UNSEEN}"
    return f"{funder.name} ({funder.id}): {share}{_when(policy, funder.when)}"


def _shortage(policy: Policy) -> Iterator[str]:
    shortage = policy.shortage
    if shortage is None:
        yield UNSEEN
        return
    yield _RULES[shortage.rule] if shortage.rule else f"rule {UNSEEN}"
    if shortage.last is not None:
        yield _LAST[shortage.last]
    elif is_unseen(shortage, "last"):
        yield f"the last one: {UNSEEN}"
    if "rank_by" in shortage.model_fields_set:
        yield f"ranked by {shortage.rank_by or UNSEEN}, more is better"
    if shortage.priority:
        yield f"first{_when(policy, shortage.priority, 'those of whom')}"


def _validity(policy: Policy) -> Iterator[str]:
    validity = policy.validity
    if validity is None:
        yield UNSEEN
        return
    words = {
        "days_from_issue": "days from issue",
        "hard_end": "last day of all",
        "redeem_within_days": "days in which a claim must be redeemed",
        "grace_days_running_jobs": "more days for jobs that run at the end",
        "unused": "what was not used goes to",
        "frees": "what goes back frees the caps of",
    }
    stated = [name for name in words if name in validity.model_fields_set]
    for name in stated:
        value = getattr(validity, name)
        yield f"{words[name]}: {UNSEEN if value is None else value}"
    if not stated:
        yield "no end is stated"


def _stacking(policy: Policy) -> Iterator[str]:
    stacking = policy.stacking
    if stacking is None or stacking.exclusive_with is None:
        yield UNSEEN
    elif stacking.exclusive_with:
        yield ", ".join(stacking.exclusive_with)
    else:
        yield "no other programme is excluded"
    if stacking and is_unseen(stacking, "once_per"):
        yield f"claimed once for each: {UNSEEN}"
    elif stacking and stacking.once_per:
        yield f"each {stacking.once_per} may be claimed once"


def _workflow(policy: Policy) -> Iterator[str]:
    if policy.workflow is None:
        yield UNSEEN
        return
    for number, stage in enumerate(policy.workflow, start=1):
        yield "; ".join([f"{number}. {stage.name} ({stage.id}), by {stage.role}", *_stage(stage)])
    if not policy.workflow:
        yield "no review"


def _stage(stage: Stage) -> Iterator[str]:
    if stage.evidence:
        yield f"evidence: {', '.join(stage.evidence)}"
    if "publicity_days" in stage.model_fields_set:
        days = UNSEEN if stage.publicity_days is None else stage.publicity_days
        yield f"made public for {days} days"
    if "review_days" in stage.model_fields_set:
        yield f"decided within {UNSEEN if stage.review_days is None else stage.review_days} days"
    if stage.not_same_as:
        yield f"not by who did {', '.join(stage.not_same_as)}"


def _clawback(policy: Policy) -> Iterator[str]:
    if policy.clawback is None:
        yield UNSEEN
        return
    takes = {Take.FULL: "all is taken back", Take.PRORATA: "the part not served is taken back"}
    for trigger in policy.clawback:
        text = f"{trigger.event} ({trigger.id}): "
        text += takes[trigger.take] if trigger.take else UNSEEN
        if trigger.ban_years:
            text += f"; out for {trigger.ban_years} years"
        elif is_unseen(trigger, "ban_years"):
            text += f"; ban: {UNSEEN}"
        if "frees" in trigger.model_fields_set:
            text += f"; frees the caps of: {trigger.frees or UNSEEN}"
        yield text
    if not policy.clawback:
        yield "nothing is taken back"


def _marked(policy: Policy) -> Iterator[str]:
    """Yield what is assumed, each mark once, with its note; and what the program assumes."""
    for path in policy.marks:
        if policy.marks[path].mark == "assumed":
            yield f"{path}: {policy.marks[path].note}"
    if is_reusing(policy) and "frees" not in getattr(policy.validity, "model_fields_set", ()):
        yield f"validity.frees: {_FREES_POOL}"
    for trigger in policy.clawback or ():
        if "frees" not in trigger.model_fields_set:
            yield f"clawback.{trigger.id}.frees: {_FREES_POOL}"


def _sources(policy: Policy) -> tuple[str, ...]:
    lines = tuple(f"{key} ({one.kind}): {one.where}" for key, one in policy.sources.items())
    own = sum(1 for path, _ in leaves(policy) if _is_decided(policy, path))
    return lines + ((f"decided by whoever wrote this version: {own} values",) if own else ())


def _is_decided(policy: Policy, path: str) -> bool:
    mark = mark_of(policy, path)
    return mark is not None and mark.mark == "decided"
