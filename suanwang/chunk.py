"""Samples of one series, packed without loss: what goes in comes out bit for bit.

A chunk is a version byte, the CRC-32 of what follows it, and a deflated body. The body keeps times
as the change of their steps, and values as whole numbers of a decimal scale where that gives back
the very same bits, else as each value's bits against those before. What is left is small, and is
stored byte plane by byte plane in the narrowest width, which deflate packs best.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from suanwang.errors import SuanwangError
from suanwang.model.batch import QUALITIES, QUALITY_CODES

VERSION: Final = 1
SAMPLES_MAX: Final = 10_000_000
"""Most samples that a chunk may claim to hold: a wrong count must not take all memory."""
_LEVEL: Final = 6
_OUTER: Final = struct.Struct("<BI")
_INNER: Final = struct.Struct("<IBBB")
_COLUMN: Final = struct.Struct("<BBqq")
_CODE: Final = {quality.value: code for quality, code in QUALITY_CODES.items()}
_MIXED: Final = 255
_BITS: Final = 255
"""Stands for a scale: the values are kept by their bits."""
_SCALES: Final = (0, 1, 2, 3, 4, 6)
"""Decimal places that are tried."""
_EXACT: Final = float(2**53)
_WIDTHS: Final = (1, 2, 4, 8)

Whole = NDArray[np.int64]
Real = NDArray[np.float64]


class ChunkDamaged(SuanwangError):
    """A chunk is not what was written."""

    code = "chunk-damaged"
    status = 500


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Samples by column, in order of time: ms since 1970, values, and codes of qualities."""

    at_ms: Whole
    value: Real
    quality: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.at_ms)

    def qualities(self) -> list[str]:
        """Return the names of the qualities."""
        return [QUALITIES[code].value for code in self.quality.tolist()]


def columns(at_ms: Sequence[int], value: Sequence[float], quality: Sequence[str]) -> Columns:
    """Return samples as columns; the caller has them in order of time."""
    codes = [_CODE[name] for name in quality]
    return Columns(
        np.array(at_ms, np.int64), np.array(value, np.float64), np.array(codes, np.uint8)
    )


def merge(first: Columns, second: Columns) -> Columns:
    """Return both together in order of time; of one moment the value in ``first`` stays."""
    at_ms = np.concatenate((first.at_ms, second.at_ms))
    # ``unique`` keeps the first of equal ones, and ``first`` comes first.
    at_ms, kept = np.unique(at_ms, return_index=True)
    value = np.concatenate((first.value, second.value))[kept]
    quality = np.concatenate((first.quality, second.quality))[kept]
    return Columns(at_ms, value, quality)


def between(found: Columns, low_ms: int, high_ms: int) -> Columns:
    """Return the samples from ``low_ms`` to ``high_ms``, both included."""
    low = int(np.searchsorted(found.at_ms, low_ms, "left"))
    high = int(np.searchsorted(found.at_ms, high_ms, "right"))
    return Columns(found.at_ms[low:high], found.value[low:high], found.quality[low:high])


def encode(samples: Columns) -> bytes:
    """Return the chunk of these samples."""
    scale, whole, order = _whole_values(samples.value)
    qualities = samples.quality
    is_one = len(qualities) > 0 and bool((qualities == qualities[0]).all())
    one = int(qualities[0]) if is_one else _MIXED
    parts = [
        _INNER.pack(len(samples), scale, order, one),
        _pack_column(samples.at_ms, 2),
        _pack_column(whole, order),
        b"" if is_one else qualities.tobytes(),
    ]
    body = zlib.compress(b"".join(parts), _LEVEL)
    return _OUTER.pack(VERSION, zlib.crc32(body)) + body


def decode(chunk: bytes) -> Columns:
    """Return the samples of a chunk; raise ChunkDamaged where a bit of it is another one."""
    if len(chunk) < _OUTER.size:
        raise ChunkDamaged(f"a chunk of {len(chunk)} bytes has no head")
    version, checksum = _OUTER.unpack_from(chunk)
    if version != VERSION:
        raise ChunkDamaged(
            f"a chunk has format {version}, and this program knows {VERSION}",
            next_step="was the database used by a newer version of Suanwang?",
        )
    body = chunk[_OUTER.size :]
    if zlib.crc32(body) != checksum:
        raise ChunkDamaged(
            "a chunk's checksum is wrong", next_step="restore the database from a copy"
        )
    raw = zlib.decompress(body)
    count, scale, order, one = _INNER.unpack_from(raw)
    assert count <= SAMPLES_MAX
    at_ms, place = _read_column(raw, _INNER.size, count, 2)
    whole, place = _read_column(raw, place, count, order)
    if one == _MIXED:
        quality = np.frombuffer(raw, np.uint8, count, place)
    else:
        quality = np.full(count, one, np.uint8)
    return Columns(at_ms, _values(whole, scale), quality)


def _whole_values(value: Real) -> tuple[int, Whole, int]:
    """Return scale, whole numbers, and how often neighbours are subtracted from each other."""
    bits = value.view(np.int64)
    for scale in _SCALES:
        whole = _scaled(value, scale)
        if whole is not None and np.array_equal(_values(whole, scale).view(np.int64), bits):
            return scale, whole, _order(whole)
    changed = bits.copy()
    changed[1:] ^= bits[:-1]
    return _BITS, changed, 0


def _scaled(value: Real, scale: int) -> Whole | None:
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.rint(value * 10.0**scale)
    if not bool((np.abs(scaled) < _EXACT).all()):
        return None
    return scaled.astype(np.int64)


def _order(whole: Whole) -> int:
    """Once for a value that jumps, twice for a counter that runs on: what leaves less."""
    first = np.diff(whole)
    second = np.diff(first)
    return 2 if np.abs(second).sum() < np.abs(first).sum() else 1


def _values(whole: Whole, scale: int) -> Real:
    if scale == _BITS:
        return np.bitwise_xor.accumulate(whole).view(np.float64)
    return whole / 10.0**scale


def _pack_column(column: Whole, order: int) -> bytes:
    """Return the differences of a column, folded so that small ones have small bytes."""
    firsts = [0, 0]
    for step in range(order):
        if len(column):
            firsts[step] = int(column[0])
            column = np.diff(column)
    folded = ((column << 1) ^ (column >> 63)).view(np.uint64)
    most = int(folded.max()) if len(folded) else 0
    width = next(width for width in _WIDTHS if most < 1 << (8 * width))
    planes = folded.astype(f"<u{width}").view(np.uint8).reshape(-1, width).T
    return _COLUMN.pack(width, order, *firsts) + planes.tobytes()


def _read_column(raw: bytes, place: int, count: int, order: int) -> tuple[Whole, int]:
    """Return a column and where the next one begins. Sums wrap as the differences did."""
    width, stored_order, *firsts = _COLUMN.unpack_from(raw, place)
    assert stored_order == order
    place += _COLUMN.size
    left = max(0, count - order)
    planes = np.frombuffer(raw, np.uint8, left * width, place).reshape(width, left)
    folded = np.ascontiguousarray(planes.T).view(f"<u{width}").reshape(-1).astype(np.uint64)
    column = (folded >> np.uint64(1)).view(np.int64) ^ -(folded & np.uint64(1)).view(np.int64)
    for step in reversed(range(min(order, count))):
        column = np.cumsum(np.concatenate((np.array([firsts[step]], np.int64), column)))
    return column, place + left * width
