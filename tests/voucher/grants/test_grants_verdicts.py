"""Verdicts as a table: a worklist goes out, comes back, and each row is done or named."""

from collections.abc import Iterator, Sequence

import pytest
from grant_builders import WORKFLOW, Office, a_draft, a_spend
from sqlalchemy import Engine

from suanwang.clock import VirtualClock
from suanwang.errors import BadInput
from suanwang.ids import SeededIds
from suanwang.sheets import read_table, write_csv, write_xlsx
from voucher.grants import service, store, store_audit
from voucher.grants.case import State
from voucher.grants.judging import JudgeReport, judge
from voucher.grants.papers import papers
from voucher.grants.steps import Desk, Till, open_case, programme_of
from voucher.grants.verdicts import Verdicts, read_verdicts, worklist
from voucher.wording import Language
from voucher.writer import DirectWriter

HEADER = ("application", "stage", "verdict", "reason", "line", "applicant.is_dishonest",
          "line.is_domestic")  # fmt: skip


@pytest.fixture
def office(engine: Engine, clock: VirtualClock, ids: SeededIds) -> Iterator[Office]:
    with DirectWriter(engine, clock).turn() as turn:
        yield Office(turn, clock, ids)


def handed_in(office: Office, *, count: int = 3) -> list[str]:
    """File and hand in applications; their district has its papers."""
    names = []
    for number in range(count):
        spend = a_spend(contract_no=f"H{number}", invoice_no=f"I{number}")
        record = office.file(a_draft(f"r{number}", spend))
        service.submit(office.firm(), record.id)
        office.attach(office.district(), record.id, "初审表")
        names.append(record.id)
    return names


def read(desk: Desk, rows: Sequence[Sequence[str]]) -> Verdicts:
    return read_content(desk, write_csv(rows))


def read_content(desk: Desk, content: bytes) -> Verdicts:
    return read_verdicts(
        read_table(content), lambda name: programme_of(desk.connection, open_case(desk, name))
    )


def said(till: Till, *rows: Sequence[str], header: Sequence[str] = HEADER) -> JudgeReport:
    return judge(till, read(till, [header, *rows]))


def row(name: str, verdict: str = "approve", reason: str = "属实", stage: str = "district",
        line: str = "", dishonest: str = "", domestic: str = "") -> tuple[str, ...]:  # fmt: skip
    return (name, stage, verdict, reason, line, dishonest, domestic)


def states(office: Office, names: Sequence[str]) -> list[State]:
    return [store.find(office.connection, name).state for name in names]


def test_a_filled_in_worklist_is_done(office: Office) -> None:
    office.adopt()
    names = handed_in(office)
    records = [store.find(office.connection, name) for name in names]
    rows = list(worklist(records, Language.ENGLISH))
    verdicts = ["通过", "退回", ""]
    filled = [rows[0]] + [
        [*one[:-2], verdict, "已核"] for one, verdict in zip(rows[1:], verdicts, strict=True)
    ]
    for content in (write_csv(filled), write_xlsx(filled)):
        found = read_content(office.district(), content)
        assert found.faults == ()
        assert [one.application_id for one in found.said] == names[:2]
    report = judge(office.district(), found)
    assert [one.outcome for one in report.said] == ["done", "done"]
    assert states(office, names) == [State.REVIEW, State.RETURNED, State.REVIEW]
    assert store.find(office.connection, names[0]).case.stage == "city"


def test_a_table_that_is_sent_twice_passes_no_second_stage(office: Office) -> None:
    office.adopt(workflow=[{**stage, "not_same_as": []} for stage in WORKFLOW])
    names = handed_in(office, count=2)
    boss = office.desk("boss", office.city().actor.role, "bureau")
    rows = [row(name) for name in names]
    said(office.district(), *rows)
    before = len(store_audit.events(office.connection, names[0]))
    again = said(office.district(), *rows)
    assert [one.outcome for one in again.said] == ["unchanged", "unchanged"]
    assert len(store_audit.events(office.connection, names[0])) == before
    other = said(boss, *rows)
    assert [fault.reason for fault in other.faults] == [
        f"application {name} is at stage city, not at district" for name in names
    ]


