"""Reads one line of a recorded file as a reading. Pure: text in, a reading or what is wrong out."""

import csv
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from collectors.json_values import number, parse_json, plain_number
from collectors.source_time import TimeForm, moment_of
from suanwang.model.reading import Quality, Reading

COLUMNS: Final = ("at", "subject", "metric", "value", "quality")
"""What a line may hold; ``quality`` may be missing."""
_REQUIRED: Final = COLUMNS[:4]
_NAME_CHARS_MAX: Final = 200


class FileForm(StrEnum):
    """How a file spells readings."""

    CSV = "csv"
    JSONL = "jsonl"


class BadLine(ValueError):
    """A line that is no reading, with what is wrong with it."""


def parse_header(text: str) -> tuple[str, ...]:
    """Return the columns that the first line of a CSV file names; raise BadLine."""
    columns = tuple(_cells(text))
    unknown = [name for name in columns if name not in COLUMNS]
    missing = [name for name in _REQUIRED if name not in columns]
    if unknown or missing or len(columns) != len(set(columns)):
        raise BadLine(
            f"the first line must name the columns {', '.join(_REQUIRED)} and may name quality, "
            f"each once; it names {', '.join(columns) or 'none'}"
        )
    return columns


def parse_line(text: str, form: FileForm, columns: tuple[str, ...]) -> Reading:
    """Return the reading of a line; raise BadLine. ``columns`` is the header of a CSV file."""
    if form is FileForm.CSV:
        cells = _cells(text)
        if len(cells) != len(columns):
            raise BadLine(f"{len(cells)} cells instead of {len(columns)}")
        return _reading(dict(zip(columns, cells, strict=True)))
    try:
        document = parse_json(text)
    except ValueError as failure:
        raise BadLine(f"it is not JSON: {failure}") from failure
    if not isinstance(document, dict):
        raise BadLine("it is not a JSON object")
    unknown = [str(name) for name in document if name not in COLUMNS]
    if unknown:
        raise BadLine(f"key {unknown[0][:40]!r} is not one of {', '.join(COLUMNS)}")
    return _reading(document)


def _cells(text: str) -> list[str]:
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as failure:
        raise BadLine(f"it is not CSV: {failure}") from failure
    return rows[0] if rows else []


def _reading(fields: Mapping[str, object]) -> Reading:
    at = moment_of(fields.get("at"), TimeForm.ISO)
    if at is None:
        raise BadLine(
            f"at {_shown(fields.get('at'))} is not a moment with a zone, such as "
            "2026-10-14T12:00:00Z"
        )
    raw = fields.get("value")
    value = plain_number(raw) if isinstance(raw, str) else number(raw)
    if value is None:
        raise BadLine(f"value {_shown(raw)} is not a number")
    word = fields.get("quality") or Quality.MEASURED.value
    if word not in [each.value for each in Quality]:
        raise BadLine(f"quality {_shown(word)} is not one of {', '.join(Quality)}")
    return Reading(
        subject=_name(fields, "subject"),
        metric=_name(fields, "metric"),
        value=value,
        at=at,
        quality=Quality(str(word)),
    )


def _name(fields: Mapping[str, object], key: str) -> str:
    found = fields.get(key)
    is_name = isinstance(found, str) and 0 < len(found) <= _NAME_CHARS_MAX and found.isprintable()
    if not is_name or (key == "metric" and not str(found).isidentifier()):
        raise BadLine(f"{key} {_shown(found)} is no {key}")
    return str(found)


def _shown(value: object) -> str:
    return repr(value)[:60]
