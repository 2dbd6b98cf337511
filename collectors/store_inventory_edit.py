"""Imports and edits of a site's inventory: read, plan, and write what is sound, all or nothing.

A dry run is the same but for the writing. Whatever is written makes one revision.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, NoReturn

from sqlalchemy import Connection

from collectors import store_inventory, store_inventory_history
from collectors.inventory.faults import Code, Ref
from collectors.inventory.fields import field_names, read_item
from collectors.inventory.files import read_file
from collectors.inventory.plan import Plan, Reading, ReadRow, RowFault, plan, plan_edit
from collectors.store_inventory_history import Author, Origin
from collectors.words import nearest
from suanwang.errors import BadInput, NotFound
from suanwang.model.inventory import Inventory, Item, Kind

FAULTS_TOLD: Final = 20
"""Most faults of a refused edit that its error names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How a file is to be taken: ``kind`` names the things of a CSV file.

    ``is_trial`` writes nothing; ``removes_absent`` takes away what the sheets do not name;
    ``is_strict`` writes nothing where anything is wrong. ``expected`` is the revision seen last.
    """

    kind: Kind | None = None
    is_trial: bool = False
    removes_absent: bool = False
    is_strict: bool = False
    expected: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an import or edit did, or would do; ``revision`` is the newest after it."""

    plan: Plan
    revision: int
    is_written: bool


def import_file(
    connection: Connection,
    site_id: str,
    content: bytes,
    wishes: Wishes,
    author: Author,
) -> Outcome:
    """Take in a workbook or CSV file; raise NotFound, BadInput for no table, and Conflict."""
    _lock(connection, site_id, wishes.expected, author)
    before = store_inventory.load(connection, site_id)
    read = read_file(content, before, wishes.kind)
    around = store_inventory.surroundings(connection, site_id, _used(before, read))
    made = plan(before, read, around, removes_absent=wishes.removes_absent)
    if wishes.is_trial or (wishes.is_strict and made.faults):
        last = store_inventory_history.newest(connection, site_id)
        return Outcome(plan=made, revision=last, is_written=False)
    revision = store_inventory_history.apply(connection, site_id, made.changes, author)
    return Outcome(plan=made, revision=revision, is_written=True)


def _used(before: Inventory, read: Reading) -> Iterable[Ref]:
    items = [(kind, item) for kind in Kind for item in before.of(kind).values()]
    items += [(row.kind, row.item) for row in read.rows]
    return store_inventory.used_ids(items)


def _lock(connection: Connection, site_id: str, expected: int | None, author: Author) -> None:
    """Keep others out, see that the caller is up to date, and that the history is."""
    store_inventory_history.lock(connection, site_id)
    store_inventory_history.require_revision(connection, site_id, expected)
    found = replace(author, origin=Origin.REGISTRATION, reason="found as registered")
    store_inventory_history.capture_meters(connection, site_id, found)


def put(
    connection: Connection,
    site_id: str,
    ref: Ref,
    values: Mapping[str, object],
    author: Author,
    expected: int | None = None,
) -> Outcome:
    """Write some fields of one thing, or a new thing; raise BadInput that names every fault."""
    _lock(connection, site_id, expected, author)
    before = store_inventory.load(connection, site_id)
    item = _read(ref, values, before)
    row = ReadRow(kind=ref.kind, line=0, item=item)
    reading = Reading(rows=(row,))
    around = store_inventory.surroundings(connection, site_id, _used(before, reading))
    made = plan_edit(before, around, rows=(row,))
    return _write(connection, site_id, made, author)


def remove(
    connection: Connection,
    site_id: str,
    ref: Ref,
    author: Author,
    expected: int | None = None,
) -> Outcome:
    """Take one thing away; raise NotFound, and BadInput where others name it."""
    _lock(connection, site_id, expected, author)
    before = store_inventory.load(connection, site_id)
    if ref.id not in before.of(ref.kind):
        raise NotFound(f"there is no {ref} at site {site_id}")
    around = store_inventory.surroundings(connection, site_id, _used(before, Reading()))
    made = plan_edit(before, around, removed=(ref,))
    return _write(connection, site_id, made, author)


def _read(ref: Ref, values: Mapping[str, object], before: Inventory) -> Item:
    known = field_names(ref.kind)
    for name in values:
        if name not in known:
            raise BadInput(
                f"{ref.kind} have no field {name!r}{nearest(name, known)}",
                next_step=f"fields are {', '.join(known)}",
            )
    if str(values.get("id", ref.id)) != ref.id:
        raise BadInput(f"the id is {values['id']!r} in the body and {ref.id!r} in the address")
    found = read_item(ref.kind, {**values, "id": ref.id}, before)
    if isinstance(found, tuple):
        refuse(
            RowFault(
                sheet=ref.kind.value, line=0, column=one.field, id=ref.id, code=Code.FIELD,
                reason=one.reason,
            )
            for one in found
        )  # fmt: skip
    return found


def refuse(faults: Iterable[RowFault]) -> NoReturn:
    """Raise BadInput that names faults."""
    found = list(faults)
    first = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    where = f"{first.id} {first.column}".strip()
    raise BadInput(
        f"{where}: {first.reason}{more}",
        next_step="the fields are in docs/inventory.md" if first.code is Code.FIELD else "",
        faults=[
            {"id": one.id, "field": one.column, "code": one.code.value, "reason": one.reason}
            for one in found[:FAULTS_TOLD]
        ],
    )


def _write(connection: Connection, site_id: str, made: Plan, author: Author) -> Outcome:
    if made.faults:
        refuse(made.faults)
    revision = store_inventory_history.apply(connection, site_id, made.changes, author)
    return Outcome(plan=made, revision=revision, is_written=True)
