"""Readings that somebody wrote into a file: handed over by a site, or recorded to be replayed."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from collectors.followed_file import FollowedFile, Line, Place
from collectors.own_thread import OwnThread
from collectors.recorded_lines import BadLine, FileForm, parse_header, parse_line
from collectors.sources.port import Pace, SourceError
from suanwang.clock import Clock
from suanwang.model.reading import Reading

_NAMED_MAX: Final = 3
"""Most bad lines that one message names."""


@dataclass(slots=True)
class _Batch:
    behind: Place
    readings: list[Reading] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)


class RecordedSource:
    """A CSV or JSONL file of readings that may grow; each keeps the moment that the file gives it.

    The place moves on when the next poll begins, since only then what was returned has been taken:
    after a crash the last lines are read again, with the same moments and values, which the record
    counts once. Lines that are no readings are told once, with their numbers, and passed over.
    """

    def __init__(
        self, clock: Clock, file: FollowedFile, form: FileForm, pace: Pace, *, lines_max: int
    ) -> None:
        self.name = pace.name
        self.interval_s = pace.interval_s
        self.timeout_s = pace.timeout_s
        self._clock = clock
        self._file = file
        self._form = form
        self._lines_max = lines_max
        self._taken: Place | None = None
        self._thread = OwnThread(pace.name, f"the file of {pace.name} still hangs")

    async def collect(self) -> Sequence[Reading]:
        """Return the readings since the poll before; raise SourceError that names bad lines."""
        taken, self._taken = self._taken, None
        batch = await self._thread.run(lambda: self._read(taken))
        self._taken = batch.behind
        if batch.bad:
            more = len(batch.bad) - _NAMED_MAX
            raise SourceError(
                f"{self._file.path}: {'; '.join(batch.bad[:_NAMED_MAX])}"
                f"{f'; and {more} more' if more > 0 else ''}",
                next_step="these lines were passed over; correct what writes them",
                path=str(self._file.path),
            )
        return batch.readings

    async def close(self) -> None:
        """Let go of the file."""
        await self._thread.close(self._file.close)

    def _read(self, taken: Place | None) -> _Batch:
        """Return good lines up to a bad one, or, where that comes first, all bad ones in a row."""
        lines = self._lines(taken)
        batch = _Batch(self._file.place)
        for line in lines:
            header, reading = batch.behind.header, None
            try:
                if self._form is FileForm.CSV and line.number == 1:
                    header = self._header(line)
                else:
                    reading = self._reading(line, header)
            except BadLine as failure:
                if batch.readings:
                    break
                batch.bad.append(f"line {line.number}: {failure}")
            else:
                if batch.bad:
                    break
                batch.readings += [reading] if reading else []
            batch.behind = replace(line.behind, header=header)
        return batch

    def _lines(self, taken: Place | None) -> list[Line]:
        try:
            if taken:
                self._file.keep(taken)
            return self._file.lines(self._lines_max)
        except OSError as failure:
            raise SourceError(
                f"{self._file.path} cannot be read: {failure.strerror or failure}",
                next_step="check that it is there and may be read by the agent",
                path=str(self._file.path),
            ) from failure

    def _header(self, line: Line) -> str:
        text = _text(line)
        try:
            parse_header(text)
        except BadLine as failure:
            raise SourceError(
                f"{self._file.path}: line 1: {failure}", path=str(self._file.path)
            ) from failure
        return text

    def _reading(self, line: Line, header: str) -> Reading | None:
        text = _text(line)
        if not text.strip():
            return None
        columns = parse_header(header) if self._form is FileForm.CSV else ()
        return parse_line(text, self._form, columns)


def _text(line: Line) -> str:
    if line.text is None:
        raise BadLine("it is too long")
    try:
        return line.text.decode("utf-8-sig" if line.number == 1 else "utf-8")
    except UnicodeDecodeError as failure:
        raise BadLine(f"it is not UTF-8: {failure.reason}") from failure
