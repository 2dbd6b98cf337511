"""What is known elsewhere about an application: ties, contracts, papers; and what it adds to that.

The registry is read at every check, so that what the office has learnt meanwhile counts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta

from sqlalchemy import Connection

from voucher.flagging import Flag, FlagCode, flag
from voucher.grants import store
from voucher.grants.duplicates import (
    GROUP,
    Known,
    find_flags,
    party_of,
    relations_of,
    seller_of,
    with_relations,
)
from voucher.grants.records import Record
from voucher.grants.steps import Desk, programme_of
from voucher.programmes.application import Line, china_day, text_fact
from voucher.registry import store as registry
from voucher.registry.entries import (
    Contract,
    Invoice,
    Statement,
    document,
    fault_of,
)
from voucher.registry.graph import Relations, TieKind
from voucher.registry.rules import limits
from voucher.reports.flags import SignedContract, split_contracts

_WITHOUT_SPONSORS = frozenset({TieKind.SPONSOR})


def known_of(desk: Desk, record: Record) -> Known:
    """Return what the registry knows today of an applicant and its sellers."""
    codes = {party_of(record.identity), record.identity.sponsor_code}
    codes |= {seller_of(line) for line in record.lines}
    return Known(
        network=registry.network(desk.connection, codes - {""}, china_day(desk.now)),
        share_ppm_min=desk.rules.share_ppm_min,
        pseudonym=registry.pseudonym(desk.connection),
    )


def screened(desk: Desk, record: Record) -> Record:
    """Return an application with its related parties marked, its group, and its flags.

    The group is what a group's caps count by. Once an award is made it stays as it is, since the
    award gives back to the caps that it took from.
    """
    known = known_of(desk, record)
    lines = with_relations(record.identity, record.facts, record.lines, known)
    group = _group(desk, record, known) if record.award is None else ""
    facts = {**record.facts, GROUP: group} if group else record.facts
    found = replace(record, lines=lines, facts=facts)
    flags = find_flags(
        record.identity, record.facts, lines, store.others(desk.connection, found), known
    )
    flags += (*_split(desk, found, known), *_differing(desk.connection, found, desk))
    return replace(found, flags=flags)


def feed(desk: Desk, record: Record) -> None:
    """Put the contracts and invoices of an application into the registry, where none is there.

    What somebody else has registered otherwise is left; that is a flag. What this application has
    said before is corrected by what it says now.
    """
    entries = [one for line in record.lines for one in _entries(record, line)]
    if not entries:
        return
    registry.begin_recording(desk.connection)
    source = _source(record)
    for entry in entries:
        earlier = registry.find(desk.connection, entry)
        is_own = bool(earlier) and earlier[-1].statement.source == source
        if earlier and not (is_own and earlier[-1].statement.entry != entry):
            continue
        statement = Statement(entry=entry, valid_from=_since(entry, desk), source=source)
        registry.record(desk.connection, statement, desk.actor.person, desk.now)


def _group(desk: Desk, record: Record, known: Known) -> str:
    """Return the name under which an applicant's group takes from caps; nothing for no group.

    The first application of a member that was handed in has fixed it for all.
    """
    own = party_of(record.identity)
    members = _relations(record, known, _WITHOUT_SPONSORS).related_to(own)
    stated = text_fact(record.facts, GROUP)
    if len(members) == 1:
        return stated or ""
    earlier = store.group_of_others(desk.connection, record.id, members)
    return earlier or stated or f"group of {min(members)}"


def _relations(record: Record, known: Known, without: frozenset[TieKind]) -> Relations:
    return relations_of(record.identity, record.facts, record.lines, known, without)


def _split(desk: Desk, record: Record, known: Known) -> Iterator[Flag]:
    """Yield contracts of the applicant's group with one seller that limits do not see together."""
    found = limits(desk.rules, programme_of(desk.connection, record))
    own = party_of(record.identity)
    mine = [one for line in record.lines if (one := _contract(record, line)) is not None]
    if not found or not mine:
        return
    relations = _relations(record, known, _WITHOUT_SPONSORS)
    customers = relations.related_to(own)
    near = timedelta(days=desk.rules.split_days)
    first = min(one.signed_on for one in mine) - near
    last = max(one.signed_on for one in mine) + near
    registered = registry.contracts(desk.connection, "customer", customers, china_day(desk.now))
    by_key = {(one.number, one.customer, one.provider): one for one in (*registered, *mine)}
    parties = dict.fromkeys(customers, own)
    for provider in sorted({one.provider for one in by_key.values()}):
        for member in relations.related_to(provider):
            parties.setdefault(member, min(relations.related_to(provider)))
    contracts = [signed(one) for one in by_key.values() if first <= one.signed_on <= last]
    for limit in found:
        yield from split_contracts(
            contracts, limit, parties, own=lambda one: one.customer_id == own
        )


