"""What reviewers must look at: one spend twice, one contract in two places, related parties.

Pure: the store hands in the living lines of others that share a contract or an invoice.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from voucher.flagging import Flag, FlagCode, flag
from voucher.grants.identity import Identity
from voucher.programmes.application import Line, text_fact
from voucher.programmes.facts import Facts
from voucher.registry.graph import Hop, Network, Relations, Tie, TieKind, Trait
from voucher.wording import Language

RELATED = "line.is_related_party"
SELLER_CODE = "line.seller_code"
SELLER_GROUP = "line.seller_group"
SELLER_LEGAL_PERSON = "line.seller_legal_representative"
GROUP = "applicant.group"
LEGAL_PERSON = "applicant.legal_representative"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known beside the application: ties, and from which share a holding counts.

    ``pseudonym`` hides the name of a legal representative as the registry does.
    """

    network: Network = field(default_factory=Network)
    share_ppm_min: int = 1
    pseudonym: Callable[[str], str] = str


NOTHING: Final = Known()


def find_flags(
    identity: Identity,
    facts: Facts,
    lines: Sequence[Line],
    others: Others,
    known: Known = NOTHING,
) -> tuple[Flag, ...]:
    """Return everything noticed, in the order of the lines; an application's own last."""
    relations = relations_of(identity, facts, lines, known)
    return (
        *_twice(lines),
        *(found for line in lines for found in _elsewhere(line, others)),
        *(found for line in lines for found in _related(identity, line, relations)),
        *_of_applicant(others),
    )


def with_relations(
    identity: Identity, facts: Facts, lines: Sequence[Line], known: Known = NOTHING
) -> tuple[Line, ...]:
    """Return the lines; where parties are related by what is known, the line says so."""
    relations = relations_of(identity, facts, lines, known)
    return tuple(
        Line(id=line.id, facts={**line.facts, RELATED: True})
        if relations.path(party_of(identity), seller_of(line)) is not None
        else line
        for line in lines
    )


def relations_of(
    identity: Identity,
    facts: Facts,
    lines: Sequence[Line],
    known: Known,
    without: frozenset[TieKind] = frozenset(),
) -> Relations:
    """Return who is related to whom by the registry, and by what the application itself says."""
    own = party_of(identity)
    traits = [*_traits(own, facts, GROUP, LEGAL_PERSON, known)]
    ties = []
    names = {own: identity.name}
    if identity.sponsor_code:
        ties.append(Tie(kind=TieKind.SPONSOR, one=identity.sponsor_code, other=own))
        names[identity.sponsor_code] = identity.sponsor_name
    for line in lines:
        seller = seller_of(line)
        traits += _traits(seller, line.facts, SELLER_GROUP, SELLER_LEGAL_PERSON, known)
    said = Network(ties=ties, traits=traits, names=names)
    return Relations(known.network.joined(said), known.share_ppm_min, without)


def party_of(identity: Identity) -> str:
    """Return by what an applicant is known among organisations: its code, or a maker's key."""
    return identity.code or identity.key


def seller_of(line: Line) -> str:
    """Return by what a line's seller is known: its code, or the line where it names none."""
    return text_fact(line.facts, SELLER_CODE) or f"seller of line {line.id}"


def _traits(
    code: str, facts: Mapping[str, object], group: str, legal_person: str, known: Known
) -> Iterator[Trait]:
    stated = text_fact(facts, group)
    if stated is not None:
        yield Trait(kind=TieKind.SAME_GROUP, code=code, value=stated)
    name = text_fact(facts, legal_person)
    if name is not None:
        value = known.pseudonym(name)
        yield Trait(kind=TieKind.SAME_LEGAL_REPRESENTATIVE, code=code, value=value)


def _twice(lines: Sequence[Line]) -> Iterator[Flag]:
    invoices: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        invoices[_number(line.facts, "invoice")].append(line.id)
    for line in lines:
        number = _number(line.facts, "invoice")
        if number and len(invoices[number]) > 1:
            yield flag(
                FlagCode.INVOICE_TWICE,
                line.id,
                invoice=number,
                line=1,
                times=len(invoices[number]),
                uses=", ".join(invoices[number]),
            )


def _elsewhere(line: Line, others: Others) -> Iterator[Flag]:
    invoice, contract = _number(line.facts, "invoice"), _number(line.facts, "contract")
    for other in others.lines:
        if invoice and other.invoice_no == invoice:
            yield flag(
                FlagCode.INVOICE_ELSEWHERE,
                line.id,
                invoice=invoice,
                whose_en=f"your {other.application_id}" if other.is_own else "another applicant's",
                whose_zh=f"本主体的 {other.application_id}" if other.is_own else "其他主体的申报",
            )
        elif contract and other.contract_no == contract:
            yield flag(
                FlagCode.CONTRACT_SPLIT if other.is_own else FlagCode.CONTRACT_ELSEWHERE,
                line.id,
                contract=contract,
                application=other.application_id,
                programme=other.programme_id,
            )


def _related(identity: Identity, line: Line, relations: Relations) -> Iterator[Flag]:
    own, seller = party_of(identity), seller_of(line)
    path = relations.path(own, seller)
    if path is None:
        return
    is_denied = line.facts.get(RELATED) is False
    yield related_flag(
        FlagCode.RELATED_DENIED if is_denied else FlagCode.RELATED_PARTY,
        relations,
        (own, seller),
        path,
        line.id,
    )


def related_flag(
    code: FlagCode,
    relations: Relations,
    parties: tuple[str, str],
    path: Sequence[Hop],
    line_id: str = "",
) -> Flag:
    """Return the flag of a customer and a provider that are related, with the way in words."""
    customer, provider = parties
    return flag(
        code,
        line_id,
        customer=relations.name(customer),
        provider=relations.name(provider),
        path_en=relations.words(path, customer, Language.ENGLISH)
        if path
        else "they are one and the same",
        path_zh=relations.words(path, customer, Language.CHINESE) if path else "系同一主体",
    )


def _of_applicant(others: Others) -> Iterator[Flag]:
    if others.own_applications:
        names = ", ".join(others.own_applications)
        yield flag(FlagCode.SAME_APPLICANT, applications=names)


def _number(facts: Mapping[str, object], kind: str) -> str:
    return text_fact(facts, f"line.{kind}_no") or ""
