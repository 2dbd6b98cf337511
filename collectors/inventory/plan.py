"""What an import or an edit would do to an inventory: pure, so that a dry run is the run itself.

Every fault is named at the row that causes it. A row with a fault is left out, and with it what
cannot stand without it; the sound rows are not lost. What was wrong before is nobody's fault now.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from collectors.inventory.change import Change, Verb, changes
from collectors.inventory.check import faults as faults_of
from collectors.inventory.check import warnings as warnings_of
from collectors.inventory.faults import Code, Fault, Ref, Surroundings
from suanwang.model.inventory import Inventory, Item, Kind

OF_EPISODES: Final = ("carrier", "rated_w", "resolution_wh", "modulus_wh")
"""What of a meter with energy in the record changes by an episode only, from a moment on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRow:
    """A row that says a thing: in which sheet and line, and the thing."""

    kind: Kind
    line: int
    item: Item

    @property
    def ref(self) -> Ref:
        """The thing that it says."""
        return Ref(self.kind, self.item.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFault:
    """What is wrong, and where: sheet, line (0: in no line of the file), column, and the thing."""

    sheet: str
    line: int
    column: str
    id: str
    code: Code
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was read of a file: sound rows, faults, and the kinds whose sheets are there.

    ``named`` has every id that a sheet names, also in bad rows. A kind in ``unreadable`` has a row
    whose id cannot be read, so nobody can say what its sheet lacks.
    """

    rows: tuple[ReadRow, ...] = ()
    faults: tuple[RowFault, ...] = ()
    kinds: frozenset[Kind] = frozenset()
    named: frozenset[Ref] = frozenset()
    unreadable: frozenset[Kind] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would be: the inventory after it, the changes, what stays, and everything wrong.

    ``absent`` are things that the sheets do not name and that stay, since nobody asked for removal.
    """

    after: Inventory
    changes: tuple[Change, ...] = ()
    unchanged: int = 0
    absent: tuple[Ref, ...] = ()
    faults: tuple[RowFault, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class _Draft:
    """Rows and removals that have no fault so far, and the faults that were found."""

    rows: dict[Ref, ReadRow]
    removed: set[Ref]
    faults: list[RowFault] = field(default_factory=list)


def plan(
    before: Inventory, read: Reading, around: Surroundings, *, removes_absent: bool = False
) -> Plan:
    """Return what the sound rows would do; with ``removes_absent`` what they do not name goes."""
    absent = _absent(before, read)
    kept = {ref for ref in absent if ref.kind in read.unreadable}
    draft = _Draft(
        rows=_changing(before, read.rows),
        removed=set(absent) - kept if removes_absent else set(),
        faults=list(read.faults),
    )
    if removes_absent:
        draft.faults += _unreadable(read)
    made = _planned(before, draft, around)
    removed = {change.ref for change in made.changes if change.verb is Verb.REMOVED}
    return replace(
        made,
        unchanged=len(read.rows) - len(_changing(before, read.rows)),
        absent=tuple(ref for ref in absent if ref not in removed),
    )


def _changing(before: Inventory, rows: Iterable[ReadRow]) -> dict[Ref, ReadRow]:
    return {row.ref: row for row in rows if before.of(row.kind).get(row.item.id) != row.item}


def plan_edit(
    before: Inventory,
    around: Surroundings,
    *,
    rows: Sequence[ReadRow] = (),
    removed: Iterable[Ref] = (),
) -> Plan:
    """Return what it would do to write some things and remove some others by name."""
    return _planned(before, _Draft(rows=_changing(before, rows), removed=set(removed)), around)


def _planned(before: Inventory, draft: _Draft, around: Surroundings) -> Plan:
    _refuse_used(draft, before, around)
    after = _settle(draft, before, around)
    return Plan(
        after=after,
        changes=changes(before, after),
        faults=tuple(sorted(draft.faults, key=_place)),
        warnings=warnings_of(after, around),
    )


def _place(fault: RowFault) -> tuple[int, int, str, str]:
    kinds = [kind.value for kind in Kind]
    order = kinds.index(fault.sheet) if fault.sheet in kinds else len(kinds)
    return order, fault.line, fault.id, fault.column


def _absent(before: Inventory, read: Reading) -> tuple[Ref, ...]:
    return tuple(
        ref
        for kind in Kind
        if kind in read.kinds
        for ref in (Ref(kind, item_id) for item_id in sorted(before.of(kind)))
        if ref not in read.named
    )


def _unreadable(read: Reading) -> Iterable[RowFault]:
    for kind in sorted(read.unreadable):
        reason = "nothing is removed: a row's id cannot be read, so it is unclear what is absent"
        yield RowFault(sheet=kind.value, line=0, column="id", id="", code=Code.FIELD, reason=reason)


def _refuse_used(draft: _Draft, before: Inventory, around: Surroundings) -> None:
    """Keep meters of the energy record as they were: what is recorded must stay explainable."""
    for ref in sorted(draft.removed, key=str):
        if ref.kind is Kind.METERS and ref.id in around.with_energy:
            draft.removed.discard(ref)
            reason = "the meter has energy in the record and can't go; make its role other instead"
            draft.faults.append(_fault(draft, ref, "id", Code.IN_USE, reason))
    for ref, row in list(draft.rows.items()):
        former = before.of(ref.kind).get(ref.id)
        if former is None or ref.kind is not Kind.METERS or ref.id not in around.with_energy:
            continue
        changed = [name for name in OF_EPISODES if getattr(row.item, name) != getattr(former, name)]
        for name in changed:
            reason = f"is {getattr(former, name)} in the record; another device is an episode"
            draft.faults.append(_fault(draft, ref, name, Code.IN_USE, reason))
        if changed:
            del draft.rows[ref]


def _settle(draft: _Draft, before: Inventory, around: Surroundings) -> Inventory:
    """Leave out what causes new faults until there are none; return what then is there."""
    known = {fault.key for fault in faults_of(before, around)}
    while True:
        after = _applied(before, draft)
        new = [fault for fault in faults_of(after, around) if fault.key not in known]
        if not new:
            return after
        dropped = {ref for fault in new for ref in _drop(draft, fault)}
        if not dropped:
            # Something new is wrong, and no row or removal takes part in it by name.
            dropped = {*draft.rows, *draft.removed}
        for ref in dropped:
            draft.rows.pop(ref, None)
            draft.removed.discard(ref)


def _drop(draft: _Draft, fault: Fault) -> set[Ref]:
    """Write a fault down at what causes it, and return what to leave out for it.

    That is a removal, else the row of the thing itself, else the rows of others in the fault.
    """
    own = fault.ref
    if gone := {ref for ref in fault.others if ref in draft.removed}:
        for ref in sorted(gone, key=str):
            reason = f"it stays: {own} names it in {fault.field}"
            draft.faults.append(_fault(draft, ref, "id", Code.IN_USE, reason))
        return gone
    causes = {ref for ref in fault.others if ref in draft.rows}
    if own in draft.rows or not causes:
        draft.faults.append(_fault(draft, own, fault.field, fault.code, fault.reason))
        return {own} & set(draft.rows)
    for ref in sorted(causes, key=str):
        reason = f"then {own} could not be: {fault.reason}"
        draft.faults.append(_fault(draft, ref, "", fault.code, reason))
    return causes


def _fault(draft: _Draft, ref: Ref, column: str, code: Code, reason: str) -> RowFault:
    row = draft.rows.get(ref)
    return RowFault(
        sheet=ref.kind.value,
        line=0 if row is None else row.line,
        column=column,
        id=ref.id,
        code=code,
        reason=reason,
    )


def _applied(before: Inventory, draft: _Draft) -> Inventory:
    """Return the inventory with the draft's rows written and its removals done."""
    by_kind: dict[Kind, dict[str, Item]] = {}
    for ref, row in draft.rows.items():
        by_kind.setdefault(ref.kind, dict(before.of(ref.kind)))[ref.id] = row.item
    for ref in draft.removed:
        by_kind.setdefault(ref.kind, dict(before.of(ref.kind))).pop(ref.id, None)
    after = before
    for kind, of_it in by_kind.items():
        after = after.with_kind(kind, of_it)
    return after
