"""A report as PDF on A4, with its font inside; all measures are whole points.

A PDF is for reading and signing: it has at most five thousand lines. More belong into a workbook.
"""

import io
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reportlab.lib.pagesizes import A4, landscape
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from suanwang.errors import BadInput
from suanwang.units import yuan_text
from voucher.reports.fonts import subset
from voucher.reports.report import CellKind, Column, Fact, Report, Row, Section, Value, summing

LINES_MAX: Final = 5_000
"""Lines in one PDF."""
_FONT: Final = "suanwang-cjk"
_MARGIN: Final = 36
_SIZE: Final = 7
_LINE: Final = 12
_TITLE_SIZE: Final = 15
_ALWAYS: Final = "".join(chr(code) for code in range(0x20, 0x7F)) + "第页共（元）合计-–…，、。："
_ELLIPSIS: Final = "…"
_ONE_AT_A_TIME: Final = threading.Lock()
"""The library keeps the fonts of a process in one place, by name."""


@dataclass(frozen=True, slots=True)
class _Table:
    """A section with its rows and totals in hand."""

    section: Section
    rows: Sequence[Row]
    totals: dict[str, int]


def write_pdf(report: Report, path: Path, font: Path | None = None) -> int:
    """Write a report and return its number of lines.

    Raises BadInput for more than 5,000 lines, Unavailable without a Chinese font.
    """
    main = _read(report.main)
    with _ONE_AT_A_TIME:
        _draw(report, main, path, font)
    return len(main.rows)


def _draw(report: Report, main: _Table, path: Path, font: Path | None) -> None:
    tail = report.after(main.totals)
    tables = [_read(section) for section in tail.sections]
    _register(report, [main, *tables], [*report.facts, *tail.facts], font)
    canvas = _NumberedCanvas(str(path), pagesize=landscape(A4), invariant=1, initialFontName=_FONT)
    canvas.setTitle(report.title)
    canvas.setAuthor("Suanwang")
    page = _Page(canvas, report.title)
    page.facts(report.facts)
    page.table(main)
    page.facts(tail.facts)
    for table in tables:
        page.label(table.section.label)
        page.table(table)
    canvas.showPage()
    canvas.save()


def _read(section: Section) -> _Table:
    totals: dict[str, int] = {}
    rows: list[Row] = []
    for row in summing(section, totals):
        if len(rows) == LINES_MAX:
            raise BadInput(
                f"the report has more than {LINES_MAX} lines, too many for a PDF",
                next_step="ask for xlsx or csv, or for a shorter period",
            )
        rows.append(row)
    return _Table(section, rows, totals)


def _register(
    report: Report, tables: Sequence[_Table], facts: Iterable[Fact], font: Path | None
) -> None:
    """Make the font of this document known to the writer."""
    texts = [_ALWAYS, report.title]
    for fact in facts:
        texts += (fact.label, str(fact.value or ""))
    for table in tables:
        texts.append(table.section.label)
        texts += [column.label for column in table.section.columns]
        texts += [value for row in table.rows for value in row if isinstance(value, str)]
    cut = subset("".join(texts), font)
    pdfmetrics.registerFont(TTFont(_FONT, io.BytesIO(cut)))


