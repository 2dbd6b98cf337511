"""Applications as a table: one row for each spend line, rows of one ``ref`` make one application.

A bad row is named with its line, column and reason. The other rows of the same application are held
back with it, since an application without one of its lines is another application; everything else
goes in.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from suanwang.errors import BadInput, SuanwangError
from suanwang.sheets import CELL_LENGTH_MAX, Broken, Cell, Row, Table
from suanwang.units import yuan_text
from voucher.grants.identity import read_identity
from voucher.grants.records import Draft, Record, facts_out, known_facts, read_one
from voucher.programmes.application import Line
from voucher.programmes.award import Award
from voucher.programmes.facts import APPLICANT, LINE, Fact, FactKind, FactValue
from voucher.programmes.programme import Programme
from voucher.programmes.schema import Beneficiary
from voucher.wording import Language, joined, texts

REF: Final = "ref"
IDENTITY_COLUMNS: Final = ("kind", "name", "code", "sponsor_name", "sponsor_code", "sponsor_ref")
OWN_COLUMNS: Final = (REF, "tenant", "programme", "district", *IDENTITY_COLUMNS, "line")
SHOWN_COLUMNS: Final = ("id", "state", "stage", "entitled_yuan", "award_yuan", "settled_yuan",
                        "cuts", "reasons")  # fmt: skip
"""Columns of an export that an import passes over."""
CHINESE: Final[Mapping[str, str]] = {
    "申请编号": REF,
    "政策": "programme",
    "区市": "district",
    "申请主体类型": "kind",
    "名称": "name",
    "企业名称": "name",
    "统一社会信用代码": "code",
    "推荐单位": "sponsor_name",
    "推荐单位代码": "sponsor_code",
    "推荐编号": "sponsor_ref",
    "明细号": "line",
    "合同编号": "line.contract_no",
    "合同日期": "line.contract_date",
    "合同月数": "line.contract_months",
    "合同金额（元）": "line.contract_yuan",
    "实付金额（元）": "line.paid_yuan",
    "付款日期": "line.paid_on",
    "发票号码": "line.invoice_no",
    "服务类型": "line.service",
    "销售方代码": "line.seller_code",
}
"""Headings that may be written in Chinese."""
_COMMON: Final = (*OWN_COLUMNS[:1], *OWN_COLUMNS[2:])

Find = Callable[[str], Programme]
"""Returns the programme of an id; raises NotFound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFault:
    """What is wrong with a row: its line in the file, the column (empty: the row), the reason."""

    line: int
    column: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """An application of the file, and the lines that it stands in."""

    draft: Draft
    tenant_id: str
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a file holds: sound applications, faults, and references held back by a fault."""

    filed: tuple[Filed, ...]
    faults: tuple[RowFault, ...]
    held_back: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def read_batch(table: Table, find: Find, tenant_id: str = "") -> Batch:
    """Return what a table holds; ``tenant_id`` is for whom it is where no column says so.

    Raises BadInput only for a table without the needed columns, or with one that nobody knows.
    """
    columns = _columns(table, find)
    faults: list[RowFault] = []
    groups: dict[str, list[Row]] = {}
    for row in table.rows:
        ref = key_of(row, columns, REF)
        if not ref:
            missing = RowFault(line=row.line, column=REF, reason="the reference is missing")
            faults += row_faults(row, columns) or [missing]
        else:
            groups.setdefault(ref, []).append(row)
    filed: list[Filed] = []
    held: dict[str, tuple[int, ...]] = {}
    for ref, rows in groups.items():
        reader = _Reader(ref, rows, columns, find)
        one = reader.read(tenant_id)
        faults += reader.faults
        if one is not None:
            filed.append(one)
        else:
            bad = {fault.line for fault in reader.faults}
            held[ref] = tuple(row.line for row in rows if row.line not in bad)
    ordered = tuple(sorted(faults, key=lambda fault: (fault.line, fault.column)))
    return Batch(filed=tuple(filed), faults=ordered, held_back={k: v for k, v in held.items() if v})


def headings(programme: Programme) -> tuple[str, ...]:
    """Return the columns that a programme's applications need, for a file to fill in."""
    asked = {predicate.fact for _, predicate in programme.policy.predicates()}
    asked |= {"line.contract_no", "line.invoice_no", "line.seller_code"}
    if programme.policy.benefit.beneficiary is not Beneficiary.DEMANDER:
        asked.add("applicant.side")
    base = programme.policy.spend.base
    if base is not None:
        asked.add(base.fact)
    shortage = programme.policy.shortage
    if shortage is not None and shortage.rank_by:
        asked.add(shortage.rank_by)
    if any(tier.max_months is not None for tier in programme.policy.tiers):
        asked.add("line.contract_months")
    known = known_facts(programme)
    return (*_COMMON, *(_heading(name, known) for name in sorted(asked)))


