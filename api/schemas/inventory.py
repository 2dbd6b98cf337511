"""Bodies around the inventory of a site: things, what an import does, and its history."""

from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, Field

from api.schemas.common import In, Out, Title
from collectors.inventory.change import Change, Verb
from collectors.inventory.faults import Code
from collectors.inventory.plan import RowFault
from collectors.store_inventory_edit import Outcome
from collectors.store_inventory_history import Entry, Origin
from suanwang.model.inventory import Kind

TOLD_MAX = 1_000
"""Most changes, faults and absent things of one answer; the counts are of all."""
Cell = Annotated[str, Field(max_length=2_000)] | int | float | bool | None
Value = str | int | float | None
Values = dict[str, Value]


class InventoryOut(Out):
    """What stands at a site, counted, and what is odd about it."""

    site_id: str
    revision: int = Field(description="counts its changes; 0: none yet")
    counts: dict[Kind, int]
    it_design_w: int
    racks_rated_w: int = Field(description="of the racks that are delivered or in use, W")
    standard_racks: float = Field(description="those, in standard racks of 2.5 kW")
    racks: dict[str, int] = Field(description="racks by their delivery")
    warnings: list[str]


class ThingOut(Out):
    """A thing with all its fields, as of a revision."""

    kind: Kind
    revision: int
    values: Values


class ThingList(Out):
    """Things of a kind by id; ``next`` is the id after which the next page begins."""

    kind: Kind
    revision: int
    items: list[Values]
    next: str | None


class ThingIn(In):
    """Fields of a thing; what is left out stays as it is, null is nothing or the default."""

    values: dict[Annotated[str, Field(max_length=64)], Cell] = Field(max_length=64)
    reason: Title
    from_at: AwareDatetime | None = Field(
        default=None,
        description="from when a meter's new role or category holds; without it: it always did",
    )


class DifferenceOut(Out):
    """A field that differs."""

    field: str
    before: Value
    after: Value


class ChangeOut(Out):
    """A thing that was added, changed or removed."""

    kind: Kind
    id: str
    verb: Verb
    differences: list[DifferenceOut]


class SheetFaultOut(Out):
    """What is wrong, and where; line 0 is in no line of the file."""

    sheet: str
    line: int
    column: str
    id: str
    code: Code
    reason: str


class ThingName(Out):
    """A thing by kind and id."""

    kind: Kind
    id: str


class ImportOut(Out):
    """What an import did, or would do."""

    site_id: str
    revision: int
    is_written: bool
    added: int
    changed: int
    removed: int
    unchanged: int
    changes: list[ChangeOut]
    absent: list[ThingName] = Field(description="not in the file, and left as they are")
    absent_count: int
    faults: list[SheetFaultOut]
    fault_count: int
    warnings: list[str]


class RevisionOut(Out):
    """A change of the inventory: who, when, why, and how many things."""

    revision: int
    at: datetime
    actor: str
    origin: Origin
    reason: str
    added: int
    changed: int
    removed: int


class RevisionList(Out):
    """Revisions, the newest first; ``next`` is the one before which the next page begins."""

    items: list[RevisionOut]
    next: int | None


class EntryOut(Out):
    """A change of one thing, and in which revision it was made."""

    revision: int
    at: datetime
    actor: str
    reason: str
    change: ChangeOut


class EntryList(Out):
    """Changes of things; ``next`` is the name after which the next page begins."""

    items: list[EntryOut]
    next: str | None = None


def change_out(change: Change) -> ChangeOut:
    """Return a change with its differences."""
    return ChangeOut(
        kind=change.kind,
        id=change.id,
        verb=change.verb,
        differences=[
            DifferenceOut(field=name, before=before, after=after)
            for name, (before, after) in change.differences().items()
        ],
    )


def entry_out(entry: Entry) -> EntryOut:
    """Return a line of the history."""
    return EntryOut(
        revision=entry.revision,
        at=entry.at,
        actor=entry.actor,
        reason=entry.reason,
        change=change_out(entry.change),
    )


def import_out(site_id: str, outcome: Outcome) -> ImportOut:
    """Return what an import did; long lists are cut, their counts are not."""
    plan = outcome.plan
    counts = {verb: sum(change.verb is verb for change in plan.changes) for verb in Verb}
    return ImportOut(
        site_id=site_id,
        revision=outcome.revision,
        is_written=outcome.is_written,
        added=counts[Verb.ADDED],
        changed=counts[Verb.CHANGED],
        removed=counts[Verb.REMOVED],
        unchanged=plan.unchanged,
        changes=[change_out(change) for change in plan.changes[:TOLD_MAX]],
        absent=[ThingName(kind=ref.kind, id=ref.id) for ref in plan.absent[:TOLD_MAX]],
        absent_count=len(plan.absent),
        faults=[_fault_out(fault) for fault in plan.faults[:TOLD_MAX]],
        fault_count=len(plan.faults),
        warnings=list(plan.warnings[:TOLD_MAX]),
    )


def _fault_out(fault: RowFault) -> SheetFaultOut:
    return SheetFaultOut(
        sheet=fault.sheet,
        line=fault.line,
        column=fault.column,
        id=fault.id,
        code=fault.code,
        reason=fault.reason,
    )
