"""Proofs of inclusion: every entry leads to the root, nothing else does."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voucher.reports.proof import BLOCK, ChainProof, HashTree, block_tree, leads_to
from voucher.reports.verify_evidence import root_from, sides_of


def links(count: int) -> list[str]:
    """Return made-up links."""
    return [f"01{hashlib.sha256(str(number).encode()).hexdigest()}" for number in range(count)]


@given(st.integers(1, 130), st.data())
def test_every_entry_leads_to_the_root_and_no_other_link_does(
    count: int, data: st.DataObject
) -> None:
    chain = links(count)
    tree = ChainProof.of_links(chain)
    seq = data.draw(st.integers(1, count))
    path = tree.path(seq)
    assert leads_to(chain[seq - 1], path, tree.root)
    assert not leads_to(links(count + 1)[-1], path, tree.root)
    told = [f"{'L' if step.is_left else 'R'}{step.digest}" for step in path]
    assert root_from(chain[seq - 1], told) == tree.root
    assert len(path) <= count.bit_length()


@given(st.integers(1, 64), st.data())
def test_a_changed_dropped_or_moved_link_gives_another_root(
    count: int, data: st.DataObject
) -> None:
    chain = links(count + 1)
    at = data.draw(st.integers(0, count))
    changed = [*chain[:at], "01" + "00" * 32, *chain[at + 1 :]]
    roots = {
        ChainProof.of_links(changed).root,
        ChainProof.of_links(chain[:at] + chain[at + 1 :]).root,
    }
    roots.add(ChainProof.of_links(chain[::-1]).root)
    assert ChainProof.of_links(chain).root not in roots


def test_an_entry_that_is_not_there_has_no_proof() -> None:
    tree = ChainProof.of_links(links(3))
    for seq in (0, 4, -1):
        with pytest.raises(IndexError):
            tree.path(seq)
    assert ChainProof.of_links([]).root == hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize("count", [BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 17])
def test_blocks_give_the_root_of_the_tree_over_all_links(count: int) -> None:
    chain = links(count)
    whole = block_tree(chain)
    proof = ChainProof.of_links(chain)
    assert proof.root == whole.root.hex()
    for seq in {1, count // 2 + 1, BLOCK, count} & set(range(1, count + 1)):
        assert proof.path(seq) == whole.path(seq - 1)


def test_an_entry_of_a_block_that_is_not_open_has_no_proof() -> None:
    chain = links(2 * BLOCK)
    anchors = [block_tree(chain[:BLOCK]).root.hex(), block_tree(chain[BLOCK:]).root.hex()]
    proof = ChainProof(len(chain), chain[-1], anchors, {1: chain[BLOCK:]})
    assert leads_to(chain[-1], proof.path(len(chain)), ChainProof.of_links(chain).root)
    with pytest.raises(IndexError):
        proof.path(1)


@given(st.integers(1, 300), st.data())
def test_the_shape_of_a_path_follows_from_place_and_length(count: int, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, count - 1))
    tree = HashTree([bytes([1])] * count)
    assert ["L" if step.is_left else "R" for step in tree.path(at)] == sides_of(at + 1, count)