def export_rows(
    records: Sequence[Record], known: Mapping[str, Fact], language: Language
) -> Iterator[list[str]]:
    """Yield headings, then a row for each spend line; an import reads them back."""
    names = sorted(
        {name for one in records for name in one.facts}
        | {name for one in records for line in one.lines for name in line.facts}
    )
    yield [*SHOWN_COLUMNS, *OWN_COLUMNS, *(_heading(name, known) for name in names)]
    for one in records:
        identity = one.identity
        case = one.case
        money = (one.entitled_fen, case.award_fen, case.settled_fen)
        head = [one.id, case.state.value, case.stage, *(_plain_yuan(fen) for fen in money)]
        own = [one.ref, case.tenant_id, one.programme_id, case.district]
        own += [str(getattr(identity, name)) for name in IDENTITY_COLUMNS]
        for line in one.lines:
            facts = facts_out({**one.facts, **line.facts})
            cells = [_cell(name, facts.get(name), known) for name in names]
            yield [*head, *_why(one.award, line.id, language), *own, line.id, *cells]


def _why(award: Award | None, line_id: str, language: Language) -> list[str]:
    """Return what made an award smaller, and what speaks against it or against a line of it."""
    if award is None:
        return ["", ""]
    about = [one for one in award.reasons if one.line_id in ("", line_id)]
    return [
        joined(texts(award.cuts, language), language)[:CELL_LENGTH_MAX],
        joined((one.text(language) for one in about), language)[:CELL_LENGTH_MAX],
    ]


def _heading(name: str, known: Mapping[str, Fact]) -> str:
    is_money = name in known and known[name].kind is FactKind.FEN
    return f"{name.removesuffix('_fen')}_yuan" if is_money else name


def _cell(name: str, value: bool | int | str | None, known: Mapping[str, Fact]) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and name in known and known[name].kind is FactKind.FEN:
        return _plain_yuan(value)
    return str(value)


def _plain_yuan(amount_fen: int) -> str:
    return yuan_text(amount_fen).replace(",", "")


def _columns(table: Table, find: Find) -> Mapping[str, int]:
    """Return the place of each column by its English name."""
    columns: dict[str, int] = {}
    for place, heading in enumerate(table.header):
        name = CHINESE.get(heading.replace("(", "（").replace(")", "）"), heading)
        if not name or name in SHOWN_COLUMNS:
            continue
        if name in columns:
            raise BadInput(f"column {heading!r} stands twice in line {table.header_line}")
        if name not in OWN_COLUMNS and not name.startswith((APPLICANT, LINE)):
            raise BadInput(
                f"line {table.header_line}: column {heading!r} is neither one of "
                f"{', '.join(OWN_COLUMNS)} nor a fact such as line.paid_yuan",
                line=table.header_line,
                column=heading,
            )
        columns[name] = place
    missing = [name for name in (REF, "programme", "name") if name not in columns]
    if missing:
        raise BadInput(f"line {table.header_line} lacks the column {', '.join(missing)}")
    return columns


def row_faults(row: Row, columns: Mapping[str, int]) -> list[RowFault]:
    """Return what is wrong with a row before anything in it is understood."""
    found = [RowFault(line=row.line, column="", reason=row.fault)] if row.fault else []
    for column in columns:
        cell = _cell_at(row, columns, column)
        if isinstance(cell, Broken):
            found.append(RowFault(line=row.line, column=column, reason=cell.reason))
    return found


def key_of(row: Row, columns: Mapping[str, int], name: str) -> str:
    """Return the text by which rows belong together; empty where it cannot be read."""
    return "" if isinstance(_cell_at(row, columns, name), Broken) else text_at(row, columns, name)


def _cell_at(row: Row, columns: Mapping[str, int], name: str) -> Cell:
    place = columns.get(name)
    return row.cells[place] if place is not None and place < len(row.cells) else None


