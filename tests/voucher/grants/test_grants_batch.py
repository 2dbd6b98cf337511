"""Tables of applications: a bad row is named, the others go in, and what goes out comes back."""

import io
import zipfile
from collections.abc import Sequence
from datetime import date

import pytest
from grant_builders import HAIYUN_CODE, Office, a_file
from openpyxl import Workbook, load_workbook
from sqlalchemy import Engine

from suanwang.clock import VirtualClock
from suanwang.errors import BadInput, NotFound
from suanwang.ids import SeededIds
from suanwang.sheets import read_table, write_csv, write_xlsx
from voucher.grants import store
from voucher.grants.batch import Batch, export_rows, headings, read_batch
from voucher.grants.importing import import_batch
from voucher.grants.records import Draft, known_facts
from voucher.grants.store_programmes import read_programme
from voucher.programmes.programme import Programme
from voucher.wording import Language
from voucher.writer import DirectWriter

PROGRAMME = read_programme(a_file(), "plain.yaml")
HEADER = ("ref", "programme", "name", "code", "line", "line.contract_no", "line.contract_yuan")
GOOD = ("r1", "plain", "海云科技", HAIYUN_CODE, "1", "HT-1", "100.50")


def find(programme_id: str) -> Programme:
    """Return the one programme there is."""
    if programme_id != "plain":
        raise NotFound(f"no programme {programme_id!r} is in force")
    return PROGRAMME


def read(*rows: Sequence[str], header: Sequence[str] = HEADER) -> Batch:
    """Read rows as they come out of a CSV file."""
    return read_batch(read_table(write_csv([header, *rows])), find, "haiyun")


def with_cell(column: str, value: str, ref: str = "r1") -> tuple[str, ...]:
    """Return a good row but for one cell."""
    return tuple(
        ref if name == "ref" and column != "ref" else value if name == column else cell
        for name, cell in zip(HEADER, GOOD, strict=True)
    )


def drafts(batch: Batch) -> list[Draft]:
    """Return the drafts of a batch by reference."""
    return sorted((one.draft for one in batch.filed), key=lambda draft: draft.ref)


def test_a_good_row_is_an_application() -> None:
    batch = read(GOOD)
    assert batch.faults == ()
    (filed,) = batch.filed
    assert (filed.tenant_id, filed.lines, filed.draft.ref) == ("haiyun", (2,), "r1")
    assert filed.draft.lines[0].facts == {"line.contract_no": "HT-1", "line.contract_fen": 10050}


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        pytest.param("ref", "", "reference is missing", id="no reference"),
        pytest.param("programme", "nowhere", "no programme 'nowhere'", id="no programme"),
        pytest.param("name", "", "name is missing", id="no name"),
        pytest.param("code", "91350100M000100Y44", "no unified social", id="wrong check digit"),
        pytest.param("code", "91350100M000100Y56", "GB 11714", id="wrong inner digit"),
        pytest.param("line.contract_yuan", "1.005", "two digits", id="third digit"),
        pytest.param("line.contract_yuan", "zehn", "not an amount", id="no amount"),
        pytest.param("line.contract_yuan", "1e9", "not an amount", id="exponent"),
        pytest.param("line.contract_yuan", "-5", "not between", id="below zero"),
    ],
)
def test_a_bad_row_is_named_and_loses_nothing_of_the_good_ones(
    column: str, value: str, reason: str
) -> None:
    batch = read(with_cell("ref", "r0"), with_cell(column, value, "bad"), with_cell("ref", "r9"))
    (fault,) = batch.faults
    assert (fault.line, fault.column) == (3, column)
    assert reason in fault.reason
    assert [one.draft.ref for one in batch.filed] == ["r0", "r9"]


def test_every_fault_of_a_row_is_told() -> None:
    bad = ("bad", "plain", "x", "1", "1", "HT", "x")
    assert [fault.column for fault in read(bad).faults] == ["code", "line.contract_yuan"]


def test_lines_beside_a_bad_one_are_held_back_and_said_so() -> None:
    batch = read(GOOD, with_cell("line.contract_yuan", "x"), with_cell("line", "3"))
    assert batch.filed == ()
    assert batch.held_back == {"r1": (2, 4)}
    assert [fault.line for fault in batch.faults] == [3, 3]


