"""What the registry holds: organisations, relations, contracts, invoices and bank receipts.

An entry is a statement about something that has a key: it holds from a day on, until a day or until
it is said otherwise. Statements are never changed; a later one about the same key takes over.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from enum import StrEnum
from typing import Final

from suanwang.errors import BadInput
from voucher.registry.graph import TieKind

INVOICE_DIGITS: Final = 20
PPM: Final = 1_000_000
STATED_TIES: Final = (TieKind.SHARES, TieKind.SAME_GROUP, TieKind.SAME_LEGAL_REPRESENTATIVE)
"""Relations that are stated between two organisations; a parent is stated with the organisation."""


class Role(StrEnum):
    """What an organisation does here; a state owner owns for the state."""

    APPLICANT = "applicant"
    PROVIDER = "provider"
    SPONSOR = "sponsor"
    STATE_OWNER = "state-owner"


class Kind(StrEnum):
    """Kinds of entries."""

    ORGANISATION = "organisation"
    RELATION = "relation"
    CONTRACT = "contract"
    INVOICE = "invoice"
    RECEIPT = "receipt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """An organisation by its unified social credit code.

    ``legal_person`` is a pseudonym, never a name; ``parent`` is the code of who controls it.
    """

    code: str
    name: str
    legal_person: str = ""
    group: str = ""
    parent: str = ""
    roles: tuple[Role, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """Two organisations that are tied; of a shareholding, ``one`` holds ``share_ppm`` of other."""

    tie: TieKind
    one: str
    other: str
    share_ppm: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """A contract between a customer and a provider, told apart by their codes and its number."""

    number: str
    customer: str
    provider: str
    signed_on: date
    amount_fen: int
    months: int = 0
    service: str = ""
    sites: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """A line of an electronic invoice; price and tax apart, 0 where nobody has stated them."""

    number: str
    line: int
    seller: str
    buyer: str
    amount_fen: int = 0
    tax_fen: int = 0
    contract_no: str = ""
    issued_on: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A bank's receipt for a payment."""

    number: str
    payer: str
    payee: str
    amount_fen: int
    paid_on: date
    contract_no: str = ""
    invoice_no: str = ""


Entry = Organisation | Relation | Contract | Invoice | Receipt

KEYS: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.ORGANISATION: ("code",),
    Kind.RELATION: ("tie", "one", "other"),
    Kind.CONTRACT: ("number", "customer", "provider"),
    Kind.INVOICE: ("number", "line"),
    Kind.RECEIPT: ("number", "payer"),
}
"""Fields that tell entries of a kind apart."""
TYPES: Final[Mapping[Kind, type[Entry]]] = {
    Kind.ORGANISATION: Organisation,
    Kind.RELATION: Relation,
    Kind.CONTRACT: Contract,
    Kind.INVOICE: Invoice,
    Kind.RECEIPT: Receipt,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """An entry from a day on; ``valid_to`` is its last day, None for no end; who says so."""

    entry: Entry
    valid_from: date
    valid_to: date | None = None
    source: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of what is stated and when, by whomever, in hex."""
        stated = [kind_of(self.entry).value, str(self.valid_from), str(self.valid_to)]
        text = json.dumps([stated, document(self.entry)], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def holds_on(self, day: date) -> bool:
        """Say whether it holds on a day."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A statement as recorded: its number among those about the same key, by whom and when."""

    statement: Statement
    version: int
    recorded_by: str
    recorded_at: datetime


def kind_of(entry: Entry) -> Kind:
    """Return the kind of an entry."""
    return next(kind for kind, of in TYPES.items() if isinstance(entry, of))


def key_of(entry: Entry) -> tuple[str | int, ...]:
    """Return what tells an entry apart from others of its kind."""
    return tuple(getattr(entry, name) for name in KEYS[kind_of(entry)])


def document(entry: Entry) -> dict[str, str | int | list[str]]:
    """Return an entry as JSON holds it."""
    found: dict[str, str | int | list[str]] = {}
    for one in fields(entry):
        value = getattr(entry, one.name)
        if isinstance(value, tuple):
            found[one.name] = [str(part) for part in value]
        elif isinstance(value, int):
            found[one.name] = value
        else:
            found[one.name] = "" if value is None else str(value)
    return found


def fault_of(statement: Statement) -> str:
    """Return what no statement may say, or nothing; codes are checked where they are read."""
    entry = statement.entry
    if statement.valid_to is not None and statement.valid_to < statement.valid_from:
        return f"valid_to: {statement.valid_to} is before valid_from {statement.valid_from}"
    match entry:
        case Relation():
            return _relation_fault(entry)
        case Organisation() if entry.parent == entry.code:
            return "parent: an organisation is not its own parent"
        case Contract() | Receipt() if entry.amount_fen <= 0:
            return f"amount_fen: {entry.amount_fen} is not above zero"
        case Invoice() if not (entry.number.isascii() and entry.number.isdigit()):
            return f"number: {entry.number} is not all digits"
        case Invoice() if len(entry.number) != INVOICE_DIGITS:
            return f"number: {len(entry.number)} digits, an electronic invoice has {INVOICE_DIGITS}"
        case Invoice() if entry.amount_fen < 0 or entry.tax_fen < 0 or entry.line < 1:
            return "amount_fen: a line counts from 1, price and tax are not below zero"
    return ""


def require_sound(statement: Statement) -> None:
    """Raise BadInput that names the field where a statement cannot be."""
    fault = fault_of(statement)
    if fault:
        field, _, reason = fault.partition(": ")
        raise BadInput(f"{field}: {reason}", field=field)


def _relation_fault(entry: Relation) -> str:
    if entry.tie not in STATED_TIES:
        return f"tie: {entry.tie} is not one of {', '.join(STATED_TIES)}"
    if entry.one == entry.other:
        return "other: an organisation is not tied to itself"
    if (entry.tie is TieKind.SHARES) != (0 < entry.share_ppm <= PPM):
        return "share_ppm: a shareholding has a share above zero and up to the whole, others none"
    return ""
