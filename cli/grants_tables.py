"""The tables of ``suanwang voucher apply``: worklists with verdicts, and lists of evidence."""

import hashlib
import mimetypes
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.client import Client
from cli.connection import ApiKey, Url, connect_once
from cli.output import AsJson, emit_json, line, note
from cli.wording import Lang
from suanwang.errors import BadInput, Refused, SuanwangError
from voucher.wording import Language

if TYPE_CHECKING:
    from suanwang.sheets import Table

Output = Annotated[Path | None, typer.Option("--out", "-o", help="File to write.")]
SheetKind = Annotated[str, typer.Option("--format", help="xlsx or csv.")]
ProgrammeName = Annotated[str | None, typer.Option("--programme", help="Only under this one.")]
StateName = Annotated[str | None, typer.Option("--state", help="Only those in this state.")]
After = Annotated[str, typer.Option("--after", help="Only those after this id; see its output.")]
_CHINESE: Final = {
    "申请号": "application",
    "材料类型": "kind",
    "文件": "file",
    "明细号": "line_id",
    "line": "line_id",
}
_MANIFEST: Final = ("application", "kind", "file")


def attach(app: typer.Typer) -> None:
    """Add the commands to ``suanwang voucher apply``."""
    app.command("worklist")(worklist)
    app.command("import-reviews")(import_reviews)
    app.command("evidence-list")(evidence_list)
    app.command("attach-list")(attach_list)


def worklist(
    output: Output = None,
    kind: SheetKind = "xlsx",
    programme: ProgrammeName = None,
    after: After = "",
    lang: Lang = Language.ENGLISH,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Write what waits for your verdict as a table; fill in verdict and reason."""
    with connect_once(url, api_key) as client:
        content, more = client.get_table(
            "/v1/reviews/export", format=kind, programme=programme, after=after, lang=lang.value
        )
    write_table(output or Path(f"worklist.{kind}"), content, more)


def import_reviews(
    file: Annotated[Path, typer.Argument(help="A .csv or .xlsx file: a worklist, filled in.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and check; review nothing.")
    ] = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Say the verdicts of a table; each bad row is named with column and reason."""
    content = read_file(file)
    with connect_once(url, api_key) as client:
        answer = client.post_file("/v1/reviews/import", content, media_type(file), dry_run=dry_run)
    if as_json:
        emit_json(answer)
    else:
        would = "would be " if answer["is_dry_run"] else ""
        for one in answer["said"]:
            stage = f" at {one['stage']}" if one["stage"] else ""
            line(f"{one['id']}: {would}{one['outcome']}, {one['state']}{stage}")
        for fault in answer["faults"]:
            note(fault_text(fault["line"], fault["column"], fault["reason"]))
    if answer["faults"]:
        raise Refused(f"{len(answer['faults'])} faults in {file}; the sound verdicts were said")


def evidence_list(
    output: Output = None,
    kind: SheetKind = "xlsx",
    state: StateName = None,
    programme: ProgrammeName = None,
    after: After = "",
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Write which papers are on file, with their SHA-256, and which are missing."""
    with connect_once(url, api_key) as client:
        content, more = client.get_table(
            "/v1/evidence/export", format=kind, state=state, programme=programme, after=after
        )
    write_table(output or Path(f"evidence.{kind}"), content, more)


def attach_list(
    file: Annotated[
        Path, typer.Argument(help="A .csv or .xlsx file with application, kind and file.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check; send nothing.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Attach the files that a table names; each bad row is named, the others are sent."""
    from suanwang.sheets import read_table

    faults = 0
    with connect_once(url, api_key) as client:
        for row in _rows(read_table(read_file(file)), file.parent):
            try:
                line(_attach(client, row, dry_run=dry_run))
            except SuanwangError as failure:
                column = str(failure.facts.get("column") or "")
                note(fault_text(int(row["line"]), column, failure.message))
                faults += 1
    if faults:
        raise Refused(f"{faults} faults in {file}; the other files were sent")


def _rows(table: "Table", folder: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a list by column, with their line, fault and folder."""
    from voucher.grants.batch import row_faults, text_at

    names = [_CHINESE.get(name, name) for name in table.header]
    wanted: tuple[str, ...] = (*_MANIFEST, "line_id", "sha256")
    columns = {name: names.index(name) for name in wanted if name in names}
    missing = [name for name in _MANIFEST if name not in columns]
    if missing:
        raise BadInput(f"line {table.header_line} lacks the column {', '.join(missing)}")
    for row in table.rows:
        cells = {name: text_at(row, columns, name) for name in wanted}
        faults = row_faults(row, columns)
        yield {
            **cells, "line": str(row.line), "folder": str(folder),
            "fault": "; ".join(f"{one.column} {one.reason}".strip() for one in faults),
        }  # fmt: skip


def _attach(client: Client, row: dict[str, str], *, dry_run: bool) -> str:
    if row["fault"]:
        raise BadInput(row["fault"])
    for column in _MANIFEST:
        if not row[column]:
            raise BadInput(f"{column} is missing", column=column)
    path = Path(row["folder"]) / row["file"]
    try:
        content = path.read_bytes()
    except OSError as failure:
        message = f"cannot read {path}: {failure.strerror or failure}"
        raise BadInput(message, column="file") from failure
    digest = hashlib.sha256(content).hexdigest()
    if row["sha256"] and row["sha256"].lower() != digest:
        raise BadInput(f"{path} has SHA-256 {digest}, not {row['sha256']}", column="sha256")
    if dry_run:
        return f"{row['application']}: {row['kind']} would be sent, {digest}"
    answer = client.post_file(
        f"/v1/applications/{row['application']}/evidence", content, media_type(path),
        kind=row["kind"], name=path.name, line=row["line_id"],
    )  # fmt: skip
    return f"{row['application']}: {row['kind']} is file {answer['seq']}, {answer['sha256']}"


def fault_text(number: int, column: str, reason: str) -> str:
    """Return a bad row in words."""
    return f"line {number}{f', column {column}' if column else ''}: {reason}"


def media_type(file: Path) -> str:
    """Return the type of a file by its name."""
    return mimetypes.guess_type(file.name)[0] or "application/octet-stream"


def read_file(file: Path) -> bytes:
    """Return a file's bytes; raise BadInput where it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as failure:
        raise BadInput(f"cannot read {file}: {failure.strerror or failure}") from failure


def write_file(output: Path, content: bytes) -> None:
    """Write a file and say so; raise BadInput where it cannot be written."""
    try:
        output.write_bytes(content)
    except OSError as failure:
        raise BadInput(f"cannot write {output}: {failure.strerror or failure}") from failure
    line(f"wrote {output}")


def write_table(output: Path, content: bytes, more: str) -> None:
    """Write a table, and say where the next one begins if it does not hold all."""
    write_file(output, content)
    if more:
        note(f"there is more; write it to another file with --after {more}")
