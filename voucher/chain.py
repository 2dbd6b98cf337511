"""The hash chain: each entry's link covers the entry, its postings and the former link.

The encoding is fixed and binary, so it does not depend on how a database writes JSON or times.
All numbers are big-endian, without padding::

    former   33 bytes: version byte and digest of the former link (at first: 32 zeros)
    seq      8 bytes, unsigned
    at       8 bytes, signed, microseconds since 1970-01-01T00:00:00Z
    lengths  7 times 4 bytes: bytes of the seven texts in UTF-8
    texts    key, kind, tenant, body, balances, moves and late_for, one after another

``moves`` has a line for each posting, in order: the account that gives, a tab, the account that
takes, a tab, the amount in fen, a line feed; no name of an account has a tab or a line feed.

The link is the version byte and the digest of that, written as 66 hex digits. The version byte
says which digest: 0x01 is SHA-256, 0x02 is SM3 (GB/T 32905-2016); a ledger keeps the one it began
with. The request's own digest is not in the encoding because it follows from ``body``; the check
compares both.
"""

import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from hashlib import new, sha256
from typing import Final, NamedTuple

from suanwang.errors import Unavailable


class Algorithm(StrEnum):
    """The digest that chains a ledger, by its name in ``hashlib``."""

    SHA256 = "sha256"
    SM3 = "sm3"


VERSIONS: Final = {Algorithm.SHA256: 1, Algorithm.SM3: 2}
GENESIS: Final = bytes([1, *bytes(32)]).hex()
"""The link before the first entry of a ledger with SHA-256."""
LINK_LENGTH: Final = len(GENESIS)

_UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_HEAD: Final = struct.Struct(">33sQqIIIIIII")
_HASHES: Final = {1: sha256, 2: lambda data: new("sm3", data)}


class Posting(NamedTuple):
    """``amount_fen`` (above zero) moves from ``source`` to ``target``."""

    source: str
    target: str
    amount_fen: int


class Entry(NamedTuple):
    """An entry of the journal without its link; ``balances`` and ``body`` are canonical JSON."""

    seq: int
    key: str
    kind: str
    tenant_id: str
    at: datetime
    body: str
    balances: str
    moves: str
    late_for: str = ""

    @property
    def postings(self) -> tuple[Posting, ...]:
        """What moved, in order; raise ValueError where ``moves`` is not in its form."""
        return read_moves(self.moves)


def write_moves(postings: Sequence[Posting]) -> str:
    """Return postings as the text that the chain covers."""
    return "".join([f"{source}\t{target}\t{amount}\n" for source, target, amount in postings])


def read_moves(moves: str) -> tuple[Posting, ...]:
    """Return the postings of a text; raise ValueError where it is not in its form."""
    *lines, rest = moves.split("\n")
    parts = [line.split("\t") for line in lines]
    postings = tuple([Posting(source, target, int(amount)) for source, target, amount in parts])
    if rest or [str(amount) for _, _, amount in postings] != [amount for _, _, amount in parts]:
        raise ValueError("the postings are not in their form")
    return postings


def genesis(algorithm: Algorithm) -> str:
    """Return the link before the first entry; raise Unavailable for a digest that is not here."""
    try:
        new(algorithm.value)
    except ValueError as failure:
        raise Unavailable(
            f"this Python's OpenSSL has no {algorithm.value}",
            next_step="install an OpenSSL with it, or begin the ledger with sha256",
        ) from failure
    return bytes([VERSIONS[algorithm], *bytes(32)]).hex()


def genesis_before(chain: str) -> str:
    """Return the link before the first entry of the ledger that ``chain`` is a link of."""
    return chain[:2] + GENESIS[2:]


def is_link(chain: str) -> bool:
    """Return whether a text has the form of a link."""
    if len(chain) != LINK_LENGTH or chain[:2] not in ("01", "02"):
        return False
    return chain == chain.lower() and all(digit in "0123456789abcdef" for digit in chain)


def link(former: str, entry: Entry) -> str:
    """Return the entry's link, given the former one; raise ValueError for a malformed former."""
    texts = (entry[1], entry[2], entry[3], *entry[5:])
    return link_texts(former, entry.seq, microseconds(entry.at), texts)


def link_texts(former: str, seq: int, at_us: int, texts: Sequence[str]) -> str:
    """Return the link over the seven texts of an entry; raise ValueError as ``link`` does."""
    before = bytes.fromhex(former)
    if len(before) != 33 or before[0] not in _HASHES:
        raise ValueError(f"{former!r} is not a link of a known version")
    return link_bytes(before, seq, at_us, texts).hex()


def link_bytes(former: bytes, seq: int, at_us: int, texts: Sequence[str]) -> bytes:
    """Return the 33 bytes of the link after those of the former one, which must be a link's."""
    joined = "".join(texts)
    data = joined.encode()
    is_ascii = len(data) == len(joined)
    lengths = map(len, texts if is_ascii else [text.encode() for text in texts])
    head = _HEAD.pack(former, seq, at_us, *lengths)
    return former[:1] + _HASHES[former[0]](head + data).digest()


@lru_cache(maxsize=16)
def microseconds(at: datetime) -> int:
    """Return a moment as whole microseconds since 1970; the entries of a batch share theirs."""
    return (at - _UNIX_EPOCH) // _MICROSECOND


def algorithm_of(chain: str) -> Algorithm:
    """Return the digest of the ledger that ``chain`` is a link of; raise ValueError for none."""
    for algorithm, version in VERSIONS.items():
        if chain[:2] == f"{version:02x}":
            return algorithm
    raise ValueError(f"{chain!r} is not a link of a known version")
