"""Settings of a file of recorded readings."""

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from collectors.followed_file import FollowedFile
from collectors.recorded_lines import FileForm
from collectors.sources.port import Source
from collectors.sources.recorded import RecordedSource
from collectors.specs.base import Spec, Workshop
from suanwang.errors import BadInput


class RecordedSpec(Spec):
    """A CSV or JSONL file of readings that may grow."""

    kind: Literal["file"] = "file"
    path: Path
    form: FileForm | None = None
    state_dir: Path | None = None
    lines_max: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000

    def for_a_look(self, folder: Path) -> "RecordedSpec":
        """Return settings whose place in the file is kept in ``folder``."""
        return self.model_copy(update={"state_dir": folder})

    def build(self, workshop: Workshop) -> Source:
        """Return the source; raise BadInput where its form or its folder is not known."""
        folder = self.state_dir or workshop.folder
        if folder is None:
            raise BadInput(
                f"source {self.name!r} has no folder to remember its place in",
                next_step="set state_dir",
            )
        digest = hashlib.sha256(f"{self.name} {self.path}".encode()).hexdigest()[:16]
        file = FollowedFile(self.path, folder / f"file-{digest}.json")
        return RecordedSource(
            workshop.clock, file, self._form(), self.pace, lines_max=self.lines_max
        )

    def _form(self) -> FileForm:
        forms = {".csv": FileForm.CSV, ".jsonl": FileForm.JSONL, ".ndjson": FileForm.JSONL}
        form = self.form or forms.get(self.path.suffix.lower())
        if form is None:
            raise BadInput(
                f"source {self.name!r}: the ending of {self.path.name} does not tell its form",
                next_step="set form to csv or jsonl",
            )
        return form
