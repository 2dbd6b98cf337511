"""Requests and answers of SNMPv2: what versions 2c and 3 have in common inside."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final

from collectors.snmp.ber import (
    NULL,
    OCTETS,
    OID,
    SEQUENCE,
    BerError,
    Value,
    element,
    expect,
    header,
    integer,
    integer_element,
    octets,
    oid_bytes,
    oid_text,
    value,
)

RESPONSE: Final = 0xA2
REPORT: Final = 0xA8
VERSION_2C: Final = 1
VERSION_3: Final = 3
REQUEST_ID_BYTES: Final = 4
ID_MAX: Final = 2**31 - 1

_NULL_VALUE: Final = element(NULL, b"")


class Request(IntEnum):
    """Kinds of request that read."""

    GET = 0xA0
    NEXT = 0xA1
    BULK = 0xA5


ERRORS: Final = {
    1: "too big", 2: "no such name", 3: "bad value", 4: "read only", 5: "general error",
    6: "no access", 16: "authorization error",
}  # fmt: skip
TOO_BIG: Final = 1
OF_ONE_OBJECT: Final = frozenset({2, 5})
"""Errors that are the fault of the object at the error's index, and of no other."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a device answered: pairs of an object and its value, or an error and whose it is."""

    tag: int
    request_id: int
    error: int
    error_index: int
    pairs: tuple[tuple[str, Value], ...]


def request_pdu(
    kind: Request, request_id: int, oids: Sequence[str], *, repetitions: int = 0
) -> bytes:
    """Return a request for objects. Its id takes four bytes, so that it can be put in later."""
    asked = _asked(tuple(oids))
    numbers = integer_element(0) + integer_element(repetitions)
    identity = bytes((0x02, REQUEST_ID_BYTES)) + request_id.to_bytes(REQUEST_ID_BYTES, "big")
    return element(kind, identity + numbers + asked)


@lru_cache(maxsize=4_096)
def _asked(oids: tuple[str, ...]) -> bytes:
    """Return the list of objects; devices of one kind are asked for the same ones in every poll."""
    return element(
        SEQUENCE,
        b"".join(element(SEQUENCE, element(OID, oid_bytes(oid)) + _NULL_VALUE) for oid in oids),
    )


def message_2c(community: bytes, pdu: bytes) -> bytes:
    """Return a whole message of version 2c."""
    return element(SEQUENCE, integer_element(VERSION_2C) + element(OCTETS, community) + pdu)


def version_of(data: bytes) -> tuple[int, int, int]:
    """Return a message's version, and where its next element begins and the message ends."""
    start, end = expect(data, 0, len(data), SEQUENCE)
    version, at = integer(data, start, end)
    return version, at, end


def community_and_answer(data: bytes, at: int, end: int) -> tuple[bytes, Answer]:
    """Return what a message of version 2c holds after its version."""
    community, at = octets(data, at, end)
    return community, answer(data, at, end)


def answer(data: bytes, at: int, end: int) -> Answer:
    """Return the answer that begins at ``at``; raise BerError for anything else."""
    tag, at, end = header(data, at, end)
    if tag not in (RESPONSE, REPORT):
        raise BerError(f"tag {tag:#04x} is no answer")
    request_id, at = integer(data, at, end)
    error, at = integer(data, at, end)
    error_index, at = integer(data, at, end)
    at, end = expect(data, at, end, SEQUENCE)
    pairs: list[tuple[str, Value]] = []
    while at < end:
        start, stop = expect(data, at, end, SEQUENCE)
        name, name_end = expect(data, start, stop, OID)
        found, value_end = value(data, name_end, stop)
        if value_end != stop:
            raise BerError("something behind a value")
        pairs.append((oid_text(data[name:name_end]), found))
        at = stop
    return Answer(tag, request_id, error, error_index, tuple(pairs))
