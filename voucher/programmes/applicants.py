"""Reading a list of applicants: CSV with one row for each spend line, or YAML or JSON.

Every cell is read by the kind of its fact; a mistake names file, line and column. An empty cell is
an unknown fact. A fact in fen may be given in yuan: ``line.paid_yuan`` for ``line.paid_fen``.
"""

import csv
import difflib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field

from suanwang.document import (
    COMPLAINTS_MAX,
    DOCUMENT_BYTES_MAX,
    Document,
    Key,
    complain,
    read_document,
    validate,
)
from suanwang.errors import BadInput
from suanwang.units import parse_yuan
from voucher.programmes.application import CHINA, Application, Line
from voucher.programmes.facts import Fact, FactKind, Facts, FactValue
from voucher.programmes.predicate import Items, StrictModel

ROWS_MAX: Final = 200_000
"""Lines of a CSV file; more is refused."""
_OWN_COLUMNS: Final = ("application", "applicant", "submitted_at", "other_programmes", "line")
_FLAGS: Final = {"true": True, "yes": True, "1": True, "是": True,
                 "false": False, "no": False, "0": False, "否": False}  # fmt: skip
Known = Mapping[str, Fact]
Cell = Any
"""A value of the file before its fact's kind is applied."""


class LineFile(StrictModel):
    """A spend line; ``facts`` without the leading ``line.``."""

    id: str
    facts: dict[str, Cell] = Field(default_factory=dict)


class ApplicationFile(StrictModel):
    """An application; ``facts`` without the leading ``applicant.``."""

    id: str
    applicant: str = ""
    submitted_at: datetime | date | str
    other_programmes: Items[str] = ()
    granted_fen: Annotated[int, Field(ge=0)] | None = None
    facts: dict[str, Cell] = Field(default_factory=dict)
    lines: Annotated[tuple[LineFile, ...], Field(strict=False, min_length=1)]


class ListFile(StrictModel):
    """A list of applications."""

    applications: Items[ApplicationFile]


def read_applications(path: Path, known: Known) -> tuple[Application, ...]:
    """Read a list by the end of its name (.csv, .json, .yaml); raise BadInput where it is wrong."""
    if path.suffix.lower() == ".csv":
        return _from_csv(_text_of(path), path.name, known)
    if path.suffix.lower() == ".json":
        return _from_document(_json_document(path), known)
    return _from_document(read_document(path), known)


def _text_of(path: Path) -> str:
    try:
        if path.stat().st_size > 10 * DOCUMENT_BYTES_MAX:
            raise BadInput(f"{path} is larger than {10 * DOCUMENT_BYTES_MAX} bytes")
        return path.read_text(encoding="utf-8-sig")
    except OSError as failure:
        raise BadInput(f"cannot read {path}: {failure.strerror or failure}") from failure
    except UnicodeDecodeError as failure:
        message = f"{path} is not UTF-8 text: {failure.reason}"
        raise BadInput(message, next_step="Save it as CSV UTF-8.") from failure


def _json_document(path: Path) -> Document:
    try:
        return Document(name=str(path), value=json.loads(_text_of(path)), root=None)
    except ValueError as failure:
        raise BadInput(f"{path}: {failure}", file=str(path)) from failure


def _from_document(document: Document, known: Known) -> tuple[Application, ...]:
    made = []
    for place, one in enumerate(validate(document, ListFile).applications):
        at: tuple[Key, ...] = ("applications", place)
        try:
            moment = read_moment(one.submitted_at)
            lines = []
            for number, line in enumerate(one.lines):
                at = ("applications", place, "lines", number, "facts")
                lines.append(Line(id=line.id, facts=_facts(line.facts, "line.", known)))
            at = ("applications", place, "facts")
            made.append(
                Application(
                    id=one.id,
                    applicant_id=one.applicant or one.id,
                    submitted_at=moment,
                    lines=tuple(lines),
                    facts=_facts(one.facts, "applicant.", known),
                    other_programmes=frozenset(one.other_programmes),
                    granted_fen=one.granted_fen,
                )
            )
        except _BadFact as failure:
            raise complain(document, (*at, failure.key), str(failure)) from failure
        except (ValueError, BadInput) as failure:
            raise complain(document, at, str(failure)) from failure
    return tuple(made)


def application_out(application: Application, known: Known) -> dict[str, object]:
    """Return an application as a list in JSON has it, with the facts that are known by name."""

    def facts_of(facts: Facts, prefix: str) -> dict[str, object]:
        return {
            name.removeprefix(prefix): value.isoformat() if isinstance(value, date) else value
            for name, value in sorted(facts.items())
            if name in known
        }

    return {
        "id": application.id,
        "applicant": application.applicant_id,
        "submitted_at": application.submitted_at.isoformat(),
        "other_programmes": sorted(application.other_programmes),
        "granted_fen": application.granted_fen,
        "facts": facts_of(application.facts, "applicant."),
        "lines": [
            {"id": line.id, "facts": facts_of(line.facts, "line.")} for line in application.lines
        ],
    }


class _BadFact(ValueError):
    """A fact's value that does not fit; ``key`` is its key in the file."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def _facts(given: Mapping[str, Cell], prefix: str, known: Known) -> dict[str, FactValue]:
    facts: dict[str, FactValue] = {}
    for key, cell in given.items():
        if cell is None:
            continue
        try:
            name, value = read_fact(prefix + key.removeprefix(prefix), cell, known)
        except ValueError as failure:
            raise _BadFact(key, str(failure)) from failure
        facts[name] = value
    return facts


def read_moment(value: datetime | date | str) -> datetime:
    """Return an aware moment; one without a zone is meant in China's. Raise ValueError."""
    moment = value if isinstance(value, datetime | date) else datetime.fromisoformat(value.strip())
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=CHINA)
    return moment if moment.tzinfo else moment.replace(tzinfo=CHINA)


