"""Proof that an entry is in the chain, without showing anybody else's entries.

The links of the chain are the leaves of a hash tree, as in RFC 6962: a leaf is SHA-256 of 0x00 and
the link's 33 bytes, a node is SHA-256 of 0x01 and its two children; a node without a sibling goes
up as it is. The root is signed together with the newest link. A proof is the way from a leaf to the
root: about twenty digests for a million entries. Whoever holds the journal makes the same root from
its links, so a root that was ever given out ties the whole chain down.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"


@dataclass(frozen=True, slots=True)
class Step:
    """A sibling on the way up, in hex, and whether it stands on the left."""

    digest: str
    is_left: bool


class LinkTree:
    """The hash tree over the links of entries 1, 2, 3, …, given in hex."""

    def __init__(self, links: Sequence[str]) -> None:
        level = [sha256(_LEAF + bytes.fromhex(link)).digest() for link in links]
        self._levels = [level]
        while len(level) > 1:
            level = _above(level)
            self._levels.append(level)

    @property
    def root(self) -> str:
        """The root in hex; that of no links is the digest of nothing."""
        top = self._levels[-1]
        return (top[0] if top else sha256(b"").digest()).hex()

    def path(self, seq: int) -> tuple[Step, ...]:
        """Return the way from entry ``seq`` to the root; raise IndexError for one not there."""
        at = seq - 1
        if not 0 <= at < len(self._levels[0]):
            raise IndexError(f"entry {seq} is not among {len(self._levels[0])}")
        steps = []
        for level in self._levels[:-1]:
            sibling = at ^ 1
            if sibling < len(level):
                steps.append(Step(level[sibling].hex(), is_left=sibling < at))
            at >>= 1
        return tuple(steps)


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
