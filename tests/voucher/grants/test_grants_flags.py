"""What is noticed: invoices twice, contracts in two places, related parties."""

import pytest
from grant_builders import HAIYUN_CODE, OTHER_CODE, a_spend, an_organisation

from voucher.flagging import FlagCode
from voucher.grants.duplicates import (
    Elsewhere,
    Others,
    find_flags,
    with_relations,
)
from voucher.programmes.application import Line
from voucher.programmes.facts import FactValue

ME = an_organisation()


def elsewhere(**changes: str | bool) -> Others:
    """Return one line of another application."""
    line = {"contract_no": "", "invoice_no": "", "is_own": False, **changes}
    return Others(
        lines=(
            Elsewhere(
                application_id="app_2",
                programme_id="other",
                contract_no=str(line["contract_no"]),
                invoice_no=str(line["invoice_no"]),
                is_own=bool(line["is_own"]),
            ),
        )
    )


@pytest.mark.parametrize(
    ("others", "code"),
    [
        (elsewhere(invoice_no="26372000000000000001"), FlagCode.INVOICE_ELSEWHERE),
        (elsewhere(contract_no="HT-1"), FlagCode.CONTRACT_ELSEWHERE),
        (elsewhere(contract_no="HT-1", is_own=True), FlagCode.CONTRACT_SPLIT),
        (Others(own_applications=("app_9",)), FlagCode.SAME_APPLICANT),
    ],
)
def test_what_others_filed_is_noticed(others: Others, code: FlagCode) -> None:
    (flag,) = find_flags(ME, {}, [a_spend()], others)
    assert flag.code is code


def test_another_applicants_application_is_not_named_to_a_competitor() -> None:
    others = elsewhere(invoice_no="26372000000000000001")
    (flag,) = find_flags(ME, {}, [a_spend()], others)
    assert "app_2" not in flag.message


def test_one_invoice_in_two_lines_blocks() -> None:
    flags = find_flags(ME, {}, [a_spend("1"), a_spend("2", contract_no="HT-2")], Others())
    assert [flag.code for flag in flags] == [FlagCode.INVOICE_TWICE] * 2
    assert flags[0].code.is_blocking


def test_nothing_is_noticed_where_nothing_is() -> None:
    assert find_flags(ME, {}, [a_spend(seller_code=OTHER_CODE)], Others()) == ()


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ({}, {"seller_code": HAIYUN_CODE}),
        ({"applicant.group": "G"}, {"seller_group": "G"}),
        (
            {"applicant.legal_representative": "王五"},
            {"seller_legal_representative": "王五"},
        ),
    ],
)
def test_related_parties_are_told_by_what_is_known(
    facts: dict[str, FactValue], line: dict[str, str]
) -> None:
    spend = a_spend()
    stated = {f"line.{name}": value for name, value in line.items()}
    spend = Line(id="1", facts={**spend.facts, **stated, "line.is_related_party": False})
    (flag,) = find_flags(ME, facts, [spend], Others())
    assert flag.code is FlagCode.RELATED_DENIED
    assert "denies" in flag.message
    assert "王五" not in flag.message
    (seen,) = with_relations(ME, facts, [spend])
    assert seen.facts["line.is_related_party"] is True
