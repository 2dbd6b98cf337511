"""Files the applications of a batch, each in its own savepoint: a refusal touches no other."""

from dataclasses import dataclass, replace
from enum import StrEnum

from suanwang.errors import SuanwangError
from suanwang.ids import IdSource
from voucher.grants import service, store
from voucher.grants.batch import Batch, Filed, RowFault
from voucher.grants.case import EDITABLE
from voucher.grants.records import Record
from voucher.grants.steps import Desk


class Outcome(StrEnum):
    """What became of an application of the file."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """An application of the file that is filed, and the lines that it stands in."""

    record: Record
    outcome: Outcome
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was filed, and the batch with every fault that filing has found as well."""

    filed: tuple[Imported, ...]
    batch: Batch


def import_batch(desk: Desk, batch: Batch, ids: IdSource) -> Report:
    """File every sound application as a draft; one that is still a draft is brought up to date."""
    filed: list[Imported] = []
    faults = list(batch.faults)
    for one in batch.filed:
        try:
            with desk.connection.begin_nested():
                filed.append(_file(desk, one, ids))
        except SuanwangError as failure:
            column = str(failure.facts.get("fact") or failure.facts.get("field") or "")
            faults.append(RowFault(line=one.lines[0], column=column, reason=failure.message))
    ordered = tuple(sorted(faults, key=lambda fault: (fault.line, fault.column)))
    return Report(filed=tuple(filed), batch=replace(batch, faults=ordered))


def _file(desk: Desk, one: Filed, ids: IdSource) -> Imported:
    there = store.find_by_ref(desk.connection, one.tenant_id, one.draft.ref)
    is_changed = there is not None and there.body_digest != one.draft.digest
    if there is not None and is_changed and there.state in EDITABLE:
        record = service.edit(desk, there.id, one.draft)
        return Imported(record=record, outcome=Outcome.CHANGED, lines=one.lines)
    record, is_new = service.create(desk, one.tenant_id, one.draft, ids)
    outcome = Outcome.CREATED if is_new else Outcome.UNCHANGED
    return Imported(record=record, outcome=outcome, lines=one.lines)
