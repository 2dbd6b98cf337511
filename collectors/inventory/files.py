"""The inventory as files: a workbook with a sheet a kind, or a CSV file of one kind."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from collectors.inventory.cells import NOTHING, identity
from collectors.inventory.faults import Code, Ref
from collectors.inventory.fields import (
    SHEETS,
    cell_text,
    field_names,
    field_of,
    heading_rows,
    read_item,
)
from collectors.inventory.plan import Reading, ReadRow, RowFault
from collectors.words import nearest
from suanwang.errors import BadInput
from suanwang.model.inventory import Inventory, Kind
from suanwang.sheets import Row, Table, is_xlsx, read_table, read_tables, write_csv, write_workbook

ROWS_MAX: Final = 200_000
"""Most rows of one sheet."""
MEANINGS: Final = "columns"
"""The sheet that explains the others; reading passes it over."""


def workbook(inventory: Inventory) -> bytes:
    """Return the whole inventory as an xlsx file; of an empty one it is the template."""
    sheets: dict[str, Sequence[Sequence[str]]] = {
        kind.value: list(table_rows(inventory, kind)) for kind in Kind
    }
    return write_workbook({**sheets, MEANINGS: heading_rows()})


def csv_file(inventory: Inventory, kind: Kind) -> bytes:
    """Return the things of one kind as a CSV file."""
    return write_csv(table_rows(inventory, kind))


def table_rows(inventory: Inventory, kind: Kind) -> Iterator[Sequence[str]]:
    """Yield headings, and the things of a kind by id."""
    names = field_names(kind)
    yield names
    for _, item in sorted(inventory.of(kind).items()):
        yield [cell_text(getattr(item, name)) for name in names]


def read_file(content: bytes, before: Inventory, kind: Kind | None = None) -> Reading:
    """Return what a workbook says, or a CSV file of the things of ``kind``; raise BadInput."""
    if is_xlsx(content):
        return read_sheets(_sheets(read_tables(content, ROWS_MAX)), before)
    if kind is None:
        raise BadInput(
            "a CSV file has one sheet, and does not say which",
            next_step=f"name it: {', '.join(one.value for one in Kind)}",
        )
    return read_sheets({kind: read_table(content, ROWS_MAX)}, before)


def _sheets(tables: Mapping[str, Table]) -> dict[Kind, Table]:
    found: dict[Kind, Table] = {}
    for name, table in tables.items():
        if name.strip().lower() == MEANINGS:
            continue
        kind = SHEETS.get(name.strip().lower())
        if kind is None:
            raise BadInput(
                f"unknown sheet {name!r}{nearest(name, SHEETS)}",
                next_step=f"sheets are called {', '.join(one.value for one in Kind)}",
            )
        if kind in found:
            raise BadInput(f"two sheets are of the {kind.value}; put them together")
        found[kind] = table
    if not found:
        raise BadInput(
            "the workbook has no sheet with headings",
            next_step="`suanwang inventory template` writes one",
        )
    return found


def read_sheets(tables: Mapping[Kind, Table], before: Inventory) -> Reading:
    """Return what tables say, with every row that says nothing and why."""
    rows: list[ReadRow] = []
    faults: list[RowFault] = []
    lines: dict[Ref, int] = {}
    unreadable: set[Kind] = set()
    for kind in (one for one in Kind if one in tables):
        columns = _columns(kind, tables[kind])
        for row in tables[kind].rows:
            cells = _cells(row, columns)
            found = _read_row(kind, row, cells, before)
            ref = _named(kind, cells)
            if ref is None:
                unreadable.add(kind)
            elif ref in lines:
                reason = f"{ref} is in line {lines[ref]} already"
                found = [_fault(kind, row, "id", ref.id, reason)]
            else:
                lines[ref] = row.line
            if isinstance(found, ReadRow):
                rows.append(found)
            else:
                faults.extend(found)
    return Reading(
        rows=tuple(rows),
        faults=tuple(faults),
        kinds=frozenset(tables),
        named=frozenset(lines),
        unreadable=frozenset(unreadable),
    )


def _columns(kind: Kind, table: Table) -> dict[int, str]:
    """Return the field of each column; raise BadInput for a heading that is none, or is twice."""
    columns: dict[int, str] = {}
    for place, heading in enumerate(table.header):
        if not heading:
            continue
        where = f"sheet {kind.value}, line {table.header_line}"
        try:
            name = field_of(kind, heading)
        except ValueError as failure:
            raise BadInput(
                f"{where}: {failure}", next_step=f"columns are {', '.join(field_names(kind))}"
            ) from failure
        if name in columns.values():
            raise BadInput(f"{where}: the column {name} is there twice")
        columns[place] = name
    if "id" not in columns.values():
        raise BadInput(f"sheet {kind.value}, line {table.header_line} lacks the column id")
    return columns


def _cells(row: Row, columns: Mapping[int, str]) -> dict[str, object]:
    return {
        name: row.cells[place] if place < len(row.cells) else None
        for place, name in columns.items()
    }


def _named(kind: Kind, cells: Mapping[str, object]) -> Ref | None:
    """Return the thing that a row names; None where its id cannot be read."""
    try:
        named = identity(cells.get("id"))
    except ValueError:
        return None
    return None if named is NOTHING else Ref(kind, str(named))


def _read_row(
    kind: Kind, row: Row, cells: Mapping[str, object], before: Inventory
) -> ReadRow | list[RowFault]:
    named = str(cells.get("id") or "")[:64]
    if row.fault:
        return [_fault(kind, row, "", named, row.fault)]
    found = read_item(kind, cells, before)
    if isinstance(found, tuple):
        return [_fault(kind, row, one.field, named, one.reason) for one in found]
    return ReadRow(kind=kind, line=row.line, item=found)


def _fault(kind: Kind, row: Row, column: str, named: str, reason: str) -> RowFault:
    return RowFault(
        sheet=kind.value, line=row.line, column=column, id=named, code=Code.FIELD, reason=reason
    )
