"""Last year's applications out of a centre, and under a changed policy."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_server import RunningCentre, running_centre
from cli_desk import RUNNER, Desk
from grant_builders import HAIYUN_CODE, OTHER_CODE, a_file
from sqlalchemy import Engine

from cli.vouchers import app
from suanwang.model.tenant import Role


@pytest.fixture
def centre(sqlite_engine: Engine) -> Iterator[RunningCentre]:
    with running_centre(sqlite_engine, cycle_s=30) as running:
        yield running


def four_applications(centre: RunningCentre, draft: Path) -> list[str]:
    """A large one, a small one, one that is not eligible, and one that is withdrawn."""
    firm, other = Desk(centre, centre.key("haiyun")), Desk(centre, centre.key("lanxin"))
    city = Desk(centre, centre.key("bureau", Role.REVIEWER_CITY))
    names = []
    for desk, code, ref, fen, startup in (
        (firm, HAIYUN_CODE, "large", 200_000, "yes"),
        (other, OTHER_CODE, "small", 40_000, "yes"),
        (other, OTHER_CODE, "none", 40_000, "no"),
        (other, OTHER_CODE, "drawn", 40_000, "yes"),
    ):
        draft.write_text(
            f"ref: {ref}\nprogramme: plain\napplicant: {{name: 企业, code: {code}}}\n"
            f"lines: [{{id: '1', facts: {{line.contract_fen: {fen}, line.invoice_no: {ref},"
            f" line.seller_code: {HAIYUN_CODE[:-1]}X, line.contract_no: {ref}}}}}]\n",
            encoding="utf-8",
        )
        name = desk.json("file", draft)["id"]
        names.append(name)
        desk.run("submit", name)
        if ref == "drawn":
            desk.run("withdraw", name)
            continue
        found = ("--fact", f"applicant.is_startup={startup}", "--reason", "已核")
        city.run("approve", name, *found)
    return names


def test_last_years_applications_are_replayed_under_a_changed_policy(
    centre: RunningCentre, tmp_path: Path
) -> None:
    stages = [{"id": "city", "name": "市局", "role": "city-bureau"}]
    asked = [{"fact": "applicant.is_startup", "op": "is_true"}]
    pool = {"id": "pool", "scope": "pool", "period": "life", "amount_fen": 50_000}
    common: dict[str, object] = {"workflow": stages, "eligibility": asked}
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(a_file(**common, caps=[pool]), encoding="utf-8")
    half = [{"id": "all", "ratio": {"num": 1, "den": 2}}]
    firm_cap = {"id": "firm", "scope": "applicant", "period": "life", "amount_fen": 30_000}
    new.write_text(a_file(**common, caps=[pool, firm_cap], tiers=half, version=2), encoding="utf-8")
    Desk(centre, centre.admin).run("adopt", old)
    names = four_applications(centre, tmp_path / "draft.yaml")
    listed = tmp_path / "list.json"
    where = ("--url", centre.url, "--api-key", centre.key("bureau", Role.REVIEWER_CITY))
    result = RUNNER.invoke(app, ["policy", "applicants", "plain", "--out", str(listed), *where])
    assert "3 applications in" in result.output
    words = ["policy", "replay", str(old), str(new), "--applicants", str(listed)]
    fates = {
        one["application"]: one
        for one in json.loads(RUNNER.invoke(app, [*words, "--json"]).stdout)["applications"]
    }
    shown = [
        (fates[name]["granted_fen"], fates[name]["before_fen"], fates[name]["after_fen"],
         fates[name]["change"])
        for name in names[:3]
    ]  # fmt: skip
    assert shown == [
        (40_000, 40_000, 30_000, "loses"), (8_000, 8_000, 20_000, "wins"), (0, 0, 0, "same"),
    ]  # fmt: skip
    text = RUNNER.invoke(app, words).stdout
    for words_told in (
        "in fact 480.00 CNY were granted; the old policy differs for 0",
        "pool (life): 480.00 CNY used of 500.00 CNY",
        "pool (life): 500.00 CNY used of 500.00 CNY",
        "refused for predicate-failed: 1",
        "caps.firm",
        "wins: 1",
        "loses: 1",
        "same: 1",
    ):
        assert words_told in text
    verified = RUNNER.invoke(app, ["policy", "verify", *where])
    assert "sound: every policy is what awards were made under" in verified.stdout
