"""Funders, pools, claims and bank payments in the journal."""

from collections.abc import Mapping

import pytest
from ledger_builders import (
    LATER,
    START,
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
    a_withdrawal,
    accept,
    add_tenants,
    an_appropriation,
    an_expiry,
    an_issue,
    book,
    refusal,
)
from sqlalchemy import Engine, select, update
from tampering import tampering

from suanwang.db.engine import reading
from suanwang.db.tables import account, ledger_receipt, lot
from voucher import store, store_funders
from voucher.ledger import Accepted, Command, RefusalCode
from voucher.store import LedgerCheck

CITY, DISTRICT = "qingdao-2024/city", "qingdao-2024/district"


@pytest.fixture
def ledger(engine: Engine) -> Engine:
    """The city has put 10.00 yuan into its pool and the district 5.00; t1 has 10.00 of cash."""
    with engine.begin() as connection:
        add_tenants(connection, "t1")
    accept(engine, an_appropriation(1_000), an_appropriation(500, "district"), a_deposit())
    return engine


def balances(engine: Engine) -> Mapping[str, int]:
    with reading(engine) as connection:
        rows = connection.execute(select(account.c.id, account.c.balance_fen)).all()
    return {row.id: row.balance_fen for row in rows if row.balance_fen}


def assert_sound(engine: Engine) -> LedgerCheck:
    with engine.begin() as connection:
        report = store.check(connection)
    assert report.findings == ()
    return report


def test_a_lot_is_granted_out_of_the_pools_of_its_funders(ledger: Engine) -> None:
    accept(ledger, an_issue("l1", 300, funders=a_mix(city=200, district=100)))
    now = balances(ledger)
    assert (now[f"pool:{CITY}"], now[f"pool:{DISTRICT}"], now["lot:l1"]) == (800, 400, 300)
    refused = refusal(
        book(ledger, an_issue("l2", 802, funders=a_mix(city=1, district=801))),
        RefusalCode.POOL_SHORT,
    )
    assert refused.facts == {"funder": "district", "available_fen": 400, "wanted_fen": 801}
    assert assert_sound(ledger).pooled_fen == 1_200


def test_a_funder_that_never_appropriated_gives_with_each_grant(ledger: Engine) -> None:
    accept(ledger, an_issue("l1", 300, funders=a_mix(city=200, province=100)))
    accept(ledger, an_issue("l2", 50))
    now = balances(ledger)
    assert now["budget:qingdao-2024/province"] == -100
    assert now["budget:qingdao-2024/platform"] == -50
    assert "pool:qingdao-2024/province" not in now
    assert_sound(ledger)


def test_money_in_a_pool_can_be_taken_out_of_it_and_no_more(ledger: Engine) -> None:
    accept(ledger, an_issue("l1", 300, funders=a_mix(city=300)), a_withdrawal(700))
    refusal(book(ledger, a_withdrawal(1)), RefusalCode.POOL_SHORT)
    # An empty pool is still a pool: nothing is granted beyond it.
    refusal(book(ledger, an_issue("l2", 1, funders=a_mix(city=1))), RefusalCode.POOL_SHORT)
    assert balances(ledger)[f"budget:{CITY}"] == -300
    assert_sound(ledger)


def test_what_a_reused_lot_does_not_pay_can_be_granted_again(ledger: Engine) -> None:
    mix = a_mix(city=67, district=33)
    accept(ledger, an_issue("l1", 100, funders=mix, is_reused=True))
    accept(ledger, a_hold("h1", ("l1", 50)))
    accept(ledger, an_expiry("l1"), now=LATER)
    half_way = balances(ledger)
    accept(ledger, a_capture("h1", 31), now=LATER)
    with reading(ledger) as connection:
        assert store.due_lots(connection, LATER) == ("l1",)
    accept(ledger, an_expiry("l1", key="again"), now=LATER)
    now = balances(ledger)
    assert (half_way["reused:l1"], now["reused:l1"]) == (-50, -69)
    assert (now[f"pool:{CITY}"], now[f"pool:{DISTRICT}"]) == (1_000 - 21, 500 - 10)
    with reading(ledger) as connection:
        assert store.due_lots(connection, LATER) == ()
    assert_sound(ledger)


