"""What people must look at: a code, its figures, and the sentence in English and Chinese.

A flag is a question, never a verdict. Its sentence is made from the code's words and the flag's
facts when it is read; ``wording`` says how figures are named and written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from voucher.wording import FactValue, Language, Words, render


class FlagCode(StrEnum):
    """What was noticed; ``is_blocking`` ones keep an application from being handed in."""

    NO_POWER = "no-power"
    NO_USE = "no-use"
    NOT_METERED = "not-metered"
    NIGHT_ONLY = "night-only"
    RELATED_PARTY = "related-party"
    RELATED_DENIED = "related-denied"
    INVOICE_TWICE = "invoice-twice"
    INVOICE_ELSEWHERE = "invoice-elsewhere"
    CONTRACT_ELSEWHERE = "contract-elsewhere"
    CONTRACT_SPLIT = "contract-split"
    REGISTRY_DIFFERS = "registry-differs"
    SPLIT_CONTRACT = "split-contract"
    SAME_APPLICANT = "same-applicant"
    CODE_NOT_ON_FILE = "code-not-on-file"

    @property
    def is_blocking(self) -> bool:
        """One invoice is paid once, whatever a policy says."""
        return self in (FlagCode.INVOICE_TWICE, FlagCode.INVOICE_ELSEWHERE)


WORDS: Final[Mapping[FlagCode, Words]] = {
    FlagCode.NO_POWER: Words(
        en="run {attempt_id}: {units} busy units take {busy_mwh}; all IT of the site took "
        "{site_it_mwh} ({quality}, {coverage_ppm} of the time was read)",
        zh="运行 {attempt_id}：{units} 个单元满载应耗 {busy_mwh}，全机房 IT 设备仅耗 {site_it_mwh}"
        "（数据质量 {quality}，时间覆盖率 {coverage_ppm}）",
    ),
    FlagCode.NO_USE: Words(
        en="run {attempt_id}: its kind of unit was busy for {use_ppm} of the billed time "
        "({quality}, {coverage_ppm} of the time was read)",
        zh="运行 {attempt_id}：计费期间该类算力利用率仅 {use_ppm}"
        "（数据质量 {quality}，时间覆盖率 {coverage_ppm}）",
    ),
    FlagCode.NOT_METERED: Words(
        en="run {attempt_id}: neither power nor utilisation was read for half of its time or more "
        "(power {it_coverage_ppm}, utilisation {use_coverage_ppm})",
        zh="运行 {attempt_id}：用电与利用率的计量均不足运行时间的一半"
        "（用电 {it_coverage_ppm}，利用率 {use_coverage_ppm}）",
    ),
    FlagCode.NIGHT_ONLY: Words(
        en="all {runs} paid runs of {tenant_id} lie between 22:00 and 08:00, are of {units} units "
        "and equally long ({minutes} minutes); load was read for {measured_runs} of them and lay "
        "between {low_ppm} and {high_ppm}",
        zh="{tenant_id} 的全部 {runs} 次付费运行均在 22:00 至 08:00 之间，规模均为 {units} 个单元，"
        "时长相同（{minutes} 分钟）；其中 {measured_runs} 次有负载计量，"
        "负载在 {low_ppm} 至 {high_ppm} 之间",
    ),
    FlagCode.RELATED_PARTY: Words(
        en="{customer} and {provider} are related: {path}",
        zh="{customer} 与 {provider} 存在关联关系：{path}",
    ),
    FlagCode.RELATED_DENIED: Words(
        en="the application denies that {customer} and {provider} are related: {path}",
        zh="申报称 {customer} 与 {provider} 无关联关系，但查得：{path}",
    ),
    FlagCode.INVOICE_TWICE: Words(
        en="invoice {invoice} line {line} was handed in {times} times: {uses}",
        zh="发票 {invoice} 第 {line} 行被使用 {times} 次：{uses}",
    ),
    FlagCode.INVOICE_ELSEWHERE: Words(
        en="invoice {invoice} is in another application already: {whose_en}",
        zh="发票 {invoice} 已用于其他申报：{whose_zh}",
    ),
    FlagCode.CONTRACT_ELSEWHERE: Words(
        en="contract {contract} is in another applicant's application {application} under "
        "{programme} too",
        zh="合同 {contract} 也出现在其他申报主体的申报 {application}（{programme}）中",
    ),
    FlagCode.CONTRACT_SPLIT: Words(
        en="contract {contract} is in the same applicant's application {application} under "
        "{programme} too",
        zh="合同 {contract} 也出现在同一申报主体的申报 {application}（{programme}）中",
    ),
    FlagCode.REGISTRY_DIFFERS: Words(
        en="{kind} {number} is registered otherwise: {fields}",
        zh="{kind} {number} 与登记信息不一致：{fields}",
    ),
    FlagCode.SPLIT_CONTRACT: Words(
        en="contracts {contracts} (and {others} of related parties), signed from {first} to "
        "{last}, are each under {limit_fen} and together {together_fen}; the limit is that of "
        "{source}",
        zh="合同 {contracts}（另有关联方合同 {others} 份）签于 {first} 至 {last}，"
        "单份均低于 {limit_fen}，合计 {together_fen}；限额依据 {source}",
    ),
    FlagCode.SAME_APPLICANT: Words(
        en="the same applicant has living applications under this programme: {applications}",
        zh="同一申报主体在本政策下另有在办申报：{applications}",
    ),
    FlagCode.CODE_NOT_ON_FILE: Words(
        en="tenant {tenant_id} is registered without the code it applies with",
        zh="用户 {tenant_id} 在平台登记时没有申报所用的统一社会信用代码",
    ),
}
"""The sentence of each code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """Something noticed, with its figures; ``line_id`` is the line it is about, if about one."""

    code: FlagCode
    facts: Mapping[str, FactValue] = field(default_factory=dict)
    line_id: str = ""

    @property
    def message(self) -> str:
        """The sentence in English."""
        return self.text(Language.ENGLISH)

    @property
    def message_zh(self) -> str:
        """The sentence in Chinese."""
        return self.text(Language.CHINESE)

    def text(self, language: Language) -> str:
        """Return the sentence in a language."""
        return say(self.code, self.facts, language)

    def document(self) -> dict[str, object]:
        """Return the flag as JSON holds it, with both sentences."""
        return {
            "code": self.code.value,
            "line_id": self.line_id,
            "message": self.message,
            "message_zh": self.message_zh,
            "facts": dict(self.facts),
        }


def flag(code: FlagCode, line_id: str = "", **facts: FactValue) -> Flag:
    """Return a flag with its figures."""
    return Flag(code=code, facts=facts, line_id=line_id)


def read_flag(document: Mapping[str, object]) -> Flag:
    """Return a flag from its document; the sentences are made anew."""
    facts = document.get("facts")
    assert isinstance(facts, Mapping), f"{document} has no facts"
    return Flag(
        code=FlagCode(str(document["code"])),
        facts=dict(facts),
        line_id=str(document.get("line_id", "")),
    )


def say(code: FlagCode, facts: Mapping[str, FactValue], language: Language) -> str:
    """Return the sentence of a code with its facts; raise KeyError for a fact that is missing."""
    return render(WORDS[code], facts, language)
