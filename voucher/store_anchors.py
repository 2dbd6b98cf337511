"""Roots over full blocks of the chain, so that a proof reads a few blocks instead of all links.

Anchors follow from the chain and are written once. A proof that finds none, or too few, computes
what is missing from the links themselves, so it never depends on when they were last written.
"""

from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects import postgresql, sqlite

from suanwang.db.tables import chain_anchor, journal
from suanwang.errors import Conflict
from voucher.reports.proof import BLOCK, ChainProof, block_of, block_tree


def missing_anchors(connection: Connection) -> int:
    """Return how many full blocks have no anchor yet."""
    return _size(connection) // BLOCK - _anchored(connection)


def extend(connection: Connection) -> int:
    """Write the anchors of full blocks that have none; return how many; a repeat writes none."""
    first, end = _anchored(connection), _size(connection) // BLOCK
    if first >= end:
        return 0
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    rows = [
        {"block": block, "root": block_tree(links).root.hex()}
        for block, links in _blocks(connection, first, end)
    ]
    connection.execute(dialect.insert(chain_anchor).on_conflict_do_nothing(), rows)
    return len(rows)


def prove(connection: Connection, seqs: Iterable[int]) -> ChainProof:
    """Return the proof of entries ``seqs`` and of the newest one, up to the newest one.

    Raises Conflict where an anchor is not that of its block: somebody has changed one of the two.
    """
    size = _size(connection)
    full = size // BLOCK
    rows = connection.execute(
        select(chain_anchor.c.root)
        .where(chain_anchor.c.block < full)
        .order_by(chain_anchor.c.block)
    )
    anchors = [row.root for row in rows]
    for _, links in _blocks(connection, len(anchors), full):
        anchors.append(block_tree(links).root.hex())
    wanted = {block_of(seq) for seq in (*seqs, size) if seq >= 1}
    opened = {block: _links(connection, block, size) for block in sorted(wanted)}
    for block, links in opened.items():
        root = block_tree(links).root.hex()
        if block == full:
            anchors.append(root)
        elif anchors[block] != root:
            raise _changed(block)
    return ChainProof(size, opened[block_of(size)][-1] if size else "", anchors, opened)


def faults(connection: Connection) -> list[str]:
    """Return what is wrong with the anchors: each must be the root over the links of its block."""
    stored = {
        row.block: row.root
        for row in connection.execute(select(chain_anchor).order_by(chain_anchor.c.block))
    }
    full = _size(connection) // BLOCK
    found = [f"block {block} has an anchor, but is not full" for block in stored if block >= full]
    for block, links in _blocks(connection, 0, min(full, len(stored))):
        if stored.get(block) != block_tree(links).root.hex():
            found.append(_changed(block).message)
    return found


def _size(connection: Connection) -> int:
    return connection.execute(select(func.max(journal.c.seq))).scalar_one() or 0


def _anchored(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(chain_anchor)).scalar_one()


def _blocks(connection: Connection, first: int, end: int) -> Iterator[tuple[int, Sequence[str]]]:
    for block in range(first, end):
        yield block, _links(connection, block, (block + 1) * BLOCK)


def _links(connection: Connection, block: int, size: int) -> list[str]:
    """Return the links of a block in order, as far as the chain goes."""
    rows = connection.execute(
        select(journal.c.seq, journal.c.chain)
        .where(
            journal.c.seq > block * BLOCK,
            journal.c.seq <= min((block + 1) * BLOCK, size),
        )
        .order_by(journal.c.seq)
    ).all()
    wanted = min((block + 1) * BLOCK, size) - block * BLOCK
    if len(rows) != wanted:
        raise Conflict(
            f"block {block} of the chain has {len(rows)} entries, it must have {wanted}",
            next_step="run `suanwang voucher check`",
        )
    return [row.chain for row in rows]


def _changed(block: int) -> Conflict:
    return Conflict(
        f"the anchor of block {block} (entries {block * BLOCK + 1:,} to {(block + 1) * BLOCK:,}) "
        "is not the root over its links",
        next_step="run `suanwang voucher check`: an anchor or the chain was changed",
        block=block,
    )
