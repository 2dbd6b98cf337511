"""A report as CSV with a byte order mark, so that a spreadsheet reads the Chinese in it.

One table: the lines. Amounts are yuan with two digits and no grouping; a text that a spreadsheet
would run as a formula, or cut as a long number, is marked as text.
"""

import csv
import io
from collections.abc import Iterator
from typing import Final

from suanwang.units import FEN_PER_YUAN
from voucher.reports.report import CellKind, Column, Report, Value

BOM: Final = "\ufeff"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_DIGITS_MAX: Final = 15
"""A spreadsheet keeps this many digits of a number."""


def csv_text(report: Report) -> Iterator[str]:
    """Yield the file piece by piece, to be encoded as UTF-8."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow([column.label for column in report.main.columns])
    yield BOM + _taken(buffer)
    for row in report.main.rows:
        writer.writerow(
            _cell(column, value) for column, value in zip(report.main.columns, row, strict=True)
        )
        if buffer.tell() > 1 << 16:
            yield _taken(buffer)
    yield _taken(buffer)


def plain_yuan(amount_fen: int) -> str:
    """Write fen as yuan with two digits and no grouping."""
    yuan, fen = divmod(abs(amount_fen), FEN_PER_YUAN)
    return f"{'-' if amount_fen < 0 else ''}{yuan}.{fen:02d}"


def _cell(column: Column, value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return plain_yuan(value) if column.kind is CellKind.AMOUNT else str(value)
    if value.startswith(_FORMULA):
        return f"'{value}"
    if value.isdigit() and len(value) > _DIGITS_MAX:
        return f"\t{value}"
    return value


def _taken(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text
