"""Reports of who funded, who was paid and what is open agree with the journal."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from ledger_builders import (
    a_capture,
    a_claim,
    a_claim_payment,
    a_claims_end,
    a_clawback,
    a_deposit,
    a_hold,
    a_mix,
    a_payback,
    a_payout,
    a_redemption,
    a_refund,
    a_repayment,
    accept,
    add_tenants,
    an_appropriation,
    an_expiry,
    an_issue,
)
from report_builders import a_heading
from sqlalchemy import Connection, Engine

from suanwang.db.engine import reading
from voucher import store_funders, store_reports, store_settlement
from voucher.commands import Capture
from voucher.funding import shares
from voucher.reports.beancount import beancount_text
from voucher.reports.lines import statement
from voucher.reports.programme import programme_report
from voucher.reports.report import Period, Report, Row, Section, summing
from voucher.reports.settlement import settlement

OCTOBER = Period(first=date(2026, 10, 1), last=date(2026, 10, 31))
NOVEMBER = Period(first=date(2026, 11, 1), last=date(2026, 11, 30))
WHOLE = Period(first=date(2026, 10, 1), last=date(2026, 11, 30))
IN_OCTOBER = datetime(2026, 10, 20, tzinfo=UTC)
IN_NOVEMBER = datetime(2026, 11, 20, tzinfo=UTC)
MIX = a_mix(city=334, district=333, province=333)
PAYEES = ("laoshan", "platform")


@pytest.fixture
def ledger(engine: Engine) -> Engine:
    """Two months of a lot of three funders, a claim, two payees and payments by bank."""
    with engine.begin() as connection:
        add_tenants(connection, "t1")
    accept(
        engine,
        an_appropriation(2_000),
        a_deposit(500),
        an_issue("l1", 1_000, funders=MIX, is_reused=True, expires_at=IN_NOVEMBER),
        a_claim("c1", 300, funders=a_mix(city=150, district=150)),
        a_hold("h1", ("l1", 200), (None, 100)),
        _at_laoshan("h1", 250),
        a_hold("h2", ("l1", 101)),
        a_capture("h2", 101),
        a_redemption(100),
        a_payout(70, "laoshan", receipt="YH-1"),
        a_payout(40, "laoshan", None, receipt="YH-2"),
        now=IN_OCTOBER,
    )
    accept(
        engine,
        a_refund("h2", 50),
        a_hold("h3", ("l1", 77)),
        _at_laoshan("h3", 77),
        a_claim_payment(60, receipt="YH-3"),
        a_payback(10, "laoshan"),
        a_clawback("l1", 700),
        a_repayment(5),
        a_claims_end(),
        now=IN_NOVEMBER.replace(day=10),
    )
    accept(engine, an_expiry("l1"), now=IN_NOVEMBER)
    return engine


def _at_laoshan(hold_id: str, amount_fen: int) -> Capture:
    return replace(a_capture(hold_id, amount_fen), payee="laoshan")


def tables(report: Report) -> dict[str, list[dict[str, object]]]:
    """Return every table of a report by its name, a row by the names of its columns."""
    totals: dict[str, int] = {}
    rows = list(summing(report.main, totals))
    tail = report.after(totals)
    found = {report.main.name: named(report.main, rows)}
    return found | {one.name: named(one, one.rows) for one in tail.sections}


def named(section: Section, rows: Iterable[Row]) -> list[dict[str, object]]:
    names = [column.name for column in section.columns]
    return [dict(zip(names, row, strict=True)) for row in rows]


def settled(connection: Connection, payees: Sequence[str], period: Period) -> Report:
    return settlement(
        a_heading(),
        store_reports.settlement_lines(connection, payees, period),
        store_reports.lots_of(connection),
        {},
        store_settlement.payee_account(connection, payees, period),
    )


def reported(connection: Connection, period: Period) -> Report:
    return programme_report(
        a_heading(),
        store_reports.lot_uses(connection, "qingdao-2024", period),
        {},
        store_settlement.pool_uses(connection, "qingdao-2024", period),
    )


def by_funder(rows: Iterable[dict[str, object]], what: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for row in rows:
        found[str(row["funder"])] += int(str(row[what]))
    return found


def test_settlements_of_all_payees_and_months_are_what_each_funder_paid(ledger: Engine) -> None:
    with reading(ledger) as connection:
        apart: Counter[str] = Counter()
        for period in (OCTOBER, NOVEMBER):
            for payee in PAYEES:
                rows = tables(settled(connection, [payee], period))["funders"]
                apart.update(by_funder(rows, "amount_fen"))
        together = by_funder(tables(settled(connection, PAYEES, WHOLE))["funders"], "amount_fen")
    assert {name: fen for name, fen in apart.items() if fen} == dict(together)
    # 200 + 101 - 50 + 77 of the lot, 50 of cash; the clawback came after them.
    parts = dict(zip(("city", "district", "province"), shares(328, MIX), strict=True))
    assert together == {**parts, "": 50}


def test_an_account_carries_what_is_open_from_month_to_month(ledger: Engine) -> None:
    with reading(ledger) as connection:
        october, november, whole = (
            tables(settled(connection, PAYEES, period)) for period in (OCTOBER, NOVEMBER, WHOLE)
        )
    for report in (october, november, whole):
        for row in report["account"]:
            opening, earned, paid, left = (
                int(str(row[f"{name}_fen"])) for name in ("opening", "earned", "paid", "open")
            )
            assert opening + earned == paid + left
    ends = {(row["programme"], row["site"]): row["open_fen"] for row in october["account"]}
    begins = {(row["programme"], row["site"]): row["opening_fen"] for row in november["account"]}
    assert {name: fen for name, fen in ends.items() if fen} == {
        name: fen for name, fen in begins.items() if fen
    }
    receipts = [(row["receipt"], row["amount_fen"]) for row in whole["payments"]]
    assert receipts[:2] == [("YH-1", 70), ("YH-2", 40)]
    assert receipts[2][1] == -10


def test_a_programme_report_adds_up_by_lot_and_by_funder(ledger: Engine) -> None:
    amounts = ("before", "granted", "spent", "expired", "recalled", "held", "left")
    with reading(ledger) as connection:
        reports = [tables(reported(connection, period)) for period in (OCTOBER, NOVEMBER, WHOLE)]
        stands = store_funders.funders(connection, "qingdao-2024")
    for report in reports:
        for name in amounts:
            lots, funders = (
                sum(int(str(row[f"{name}_fen"])) for row in report[table])
                for table in ("lots", "funders")
            )
            assert lots == funders, name
        for row in (*report["lots"], *report["funders"]):
            fen = {name: int(str(row[f"{name}_fen"])) for name in amounts}
            gone = fen["spent"] + fen["expired"] + fen["recalled"] + fen["held"] + fen["left"]
            assert fen["before"] + fen["granted"] == gone, row
    for one in stands:
        (row,) = [row for row in reports[-1]["funders"] if row["funder"] == one.funder]
        assert (row["spent_fen"], row["expired_fen"]) == (one.parts.spent, one.parts.expired)
        assert row["pool_fen"] == one.pool_fen


def test_a_statement_shows_claims_and_its_beancount_balances(ledger: Engine) -> None:
    with reading(ledger) as connection:
        lines = list(store_reports.statement_lines(connection, "t1", WHOLE))
        lots = store_reports.lots_of(connection, tenant_id="t1")
    totals: dict[str, int] = {}
    report = statement(a_heading(), {}, lines, lots)
    assert len(list(summing(report.main, totals))) == len(lines)
    assert (totals["received_fen"], totals["claim_fen"]) == (60, 0)
    text = "".join(beancount_text(a_heading(), {}, lines))
    assert "Equity:Elsewhere" not in text
    opened = set(re.findall(r"^\S+ open (\S+) CNY$", text, re.MULTILINE))
    used = set(re.findall(r"^  ([A-Z]\S+)  -?[\d.]+ CNY$", text, re.MULTILINE))
    assert used <= opened
    for block in text.split("\n\n"):
        amounts = re.findall(r"^  [A-Z]\S+  (-?)(\d+)\.(\d\d) CNY$", block, re.MULTILINE)
        assert sum((-1 if sign else 1) * int(yuan + fen) for sign, yuan, fen in amounts) == 0
