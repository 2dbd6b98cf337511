"""The journal as its owner reads it."""

from ledger_builders import (
    LATER,
    a_capture,
    a_deposit,
    a_hold,
    a_release,
    accept,
    add_tenants,
    an_expiry,
    an_issue,
)
from sqlalchemy import Engine

from suanwang.db.engine import reading
from voucher.statement import statement


def test_a_statement_tells_the_story_in_words(engine: Engine) -> None:
    with engine.begin() as connection:
        add_tenants(connection, "t1", "t2")
    accept(engine, an_issue(amount_fen=100_000), a_deposit(50_000), a_deposit(1, "t2"))
    accept(engine, a_hold("h1", ("l1", 30_000), (None, 20_000)), a_capture("h1", 32_000))
    accept(engine, a_hold("h2", ("l1", 500)), a_hold("h3"), a_release("h3"))
    accept(engine, an_expiry(), a_release("h2"), now=LATER)
    with reading(engine) as connection:
        lines = statement(connection, "t1")
    assert [(line.seq, line.text, line.voucher_fen, line.cash_fen) for line in lines] == [
        (
            1,
            "Voucher granted: 1,000.00 yuan granted as lot l1 by qingdao-2024/platform",
            100_000,
            0,
        ),
        (2, "Cash paid in: 500.00 yuan cash", 0, 50_000),
        (4, "Set aside for a run: 300.00 yuan from lot l1, 200.00 yuan cash", -30_000, -20_000),
        (
            5,
            "Run paid: 300.00 yuan paid by lot l1, 20.00 yuan paid in cash to platform, "
            "180.00 yuan back to cash",
            0,
            18_000,
        ),
        (6, "Set aside for a run: 5.00 yuan from lot l1", -500, 0),
        (7, "Set aside for a run: nothing moved", 0, 0),
        (8, "Set free again: nothing moved", 0, 0),
        (9, "Voucher ended: 695.00 yuan left of lot l1", -69_500, 0),
        (10, "Set free again: 5.00 yuan back to lot l1, which has ended", 0, 0),
    ]
    assert sum(line.voucher_fen for line in lines) == 0
    assert sum(line.cash_fen for line in lines) == 48_000
