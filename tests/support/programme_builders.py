"""Policies and applications with defaults, for tests of programmes."""

from collections.abc import Mapping
from datetime import date, datetime

from suanwang.document import Document
from voucher.programmes.application import Application, Line
from voucher.programmes.facts import FactValue
from voucher.programmes.programme import Programme
from voucher.programmes.schema import Policy
from voucher.programmes.values import read_policy

YUAN = 100
WAN = 10_000 * YUAN

PLAIN: dict[str, object] = {
    "schema": "voucher_policy/v1",
    "id": "plain",
    "version": 1,
    "name": {"en": "Plain", "zh": "普通"},
    "region": "Nowhere",
    "issuer": "bureau",
    "legal_basis": "no. 1",
    "currency": "CNY",
    "valid": {},
    "benefit": {"kind": "compute", "mode": "claim_then_redeem", "beneficiary": "demander"},
    "eligibility": [],
    "spend": {"base": "contract", "require": []},
    "tiers": [{"id": "all", "ratio": {"num": 1, "den": 5}}],
    "caps": [],
    "funders": [{"id": "city", "name": "City", "share": {"num": 1, "den": 1}}],
    "shortage": {"rule": "fcfs", "last": "partial"},
    "validity": {},
    "stacking": {},
    "workflow": [],
    "clawback": [],
    "marks": {"*": {"mark": "decided"}},
}


def a_document(**changes: object) -> dict[str, object]:
    """Return the plain policy's document with some keys changed."""
    return {**PLAIN, "valid": {"from": date(2020, 1, 1)}, **changes}


def a_policy(**changes: object) -> Policy:
    """Return a policy that grants one fifth of every contract, but for the changes."""
    return read_policy(Document(name="plain.yaml", value=a_document(**changes), root=None))


def a_programme(**changes: object) -> Programme:
    """Return the plain policy made ready, but for the changes."""
    return Programme.of(a_policy(**changes))


def a_line(line_id: str = "l1", **facts: FactValue) -> Line:
    """Return a line; ``contract_fen=5`` states the fact ``line.contract_fen``."""
    return Line(id=line_id, facts={f"line.{name}": value for name, value in facts.items()})


def an_application(
    application_id: str = "a1",
    *lines: Line,
    at: str = "2025-05-01T09:00:00+08:00",
    applicant: str = "",
    facts: Mapping[str, FactValue] | None = None,
    others: frozenset[str] = frozenset(),
) -> Application:
    """Return an application of the applicant with the same id, but for the changes."""
    return Application(
        id=application_id,
        applicant_id=applicant or application_id,
        submitted_at=datetime.fromisoformat(at),
        lines=lines,
        facts={f"applicant.{name}": value for name, value in (facts or {}).items()},
        other_programmes=others,
    )
