"""Verdicts of reviewers as a table: a worklist goes out, and comes back with what they say.

A row is a verdict on an application at the stage that it names, so that a table that is sent twice
passes no second stage. Rows of one application that carry facts of several lines say the same
verdict. A bad row is named with its line, column and reason; its application is left alone, and
everything else is done.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from suanwang.errors import BadInput, SuanwangError
from suanwang.sheets import CELL_LENGTH_MAX, Row, Table
from suanwang.units import yuan_text
from voucher.grants.batch import RowFault, facts_at, key_of, row_faults, text_at
from voucher.grants.case import Action, State
from voucher.grants.records import Record, known_facts
from voucher.grants.service import Verdict
from voucher.programmes.facts import APPLICANT, LINE, Fact, FactValue
from voucher.programmes.programme import Programme
from voucher.wording import Language, joined, texts

APPLICATION: Final = "application"
SHOWN: Final = ("ref", "programme", "name", "code", "district", "state", "flags", "award_yuan",
                "due")  # fmt: skip
"""Columns of a worklist that are for reading; an import passes over them."""
ASKED: Final = (APPLICATION, "stage", "verdict", "reason", "line")
CHINESE: Final[Mapping[str, str]] = {
    "申请号": APPLICATION,
    "环节": "stage",
    "审核意见": "verdict",
    "理由": "reason",
    "原因": "reason",
    "明细号": "line",
}
_WORDS: Final[Mapping[str, Action]] = {
    "approve": Action.APPROVE, "通过": Action.APPROVE, "同意": Action.APPROVE,
    "return": Action.RETURN, "退回": Action.RETURN,
    "reject": Action.REJECT, "驳回": Action.REJECT, "不通过": Action.REJECT,
    "reopen": Action.REOPEN, "复核": Action.REOPEN,
}  # fmt: skip

Find = Callable[[str], Programme]
"""Returns the programme of an application; raises NotFound for none, or one not to be seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A verdict of the table, and the lines that it stands in."""

    application_id: str
    verdict: Verdict
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """What a table says, and what is wrong with it."""

    said: tuple[Said, ...]
    faults: tuple[RowFault, ...]


def worklist(records: Sequence[Record], language: Language) -> Iterator[list[str]]:
    """Yield headings, then a row for each application, its verdict still to be written."""
    yield [*ASKED[:2], *SHOWN, *ASKED[2:4]]
    for one in records:
        case = one.case
        shown = [one.ref, one.programme_id, one.identity.name, one.identity.code, case.district,
                 case.state.value, joined(texts(one.flags, language), language)[:CELL_LENGTH_MAX],
                 yuan_text(case.award_fen).replace(",", ""),
                 case.due.kind.value if case.due else ""]  # fmt: skip
        yield [one.id, case.stage, *shown, "", ""]


def read_verdicts(table: Table, find: Find) -> Verdicts:
    """Return the verdicts of a table; rows without one are passed over.

    Raises BadInput only for a table without the needed columns, or with one that nobody knows.
    """
    columns = _columns(table)
    faults: list[RowFault] = []
    groups: dict[str, list[Row]] = {}
    for row in table.rows:
        found = row_faults(row, columns)
        name = key_of(row, columns, APPLICATION)
        if found or not name:
            missing = RowFault(line=row.line, column=APPLICATION, reason="the id is missing")
            faults += found or [missing]
        if name and (found or text_at(row, columns, "verdict")):
            groups.setdefault(name, []).append(row)
    bad = {fault.line for fault in faults}
    said = []
    for name, rows in groups.items():
        if any(row.line in bad for row in rows):
            continue
        verdict = _verdict(name, rows, columns, find)
        if isinstance(verdict, Verdict):
            lines = tuple(row.line for row in rows)
            said.append(Said(application_id=name, verdict=verdict, lines=lines))
        else:
            faults += verdict
    ordered = tuple(sorted(faults, key=lambda fault: (fault.line, fault.column)))
    return Verdicts(said=tuple(said), faults=ordered)


def _columns(table: Table) -> Mapping[str, int]:
    columns: dict[str, int] = {}
    for place, heading in enumerate(table.header):
        name = CHINESE.get(heading, heading)
        if not name or name in SHOWN:
            continue
        if name in columns or (name not in ASKED and not name.startswith((APPLICANT, LINE))):
            why = "stands twice" if name in columns else "is not one of this table"
            raise BadInput(
                f"line {table.header_line}: column {heading!r} {why}",
                next_step=f"columns are {', '.join(ASKED)} and facts such as applicant.region",
                line=table.header_line,
                column=heading,
            )
        columns[name] = place
    missing = [name for name in (APPLICATION, "stage", "verdict") if name not in columns]
    if missing:
        raise BadInput(f"line {table.header_line} lacks the column {', '.join(missing)}")
    return columns


def _verdict(
    name: str, rows: Sequence[Row], columns: Mapping[str, int], find: Find
) -> Verdict | list[RowFault]:
    first, faults = rows[0], []
    for row in rows:
        for column in ("stage", "verdict", "reason"):
            here, there = text_at(row, columns, column), text_at(first, columns, column)
            if here != there:
                reason = f"{here!r} differs from {there!r} in line {first.line}"
                faults.append(RowFault(line=row.line, column=column, reason=reason))
    action = _WORDS.get(text_at(first, columns, "verdict").lower())
    if action is None:
        reason = f"{text_at(first, columns, 'verdict')!r} is none of {', '.join(_WORDS)}"
        faults.append(RowFault(line=first.line, column="verdict", reason=reason))
    stage = text_at(first, columns, "stage")
    if action is Action.APPROVE and not stage:
        reason = "an approval names its stage, so that a table sent twice passes no second one"
        faults.append(RowFault(line=first.line, column="stage", reason=reason))
    try:
        known = known_facts(find(name))
    except SuanwangError as failure:
        return [*faults, RowFault(line=first.line, column=APPLICATION, reason=failure.message)]
    facts, line_facts, more = _facts(rows, columns, known)
    if faults or more or action is None:
        return [*faults, *more]
    return Verdict(
        action=action,
        reason=text_at(first, columns, "reason"),
        stage=stage,
        facts=facts,
        line_facts=line_facts,
    )


def _facts(
    rows: Sequence[Row], columns: Mapping[str, int], known: Mapping[str, Fact]
) -> tuple[dict[str, FactValue], dict[str, dict[str, FactValue]], list[RowFault]]:
    facts: dict[str, FactValue] = {}
    line_facts: dict[str, dict[str, FactValue]] = {}
    faults: list[RowFault] = []
    for row in rows:
        own, wrong = facts_at(row, columns, known, APPLICANT)
        of_line, more = facts_at(row, columns, known, LINE)
        faults += [*wrong, *more]
        facts.update(own)
        line_id = text_at(row, columns, "line")
        if of_line and not line_id:
            reason = "facts of a line need the line's id"
            faults.append(RowFault(line=row.line, column="line", reason=reason))
        elif of_line:
            line_facts.setdefault(line_id, {}).update(of_line)
    return facts, line_facts, faults


WAITING: Final = (State.REVIEW, State.PUBLICITY)
"""States in which an application waits for a verdict."""
