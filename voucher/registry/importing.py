"""Entries of one kind as a table: each sound row goes in, each bad one is named."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Final

from sqlalchemy import Connection

from suanwang.errors import BadInput, SuanwangError
from suanwang.sheets import Number, Row, Table
from voucher.grants.batch import RowFault
from voucher.registry import store
from voucher.registry.entries import TYPES, Kind
from voucher.registry.reading import LEGAL_NAME, read_statement

SOURCE: Final = "table"
_SPAN: Final = {"生效日期": "valid_from", "失效日期": "valid_to"}
CHINESE: Final[Mapping[Kind, Mapping[str, str]]] = {
    Kind.ORGANISATION: {
        "统一社会信用代码": "code",
        "名称": "name",
        "企业名称": "name",
        "法定代表人": LEGAL_NAME,
        "所属集团": "group",
        "控股母公司代码": "parent",
        "角色": "roles",
    },
    Kind.RELATION: {
        "关系": "tie",
        "甲方代码": "one",
        "乙方代码": "other",
        "持股比例（%）": "share_percent",
    },
    Kind.CONTRACT: {
        "合同编号": "number",
        "购买方代码": "customer",
        "销售方代码": "provider",
        "合同日期": "signed_on",
        "合同金额（元）": "amount_yuan",
        "合同月数": "months",
        "服务类型": "service",
        "智算中心": "sites",
    },
    Kind.INVOICE: {
        "发票号码": "number",
        "行号": "line",
        "销售方代码": "seller",
        "购买方代码": "buyer",
        "金额（元）": "amount_yuan",
        "税额（元）": "tax_yuan",
        "合同编号": "contract_no",
        "开票日期": "issued_on",
    },
    Kind.RECEIPT: {
        "回单号": "number",
        "付款方代码": "payer",
        "收款方代码": "payee",
        "金额（元）": "amount_yuan",
        "付款日期": "paid_on",
        "合同编号": "contract_no",
        "发票号码": "invoice_no",
    },
}
"""Headings that may be written in Chinese."""
_COUNTS: Final = frozenset({"line", "months"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A row that is in the registry now, and whether that is new."""

    line: int
    outcome: store.Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a table brought."""

    rows: tuple[Imported, ...]
    faults: tuple[RowFault, ...]


def headings(kind: Kind) -> tuple[str, ...]:
    """Return the columns of a kind's table."""
    asked = (*CHINESE[kind].values(), *_SPAN.values())
    return tuple(dict.fromkeys(asked))


def chinese_headings(kind: Kind) -> tuple[str, ...]:
    """Return the same columns in Chinese."""
    first: dict[str, str] = {}
    for heading, name in (*CHINESE[kind].items(), *_SPAN.items()):
        first.setdefault(name, heading)
    return tuple(first[name] for name in headings(kind))


def import_table(
    connection: Connection, kind: Kind, table: Table, by: str, now: datetime, today: date
) -> Report:
    """Record every sound row, each by itself; raise BadInput for a heading that nobody knows."""
    columns = _columns(kind, table)
    hide = store.begin_recording(connection)
    rows: list[Imported] = []
    faults: list[RowFault] = []
    for row in table.rows:
        try:
            statement = read_statement(kind, _raw(row, columns), SOURCE, today, hide)
            outcome = store.record(connection, statement, by, now)
            rows.append(Imported(line=row.line, outcome=outcome))
        except SuanwangError as failure:
            faults.append(_fault(row, failure, table, columns))
    return Report(rows=tuple(rows), faults=tuple(faults))


def _columns(kind: Kind, table: Table) -> Mapping[str, int]:
    chinese = {**CHINESE[kind], **_SPAN}
    known = {*headings(kind), *(one.name for one in fields(TYPES[kind]))}
    columns: dict[str, int] = {}
    for place, heading in enumerate(table.header):
        name = chinese.get(heading.replace("(", "（").replace(")", "）"), heading)
        if not name:
            continue
        if name not in known or name in columns:
            reason = (
                "stands twice" if name in columns else f"is none of {', '.join(headings(kind))}"
            )
            raise BadInput(
                f"line {table.header_line}: column {heading!r} {reason}",
                line=table.header_line,
                column=heading,
            )
        columns[name] = place
    return columns


def _raw(row: Row, columns: Mapping[str, int]) -> dict[str, object]:
    cells = {name: row.cells[place] for name, place in columns.items() if place < len(row.cells)}
    return {name: _count(name, cell) for name, cell in cells.items()}


def _count(name: str, cell: object) -> object:
    """Return small counts as numbers, however the sheet holds them; the reader judges the rest."""
    if name in _COUNTS and isinstance(cell, str | Number) and str(cell).strip().isdecimal():
        return int(str(cell))
    return cell


def _fault(row: Row, failure: SuanwangError, table: Table, columns: Mapping[str, int]) -> RowFault:
    """Return what is wrong with a row; the column by the heading that its author wrote."""
    field = str(failure.facts.get("field", ""))
    stem = field.removesuffix("_fen").removesuffix("_ppm")
    names = (field, f"{stem}_yuan", f"{stem}_percent")
    place = next((columns[name] for name in names if name in columns), None)
    column = field if place is None else table.header[place]
    return RowFault(line=row.line, column=column, reason=failure.message)
