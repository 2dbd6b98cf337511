"""A report as a file in one of the formats."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from voucher.reports.csv import csv_text
from voucher.reports.json import json_text
from voucher.reports.pdf import write_pdf
from voucher.reports.report import Report
from voucher.reports.xlsx import write_xlsx


class FileFormat(StrEnum):
    """How a report is written."""

    JSON = "json"
    XLSX = "xlsx"
    PDF = "pdf"
    CSV = "csv"
    BEANCOUNT = "beancount"


MEDIA_TYPES: Final[Mapping[FileFormat, str]] = {
    FileFormat.JSON: "application/json",
    FileFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    FileFormat.PDF: "application/pdf",
    FileFormat.CSV: "text/csv; charset=utf-8",
    FileFormat.BEANCOUNT: "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFile:
    """A finished file."""

    name: str
    media_type: str
    content: bytes


_TEXTS: Final[Mapping[FileFormat, Callable[[Report], Iterator[str]]]] = {
    FileFormat.CSV: csv_text,
    FileFormat.JSON: json_text,
}


def report_file(
    report: Report, kind: FileFormat, stem: str, font: Path | None = None
) -> ReportFile:
    """Return a report as a file called ``stem`` and its suffix.

    Raises BadInput for more lines than the format holds, Unavailable for a PDF without a font.
    """
    writer = _TEXTS.get(kind)
    if writer is not None:
        return text_file(writer(report), kind, stem)
    with TemporaryDirectory() as folder:
        path = Path(folder, "report")
        if kind is FileFormat.PDF:
            write_pdf(report, path, font)
        else:
            write_xlsx(report, path)
        content = path.read_bytes()
    return ReportFile(name=f"{stem}.{kind}", media_type=MEDIA_TYPES[kind], content=content)


def text_file(pieces: Iterator[str], kind: FileFormat, stem: str) -> ReportFile:
    """Return pieces of text as a file."""
    content = "".join(pieces).encode()
    return ReportFile(name=f"{stem}.{kind}", media_type=MEDIA_TYPES[kind], content=content)
