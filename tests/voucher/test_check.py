"""The audit finds what was changed behind the ledger's back."""

import struct
from collections.abc import Callable
from hashlib import sha256

import pytest
from ledger_builders import (
    START,
    a_capture,
    a_deposit,
    a_hold,
    a_release,
    accept,
    add_tenants,
    an_issue,
)
from sqlalchemy import Connection, Engine, delete, insert, text, update
from sqlalchemy.exc import DatabaseError

from suanwang.db.engine import reading
from suanwang.db.tables import account, hold, hold_slice, journal, ledger_head, lot, posting
from voucher import store
from voucher.chain import GENESIS, Entry, Posting, link
from voucher.check import FINDINGS_MAX, check_chain


@pytest.fixture
def ledger(engine: Engine) -> Engine:
    """A ledger of seven entries: one hold paid, one released, one open."""
    with engine.begin() as connection:
        add_tenants(connection, "t1", "t2")
    accept(engine, an_issue(), a_deposit(500))
    accept(engine, a_hold("h1", ("l1", 300), (None, 200)), a_capture("h1", 320))
    accept(engine, a_hold("h2", ("l1", 100)), a_release("h2"), a_hold("h3", ("l1", 50), (None, 5)))
    return engine


def drop_triggers(connection: Connection) -> None:
    """Take away what protects the journal, as somebody with full rights could."""
    if connection.dialect.name == "sqlite":
        names = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))
        for (name,) in names.all():
            connection.execute(text(f'DROP TRIGGER "{name}"'))
        return
    for table in ("journal", "posting"):
        connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))


def tampered(engine: Engine, change: Callable[[Connection], object]) -> tuple[str, ...]:
    """Apply a change past the ledger and return the findings of the check."""
    with engine.begin() as connection:
        assert store.check(connection).is_sound
        drop_triggers(connection)
        if connection.dialect.name == "sqlite":
            connection.execute(text("PRAGMA defer_foreign_keys = ON"))
        change(connection)
        report = store.check(connection)
        assert not report.is_sound
        connection.rollback()
    return report.findings


TAMPERINGS = [
    pytest.param(
        update(journal).where(journal.c.seq == 3).values(chain="01" + "0" * 64), id="link"
    ),
    pytest.param(update(journal).where(journal.c.seq == 3).values(chain="rubbish"), id="no link"),
    pytest.param(update(journal).where(journal.c.seq == 4).values(tenant_id="t2"), id="owner"),
    pytest.param(update(journal).where(journal.c.seq == 4).values(at=START.replace(2020)), id="at"),
    pytest.param(update(journal).where(journal.c.seq == 4).values(key="other"), id="key"),
    pytest.param(update(journal).where(journal.c.seq == 4).values(kind="release"), id="kind"),
    pytest.param(update(journal).where(journal.c.seq == 4).values(digest="0" * 64), id="digest"),
    pytest.param(update(journal).where(journal.c.seq == 4).values(body="{}"), id="body"),
    pytest.param(update(journal).where(journal.c.seq == 4).values(balances="{}"), id="told"),
    pytest.param(update(journal).where(journal.c.seq == 7).values(seq=70), id="renumbered"),
    pytest.param(delete(journal).where(journal.c.seq == 7), id="last entry cut off"),
    pytest.param(update(posting).where(posting.c.seq == 4).values(amount_fen=1), id="amount"),
    pytest.param(update(posting).where(posting.c.seq == 4).values(target="x:y"), id="target"),
    pytest.param(delete(posting).where(posting.c.seq == 4), id="postings gone"),
    pytest.param(
        insert(posting).values(seq=2, line=9, source="cash:t1", target="cash:t2", amount_fen=1),
        id="posting slipped in",
    ),
    pytest.param(
        update(account).where(account.c.id == "cash:t1").values(balance_fen=10**9), id="balance"
    ),
    pytest.param(delete(account).where(account.c.id == "spent:l1"), id="account gone"),
    pytest.param(update(lot).values(issued_fen=2_000), id="grant"),
    pytest.param(update(lot).values(ratio_num=0), id="ratio"),
    pytest.param(update(lot).values(expires_at=START), id="end"),
    pytest.param(update(lot).values(sites=["elsewhere"]), id="sites"),
    pytest.param(update(lot).values(tenant_id="t2"), id="whose lot"),
    pytest.param(
        update(hold_slice).where(hold_slice.c.hold_id == "h3").values(amount_fen=60), id="slice"
    ),
    pytest.param(
        update(hold_slice).where(hold_slice.c.hold_id == "h1").values(captured_fen=1), id="captured"
    ),
    pytest.param(update(hold).where(hold.c.id == "h1").values(state="open"), id="hold reopened"),
    pytest.param(update(hold).where(hold.c.id == "h3").values(state="captured"), id="hold closed"),
    pytest.param(update(ledger_head).values(seq=6), id="head"),
    pytest.param(delete(ledger_head), id="no head"),
]


