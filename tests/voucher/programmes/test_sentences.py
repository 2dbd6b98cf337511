"""Reasons of programmes: a code with figures, and its sentence in English and Chinese."""

import re
from datetime import date
from typing import Final

import pytest
from programme_builders import a_document, a_line, a_programme, an_application

from suanwang.document import Document
from voucher.programmes.award import assess
from voucher.programmes.facts import FACTS, Fact, FactKind
from voucher.programmes.findings import Cut, Finding, finding
from voucher.programmes.predicate import Op, Predicate, failures
from voucher.programmes.programme import Programme
from voucher.programmes.sentences import KINDS, OPS, USES, WORDS, Code, Use
from voucher.programmes.usage import Usage
from voucher.programmes.values import read_policy
from voucher.wording import Language, Words, names_in, texts

CHINESE: Final = re.compile(r"[\u4e00-\u9fff]")
ALL: Final[dict[str, Words]] = {
    **{code.value: words for code, words in WORDS.items()},
    **{f"op {op}": words for op, words in OPS.items()},
    **{f"use {use.value}": words for use, words in USES.items()},
    **{f"kind {kind.value}": words for kind, words in KINDS.items()},
}


@pytest.mark.parametrize("name", ALL)
def test_all_words_are_there_in_both_languages_with_the_same_figures(name: str) -> None:
    words = ALL[name]
    assert CHINESE.search(words.zh)
    assert not CHINESE.search(words.en)
    assert set(names_in(words.en)) == set(names_in(words.zh))


def test_every_code_op_use_and_kind_has_its_words() -> None:
    assert set(WORDS) == set(Code)
    assert set(OPS) == {op.value for op in Op}
    assert set(USES) == set(Use)
    assert set(KINDS) == set(FactKind)


def test_every_common_fact_has_a_chinese_name_of_its_own() -> None:
    names = [fact.name_zh for fact in FACTS.values()]
    assert all(CHINESE.search(name) for name in names)
    assert len(set(names)) == len(names)


KNOWN: Final = {
    "applicant.region": Fact(FactKind.TEXT, "where", "注册地"),
    "applicant.is_dishonest": Fact(FactKind.FLAG, "is dishonest", "是否失信"),
    "line.paid_fen": Fact(FactKind.FEN, "paid", "实付金额"),
    "line.paid_on": Fact(FactKind.DATE, "when", "付款日期"),
    "applicant.size": Fact(FactKind.COUNT, "how large"),
}


def told(stated: object, **predicate: object) -> tuple[Finding, str, str]:
    """Return the one failure of a predicate on a stated value, and its sentences."""
    one = Predicate.model_validate(predicate)
    facts = {} if stated is None else {one.fact: stated}
    (found,) = failures([one], facts, KNOWN, "eligibility")  # type: ignore[arg-type]  # odd values
    return found, found.message, found.message_zh


def test_a_condition_tells_what_was_stated_and_what_is_wanted_in_yuan() -> None:
    found, english, chinese = told(5_000, fact="line.paid_fen", op="ge", value=10_000_000)
    assert found.code is Code.PREDICATE_FAILED
    assert found.facts == {
        "fact": "line.paid_fen",
        "fact_zh": "实付金额",
        "kind": "fen",
        "op": "ge",
        "wanted": 10_000_000,
        "stated": 5_000,
    }
    assert english == "line.paid_fen is 50.00 CNY; needed: line.paid_fen is at least 100,000.00 CNY"
    assert chinese == (
        "实付金额（line.paid_fen）为50.00 元；要求：实付金额（line.paid_fen）不低于100,000.00 元"
    )


def test_yes_and_no_are_words_and_the_reason_of_the_policy_follows() -> None:
    _, english, chinese = told(True, fact="applicant.is_dishonest", op="is_false", because="失信")
    assert english == (
        "applicant.is_dishonest is yes; needed: applicant.is_dishonest is false (失信)"
    )
    assert chinese.startswith("是否失信（applicant.is_dishonest）为是；要求：")
    assert chinese.endswith("为否（失信）")


def test_an_unknown_fact_says_what_it_is_needed_for() -> None:
    found, english, chinese = told(
        None, fact="applicant.region", op="in", value=["Qingdao", "Jinan"]
    )
    assert (found.code, found.facts["use"]) == (Code.FACT_UNKNOWN, "condition")
    assert english == (
        "applicant.region is not known; needed: applicant.region is one of Qingdao, Jinan"
    )
    assert chinese.endswith("未填报；要求：注册地（applicant.region）属于Qingdao, Jinan之一")


