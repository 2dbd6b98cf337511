"""``suanwang voucher registry``: organisations and their ties, contracts, invoices, receipts."""

from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from cli.connection import ApiKey, Url, connect
from cli.grants_tables import fault_text, media_type, read_file, write_file
from cli.output import AsJson, Json, clock_time, emit_json, line, note, table, yuan
from cli.wording import Lang
from suanwang.errors import BadInput, Refused
from voucher.wording import Language

app = typer.Typer(no_args_is_help=True, help="Who is tied to whom; contracts, invoices, receipts.")


class Kind(StrEnum):
    """Kinds of entries."""

    ORGANISATION = "organisation"
    RELATION = "relation"
    CONTRACT = "contract"
    INVOICE = "invoice"
    RECEIPT = "receipt"


KindName = Annotated[Kind, typer.Argument(help="Kind of the entry.")]
Day = Annotated[
    str | None, typer.Option("--on", metavar="DAY", help="On this day, such as 2026-10-01; today.")
]
_PPM_PER_PERCENT: Final = 10_000


@app.command("fields")
def list_fields(kind: KindName, as_json: AsJson = False) -> None:
    """List the fields of a kind for `add`, and the headings of its table."""
    from voucher.registry.entries import KEYS
    from voucher.registry.entries import Kind as Known
    from voucher.registry.importing import chinese_headings, headings
    from voucher.registry.reading import fields_of

    known = Known(kind.value)
    needed = fields_of(known)
    rows = [
        (name, heading, name in needed and needed[name], name in KEYS[known])
        for name, heading in zip(headings(known), chinese_headings(known), strict=True)
    ]
    if as_json:
        names = ("field", "heading_zh", "is_needed", "is_key")
        emit_json([dict(zip(names, row, strict=True)) for row in rows])
        return
    table(
        ("field", "heading", "needed", "tells entries apart"),
        [(name, heading, _mark(asked), _mark(is_key)) for name, heading, asked, is_key in rows],
    )


@app.command("template")
def template(
    kind: KindName,
    output: Annotated[Path | None, typer.Option("--out", "-o", help="File to write.")] = None,
    lang: Lang = Language.CHINESE,
) -> None:
    """Write an empty table of a kind, .xlsx or .csv, to fill in and import."""
    from suanwang.sheets import write_csv, write_xlsx
    from voucher.registry.entries import Kind as Known
    from voucher.registry.importing import chinese_headings, headings

    target = output or Path(f"{kind.value}.xlsx")
    if target.suffix not in (".xlsx", ".csv"):
        raise BadInput(f"{target} is neither .xlsx nor .csv", next_step="name it such as a.xlsx")
    of = chinese_headings if lang is Language.CHINESE else headings
    rows = [list(of(Known(kind.value)))]
    write_file(target, write_csv(rows) if target.suffix == ".csv" else write_xlsx(rows))


@app.command("add")
def add(
    kind: KindName,
    field: Annotated[
        list[str],
        typer.Argument(metavar="FIELD=VALUE...", help="What it says; `fields KIND` lists them."),
    ],
    valid_from: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="First day; today.")
    ] = None,
    valid_to: Annotated[
        str | None, typer.Option("--to", metavar="DAY", help="Last day; no end.")
    ] = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Record an entry, such as: add organisation code=9135… name=海云科技 parent=9137…"""
    entry: dict[str, Json] = {}
    for pair in field:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise BadInput(
                f"{pair!r} is not FIELD=VALUE",
                next_step=f"`suanwang voucher registry fields {kind.value}` lists the fields",
            )
        if name in entry:
            raise BadInput(f"{name} is given twice", field=name)
        is_count = name in ("line", "months") and value.isdecimal()
        entry[name] = int(value) if is_count else value
    span = {"valid_from": _day("--from", valid_from), "valid_to": _day("--to", valid_to)}
    with connect(url, api_key) as client:
        answer = client.post("/v1/registry", {"kind": kind.value, "entry": entry, **span})
    if as_json:
        emit_json(answer)
        return
    _show([answer])
    note("recorded" if answer["is_new"] else "it was recorded before; nothing changed")


@app.command("import")
def import_table(
    kind: KindName,
    file: Annotated[Path, typer.Argument(help="A .csv or .xlsx file; see `template`.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check; record nothing.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Record the rows of a table; each bad row is named with column and reason."""
    content = read_file(file)
    with connect(url, api_key) as client:
        answer = client.post_file(
            "/v1/registry/import", content, media_type(file), kind=kind.value, dry_run=dry_run
        )
    if as_json:
        emit_json(answer)
    else:
        sound = f"{answer['rows']} sound rows {'would go' if dry_run else 'are'} in"
        line(f"{sound}, {answer['new']} of them new")
        for fault in answer["faults"]:
            note(fault_text(fault["line"], fault["column"], fault["reason"]))
    if answer["faults"]:
        went = "nothing was recorded" if dry_run else "the sound rows went in"
        raise Refused(f"{len(answer['faults'])} bad rows in {file}; {went}")


