"""What an applicant is told, in English and Chinese: a message for each step that concerns it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from suanwang.units import yuan_text
from voucher.grants.case import Action, Case, Event, State
from voucher.programmes.application import CHINA
from voucher.wording import Language, joined, texts


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message; ``code`` is the state it leads to, or the act."""

    code: str
    text_en: str
    text_zh: str


_BY_STATE: Final[Mapping[State, tuple[str, str]]] = {
    State.REVIEW: (
        "Application {id} is under review, at stage {stage}.",
        "申请 {id} 正在审核，当前环节：{stage}。",
    ),
    State.READY: (
        "Application {id} passed its review and waits for the decision of the round.",
        "申请 {id} 已通过审核，等待本轮统一审定。",
    ),
    State.RETURNED: (
        "Application {id} came back for correction: {reason}. Correct it and hand it in again.",
        "申请 {id} 被退回补正：{reason}。请修改后重新提交。",
    ),
    State.PUBLICITY: (
        "Application {id} is granted {award} CNY and is public until {until}.",
        "申请 {id} 拟兑现 {award} 元，公示至 {until}。",
    ),
    State.GRANTED: (
        "Application {id} is granted {award} CNY.",
        "申请 {id} 已核定 {award} 元。",
    ),
    State.ISSUED: (
        "The voucher of application {id} over {award} CNY is issued and can be used.",
        "申请 {id} 的算力券 {award} 元已发放，可以使用。",
    ),
    State.SETTLED: (
        "Application {id} is settled: {settled} CNY were paid out.",
        "申请 {id} 已兑付完毕，共 {settled} 元。",
    ),
    State.REJECTED: (
        "Application {id} is rejected: {reason}",
        "申请 {id} 未通过：{reason}",
    ),
    State.WITHDRAWN: (
        "Application {id} is withdrawn; what it claimed is free again.",
        "申请 {id} 已撤回，占用的额度已释放。",
    ),
    State.CLAWBACK: (
        "Money of application {id} is demanded back: {reason}. A second person will decide.",
        "申请 {id} 的资金拟被追回：{reason}。将由另一人复核决定。",
    ),
    State.EXPIRED: (
        "The voucher of application {id} has ended; {amount} CNY of it were not used.",
        "申请 {id} 的算力券已到期，未使用 {amount} 元。",
    ),
    State.LAPSED: (
        "The time to redeem the claim of application {id} is over; {amount} CNY were not redeemed.",
        "申请 {id} 的兑付期限已过，{amount} 元未兑付，额度已释放。",
    ),
    State.RECLAIMED: (
        "{amount} CNY of application {id} must be paid back.",
        "申请 {id} 须退回 {amount} 元。",
    ),
}
_BY_ACTION: Final[Mapping[Action, tuple[str, str]]] = {
    Action.REDEEM: (
        "{amount} CNY of application {id} are redeemed and will be paid out.",
        "申请 {id} 已申请兑付 {amount} 元，等待拨付。",
    ),
    Action.SETTLE: (
        "{amount} CNY of application {id} were paid, bank receipt {reason}; {settled} CNY in all.",
        "申请 {id} 已拨付 {amount} 元，银行回单号 {reason}，累计 {settled} 元。",
    ),
    Action.WARN: (
        "Until {end}, {amount} CNY of application {id} can still be used or redeemed.",
        "申请 {id} 尚有 {amount} 元未使用或未兑付，截止 {end}，请尽快办理。",
    ),
    Action.END: (
        "The time to redeem the claim of application {id} is over; {amount} CNY were not redeemed.",
        "申请 {id} 的兑付期限已过，{amount} 元未兑付，额度已释放。",
    ),
    Action.FREE: (
        "{amount} CNY of application {id} came back; your caps are free of them again.",
        "申请 {id} 已收回 {amount} 元，占用的限额相应释放。",
    ),
    Action.OVERDUE: (
        "Application {id} has not moved in time, at stage {stage}: {reason}. The office is told.",
        "申请 {id} 在环节 {stage} 逾期未办：{reason}。已提醒经办单位。",
    ),
    Action.REFUSE_CLAWBACK: (
        "The demand to pay back money of application {id} is dropped.",
        "对申请 {id} 的追回要求已取消。",
    ),
}
_SILENT: Final = frozenset({Action.CREATE, Action.EDIT, Action.ATTACH})
_ABOUT_MONEY: Final = frozenset({Action.WARN, Action.END, Action.FREE})


def message_of(case: Case, event: Event) -> Message | None:
    """Return what the applicant is told after an act; ``case`` is as it stands then."""
    is_empty = event.action in _ABOUT_MONEY and event.amount_fen == 0
    is_end = event.action is Action.END and case.state is State.EXPIRED
    if event.action in _SILENT or (is_empty and not is_end):
        return None
    pair, code = _BY_STATE.get(case.state, ("", "")), case.state.value
    if event.action is Action.SETTLE:
        pair = _BY_ACTION[Action.SETTLE]
        code = code if case.state is State.SETTLED else event.action.value
    elif event.action in _BY_ACTION and not _is_last_word(case, event):
        pair, code = _BY_ACTION[event.action], event.action.value
    return Message(
        code=code,
        text_en=_text(pair[0], case, event, Language.ENGLISH),
        text_zh=_text(pair[1], case, event, Language.CHINESE),
    )


def _text(text: str, case: Case, event: Event, language: Language) -> str:
    """Return a message in a language, with what made the award smaller, if anything did."""
    told = text.format(
        id=case.id,
        stage=case.stage,
        reason=_reason(event, language),
        award=yuan_text(case.award_fen),
        amount=yuan_text(event.amount_fen),
        settled=yuan_text(case.settled_fen),
        until=_day(case.publicity_ends_at),
        end=_day(case.ends_at),
    )
    if not event.why or case.state is State.REJECTED:
        return told
    cuts = joined(texts(event.why, language), language)
    return f"{told}核减原因：{cuts}。" if language is Language.CHINESE else f"{told} Cut: {cuts}."


def _reason(event: Event, language: Language) -> str:
    """Return why, in a language; what people wrote is told as they wrote it."""
    if event.why:
        return joined(texts(event.why, language), language)
    own = event.reason_zh if language is Language.CHINESE else ""
    return (own or event.reason).strip().rstrip(".。") or "–"


def _is_last_word(case: Case, event: Event) -> bool:
    """Say whether the state that an act has led to tells more than the act."""
    if event.action is Action.END:
        return case.state in (State.EXPIRED, State.LAPSED)
    is_act = event.action in (Action.REFUSE_CLAWBACK, Action.FREE)
    return case.state is State.SETTLED and not is_act


def _day(moment: datetime | None) -> str:
    return "–" if moment is None else f"{moment.astimezone(CHINA):%Y-%m-%d %H:%M}"
