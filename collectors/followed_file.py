"""Follows a growing file line by line and remembers how far it got, also over restarts.

A place is bound to the file itself (device, inode and the hash of its beginning), so a file that
was replaced is read from its start, and one that was renamed is read to its end first.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final

from suanwang.errors import SuanwangError

HEAD_BYTES: Final = 256
LINE_BYTES_MAX: Final = 65_536
"""A longer line cannot be a reading; it is passed over."""


class PlaceError(SuanwangError):
    """The place cannot be kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How far a file has been read: ``offset`` bytes and ``line`` lines of the file it names."""

    device: int = 0
    inode: int = 0
    head_bytes: int = 0
    head: str = ""
    offset: int = 0
    line: int = 0
    header: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One whole line with its number, and the place behind it; ``text`` is None where too long."""

    number: int
    text: bytes | None
    behind: Place


class FollowedFile:
    """A file that others write. Reading never moves the place; ``keep`` does."""

    def __init__(self, path: Path, state: Path) -> None:
        self.path = path
        self._state = state
        self._file: BinaryIO | None = None
        self._place = self._load()

    @property
    def place(self) -> Place:
        """How far was kept."""
        return self._place

    def lines(self, at_most: int) -> list[Line]:
        """Return whole lines behind the place; raise OSError where the file cannot be read."""
        file = self._opened()
        found = list(self._read(file, at_most))
        if not found and self._is_replaced(file):
            # The old one was read to its end: go over to the one that has its name now.
            file.close()
            self._file = None
            self._place = Place()
            found = list(self._read(self._opened(), at_most))
        return found

    def keep(self, place: Place) -> None:
        """Remember a place for good; raise OSError where it cannot be written."""
        if place == self._place:
            return
        self._state.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self._state.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(asdict(place), file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._state)
        self._place = place

    def close(self) -> None:
        """Let go of the file."""
        file, self._file = self._file, None
        if file:
            file.close()

    def _load(self) -> Place:
        try:
            return Place(**json.loads(self._state.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return Place()
        except (OSError, ValueError, TypeError) as failure:
            raise PlaceError(
                f"{self._state} does not say how far {self.path} was read: {failure}",
                next_step="delete it to read the file from its start",
            ) from failure

    def _opened(self) -> BinaryIO:
        """Return the file, open; a place that is not of this file is given up."""
        if self._file is None:
            self._file = self.path.open("rb")
        if not _fits(self._file, self._place):
            self._place = _start_of(self._file)  # another file, or one that was written anew
        return self._file

    def _is_replaced(self, file: BinaryIO) -> bool:
        try:
            now = self.path.stat()
        except FileNotFoundError:
            return False
        held = os.fstat(file.fileno())
        return (now.st_dev, now.st_ino) != (held.st_dev, held.st_ino)

    def _read(self, file: BinaryIO, at_most: int) -> Iterator[Line]:
        place = self._place
        file.seek(place.offset)
        for _ in range(at_most):
            raw = file.readline(LINE_BYTES_MAX + 1)
            size, is_long = len(raw), len(raw) > LINE_BYTES_MAX
            while is_long and raw and not raw.endswith(b"\n"):
                raw = file.readline(LINE_BYTES_MAX)
                size += len(raw)
            if not raw.endswith(b"\n"):
                return  # the line is still being written, or there is none
            place = replace(place, offset=place.offset + size, line=place.line + 1)
            yield Line(place.line, None if is_long else raw.rstrip(b"\r\n"), place)


def _fits(file: BinaryIO, place: Place) -> bool:
    """Whether a place is of this file; one in an empty file is bound to nothing yet."""
    held = os.fstat(file.fileno())
    if (held.st_dev, held.st_ino) != (place.device, place.inode) or held.st_size < place.offset:
        return False
    return place.head_bytes > 0 and _head(file, place.head_bytes) == place.head


def _start_of(file: BinaryIO) -> Place:
    """Return the start of a file, bound to as much of its beginning as is there."""
    held = os.fstat(file.fileno())
    size = min(held.st_size, HEAD_BYTES)
    return Place(device=held.st_dev, inode=held.st_ino, head_bytes=size, head=_head(file, size))


def _head(file: BinaryIO, size: int) -> str:
    file.seek(0)
    return hashlib.sha256(file.read(size)).hexdigest()
