"""The words of a programme's reasons, in English and Chinese: the one place that has them.

A reason is written from its figures alone, so a stored one can be read in either language. Figures
about a fact: ``fact`` (and ``fact_zh``, its Chinese name), the ``kind`` of its value, the ``op``
and the ``wanted`` value of a condition, the ``stated`` value, why it is asked (``because``).
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from voucher.programmes.facts import FactKind
from voucher.wording import FactValue, Figures, Language, Words, money, render

CAUSES: Final = "causes"


class Code(StrEnum):
    """Reasons of a programme; docs/reasons.md explains each."""

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
    WRONG_KIND = "wrong-kind"
    NO_CLAIM = "no-claim"
    OTHER_VERSION = "other-version"
    LINE_MISSING = "line-missing"
    NOTHING_NEW = "nothing-new"
    TOO_LATE = "too-late"
    NO_CLAWBACK = "no-clawback"
    SAME_PERSON = "same-person"
    NO_STAGE = "no-stage"
    STAGE_DONE = "stage-done"
    OUT_OF_ORDER = "out-of-order"


class Use(StrEnum):
    """What a fact is needed for."""

    CONDITION = "condition"
    RANKING = "ranking"
    ONCE = "once"
    ONE_SIDE = "one-side"
    BY_CONTRACT = "by-contract"
    BASE = "base"
    TERM = "term"
    GROUP = "group"
    PAID = "paid"


WORDS: Final[Mapping[Code, Words]] = {
    Code.PREDICATE_FAILED: Words(
        en="{fact} is {stated}; needed: {fact} {op}{because}",
        zh="{fact}为{stated}；要求：{fact}{op}{because}",
    ),
    Code.FACT_UNKNOWN: Words(
        en="{fact} is not known; {use}{because}",
        zh="{fact}未填报；{use}{because}",
    ),
    Code.FACT_UNUSABLE: Words(
        en="{fact} is {stated}, not {kind}{because}",
        zh="{fact}为{stated}，不是{kind}{because}",
    ),
    Code.VALUE_NOT_SEEN: Words(
        en="{place} of {policy} was not seen in any source: fill it in a version of your own",
        zh="{policy} 的 {place} 在任何来源中均未查到：请在自己的版本中填写",
    ),
    Code.NOT_IN_FORCE: Words(
        en="applied on {applied_on}; the policy holds from {first_day}{last_day}",
        zh="申报日期为 {applied_on}；政策有效期自 {first_day} {last_day}",
    ),
    Code.WINDOW_CLOSED: Words(
        en="applied at {applied_at}; open from {opens_at} until {closes_at}",
        zh="申报时间为 {applied_at}；受理时间自 {opens_at} 至 {closes_at}",
    ),
    Code.BELOW_MINIMUM: Words(
        en="counted spend is {counted_fen}; at least {least_fen} are needed",
        zh="计入的支出为 {counted_fen}；至少须达 {least_fen}",
    ),
    Code.NO_TIER: Words(
        en="no tier fits this line: {causes}",
        zh="没有适用于该明细的补贴档次：{causes}",
    ),
    Code.NOTHING_COUNTS: Words(
        en="no spend line counts; each says why",
        zh="没有可计入的支出明细；原因见各明细",
    ),
    Code.EXCLUDED_BY_OTHER: Words(
        en="has {other} already, which excludes {policy}",
        zh="已享受 {other}，不得再享受 {policy}",
    ),
    Code.SPEND_USED: Words(
        en="{paper} {number} was claimed already",
        zh="{paper} {number} 已申报过",
    ),
    Code.ABOVE_CAP: Words(
        en="{path} leaves {to_fen} of {from_fen}",
        zh="受限额 {path} 限制，由 {from_fen} 减至 {to_fen}",
    ),
    Code.POOL_SHORT: Words(
        en="the pool {path} is short and leaves {to_fen} of {from_fen}",
        zh="资金池 {path} 不足，由 {from_fen} 减至 {to_fen}",
    ),
    Code.POOL_EXHAUSTED: Words(
        en="the pool is used up; nothing is left for this application over {asked_fen}",
        zh="资金池已用完；本申请的 {asked_fen} 无可用资金",
    ),
    Code.FUNDERS_DO_NOT_ADD_UP: Words(
        en="the funders of this applicant ({parts}) do not make a whole",
        zh="该申报主体的出资方（{parts}）合计不足或超过全额",
    ),
    Code.WRONG_MODE: Words(
        en="{policy} is in mode {mode}; only {needed_mode} redeems a claim",
        zh="{policy} 的方式为 {mode}；只有 {needed_mode} 可以兑付",
    ),
    Code.WRONG_KIND: Words(
        en="a voucher of kind {benefit} cannot pay for jobs; its mode must be another than deduct",
        zh="{benefit} 类的券不能抵扣作业费用；其方式不得为 deduct",
    ),
    Code.NO_CLAIM: Words(
        en="application {application} has no claim to redeem",
        zh="申请 {application} 没有可兑付的额度",
    ),
    Code.OTHER_VERSION: Words(
        en="the claim was made under digest {digest}…, not under {policy}",
        zh="该额度按摘要 {digest}… 的政策版本核定，而非 {policy}",
    ),
    Code.LINE_MISSING: Words(
        en="line {line} of the claim is not in the request",
        zh="请求中缺少额度的明细 {line}",
    ),
    Code.NOTHING_NEW: Words(
        en="nothing more was paid than is redeemed already",
        zh="没有超出已兑付部分的新付款",
    ),
    Code.TOO_LATE: Words(
        en="redeemed on {redeemed_on}; the last day was {last_day}",
        zh="兑付日期为 {redeemed_on}；截止日为 {last_day}",
    ),
    Code.NO_CLAWBACK: Words(
        en="{policy} takes nothing back for {trigger}; its triggers: {known}",
        zh="{policy} 未规定因 {trigger} 追回；其追回情形：{known}",
    ),
    Code.SAME_PERSON: Words(
        en="{person} did {earlier}; somebody else must do {stage} (four eyes)",
        zh="{person} 已办理 {earlier}；{stage} 须由他人办理（双人复核）",
    ),
    Code.NO_STAGE: Words(
        en="{policy} has no stage {stage}; its stages: {known}",
        zh="{policy} 没有环节 {stage}；其环节：{known}",
    ),
    Code.STAGE_DONE: Words(en="{stage} is done already", zh="环节 {stage} 已办结"),
    Code.OUT_OF_ORDER: Words(
        en="{stage} comes after {earlier}", zh="环节 {stage} 须在 {earlier} 之后办理"
    ),
}
"""The sentence of each code."""

OPS: Final[Mapping[str, Words]] = {
    "eq": Words(en="is {wanted}", zh="为{wanted}"),
    "in": Words(en="is one of {wanted}", zh="属于{wanted}之一"),
    "not_in": Words(en="is none of {wanted}", zh="不属于{wanted}"),
    "ge": Words(en="is at least {wanted}", zh="不低于{wanted}"),
    "le": Words(en="is at most {wanted}", zh="不高于{wanted}"),
    "is_true": Words(en="is true", zh="为是"),
    "is_false": Words(en="is false", zh="为否"),
}
"""What an op asks, after the name of the fact."""

USES: Final[Mapping[Use, Words]] = {
    Use.CONDITION: Words(en="needed: {fact} {op}", zh="要求：{fact}{op}"),
    Use.RANKING: Words(en="applications are ranked by it", zh="按此项对申请排序"),
    Use.ONCE: Words(en="it may be claimed once only", zh="只能申报一次"),
    Use.ONE_SIDE: Words(
        en="one side of a contract may claim it, never both", zh="合同双方只能有一方申报"
    ),
    Use.BY_CONTRACT: Words(en="a cap adds up by contract", zh="限额按合同累计"),
    Use.BASE: Words(en="the ratio is applied to it", zh="补贴比例以此为基数"),
    Use.TERM: Words(en="the tier pays for {months} months", zh="该档次补贴 {months} 个月"),
    Use.GROUP: Words(
        en="state the applicant's own id if it has none", zh="没有集团的请填写申报主体自身代码"
    ),
    Use.PAID: Words(en="a claim is redeemed on what was paid", zh="按实际付款兑付"),
}
"""What a fact is needed for."""

KINDS: Final[Mapping[FactKind, Words]] = {
    FactKind.TEXT: Words(en="a text", zh="文本"),
    FactKind.FLAG: Words(en="yes or no", zh="是或否"),
    FactKind.FEN: Words(en="an amount in fen", zh="以分为单位的金额"),
    FactKind.COUNT: Words(en="a usable whole number", zh="可用的整数"),
    FactKind.DATE: Words(en="a day", zh="日期"),
}
"""What a value should have been."""

_FLAGS: Final = {"yes": Words(en="yes", zh="是"), "no": Words(en="no", zh="否")}


def say(code: Code, figures: Figures, language: Language) -> str:
    """Return the sentence of a code; raise KeyError for a figure that is missing."""
    return render(WORDS[code], _with_phrases(figures, language), language)


def value_words(value: FactValue, kind: str, language: Language = Language.ENGLISH) -> str:
    """Write a fact's value as it stands in figures: money with its unit, yes and no as words."""
    if kind == FactKind.FEN and isinstance(value, int):
        return money(value, language)
    if kind == FactKind.FLAG and value in _FLAGS:
        return _FLAGS[str(value)].of(language)
    return str(value)