def test_rows_of_one_application_agree_on_who_applies() -> None:
    other = ("r1", "plain", "别家", "", "2", "HT-2", "5")
    (fault,) = read(GOOD, other).faults
    assert (fault.line, fault.column) == (3, "name")
    blank = ("r1", "", "", "", "2", "HT-2", "5")
    (filed,) = read(GOOD, blank).filed
    assert len(filed.draft.lines) == 2


@pytest.mark.parametrize("header", [("ref", "name"), (*HEADER, "colour"), (*HEADER, "ref")])
def test_a_table_with_wrong_headings_is_refused_whole(header: tuple[str, ...]) -> None:
    with pytest.raises(BadInput, match=r"line 1|twice"):
        read(header=header)


def test_headings_may_be_chinese_and_a_file_may_be_in_the_old_encoding() -> None:
    text = (
        "申请编号,政策,企业名称,统一社会信用代码,合同编号,合同金额(元)\r\n"
        f'r1,plain,海云科技,{HAIYUN_CODE},HT-1,"1,000.00"\r\n'
    )
    for encoding in ("utf-8", "utf-8-sig", "gb18030"):
        batch = read_batch(read_table(text.encode(encoding)), find, "haiyun")
        assert batch.faults == ()
        assert batch.filed[0].draft.lines[0].facts["line.contract_fen"] == 100_000


def test_a_long_number_that_a_sheet_has_spoilt_is_refused() -> None:
    book = Workbook()
    page = book.active
    assert page is not None
    page.append(["ref", "programme", "name", "code", "line.invoice_no", "line.paid_on"])
    page.append(["r1", "plain", "海云", HAIYUN_CODE, 26372000000000000001, date(2026, 1, 2)])
    page.append(["r2", "plain", "海云", HAIYUN_CODE, "26372000000000000001", date(2026, 1, 2)])
    content = io.BytesIO()
    book.save(content)
    batch = read_batch(read_table(content.getvalue()), find, "haiyun")
    (fault,) = batch.faults
    assert (fault.line, fault.column) == (2, "line.invoice_no")
    assert "format the column as text" in fault.reason
    (filed,) = batch.filed
    assert filed.draft.lines[0].facts["line.paid_on"] == date(2026, 1, 2)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00\x01\x81", b"PK\x03\x04rest", b'a,"b', b"a\x00,b"]
)
def test_a_file_that_is_no_table_is_refused(content: bytes) -> None:
    with pytest.raises(BadInput):
        read_table(content)


def sheet_of(*rows: Sequence[object]) -> bytes:
    """Return an xlsx file as a spreadsheet program writes it: what begins with = is a formula."""
    book = Workbook()
    page = book.active
    assert page is not None
    for row in rows:
        page.append(list(row))
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        pytest.param("line.contract_yuan", "=1+1", "is a formula", id="formula"),
        pytest.param("name", '=HYPERLINK("http://x","海云")', "is a formula", id="link"),
        pytest.param("line.contract_yuan", "#REF!", "is the error #REF!", id="error"),
        pytest.param("name", "海" * 2_001, "has 2001 characters", id="long"),
        pytest.param("ref", "=A1", "is a formula", id="formula as reference"),
    ],
)
def test_a_cell_that_says_nothing_spoils_its_row_only(column: str, value: str, reason: str) -> None:
    rows = [with_cell("ref", "r0"), with_cell(column, value, "bad"), with_cell("ref", "r9")]
    batch = read_batch(read_table(sheet_of(HEADER, *rows)), find, "haiyun")
    (fault,) = batch.faults
    assert (fault.line, fault.column) == (3, column)
    assert reason in fault.reason
    assert [one.draft.ref for one in batch.filed] == ["r0", "r9"]


def test_an_amount_with_a_comma_that_is_not_in_quotes_is_not_misread() -> None:
    text = ",".join(HEADER) + "\n" + ",".join([*GOOD[:-1], "1,000.00"]) + "\n"
    text += ",".join(with_cell("ref", "r2")) + "\n"
    batch = read_batch(read_table(text.encode()), find, "haiyun")
    (fault,) = batch.faults
    assert (fault.line, "is a comma not in quotes?" in fault.reason) == (2, True)
    assert [one.draft.ref for one in batch.filed] == ["r2"]


