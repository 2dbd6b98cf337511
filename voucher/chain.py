"""The hash chain: each entry's link covers the entry, its postings and the former link.

The encoding is fixed and binary, so it does not depend on how a database writes JSON or times.
Version 1, all numbers big-endian, without padding::

    version  1 byte, 0x01
    former   33 bytes: version byte and digest of the former link (first entry: 0x01 and 32 zeros)
    seq      8 bytes, unsigned
    at       8 bytes, signed, microseconds since 1970-01-01T00:00:00Z
    lengths  5 times 4 bytes: bytes of key, kind, tenant, body and balances, in UTF-8
    count    4 bytes, number of postings
    texts    key, kind, tenant, body and balances, one after another
    for each posting, in order:
        lengths  4 bytes of source, 4 bytes of target
        amount   8 bytes, signed
        texts    source and target

The link is the version byte and the SHA-256 of that, written as 66 hex digits. ``digest`` is not
in the encoding because it follows from ``body``; the check compares both.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

VERSION: Final = 1
GENESIS: Final = bytes([VERSION, *bytes(32)]).hex()
"""The link before the first entry."""

_UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_HEAD: Final = struct.Struct(">B33sQqIIIIII")
_LINE: Final = struct.Struct(">IIq")


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
    return f"{VERSION:02x}{sha256(encode(before, entry)).hexdigest()}"


def encode(former: bytes, entry: Entry) -> bytes:
    """Return what the link is the digest of."""
    at_us = (entry.at - _UNIX_EPOCH) // _MICROSECOND
    key, kind, tenant = entry.key.encode(), entry.kind.encode(), entry.tenant_id.encode()
    body, balances = entry.body.encode(), entry.balances.encode()
    head = _HEAD.pack(
        VERSION,
        former,
        entry.seq,
        at_us,
        len(key),
        len(kind),
        len(tenant),
        len(body),
        len(balances),
        len(entry.postings),
    )
    parts = [head, key, kind, tenant, body, balances]
    for posting in entry.postings:
        source, target = posting.source.encode(), posting.target.encode()
        parts += (_LINE.pack(len(source), len(target), posting.amount_fen), source, target)
    return b"".join(parts)