def signed(one: Contract) -> SignedContract:
    """Return a registered contract as the search for split ones needs it."""
    return SignedContract(
        number=one.number,
        customer_id=one.customer,
        provider_id=one.provider,
        amount_fen=one.amount_fen,
        signed_on=one.signed_on,
    )


def _differing(connection: Connection, record: Record, desk: Desk) -> Iterator[Flag]:
    """Yield what the lines say otherwise than others have registered."""
    for line in record.lines:
        for entry in _entries(record, line):
            earlier = registry.find(connection, entry)
            held = registry.effective(earlier, china_day(desk.now)) if earlier else []
            if not held or held[0].statement.source == _source(record):
                continue
            differing = _differences(document(entry), document(held[0].statement.entry))
            if differing:
                is_invoice = isinstance(entry, Invoice)
                yield flag(
                    FlagCode.REGISTRY_DIFFERS,
                    line.id,
                    kind_en="invoice" if is_invoice else "contract",
                    kind_zh="发票" if is_invoice else "合同",
                    number=entry.number,
                    fields=", ".join(differing),
                )


def _differences(stated: Mapping[str, object], registered: Mapping[str, object]) -> list[str]:
    """Return the fields that both state, and differently."""
    return [
        f"{name} {value} ≠ {registered[name]}"
        for name, value in stated.items()
        if value and registered[name] and value != registered[name]
    ]


def _entries(record: Record, line: Line) -> Sequence[Contract | Invoice]:
    contract, invoice = _contract(record, line), _invoice(record, line)
    return [one for one in (contract, invoice) if one is not None]


def _contract(record: Record, line: Line) -> Contract | None:
    """Return a line's contract as far as the line states one."""
    facts = line.facts
    number, signed_on = text_fact(facts, "line.contract_no"), facts.get("line.contract_date")
    amount, months = facts.get("line.contract_fen"), facts.get("line.contract_months")
    if number is None or not isinstance(signed_on, date) or not isinstance(amount, int):
        return None
    found = Contract(
        number=number,
        customer=party_of(record.identity),
        provider=seller_of(line),
        signed_on=signed_on,
        amount_fen=amount,
        months=months if isinstance(months, int) else 0,
        service=text_fact(facts, "line.service") or "",
    )
    return None if fault_of(Statement(entry=found, valid_from=signed_on)) else found


def _invoice(record: Record, line: Line) -> Invoice | None:
    """Return a line's invoice where it is an electronic one; its price is not stated there."""
    facts = line.facts
    number = text_fact(facts, "line.invoice_no") or ""
    found = Invoice(
        number=number,
        line=1,
        seller=seller_of(line),
        buyer=party_of(record.identity),
        contract_no=text_fact(facts, "line.contract_no") or "",
    )
    return None if fault_of(Statement(entry=found, valid_from=date.min)) else found


def _since(entry: Contract | Invoice, desk: Desk) -> date:
    return entry.signed_on if isinstance(entry, Contract) else china_day(desk.now)


def _source(record: Record) -> str:
    return f"application:{record.id}"
