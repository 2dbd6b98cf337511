"""The award engine on small policies: every reason, every cap, tiers and months."""

from datetime import date, datetime

import pytest
from programme_builders import a_line, a_policy, a_programme, an_application

from voucher.programmes.application import Application
from voucher.programmes.award import Award, assess, reserve
from voucher.programmes.programme import Programme
from voucher.programmes.sentences import Code
from voucher.programmes.share import split
from voucher.programmes.usage import Usage
from voucher.programmes.values import fill

REGION = {"fact": "applicant.region", "op": "eq", "value": "Qingdao"}
HONEST = {"fact": "applicant.is_dishonest", "op": "is_false"}


def ask(programme: Programme, application: Application, usage: Usage | None = None) -> Award:
    return assess(programme, application, usage or Usage())


def codes(award: Award) -> list[str]:
    return [str(one.code) for one in award.reasons]


def test_all_failed_predicates_are_returned_and_an_unknown_fact_says_so() -> None:
    programme = a_programme(
        eligibility=[REGION, HONEST, {"fact": "applicant.score", "op": "ge", "value": 3}],
        spend={
            "base": "contract",
            "require": [{"fact": "line.service", "op": "in", "value": ["a"]}],
        },
    )
    facts = {"region": "Beijing", "score": "many"}
    award = ask(programme, an_application("a1", a_line(contract_fen=100, service="b"), facts=facts))
    assert award.amount_fen == 0
    assert [(one.code, one.path, one.line_id) for one in award.reasons] == [
        (Code.PREDICATE_FAILED, "eligibility.0", ""),
        (Code.FACT_UNKNOWN, "eligibility.1", ""),
        (Code.FACT_UNUSABLE, "eligibility.2", ""),
        (Code.NOTHING_COUNTS, "spend", ""),
        (Code.PREDICATE_FAILED, "spend.require.0", "l1"),
    ]
    assert award.reasons[0].message == (
        "applicant.region is Beijing; needed: applicant.region is Qingdao"
    )
    assert "applicant.is_dishonest is not known" in award.reasons[1].message


@pytest.mark.parametrize(
    ("op", "value", "passes", "fails"),
    [
        pytest.param("eq", "x", "x", "y", id="eq"),
        pytest.param("in", ["x", "y"], "y", "z", id="in"),
        pytest.param("not_in", ["x"], "y", "x", id="not_in"),
    ],
)
def test_predicates_on_texts(op: str, value: object, passes: str, fails: str) -> None:
    programme = a_programme(eligibility=[{"fact": "applicant.kind", "op": op, "value": value}])
    for given, expected in ((passes, 20), (fails, 0)):
        application = an_application("a1", a_line(contract_fen=100), facts={"kind": given})
        assert ask(programme, application).amount_fen == expected


@pytest.mark.parametrize(
    ("op", "day", "fen"),
    [
        pytest.param("ge", date(2024, 1, 1), 20, id="ge at the bound"),
        pytest.param("ge", date(2023, 12, 31), 0, id="ge below"),
        pytest.param("le", date(2024, 1, 1), 20, id="le at the bound"),
        pytest.param("le", date(2024, 1, 2), 0, id="le above"),
    ],
)
def test_predicates_on_days(op: str, day: date, fen: int) -> None:
    bound = {"fact": "line.paid_on", "op": op, "value": date(2024, 1, 1)}
    programme = a_programme(spend={"base": "contract", "require": [bound]})
    application = an_application("a1", a_line(contract_fen=100, paid_on=day))
    assert ask(programme, application).amount_fen == fen


def test_a_policy_is_in_force_from_its_first_to_its_last_day_in_china() -> None:
    programme = a_programme(valid={"from": date(2025, 1, 1), "to": date(2025, 1, 31)})
    line = a_line(contract_fen=100)
    early = ask(programme, an_application("a1", line, at="2024-12-31T15:59:59+00:00"))
    first = ask(programme, an_application("a2", line, at="2024-12-31T16:00:00+00:00"))
    late = ask(programme, an_application("a3", line, at="2025-02-01T00:00:00+08:00"))
    assert (codes(early), first.amount_fen, codes(late)) == (["not-in-force"], 20, ["not-in-force"])


