"""Rounds: who gets what of a pool that is too small."""

from collections.abc import Mapping

import pytest
from programme_builders import a_line, a_programme, an_application

from suanwang.errors import BadInput
from voucher.programmes.application import Application
from voucher.programmes.programme import Programme
from voucher.programmes.rounds import decide
from voucher.programmes.sentences import Code
from voucher.programmes.usage import Usage


def pool(amount: int | None, period: str = "life") -> dict[str, object]:
    return {"id": "pool", "scope": "pool", "period": period, "amount_fen": amount}


def a_round(
    shortage: Mapping[str, object] | None, amount: int = 100, **changes: object
) -> Programme:
    half = [{"id": "all", "ratio": {"num": 1, "den": 2}}]
    marks = {"*": {"mark": "decided"}}
    if shortage is None:
        marks["shortage"] = {"mark": "not_seen"}
    common = {"caps": [pool(amount)], "tiers": half, "shortage": shortage, "marks": marks}
    return a_programme(**{**common, **changes})


def asks(name: str, fen: int, day: str = "2025-05-01", **facts: int | bool) -> Application:
    line = a_line(contract_fen=2 * fen)
    return an_application(name, line, at=f"{day}T09:00:00+08:00", facts=facts)


def granted(programme: Programme, *applications: Application) -> dict[str, int]:
    awards = decide(programme, applications).awards
    return {award.application_id: award.amount_fen for award in awards}


THREE = (asks("b", 60, "2025-05-02"), asks("c", 30, "2025-05-03"), asks("a", 70, "2025-05-01"))
RANKED = {"rule": "ranked", "last": "partial", "rank_by": "applicant.score"}


@pytest.mark.parametrize(
    ("shortage", "expected"),
    [
        pytest.param(
            {"rule": "fcfs", "last": "partial"}, {"a": 70, "b": 30, "c": 0}, id="the rest"
        ),
        pytest.param({"rule": "fcfs", "last": "refuse"}, {"a": 70, "b": 0, "c": 30}, id="who fits"),
        # 70, 60 and 30 of 160 at 100: 43.75, 37.5, 18.75; two fen go to the largest remainders.
        pytest.param({"rule": "prorata"}, {"a": 44, "b": 37, "c": 19}, id="pro rata"),
    ],
)
def test_a_short_pool(shortage: dict[str, object], expected: dict[str, int]) -> None:
    assert granted(a_round(shortage), *THREE) == expected


def test_a_pool_that_suffices_needs_no_rule() -> None:
    assert granted(a_round(None, amount=160), *THREE) == {"a": 70, "b": 60, "c": 30}


def test_a_short_pool_without_a_readable_rule_grants_nothing() -> None:
    decision = decide(a_round(None), THREE)
    assert {award.amount_fen for award in decision.awards} == {0}
    reasons = {(one.code, one.path) for award in decision.awards for one in award.findings}
    assert reasons == {(Code.VALUE_NOT_SEEN, "shortage")}
    assert set(decision.usage.taken.values()) <= {0}


def test_a_pool_that_nobody_read_grants_nothing() -> None:
    marks = {"*": {"mark": "decided"}, "caps.pool.amount_fen": {"mark": "not_seen"}}
    programme = a_programme(caps=[pool(None)], marks=marks)
    award = decide(programme, THREE[:1]).awards[0]
    assert award.amount_fen == 0
    assert award.findings[0].path == "caps.pool.amount_fen"


def test_ranks_come_before_time() -> None:
    first, last = asks("late", 70, "2025-05-09", score=9), asks("early", 70, score=1)
    assert granted(a_round(RANKED), last, first) == {"late": 70, "early": 30}


def test_an_unranked_applicant_is_told() -> None:
    award = decide(a_round(RANKED), [asks("a", 10)]).awards[0]
    assert [(one.code, one.path) for one in award.findings] == [
        (Code.FACT_UNKNOWN, "shortage.rank_by")
    ]


def test_priority_is_served_before_all_others() -> None:
    priority = [{"fact": "applicant.has_provincial_voucher", "op": "is_true"}]
    applications = (asks("a", 80), asks("b", 80, "2025-06-01", has_provincial_voucher=True))
    rules: tuple[dict[str, object], ...] = (
        {"rule": "fcfs", "last": "partial"},
        {"rule": "prorata"},
    )
    for rule in rules:
        programme = a_round({**rule, "priority": priority})
        assert granted(programme, *applications) == {"b": 80, "a": 20}


def test_what_a_pool_cuts_is_told_and_given_back_to_the_other_caps() -> None:
    caps = [pool(50), {"id": "own", "scope": "applicant", "period": "year", "amount_fen": 90}]
    programme = a_round({"rule": "fcfs", "last": "partial"}, caps=caps)
    decision = decide(programme, [asks("a", 80), asks("b", 10, "2025-05-02")])
    first, second = decision.awards
    assert [(cut.code, cut.from_fen, cut.to_fen) for cut in first.cuts] == [
        (Code.POOL_SHORT, 80, 50)
    ]
    assert [one.code for one in second.findings] == [Code.POOL_EXHAUSTED]
    taken = {(key.cap_id, key.holder): fen for key, fen in decision.usage.taken.items()}
    assert taken == {("own", "a"): 50, ("own", "b"): 0, ("pool", ""): 50}
    assert [(use.claimed_fen, use.granted_fen) for use in decision.pools] == [(90, 50)]


def test_who_does_not_fit_leaves_its_caps_and_invoices_to_the_next() -> None:
    own = {"id": "own", "scope": "applicant", "period": "life", "amount_fen": 150}
    programme = a_round(
        {"rule": "fcfs", "last": "refuse"}, caps=[pool(100), own], stacking={"once_per": "invoice"}
    )
    claims = [
        an_application(
            f"a{number}",
            a_line(contract_fen=fen, invoice_no="1"),
            at=f"2025-05-0{number}T09:00:00+08:00",
            applicant="A",
        )
        for number, fen in ((1, 240), (2, 160))
    ]
    assert granted(programme, *claims) == {"a1": 0, "a2": 80}


def test_a_yearly_pool_begins_anew_and_a_pool_for_life_does_not() -> None:
    caps = [pool(100, "year"), {**pool(150), "id": "life"}]
    programme = a_round({"rule": "fcfs", "last": "partial"}, caps=caps)
    applications = (asks("a", 120, "2024-12-31"), asks("b", 120, "2025-01-01"))
    decision = decide(programme, applications)
    assert [award.amount_fen for award in decision.awards] == [100, 50]
    assert [(use.cap_id, use.period, use.granted_fen) for use in decision.pools] == [
        ("pool", "2024", 100), ("life", "life", 150), ("pool", "2025", 50),
    ]  # fmt: skip


def test_a_round_goes_on_from_an_earlier_one_and_leaves_it_as_it_was() -> None:
    programme = a_round({"rule": "fcfs", "last": "partial"})
    earlier = decide(programme, [asks("a", 80)]).usage
    before = Usage(taken=dict(earlier.taken), spent=set(earlier.spent))
    assert decide(programme, [asks("b", 80)], earlier).awards[0].amount_fen == 20
    assert earlier == before


def test_an_application_may_not_come_twice() -> None:
    with pytest.raises(BadInput, match="'a' comes twice"):
        decide(a_round(None), [asks("a", 1), asks("a", 1)])
