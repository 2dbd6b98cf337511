"""Tables of verdicts and of evidence, from the command line to the centre and back."""

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_server import RunningCentre, running_centre
from cli_desk import Desk
from grant_builders import HAIYUN_CODE, WORKFLOW, a_file
from sqlalchemy import Engine

from suanwang.errors import BadInput, Refused
from suanwang.model.tenant import Role


@pytest.fixture
def centre(sqlite_engine: Engine) -> Iterator[RunningCentre]:
    with running_centre(sqlite_engine, cycle_s=30) as running:
        yield running


def read_csv(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))


def test_a_batch_is_filed_papered_and_reviewed_by_tables(
    centre: RunningCentre, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(a_file(workflow=WORKFLOW[:3]), encoding="utf-8")
    Desk(centre, centre.admin).run("adopt", policy)
    firm = Desk(centre, centre.key("haiyun"))
    district = Desk(centre, centre.key("shinan", Role.REVIEWER_DISTRICT))
    form = tmp_path / "form.csv"
    rows = [f"r{n},plain,海云科技,{HAIYUN_CODE},HT-{n},{n},1000.00\n" for n in (1, 2)]
    form.write_text(
        "ref,programme,name,code,line.contract_no,line.invoice_no,line.contract_yuan\n"
        + "".join(rows), encoding="utf-8",
    )  # fmt: skip
    firm.run("import", form)
    names = [one["id"] for one in firm.json("list")["items"]]
    listed = tmp_path / "papers.csv"
    firm.run("evidence-list", "--format", "csv", "--out", listed)
    assert [(one["application"], one["kind"], one["status"]) for one in read_csv(listed)] == [
        (name, "申报表", "missing") for name in names
    ]
    send_papers(firm, tmp_path, names)
    for name in names:
        firm.run("submit", name)
        district.run("attach", name, "初审表", tmp_path / "a.pdf")
    review_by_table(district, tmp_path, names)
    assert {one["stage"] for one in firm.json("list")["items"]} == {"city", "district"}


def send_papers(firm: Desk, folder: Path, names: list[str]) -> None:
    """Send a list of papers of which two are wrong, then the right one."""
    (folder / "a.pdf").write_bytes(b"%PDF")
    digest = hashlib.sha256(b"%PDF").hexdigest()
    manifest = folder / "manifest.csv"
    manifest.write_text(
        "申请号,材料类型,文件,sha256\n"
        f"{names[0]},申报表,a.pdf,{digest}\n"
        f"{names[1]},申报表,nowhere.pdf,\n"
        f"{names[1]},申报表,a.pdf,{'0' * 64}\n",
        encoding="utf-8",
    )
    told = firm.refused("attach-list", manifest)
    assert isinstance(told.error, Refused)
    assert f"{names[0]}: 申报表 is file 1, {digest}" in told.output
    assert "line 3, column file: cannot read" in told.output
    assert "line 4, column sha256:" in told.output
    manifest.write_text(
        f"application,kind,file\n{names[0]},申报表,a.pdf\n{names[1]},申报表,a.pdf\n",
        encoding="utf-8",
    )
    assert firm.run("attach-list", manifest).count("is file 1") == 2
    assert "would be sent" in firm.run("attach-list", manifest, "--dry-run")
    manifest.write_text("application,kind\nx,y\n", encoding="utf-8")
    assert isinstance(firm.refused("attach-list", manifest).error, BadInput)


def review_by_table(district: Desk, folder: Path, names: list[str]) -> None:
    """Fill a worklist in, one row of it wrong, and send it back twice."""
    work = folder / "work.csv"
    district.run("worklist", "--format", "csv", "--out", work)
    rows = read_csv(work)
    assert [one["application"] for one in rows] == names
    rows[0] |= {"verdict": "通过", "reason": "属实"}
    rows[1] |= {"verdict": "maybe", "reason": "属实"}
    with work.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    tried = district.refused("import-reviews", work, "--dry-run")
    assert f"{names[0]}: would be done, review at city" in tried.output
    told = district.refused("import-reviews", work)
    assert isinstance(told.error, Refused)
    assert f"{names[0]}: done, review at city" in told.output
    assert "line 3, column verdict: 'maybe'" in told.output
    assert "unchanged" in district.refused("import-reviews", work).output