def test_the_window_closes_at_its_minute() -> None:
    window = {
        "opens": datetime.fromisoformat("2025-04-17T00:00:00+08:00"),
        "closes": datetime.fromisoformat("2025-05-15T17:00:00+08:00"),
    }
    programme = a_programme(window=window)
    line = a_line(contract_fen=100)
    assert not codes(ask(programme, an_application("a1", line, at="2025-05-15T16:59:59+08:00")))
    late = ask(programme, an_application("a1", line, at="2025-05-15T17:00:00+08:00"))
    assert codes(late) == ["window-closed"]


def test_spend_below_the_minimum_is_refused_and_at_it_is_not() -> None:
    programme = a_programme(spend={"base": "paid", "require": [], "min_total_fen": 1000})
    below = ask(programme, an_application("a1", a_line(paid_fen=999)))
    assert (below.amount_fen, codes(below)) == (0, ["below-minimum"])
    lines = (a_line("l1", paid_fen=400), a_line("l2", paid_fen=600))
    assert ask(programme, an_application("a1", *lines)).amount_fen == 200


def test_a_line_without_its_base_amount_is_left_out() -> None:
    lines = (a_line("l1"), a_line("l2", contract_fen=-1), a_line("l3", contract_fen=100))
    award = ask(a_programme(), an_application("a1", *lines))
    assert (award.amount_fen, codes(award)) == (20, ["fact-unknown", "fact-unusable"])


def test_the_best_tier_wins_and_a_tier_missed_for_an_unknown_fact_is_noted() -> None:
    tiers = [
        {"id": "common", "ratio": {"num": 1, "den": 5}},
        {"id": "domestic", "ratio": {"num": 3, "den": 10},
         "when": [{"fact": "line.is_domestic", "op": "is_true"}]},
        {"id": "small", "ratio": {"num": 1, "den": 1}, "cap_fen": 25},
    ]  # fmt: skip
    programme = a_programme(tiers=tiers)
    chosen = ask(programme, an_application("a1", a_line(contract_fen=100, is_domestic=True)))
    assert (chosen.lines[0].tier_id, chosen.amount_fen) == ("domestic", 30)
    unsure = ask(programme, an_application("a1", a_line(contract_fen=100))).lines[0]
    assert (unsure.tier_id, unsure.amount_fen) == ("small", 25)
    assert [one.code for one in unsure.notes] == [Code.FACT_UNKNOWN]


def test_a_line_that_no_tier_fits_says_why() -> None:
    tiers = [{"id": "one", "ratio": {"num": 1, "den": 5},
              "when": [{"fact": "line.is_domestic", "op": "is_true"}]}]  # fmt: skip
    award = ask(
        a_programme(tiers=tiers), an_application("a1", a_line(contract_fen=9, is_domestic=False))
    )
    assert codes(award) == ["nothing-counts", "no-tier"]
    assert "line.is_domestic is no; needed" in award.reasons[1].message


def test_a_tier_pays_for_its_first_months_only() -> None:
    tiers = [{"id": "all", "ratio": {"num": 1, "den": 2}, "max_months": 12}]
    programme = a_programme(tiers=tiers)
    # 36 months for 100.01: the first 12 are 33.33, half of it is 16.66 (16.665 rounded down).
    award = ask(programme, an_application("a1", a_line(contract_fen=10_001, contract_months=36)))
    assert (award.lines[0].counted_fen, award.amount_fen) == (3_333, 1_666)
    unknown = ask(programme, an_application("a1", a_line(contract_fen=10_001)))
    assert codes(unknown) == ["nothing-counts", "no-tier"]


def cap(scope: str, amount: int | None, period: str = "year", **more: object) -> dict[str, object]:
    return {"id": scope, "scope": scope, "period": period, "amount_fen": amount, **more}


@pytest.mark.parametrize(
    ("caps", "expected"),
    [
        pytest.param([cap("award", 30)], [30, 30, 30], id="award: each by itself"),
        pytest.param([cap("contract", 50)], [40, 10, 40], id="contract: over its applications"),
        pytest.param([cap("applicant", 70)], [40, 30, 40], id="applicant: its applications"),
        pytest.param([cap("group", 90)], [40, 40, 10], id="group: its applicants"),
    ],
)
def test_caps_are_used_up_by_whom_they_add_up(
    caps: list[dict[str, object]], expected: list[int]
) -> None:
    programme, usage, got = a_programme(caps=caps), Usage(), []
    facts = {"group": "g"}
    for name, applicant, contract in (("a1", "A", "c1"), ("a2", "A", "c1"), ("a3", "B", "c2")):
        line = a_line(contract_fen=200, contract_no=contract)
        application = an_application(name, line, applicant=applicant, facts=facts)
        award = ask(programme, application, usage)
        reserve(programme, application, award, usage)
        got.append(award.amount_fen)
    assert got == expected


