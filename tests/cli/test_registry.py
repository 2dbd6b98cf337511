"""``suanwang voucher registry`` against a centre on a socket: help, good and bad input, files."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from api_server import RunningCentre, running_centre
from sqlalchemy import Engine
from typer.testing import CliRunner

from cli.registry import Kind
from cli.vouchers import app
from suanwang.errors import BadInput, Forbidden, Refused, SuanwangError
from suanwang.model.tenant import Role
from suanwang.sheets import read_table, write_csv, write_xlsx
from voucher.registry import entries

HAIYUN, EAST, WEST = "91350100M000100Y43", "91370200MA3TEKT04D", "91330106673959654P"
RUNNER: Final = CliRunner()


@dataclass(frozen=True)
class Clerk:
    """Runs the command with somebody's key."""

    where: tuple[str, ...]

    def run(self, *words: str | Path) -> str:
        """Run a command that must succeed and return everything that it prints."""
        line = ["registry", *map(str, words), *self.where]
        result = RUNNER.invoke(app, line, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return str(result.output)

    def json(self, *words: str | Path) -> Any:
        line = ["registry", *map(str, words), *self.where, "--json"]
        return json.loads(RUNNER.invoke(app, line, catch_exceptions=False).stdout)

    def refused(self, *words: str | Path) -> SuanwangError:
        """Run a command that must fail and return its error."""
        result = RUNNER.invoke(app, ["registry", *map(str, words), *self.where])
        assert isinstance(result.exception, SuanwangError), result.output
        return result.exception


@pytest.fixture
def centre(sqlite_engine: Engine) -> Iterator[RunningCentre]:
    with running_centre(sqlite_engine, cycle_s=30) as running:
        yield running


def clerk(centre: RunningCentre, role: Role = Role.REVIEWER_CITY) -> Clerk:
    return Clerk(("--url", centre.url, "--api-key", centre.key(f"t-{role}", role)))


@pytest.fixture
def city(centre: RunningCentre) -> Clerk:
    return clerk(centre)


OFFLINE: Final = Clerk(())


@pytest.mark.parametrize("command", ["fields", "template", "add", "import", "list", "history",
                                     "path"])  # fmt: skip
def test_every_command_explains_itself(command: str) -> None:
    told = OFFLINE.run(command, "--help")
    assert f"registry {command}" in told
    assert "--help" in told


@pytest.mark.parametrize("kind", Kind)
def test_the_fields_of_every_kind_are_listed_with_what_is_needed(kind: Kind) -> None:
    told = {row["field"]: row for row in OFFLINE.json("fields", kind.value)}
    known = entries.Kind(kind.value)
    assert [name for name, row in told.items() if row["is_key"]] == list(entries.KEYS[known])
    needed = {name for name, row in told.items() if row["is_needed"]}
    assert set(entries.KEYS[known]) <= needed
    assert {"valid_from", "valid_to"} & needed == set()


def test_an_entry_is_recorded_once_and_shown_as_it_was_typed(city: Clerk) -> None:
    typed = ("add", "organisation", f"code={HAIYUN}", "name=海云科技", "roles=provider,applicant",
             "legal_representative=王五", "--from", "2026-01-01")  # fmt: skip
    first = city.run(*typed)
    assert "roles=applicant,provider" in first
    assert first.rstrip().endswith("recorded")
    assert "王五" not in first
    assert "it was recorded before; nothing changed" in city.run(*typed)
    assert city.json(*typed)["is_new"] is False


def test_amounts_and_shares_are_shown_in_yuan_and_percent(city: Clerk) -> None:
    city.run("add", "contract", "number=HT-9", f"customer={HAIYUN}", f"provider={EAST}",
             "signed_on=2026-09-01", "amount_yuan=1,234.50", "months=12")  # fmt: skip
    city.run("add", "relation", "tie=shares", f"one={EAST}", f"other={HAIYUN}",
             "share_percent=33.3")  # fmt: skip
    shown = city.run("list", "contract")
    assert "amount_yuan=1234.50 months=12" in shown
    assert "share_percent=33.3" in city.run("history", "relation", HAIYUN)
    (one,) = city.json("list", "contract")
    assert (one["entry"]["amount_fen"], one["source"]) == (123_450, "hand")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(["organisation", "oops"], "'oops' is not FIELD=VALUE", id="no pair"),
        pytest.param(["organisation", f"code={HAIYUN}", f"code={EAST}"], "code is given twice",
                     id="twice"),
        pytest.param(["contract", "number=1"],
                     "customer, provider, signed_on, amount_yuan: missing", id="all missing"),
        pytest.param(["organisation", "code=12", "name=x"], "code: a unified social credit code "
                     "has 18 characters, this has 2", id="code"),
        pytest.param(["organisation", f"code={HAIYUN}", "name=x", "colour=red"],
                     "colour: an entry of kind organisation has no such field", id="field"),
        pytest.param(["invoice", "number=26372000000000000001", "line=one", f"seller={EAST}",
                      f"buyer={HAIYUN}"], "line: 'one' is no whole number", id="count"),
        pytest.param(["organisation", f"code={HAIYUN}", "name=x", "--from", "tomorrow"],
                     "--from 'tomorrow' is no day such as 2026-10-01", id="day"),
        pytest.param(["organisation", f"code={HAIYUN}", "name=x", "--from", "2026-02-01",
                      "--to", "2026-01-01"],
                     "valid_to: 2026-01-01 is before valid_from 2026-02-01", id="span"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_entry_is_said_in_plain_words(
    city: Clerk, words: list[str], message: str
) -> None:
    failure = city.refused("add", *words)
    assert isinstance(failure, BadInput)
    assert failure.message == message


def test_a_kind_that_is_not_there_is_wrong_use() -> None:
    result = RUNNER.invoke(app, ["registry", "list", "thing"])
    assert result.exit_code == 2
    assert "'thing' is not one of 'organisation'" in result.output


@pytest.mark.parametrize("name", ["contract.xlsx", "contract.csv"])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_template_that_is_filled_in_goes_in(
    city: Clerk, tmp_path: Path, name: str, lang: str
) -> None:
    path = tmp_path / name
    assert f"wrote {path}" in OFFLINE.run("template", "contract", "--out", path, "--lang", lang)
    header = read_table_header(path.read_bytes())
    assert header[0] == ("合同编号" if lang == "zh" else "number")
    row = ["HT-1", HAIYUN, EAST, "2026-09-01", "1000000.00", "12", "", "", "2026-09-01", ""]
    write = write_xlsx if path.suffix == ".xlsx" else write_csv
    path.write_bytes(write([header, row]))
    assert "1 sound rows are in, 1 of them new" in city.run("import", "contract", path)
    assert "1 sound rows are in, 0 of them new" in city.run("import", "contract", path)


def read_table_header(content: bytes) -> list[str]:
    return list(read_table(content).header)


def test_a_bad_row_is_named_and_a_trial_records_nothing(city: Clerk, tmp_path: Path) -> None:
    path = tmp_path / "contracts.csv"
    path.write_text(
        "合同编号,购买方代码,销售方代码,合同日期,合同金额（元）\n"
        f"HT-1,{HAIYUN},{EAST},2026-09-01,100.00\n"
        f"HT-2,{HAIYUN},{EAST},2026-13-01,100.00\n",
        encoding="utf-8",
    )
    trial = city.refused("import", "contract", path, "--dry-run")
    assert isinstance(trial, Refused)
    assert trial.message == f"1 bad rows in {path}; nothing was recorded"
    assert "no contract is registered for today" in city.run("list", "contract")
    line = ["registry", "import", "contract", str(path), *city.where]
    result = RUNNER.invoke(app, line)
    assert isinstance(result.exception, Refused)
    assert "line 3, column 合同日期: signed_on: '2026-13-01' is no day" in result.output
    assert result.exception.message == f"1 bad rows in {path}; the sound rows went in"
    assert len(city.json("list", "contract")) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "No such file", id="no file"),
        pytest.param(b"", "the file is empty", id="empty"),
        pytest.param(b"PK\x03\x04 not a zip", "cannot be read", id="broken xlsx"),
        pytest.param(b"a,b\n1,2\n", "column 'a' is none of number", id="headings"),
    ],
)
def test_a_file_that_is_no_table_is_refused(
    city: Clerk, tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "table.csv"
    if content is not None:
        path.write_bytes(content)
    failure = city.refused("import", "receipt", path)
    assert isinstance(failure, BadInput)
    assert message in failure.message


def test_a_template_has_a_name_that_says_its_form_and_a_place_that_is_there(tmp_path: Path) -> None:
    assert (
        "neither .xlsx nor .csv"
        in OFFLINE.refused("template", "receipt", "--out", tmp_path / "x.pdf").message
    )
    assert (
        "cannot write"
        in OFFLINE.refused("template", "receipt", "--out", tmp_path / "nowhere" / "x.csv").message
    )


def test_a_list_is_of_a_day_and_goes_on_after_a_page(city: Clerk) -> None:
    for code, name in ((HAIYUN, "海云"), (EAST, "东部"), (WEST, "西部")):
        city.run("add", "organisation", f"code={code}", f"name={name}", "--from", "2026-01-01")
    assert "no organisation is registered for 2025-12-31" in city.run(
        "list", "organisation", "--on", "2025-12-31"
    )
    first = city.run("list", "organisation", "--limit", "2")
    assert ("西部" in first, "more: --after '" in first) == (True, True)
    after = first.partition("more: --after '")[2].partition("'")[0]
    rest = city.run("list", "organisation", "--after", after)
    assert [name in rest for name in ("海云", "东部", "西部")].count(True) == 1
    assert "is no day" in city.refused("list", "organisation", "--on", "x").message


def test_a_history_says_who_stated_what_and_nothing_is_said_to_be_nothing(city: Clerk) -> None:
    for name in ("旧名", "新名"):
        city.run("add", "organisation", f"code={HAIYUN}", f"name={name}", "--from", "2026-01-01")
    told = city.json("history", "organisation", HAIYUN)
    assert [(one["version"], one["entry"]["name"]) for one in told] == [(1, "旧名"), (2, "新名")]
    assert told[0]["recorded_by"].startswith("key_")
    assert "recorded at" in city.run("history", "organisation", HAIYUN)
    assert "nothing was ever stated about organisation 9" in city.run(
        "history", "organisation", "9"
    )


def test_a_way_is_told_in_either_language_and_the_unknown_are_named(city: Clerk) -> None:
    city.run("add", "organisation", f"code={HAIYUN}", "name=海云")
    city.run("add", "organisation", f"code={EAST}", "name=东部", f"parent={HAIYUN}")
    assert city.run("path", HAIYUN, EAST) == "海云 – parent of – 东部\n"
    assert city.run("path", HAIYUN, EAST, "--lang", "zh") == "海云 – 控股母公司 – 东部\n"
    stranger = city.run("path", HAIYUN, WEST)
    assert "not related by what is registered" in stranger
    assert f"nothing is registered about {WEST}" in stranger
    assert "18 characters, this has 3" in city.refused("path", HAIYUN, "abc").message


def test_who_may_what(centre: RunningCentre) -> None:
    district, firm = clerk(centre, Role.REVIEWER_DISTRICT), clerk(centre, Role.ENTERPRISE)
    assert isinstance(district.refused("add", "organisation", f"code={HAIYUN}", "name=x"),
                      Forbidden)  # fmt: skip
    assert "no organisation" in district.run("list", "organisation")
    assert isinstance(firm.refused("list", "organisation"), Forbidden)
