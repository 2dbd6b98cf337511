"""The body of a remote write request: protobuf of four message types, then snappy's block format.

Prometheus remote write 1.0: ``WriteRequest { TimeSeries timeseries = 1 }``, ``TimeSeries { Label
labels = 1; Sample samples = 2 }``, ``Label { string name = 1; string value = 2 }``, ``Sample {
double value = 1; int64 timestamp = 2 }``. Every sample of ours takes 18 bytes, since a moment
between 1971 and 2109 has 36 to 42 bits; so those of a whole request are written at once.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt
from cramjam import snappy

HEADERS: Final = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
FIRST_MS: Final = 1 << 35
LAST_MS: Final = (1 << 42) - 1
"""Moments outside of these do not have six bytes."""
SAMPLE_BYTES: Final = 18
STALE: Final = float(np.array([0x7FF0000000000002], np.uint64).view(np.float64)[0])
"""The value by which Prometheus knows that a series has ended for now."""

_TAG_1: Final = b"\x0a"
_TAG_2: Final = b"\x12"
_HEAD: Final = np.frombuffer(b"\x12\x10\x09", np.uint8)
_TIME_TAG: Final = 0x10
_SHIFTS: Final = np.arange(0, 42, 7, dtype=np.uint64)

Moments = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


def varint(number: int) -> bytes:
    """Return a whole number that is not negative as protobuf writes it."""
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def labels(pairs: Iterable[tuple[str, str]]) -> bytes:
    """Return the labels of a TimeSeries."""
    return b"".join(
        _TAG_1 + _sized(_TAG_1 + _sized(name.encode()) + _TAG_2 + _sized(value.encode()))
        for name, value in pairs
    )


def series_head(label_bytes: bytes, count: int) -> bytes:
    """Return what stands before the ``count`` samples of a series in a request."""
    return _TAG_1 + varint(len(label_bytes) + SAMPLE_BYTES * count) + label_bytes


def samples(at_ms: Moments, values: Values) -> bytes:
    """Return samples one after another, each of SAMPLE_BYTES."""
    rows = np.empty((len(at_ms), SAMPLE_BYTES), np.uint8)
    rows[:, :3] = _HEAD
    rows[:, 3:11] = np.ascontiguousarray(values, "<f8").view(np.uint8).reshape(-1, 8)
    rows[:, 11] = _TIME_TAG
    digits = (at_ms.astype(np.uint64)[:, None] >> _SHIFTS) & np.uint64(0x7F)
    rows[:, 12:18] = digits.astype(np.uint8)
    rows[:, 12:17] |= 0x80
    return rows.tobytes()


def compressed(body: bytes) -> bytes:
    """Return a body in snappy's block format, which has no frames."""
    return bytes(snappy.compress_raw(body))


def _sized(text: bytes) -> bytes:
    return varint(len(text)) + text