@pytest.mark.parametrize(
    ("period", "expected"),
    [
        ("life", [20, 0, 0]),
        ("year", [20, 0, 20]),
        ("quarter", [20, 0, 20]),
        ("month", [20, 20, 20]),
    ],
)
def test_a_cap_begins_anew_with_its_period(period: str, expected: list[int]) -> None:
    programme, usage, got = a_programme(caps=[cap("applicant", 20, period)]), Usage(), []
    days = ("2024-10-31", "2024-12-01", "2025-01-01")
    for number, day in enumerate(days):
        application = an_application(
            f"a{number}", a_line(contract_fen=100), at=f"{day}T00:00:00+08:00", applicant="A"
        )
        award = ask(programme, application, usage)
        reserve(programme, application, award, usage)
        got.append(award.amount_fen)
    assert got == expected


def test_caps_cut_from_the_inside_out_and_each_cut_is_told() -> None:
    caps = [cap("applicant", 50), cap("contract", 30), cap("award", 55)]
    lines = (
        a_line("l1", contract_fen=200, contract_no="c1"),
        a_line("l2", contract_fen=200, contract_no="c2"),
    )
    award = ask(a_programme(caps=caps), an_application("a1", *lines))
    told = [(cut.path, cut.from_fen, cut.to_fen) for cut in award.cuts]
    assert told == [
        ("caps.contract", 40, 30), ("caps.contract", 40, 30),
        ("caps.award", 60, 55), ("caps.applicant", 55, 50),
    ]  # fmt: skip
    assert [cut.code for cut in award.cuts] == [Code.ABOVE_CAP] * 4
    assert [line.amount_fen for line in award.lines] == [25, 25]


def test_a_cap_of_groups_or_contracts_needs_to_know_them() -> None:
    line = a_line(contract_fen=100)
    assert codes(ask(a_programme(caps=[cap("group", 5)]), an_application("a1", line))) == [
        "fact-unknown"
    ]
    award = ask(a_programme(caps=[cap("contract", 5)]), an_application("a1", line))
    assert codes(award) == ["nothing-counts", "fact-unknown"]


def test_an_unknown_fact_frees_nobody_from_a_cap() -> None:
    startup = [{"fact": "applicant.is_startup", "op": "is_true"}]
    line = a_line(contract_fen=100)
    unless = a_programme(caps=[cap("applicant", 5, unless=startup)])
    assert ask(unless, an_application("a1", line)).amount_fen == 5
    assert ask(unless, an_application("a1", line, facts={"is_startup": True})).amount_fen == 20
    when = a_programme(caps=[cap("applicant", 5, when=startup)])
    assert codes(ask(when, an_application("a1", line))) == ["fact-unknown"]
    assert ask(when, an_application("a1", line, facts={"is_startup": False})).amount_fen == 20


def test_another_programme_may_exclude_this_one() -> None:
    programme = a_programme(stacking={"exclusive_with": ["other"]})
    award = ask(
        programme, an_application("a1", a_line(contract_fen=5), others=frozenset({"other"}))
    )
    assert codes(award) == ["excluded-by-other"]


def test_an_invoice_counts_once_for_anybody() -> None:
    programme, usage = a_programme(stacking={"once_per": "invoice"}), Usage()
    twice = (
        a_line("l1", contract_fen=100, invoice_no="1"),
        a_line("l2", contract_fen=100, invoice_no="1"),
        a_line("l3", contract_fen=100),
    )
    first = an_application("a1", *twice)
    award = ask(programme, first, usage)
    assert (award.amount_fen, codes(award)) == (20, ["spend-used", "fact-unknown"])
    reserve(programme, first, award, usage)
    other = ask(programme, an_application("a2", twice[0]), usage)
    assert codes(other) == ["nothing-counts", "spend-used"]
    reserve(programme, first, award, usage, sign=-1)
    assert ask(programme, an_application("a2", twice[0]), usage).amount_fen == 20


