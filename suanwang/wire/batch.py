"""A telemetry batch as it travels and as it waits in the spool: columns, deflated, with a checksum.

| bytes | what |
|---|---|
| 4 | ``SWTB`` |
| 1 | version of the format, 1 |
| 4 | CRC-32 of what follows |
| rest | deflated: length of the head (4 bytes), the head (JSON), four columns of ``rows`` values |

The head has ``id``, ``made_ms``, ``rows``, ``series`` (pairs of subject and metric), ``labels``
(by place of their series), ``reports``, and now and then ``sources``, the names of all that are
polled. The columns are the place of the series (32 bits), the
moment in ms since 1970 (64 bits), both as the change from the row before, the value (a double's
bits), and the code of the quality (8 bits). Numbers are little-endian; the first three columns lie
byte plane by byte plane, which deflates best.

Reading it checks its form alone. What a row says is judged row by row by those who take it in: one
nonsensical row must not cost the others of its batch.
"""

import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from suanwang.clock import from_epoch_ms, to_epoch_ms
from suanwang.errors import BadInput
from suanwang.model.batch import Readings, Rows, SeriesKey
from suanwang.model.reading import SourceReport
from suanwang.wire.agent import WireModel

CONTENT_TYPE: Final = "application/vnd.suanwang.telemetry"
CLOCK_HEADER: Final = "Suanwang-Clock"
"""Header with the agent's clock at the call, ms since 1970."""
VERSION: Final = 1
ROWS_MAX: Final = 50_000
SERIES_MAX: Final = ROWS_MAX
REPORTS_MAX: Final = 20_000
SOURCES_MAX: Final = 100_000
INTERVAL_S_MAX: Final = 31_536_000.0
RAW_BYTES_MAX: Final = 32 * 1024 * 1024
"""Most that a batch may be once it is inflated: a small body must not take all memory."""
NAME_CHARS_MAX: Final = 200
LABELS_MAX: Final = 32
ERROR_CHARS_MAX: Final = 2_000
_MAGIC: Final = b"SWTB"
_OUTER: Final = struct.Struct("<4sBI")
_LENGTH: Final = struct.Struct("<I")
_LEVEL: Final = 2
_ROW_BYTES: Final = 4 + 8 + 8 + 1
_MS_MAX: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""
_Number = TypeVar("_Number", bound=np.generic)
_Whole = TypeVar("_Whole", np.uint32, np.int64)
Moment = Annotated[int, Field(ge=0, le=_MS_MAX)]
SourceName = Annotated[str, Field(min_length=1, max_length=NAME_CHARS_MAX)]
Report = tuple[
    SourceName,
    bool,
    Annotated[float, Field(ge=0, allow_inf_nan=False)],
    Moment,
    Annotated[int, Field(ge=0, lt=2**31)],
    Annotated[str, Field(max_length=ERROR_CHARS_MAX)],
    Annotated[float, Field(ge=0, le=INTERVAL_S_MAX, allow_inf_nan=False)],
]
"""Name of the source, whether it is up, duration in s, moment, readings, why it is down, and the
interval of its polls in s (0: it has none)."""


class BatchDamaged(BadInput):
    """The bytes are no batch: cut off, changed on the way, or not made by an agent."""

    code = "batch-damaged"


class BatchUnknown(BadInput):
    """A batch of another version of the format: it is kept and sent again after an upgrade."""

    code = "batch-unknown"
    status = 415


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TelemetryUpload:
    """A batch on its way; the same id is taken into the record once.

    It may have waited for days since ``made_at``, so that says nothing about the agent's clock: how
    that differs from the centre's is told by a header of the call.
    """

    id: str
    made_at: datetime
    readings: Readings
    reports: tuple[SourceReport, ...] = ()
    sources: frozenset[str] | None = None
    """All that were polled at ``made_at``, where the batch tells it."""


class _Head(WireModel):
    id: str = Field(min_length=1, max_length=64)
    made_ms: Moment
    rows: int = Field(ge=0, le=ROWS_MAX)
    series: tuple[tuple[str, str], ...] = Field(max_length=SERIES_MAX)
    labels: dict[int, dict[str, str]] = Field(default_factory=dict)
    reports: tuple[Report, ...] = Field(max_length=REPORTS_MAX)
    sources: tuple[SourceName, ...] | None = Field(default=None, max_length=SOURCES_MAX)


def encode(upload: TelemetryUpload) -> bytes:
    """Return a batch as bytes."""
    readings, rows = upload.readings, upload.readings.rows
    head = _Head.model_construct(
        id=upload.id,
        made_ms=to_epoch_ms(upload.made_at),
        rows=len(rows),
        # One character more than is taken: what is too long is refused by its name, not cut.
        series=tuple(
            (_text(subject, NAME_CHARS_MAX + 1), _text(metric, NAME_CHARS_MAX + 1))
            for subject, metric in readings.series
        ),
        labels={
            place: {
                _text(name, NAME_CHARS_MAX): _text(text, NAME_CHARS_MAX)
                for name, text in list(labels.items())[:LABELS_MAX]
            }
            for place, labels in readings.labels.items()
        },
        reports=tuple(_report(report) for report in upload.reports),
        sources=_listed(upload.sources),
    )
    text = head.model_dump_json().encode()
    raw = b"".join(
        (
            _LENGTH.pack(len(text)),
            text,
            _planes(_steps(rows.series.astype("<u4"))),
            _planes(_steps(rows.at_ms.astype("<i8"))),
            _planes(rows.value.astype("<f8")),
            rows.quality.tobytes(),
        )
    )
    return sealed(raw)


