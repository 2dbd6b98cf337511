"""The chain is followed by processes side by side, and comes to the same verdict."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from ledger_builders import a_deposit, accept, add_tenants, drop_triggers
from sqlalchemy import Engine, delete, text, update

from suanwang.db.engine import open_engine, reading
from suanwang.db.tables import journal, ledger_head, metadata
from voucher import chain_parts, store
from voucher.chain import GENESIS
from voucher.chain_parts import Following, following
from voucher.check import check_chain
from voucher.store_audit import stand
from voucher.store_book import Head

ENTRIES = 12
BORDERS = [4, 8]


@pytest.fixture(autouse=True)
def three_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve entries are worth three parts: entries 1 to 4, 5 to 8 and 9 to 12."""
    monkeypatch.setattr(chain_parts, "PART_ENTRIES_MIN", ENTRIES // 3)
    monkeypatch.setattr(chain_parts, "_processors", lambda: 3)


@pytest.fixture
def ledger(engine: Engine) -> Engine:
    with engine.begin() as connection:
        add_tenants(connection, "t1", "企业")
    deposits = (a_deposit(5, ("t1", "企业")[number % 2], key=f"d{number}") for number in range(12))
    accept(engine, *deposits)
    return engine


def change(engine: Engine, *changes: object) -> None:
    """Change the database past the ledger, for good."""
    with engine.begin() as connection:
        drop_triggers(connection)
        if connection.dialect.name == "sqlite":
            connection.execute(text("PRAGMA defer_foreign_keys = ON"))
        for one in changes:
            connection.execute(one)  # type: ignore[call-overload]  # any statement


@contextmanager
def followed(engine: Engine) -> Iterator[tuple[Following, Head]]:
    """Let processes begin, and give what the chain should end with."""
    with reading(engine) as connection:
        end = stand(connection, is_locked=False)
        begin = Head(0, GENESIS)
        with following(connection, begin, end, is_shared=True, with_digests=False) as chain:
            yield chain, end


def test_a_whole_chain_is_followed_by_processes_and_this_one(ledger: Engine) -> None:
    with followed(ledger) as (chain, end):
        assert [order.part[:2] for order in chain.order] == [(0, 4), (4, 8), (8, 12)]
        assert len(chain.processes) == 2
        chain.finish(end)
        assert [process.returncode for process in chain.processes] == [0, 0]


@pytest.mark.parametrize("seq", [1, 4, 5, 12])
def test_a_changed_entry_is_found_at_both_ends_of_every_part(ledger: Engine, seq: int) -> None:
    change(ledger, update(journal).where(journal.c.seq == seq).values(key="other"))
    with reading(ledger) as connection, pytest.raises(ValueError, match=rf"breaks at entry {seq}$"):
        check_chain(connection)


@pytest.mark.parametrize("seq", [4, 12])
@pytest.mark.parametrize("link", ["rubbish", "01" + "ab" * 32, "02" + "ab" * 32])
def test_a_changed_link_is_found_at_both_ends_of_every_part(
    ledger: Engine, seq: int, link: str
) -> None:
    change(ledger, update(journal).where(journal.c.seq == seq).values(chain=link))
    with reading(ledger) as connection, pytest.raises(ValueError, match=rf"breaks at entry {seq}$"):
        check_chain(connection)


@pytest.mark.parametrize("seq", [1, 4, 5, 12])
def test_an_entry_that_is_missing_is_found_in_every_part(ledger: Engine, seq: int) -> None:
    change(ledger, delete(journal).where(journal.c.seq == seq))
    with reading(ledger) as connection, pytest.raises(ValueError, match=rf"breaks at entry {seq}$"):
        check_chain(connection)


def test_the_first_of_several_breaks_is_told(ledger: Engine) -> None:
    change(
        ledger,
        update(journal).where(journal.c.seq.in_([3, 7, 11])).values(key="k:" + journal.c.key),
    )
    with reading(ledger) as connection, pytest.raises(ValueError, match=r"breaks at entry 3$"):
        check_chain(connection)


def test_an_end_that_the_head_does_not_know_is_found(ledger: Engine) -> None:
    change(ledger, update(ledger_head).values(chain="01" + "ab" * 32))
    with reading(ledger) as connection, pytest.raises(ValueError, match=r"breaks at entry 13$"):
        check_chain(connection)


def test_entries_that_come_meanwhile_change_nothing(ledger: Engine) -> None:
    with followed(ledger) as (chain, end):
        accept(ledger, *[a_deposit(5, key=f"later{number}") for number in range(ENTRIES)])
        chain.finish(end)
    with reading(ledger) as connection:
        assert check_chain(connection).seq == 2 * ENTRIES


def test_the_part_of_a_killed_process_is_followed_here(
    ledger: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with followed(ledger) as (chain, end):
        for process in chain.processes:
            process.kill()
            # What it may have said before is lost with it.
            assert process.stdout is not None
            process.stdout.read()
        chain.finish(end)
    assert "entries 1 to 4 are followed here" in caplog.text
    assert "entries 5 to 8 are followed here" in caplog.text


def test_a_break_is_found_also_where_its_process_was_killed(ledger: Engine) -> None:
    change(ledger, update(journal).where(journal.c.seq == 6).values(key="other"))
    with followed(ledger) as (chain, end):
        chain.processes[1].kill()
        with pytest.raises(ValueError, match=r"breaks at entry 6$"):
            chain.finish(end)


def test_where_no_process_can_be_started_all_is_followed_here(
    ledger: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with followed(ledger) as (chain, end):
        assert not chain.processes
        chain.finish(end)
    assert "no process could be started" in caplog.text


def test_a_connection_that_may_have_written_is_followed_as_it_sees_the_journal(
    ledger: Engine,
) -> None:
    with ledger.begin() as connection:
        drop_triggers(connection)
        connection.execute(update(journal).where(journal.c.seq == 2).values(key="other"))
        with pytest.raises(ValueError, match=r"breaks at entry 2$"):
            check_chain(connection)
        connection.rollback()


def test_few_entries_and_a_database_in_memory_start_no_process(
    ledger: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = open_engine("sqlite://")
    metadata.create_all(memory)
    with memory.begin() as connection:
        add_tenants(connection, "t1")
    accept(memory, *[a_deposit(5, key=f"d{number}") for number in range(ENTRIES)])
    with followed(memory) as (chain, end):
        assert not chain.processes
        chain.finish(end)
    memory.dispose()
    monkeypatch.setattr(chain_parts, "PART_ENTRIES_MIN", ENTRIES + 1)
    with followed(ledger) as (chain, end):
        assert not chain.processes
        chain.finish(end)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        pytest.param(
            update(journal).where(journal.c.seq == 8).values(chain="01" + "ab" * 32),
            "entry 8: the chain breaks here",
            id="link",
        ),
        pytest.param(
            update(journal).where(journal.c.seq == 9).values(digest="0" * 64),
            "entry 9: its request does not match its digest",
            id="digest",
        ),
        pytest.param(
            delete(journal).where(journal.c.seq == 5), "entries 5 to 5 are missing", id="gone"
        ),
    ],
)
def test_the_check_says_the_same_when_processes_follow_its_chain(
    ledger: Engine, statement: object, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with reading(ledger) as connection:
        assert store.check(connection).is_sound
    change(ledger, statement)
    with reading(ledger) as connection:
        found = store.check(connection)
    assert told in found.findings
    monkeypatch.setattr(chain_parts, "PROCESSES_MAX", 0)
    with reading(ledger) as connection:
        assert store.check(connection) == found


def test_a_password_is_not_among_the_arguments_of_a_process(ledger: Engine) -> None:
    with followed(ledger) as (chain, end):
        for order, process in zip(chain.order, chain.processes, strict=False):
            assert order.source.address not in " ".join(map(str, process.args))  # type: ignore[arg-type]
        chain.finish(end)