def _with_phrases(figures: Figures, language: Language) -> Figures:
    """Return figures in which those that stand for words of their own are written out."""
    shown: dict[str, FactValue] = {**figures, **_of_fact(figures, language)}
    if "first_day" in figures:
        shown["last_day"] = _until(str(figures["last_day"]), language)
    if "op" in figures:
        shown["op"] = render(OPS[str(figures["op"])], shown, language)
    if "use" in figures:
        shown["use"] = render(USES[Use(str(figures["use"]))], shown, language)
    if "kind" in figures:
        shown["kind"] = KINDS[FactKind(str(figures["kind"]))].of(language)
    return shown


def _of_fact(figures: Figures, language: Language) -> dict[str, FactValue]:
    """Return the name of the fact, its values and why it is asked, as a sentence has them."""
    shown: dict[str, FactValue] = {"because": ""}
    for name in ("stated", "wanted"):
        if name in figures:
            shown[name] = value_words(figures[name], str(figures.get("kind", "")), language)
    if "fact_zh" in figures:
        shown["fact_zh"] = f"{figures['fact_zh']}（{figures['fact']}）"
    if "because" in figures:
        why = figures["because"]
        shown["because"] = f"（{why}）" if language is Language.CHINESE else f" ({why})"
    return shown


def _until(last_day: str, language: Language) -> str:
    if language is Language.CHINESE:
        return f"至 {last_day}" if last_day else "起"
    return f" to {last_day}" if last_day else " on"