@pytest.mark.parametrize("change", TAMPERINGS)
def test_every_change_past_the_door_is_found(ledger: Engine, change: object) -> None:
    def run(connection: Connection) -> None:
        if getattr(change, "is_delete", False) and change.table is journal:  # type: ignore[attr-defined]  # a delete has a table
            connection.execute(delete(posting).where(posting.c.seq == 7))
        connection.execute(change)  # type: ignore[call-overload]  # any of the statements above

    assert tampered(ledger, run)


def test_a_journal_whose_end_was_cut_with_its_head_no_longer_fits_its_balances(
    ledger: Engine,
) -> None:
    def cut(connection: Connection) -> None:
        connection.execute(delete(posting).where(posting.c.seq == 7))
        connection.execute(delete(journal).where(journal.c.seq == 7))
        chain = store.entries(connection, None, 5)[0].chain
        connection.execute(update(ledger_head).values(seq=6, chain=chain))

    findings = tampered(ledger, cut)
    assert "account held:l1 has 0.50 yuan, its postings add up to 0.00" in findings


def test_very_many_findings_are_counted(ledger: Engine) -> None:
    accept(ledger, *[a_deposit(1, key=f"d{number}") for number in range(FINDINGS_MAX + 20)])
    findings = tampered(
        ledger, lambda connection: connection.execute(update(journal).values(digest="0" * 64))
    )
    assert len(findings) == FINDINGS_MAX + 1
    assert findings[-1].startswith("and ")


def test_the_database_itself_refuses_to_change_the_journal(ledger: Engine) -> None:
    for table in (journal, posting):
        for change in (update(table).where(table.c.seq == 4).values(seq=9), delete(table)):
            with pytest.raises(DatabaseError), ledger.begin() as connection:
                connection.execute(change)


def test_a_guarded_account_cannot_be_overdrawn_even_past_the_door(ledger: Engine) -> None:
    with pytest.raises(DatabaseError), ledger.begin() as connection:
        connection.execute(update(account).where(account.c.id == "cash:t1").values(balance_fen=-1))


def test_the_chain_can_be_followed_alone(ledger: Engine) -> None:
    with reading(ledger) as connection:
        head = check_chain(connection)
        assert head.chain == store.entries(connection, None, 6)[0].chain
    with ledger.begin() as connection:
        drop_triggers(connection)
        connection.execute(update(journal).where(journal.c.seq == 4).values(key="other"))
        with pytest.raises(ValueError, match="breaks at entry 4"):
            check_chain(connection)


def test_the_encoding_is_fixed_for_ever() -> None:
    entry = Entry(
        seq=1,
        key="k",
        kind="deposit",
        tenant_id="企业",
        at=START,
        body="{}",
        balances="{}",
        postings=[Posting("bank:deposits", "cash:企业", 5)],
    )
    tenant, target = "企业".encode(), "cash:企业".encode()
    raw = b"".join(
        [
            struct.pack(">B33sQq", 1, bytes.fromhex(GENESIS), 1, 1_791_936_000_000_000),
            struct.pack(">IIIIII", 1, 7, len(tenant), 2, 2, 1),
            *(b"k", b"deposit", tenant, b"{}", b"{}"),
            struct.pack(">IIq", 13, len(target), 5),
            *(b"bank:deposits", target),
        ]
    )
    assert link(GENESIS, entry) == "01" + sha256(raw).hexdigest()


def test_a_link_of_another_version_is_not_continued() -> None:
    entry = Entry(
        seq=1, key="k", kind="k", tenant_id="t", at=START, body="", balances="", postings=()
    )
    with pytest.raises(ValueError, match="not a link"):
        link("02" + GENESIS[2:], entry)
