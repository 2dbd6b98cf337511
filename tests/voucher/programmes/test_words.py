"""A policy that says everything, in words; and one of which nothing was seen."""

from datetime import date, datetime

from programme_builders import a_policy

from voucher.programmes.schema import Policy
from voucher.programmes.words import UNSEEN, in_words

STARTUP = [{"fact": "applicant.is_startup", "op": "is_true", "because": "初创"}]


def told(policy: Policy) -> dict[str, tuple[str, ...]]:
    return {section.title: section.lines for section in in_words(policy)}


def test_everything_that_a_policy_says_is_told() -> None:
    window = {
        "opens": datetime.fromisoformat("2025-04-17T00:00:00+08:00"),
        "closes": datetime.fromisoformat("2025-05-15T17:00:00+08:00"),
    }
    tier = {
        "id": "all", "ratio": {"num": 1, "den": 3, "at_most": True}, "when": STARTUP,
        "max_months": 12, "cap_fen": 1_000_000,
    }  # fmt: skip
    cap = {
        "id": "own", "scope": "group", "period": "month", "amount_fen": 123, "counts": "redeemed",
        "unless": STARTUP,
    }  # fmt: skip
    stage = {"id": "public", "name": "公示", "role": "bureau", "publicity_days": 5}
    triggers = [
        {"id": "fraud", "event": "false papers", "take": "full", "ban_years": 3},
        {"id": "early", "event": "ended early", "take": "prorata"},
    ]
    words = told(
        a_policy(
            window=window, tiers=[tier], caps=[cap], workflow=[stage], clawback=triggers,
            spend={"base": "paid", "require": [], "redeem_require": STARTUP},
            shortage={"rule": "ranked", "last": "refuse", "rank_by": "applicant.score",
                      "priority": STARTUP},
            validity={"days_from_issue": 365, "redeem_within_days": 30},
        )
    )  # fmt: skip
    startup = "applicant.is_startup is true (初创)"
    assert "applications are taken from 2025-04-17T00:00:00+08:00 until" in words["Programme"][4]
    assert words["How much"] == (
        f"all: up to 1/3, where {startup}; of at most 12 months; "
        "at most 10,000.00 CNY (1万) for one line",
    )
    assert words["Limits"] == (
        "own: each group of related enterprises at most 1.23 CNY a month, "
        f"counting what is redeemed, unless {startup}",
    )
    assert words["Which spend counts"][-1] == f"before redemption: {startup}"
    assert words["When the pool is short"] == (
        "by rank", "who does not fit gets nothing", "ranked by applicant.score, more is better",
        f"first, those of whom {startup}",
    )  # fmt: skip
    assert words["How long it lasts"] == (
        "days from issue: 365", "days in which a claim must be redeemed: 30",
    )  # fmt: skip
    assert words["Review"] == ("1. 公示 (public), by bureau; made public for 5 days",)
    assert words["Taking back"] == (
        "false papers (fraud): all is taken back; out for 3 years",
        "ended early (early): the part not served is taken back",
    )


def test_what_was_not_seen_is_told_where_it_stands() -> None:
    changes: dict[str, object] = {
        "valid": {"from": date(2025, 1, 1), "to": None},
        "spend": {"base": None, "require": None, "min_total_fen": None, "redeem_require": None},
        "tiers": [{"id": "all", "ratio": None, "cap_fen": None, "max_months": None}],
        "shortage": {"rule": None, "last": None, "rank_by": None},
        "validity": {"hard_end": None},
        "stacking": {"exclusive_with": None, "once_per": None},
        "workflow": [{"id": "s", "name": "S", "role": "r", "publicity_days": None}],
        "clawback": [{"id": "t", "event": "E", "take": None, "ban_years": None}],
        "funders": [{"id": "f", "name": "F", "share": None}],
    }
    unread = [
        "valid.to", "spend", "tiers.all.ratio", "tiers.all.cap_fen", "tiers.all.max_months",
        "shortage", "validity", "stacking", "workflow.s.publicity_days", "clawback.t.take",
        "clawback.t.ban_years", "funders.f.share",
    ]  # fmt: skip
    marks = {"*": {"mark": "decided"}, **{path: {"mark": "not_seen"} for path in unread}}
    words = told(a_policy(**changes, marks=marks))
    for title in (
        "How much", "Who pays", "When the pool is short", "How long it lasts", "Review",
        "Taking back", "Not together with", "Which spend counts", "Programme",
    ):  # fmt: skip
        assert any(UNSEEN in line for line in words[title]), title
    assert f"to {UNSEEN}" in words["Programme"][3]
    whole = told(
        a_policy(caps=None, marks={"*": {"mark": "decided"}, "caps": {"mark": "not_seen"}})
    )
    assert whole["Limits"] == (UNSEEN,)
