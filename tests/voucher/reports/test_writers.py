"""What the files say when they are read back."""

import csv
import io
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from report_builders import LOTS, a_heading, a_line, a_month

from suanwang.errors import BadInput, Unavailable
from voucher.reports import pdf, xlsx
from voucher.reports.beancount import account_name, beancount_text
from voucher.reports.csv import csv_text
from voucher.reports.files import FileFormat, report_file
from voucher.reports.fonts import SYSTEM_FONTS, find_font, subset
from voucher.reports.json import json_text
from voucher.reports.lines import statement
from voucher.reports.report import CellKind, Column, Report, Row, Section

INVOICE = "26372000000012345678"


def a_statement() -> Report:
    """The month of the builders."""
    return statement(a_heading(), {}, a_month(), LOTS)


def a_table(*rows: Row) -> Report:
    """A report of a text and an amount."""
    columns = (
        Column(name="id", label="编号"),
        Column(name="fen", label="金额", kind=CellKind.AMOUNT, is_summed=True),
    )
    return Report(
        name="table",
        title="表",
        facts=(),
        main=Section(name="lines", label="明细", columns=columns, rows=rows),
    )


def sheet_of(path: Path, *, values: bool = False) -> Any:
    """Return the only sheet of a workbook, with formulas or with values."""
    return openpyxl.load_workbook(path, data_only=values).active


def test_a_workbook_keeps_twenty_digits_as_text(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    xlsx.write_xlsx(a_table((INVOICE, 5), ("=1+1", 10**15)), path)
    cells = [cell for row in sheet_of(path).iter_rows() for cell in row if cell.value is not None]
    texts = {cell.value: cell.data_type for cell in cells}
    assert texts[INVOICE] == "s"
    assert texts["=1+1"] == "s"
    assert 0.05 in texts
    assert 10**13 in texts


def test_a_workbook_has_formulas_and_their_values(tmp_path: Path) -> None:
    path = tmp_path / "s.xlsx"
    assert xlsx.write_xlsx(a_statement(), path) == 5
    formulas = {
        cell.coordinate: cell.value
        for row in sheet_of(path).iter_rows()
        for cell in row
        if cell.data_type == "f"
    }
    values = sheet_of(path, values=True)
    assert any(re.fullmatch(r"=SUM\(L\d+:L\d+\)", text) for text in formulas.values())
    assert any(re.fullmatch(r"=J\d+\+K\d+", text) for text in formulas.values())
    found = [values[at].value for at in formulas]
    assert 333.34 in found
    assert None not in found


def test_a_workbook_says_the_amount_in_words(tmp_path: Path) -> None:
    path = tmp_path / "s.xlsx"
    xlsx.write_xlsx(a_statement(), path)
    texts = [cell.value for row in sheet_of(path).iter_rows() for cell in row]
    assert "人民币叁佰叁拾叁元叁角肆分" in texts


def test_an_empty_report_is_a_file_in_every_format(tmp_path: Path) -> None:
    for kind in (FileFormat.XLSX, FileFormat.PDF, FileFormat.CSV, FileFormat.JSON):
        made = report_file(statement(a_heading(), {}, [], LOTS), kind, "empty")
        assert made.name == f"empty.{kind.value}"
        assert made.content


def test_a_csv_begins_with_a_mark_and_disarms_formulas() -> None:
    text = "".join(csv_text(a_table((INVOICE, -5), ('=cmd("x")', 123_456))))
    assert text.startswith("\ufeff")
    rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
    assert rows == [["编号", "金额"], [f"\t{INVOICE}", "-0.05"], ['\'=cmd("x")', "1234.56"]]


def test_json_is_one_document_with_fen() -> None:
    found = json.loads("".join(json_text(a_statement())))
    assert len(found["lines"]) == 5
    assert found["totals"]["voucher_paid_fen"] == 20_001


def test_a_pdf_carries_its_font_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "s.pdf"
    pdf.write_pdf(a_statement(), path)
    content = path.read_bytes()
    assert b"/FontFile2" in content
    assert b"Helvetica" not in content
    assert len(content) < 100_000


def test_equal_reports_give_equal_pdfs(tmp_path: Path) -> None:
    for name in ("a.pdf", "b.pdf"):
        pdf.write_pdf(a_statement(), tmp_path / name)
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()


def test_pdfs_made_at_once_do_not_mix_their_fonts(tmp_path: Path) -> None:
    texts = ["崂山智算中心", "中卫集群", "庆阳枢纽", "贵安新区"]

    def made(at: int, name: str) -> bytes:
        path = tmp_path / f"{name}-{at}.pdf"
        pdf.write_pdf(a_table((texts[at], at)), path)
        return path.read_bytes()

    alone = [made(at, "alone") for at in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda at: made(at, "together"), range(4)))
    assert together == alone


def test_a_long_pdf_has_pages_and_a_longer_one_is_refused(tmp_path: Path) -> None:
    rows: list[Row] = [(f"job-{number}", number) for number in range(200)]
    path = tmp_path / "s.pdf"
    assert pdf.write_pdf(a_table(*rows), path) == 200
    assert path.read_bytes().count(b"/Type /Page\n") > 3
    with pytest.raises(BadInput, match="too many for a PDF"):
        pdf.write_pdf(a_table(*rows * 26), path)


@pytest.mark.parametrize("path", [None, *SYSTEM_FONTS], ids=str)
def test_any_open_font_is_cut_down_to_what_is_used(path: Path | None) -> None:
    if path is not None and not path.is_file():
        pytest.skip(f"{path.name} is not installed here")
    assert 500 < len(subset("算力券 voucher", path)) < 40_000


def test_a_missing_font_is_named() -> None:
    assert find_font().is_file()
    with pytest.raises(Unavailable, match=r"no font file absent\.ttf"):
        subset("x", Path("absent.ttf"))


def test_beancount_asserts_every_balance_without_tolerance() -> None:
    opening = {"lot:l1": 5, "cash:haiyun": 100, "budget:x": -105}
    text = "".join(beancount_text(a_heading(), opening, a_month()))
    assert 'option "inferred_tolerance_default" "*:0"' in text
    balances = re.findall(r"^2026-11-01 balance (\S+)  (-?[\d.]+) ~ 0.00 CNY$", text, re.MULTILINE)
    assert dict(balances)[account_name("cash:haiyun")] == "367.67"
    for block in text.split("\n\n"):
        amounts = re.findall(r"^  [A-Z]\S+  (-?)(\d+)\.(\d\d) CNY$", block, re.MULTILINE)
        total = sum((-1 if sign else 1) * int(yuan + fen) for sign, yuan, fen in amounts)
        assert total == 0


def test_two_accounts_never_share_a_name_in_beancount() -> None:
    names = ["lot:a", "lot:A", "lot:a_b", "lot:a-b", "lot:甲", "lot:乙", "held:a", "new:a", "lot:"]
    assert len({account_name(name) for name in names}) == len(names)


def test_what_a_text_contains_cannot_break_out_of_beancount() -> None:
    line = a_line(7, "capture", ("cash:h", "payable:x", 1), submission_id='a"b\\c')
    text = "".join(beancount_text(a_heading(), {}, [line]))
    assert '"a\\"b\\\\c"' in text
