"""Rows of the registry: statements are added, never changed. Never commits."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from secrets import token_hex
from typing import Final

from sqlalchemy import Connection, Row, select
from sqlalchemy.dialects import postgresql, sqlite

from suanwang.db.tables import registry_entry, registry_salt, registry_term
from voucher.registry.entries import (
    Contract,
    Entry,
    Invoice,
    Kind,
    Organisation,
    Receipt,
    Recorded,
    Relation,
    Role,
    Statement,
    document,
    key_of,
    kind_of,
)
from voucher.registry.graph import Network, Tie, TieKind, Trait
from voucher.registry.reading import Pseudonym, entry_of, make_pseudonym

PAGE_MAX: Final = 1_000
_FOUND_BY: Final = {
    Kind.ORGANISATION: ("code", "parent", "group", "legal_person"),
    Kind.RELATION: ("one", "other"),
    Kind.CONTRACT: ("number", "customer", "provider"),
    Kind.INVOICE: ("number", "contract_no", "seller", "buyer"),
    Kind.RECEIPT: ("number", "contract_no", "invoice_no", "payer", "payee"),
}
_SALT_ID: Final = 1
_CHUNK: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a statement: as recorded, and whether it is new."""

    recorded: Recorded
    is_new: bool


def pseudonym(connection: Connection) -> Pseudonym:
    """Return the function that hides names of people; before the first entry it has no salt."""
    row = connection.execute(select(registry_salt.c.salt)).one_or_none()
    return make_pseudonym(row.salt if row else "")