def text_at(row: Row, columns: Mapping[str, int], name: str) -> str:
    """Return a cell as text; empty where there is none."""
    cell = _cell_at(row, columns, name)
    return "" if cell is None else str(cell).strip()


class _Reader:
    """Reads the rows of one application and gathers everything that is wrong with them."""

    def __init__(
        self, ref: str, rows: Sequence[Row], columns: Mapping[str, int], find: Find
    ) -> None:
        self._ref = ref
        self._rows = rows
        self._columns = columns
        self._find = find
        self.faults: list[RowFault] = []

    def read(self, tenant_id: str) -> Filed | None:
        """Return the application, or None where anything is wrong."""
        first = self._rows[0]
        self.faults += [one for row in self._rows for one in row_faults(row, self._columns)]
        if self.faults:
            return None
        self._require_same_head(first)
        try:
            programme = self._find(text_at(first, self._columns, "programme"))
        except SuanwangError as failure:
            self._add(first, "programme", failure.message)
            return None
        known = known_facts(programme)
        facts: dict[str, FactValue] = {}
        for row in self._rows:
            facts.update(self._facts(row, known, APPLICANT))
        lines = [
            Line(
                id=text_at(row, self._columns, "line") or str(number),
                facts=self._facts(row, known, LINE),
            )
            for number, row in enumerate(self._rows, 1)
        ]
        self._require_own_ids(lines)
        try:
            identity = read_identity(
                {name: text_at(first, self._columns, name) for name in IDENTITY_COLUMNS}
            )
        except BadInput as failure:
            self._add(first, str(failure.facts.get("field", "")), failure.message)
            return None
        if self.faults:
            return None
        draft = Draft(
            ref=self._ref,
            programme_id=programme.policy.id,
            identity=identity,
            facts=facts,
            lines=tuple(lines),
            district=text_at(first, self._columns, "district"),
        )
        return Filed(
            draft=draft,
            tenant_id=text_at(first, self._columns, "tenant") or tenant_id,
            lines=tuple(row.line for row in self._rows),
        )

    def _require_same_head(self, first: Row) -> None:
        heads = [name for name in self._columns if name in OWN_COLUMNS or name[:10] == APPLICANT]
        for row in self._rows[1:]:
            for name in heads:
                here, there = (text_at(one, self._columns, name) for one in (row, first))
                if name not in (REF, "line") and here and here != there:
                    reason = f"{here!r} differs from {there!r} in line {first.line}"
                    self._add(row, name, reason)

    def _require_own_ids(self, lines: Sequence[Line]) -> None:
        seen: dict[str, int] = {}
        for line, row in zip(lines, self._rows, strict=True):
            if line.id in seen:
                self._add(row, "line", f"{line.id!r} is that of line {seen[line.id]} already")
            seen.setdefault(line.id, row.line)

    def _facts(self, row: Row, known: Mapping[str, Fact], prefix: str) -> dict[str, FactValue]:
        facts, faults = facts_at(row, self._columns, known, prefix)
        self.faults += faults
        return facts

    def _add(self, row: Row, column: str, reason: str) -> None:
        self.faults.append(RowFault(line=row.line, column=column, reason=reason))


def facts_at(
    row: Row, columns: Mapping[str, int], known: Mapping[str, Fact], prefix: str
) -> tuple[dict[str, FactValue], list[RowFault]]:
    """Return the facts in a row whose names begin with ``prefix``, and what is wrong with some."""
    facts: dict[str, FactValue] = {}
    faults: list[RowFault] = []
    for column in columns:
        cell = _cell_at(row, columns, column)
        if not column.startswith(prefix) or cell is None or str(cell).strip() == "":
            continue
        try:
            name, value = read_one(column, _sound(column, cell, known), known)
            facts[name] = value
        except BadInput as failure:
            reason = failure.message.removeprefix(f"{column}: ")
            faults.append(RowFault(line=row.line, column=column, reason=reason))
    return facts, faults


def _sound(column: str, cell: Cell, known: Mapping[str, Fact]) -> Cell:
    """Return a cell as facts are read; refuse numbers that a spreadsheet has spoilt."""
    fact = known.get(column)
    is_text = fact is not None and fact.kind is FactKind.TEXT
    if is_text and not isinstance(cell, str):
        raise BadInput(
            f"{column}: {cell} is a number in the sheet, where long ones lose digits; "
            "format the column as text and type it again"
        )
    if isinstance(cell, datetime):
        return cell.date()
    return cell