def test_lines_of_one_contract_may_stand_in_one_application() -> None:
    programme = a_programme(stacking={"once_per": "contract"})
    lines = [a_line(f"l{n}", contract_fen=100, contract_no="c") for n in (1, 2)]
    assert ask(programme, an_application("a1", *lines)).amount_fen == 40


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        pytest.param({"eligibility": None}, "eligibility", id="eligibility"),
        pytest.param({"caps": None}, "caps", id="caps"),
        pytest.param({"stacking": None}, "stacking", id="stacking"),
        pytest.param({"stacking": {"once_per": None}}, "stacking.once_per", id="once_per"),
        pytest.param(
            {"stacking": {"exclusive_with": None}}, "stacking.exclusive_with", id="exclusive_with"
        ),
        pytest.param({"valid": {"from": None}}, "valid.from", id="from"),
        pytest.param({"valid": {"from": date(2020, 1, 1), "to": None}}, "valid.to", id="to"),
        pytest.param({"spend": {"base": None, "require": []}}, "spend.base", id="base"),
        pytest.param({"spend": {"base": "contract", "require": None}}, "spend.require", id="spend"),
        pytest.param(
            {"spend": {"base": "contract", "require": [], "min_total_fen": None}},
            "spend.min_total_fen", id="minimum",
        ),
        pytest.param({"tiers": [{"id": "t", "ratio": None}]}, "tiers.t.ratio", id="ratio"),
        pytest.param(
            {"tiers": [{"id": "t", "ratio": {"num": 1, "den": 2}, "cap_fen": None}]},
            "tiers.t.cap_fen", id="tier's cap",
        ),
        pytest.param(
            {"tiers": [{"id": "t", "ratio": {"num": 1, "den": 2}, "max_months": None}]},
            "tiers.t.max_months", id="tier's months",
        ),
        pytest.param({"caps": [cap("award", None)]}, "caps.award.amount_fen", id="cap"),
        pytest.param(
            {"caps": [{**cap("award", 1), "period": None}]}, "caps.award.period", id="period"
        ),
    ],
)  # fmt: skip
def test_a_value_that_nobody_read_is_refused_at_use(changes: dict[str, object], path: str) -> None:
    marks = {"*": {"mark": "decided"}, path: {"mark": "not_seen"}}
    programme = a_programme(**changes, marks=marks)
    award = ask(programme, an_application("a1", a_line(contract_fen=100)))
    assert award.amount_fen == 0
    reason = next(one for one in award.reasons if one.code is Code.VALUE_NOT_SEEN)
    assert reason.path == path
    assert reason.message.endswith("was not seen in any source: fill it in a version of your own")


def test_an_unread_value_of_a_predicate_is_refused_too() -> None:
    unread = [{"fact": "applicant.score", "op": "ge", "value": None}]
    marks = {"*": {"mark": "decided"}, "eligibility.0.value": {"mark": "not_seen"}}
    policy = a_policy(eligibility=unread, marks=marks)
    application = an_application("a1", a_line(contract_fen=100), facts={"score": 3})
    assert codes(ask(Programme.of(policy), application)) == ["value-not-seen"]
    own = fill(policy, {"eligibility.0.value": 3})
    assert ask(Programme.of(own), application).amount_fen == 20


def test_funders_of_an_applicant_must_make_a_whole() -> None:
    here = [{"fact": "applicant.district", "op": "eq", "value": "A"}]
    funders = [
        {"id": "city", "name": "City", "share": {"num": 1, "den": 3}},
        {"id": "a", "name": "A", "share": {"num": 2, "den": 3}, "when": here},
    ]
    programme = a_programme(funders=funders)
    inside = split(programme, an_application("a1", facts={"district": "A"}), 100)
    assert [one.amount_fen for one in inside.shares] == [34, 66]
    outside = split(programme, an_application("a1", facts={"district": "B"}), 100)
    assert [one.code for one in outside.findings] == [Code.FUNDERS_DO_NOT_ADD_UP]
    unknown = split(programme, an_application("a1"), 100)
    assert [one.code for one in unknown.findings] == [Code.FACT_UNKNOWN]
