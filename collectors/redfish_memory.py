"""Keeps on disk what a BMC offers, so that a restart does not look through every BMC again.

To look through one takes seven requests and more, of seconds each. What is kept is only paths and
which of our readers fits; a file that cannot be used is passed over, and written anew.
"""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from collectors import redfish_readings as rf
from collectors.json_values import check_pointer, parse_json
from collectors.redfish_plan import Read, Shape

VERSION: Final = 1
FILE_BYTES_MAX: Final = 1_048_576

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a BMC offers, and when it was looked through."""

    reads: tuple[Read, ...]
    at: datetime


class PlanMemory:
    """A folder with one small file for each source."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, key: str) -> Known | None:
        """Return what was kept under a key; None where nothing is, or nothing that is usable."""
        path = self._path(key)
        try:
            if path.stat().st_size > FILE_BYTES_MAX:
                return None
            document = parse_json(path.read_bytes())
            return _known(document, key)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def save(self, key: str, known: Known) -> None:
        """Keep what a BMC offers. A disk that does not take it costs the next start some time."""
        path = self._path(key)
        document = {
            "version": VERSION,
            "key": key,
            "at": known.at.isoformat(),
            "reads": [_document(read) for read in known.reads],
        }
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh = path.with_suffix(".new")
            fresh.write_text(json.dumps(document), encoding="utf-8")
            fresh.replace(path)
        except OSError as failure:
            _log.warning("what a BMC offers is not kept", extra={"error": str(failure)})

    def forget(self, key: str) -> None:
        """Let go of what turned out to be wrong."""
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as failure:
            _log.warning("what a BMC offered is still kept", extra={"error": str(failure)})

    def _path(self, key: str) -> Path:
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


def _document(read: Read) -> Mapping[str, str]:
    return {
        "path": read.path,
        "subject": read.subject,
        "take": rf.name_of(read.take),
        "shape": read.shape.value,
        "inside": read.inside,
    }


def _known(document: object, key: str) -> Known | None:
    if not isinstance(document, dict) or document["version"] != VERSION or document["key"] != key:
        return None
    at, reads = datetime.fromisoformat(document["at"]), document["reads"]
    if at.tzinfo is None or not isinstance(reads, Sequence) or not reads:
        return None
    return Known(reads=tuple(_read(each) for each in reads), at=at)


def _read(document: Mapping[str, str]) -> Read:
    path, subject = document["path"], document["subject"]
    if not path.startswith("/redfish/") or not subject:
        raise ValueError(f"{path!r} is no path of a resource")
    return Read(
        path=path,
        subject=subject,
        take=rf.READERS[document["take"]],
        shape=Shape(document["shape"]),
        inside=check_pointer(document["inside"]),
    )
