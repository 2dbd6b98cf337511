"""Statements, settlements and programme reports over HTTP, on both databases."""

import io
from typing import Final

import openpyxl
import pytest
from api_client import Json, World

MONTH: Final = {"first": "2026-10-01", "last": "2026-10-31"}


@pytest.fixture
def paid_world(world: World) -> World:
    """A centre in which haiyun has a voucher and cash."""
    world.register()
    world.fund(amount_fen=10_000)
    body = {
        "lot_id": "lot-1",
        "tenant_id": "haiyun",
        "programme": "qingdao-2026",
        "amount_fen": 20_000,
        "ratio_num": 1,
        "ratio_den": 2,
        "expires_at": "2027-01-01T00:00:00+08:00",
        "key": "issue-lot-1",
    }
    assert world.client.post("/v1/vouchers", world.admin, body).status_code == 201
    return world


def get(world: World, path: str, key: str, **params: str) -> Json:
    """Return the answer to a call for a report of October 2026."""
    return world.client.get(f"/v1/reports/{path}", key, params=MONTH | params)


def test_a_statement_has_the_entries_of_its_period(paid_world: World) -> None:
    answer = get(paid_world, "statement", paid_world.enterprise)
    assert answer.status_code == 200, answer.text
    report = answer.json()
    assert report["facts"]["party_name"] == "海云科技"
    assert report["totals"]["granted_fen"] == 20_000
    assert report["totals"]["deposited_fen"] == 10_000
    assert report["closing"]["closing_voucher_fen"] == 20_000
    assert len(report["facts"]["chain_link"]) == 66
    before = get(
        paid_world, "statement", paid_world.enterprise, first="2026-09-01", last="2026-09-30"
    )
    assert before.json()["lines"] == []
    after = get(
        paid_world, "statement", paid_world.enterprise, first="2026-11-01", last="2026-11-30"
    )
    assert after.json()["facts"]["opening_cash_fen"] == 10_000


def test_a_statement_is_a_workbook_of_text_ids_and_formulas(paid_world: World) -> None:
    answer = get(paid_world, "statement", paid_world.enterprise, format="xlsx")
    assert "statement-haiyun-2026-10-01-2026-10-31.xlsx" in answer.headers["content-disposition"]
    sheet = openpyxl.load_workbook(io.BytesIO(answer.content)).active
    assert sheet is not None
    assert sheet["A1"].value == "算力使用对账单"


@pytest.mark.parametrize(("kind", "start"), [("pdf", b"%PDF"), ("csv", b"\xef\xbb\xbf")])
def test_a_statement_comes_as_a_file(small_world: World, kind: str, start: bytes) -> None:
    answer = get(small_world, "statement", small_world.enterprise, format=kind)
    assert answer.status_code == 200, answer.text
    assert answer.content.startswith(start)


def test_a_statement_in_beancount_names_its_chain(paid_world: World) -> None:
    text = get(paid_world, "statement", paid_world.enterprise, format="beancount").text
    assert "; chain 2 01" in text
    assert 'link: "01' in text


def test_the_admin_asks_for_anybodys_statement_and_must_say_whose(paid_world: World) -> None:
    asked = get(paid_world, "statement", paid_world.admin, tenant_id="haiyun")
    assert asked.json()["totals"]["granted_fen"] == 20_000
    assert get(paid_world, "statement", paid_world.admin).status_code == 422
    assert get(paid_world, "statement", paid_world.admin, tenant_id="nobody").status_code == 404


def test_a_foreign_statement_does_not_exist(small_world: World) -> None:
    answer = get(small_world, "statement", small_world.other, tenant_id="haiyun")
    assert answer.status_code == 404
    answer = get(small_world, "settlement", small_world.operator, provider="dc-west")
    assert answer.status_code == 404


def test_a_settlement_of_a_month_without_runs_is_nothing(paid_world: World) -> None:
    report = get(paid_world, "settlement", paid_world.operator).json()
    assert report["lines"] == []
    assert report["closing"]["paid_words"] == "人民币零元整"


def test_a_programme_report_says_what_became_of_each_lot(paid_world: World) -> None:
    report = get(paid_world, "programme", paid_world.admin, programme="qingdao-2026").json()
    (lot,) = report["lots"]
    assert (lot["lot"], lot["granted_fen"], lot["left_fen"]) == ("lot-1", 20_000, 20_000)
    (funder,) = report["funders"]
    assert (funder["funder"], funder["granted_fen"], funder["left_fen"]) == (
        "platform", 20_000, 20_000,
    )  # fmt: skip
    absent = get(paid_world, "programme", paid_world.admin, programme="absent")
    assert absent.status_code == 404


@pytest.mark.parametrize(
    "wrong", [{"last": "2026-09-01"}, {"first": "1990-01-01"}, {"format": "doc"}, {"first": "x"}]
)
def test_a_period_or_format_that_cannot_be_is_refused(
    small_world: World, wrong: dict[str, str]
) -> None:
    answer = get(small_world, "statement", small_world.enterprise, **wrong)
    assert answer.status_code == 422


def test_only_a_statement_can_be_written_for_beancount(small_world: World) -> None:
    answer = get(small_world, "settlement", small_world.operator, format="beancount")
    assert answer.status_code == 422