@dataclass(frozen=True, slots=True)
class _Named:
    """A column's fact, and whether its money is given in yuan."""

    name: str
    fact: Fact
    is_yuan: bool


def _fact_named(column: str, known: Known) -> _Named:
    is_yuan = column.endswith("_yuan")
    name = column.removesuffix("_yuan") + "_fen" if is_yuan else column
    fact = known.get(name)
    if fact is None:
        close = difflib.get_close_matches(column, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"unknown fact {column!r}{hint}")
    return _Named(name, fact, is_yuan)


def read_fact(column: str, cell: Cell, known: Known) -> tuple[str, FactValue]:
    """Return a fact's full name and its value, read by its kind; raise ValueError."""
    named = _fact_named(column, known)
    if named.is_yuan:
        return named.name, parse_yuan(str(cell))
    if named.fact.accepts(cell):
        value: FactValue = cell
        return named.name, value
    if not isinstance(cell, str):
        hint = "; write it in quotes" if named.fact.kind is FactKind.TEXT else ""
        raise ValueError(f"{cell!r} is not a {named.fact.kind}{hint}")
    return named.name, _from_text(cell.strip(), named.fact.kind)


def _from_text(text: str, kind: FactKind) -> FactValue:
    match kind:
        case FactKind.TEXT:
            return text
        case FactKind.DATE:
            return date.fromisoformat(text)
        case FactKind.FLAG:
            if text.lower() not in _FLAGS:
                raise ValueError(f"{text!r} is neither yes nor no")
            return _FLAGS[text.lower()]
        case FactKind.FEN | FactKind.COUNT:
            return int(text)


@dataclass(slots=True)
class _Rows:
    """The rows of one application."""

    first: Mapping[str, str]
    line_no: int
    facts: dict[str, FactValue]
    lines: list[Line]


def _from_csv(text: str, name: str, known: Known) -> tuple[Application, ...]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    complaints: list[str] = []
    groups: dict[str, _Rows] = {}
    try:
        _check_header(reader.fieldnames or (), name, known)
        for row in reader:
            if reader.line_num > ROWS_MAX:
                raise BadInput(f"{name} has more than {ROWS_MAX} lines")
            complaints += (f"{name}:{reader.line_num}: {one}"
                           for one in _take(row, reader.line_num, groups, known))  # fmt: skip
    except csv.Error as failure:
        raise BadInput(f"{name}:{reader.line_num}: {failure}", file=name) from failure
    made = []
    for key, rows in groups.items():
        try:
            made.append(_application(key, rows))
        except (ValueError, BadInput) as failure:
            complaints.append(f"{name}:{rows.line_no}: {failure}")
    if complaints:
        more = len(complaints) - COMPLAINTS_MAX
        rest = [f"and {more} more"] if more > 0 else []
        raise BadInput("\n".join([*complaints[:COMPLAINTS_MAX], *rest]), file=name)
    return tuple(made)


def _check_header(columns: Sequence[str], name: str, known: Known) -> None:
    for needed in ("applicant", "submitted_at"):
        if needed not in columns:
            raise BadInput(f"{name}:1: column {needed!r} is missing", file=name)
    for column in columns:
        if column not in _OWN_COLUMNS:
            try:
                _fact_named(column, known)
            except ValueError as failure:
                raise BadInput(f"{name}:1: column {column!r}: {failure}", file=name) from failure


def _take(
    row: Mapping[str, Any], line_no: int, groups: dict[str, _Rows], known: Known
) -> Iterator[str]:
    """Add a row to its application; yield what is wrong with it."""
    if None in row or None in row.values():
        yield "the row has not as many cells as the header"
        return
    key = row.get("application") or row["applicant"]
    if not key:
        yield "column 'applicant': is empty"
        return
    facts: dict[str, FactValue] = {}
    yield from _take_cells(row, facts, known)
    rows = groups.setdefault(key, _Rows(row, line_no, {}, []))
    yield from _clashes(row, rows, key, facts)
    own = {name: value for name, value in facts.items() if name.startswith("line.")}
    rows.lines.append(Line(id=row.get("line") or f"l{len(rows.lines) + 1}", facts=own))


def _take_cells(row: Mapping[str, str], facts: dict[str, FactValue], known: Known) -> Iterator[str]:
    """Read the facts of a row; yield what is wrong with its cells."""
    for column, cell in row.items():
        if column in _OWN_COLUMNS or not cell.strip():
            continue
        try:
            name, value = read_fact(column, cell, known)
        except ValueError as failure:
            yield f"column {column!r}: {failure}"
            continue
        facts[name] = value


def _clashes(
    row: Mapping[str, str], rows: _Rows, key: str, facts: Mapping[str, FactValue]
) -> Iterator[str]:
    """Yield what a row says otherwise than the first row of its application."""
    for column in ("applicant", "submitted_at", "other_programmes"):
        if row.get(column) != rows.first.get(column):
            yield (
                f"column {column!r}: differs from line {rows.line_no} of application {key!r}; "
                "tell two applications of one applicant apart by a column 'application'"
            )
    for name, value in facts.items():
        if name.startswith("applicant.") and rows.facts.setdefault(name, value) != value:
            yield f"column {name!r}: {value!r} here, {rows.facts[name]!r} in line {rows.line_no}"


def _application(key: str, rows: _Rows) -> Application:
    others = rows.first.get("other_programmes", "").replace(";", " ").split()
    return Application(
        id=key,
        applicant_id=rows.first["applicant"] or key,
        submitted_at=read_moment(rows.first["submitted_at"]),
        lines=tuple(rows.lines),
        facts=rows.facts,
        other_programmes=frozenset(others),
    )