def test_a_value_of_another_kind_and_a_fact_without_a_chinese_name() -> None:
    found, english, chinese = told("many", fact="applicant.size", op="ge", value=3)
    assert found.code is Code.FACT_UNUSABLE
    assert english == "applicant.size is many, not a usable whole number"
    assert chinese == "applicant.size为many，不是可用的整数"


def test_days_are_written_as_in_tables() -> None:
    _, english, _ = told(date(2024, 1, 2), fact="line.paid_on", op="le", value=date(2023, 12, 31))
    assert english == "line.paid_on is 2024-01-02; needed: line.paid_on is at most 2023-12-31"


def test_a_line_without_a_tier_tells_the_reasons_of_all_tiers() -> None:
    tiers = [
        {"id": "home", "ratio": {"num": 3, "den": 10},
         "when": [{"fact": "line.is_domestic", "op": "is_true"}]},
        {"id": "far", "ratio": {"num": 1, "den": 5},
         "when": [{"fact": "line.purpose", "op": "eq", "value": "training"}]},
    ]  # fmt: skip
    line = a_line(contract_fen=100, is_domestic=False, purpose="other")
    award = assess(a_programme(tiers=tiers), an_application("a1", line), Usage())
    found = next(one for one in award.reasons if one.code is Code.NO_TIER)
    assert [one.path for one in found.causes] == ["tiers.home.when.0", "tiers.far.when.0"]
    assert found.message == (
        "no tier fits this line: line.is_domestic is no; needed: line.is_domestic is true; "
        "line.purpose is other; needed: line.purpose is training"
    )
    assert found.message_zh.startswith(
        "没有适用于该明细的补贴档次：是否国产算力（line.is_domestic）为否"
    )
    causes = found.document()["causes"]
    assert isinstance(causes, list)
    assert causes[0]["facts"]["stated"] == "no"


def test_sentences_about_a_line_carry_its_id_and_come_once() -> None:
    twice = [finding(Code.NOTHING_COUNTS, "spend"), finding(Code.NOTHING_COUNTS, "spend")]
    used = finding(
        Code.SPEND_USED, "stacking", "l2", paper_en="invoice", paper_zh="发票", number="7"
    )
    assert texts([*twice, used], Language.CHINESE) == [
        "没有可计入的支出明细；原因见各明细",
        "l2: 发票 7 已申报过",
    ]


def test_a_cut_tells_both_amounts() -> None:
    cut = Cut(code=Code.ABOVE_CAP, path="caps.applicant", from_fen=120_000_000, to_fen=100_000_000)
    assert cut.document() == {
        "code": "above-cap",
        "path": "caps.applicant",
        "message": "caps.applicant leaves 1,000,000.00 CNY of 1,200,000.00 CNY",
        "message_zh": "受限额 caps.applicant 限制，由 1,200,000.00 元 减至 1,000,000.00 元",
        "from_fen": 120_000_000,
        "to_fen": 100_000_000,
    }


@pytest.mark.parametrize(
    ("valid", "english", "chinese"),
    [
        pytest.param(
            {"from": date(2026, 1, 1)},
            "applied on 2025-05-01; the policy holds from 2026-01-01 on",
            "申报日期为 2025-05-01；政策有效期自 2026-01-01 起",
            id="open end",
        ),
        pytest.param(
            {"from": date(2024, 1, 1), "to": date(2024, 12, 31)},
            "applied on 2025-05-01; the policy holds from 2024-01-01 to 2024-12-31",
            "申报日期为 2025-05-01；政策有效期自 2024-01-01 至 2024-12-31",
            id="over",
        ),
    ],
)
def test_the_days_of_a_policy(valid: dict[str, date], english: str, chinese: str) -> None:
    document = a_document() | {"valid": valid}
    policy = read_policy(Document(name="plain.yaml", value=document, root=None))
    award = assess(Programme.of(policy), an_application("a1", a_line(contract_fen=100)), Usage())
    (found,) = [one for one in award.reasons if one.code is Code.NOT_IN_FORCE]
    assert (found.message, found.message_zh) == (english, chinese)
