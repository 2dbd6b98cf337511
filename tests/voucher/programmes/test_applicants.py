"""Lists of applicants: CSV, YAML and JSON say the same; mistakes are named where they are."""

import json
from datetime import date
from pathlib import Path

import pytest

from suanwang.errors import BadInput
from voucher.programmes.applicants import read_applications
from voucher.programmes.application import Application
from voucher.programmes.facts import FACTS

HEADER = "applicant,submitted_at,line,applicant.region,applicant.is_startup,line.paid_yuan,"
HEADER += "line.paid_on,line.invoice_no"
ROWS = [
    'E1,2025-05-01T10:00:00+08:00,l1,Qingdao,yes,"1,234.56",2024-06-01,24372000000012345678',
    "E1,2025-05-01T10:00:00+08:00,l2,Qingdao,,100,2024-07-01,24372000000012345679",
    "E2,2025-05-02,l1,,否,5,,",
]
LIST = {
    "applications": [
        {
            "id": "E1",
            "submitted_at": "2025-05-01T10:00:00+08:00",
            "facts": {"region": "Qingdao", "is_startup": True},
            "lines": [
                {"id": "l1", "facts": {"paid_fen": 123_456, "paid_on": "2024-06-01",
                                       "invoice_no": "24372000000012345678"}},
                {"id": "l2", "facts": {"paid_yuan": "100", "paid_on": "2024-07-01",
                                       "invoice_no": "24372000000012345679"}},
            ],
        },
        {"id": "E2", "submitted_at": "2025-05-02T00:00:00+08:00", "facts": {"is_startup": False},
         "lines": [{"id": "l1", "facts": {"paid_yuan": 5, "paid_on": None}}]},
    ]
}  # fmt: skip


def read(folder: Path, name: str, text: str) -> tuple[Application, ...]:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_applications(path, FACTS)


def test_csv_json_and_yaml_read_the_same(tmp_path: Path) -> None:
    from_csv = read(tmp_path, "a.csv", "\ufeff" + "\r\n".join([HEADER, *ROWS]) + "\r\n")
    from_json = read(tmp_path, "a.json", json.dumps(LIST, indent="\t"))
    from_yaml = read(tmp_path, "a.yaml", json.dumps(LIST))
    assert from_csv == from_json == from_yaml
    first, second = from_csv
    assert first.lines[0].facts["line.paid_fen"] == 123_456
    assert first.lines[0].facts["line.paid_on"] == date(2024, 6, 1)
    assert second.facts == {"applicant.is_startup": False}
    assert second.submitted_at.isoformat() == "2025-05-02T00:00:00+08:00"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param([ROWS[0].replace("yes", "maybe")],
                     "a.csv:2: column 'applicant.is_startup': 'maybe' is neither yes nor no",
                     id="flag"),
        pytest.param([ROWS[0].replace("234.56", "234.567")], "a.csv:2: column 'line.paid_yuan'",
                     id="money"),
        pytest.param([*ROWS, "E3,2025-05-02"], "a.csv:5: the row has not as many",
                     id="short"),
        pytest.param([ROWS[0], ROWS[1].replace("Qingdao", "Jinan")],
                     "a.csv:3: column 'applicant.region': 'Jinan' here, 'Qingdao' in line 2",
                     id="facts that differ"),
        pytest.param([ROWS[0], ROWS[1].replace("05-01T10", "05-01T11")],
                     "a.csv:3: column 'submitted_at': differs from line 2", id="two applications"),
        pytest.param([ROWS[0], ROWS[1].replace(",l2,", ",l1,")], "two lines have the same id",
                     id="a line twice"),
        pytest.param([ROWS[0].replace("2025-05-01T10:00:00+08:00", "soon")], "a.csv:2: Invalid iso",
                     id="moment"),
        pytest.param([ROWS[0].replace("E1", "")], "a.csv:2: column 'applicant': is empty",
                     id="nobody"),
    ],
)  # fmt: skip
def test_a_bad_row_is_named(tmp_path: Path, rows: list[str], message: str) -> None:
    with pytest.raises(BadInput) as refused:
        read(tmp_path, "a.csv", "\n".join([HEADER, *rows]))
    assert message in refused.value.message


def test_every_bad_row_is_named_up_to_a_limit(tmp_path: Path) -> None:
    bad = [f"E{n},2025-05-02,l1,,maybe,5,," for n in range(9)]
    with pytest.raises(BadInput) as refused:
        read(tmp_path, "a.csv", "\n".join([HEADER, *bad]))
    assert refused.value.message.splitlines()[-1] == "and 4 more"


def test_an_unknown_column_is_named_with_the_nearest_fact(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"a\.csv:1: column 'line\.paid_no'.*did you mean"):
        read(tmp_path, "a.csv", "applicant,submitted_at,line.paid_no\n")
    with pytest.raises(BadInput, match="column 'submitted_at' is missing"):
        read(tmp_path, "a.csv", "applicant\n")


def test_an_invoice_number_that_is_no_text_is_refused(tmp_path: Path) -> None:
    text = """
applications:
  - id: E1
    submitted_at: 2025-05-01
    lines:
      - id: l1
        facts: {invoice_no: 24372000000012345678}
"""
    with pytest.raises(BadInput, match=r"a\.yaml:7: .*write it in quotes"):
        read(tmp_path, "a.yaml", text)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for name in ("a.csv", "a.yaml", "a.json"):
        with pytest.raises(BadInput, match="cannot read"):
            read_applications(tmp_path / name, FACTS)