def test_what_another_lot_does_not_pay_stays_expired(ledger: Engine) -> None:
    accept(ledger, an_issue("l1", 100, funders=a_mix(city=100)))
    accept(ledger, an_expiry("l1"), now=LATER)
    now = balances(ledger)
    assert (now[f"pool:{CITY}"], now["expired:l1"]) == (900, 100)
    assert "reused:l1" not in now


def test_a_repaid_clawback_comes_back_to_the_funders_of_its_lot(ledger: Engine) -> None:
    accept(ledger, an_issue("l1", 100, funders=a_mix(city=60, district=40), is_reused=True))
    accept(ledger, a_hold("h1", ("l1", 80)), a_capture("h1", 80), a_clawback("l1", 70))
    # 20 were left and come back at once, 50 are owed.
    now = balances(ledger)
    assert (now["receivable:l1"], now["reused:l1"]) == (-50, -20)
    accept(ledger, a_repayment(30))
    with reading(ledger) as connection:
        (debt,) = store_funders.debts(connection, "t1")
    assert (debt.lot_id, debt.programme, debt.open_fen) == ("l1", "qingdao-2024", 20)
    now = balances(ledger)
    assert (now[f"pool:{CITY}"], now[f"pool:{DISTRICT}"]) == (970, 480)
    assert_sound(ledger)


def test_what_a_voucher_pays_is_owed_to_the_payee_and_paid_by_bank(ledger: Engine) -> None:
    accept(ledger, an_issue("l1", 300, funders=a_mix(city=300)))
    accept(ledger, a_hold("h1", ("l1", 100), (None, 40)), a_capture("h1", 120))
    now = balances(ledger)
    assert (now["owed:qingdao-2024/platform"], now["payable:platform"]) == (100, 20)
    accept(ledger, a_payout(60), a_payout(20, programme=None))
    now = balances(ledger)
    assert (now["owed:qingdao-2024/platform"], now["paid:qingdao-2024"]) == (40, 60)
    assert (now["bank:deposits"], now.get("payable:platform", 0)) == (-980, 0)
    refusal(book(ledger, a_payout(41, key="more")), RefusalCode.ABOVE_DUE)
    assert assert_sound(ledger).due_fen == 40


def test_what_was_paid_out_must_come_back_before_it_is_refunded(ledger: Engine) -> None:
    accept(ledger, an_issue("l1", 300), a_hold("h1", ("l1", 100)), a_capture("h1", 100))
    accept(ledger, a_payout(100))
    refused = refusal(book(ledger, a_refund("h1", 30)), RefusalCode.PAYEE_SHORT)
    assert refused.facts == {"available_fen": 0, "wanted_fen": 30}
    accept(ledger, a_payback(30), a_refund("h1", 30))
    assert balances(ledger)["paid:qingdao-2024"] == 70
    assert_sound(ledger)


def test_a_claim_is_kept_redeemed_paid_and_its_rest_goes_back(ledger: Engine) -> None:
    mix = a_mix(city=101, district=100)
    accept(ledger, a_claim("c1", 201, funders=mix))
    accept(ledger, a_redemption(50), a_redemption(51))
    now = balances(ledger)
    assert (now["claim:c1"], now["redeemed:c1"], now["claim_due:c1"]) == (100, 101, 101)
    accept(ledger, a_claim_payment(50, receipt="YH-1"))
    refusal(book(ledger, a_claim_payment(51, receipt="YH-1")), RefusalCode.RECEIPT_USED)
    accept(ledger, a_claim_payment(51, receipt="YH-2"), a_claims_end())
    now = balances(ledger)
    assert (now["redeemed:c1"], now["expired:c1"], now["paid:qingdao-2024"]) == (101, 100, 101)
    assert (now[f"pool:{CITY}"], now[f"pool:{DISTRICT}"]) == (1_000 - 51, 500 - 50)
    with reading(ledger) as connection:
        assert store.lots(connection, now=START) == ()
        assert store.find_lot(connection, "c1", START).spent_fen == 101
    assert_sound(ledger)


def test_a_claim_that_ends_pays_nothing_that_was_not_paid(ledger: Engine) -> None:
    accept(ledger, a_claim("c1", 200, funders=a_mix(city=200)), a_redemption(80))
    accept(ledger, a_claim_payment(30), a_claims_end())
    now = balances(ledger)
    assert (now["redeemed:c1"], now["expired:c1"], now[f"pool:{CITY}"]) == (30, 170, 970)
    refusal(book(ledger, a_claim_payment(1)), RefusalCode.ABOVE_DUE)
    refusal(book(ledger, a_redemption(1)), RefusalCode.CLAIM_SHORT)
    assert_sound(ledger)


