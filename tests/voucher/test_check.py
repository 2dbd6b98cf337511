"""The audit finds what was changed behind the ledger's back."""

import struct
from collections.abc import Callable
from hashlib import new, sha256

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
    drop_triggers,
)
from sqlalchemy import Connection, Engine, delete, text, update
from sqlalchemy.exc import DatabaseError

from suanwang.db.engine import reading
from suanwang.db.tables import account, hold, journal, ledger_head, lot
from suanwang.errors import Conflict
from voucher import store
from voucher.chain import GENESIS, Algorithm, Entry, genesis, link
from voucher.check import FINDINGS_MAX, check_chain
from voucher.ledger import begin


@pytest.fixture
def ledger(engine: Engine) -> Engine:
    """A ledger of seven entries: one hold paid, one released, one open."""
    with engine.begin() as connection:
        add_tenants(connection, "t1", "t2")
    accept(engine, an_issue(), a_deposit(500))
    accept(engine, a_hold("h1", ("l1", 300), (None, 200)), a_capture("h1", 320))
    accept(engine, a_hold("h2", ("l1", 100)), a_release("h2"), a_hold("h3", ("l1", 50), (None, 5)))
    return engine


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
    *(
        pytest.param(update(journal).where(journal.c.seq == 4).values(moves=moves), id=what)
        for what, moves in {
            "amount": "held:l1\tspent:l1\t301\n",
            "postings gone": "",
            "no posting": "held:l1",
            "no number": "held:l1\tspent:l1\tmuch\n",
            "another way to write a number": "held:l1\tspent:l1\t+300\n",
            "backwards": "spent:l1\theld:l1\t-300\n",
        }.items()
    ),
    pytest.param(update(journal).where(journal.c.seq == 4).values(late_for="2026-09"), id="late"),
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
        update(hold).where(hold.c.id == "h3").values(slices='[["l1",60,0,0],[null,5,0,0]]'),
        id="slice",
    ),
    pytest.param(
        update(hold).where(hold.c.id == "h1").values(slices='[["l1",300,1,0],[null,200,20,0]]'),
        id="captured",
    ),
    pytest.param(
        update(hold).where(hold.c.id == "h2").values(slices='[["l1",100,5,5]]'), id="paid and back"
    ),
    pytest.param(update(hold).where(hold.c.id == "h1").values(payee="friend"), id="payee"),
    pytest.param(update(hold).where(hold.c.id == "h1").values(state="open"), id="hold reopened"),
    pytest.param(update(hold).where(hold.c.id == "h3").values(state="captured"), id="hold closed"),
    pytest.param(update(ledger_head).values(seq=6), id="head"),
    pytest.param(delete(ledger_head), id="no head"),
]


@pytest.mark.parametrize("change", TAMPERINGS)
def test_every_change_past_the_door_is_found(ledger: Engine, change: object) -> None:
    def run(connection: Connection) -> None:
        connection.execute(change)  # type: ignore[call-overload]  # any of the statements above

    assert tampered(ledger, run)


def test_a_journal_whose_end_was_cut_with_its_head_no_longer_fits_its_balances(
    ledger: Engine,
) -> None:
    def cut(connection: Connection) -> None:
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
    for change in (update(journal).where(journal.c.seq == 4).values(seq=9), delete(journal)):
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
    moves = "bank:deposits\tcash:企业\t5\n"
    entry = Entry(1, "k", "deposit", "企业", START, "{}", "[]", moves, "2026-09")
    tenant = "企业".encode()
    raw = b"".join(
        [
            struct.pack(">33sQq", bytes.fromhex(GENESIS), 1, 1_791_936_000_000_000),
            struct.pack(">IIIIIII", 1, 7, len(tenant), 2, 2, len(moves.encode()), 7),
            *(b"k", b"deposit", tenant, b"{}", b"[]", moves.encode(), b"2026-09"),
        ]
    )
    assert link(GENESIS, entry) == "01" + sha256(raw).hexdigest()
    sm3 = "02" + new("sm3", b"\x02" + raw[1:]).hexdigest()
    assert link(genesis(Algorithm.SM3), entry) == sm3


def test_a_link_of_another_version_is_not_continued() -> None:
    entry = Entry(1, "k", "k", "t", START, "", "", "")
    with pytest.raises(ValueError, match="not a link"):
        link("03" + GENESIS[2:], entry)


def test_a_ledger_keeps_the_digest_it_began_with(engine: Engine) -> None:
    with engine.begin() as connection:
        add_tenants(connection, "t1")
        begin(connection, Algorithm.SM3)
    accept(engine, a_deposit(5))
    with engine.begin() as connection:
        begin(connection, Algorithm.SM3)
        report = store.check(connection)
        assert report.is_sound, report.findings
        assert report.head_chain.startswith("02")
        assert check_chain(connection).chain == report.head_chain
        with pytest.raises(Conflict, match="another digest"):
            begin(connection)