def sealed(raw: bytes) -> bytes:
    """Return what is inside a batch, deflated and under its checksum."""
    body = zlib.compress(raw, _LEVEL)
    return _OUTER.pack(_MAGIC, VERSION, zlib.crc32(body)) + body


def _report(report: SourceReport) -> Report:
    is_number = math.isfinite(report.duration_s) and report.duration_s >= 0
    return (
        _source(report.source),
        report.is_up,
        report.duration_s if is_number else 0.0,
        max(0, to_epoch_ms(report.at)),
        report.readings,
        _text(report.error, ERROR_CHARS_MAX),
        min(max(0.0, report.interval_s), INTERVAL_S_MAX),
    )


def _listed(names: frozenset[str] | None) -> tuple[str, ...] | None:
    """Return names as they are sent; of too many none, since a part of them would end the rest."""
    if names is None or len(names) > SOURCES_MAX:
        return None
    return tuple(sorted({_source(name) for name in names}))


def _source(name: str) -> str:
    return _text(name, NAME_CHARS_MAX) or "?"


def _text(text: str, chars: int) -> str:
    """Return a text as it can be sent: no half of a character, and no longer than is taken."""
    short = text[:chars]
    return short if short.isascii() else short.encode("utf-8", "replace").decode()


def _steps(column: NDArray[_Whole]) -> NDArray[_Whole]:
    stepped = column.copy()
    stepped[1:] -= column[:-1]
    return stepped


def _planes(column: NDArray[_Number]) -> bytes:
    return column.view(np.uint8).reshape(-1, column.dtype.itemsize).T.tobytes()


def decode(body: bytes) -> TelemetryUpload:
    """Return a batch; raise BatchDamaged or BatchUnknown.

    Its rows may still say nonsense: a series that is not in the table, an unknown quality, no
    number, an impossible moment. The names of its series have any length.
    """
    raw = _inflated(body)
    if len(raw) < _LENGTH.size:
        raise BatchDamaged(f"a batch of {len(raw)} bytes has no head")
    (length,) = _LENGTH.unpack_from(raw)
    columns_at = _LENGTH.size + length
    try:
        head = _Head.model_validate_json(raw[_LENGTH.size : columns_at])
    except ValidationError as failure:
        first = failure.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BatchDamaged(f"head of the batch: {place}: {first['msg']}") from failure
    wanted = columns_at + head.rows * _ROW_BYTES
    if len(raw) != wanted:
        raise BatchDamaged(f"batch {head.id} has {len(raw)} bytes inside, not {wanted}")
    return TelemetryUpload(
        id=head.id,
        made_at=from_epoch_ms(head.made_ms),
        readings=Readings(
            series=tuple(SeriesKey(subject, metric) for subject, metric in head.series),
            labels={place: labels for place, labels in head.labels.items() if labels},
            rows=_rows(raw, columns_at, head.rows),
        ),
        reports=tuple(
            SourceReport(
                source=source,
                is_up=is_up,
                duration_s=duration_s,
                at=from_epoch_ms(at_ms),
                readings=readings,
                error=error,
                interval_s=interval_s,
            )
            for source, is_up, duration_s, at_ms, readings, error, interval_s in head.reports
        ),
        sources=None if head.sources is None else frozenset(head.sources),
    )


def check(body: bytes) -> None:
    """Raise BatchDamaged or BatchUnknown where the bytes are not those that were written."""
    if len(body) < _OUTER.size:
        raise BatchDamaged(f"{len(body)} bytes are no batch")
    magic, version, checksum = _OUTER.unpack_from(body)
    if magic != _MAGIC:
        raise BatchDamaged(f"a batch begins with {_MAGIC!r}, not with {bytes(magic)!r}")
    if version != VERSION:
        raise BatchUnknown(
            f"the batch has format {version}, this centre knows {VERSION}",
            next_step="bring agent and centre to the same version; the agent keeps the batch",
        )
    if zlib.crc32(memoryview(body)[_OUTER.size :]) != checksum:
        raise BatchDamaged("the batch was changed on its way: its checksum is wrong")


def _inflated(body: bytes) -> bytes:
    check(body)
    inflating = zlib.decompressobj()
    try:
        raw = inflating.decompress(memoryview(body)[_OUTER.size :], RAW_BYTES_MAX)
    except zlib.error as failure:
        raise BatchDamaged(f"the batch can't be inflated: {failure}") from failure
    if inflating.unconsumed_tail:
        raise BatchDamaged(f"the batch has more than {RAW_BYTES_MAX:,} bytes inside")
    if not inflating.eof or inflating.unused_data:
        raise BatchDamaged("the batch is cut off, or something comes after it")
    return raw


def _rows(raw: bytes, start: int, count: int) -> Rows:
    places: Sequence[int] = (start, start + 4 * count, start + 12 * count, start + 20 * count)
    # Sums wrap as the differences did.
    return Rows(
        np.cumsum(_unplaned(raw, places[0], count, "<u4"), dtype=np.uint32),
        np.cumsum(_unplaned(raw, places[1], count, "<i8"), dtype=np.int64),
        _unplaned(raw, places[2], count, "<f8").astype(np.float64),
        np.frombuffer(raw, np.uint8, count, places[3]),
    )


def _unplaned(raw: bytes, start: int, count: int, dtype: str) -> NDArray[np.generic]:
    width = np.dtype(dtype).itemsize
    planes = np.frombuffer(raw, np.uint8, count * width, start).reshape(width, count)
    return np.ascontiguousarray(planes.T).view(dtype).reshape(-1)