def test_a_claim_that_ran_out_is_not_redeemed(ledger: Engine) -> None:
    accept(ledger, a_claim("c1", 200, funders=a_mix(city=200)))
    refused = refusal(book(ledger, a_redemption(1), now=LATER), RefusalCode.LOT_EXPIRED)
    assert refused.facts == {"lot_id": "c1"}
    accept(ledger, an_expiry("c1"), now=LATER)
    assert balances(ledger)[f"pool:{CITY}"] == 1_000
    assert_sound(ledger)


def test_a_clawback_of_a_claim_takes_the_unpaid_first_and_owes_the_paid(ledger: Engine) -> None:
    accept(ledger, a_claim("c1", 200, funders=a_mix(city=200)), a_redemption(150))
    accept(ledger, a_claim_payment(100), a_clawback("c1", 130))
    # 50 were never redeemed, 50 not paid yet; 30 of the 100 that were paid are owed.
    now = balances(ledger)
    assert (now["recalled:c1"], now["receivable:c1"], now["redeemed:c1"]) == (130, -30, 70)
    assert now.get("claim_due:c1", 0) == 0
    assert now[f"pool:{CITY}"] == 900
    accept(ledger, a_repayment(30, "c1"))
    assert balances(ledger)[f"pool:{CITY}"] == 930
    assert_sound(ledger)


STEPS: tuple[Command, ...] = (
    an_appropriation(1_000),
    an_issue("l1", 400, funders=a_mix(city=300, district=100), is_reused=True),
    a_claim("c1", 300, funders=a_mix(city=200, district=100)),
    a_hold("h1", ("l1", 200)),
    a_capture("h1", 150),
    a_redemption(120),
    a_claim_payment(100),
    a_payout(90),
    a_payback(20),
    a_clawback("l1", 300),
    a_repayment(10),
    a_claims_end(),
    a_withdrawal(5),
)


def test_a_retry_of_any_step_at_any_later_moment_changes_nothing(engine: Engine) -> None:
    with engine.begin() as connection:
        add_tenants(connection, "t1")
    first: list[Accepted] = []
    for number, step in enumerate(STEPS):
        first += accept(engine, step)
        before = balances(engine)
        for seen, again in zip(first, accept(engine, *STEPS[: number + 1]), strict=True):
            assert again.is_repeat
            assert (again.seq, again.balances) == (seen.seq, seen.balances)
        assert balances(engine) == before
    # The same steps in one batch are the same books.
    assert_sound(engine)


def test_a_batch_is_booked_as_its_steps_would_be_one_by_one(engine: Engine) -> None:
    with engine.begin() as connection:
        add_tenants(connection, "t1")
    accept(engine, *STEPS)
    now = balances(engine)
    assert now[f"pool:{CITY}"] == 1_000 - 300 - 200 - 5 + 195 + 133
    assert_sound(engine)


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        pytest.param(
            update(lot).values(funders='[["district",300]]'), "terms are not", id="whose lot"
        ),
        pytest.param(update(lot).values(is_reused=1), "terms are not", id="reuse"),
        pytest.param(update(ledger_receipt).values(id="other"), "receipt other", id="receipt"),
        pytest.param(
            update(account).where(account.c.id == f"pool:{CITY}").values(balance_fen=999),
            "funder city of qingdao-2024 gave",
            id="pool",
        ),
        pytest.param(
            update(account).where(account.c.kind == "owed").values(balance_fen=999),
            "programme qingdao-2024: 1.00 yuan became due",
            id="owed",
        ),
    ],
)
def test_the_check_finds_whose_money_was_changed(
    ledger: Engine, change: object, finding: str
) -> None:
    accept(ledger, an_issue("l1", 300, funders=a_mix(city=300)))
    accept(ledger, a_hold("h1", ("l1", 100)), a_capture("h1", 100), a_payout(10))
    with tampering(ledger) as connection:
        connection.execute(change)  # type: ignore[call-overload]  # any of the statements above
    with ledger.begin() as connection:
        findings = store.check(connection).findings
    assert any(finding in one for one in findings), findings
