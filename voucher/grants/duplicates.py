"""What reviewers must look at: one spend twice, one contract in two places, related parties.

Pure: the store hands in the living lines of others that share a contract or an invoice.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from voucher.grants.identity import Identity
from voucher.programmes.application import Line, text_fact
from voucher.programmes.facts import Facts

RELATED = "line.is_related_party"
SELLER_CODE = "line.seller_code"
SELLER_GROUP = "line.seller_group"
SELLER_LEGAL_PERSON = "line.seller_legal_representative"
GROUP = "applicant.group"
LEGAL_PERSON = "applicant.legal_representative"


class FlagCode(StrEnum):
    """What was noticed; ``is_blocking`` ones keep an application from being handed in."""

    INVOICE_TWICE = "invoice-twice"
    INVOICE_ELSEWHERE = "invoice-elsewhere"
    CONTRACT_ELSEWHERE = "contract-elsewhere"
    CONTRACT_SPLIT = "contract-split"
    SAME_APPLICANT = "same-applicant"
    RELATED_PARTY = "related-party"
    CODE_NOT_ON_FILE = "code-not-on-file"

    @property
    def is_blocking(self) -> bool:
        """One invoice is paid once, whatever a policy says."""
        return self in (FlagCode.INVOICE_TWICE, FlagCode.INVOICE_ELSEWHERE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One thing noticed, in words; ``line_id`` is the line it is about, if it is about one."""

    code: FlagCode
    message: str
    line_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """A line of another living application. ``is_own``: of the same applicant."""

    application_id: str
    programme_id: str
    contract_no: str
    invoice_no: str
    is_own: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """What others have filed: lines that share a number, and the applicant's own applications."""

    lines: tuple[Elsewhere, ...] = ()
    own_applications: tuple[str, ...] = ()


def find_flags(
    identity: Identity, facts: Facts, lines: Sequence[Line], others: Others
) -> tuple[Flag, ...]:
    """Return everything noticed, in the order of the lines; an application's own last."""
    return (
        *_twice(lines),
        *(flag for line in lines for flag in _elsewhere(line, others)),
        *(flag for line in lines for flag in _related(identity, facts, line)),
        *_of_applicant(others),
    )


def with_relations(identity: Identity, facts: Facts, lines: Sequence[Line]) -> tuple[Line, ...]:
    """Return the lines; where parties are related by what is known, the line says so."""
    return tuple(
        Line(id=line.id, facts={**line.facts, RELATED: True})
        if relation(identity, facts, line)
        else line
        for line in lines
    )


def relation(identity: Identity, facts: Facts, line: Line) -> str:
    """Return by what the applicant and a line's seller are related, or nothing."""
    seller = text_fact(line.facts, SELLER_CODE)
    if seller is not None and seller in (identity.code, identity.sponsor_code):
        return "the seller is the applicant itself or its sponsor"
    for own, sold_by, words in (
        (GROUP, SELLER_GROUP, "both are of the group"),
        (LEGAL_PERSON, SELLER_LEGAL_PERSON, "both have the legal representative"),
    ):
        value = text_fact(facts, own)
        if value is not None and value == text_fact(line.facts, sold_by):
            return f"{words} {value}"
    return ""


def _twice(lines: Sequence[Line]) -> Iterator[Flag]:
    invoices = Counter(number for line in lines if (number := _number(line.facts, "invoice")))
    for line in lines:
        number = _number(line.facts, "invoice")
        if number and invoices[number] > 1:
            yield Flag(
                code=FlagCode.INVOICE_TWICE,
                message=f"invoice {number} stands in {invoices[number]} lines",
                line_id=line.id,
            )


def _elsewhere(line: Line, others: Others) -> Iterator[Flag]:
    invoice, contract = _number(line.facts, "invoice"), _number(line.facts, "contract")
    for other in others.lines:
        if invoice and other.invoice_no == invoice:
            whose = "your" if other.is_own else "another applicant's"
            yield Flag(
                code=FlagCode.INVOICE_ELSEWHERE,
                message=f"invoice {invoice} is in {whose} application"
                f"{f' {other.application_id}' if other.is_own else ''} already",
                line_id=line.id,
            )
        elif contract and other.contract_no == contract:
            code = FlagCode.CONTRACT_SPLIT if other.is_own else FlagCode.CONTRACT_ELSEWHERE
            whose = "the same applicant's" if other.is_own else "another applicant's"
            yield Flag(
                code=code,
                message=f"contract {contract} is in {whose} application {other.application_id} "
                f"under {other.programme_id} too",
                line_id=line.id,
            )


def _related(identity: Identity, facts: Facts, line: Line) -> Iterator[Flag]:
    words = relation(identity, facts, line)
    if words:
        denied = " although the application denies it" if line.facts.get(RELATED) is False else ""
        message = f"related parties: {words}{denied}"
        yield Flag(code=FlagCode.RELATED_PARTY, message=message, line_id=line.id)


def _of_applicant(others: Others) -> Iterator[Flag]:
    if others.own_applications:
        names = ", ".join(others.own_applications)
        yield Flag(
            code=FlagCode.SAME_APPLICANT,
            message=f"the same applicant has living applications under this programme: {names}",
        )


def _number(facts: Mapping[str, object], kind: str) -> str:
    return text_fact(facts, f"line.{kind}_no") or ""
