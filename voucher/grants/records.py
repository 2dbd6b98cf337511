"""An application and what belongs to it, as it is stored and shown."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Final

from pydantic import TypeAdapter

from suanwang.errors import BadInput
from voucher.flagging import Flag
from voucher.grants.case import Case, State
from voucher.grants.duplicates import (
    GROUP,
    LEGAL_PERSON,
    SELLER_CODE,
    SELLER_GROUP,
    SELLER_LEGAL_PERSON,
)
from voucher.grants.identity import Identity
from voucher.programmes.applicants import read_fact
from voucher.programmes.application import Application, Line, text_fact
from voucher.programmes.award import Award
from voucher.programmes.facts import Fact, FactKind, Facts, FactValue
from voucher.programmes.life import Freed
from voucher.programmes.programme import Programme
from voucher.programmes.share import FunderShare

OWN_FACTS: Final[Mapping[str, Fact]] = {
    GROUP: Fact(FactKind.TEXT, "group of related enterprises"),
    LEGAL_PERSON: Fact(FactKind.TEXT, "legal representative of the applicant"),
    SELLER_CODE: Fact(FactKind.TEXT, "unified social credit code of the seller"),
    SELLER_GROUP: Fact(FactKind.TEXT, "group of the seller"),
    SELLER_LEGAL_PERSON: Fact(FactKind.TEXT, "legal representative of the seller"),
}
"""Facts that the search for related parties needs, whatever the policy asks."""
TEXT_LENGTH_MAX: Final = 500
LINES_MAX: Final = 500
NUMBER_MAX: Final = 10**15
"""Ten trillion yuan; more is a mistake."""
_AWARD: Final = TypeAdapter(Award)
_SHARES: Final = TypeAdapter(tuple[FunderShare, ...])


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What an applicant files. ``ref`` is its own reference: the same one is the same draft."""

    ref: str
    programme_id: str
    identity: Identity
    facts: Facts
    lines: tuple[Line, ...]
    district: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of everything filed, in hex."""
        document = [
            self.ref,
            self.programme_id,
            self.district,
            *(getattr(self.identity, name) for name in Identity.__slots__),
            facts_out(self.facts),
            [[line.id, facts_out(line.facts)] for line in self.lines],
        ]
        text = json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An application as stored. Money in fen."""

    case: Case
    ref: str
    programme_id: str
    programme_version: int
    programme_digest: str
    identity: Identity
    facts: Facts
    lines: tuple[Line, ...]
    body_digest: str
    created_by: str
    created_at: datetime
    updated_at: datetime
    flags: tuple[Flag, ...] = ()
    revision: int = 1
    submitted_at: datetime | None = None
    decided_at: datetime | None = None
    entitled_fen: int = 0
    award: Award | None = None
    funding: tuple[FunderShare, ...] = ()
    lots: tuple[str, ...] = field(default=())
    freed: Freed = field(default_factory=Freed)

    @property
    def id(self) -> str:
        """The application's id."""
        return self.case.id

    @property
    def state(self) -> State:
        """Where it stands."""
        return self.case.state

    def application(self, other_programmes: frozenset[str], now: datetime) -> Application:
        """Return what the award engine decides on; the moment of the first hand-in counts."""
        return Application(
            id=self.id,
            applicant_id=self.identity.key,
            submitted_at=self.submitted_at or now,
            lines=self.lines,
            facts={GROUP: self.identity.key, **self.facts},
            other_programmes=other_programmes,
        )


def known_facts(programme: Programme) -> Mapping[str, Fact]:
    """Return every fact that an application under a programme may state."""
    return {**OWN_FACTS, **programme.known}


def read_facts(raw: Mapping[str, object], known: Mapping[str, Fact], prefix: str) -> Facts:
    """Return facts with values of their kinds; raise BadInput that names fact and reason.

    A name that nobody knows is refused: it would be a misspelt one.
    """
    facts: dict[str, FactValue] = {}
    for name, value in raw.items():
        if not name.startswith(prefix):
            raise BadInput(f"fact {name!r} does not begin with {prefix}", fact=name)
        full, read = read_one(name, value, known)
        facts[full] = read
    return facts


def read_one(name: str, value: object, known: Mapping[str, Fact]) -> tuple[str, FactValue]:
    """Return a fact's full name and its value; raise BadInput with the reason."""
    try:
        full, read = read_fact(name, value, known)
        if isinstance(read, str) and len(read) > TEXT_LENGTH_MAX:
            raise ValueError(f"{len(read)} characters, at most {TEXT_LENGTH_MAX}")
        if isinstance(read, int) and not 0 <= read <= NUMBER_MAX:
            raise ValueError(f"{read} is not between 0 and {NUMBER_MAX}")
    except ValueError as failure:
        raise BadInput(f"{name}: {failure}", fact=name) from failure
    return full, read


def facts_out(facts: Facts) -> dict[str, bool | int | str]:
    """Return facts as JSON holds them: days as text."""
    return {
        name: value.isoformat() if isinstance(value, date) else value
        for name, value in sorted(facts.items())
    }


def facts_in(stored: Mapping[str, bool | int | str], known: Mapping[str, Fact]) -> Facts:
    """Return stored facts; ``known`` says which are days."""
    kinds = {**OWN_FACTS, **known}
    return {
        name: date.fromisoformat(value)
        if isinstance(value, str) and name in kinds and kinds[name].kind is FactKind.DATE
        else value
        for name, value in stored.items()
    }


def award_out(award: Award | None) -> object:
    """Return an award as JSON holds it."""
    return None if award is None else _AWARD.dump_python(award, mode="json")


def award_in(stored: object) -> Award | None:
    """Return a stored award."""
    return None if stored is None else _AWARD.validate_json(json.dumps(stored))


def shares_out(shares: Sequence[FunderShare]) -> object:
    """Return funders' shares as JSON holds them."""
    return _SHARES.dump_python(tuple(shares), mode="json")


def shares_in(stored: object) -> tuple[FunderShare, ...]:
    """Return stored shares of funders."""
    return () if stored is None else _SHARES.validate_json(json.dumps(stored))


def freed_out(freed: Freed) -> dict[str, int]:
    """Return of what the caps are free again, as JSON holds it."""
    return asdict(freed)


def freed_in(stored: Mapping[str, int]) -> Freed:
    """Return of what the caps are free again."""
    return Freed(**stored)


def seller_of(line: Line) -> str:
    """Return the code of a line's seller, or nothing."""
    return text_fact(line.facts, SELLER_CODE) or ""