def test_a_bad_row_is_named_and_the_others_are_done(office: Office) -> None:
    office.adopt()
    names = handed_in(office, count=5)
    report = said(
        office.district(),
        row(names[0]),
        row(names[1], verdict="maybe"),
        row(names[2], dishonest="perhaps"),
        row("app_nowhere"),
        row("", verdict="approve"),
        row(names[3], verdict="return", reason=""),
        row(names[4], line="9", domestic="yes"),
    )
    assert [(fault.line, fault.column) for fault in report.faults] == [
        (3, "verdict"), (4, "applicant.is_dishonest"), (5, "application"), (6, "application"),
        (7, ""), (8, ""),
    ]  # fmt: skip
    assert [one.record.id for one in report.said] == [names[0]]
    stages = [store.find(office.connection, name).case.stage for name in names]
    assert stages == ["city", *["district"] * 4]


def test_facts_of_the_applicant_and_of_lines_come_with_the_verdict(office: Office) -> None:
    office.adopt()
    (name,) = handed_in(office, count=1)
    report = said(office.district(), row(name, line="1", dishonest="否", domestic="yes"))
    assert report.faults == ()
    record = store.find(office.connection, name)
    assert record.facts["applicant.is_dishonest"] is False
    assert record.lines[0].facts["line.is_domestic"] is True


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        pytest.param({"stage": ""}, "stage", id="an approval without its stage"),
        pytest.param({"domestic": "yes"}, "line", id="a fact of no line"),
    ],
)
def test_what_is_missing_is_named(office: Office, changes: dict[str, str], column: str) -> None:
    office.adopt()
    (name,) = handed_in(office, count=1)
    report = said(office.district(), row(name, **changes))
    assert [fault.column for fault in report.faults] == [column]
    assert states(office, [name]) == [State.REVIEW]


def test_rows_of_one_application_say_one_verdict(office: Office) -> None:
    office.adopt()
    (name,) = handed_in(office, count=1)
    report = said(office.district(), row(name, line="1"), row(name, verdict="return", line="1"))
    assert [(fault.line, fault.column) for fault in report.faults] == [(3, "verdict")]
    assert report.said == ()


def test_four_eyes_and_districts_hold_for_tables_too(office: Office) -> None:
    office.adopt()
    names = handed_in(office, count=1)
    report = said(office.city(), *(row(name) for name in names))
    assert ["reviewer-district" in fault.reason for fault in report.faults] == [True]
    stranger = office.desk("x", office.district().actor.role, "lanxin")
    report = said(stranger, *(row(name) for name in names))
    assert [fault.column for fault in report.faults] == ["application"]


@pytest.mark.parametrize(
    "header", [("application", "verdict"), (*HEADER, "colour"), (*HEADER, "reason")]
)
def test_a_table_with_wrong_headings_is_refused_whole(
    office: Office, header: tuple[str, ...]
) -> None:
    with pytest.raises(BadInput, match="line 1"):
        read(office.district(), [header])


def test_papers_are_listed_with_what_is_missing(office: Office) -> None:
    programme = office.adopt()
    record, _ = service.create(office.firm(), "haiyun", a_draft(), office.ids)
    second = handed_in(office, count=1)[0]
    records = [record, store.find(office.connection, second)]
    files = {one.id: store_audit.evidence(office.connection, one.id) for one in records}
    policies = {one.id: programme.policy for one in records}
    head, *rows = papers(records, policies, files)
    kind, status = head.index("kind"), head.index("status")
    listed = [(one[0], one[kind], one[status]) for one in rows]
    assert listed == [
        (record.id, "申报表", "missing"),
        (second, "申报表", "on file"),
        (second, "初审表", "on file"),
    ]  # fmt: skip
    assert len(rows[1][head.index("sha256")]) == 64