@app.command("list")
def list_entries(
    kind: KindName,
    on: Day = None,
    after: Annotated[str, typer.Option(help="The key after which the page begins.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most entries.")] = 100,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List the entries of a kind that hold on a day."""
    with connect(url, api_key) as client:
        answer = client.get(
            "/v1/registry", kind=kind.value, on=_day("--on", on), after=after, limit=limit
        )
    if as_json:
        emit_json(answer["items"])
        return
    _show(answer["items"])
    if not answer["items"]:
        note(f"no {kind.value} is registered for {on or 'today'}")
    if answer["next"]:
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
    if as_json:
        emit_json(answer["items"])
        return
    _show(answer["items"])
    if not answer["items"]:
        note(f"nothing was ever stated about {kind.value} {key}")


@app.command("path")
def path(
    one: Annotated[str, typer.Argument(help="Code of an organisation.")],
    other: Annotated[str, typer.Argument(help="Code of another one.")],
    on: Day = None,
    lang: Lang = Language.ENGLISH,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show whether two organisations are related, and over which way."""
    with connect(url, api_key) as client:
        answer = client.get("/v1/registry/path", one=one, other=other, on=_day("--on", on))
    if as_json:
        emit_json(answer)
        return
    way = answer["path_zh"] if lang is Language.CHINESE else answer["path"]
    line(way if answer["is_related"] else "not related by what is registered")
    for code in answer["unknown"]:
        note(f"nothing is registered about {code}")


def _day(option: str, text: str | None) -> str | None:
    """Return a day as it was typed; raise BadInput where it is none."""
    try:
        return None if text is None else date.fromisoformat(text).isoformat()
    except ValueError as failure:
        raise BadInput(f"{option} {text!r} is no day such as 2026-10-01") from failure


def _show(items: Sequence[Json]) -> None:
    table(
        ("version", "from", "to", "source", "recorded by", "recorded at", "entry"),
        [
            (
                str(one["version"]),
                one["valid_from"],
                one["valid_to"] or "–",
                one["source"],
                one["recorded_by"],
                clock_time(one["recorded_at"]),
                " ".join(_told(name, value) for name, value in one["entry"].items() if value),
            )
            for one in items
        ],
    )


def _told(name: str, value: Json) -> str:
    """Return a field as `add` takes it: amounts in yuan, shares in percent."""
    if isinstance(value, list):
        return f"{name}={','.join(value)}"
    if name.endswith("_fen"):
        return f"{name.removesuffix('_fen')}_yuan={yuan(value).replace(',', '')}"
    if name == "share_ppm":
        whole, rest = divmod(value, _PPM_PER_PERCENT)
        percent = f"{whole}.{rest:04d}".rstrip("0").rstrip(".")
        return f"share_percent={percent}"
    return f"{name}={value}"


def _mark(is_so: bool) -> str:
    return "yes" if is_so else "–"
