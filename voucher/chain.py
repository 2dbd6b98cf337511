"""The hash chain: each entry's link covers the entry, its postings and the former link.

The encoding is fixed and binary, so it does not depend on how a database writes JSON or times.
Version 1, all numbers big-endian, texts as UTF-8 with a length of four bytes before them::

    version  1 byte, 0x01
    former   33 bytes: version byte and digest of the former link (first entry: 0x01 and 32 zeros)
    seq      8 bytes, unsigned
    at       8 bytes, signed, microseconds since 1970-01-01T00:00:00Z
    key, kind, tenant_id, body, balances     texts
    count    4 bytes, number of postings
    for each posting, in order: source text, target text, amount 8 bytes, signed

The link is the version byte and the SHA-256 of that, written as 66 hex digits. ``digest`` is not
in the encoding because it follows from ``body``; the check compares both.
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

VERSION: Final = 1
GENESIS: Final = bytes([VERSION, *bytes(32)]).hex()
"""The link before the first entry."""

_UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_HEAD: Final = struct.Struct(">B33sQq")
_LENGTH: Final = struct.Struct(">I")
_AMOUNT: Final = struct.Struct(">q")


@dataclass(frozen=True, slots=True)
class Posting:
    """``amount_fen`` (above zero) moves from ``source`` to ``target``."""

    source: str
    target: str
    amount_fen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry of the journal without its link; ``balances`` and ``body`` are canonical JSON."""

    seq: int
    key: str
    kind: str
    tenant_id: str
    at: datetime
    body: str
    balances: str
    postings: Sequence[Posting]


def link(former: str, entry: Entry) -> str:
    """Return the entry's link, given the former one; raise ValueError for a malformed former."""
    before = bytes.fromhex(former)
    if len(before) != 33 or before[0] != VERSION:
        raise ValueError(f"{former!r} is not a link of version {VERSION}")
    at_us = (entry.at - _UNIX_EPOCH) // _MICROSECOND
    parts = [_HEAD.pack(VERSION, before, entry.seq, at_us)]
    for text in (entry.key, entry.kind, entry.tenant_id, entry.body, entry.balances):
        raw = text.encode()
        parts += (_LENGTH.pack(len(raw)), raw)
    parts.append(_LENGTH.pack(len(entry.postings)))
    for posting in entry.postings:
        source, target = posting.source.encode(), posting.target.encode()
        parts += (_LENGTH.pack(len(source)), source, _LENGTH.pack(len(target)), target)
        parts.append(_AMOUNT.pack(posting.amount_fen))
    return f"{VERSION:02x}{hashlib.sha256(b''.join(parts)).hexdigest()}"
