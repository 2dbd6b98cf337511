"""Anchors of the chain: proofs rest on a few blocks and give the root over all links."""

import pytest
from ledger_builders import a_deposit, add_tenants, book
from sqlalchemy import Engine, event, func, select, update
from tampering import tampering

from suanwang.db.engine import reading, writing
from suanwang.db.tables import chain_anchor, journal
from suanwang.errors import Conflict
from voucher import store_anchors
from voucher.check import check
from voucher.reports.proof import BLOCK, ChainProof, leads_to

ENTRIES = 2 * BLOCK + 5


@pytest.fixture
def long_ledger(engine: Engine) -> Engine:
    """A ledger of two full blocks and five entries more."""
    with writing(engine) as connection:
        add_tenants(connection, "t1")
    book(engine, *(a_deposit(1, key=f"d{number}") for number in range(ENTRIES)))
    return engine


def all_links(engine: Engine) -> list[str]:
    """Return every link."""
    with reading(engine) as connection:
        rows = connection.execute(select(journal.c.chain).order_by(journal.c.seq))
        return [row.chain for row in rows]


def anchors_in(engine: Engine) -> int:
    """Return how many anchors are stored."""
    with reading(engine) as connection:
        return connection.execute(select(func.count()).select_from(chain_anchor)).scalar_one()


def test_a_proof_is_the_same_with_and_without_anchors(long_ledger: Engine) -> None:
    chain = all_links(long_ledger)
    whole = ChainProof.of_links(chain)
    for kept in (0, 2):
        with writing(long_ledger) as connection:
            if kept:
                assert store_anchors.extend(connection) == kept
        with reading(long_ledger) as connection:
            proof = store_anchors.prove(connection, [7, BLOCK + 1])
        assert (proof.root, proof.size, proof.head) == (whole.root, ENTRIES, chain[-1])
        for seq in (7, BLOCK + 1, ENTRIES):
            assert proof.path(seq) == whole.path(seq)
            assert leads_to(chain[seq - 1], proof.path(seq), whole.root)


def test_anchors_are_written_once(long_ledger: Engine) -> None:
    for written in (2, 0):
        with writing(long_ledger) as connection:
            assert store_anchors.missing_anchors(connection) == written
            assert store_anchors.extend(connection) == written
    assert anchors_in(long_ledger) == 2


def test_a_proof_reads_only_the_blocks_that_it_needs(long_ledger: Engine) -> None:
    with writing(long_ledger) as connection:
        store_anchors.extend(connection)
    statements = []
    event.listen(long_ledger, "after_cursor_execute", lambda *told: statements.append(told[2]))
    with reading(long_ledger) as connection:
        store_anchors.prove(connection, [5])
    read = [one for one in statements if "journal.chain" in one]
    assert len(read) == 2, "the block of the entry, and the newest"


def test_a_changed_anchor_is_found_by_the_proof_and_by_the_check(long_ledger: Engine) -> None:
    with writing(long_ledger) as connection:
        store_anchors.extend(connection)
        assert check(connection).findings == ()
    with tampering(long_ledger) as connection:
        connection.execute(
            update(chain_anchor).where(chain_anchor.c.block == 0).values(root="00" * 32)
        )
    with reading(long_ledger) as connection:
        with pytest.raises(Conflict, match="anchor of block 0"):
            store_anchors.prove(connection, [5])
        assert any("anchor of block 0" in one for one in check(connection).findings)


def test_an_empty_ledger_has_an_empty_proof(engine: Engine) -> None:
    with reading(engine) as connection:
        proof = store_anchors.prove(connection, [])
    assert (proof.size, proof.head, proof.root) == (0, "", ChainProof.of_links([]).root)
