"""Proof that an entry is in the chain, without showing anybody else's entries.

The links of the chain are the leaves of a hash tree, as in RFC 6962: a leaf is SHA-256 of 0x00 and
the link's 33 bytes, a node is SHA-256 of 0x01 and its two children; a node without a sibling goes
up as it is. The root is signed together with the newest link. A proof is the way from a leaf to the
root: about twenty digests for a million entries. Whoever holds the journal makes the same root from
its links, so a root that was ever given out ties the whole chain down.

1,024 entries that follow each other, from 1, 1,025, 2,049, …, are a block; the root over a full
block never changes, so it is kept (an anchor) and its links need not be read again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

BLOCK: Final = 1_024
"""Entries of a block: a power of two, so that a block's root is a node of the whole tree."""
_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"


@dataclass(frozen=True, slots=True)
class Step:
    """A sibling on the way up, in hex, and whether it stands on the left."""

    digest: str
    is_left: bool


class HashTree:
    """A tree over digests; a digest without a sibling goes up as it is."""

    def __init__(self, digests: Sequence[bytes]) -> None:
        level = list(digests)
        self._levels = [level]
        while len(level) > 1:
            level = _above(level)
            self._levels.append(level)

    @property
    def root(self) -> bytes:
        """The root; that of nothing is the digest of nothing."""
        top = self._levels[-1]
        return top[0] if top else sha256(b"").digest()

    def path(self, at: int) -> tuple[Step, ...]:
        """Return the way from digest ``at``, counted from 0, to the root."""
        steps = []
        for level in self._levels[:-1]:
            sibling = at ^ 1
            if sibling < len(level):
                steps.append(Step(level[sibling].hex(), is_left=sibling < at))
            at >>= 1
        return tuple(steps)


def block_tree(links: Sequence[str]) -> HashTree:
    """Return the tree over the links of a block, or of the part of it that is there."""
    return HashTree([sha256(_LEAF + bytes.fromhex(link)).digest() for link in links])


def block_of(seq: int) -> int:
    """Return the block, counted from 0, in which entry ``seq`` stands."""
    return (seq - 1) // BLOCK


class ChainProof:
    """The tree over a chain of ``size`` entries, of which some blocks are open.

    ``anchors`` are the roots of the blocks in order; ``opened`` are the links of those blocks whose
    entries are to be proved. ``head`` is the newest link, empty for an empty chain.
    """

    def __init__(
        self, size: int, head: str, anchors: Sequence[str], opened: Mapping[int, Sequence[str]]
    ) -> None:
        self.size = size
        self.head = head
        self._top = HashTree([bytes.fromhex(anchor) for anchor in anchors])
        self._opened = {block: block_tree(links) for block, links in opened.items()}

    @classmethod
    def of_links(cls, links: Sequence[str]) -> "ChainProof":
        """Return the proof of a whole chain, all of it open."""
        blocks = {at // BLOCK: links[at : at + BLOCK] for at in range(0, len(links), BLOCK)}
        anchors = [block_tree(part).root.hex() for part in blocks.values()]
        return cls(len(links), links[-1] if links else "", anchors, blocks)

    @property
    def root(self) -> str:
        """The root over the whole chain, in hex."""
        return self._top.root.hex()

    def path(self, seq: int) -> tuple[Step, ...]:
        """Return the way from entry ``seq`` to the root.

        Raises IndexError for an entry that is not there, or whose block is not open.
        """
        block = block_of(seq)
        if not 1 <= seq <= self.size or block not in self._opened:
            raise IndexError(f"entry {seq} is not open among {self.size}")
        within = self._opened[block].path(seq - 1 - block * BLOCK)
        return (*within, *self._top.path(block))


def leads_to(link: str, path: Sequence[Step], root: str) -> bool:
    """Return whether a path leads from a link to the root."""
    digest = sha256(_LEAF + bytes.fromhex(link)).digest()
    for step in path:
        sibling = bytes.fromhex(step.digest)
        pair = sibling + digest if step.is_left else digest + sibling
        digest = sha256(_NODE + pair).digest()
    return digest.hex() == root


def _above(level: Sequence[bytes]) -> list[bytes]:
    pairs = zip(level[::2], level[1::2], strict=False)
    above = [sha256(_NODE + left + right).digest() for left, right in pairs]
    if len(level) % 2:
        above.append(level[-1])
    return above