def begin_recording(connection: Connection) -> Pseudonym:
    """Let one transaction at a time record, and return its pseudonyms; the first draws the salt."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(
        dialect.insert(registry_salt)
        .values(id=_SALT_ID, salt=token_hex(32))
        .on_conflict_do_nothing()
    )
    row = connection.execute(select(registry_salt.c.salt).with_for_update()).one()
    return make_pseudonym(row.salt)


def record(connection: Connection, statement: Statement, by: str, now: datetime) -> Outcome:
    """Record a statement, after ``begin_recording``; a repeat of any earlier changes nothing."""
    kind, key = kind_of(statement.entry), _key(statement.entry)
    earlier = versions(connection, kind, [key])
    for one in earlier:
        if one.statement.digest == statement.digest:
            return Outcome(recorded=one, is_new=False)
    version = len(earlier) + 1
    connection.execute(
        registry_entry.insert().values(
            kind=kind.value,
            key=key,
            version=version,
            body=document(statement.entry),
            valid_from=statement.valid_from.isoformat(),
            valid_to=statement.valid_to.isoformat() if statement.valid_to else "",
            source=statement.source,
            digest=statement.digest,
            recorded_by=by,
            recorded_at=now,
        )
    )
    terms = [
        {"kind": kind.value, "field": field, "value": value, "key": key, "version": version}
        for field in _FOUND_BY[kind]
        if (value := str(getattr(statement.entry, field)))
    ]
    connection.execute(registry_term.insert(), terms)
    recorded = Recorded(statement=statement, version=version, recorded_by=by, recorded_at=now)
    return Outcome(recorded=recorded, is_new=True)


def versions(connection: Connection, kind: Kind, keys: Iterable[str]) -> list[Recorded]:
    """Return all statements about the keys of a kind, by key and version."""
    found: list[Recorded] = []
    wanted = sorted(set(keys))
    for at in range(0, len(wanted), _CHUNK):
        rows = connection.execute(
            select(registry_entry)
            .where(
                registry_entry.c.kind == kind.value,
                registry_entry.c.key.in_(wanted[at : at + _CHUNK]),
            )
            .order_by(registry_entry.c.key, registry_entry.c.version)
        )
        found += [_recorded(row) for row in rows]
    return found


def history(connection: Connection, kind: Kind, field: str, value: str) -> list[Recorded]:
    """Return all statements about the entries of a kind that ever had a value in a field."""
    return versions(connection, kind, _keys(connection, kind, field, [value]))


def held_on(
    connection: Connection, kind: Kind, field: str, values: Iterable[str], day: date
) -> list[Recorded]:
    """Return what holds on a day of the entries that have one of the values in a field then."""
    wanted = set(values) - {""}
    found = versions(connection, kind, _keys(connection, kind, field, wanted))
    return [
        one for one in effective(found, day) if str(getattr(one.statement.entry, field)) in wanted
    ]


def page(
    connection: Connection, kind: Kind, day: date, *, after: str = "", limit: int = 100
) -> tuple[list[Recorded], str]:
    """Return what holds on a day, by key, and the key after which the next page begins."""
    rows = connection.execute(
        select(registry_entry.c.key)
        .where(registry_entry.c.kind == kind.value, registry_entry.c.key > after)
        .distinct()
        .order_by(registry_entry.c.key)
        .limit(min(limit, PAGE_MAX))
    ).all()
    keys = [row.key for row in rows]
    held = effective(versions(connection, kind, keys), day)
    return held, keys[-1] if len(keys) == limit else ""


def effective(found: Sequence[Recorded], day: date) -> list[Recorded]:
    """Return of each entry the statement that holds on a day, in order of their keys.

    Of those about one first day the latest recorded counts; of those the one that begins last.
    """
    held = []
    for _, group in groupby(found, key=lambda one: (kind_of(one.statement.entry), _key_of(one))):
        newest = {one.statement.valid_from: one for one in group}
        begun = [one for one in newest.values() if one.statement.valid_from <= day]
        latest = max(begun, key=lambda one: one.statement.valid_from, default=None)
        if latest is not None and latest.statement.holds_on(day):
            held.append(latest)
    return held


def network(connection: Connection, codes: Iterable[str], day: date) -> Network:
    """Return everything on a day that is tied to organisations, over any number of steps."""
    organisations: dict[str, Organisation] = {}
    relations: dict[tuple[str | int, ...], Relation] = {}
    started, seen = set(codes), set()
    waiting = set(started)
    while waiting:
        seen |= waiting
        known = _organisations(connection, "code", waiting, day)
        organisations |= {one.code: one for one in known}
        through = waiting - {one.code for one in known if _is_closed(one, started)}
        near = _organisations(connection, "parent", through, day)
        for field in ("group", "legal_person"):
            shared = {getattr(one, field) for one in known if one.code in through}
            near += _organisations(connection, field, shared, day)
        organisations |= {one.code: one for one in near}
        ties = {
            key_of(entry): entry
            for field in ("one", "other")
            for one in held_on(connection, Kind.RELATION, field, through, day)
            if isinstance(entry := one.statement.entry, Relation)
        }
        relations |= ties
        found = {one.code for one in near} | {one.parent for one in known if one.code in through}
        found |= {code for one in ties.values() for code in (one.one, one.other)}
        waiting = found - seen - {""}
    return network_of(organisations.values(), relations.values())


def _is_closed(one: Organisation, started: set[str]) -> bool:
    """Say whether no way leads through an organisation: it owns for the state."""
    return Role.STATE_OWNER in one.roles and one.code not in started


def network_of(organisations: Iterable[Organisation], relations: Iterable[Relation]) -> Network:
    """Return organisations and relations as ties."""
    known = tuple(organisations)
    parents = [
        Tie(kind=TieKind.PARENT, one=one.parent, other=one.code) for one in known if one.parent
    ]
    stated = [
        Tie(kind=one.tie, one=one.one, other=one.other, share_ppm=one.share_ppm)
        for one in relations
    ]
    traits = [
        Trait(kind=kind, code=one.code, value=value)
        for one in known
        for kind, value in (
            (TieKind.SAME_GROUP, one.group),
            (TieKind.SAME_LEGAL_REPRESENTATIVE, one.legal_person),
        )
        if value
    ]
    return Network(
        ties=(*parents, *stated),
        traits=traits,
        names={one.code: one.name for one in known},
        state_owners=frozenset(one.code for one in known if Role.STATE_OWNER in one.roles),
    )


def contracts(
    connection: Connection, field: str, values: Iterable[str], day: date
) -> list[Contract]:
    """Return the contracts that hold on a day with one of the values in a field."""
    found = (one.statement.entry for one in held_on(connection, Kind.CONTRACT, field, values, day))
    return [one for one in found if isinstance(one, Contract)]


def invoices(connection: Connection, field: str, values: Iterable[str], day: date) -> list[Invoice]:
    """Return the invoices that hold on a day with one of the values in a field."""
    found = (one.statement.entry for one in held_on(connection, Kind.INVOICE, field, values, day))
    return [one for one in found if isinstance(one, Invoice)]


def receipts(connection: Connection, field: str, values: Iterable[str], day: date) -> list[Receipt]:
    """Return the bank receipts that hold on a day with one of the values in a field."""
    found = (one.statement.entry for one in held_on(connection, Kind.RECEIPT, field, values, day))
    return [one for one in found if isinstance(one, Receipt)]


def find(connection: Connection, entry: Entry) -> list[Recorded]:
    """Return all statements about what an entry is about."""
    return versions(connection, kind_of(entry), [_key(entry)])


def _organisations(
    connection: Connection, field: str, values: Iterable[str], day: date
) -> list[Organisation]:
    found = (
        one.statement.entry for one in held_on(connection, Kind.ORGANISATION, field, values, day)
    )
    return [one for one in found if isinstance(one, Organisation)]


def _keys(connection: Connection, kind: Kind, field: str, values: Iterable[str]) -> set[str]:
    wanted, found = sorted(set(values)), set()
    for at in range(0, len(wanted), _CHUNK):
        rows = connection.execute(
            select(registry_term.c.key).where(
                registry_term.c.kind == kind.value,
                registry_term.c.field == field,
                registry_term.c.value.in_(wanted[at : at + _CHUNK]),
            )
        )
        found |= {row.key for row in rows}
    return found


def _key(entry: Entry) -> str:
    return json.dumps(key_of(entry), ensure_ascii=False, separators=(",", ":"), default=str)


def _key_of(one: Recorded) -> str:
    return _key(one.statement.entry)


def _recorded(row: Row[tuple[object, ...]]) -> Recorded:
    return Recorded(
        statement=Statement(
            entry=entry_of(Kind(row.kind), row.body),
            valid_from=date.fromisoformat(row.valid_from),
            valid_to=date.fromisoformat(row.valid_to) if row.valid_to else None,
            source=row.source,
        ),
        version=row.version,
        recorded_by=row.recorded_by,
        recorded_at=row.recorded_at,
    )