def test_a_cell_under_no_heading_is_named_and_an_empty_one_is_nothing() -> None:
    header = (*HEADER, "")
    batch = read((*GOOD, ""), (*with_cell("ref", "r2"), "remark"), header=header)
    assert [fault.line for fault in batch.faults] == [3]
    assert [one.draft.ref for one in batch.filed] == ["r1"]


def test_a_file_that_unpacks_without_end_is_refused() -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/worksheets/sheet1.xml", b"0" * (201 * 1024 * 1024))
    with pytest.raises(BadInput, match="unpacks to"):
        read_table(content.getvalue())


def test_a_file_of_too_many_rows_is_refused() -> None:
    rows = "ref\n" + "x\n" * 20_001
    with pytest.raises(BadInput, match="more than 20000 rows"):
        read_table(rows.encode())


def test_who_may_be_either_side_says_which() -> None:
    benefit = {"kind": "compute", "mode": "reimburse", "beneficiary": "either"}
    either = read_programme(a_file(id="either", benefit=benefit), "either.yaml")
    assert "applicant.side" in headings(either)
    assert "applicant.side" not in headings(PROGRAMME)


def test_a_maker_comes_with_a_sponsor() -> None:
    header = ("ref", "programme", "kind", "name", "sponsor_name", "sponsor_code", "sponsor_ref",
              "line.contract_yuan")  # fmt: skip
    good = ("m1", "plain", "maker", "张三", "海云科技", HAIYUN_CODE, "M-7", "5")
    batch = read(good, header=header)
    assert batch.filed[0].draft.identity.key == f"maker:{HAIYUN_CODE}:M-7"
    bad = ("m2", "plain", "maker", "李四", "海云科技", HAIYUN_CODE, "", "5")
    (fault,) = read(bad, header=header).faults
    assert fault.column == "sponsor_ref"


def test_a_programme_says_which_columns_it_needs() -> None:
    wanted = headings(PROGRAMME)
    assert wanted[0] == "ref"
    assert {"line.contract_yuan", "line.invoice_no", "code"} <= set(wanted)


def test_an_export_comes_back_as_it_went_out(
    engine: Engine, clock: VirtualClock, ids: SeededIds
) -> None:
    with DirectWriter(engine, clock).turn() as turn:
        connection = turn.connection
        office = Office(turn, clock, ids)
        office.adopt()
        rows = [GOOD, with_cell("line", "2"), with_cell("ref", "r2"), with_cell("ref", "r3")]
        rows[3] = (*rows[3][:5], "=cmd|' /C calc'!A0", "7.00")
        report = import_batch(office.firm(), read(*rows), ids)
        assert [one.outcome for one in report.filed] == ["created"] * 3
        records = store.page(connection, store.Filter())
        table = list(export_rows(records, known_facts(PROGRAMME), Language.CHINESE))
        for content in (write_csv(table), write_xlsx(table)):
            again = read_batch(read_table(content), find)
            assert again.faults == ()
            assert drafts(again) == drafts(read(*rows))
            second = import_batch(office.firm(), again, ids)
            assert [one.outcome for one in second.filed] == ["unchanged"] * 3


def test_an_import_corrects_drafts_and_one_refusal_touches_no_other(
    engine: Engine, clock: VirtualClock, ids: SeededIds
) -> None:
    with DirectWriter(engine, clock).turn() as turn:
        connection = turn.connection
        office = Office(turn, clock, ids)
        office.adopt()
        import_batch(office.firm(), read(GOOD), ids)
        foreign = with_cell("code", "91330106673959654P", "r5")
        corrected = with_cell("line.contract_yuan", "99.00")
        report = import_batch(office.firm(), read(corrected, foreign, with_cell("ref", "r6")), ids)
        assert [one.outcome for one in report.filed] == ["changed", "created"]
        (fault,) = report.batch.faults
        assert fault.line == 3
        assert "is registered with code" in fault.reason
        found = store.find_by_ref(connection, "haiyun", "r1")
        assert found is not None
        assert found.lines[0].facts["line.contract_fen"] == 9_900


def test_what_is_written_is_text() -> None:
    content = write_xlsx([["line.invoice_no"], ["26372000000000000001"]])
    page = load_workbook(io.BytesIO(content)).worksheets[0]
    assert page["A2"].value == "26372000000000000001"
    assert page["A2"].number_format == "@"
