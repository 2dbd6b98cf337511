"""A report as a workbook, written row by row in constant memory.

Ids, codes and invoice numbers are text cells: a spreadsheet keeps 15 digits of a number, an invoice
has 20. Sums are formulas *and* values, so that the file is right in a viewer that does not compute
and can be checked in one that does.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.utility import xl_col_to_name
from xlsxwriter.worksheet import Worksheet

from suanwang.errors import BadInput
from voucher.reports.csv import plain_yuan
from voucher.reports.report import CellKind, Column, Fact, Report, Row, Section, Totals, summing

ROWS_MAX: Final = 1_000_000
"""Lines in one workbook; a sheet has 1,048,576."""
_AMOUNT_FORMAT: Final = "#,##0.00;[Red]-#,##0.00;0.00"


def write_xlsx(report: Report, path: Path) -> int:
    """Write a report and return its number of lines; raise BadInput for over a million."""
    with TemporaryDirectory() as folder:
        options = {"constant_memory": True, "tmpdir": folder}
        with xlsxwriter.Workbook(str(path), options) as workbook:
            return _Sheet(workbook, report).write()


class _Sheet:
    """One sheet, written from the top to the bottom."""

    def __init__(self, workbook: xlsxwriter.Workbook, report: Report) -> None:
        self._report = report
        self._sheet: Worksheet = workbook.add_worksheet(report.main.label)
        self._title: Format = workbook.add_format({"bold": True, "font_size": 14})
        self._label: Format = workbook.add_format({"bold": True})
        self._head: Format = workbook.add_format(
            {"bold": True, "bg_color": "#DDE6F0", "border": 1, "align": "center"}
        )
        self._text: Format = workbook.add_format({"num_format": "@"})
        self._amount: Format = workbook.add_format({"num_format": _AMOUNT_FORMAT})
        self._count: Format = workbook.add_format({"num_format": "0"})
        self._total: Format = workbook.add_format(
            {"num_format": _AMOUNT_FORMAT, "bold": True, "top": 1}
        )
        self._cells: dict[str, str] = {}
        self._at = 0

    def write(self) -> int:
        """Write everything; return the number of lines."""
        report, main = self._report, self._report.main
        for place, column in enumerate(main.columns):
            self._sheet.set_column(place, place, column.width)
        self._sheet.write_string(0, 0, report.title, self._title)
        self._at = 2
        for fact in report.facts:
            self._fact(fact)
        self._at += 1
        self._headings(main)
        totals: dict[str, int] = {}
        first = self._at
        for row in summing(main, totals):
            self._row(main, row)
            if self._at - first > ROWS_MAX:
                raise BadInput(
                    f"the report has more than {ROWS_MAX} lines, too many for one workbook",
                    next_step="ask for a shorter period, or for CSV",
                )
        lines = self._at - first
        self._totals(main, first, totals)
        tail = report.after(totals)
        self._at += 1
        for fact in tail.facts:
            self._fact(fact)
        for section in tail.sections:
            self._section(section)
        return lines

    def _section(self, section: Section) -> None:
        self._at += 1
        self._sheet.write_string(self._at, 0, section.label, self._label)
        self._at += 1
        self._headings(section)
        first = self._at
        totals: dict[str, int] = {}
        for row in summing(section, totals):
            self._row(section, row)
        self._totals(section, first, totals)

    def _headings(self, section: Section) -> None:
        for place, column in enumerate(section.columns):
            label = f"{column.label}（元）" if column.kind is CellKind.AMOUNT else column.label
            self._sheet.write_string(self._at, place, label, self._head)
        self._at += 1

    def _row(self, section: Section, row: Row) -> None:
        for place, (column, value) in enumerate(zip(section.columns, row, strict=True)):
            if value is None or value == "":
                continue
            if isinstance(value, str):
                self._sheet.write_string(self._at, place, value, self._text)
            elif column.sum_of:
                self._sum(section, column, place, value)
            elif column.kind is CellKind.AMOUNT:
                if value:
                    self._sheet.write_number(self._at, place, _Yuan(value), self._amount)
            else:
                self._sheet.write_number(self._at, place, value, self._count)
        self._at += 1

    def _sum(self, section: Section, column: Column, place: int, amount_fen: int) -> None:
        if not amount_fen:
            return
        names = [known.name for known in section.columns]
        cells = "+".join(
            f"{xl_col_to_name(names.index(part))}{self._at + 1}" for part in column.sum_of
        )
        self._sheet.write_formula(self._at, place, f"={cells}", self._amount, _Yuan(amount_fen))

    def _totals(self, section: Section, first: int, totals: Totals) -> None:
        if not totals:
            return
        self._sheet.write_string(self._at, 0, "合计", self._label)
        for place, column in enumerate(section.columns):
            if not column.is_summed:
                continue
            letter = xl_col_to_name(place)
            self._cells[f"total:{column.name}"] = f"{letter}{self._at + 1}"
            cells = f"{letter}{first + 1}:{letter}{max(first, self._at - 1) + 1}"
            value = totals[column.name]
            if first == self._at:
                self._sheet.write_number(self._at, place, _Yuan(value), self._total)
            else:
                formula = f"=SUM({cells})"
                self._sheet.write_formula(self._at, place, formula, self._total, _Yuan(value))
        self._at += 1

    def _fact(self, fact: Fact) -> None:
        self._sheet.write_string(self._at, 0, fact.label, self._label)
        self._cells[fact.name] = f"D{self._at + 1}"
        if isinstance(fact.value, int) and fact.kind is CellKind.AMOUNT:
            self._fact_amount(fact, fact.value)
        elif isinstance(fact.value, int):
            self._sheet.write_number(self._at, 3, fact.value, self._count)
        elif fact.value:
            self._sheet.write_string(self._at, 3, fact.value, self._text)
        self._at += 1

    def _fact_amount(self, fact: Fact, amount_fen: int) -> None:
        if fact.sum_of:
            formula = "=" + "+".join(self._cells[part] for part in fact.sum_of)
            self._sheet.write_formula(self._at, 3, formula, self._amount, _Yuan(amount_fen))
        else:
            self._sheet.write_number(self._at, 3, _Yuan(amount_fen), self._amount)


class _Yuan(int):
    """Fen that the workbook's writer writes as yuan: exact digits, no number in between."""

    def __format__(self, wanted: str) -> str:
        """Return yuan with two digits, whatever form is wanted."""
        return plain_yuan(int(self))

    def __str__(self) -> str:
        """Return yuan with two digits: how a formula's value is written."""
        return plain_yuan(int(self))
