"""Tables in files: CSV (UTF-8 or GB 18030) and xlsx, read with line numbers and written as text.

What is written goes in as text, so that no spreadsheet makes 2.5372E+19 of an invoice number, and a
cell that begins like a formula gets an apostrophe in front, which reading takes away again.
"""

import csv
import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Final

from openpyxl import load_workbook
from openpyxl.cell.cell import Cell as SheetCell
from openpyxl.cell.cell import MergedCell
from openpyxl.cell.read_only import EmptyCell, ReadOnlyCell
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.worksheet.worksheet import Worksheet
from xlsxwriter import Workbook

from suanwang.errors import BadInput

ROWS_MAX: Final = 20_000
COLUMNS_MAX: Final = 200
CELL_LENGTH_MAX: Final = 2_000
UNPACKED_BYTES_MAX: Final = 200 * 1024 * 1024
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")

Cell = object
"""A cell: None, a text, a number, a flag, a day or a moment."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A cell that cannot be read, and why; its row is bad, the others are not."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row; ``line`` is its line in the file, counted from 1 as a spreadsheet shows it.

    ``fault`` is what is wrong with the row as a whole, or empty.
    """

    line: int
    cells: tuple[Cell, ...]
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Headings and the rows under them; empty rows are left out."""

    header: tuple[str, ...]
    header_line: int
    rows: tuple[Row, ...]


def is_xlsx(content: bytes) -> bool:
    """Whether a file is a packed workbook rather than text."""
    return content[:4] == b"PK\x03\x04"


def read_table(content: bytes, rows_max: int = ROWS_MAX) -> Table:
    """Return the table in a CSV or xlsx file, told apart by its bytes; raise BadInput.

    Of a workbook it is the first sheet.
    """
    if is_xlsx(content):
        for _, rows in _xlsx_sheets(content):
            found = _table(rows, rows_max)
            break
        else:
            found = None
    else:
        found = _table(_csv_rows(content), rows_max)
    if found is None:
        raise BadInput("the file is empty: it has no line of headings")
    return found


def read_tables(content: bytes, rows_max: int = ROWS_MAX) -> dict[str, Table]:
    """Return the tables of an xlsx file by the names of their sheets; empty sheets are left out."""
    named = ((name, _table(rows, rows_max)) for name, rows in _xlsx_sheets(content))
    return {name: table for name, table in named if table is not None}


def _table(rows: Iterable[Row], rows_max: int) -> Table | None:
    """Return headings and rows; None where there is no heading at all."""
    header: Row | None = None
    found: list[Row] = []
    for row in rows:
        if all(cell is None or str(cell).strip() == "" for cell in row.cells):
            continue
        if header is None:
            header = _header(row)
            continue
        found.append(_within(header, row))
        if len(found) > rows_max:
            raise BadInput(f"the file has more than {rows_max} rows", next_step="split it")
    if header is None:
        return None
    names = tuple("" if cell is None else str(cell).strip() for cell in header.cells)
    return Table(header=names, header_line=header.line, rows=tuple(found))


def _header(row: Row) -> Row:
    if len(row.cells) > COLUMNS_MAX:
        raise BadInput(f"line {row.line} has {len(row.cells)} columns, at most {COLUMNS_MAX}")
    broken = next((cell for cell in row.cells if isinstance(cell, Broken)), None)
    if broken is not None:
        raise BadInput(f"line {row.line}: a heading {broken.reason}", line=row.line)
    return row


def _within(header: Row, row: Row) -> Row:
    """Return a row with the fault that a cell has no heading: its cells may have moved."""
    for place, cell in enumerate(row.cells):
        has_heading = place < len(header.cells) and str(header.cells[place] or "").strip()
        if cell is None or str(cell).strip() == "" or has_heading:
            continue
        shown = cell.reason if isinstance(cell, Broken) else repr(str(cell)[:50])
        fault = f"cell {place + 1} has no heading: {shown}; is a comma not in quotes?"
        return replace(row, fault=fault, cells=row.cells[: len(header.cells)])
    return row


def write_csv(rows: Iterable[Sequence[str]]) -> bytes:
    """Return a CSV file with the mark by which spreadsheets know UTF-8."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    for row in rows:
        writer.writerow([_guarded(cell) for cell in row])
    return text.getvalue().encode("utf-8-sig")


