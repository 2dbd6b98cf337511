"""Lines on paper are what the journal says."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_builders import LOTS, a_heading, a_line, a_month

from suanwang.errors import BadInput
from voucher.chain import Posting
from voucher.reports.funders import paid_by_lot
from voucher.reports.lines import movement, statement
from voucher.reports.report import Period, Report, summing
from voucher.reports.settlement import unit_hours

KINDS = (
    "budget",
    "pool",
    "reused",
    "due",
    "owed",
    "bank",
    "lot",
    "held",
    "spent",
    "expired",
    "recalled",
    "cash",
    "cash_held",
)
ACCOUNTS = st.sampled_from(
    [f"{kind}:a" for kind in (*KINDS, "payable", "receivable", "claim", "paid", "new")]
)


def facts(report: Report) -> tuple[dict[str, int], Mapping[str, object]]:
    """Return a report's totals and its closing facts."""
    totals: dict[str, int] = {}
    for _ in summing(report.main, totals):
        pass
    return totals, {fact.name: fact.value for fact in report.after(totals).facts}


@given(st.lists(st.builds(Posting, ACCOUNTS, ACCOUNTS, st.integers(1, 10**15)), max_size=8))
def test_every_entry_adds_up_whatever_kinds_of_accounts_it_touches(moves: list[Posting]) -> None:
    moved = movement(moves)
    came = moved.granted_fen + moved.deposited_fen
    went = moved.voucher_paid_fen + moved.cash_paid_fen + moved.expired_fen + moved.recalled_fen
    stays = moved.voucher_fen + moved.cash_fen + moved.held_fen + moved.claim_fen + moved.other_fen
    assert came == went + stays


def test_a_month_closes_at_its_opening_and_its_changes() -> None:
    opening = {"lot:l0": 500, "held:l0": 70, "cash:haiyun": 40, "budget:x": -610}
    totals, closing = facts(statement(a_heading(), opening, a_month(), LOTS))
    assert totals["paid_fen"] == 33_334
    assert closing["closing_voucher_fen"] == 500 + totals["voucher_fen"]
    assert closing["closing_cash_fen"] == 40 + 36_667
    assert closing["closing_held_fen"] == 70
    assert closing["paid_words"] == "人民币叁佰叁拾叁元叁角肆分"


def test_a_refund_takes_back_what_the_lot_and_the_cash_had_paid() -> None:
    back = a_line(6, "refund", ("spent:l1", "lot:l1", 201), ("payable:laoshan", "cash:haiyun", 133))
    totals, _ = facts(statement(a_heading(), {}, [*a_month(), back], LOTS))
    assert totals["paid_fen"] == 33_334 - 334
    assert paid_by_lot(back.postings) == {"l1": -201}


def test_funders_and_own_cash_are_named_apart() -> None:
    report = statement(a_heading(), {}, a_month(), LOTS)
    totals, _ = facts(report)
    (funders,) = report.after(totals).sections
    assert list(funders.rows) == [
        ("qingdao-2026", "city", 10_001),
        ("qingdao-2026", "district", 10_000),
        ("自付", "", 13_333),
    ]


@pytest.mark.parametrize(
    ("unit_ms", "text"),
    [(0, "0.000000"), (3_600_000, "1.000000"), (1, "0.000000"), (5_400_000, "1.500000")],
)
def test_unit_hours_are_rounded_down_to_six_digits(unit_ms: int, text: str) -> None:
    assert unit_hours(unit_ms) == text


def test_a_period_is_whole_days_in_china() -> None:
    period = a_heading().period
    assert period.start.isoformat() == "2026-09-30T16:00:00+00:00"
    assert period.end.isoformat() == "2026-10-31T16:00:00+00:00"
    with pytest.raises(BadInput, match="ends before it begins"):
        Period(first=period.last, last=period.first)
