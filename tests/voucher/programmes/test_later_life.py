"""After the award: redeeming, the end of a voucher, four eyes, taking back."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from programme_builders import WAN, a_line, a_policy, a_programme, an_application

from voucher.programmes.application import Application
from voucher.programmes.award import Award, assess
from voucher.programmes.facts import FactValue
from voucher.programmes.files import shipped
from voucher.programmes.life import end_of, objections, reclaim
from voucher.programmes.programme import Programme
from voucher.programmes.redeem import book_redemption, redeem
from voucher.programmes.sentences import Code
from voucher.programmes.usage import Usage

PAID_ON = date(2025, 9, 1)
PROOF = [
    {"fact": "line.has_invoice", "op": "is_true"},
    {"fact": "line.has_delivery_proof", "op": "is_true"},
]


def paid(fen: int | None, **facts: FactValue) -> Application:
    if fen is not None:
        facts["paid_fen"] = fen
    return an_application("a1", a_line("l1", contract_fen=1000, **facts))


def claim_of(programme: Programme) -> Award:
    return assess(programme, paid(None), Usage())  # one fifth of 1000 is 200


def redeemed(programme: Programme, fen: int | None, before: int = 0, **facts: FactValue) -> object:
    result = redeem(
        programme, paid(fen, **facts), claim_of(programme), PAID_ON, {"l1": before}, Usage()
    )
    return result.amount_fen, result.open_fen, [str(one.code) for one in result.findings]


def test_a_redemption_is_the_least_of_claim_and_share_of_what_was_paid() -> None:
    programme = a_programme()
    assert redeemed(programme, 999) == (199, 1, [])
    assert redeemed(programme, 1000) == (200, 0, [])
    assert redeemed(programme, 5000) == (200, 0, [])
    assert redeemed(programme, 1000, before=150) == (50, 0, [])
    assert redeemed(programme, 500, before=150) == (0, 50, [])


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=6))
def test_any_way_of_paying_in_parts_redeems_the_same(parts: list[int]) -> None:
    programme = a_programme()
    total, done = 0, 0
    for part in parts:
        total += part
        done += redeem(
            programme, paid(total), claim_of(programme), PAID_ON, {"l1": done}, Usage()
        ).amount_fen
    once = redeem(programme, paid(total), claim_of(programme), PAID_ON, {}, Usage())
    assert done == once.amount_fen


def test_redemption_needs_its_proofs_and_the_payment() -> None:
    spend = {"base": "contract", "require": [], "redeem_require": PROOF}
    programme = a_programme(spend=spend)
    assert redeemed(programme, 1000, has_invoice=True) == (0, 200, ["fact-unknown"])
    assert redeemed(programme, 1000, has_invoice=True, has_delivery_proof=True) == (200, 0, [])
    assert redeemed(a_programme(), None) == (0, 200, ["fact-unknown"])
    assert redeemed(a_programme(), -1) == (0, 200, ["fact-unusable"])


def test_only_claims_of_this_version_are_redeemed_and_only_in_that_mode() -> None:
    benefit = {"kind": "compute", "mode": "deduct", "beneficiary": "demander"}
    assert redeemed(a_programme(benefit=benefit), 1000) == (0, 200, ["wrong-mode"])
    programme, newer = a_programme(), a_programme(version=2)
    other = redeem(newer, paid(1000), claim_of(programme), PAID_ON, {}, Usage())
    assert [one.code for one in other.findings] == [Code.OTHER_VERSION]
    stranger = an_application("a2", a_line(contract_fen=1000, paid_fen=1000))
    none = redeem(programme, stranger, claim_of(programme), PAID_ON, {}, Usage())
    assert [one.code for one in none.findings] == [Code.NO_CLAIM]
    without = an_application("a1", a_line("l2", contract_fen=1000, paid_fen=1000))
    lost = redeem(programme, without, claim_of(programme), PAID_ON, {}, Usage())
    assert [(one.code, one.line_id) for one in lost.findings] == [(Code.LINE_MISSING, "l1")]


def test_a_claim_is_redeemed_within_its_days() -> None:
    # Applied on 2025-05-01; 123 days later is 2025-09-01.
    assert redeemed(a_programme(validity={"redeem_within_days": 123}), 1000) == (200, 0, [])
    late = a_programme(validity={"redeem_within_days": 122})
    assert redeemed(late, 1000) == (0, 200, ["too-late"])


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        pytest.param(
            {"benefit": {"kind": "compute", "mode": None, "beneficiary": "demander"}},
            "benefit.mode", id="mode",
        ),
        pytest.param({"validity": None}, "validity", id="validity"),
        pytest.param(
            {"validity": {"redeem_within_days": None}}, "validity.redeem_within_days", id="days"
        ),
        pytest.param(
            {"spend": {"base": "contract", "require": [], "redeem_require": None}},
            "spend.redeem_require", id="proofs",
        ),
    ],
)  # fmt: skip
def test_redeeming_on_an_unread_value_is_refused(changes: dict[str, object], path: str) -> None:
    marks = {"*": {"mark": "decided"}, path: {"mark": "not_seen"}}
    programme = a_programme(**changes, marks=marks)
    result = redeem(programme, paid(1000), claim_of(programme), PAID_ON, {}, Usage())
    assert (result.amount_fen, [one.path for one in result.findings]) == (0, [path])


def test_beijing_caps_what_is_claimed_and_what_is_redeemed_each_by_calendar_year() -> None:
    programme = Programme.of(shipped("beijing-2023"))
    facts: dict[str, FactValue] = {
        "is_legal_person": True, "region": "Beijing", "industry": "manufacturing",
        "is_high_tech_direction": True, "has_bad_credit_3y": False,
    }  # fmt: skip
    line = a_line(
        contract_fen=1200 * WAN, paid_fen=1200 * WAN, contract_no="1", contract_months=12,
        service="intelligent_compute", contract_date=date(2024, 1, 1), is_related_party=False,
        has_other_subsidy=False, has_invoice=True, has_delivery_proof=True,
    )  # fmt: skip
    application = an_application("a1", line, at="2024-02-01T09:00:00+08:00", facts=facts)
    claim, usage = assess(programme, application, Usage()), Usage()
    assert claim.amount_fen == 200 * WAN  # 1200万 x 1/5 = 240万
    # An earlier redemption of 50万 in the same year leaves 150万; the next year is free again.
    book_redemption(programme, application, 50 * WAN, date(2024, 3, 1), usage)
    same_year = redeem(programme, application, claim, date(2024, 6, 1), {}, usage)
    assert (same_year.amount_fen, same_year.open_fen) == (150 * WAN, 50 * WAN)
    assert [cut.path for cut in same_year.cuts] == ["caps.enterprise"]
    next_year = redeem(programme, application, claim, date(2025, 1, 1), {}, usage)
    assert next_year.amount_fen == 200 * WAN


def test_a_voucher_ends_at_the_earliest_end_that_is_stated() -> None:
    policy = a_policy(validity={"days_from_issue": 365, "hard_end": date(2025, 12, 31)})
    assert end_of(policy, date(2025, 6, 1)).last_day == date(2025, 12, 31)
    assert end_of(policy, date(2024, 6, 1)).last_day == date(2025, 6, 1)
    assert end_of(a_policy(), date(2024, 6, 1)).last_day is None
    assert end_of(shipped("guizhou-2023"), date(2024, 2, 29)).last_day == date(2025, 2, 28)
    assert end_of(shipped("hangzhou-2024"), PAID_ON).findings[0].code is Code.VALUE_NOT_SEEN


def test_what_is_taken_back() -> None:
    triggers = [
        {"id": "fraud", "event": "false papers", "take": "full", "ban_years": 3},
        {"id": "early", "event": "contract ended early", "take": "prorata"},
    ]
    policy = a_policy(clawback=triggers)
    fraud = reclaim(policy, "fraud", 1000, unserved=0, term=12)
    assert (fraud.amount_fen, fraud.ban_years) == (1000, 3)
    # 7 of 12 months were not served: 583.33.
    assert reclaim(policy, "early", 1000, unserved=7, term=12).amount_fen == 583
    unknown = reclaim(policy, "other", 1000, unserved=0, term=1)
    assert [one.code for one in unknown.findings] == [Code.NO_CLAWBACK]
    unread = reclaim(shipped("beijing-2023"), "fraud", 1000, unserved=0, term=1)
    assert [one.code for one in unread.findings] == [Code.VALUE_NOT_SEEN]


def test_who_made_a_step_does_not_check_it_and_steps_keep_their_order() -> None:
    policy = shipped("qingdao-2024-enterprise")
    assert objections(policy, "file", "li", {}) == ()
    assert objections(policy, "district", "wang", {"file": "li"}) == ()
    same = objections(policy, "district", "li", {"file": "li"})
    assert [one.code for one in same] == [Code.SAME_PERSON]
    early = objections(policy, "collect", "wang", {"file": "li"})
    assert [one.code for one in early] == [Code.OUT_OF_ORDER]
    again = objections(policy, "file", "li", {"file": "li"})
    assert [one.code for one in again] == [Code.STAGE_DONE]
    unknown = objections(policy, "nothing", "li", {})
    assert [one.code for one in unknown] == [Code.NO_STAGE]
    unread = objections(shipped("beijing-2023"), "file", "li", {})
    assert [one.code for one in unread] == [Code.VALUE_NOT_SEEN]
