"""BER as SNMP uses it: definite lengths, one-byte tags, and every length checked before it is used.

A datagram is a stranger's: whatever is in it, decoding gives a value or ``BerError``.
"""

import math
import struct
from enum import Enum
from functools import lru_cache
from typing import Final

INTEGER: Final = 0x02
OCTETS: Final = 0x04
NULL: Final = 0x05
OID: Final = 0x06
SEQUENCE: Final = 0x30
IP_ADDRESS: Final = 0x40
COUNTER32: Final = 0x41
GAUGE32: Final = 0x42
TIMETICKS: Final = 0x43
OPAQUE: Final = 0x44
COUNTER64: Final = 0x46

_UNSIGNED_MAX: Final = {COUNTER32: 2**32, GAUGE32: 2**32, TIMETICKS: 2**32, COUNTER64: 2**64}
_FLOATS: Final = {b"\x9f\x78\x04": ">f", b"\x9f\x79\x08": ">d"}
_ARC_MAX: Final = 2**32
_OID_ARCS_MAX: Final = 128


class BerError(ValueError):
    """The bytes are not what BER and SNMP allow."""


class Missing(Enum):
    """Why there is no value: the device's own word, or its failure to give this one."""

    NO_OBJECT = "no such object"
    NO_INSTANCE = "no such instance"
    END = "end of the tree"
    FAILED = "the device failed to give it"


Value = int | float | bytes | str | Missing | None
"""A decoded value; an object identifier is text with dots, NULL is None."""

_MISSING: Final = {0x80: Missing.NO_OBJECT, 0x81: Missing.NO_INSTANCE, 0x82: Missing.END}


def header(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Return tag, start and end of the contents of the element at ``at``."""
    if at + 2 > end:
        raise BerError("cut off in a header")
    tag, length, start = data[at], data[at + 1], at + 2
    if length >= 0x80:
        size = length & 0x7F
        if not 1 <= size <= 4 or start + size > end:
            raise BerError("bad length")
        length = int.from_bytes(data[start : start + size], "big")
        start += size
    if start + length > end:
        raise BerError("cut off in its contents")
    return tag, start, start + length


def expect(data: bytes, at: int, end: int, tag: int) -> tuple[int, int]:
    """Return start and end of the contents of an element that must have a tag."""
    found, start, stop = header(data, at, end)
    if found != tag:
        raise BerError(f"tag {found:#04x} instead of {tag:#04x}")
    return start, stop


def integer(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return a signed integer of at most four bytes, and where the next element begins."""
    start, stop = expect(data, at, end, INTEGER)
    if not 1 <= stop - start <= 4:
        raise BerError("an integer of a length that SNMP does not have")
    return int.from_bytes(data[start:stop], "big", signed=True), stop


def octets(data: bytes, at: int, end: int) -> tuple[bytes, int]:
    """Return an octet string, and where the next element begins."""
    start, stop = expect(data, at, end, OCTETS)
    return data[start:stop], stop


def value(data: bytes, at: int, end: int) -> tuple[Value, int]:
    """Return the value at ``at``, and where the next element begins."""
    tag, start, stop = header(data, at, end)
    if tag == INTEGER:
        if not 1 <= stop - start <= 4:
            raise BerError("an integer of a length that SNMP does not have")
        return int.from_bytes(data[start:stop], "big", signed=True), stop
    if tag in _UNSIGNED_MAX:
        number = int.from_bytes(data[start:stop], "big")
        if start == stop or number >= _UNSIGNED_MAX[tag]:
            raise BerError("a counter of a length that SNMP does not have")
        return number, stop
    if tag in (OCTETS, IP_ADDRESS):
        return data[start:stop], stop
    return _rare_value(data, tag, start, stop), stop


def _rare_value(data: bytes, tag: int, start: int, stop: int) -> Value:
    if tag == OID:
        return oid_text(data[start:stop])
    if tag == NULL:
        return None
    if tag in _MISSING:
        return _MISSING[tag]
    if tag == OPAQUE:
        return _opaque(data[start:stop])
    raise BerError(f"a value with tag {tag:#04x}")


def _opaque(raw: bytes) -> float | bytes:
    """Return the float that net-snmp wraps into an opaque value; else the bytes."""
    form = _FLOATS.get(raw[:3])
    if form is None or len(raw) != 3 + struct.calcsize(form):
        return raw
    (number,) = struct.unpack(form, raw[3:])
    if not math.isfinite(number):
        raise BerError("a float that is no number")
    return float(number)


@lru_cache(maxsize=65_536)
def oid_text(raw: bytes) -> str:
    """Return an object identifier in numbers with dots; raise BerError."""
    arcs: list[int] = []
    arc = 0
    for byte in raw:
        arc = arc << 7 | byte & 0x7F
        if arc >= _ARC_MAX + 80:
            raise BerError("an arc beyond 32 bits")
        if byte & 0x80:
            continue
        arcs.append(arc)
        arc = 0
    if not arcs or raw[-1] & 0x80 or len(arcs) > _OID_ARCS_MAX:
        raise BerError("an object identifier that does not end, or never began")
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


@lru_cache(maxsize=65_536)
def oid_bytes(text: str) -> bytes:
    """Return the contents of an object identifier; raise BerError for what is none."""
    try:
        arcs = [int(part) for part in text.split(".")]
    except ValueError as failure:
        raise BerError(f"{text!r} is no object identifier") from failure
    if len(arcs) < 2 or arcs[0] > 2 or not all(0 <= arc < _ARC_MAX for arc in arcs):
        raise BerError(f"{text!r} is no object identifier")
    if arcs[0] < 2 and arcs[1] >= 40:
        raise BerError(f"{text!r} is no object identifier")
    return b"".join(map(_arc, (arcs[0] * 40 + arcs[1], *arcs[2:])))


def _arc(number: int) -> bytes:
    out = [number & 0x7F]
    while number := number >> 7:
        out.append(number & 0x7F | 0x80)
    return bytes(reversed(out))


def element(tag: int, contents: bytes) -> bytes:
    """Return an element of a message."""
    length = len(contents)
    if length < 0x80:
        return bytes((tag, length)) + contents
    size = (length.bit_length() + 7) // 8
    return bytes((tag, 0x80 | size)) + length.to_bytes(size, "big") + contents


def integer_element(number: int) -> bytes:
    """Return a signed integer as an element."""
    return element(INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True))
