"""Imports and edits of a site's inventory: planned by reading alone, then written in one revision.

A dry run is the plan. It is written only to the revision that it was made for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, NoReturn

from sqlalchemy import Connection

from collectors import store_inventory, store_inventory_history
from collectors.inventory.faults import Code, Ref
from collectors.inventory.fields import field_names, read_item
from collectors.inventory.files import read_file
from collectors.inventory.plan import Plan, ReadRow, RowFault, plan, plan_edit
from collectors.store_inventory_history import Author, Origin
from collectors.words import nearest
from suanwang.errors import BadInput, NotFound
from suanwang.model.inventory import Inventory, Item, Kind

FAULTS_SAID: Final = 3
"""Most faults of a refused edit that its message says."""
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
    """What an import or edit would do to a revision, or did; then the revision is the new one."""

    plan: Plan
    revision: int
    is_written: bool = False


def plan_file(connection: Connection, site_id: str, content: bytes, wishes: Wishes) -> Outcome:
    """Return what a workbook or CSV file would do; raise NotFound, BadInput for no table, Stale."""
    there = _there(connection, site_id, wishes.expected)
    read = read_file(content, there.before, wishes.kind)
    around = store_inventory.surroundings(connection, site_id, _used(there.before, read.rows))
    made = plan(there.before, read, around, removes_absent=wishes.removes_absent)
    return Outcome(plan=made, revision=there.revision)


def plan_put(
    connection: Connection,
    site_id: str,
    ref: Ref,
    values: Mapping[str, object],
    expected: int | None = None,
) -> Outcome:
    """Return what it would do to write some fields of one thing; raise BadInput for any fault."""
    there = _there(connection, site_id, expected)
    row = ReadRow(kind=ref.kind, line=0, item=_read(ref, values, there.before))
    around = store_inventory.surroundings(connection, site_id, _used(there.before, [row]))
    made = plan_edit(there.before, around, rows=(row,))
    if made.faults:
        refuse(made.faults)
    return Outcome(plan=made, revision=there.revision)


def plan_removal(
    connection: Connection, site_id: str, ref: Ref, expected: int | None = None
) -> Outcome:
    """Return what it would do to take one thing away; raise NotFound, BadInput if it is named."""
    there = _there(connection, site_id, expected)
    if ref.id not in there.before.of(ref.kind):
        raise NotFound(f"there is no {ref} at site {site_id}")
    around = store_inventory.surroundings(connection, site_id, _used(there.before, ()))
    made = plan_edit(there.before, around, removed=(ref,))
    if made.faults:
        refuse(made.faults)
    return Outcome(plan=made, revision=there.revision)


def write(connection: Connection, site_id: str, planned: Outcome, author: Author) -> Outcome | None:
    """Do what was planned; None where the inventory has moved on since: then plan again.

    So that whoever writes waits for the writing alone, and not for reading and checking a file.
    """
    newest = store_inventory_history.lock(connection, site_id)
    if newest == 0:
        found = replace(author, origin=Origin.REGISTRATION, reason="found as registered")
        newest = store_inventory_history.capture_meters(connection, site_id, found)
    if newest != planned.revision:
        return None
    changes = planned.plan.changes
    revision = store_inventory_history.apply(connection, site_id, changes, author)
    return replace(planned, revision=revision, is_written=True)


@dataclass(frozen=True, slots=True)
class _There:
    """What stands at a site, and at which revision that is."""

    before: Inventory
    revision: int


def _there(connection: Connection, site_id: str, expected: int | None) -> _There:
    # The revision first: what is read after it may be newer, and then the plan is not written.
    revision = store_inventory_history.newest(connection, site_id)
    store_inventory_history.require_revision(site_id, revision, expected)
    return _There(store_inventory.load(connection, site_id), revision)


def _used(before: Inventory, rows: Iterable[ReadRow]) -> Iterable[Ref]:
    items = [(kind, item) for kind in Kind for item in before.of(kind).values()]
    items += [(row.kind, row.item) for row in rows]
    return store_inventory.used_ids(items)


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
    told = [f"{one.id} {one.column}".strip() + f": {one.reason}" for one in found[:FAULTS_SAID]]
    more = f" (and {len(found) - len(told)} more)" if len(found) > len(told) else ""
    is_field = found[0].code is Code.FIELD
    raise BadInput(
        "; ".join(told) + more,
        next_step="the fields are in docs/inventory.md" if is_field else "",
        faults=[
            {"id": one.id, "field": one.column, "code": one.code.value, "reason": one.reason}
            for one in found[:FAULTS_TOLD]
        ],
    )
