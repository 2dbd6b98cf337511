"""Proofs of inclusion: every entry leads to the root, nothing else does."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voucher.reports.proof import LinkTree, leads_to
from voucher.reports.verify_evidence import root_from


def links(count: int) -> list[str]:
    """Return made-up links."""
    return [f"01{hashlib.sha256(str(number).encode()).hexdigest()}" for number in range(count)]


@given(st.integers(1, 130), st.data())
def test_every_entry_leads_to_the_root_and_no_other_link_does(
    count: int, data: st.DataObject
) -> None:
    chain = links(count)
    tree = LinkTree(chain)
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
    roots = {LinkTree(changed).root, LinkTree(chain[:at] + chain[at + 1 :]).root}
    roots.add(LinkTree(chain[::-1]).root)
    assert LinkTree(chain).root not in roots


def test_an_entry_that_is_not_there_has_no_proof() -> None:
    tree = LinkTree(links(3))
    for seq in (0, 4, -1):
        with pytest.raises(IndexError):
            tree.path(seq)
    assert LinkTree([]).root == hashlib.sha256(b"").hexdigest()