def write_xlsx(rows: Iterable[Sequence[str]], sheet: str = "applications") -> bytes:
    """Return an xlsx file of one sheet whose cells are all text."""
    return write_workbook({sheet: rows})


def write_workbook(sheets: Mapping[str, Iterable[Sequence[str]]]) -> bytes:
    """Return an xlsx file with the sheets in their order; all cells are text."""
    target = io.BytesIO()
    with Workbook(target, {"constant_memory": True, "in_memory": True}) as book:
        text = book.add_format({"num_format": "@"})
        bold = book.add_format({"num_format": "@", "bold": True})
        for name, rows in sheets.items():
            page = book.add_worksheet(name)
            page.freeze_panes(1, 0)
            page.set_column(0, COLUMNS_MAX, 18, text)
            for number, row in enumerate(rows):
                for place, cell in enumerate(row):
                    page.write_string(number, place, cell, text if number else bold)
    return target.getvalue()


def _guarded(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _unguarded(cell: str) -> str:
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(_FORMULA) else cell


def _csv_rows(content: bytes) -> Iterator[Row]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            text = content.decode("gb18030")
        except UnicodeDecodeError as failure:
            raise BadInput(
                "the file is neither xlsx nor CSV in UTF-8 or GB 18030",
                next_step="save it as CSV UTF-8",
            ) from failure
    if "\x00" in text:
        raise BadInput("the file has a NUL character; it is no CSV")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        before = 0
        for cells in reader:
            yield Row(line=before + 1, cells=tuple(_checked(cell) for cell in cells))
            before = reader.line_num
    except csv.Error as failure:
        raise BadInput(f"line {reader.line_num}: {failure}", line=reader.line_num) from failure


def _xlsx_sheets(content: bytes) -> Iterator[tuple[str, Iterator[Row]]]:
    """Yield name and rows of each sheet; raise BadInput for a file that is no workbook."""
    with _refusing_damage():
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            unpacked = sum(entry.file_size for entry in packed.infolist())
        if unpacked > UNPACKED_BYTES_MAX:
            raise BadInput(f"the file unpacks to {unpacked:,} bytes, at most {UNPACKED_BYTES_MAX}")
        pages = load_workbook(io.BytesIO(content), read_only=True).worksheets
        for page in pages:
            page.reset_dimensions()
    for page in pages:
        yield page.title, _sheet_rows(page)


def _sheet_rows(page: Worksheet) -> Iterator[Row]:
    with _refusing_damage():
        for number, cells in enumerate(page.iter_rows(), 1):
            yield Row(line=number, cells=tuple(_of_sheet(cell) for cell in cells))


@contextmanager
def _refusing_damage() -> Iterator[None]:
    """Turn what the readers of xlsx raise on damaged files into BadInput."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        InvalidFileException,
        KeyError,
        ValueError,
        TypeError,
        IndexError,
        AttributeError,
        SyntaxError,
        EOFError,
        OverflowError,
        RuntimeError,
        zlib.error,
    ) as failure:
        raise BadInput(f"the xlsx file cannot be read: {failure}") from failure


def _of_sheet(cell: SheetCell | MergedCell | ReadOnlyCell | EmptyCell) -> Cell:
    """Return a sheet's cell; a formula's value is nobody's statement, so it is refused."""
    if cell.data_type == "f":
        return Broken("is a formula; paste its value")
    if cell.data_type == "e":
        return Broken(f"is the error {cell.value}")
    return _checked(cell.value)


def _checked(cell: object) -> Cell:
    if not isinstance(cell, str):
        is_known = cell is None or isinstance(cell, bool | int | date | datetime)
        return cell if is_known else _number_text(cell)
    if len(cell) > CELL_LENGTH_MAX:
        return Broken(f"has {len(cell)} characters, at most {CELL_LENGTH_MAX}")
    return _unguarded(cell)


@dataclass(frozen=True, slots=True)
class Number:
    """A number with a fraction, as the sheet shows it: money is read from its digits."""

    digits: str

    def __str__(self) -> str:
        return self.digits


def _number_text(cell: object) -> Cell:
    return Number(str(cell))
