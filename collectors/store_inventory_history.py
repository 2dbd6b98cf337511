"""Who changed a site's inventory when, and what stood there at any moment.

A change is kept whole, before and after, so the state of a moment is the newest change of each
thing up to then. Both tables only grow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, Row, Select, func, select

from collectors import store_inventory
from collectors.inventory.change import Change, Verb, changes_of
from collectors.inventory.faults import Ref
from collectors.inventory.fields import item_of
from collectors.store_roles import note_changes
from suanwang.db.tables import inventory_change, inventory_revision, site
from suanwang.errors import NotFound, Stale
from suanwang.model.inventory import Inventory, Item, Kind, Value

_revision = inventory_revision.c
_change = inventory_change.c


class Origin(StrEnum):
    """How a change came about."""

    IMPORT = "import"
    EDIT = "edit"
    REGISTRATION = "registration"
    EPISODE = "episode"


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who changes the inventory, how, why, and when."""

    actor: str
    origin: Origin
    reason: str
    at: datetime
    from_at: datetime | None = None
    """From when a changed role or category of a meter holds; without one it always did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A change of a site's inventory, with how many things it touched."""

    revision: int
    at: datetime
    actor: str
    origin: Origin
    reason: str
    added: int
    changed: int
    removed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A change of one thing, and the revision in which it was made."""

    revision: int
    at: datetime
    actor: str
    reason: str
    change: Change


def lock(connection: Connection, site_id: str) -> int:
    """Let nobody else change a site's inventory in this transaction; return its newest revision.

    Raises NotFound.
    """
    found = connection.execute(select(site.c.id).where(site.c.id == site_id).with_for_update())
    if found.first() is None:
        raise NotFound(f"there is no site {site_id}", site_id=site_id)
    return newest(connection, site_id)


def newest(connection: Connection, site_id: str, at: datetime | None = None) -> int:
    """Return the newest revision of a site (up to a moment); 0 before the first."""
    query = select(func.coalesce(func.max(_revision.revision), 0)).where(
        _revision.site_id == site_id
    )
    return connection.scalar(query if at is None else query.where(_revision.at <= at)) or 0


def record(
    connection: Connection,
    site_id: str,
    changes: Sequence[Change],
    author: Author,
) -> int:
    """Write changes and their revision, and return its number; no changes make no revision.

    The caller holds the lock. The moment is never before that of the revision before.
    """
    last = newest(connection, site_id)
    if not changes:
        return last
    query = select(_revision.at).where(_revision.site_id == site_id, _revision.revision == last)
    before_at = connection.scalar(query)
    counts = {verb: sum(change.verb is verb for change in changes) for verb in Verb}
    connection.execute(
        inventory_revision.insert().values(
            site_id=site_id,
            revision=last + 1,
            at=author.at if before_at is None else max(author.at, before_at),
            actor=author.actor,
            origin=author.origin.value,
            reason=author.reason,
            **{verb.value: count for verb, count in counts.items()},
        )
    )
    rows = [
        {
            "site_id": site_id, "kind": change.kind.value, "object_id": change.id,
            "revision": last + 1, "verb": change.verb.value,
            "before": None if change.before is None else dict(change.before),
            "after": None if change.after is None else dict(change.after),
        }
        for change in changes
    ]  # fmt: skip
    connection.execute(inventory_change.insert(), rows)
    note_changes(connection, site_id, changes, author.reason, author.at, author.from_at)
    return last + 1


def apply(
    connection: Connection,
    site_id: str,
    changes: Sequence[Change],
    author: Author,
) -> int:
    """Do sound changes and record them; return the revision. The caller holds the lock."""
    store_inventory.write(connection, site_id, changes)
    return record(connection, site_id, changes, author)


def capture_meters(connection: Connection, site_id: str, author: Author) -> int:
    """Record what another way in has changed of a site's meters; return the revision.

    Meters come with the registration of a site too, and change with an episode.
    """
    lock(connection, site_id)
    kind = Kind.METERS
    known = Inventory().with_kind(kind, kind_at(connection, site_id, kind))
    there = Inventory().with_kind(kind, store_inventory.load_kind(connection, site_id, kind))
    return record(connection, site_id, list(changes_of(kind, known, there)), author)


def inventory_at(connection: Connection, site_id: str, at: datetime) -> Inventory:
    """Return what stood at a site at a moment."""
    last = newest(connection, site_id, at)
    found = Inventory()
    for kind in Kind:
        found = found.with_kind(kind, kind_at(connection, site_id, kind, last))
    return found


def kind_at(
    connection: Connection,
    site_id: str,
    kind: Kind,
    revision: int | None = None,
    *,
    after: str = "",
    limit: int | None = None,
) -> dict[str, Item]:
    """Return the things of a kind as of a revision (None: the newest), by id behind ``after``."""
    later = inventory_change.alias("later")
    is_newest = ~(
        select(later.c.revision)
        .where(
            later.c.site_id == _change.site_id,
            later.c.kind == _change.kind,
            later.c.object_id == _change.object_id,
            later.c.revision > _change.revision,
            *(() if revision is None else (later.c.revision <= revision,)),
        )
        .exists()
    )
    query = select(_change.object_id, _change.after).where(
        _change.site_id == site_id,
        _change.kind == kind.value,
        _change.verb != Verb.REMOVED.value,
        _change.object_id > after,
        is_newest,
    )
    if revision is not None:
        query = query.where(_change.revision <= revision)
    rows = connection.execute(query.order_by(_change.object_id).limit(limit))
    return {row.object_id: item_of(kind, row.after) for row in rows}


def revisions(
    connection: Connection, site_id: str, *, before: int | None = None, limit: int = 100
) -> tuple[Revision, ...]:
    """Return the revisions of a site, the newest first, older than ``before``."""
    query = select(inventory_revision).where(_revision.site_id == site_id)
    if before is not None:
        query = query.where(_revision.revision < before)
    rows = connection.execute(query.order_by(_revision.revision.desc()).limit(limit))
    return tuple(
        Revision(
            revision=row.revision,
            at=row.at,
            actor=row.actor,
            origin=Origin(row.origin),
            reason=row.reason,
            added=row.added,
            changed=row.changed,
            removed=row.removed,
        )
        for row in rows
    )


def find_at(connection: Connection, site_id: str, ref: Ref, revision: int) -> Item | None:
    """Return a thing as of a revision; None where it was not there."""
    query = select(_change.after).where(
        _change.site_id == site_id,
        _change.kind == ref.kind.value,
        _change.object_id == ref.id,
        _change.revision <= revision,
    )
    row = connection.execute(query.order_by(_change.revision.desc()).limit(1)).first()
    return None if row is None or row.after is None else item_of(ref.kind, row.after)


def entries_of(connection: Connection, site_id: str, ref: Ref) -> tuple[Entry, ...]:
    """Return the life of one thing, the newest change first."""
    query = _entries(site_id).where(_change.kind == ref.kind.value, _change.object_id == ref.id)
    rows = connection.execute(query.order_by(_change.revision.desc()))
    return tuple(_entry(row) for row in rows)


def entries_in(
    connection: Connection, site_id: str, revision: int, *, after: str = "", limit: int = 1_000
) -> tuple[Entry, ...]:
    """Return the changes of a revision, by ``kind/id``, those behind ``after``."""
    name = _change.kind + "/" + _change.object_id
    query = _entries(site_id).where(_change.revision == revision, name > after)
    rows = connection.execute(query.order_by(name).limit(limit))
    return tuple(_entry(row) for row in rows)


def _entries(site_id: str) -> Select[tuple[object, ...]]:
    return (
        select(inventory_change, _revision.at, _revision.actor, _revision.reason)
        .join(
            inventory_revision,
            (_revision.site_id == _change.site_id) & (_revision.revision == _change.revision),
        )
        .where(_change.site_id == site_id)
    )


def _entry(row: Row[tuple[object, ...]]) -> Entry:
    return Entry(
        revision=row.revision,
        at=row.at,
        actor=row.actor,
        reason=row.reason,
        change=Change(
            kind=Kind(row.kind),
            id=row.object_id,
            verb=Verb(row.verb),
            before=_values(row.before),
            after=_values(row.after),
        ),
    )


def _values(document: object) -> Mapping[str, Value] | None:
    if document is None:
        return None
    assert isinstance(document, dict)
    return document


def require_revision(site_id: str, now: int, expected: int | None) -> None:
    """Raise Stale where the inventory has moved on from the revision that the caller saw."""
    if expected is None:
        return
    if now != expected:
        raise Stale(
            f"the inventory of {site_id} is at revision {now}, you saw {expected}",
            next_step="read it again, and say your change once more",
            revision=now,
        )
