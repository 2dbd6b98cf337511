"""``suanwang voucher policy``: explaining, simulating and replaying programmes, offline."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.vouchers import app
from suanwang.errors import BadInput, NotFound

RUNNER = CliRunner()
LIST = """application,applicant,submitted_at,applicant.province,applicant.kind,line.provider_class,line.paid_yuan
A1,E1,2025-09-01,Henan,enterprise,ai_centre_100p,"777,777.00"
A2,E2,2025-09-02,Henan,university,dc_1000_racks,"6,000,000"
A3,E3,2025-09-03,Hebei,enterprise,dc_1000_racks,100
"""  # noqa: E501 - a row of a table


def ran(*arguments: str | Path) -> str:
    result = RUNNER.invoke(
        app, ["policy", *(str(one) for one in arguments)], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return str(result.stdout)


def document(*arguments: str | Path) -> Any:
    return json.loads(ran(*arguments, "--json"))


def refused(*arguments: str | Path) -> BaseException:
    result = RUNNER.invoke(app, ["policy", *(str(one) for one in arguments)])
    assert result.exception is not None
    return result.exception


@pytest.fixture
def applicants(tmp_path: Path) -> Path:
    path = tmp_path / "applicants.csv"
    path.write_text(LIST, encoding="utf-8")
    return path


def test_the_shipped_policies_are_listed_with_their_gaps() -> None:
    assert "qingdao-2024-enterprise" in ran("list")
    rows = {row["id"]: row for row in document("list")}
    assert len(rows) == 17
    assert "tiers.all.ratio" in rows["guizhou-2023"]["gaps"]


def test_a_policy_is_explained_in_words_with_what_is_empty() -> None:
    text = ran("check", "guizhou-2023")
    assert "贵州省算力券 (Guizhou compute voucher), guizhou-2023 v1, digest " in text
    assert "all: ratio NOT SEEN" in text
    assert "  tiers.all.ratio\n" in text
    assert "pool: all together at most 80,000,000.00 CNY (8000万) a calendar year" in text
    told = document("check", "guizhou-2023")
    assert told["version"] == 1
    assert len(told["digest"]) == 64
    assert told["policy"]["tiers"] == [{"id": "all", "ratio": None}]


def test_a_file_is_checked_by_its_path(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(ran("show", "henan-2025"), encoding="utf-8")
    assert document("check", mine) == document("check", "henan-2025")
    assert document("show", mine)["id"] == "henan-2025"
    mine.write_text(mine.read_text(encoding="utf-8").replace("tiers:", "tears:"), encoding="utf-8")
    failure = refused("check", mine)
    assert isinstance(failure, BadInput)
    assert "unknown key; did you mean 'tiers'?" in failure.message
    assert isinstance(refused("check", "atlantis"), NotFound)


def test_a_simulation_shows_pool_cuts_and_refusals(applicants: Path) -> None:
    text = ran("simulate", "henan-2025", "--applicants", applicants)
    assert "155,555.40" in text
    assert "[predicate-failed] applicant.province is Hebei; needed: applicant.province is" in text
    # 155,555.40 + 1,000,000.00: A2's 1,200,000.00 are cut to the cap of 100万.
    assert "pool (2025): 1,155,555.40 CNY used of 50,000,000.00 CNY" in text
    assert "funder 河南省 (province) pays 577,777.70 CNY" in text
    assert "refused for predicate-failed: 1" in text
    told = document("simulate", "henan-2025", "--applicants", applicants)
    assert told["granted_fen"] == 115_555_540
    assert told["refusals"] == {"predicate-failed": 1}
    rows = {row["application"]: row for row in told["applications"]}
    (cut,) = rows["A2"]["cuts"]
    assert (cut["code"], cut["path"]) == ("above-cap", "caps.applicant")
    assert (cut["from_fen"], cut["to_fen"]) == (120_000_000, 100_000_000)
    assert rows["A1"]["digest"] == told["digest"]
    assert [share["amount_fen"] for share in rows["A1"]["shares"]] == [7_777_770, 7_777_770]


def test_reasons_and_cuts_are_told_in_chinese(applicants: Path) -> None:
    text = ran("simulate", "henan-2025", "--applicants", applicants, "--lang", "zh")
    assert "[predicate-failed] 注册省份（applicant.province）为Hebei；要求：注册省份" in text
    assert "由 1,200,000.00 元 减至 1,000,000.00 元" in text
    told = document("simulate", "henan-2025", "--applicants", applicants)
    rows = {row["application"]: row for row in told["applications"]}
    reason = rows["A3"]["findings"][0]
    assert reason["message"] in ran("simulate", "henan-2025", "--applicants", applicants)
    assert reason["message_zh"] in text


def test_an_empty_value_stops_a_simulation_until_it_is_set(applicants: Path) -> None:
    command = ("simulate", "henan-2025", "--applicants", applicants)
    own = applicants.with_name("own.yaml")
    own.write_text(ran("show", "henan-2025").replace("5_000_000_000", "1_000_000"), "utf-8")
    short = ("simulate", own, "--applicants", applicants)
    stopped = document(*short)
    assert stopped["granted_fen"] == 0
    assert stopped["refusals"]["value-not-seen"] == 2
    # 10,000.00 over claims of 155,555.40 and 1,000,000.00: 1,346.15 and 8,653.85.
    shared = document(*short, "--set", "shortage={rule: prorata}")
    amounts = {row["application"]: row["amount_fen"] for row in shared["applications"]}
    assert amounts == {"A1": 134_615, "A2": 865_385, "A3": 0}
    assert shared["digest"] != stopped["digest"]
    failure = refused(*command, "--set", "shortige={rule: prorata}")
    assert isinstance(failure, BadInput)
    assert failure.next_step == "Did you mean shortage?"


def test_a_replay_shows_who_wins_and_who_loses(applicants: Path) -> None:
    new = applicants.with_name("new.yaml")
    text = ran("show", "henan-2025").replace("version: 1", "version: 2")
    text = text.replace("{num: 1, den: 5}", "{num: 1, den: 4}").replace("100_000_000", "80_000_000")
    new.write_text(text, encoding="utf-8")
    command = ("replay", "henan-2025", new, "--applicants", applicants)
    told = document(*command)
    changes = {
        row["application"]: (row["change"], row["change_fen"]) for row in told["applications"]
    }
    # 777,777.00 x 1/4 = 194,444.25, up 38,888.85; the cap falls from 100万 to 80万.
    assert changes == {"A1": ("wins", 3_888_885), "A2": ("loses", -20_000_000), "A3": ("same", 0)}
    assert [row["application"] for row in told["applications"]] == ["A2", "A3", "A1"]
    assert (told["old"]["version"], told["new"]["version"]) == (1, 2)
    shown = ran(*command)
    assert "-200,000.00" in shown
    assert "wins: 1\nloses: 1\nsame: 1\n" in shown
