"""``suanwang voucher registry``: organisations and their ties, contracts, invoices, receipts."""

import mimetypes
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.connection import ApiKey, Url, connect
from cli.output import AsJson, Json, emit_json, line, note, table
from suanwang.errors import BadInput, Refused

app = typer.Typer(no_args_is_help=True, help="Who is tied to whom; contracts, invoices, receipts.")


class Kind(StrEnum):
    """Kinds of entries."""

    ORGANISATION = "organisation"
    RELATION = "relation"
    CONTRACT = "contract"
    INVOICE = "invoice"
    RECEIPT = "receipt"


KindName = Annotated[Kind, typer.Argument(help="Kind of the entry.")]
Day = Annotated[str | None, typer.Option("--on", help="On this day, such as 2026-10-01.")]


@app.command("add")
def add(
    kind: KindName,
    field: Annotated[list[str], typer.Argument(metavar="FIELD=VALUE...", help="What it says.")],
    valid_from: Annotated[str | None, typer.Option("--from", help="First day; today.")] = None,
    valid_to: Annotated[str | None, typer.Option("--to", help="Last day; no end.")] = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Record an entry, such as: add organisation code=9135… name=海云科技 parent=9137…"""
    entry: dict[str, Json] = {}
    for pair in field:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise BadInput(f"{pair!r} is not FIELD=VALUE")
        is_count = name in ("line", "months") and value.isdecimal()
        entry[name] = int(value) if is_count else value
    body = {"kind": kind.value, "entry": entry, "valid_from": valid_from, "valid_to": valid_to}
    with connect(url, api_key) as client:
        answer = client.post("/v1/registry", body)
    _show([answer], as_json=as_json)


@app.command("import")
def import_table(
    kind: KindName,
    file: Annotated[Path, typer.Argument(help="A .csv or .xlsx file.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check; record nothing.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Record the rows of a table; each bad row is named with column and reason."""
    try:
        content = file.read_bytes()
    except OSError as failure:
        raise BadInput(f"cannot read {file}: {failure.strerror or failure}") from failure
    media_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    with connect(url, api_key) as client:
        answer = client.post_file(
            "/v1/registry/import", content, media_type, kind=kind.value, dry_run=dry_run
        )
    if as_json:
        emit_json(answer)
    else:
        line(f"{answer['rows']} rows {'would go' if dry_run else 'are'} in, {answer['new']} new")
        for fault in answer["faults"]:
            column = f", column {fault['column']}" if fault["column"] else ""
            note(f"line {fault['line']}{column}: {fault['reason']}")
    if answer["faults"]:
        raise Refused(f"{len(answer['faults'])} faults in {file}; the sound rows went in")


@app.command("list")
def list_entries(
    kind: KindName,
    on: Day = None,
    after: Annotated[str, typer.Option(help="The key after which the page begins.")] = "",
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List the entries of a kind that hold on a day."""
    with connect(url, api_key) as client:
        answer = client.get("/v1/registry", kind=kind.value, on=on, after=after)
    _show(answer["items"], as_json=as_json)
    if answer["next"] and not as_json:
        note(f"more: --after '{answer['next']}'")


@app.command("history")
def history(
    kind: KindName,
    key: Annotated[str, typer.Argument(help="Code of the organisation, number of the paper.")],
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show everything that was ever stated, by whom and when."""
    with connect(url, api_key) as client:
        answer = client.get("/v1/registry/history", kind=kind.value, key=key)
    _show(answer["items"], as_json=as_json)


@app.command("path")
def path(
    one: Annotated[str, typer.Argument(help="Code of an organisation.")],
    other: Annotated[str, typer.Argument(help="Code of another one.")],
    on: Day = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show whether two organisations are related, and over which way."""
    with connect(url, api_key) as client:
        answer = client.get("/v1/registry/path", one=one, other=other, on=on)
    if as_json:
        emit_json(answer)
    else:
        line(answer["path"] if answer["is_related"] else "not related by what is registered")


def _show(items: list[Json], *, as_json: bool) -> None:
    if as_json:
        emit_json(items)
        return
    table(
        ("version", "from", "to", "source", "recorded by", "entry"),
        [
            (
                str(one["version"]),
                one["valid_from"],
                one["valid_to"] or "–",
                one["source"],
                one["recorded_by"],
                " ".join(f"{name}={value}" for name, value in one["entry"].items() if value),
            )
            for one in items
        ],
    )
