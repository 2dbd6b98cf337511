"""The commands that write reports and evidence, against a centre in this process."""

from pathlib import Path
from typing import Any

import pytest
import typer
from api_client import World
from in_process import InProcess
from typer.testing import CliRunner

from cli import reports
from suanwang.errors import BadInput, SuanwangError


@pytest.fixture
def run(small_world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Run a command as the enterprise, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    client = InProcess(small_world, small_world.enterprise)
    monkeypatch.setattr(reports, "connect", lambda url, key: client)
    app = typer.Typer()
    reports.attach(app)

    def call(*arguments: str) -> Any:
        return CliRunner().invoke(app, list(arguments), catch_exceptions=False)

    return call


def test_a_statement_of_a_month_is_written_under_a_plain_name(run: Any) -> None:
    done = run("statement", "--month", "2026-02")
    assert done.exit_code == 0
    assert Path("statement-2026-02-01-2026-02-28.xlsx").read_bytes().startswith(b"PK")


def test_a_statement_can_be_printed(run: Any) -> None:
    done = run(
        "statement", "--from", "2026-10-01", "--to", "2026-10-31", "--format", "csv", "-o", "-"
    )
    assert "支付合计" in done.stdout


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["--month", "2026-10", "--from", "2026-10-01", "--to", "2026-10-02"],
        ["--from", "2026-10-01"],
        ["--month", "2026-13"],
    ],
    ids=["none", "two", "half", "no month"],
)
def test_a_period_that_is_not_one_is_refused(run: Any, wrong: list[str]) -> None:
    with pytest.raises(BadInput):
        run("statement", *wrong)


def test_papers_are_read_from_their_short_form(run: Any) -> None:
    number = "26372000000012345678"
    with pytest.raises(BadInput, match="train-1"):
        run("evidence", "train-1", "--invoice", f"{number}:100.00:6.00", "--payment",
            "YH-17:106.00:2026-10-20")  # fmt: skip
    for wrong in ("YH-17:106.00", "YH-17:x:2026-10-20"):
        with pytest.raises(BadInput):
            run("evidence", "train-1", "--payment", wrong)


def test_a_file_that_is_no_pack_does_not_verify(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "no.zip"
    path.write_bytes(b"PK")
    with pytest.raises(SuanwangError, match="1 things are wrong"):
        run("verify", str(path))


def test_the_key_and_the_head_are_shown_to_be_kept(run: Any) -> None:
    shown = run("signing-key").stdout
    assert shown.startswith("key   ")
    assert "head  0:01" in shown


def test_evidence_is_of_a_job_or_of_a_period(run: Any) -> None:
    for wrong in (
        [],
        ["train-1", "--month", "2026-10"],
        ["--month", "2026-10", "--contract", "HT-1"],
        ["train-1", "--award", "app_1"],
    ):
        with pytest.raises(BadInput):
            run("evidence", *wrong)
    with pytest.raises(BadInput, match="paid for no job"):
        run("evidence", "--month", "2026-10")