class _NumberedCanvas(Canvas):
    """Writes the number of the page, and of all pages, once they are known."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]  # handed through
        self._kept: list[dict[str, object]] = []

    def showPage(self) -> None:  # noqa: N802 - the library's name
        """Keep the page for later."""
        self._kept.append(dict(self.__dict__))
        self._startPage()  # type: ignore[attr-defined]  # not in the stubs

    def save(self) -> None:
        """Write all pages with their numbers, and the file."""
        width = int(landscape(A4)[0])
        for number, state in enumerate(self._kept, 1):
            self.__dict__.update(state)
            self.setFont(_FONT, _SIZE)
            text = f"第 {number} 页 共 {len(self._kept)} 页"
            self.drawRightString(width - _MARGIN, _MARGIN // 2, text)
            super().showPage()
        super().save()


class _Page:
    """Where the pen is; starts a new page when one is full."""

    def __init__(self, canvas: Canvas, title: str) -> None:
        width, height = landscape(A4)
        self._canvas = canvas
        self._width, self._top = int(width), int(height) - _MARGIN
        self._at = self._top
        canvas.setFont(_FONT, _TITLE_SIZE)
        canvas.drawCentredString(self._width // 2, self._at - _TITLE_SIZE, title)
        self._at -= 3 * _LINE

    def label(self, text: str) -> None:
        """Write a heading."""
        self._room(4)
        self._at -= _LINE
        self._canvas.setFont(_FONT, _SIZE + 2)
        self._canvas.drawString(_MARGIN, self._at, text)

    def facts(self, facts: Sequence[Fact]) -> None:
        """Write facts in two columns; a long one takes the whole line."""
        is_left = True
        for fact in facts:
            text = f"{fact.label}：{_text(fact.kind, fact.value)}"
            is_long = self._length(text) > self._width // 2 - _MARGIN
            if is_left or is_long:
                self._room(1)
                self._at -= _LINE
            self._canvas.setFont(_FONT, _SIZE + 1)
            left = _MARGIN if is_left or is_long else self._width // 2
            self._canvas.drawString(left, self._at, text)
            is_left = is_long or not is_left
        self._at -= _LINE

    def table(self, table: _Table) -> None:
        """Write a table; every page begins with its headings."""
        columns = table.section.columns
        edges = self._edges(columns)
        self._headings(columns, edges)
        for row in table.rows:
            if self._at < _MARGIN + 2 * _LINE:
                self._new_page()
                self._headings(columns, edges)
            self._cells(columns, edges, row)
        self._canvas.line(_MARGIN, self._at - 2, edges[-1], self._at - 2)
        if table.totals:
            self._totals(table, edges)
        self._at -= _LINE

    def _totals(self, table: _Table, edges: Sequence[int]) -> None:
        columns = table.section.columns
        totals: list[Value] = [
            table.totals[column.name] if column.is_summed else None for column in columns
        ]
        totals[0] = "合计"
        self._cells(columns, edges, totals)

    def _edges(self, columns: Sequence[Column]) -> list[int]:
        """Return the left edges of the columns, and the right edge of the last."""
        shares = sum(column.width for column in columns)
        room = min(self._width - 2 * _MARGIN, shares * 8)
        edges, used = [_MARGIN], 0
        for column in columns:
            used += column.width
            edges.append(_MARGIN + room * used // shares)
        return edges

    def _headings(self, columns: Sequence[Column], edges: Sequence[int]) -> None:
        self._room(2)
        self._cells_of(columns, edges, [column.label for column in columns])
        self._canvas.line(_MARGIN, self._at - 3, edges[-1], self._at - 3)
        self._at -= 2

    def _cells(self, columns: Sequence[Column], edges: Sequence[int], row: Row) -> None:
        texts = [
            "" if value == 0 and column.kind is CellKind.AMOUNT else _text(column.kind, value)
            for column, value in zip(columns, row, strict=True)
        ]
        self._cells_of(columns, edges, texts)

    def _cells_of(
        self, columns: Sequence[Column], edges: Sequence[int], texts: Sequence[str]
    ) -> None:
        self._at -= _LINE
        self._canvas.setFont(_FONT, _SIZE)
        for place, (column, text) in enumerate(zip(columns, texts, strict=True)):
            left, right = edges[place], edges[place + 1] - 4
            shown = self._cut(text, right - left)
            if column.kind is CellKind.TEXT:
                self._canvas.drawString(left, self._at, shown)
            else:
                self._canvas.drawRightString(right, self._at, shown)

    def _cut(self, text: str, room: int) -> str:
        if self._length(text) <= room:
            return text
        while text and self._length(text + _ELLIPSIS) > room:
            text = text[:-1]
        return text + _ELLIPSIS

    def _length(self, text: str) -> int:
        return int(pdfmetrics.stringWidth(text, _FONT, _SIZE)) + 1

    def _room(self, lines: int) -> None:
        if self._at < _MARGIN + lines * _LINE:
            self._new_page()

    def _new_page(self) -> None:
        self._canvas.showPage()
        self._at = self._top


def _text(kind: CellKind, value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return yuan_text(value) if kind is CellKind.AMOUNT else str(value)
    return value
