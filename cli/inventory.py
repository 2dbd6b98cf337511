"""``suanwang inventory``: what stands at a site, imports and edits of it, and its history."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from cli.connection import ApiKey, Url, connect
from cli.grants_tables import media_type, read_file, write_file
from cli.output import NOTHING, AsJson, Json, clock_time, emit_json, line, note, number, table
from suanwang.errors import BadInput, Refused

SiteName = Annotated[str, typer.Argument(help="The site's id.")]
KindName = Annotated[
    str, typer.Argument(help="rooms, feeds, racks, meters, hosts or accelerators.")
]
ThingName = Annotated[str, typer.Argument(help="The thing's id.")]
KindOption = Annotated[
    str | None, typer.Option("--kind", help="What a CSV file holds: rooms, racks, …")
]
AtOption = Annotated[
    str | None, typer.Option("--at", help="As it was then, such as 2026-11-01T00:00+08:00.")
]
Reason = Annotated[str, typer.Option(help="Why, for the history.")]
LINES_SHOWN: Final = 50
FIELDS_SHOWN: Final = 8
_SIGNS: Final = {"added": "+", "changed": "~", "removed": "-"}

app = typer.Typer(
    help="Rooms, feeds, racks, meters, hosts and accelerators of a site, with their history."
)


@app.command("show")
def show(
    site_id: SiteName, url: Url = None, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Count what stands at a site, and tell what is odd about it."""
    with connect(url, api_key) as client:
        found = client.get(f"/v1/sites/{site_id}/inventory")
    if as_json:
        emit_json(found)
        return
    table(("kind", "things"), [(kind, number(count, 0)) for kind, count in found["counts"].items()])
    states = ", ".join(f"{count} {name}" for name, count in sorted(found["racks"].items()))
    line(
        f"racks that stand are rated {number(found['racks_rated_w'], 0)} W, "
        f"{number(found['standard_racks'])} standard racks, of a design IT power of "
        f"{number(found['it_design_w'], 0)} W; {states or 'no racks'}"
    )
    line(f"revision {found['revision']}")
    for text in found["warnings"]:
        note(f"odd: {text}")


@app.command("list")
def list_things(
    site_id: SiteName,
    kind: KindName,
    at: AtOption = None,
    after: Annotated[str, typer.Option(help="Begin after this id.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="Most things.")] = 200,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List the things of a kind, now or at a moment."""
    with connect(url, api_key) as client:
        found = client.get(
            f"/v1/sites/{site_id}/inventory/{kind}", at=at, after=after or None, limit=limit
        )
    if as_json:
        emit_json(found)
        return
    if not found["items"]:
        line(f"no {kind} at {site_id}")
        return
    filled = [name for name in found["items"][0] if _is_filled(found["items"], name)]
    columns = filled[:FIELDS_SHOWN]
    table(columns, [[_text(item[name]) for name in columns] for item in found["items"]])
    if len(filled) > len(columns):
        note(f"more fields: {', '.join(filled[len(columns) :])}; `inventory get` shows them")
    if found["next"]:
        note(f"there are more; go on with --after {found['next']}")


def _is_filled(items: list[Json], name: str) -> bool:
    return any(item[name] not in (None, "") for item in items)


def _text(value: Json) -> str:
    return NOTHING if value in (None, "") else str(value)


@app.command("get")
def get(
    site_id: SiteName,
    kind: KindName,
    thing_id: ThingName,
    at: AtOption = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show a thing with all its fields, now or at a moment."""
    with connect(url, api_key) as client:
        found = client.get(f"/v1/sites/{site_id}/inventory/{kind}/{thing_id}", at=at)
    if as_json:
        emit_json(found)
        return
    for name, value in found["values"].items():
        line(f"{name:14} {_text(value)}")


@app.command("set")
def set_fields(
    site_id: SiteName,
    kind: KindName,
    thing_id: ThingName,
    fields: Annotated[list[str], typer.Argument(help="Such as delivery=in_use; x= empties x.")],
    reason: Reason,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", help="From when a meter's new role or category holds; else always."
        ),
    ] = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Change fields of a thing, or add one."""
    values = dict(_field(text) for text in fields)
    with connect(url, api_key) as client:
        answer = client.put(
            f"/v1/sites/{site_id}/inventory/{kind}/{thing_id}",
            {"values": values, "reason": reason, **({"from_at": since} if since else {})},
        )
    told(answer, as_json=as_json)


def _field(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not re.fullmatch(r"[a-z_]+", name):
        raise BadInput(f"{text!r} is not field=value", next_step="such as delivery=in_use")
    return name, value


@app.command("remove")
def remove(
    site_id: SiteName,
    kind: KindName,
    thing_id: ThingName,
    reason: Reason,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Take away a thing that no other names; its history stays."""
    with connect(url, api_key) as client:
        answer = client.delete(f"/v1/sites/{site_id}/inventory/{kind}/{thing_id}", reason=reason)
    told(answer, as_json=as_json)


@app.command("template")
def template(
    output: Annotated[Path, typer.Option("--out", "-o", help="File to write.")] = Path(
        "inventory.xlsx"
    ),
) -> None:
    """Write an empty workbook with all sheets, and one that explains their columns."""
    from collectors.inventory.files import workbook
    from suanwang.model.inventory import Inventory

    write_file(output, workbook(Inventory()))


@app.command("export")
def export(
    site_id: SiteName,
    output: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write: .xlsx or .csv.")
    ] = None,
    kind: KindOption = None,
    at: AtOption = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Write the inventory, now or at a moment, as a workbook, or one kind as CSV."""
    ending = "xlsx" if kind is None else "csv"
    target = output or Path(f"{site_id}-{kind or 'inventory'}.{ending}")
    form = target.suffix.lower().removeprefix(".")
    if form not in ("xlsx", "csv"):
        raise BadInput(f"{target} is neither .xlsx nor .csv")
    with connect(url, api_key) as client:
        content = client.get_bytes(
            f"/v1/sites/{site_id}/inventory/export", format=form, kind=kind, at=at
        )
    write_file(target, content)


@app.command("import")
def import_file(
    site_id: SiteName,
    file: Annotated[Path, typer.Argument(help="A workbook (.xlsx), or a .csv of one kind.")],
    reason: Annotated[str, typer.Option(help="Why, for the history.")] = "import",
    kind: KindOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show it; write nothing.")] = False,
    removes_absent: Annotated[
        bool, typer.Option("--remove-absent", help="Take away what the sheets do not name.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Write nothing where any row is bad.")
    ] = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Take in a workbook: the sound rows are written, each bad one is named. Again: no change."""
    answer = send_file(
        site_id,
        read_file(file),
        connect(url, api_key),
        media=media_type(file),
        reason=reason,
        kind=kind,
        dry_run=dry_run,
        removes_absent=removes_absent,
        is_strict=strict,
    )
    told(answer, as_json=as_json)
    end_with_faults(answer, str(file), is_trial=dry_run)


def end_with_faults(answer: Json, name: str, *, is_trial: bool) -> None:
    """Raise Refused where rows of a file were bad; the exit code is then 6."""
    if not answer["fault_count"]:
        return
    if answer["is_written"]:
        done = "the sound rows are in"
    else:
        done = "the sound rows would go in" if is_trial else "nothing was written"
    raise Refused(f"{answer['fault_count']} faults in {name}; {done}")


def send_file(site_id: str, content: bytes, client: Json, *, media: str, **asked: Json) -> Json:
    """Send a file to a site's inventory and return what that does."""
    sent = {name: value for name, value in asked.items() if value is not None}
    with client:
        return client.post_file(f"/v1/sites/{site_id}/inventory/import", content, media, **sent)


def told(answer: Json, *, as_json: bool) -> None:
    """Print what an import or edit did, or would do."""
    if as_json:
        emit_json(answer)
        return
    for change in answer["changes"][:LINES_SHOWN]:
        line(f"{_SIGNS[change['verb']]} {change['kind']} {change['id']}{_differences(change)}")
    if len(answer["changes"]) > LINES_SHOWN:
        line(f"… and {len(answer['changes']) - LINES_SHOWN} more; --json lists them")
    would = "" if answer["is_written"] else "would be "
    line(
        f"{would}added {answer['added']}, {would}changed {answer['changed']}, "
        f"{would}removed {answer['removed']}, unchanged {answer['unchanged']}; "
        f"revision {answer['revision']}"
    )
    if answer["absent_count"]:
        names = ", ".join(f"{one['kind']} {one['id']}" for one in answer["absent"][:5])
        line(f"{answer['absent_count']} are not in the file and stay: {names}")
    for text in answer["warnings"][:LINES_SHOWN]:
        note(f"odd: {text}")
    for fault in answer["faults"][:LINES_SHOWN]:
        note(fault_line(fault))


def _differences(change: Json) -> str:
    if change["verb"] != "changed":
        return ""
    parts = [
        f"{one['field']} {_text(one['before'])} → {_text(one['after'])}"
        for one in change["differences"]
    ]
    return f": {', '.join(parts)}"


def fault_line(fault: Json) -> str:
    """Return a fault in words: sheet, line, column, and why."""
    place = f"{fault['sheet']} line {fault['line']}" if fault["line"] else fault["sheet"]
    named = f" {fault['id']}" if fault["id"] else ""
    column = f", {fault['column']}" if fault["column"] else ""
    return f"{place}{named}{column}: {fault['reason']} ({fault['code']})"


@app.command("sources")
def sources(
    site_id: SiteName,
    defaults: Annotated[
        Path | None,
        typer.Option(help="YAML: settings for all sources of a kind, such as {snmp: {user: r}}."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write, instead of printing.")
    ] = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Write the sources that the site's agent has to poll: meters with a profile, and BMCs."""
    import yaml

    from collectors.inventory.fields import item_of
    from collectors.inventory.targets import targets
    from suanwang.model.inventory import Inventory, Kind

    there = Inventory()
    with connect(url, api_key) as client:
        for kind in (Kind.METERS, Kind.HOSTS):
            items = [item_of(kind, values) for values in _all(client, site_id, kind.value)]
            there = there.with_kind(kind, {item.id: item for item in items})
    found = targets(there, _defaults(defaults))
    for text in found.left_out:
        note(f"left out: {text}")
    document = yaml.safe_dump(
        {"agent": {"sources": [dict(one) for one in found.sources]}},
        allow_unicode=True,
        sort_keys=False,
    )
    if output is None:
        typer.echo(document, nl=False)
    else:
        write_file(output, document.encode())
        line(f"{len(found.sources)} sources, {len(found.left_out)} left out")


def _all(client: Json, site_id: str, kind: str) -> Iterator[Json]:
    """Yield every thing of a kind, page by page."""
    after = None
    while True:
        page = client.get(f"/v1/sites/{site_id}/inventory/{kind}", after=after, limit=1_000)
        yield from page["items"]
        after = page["next"]
        if after is None:
            return


def _defaults(path: Path | None) -> dict[str, dict[str, object]]:
    """Return settings by kind of source; raise BadInput where the file is no such mapping."""
    import yaml

    if path is None:
        return {}
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as failure:
        raise BadInput(f"cannot read {path}: {failure}") from failure
    if not isinstance(raw, dict) or not all(isinstance(one, dict) for one in raw.values()):
        raise BadInput(
            f"{path} is no mapping of kinds to settings", next_step="such as {snmp: {user: reader}}"
        )
    return {str(kind): dict(settings) for kind, settings in raw.items()}


@app.command("history")
def history(
    site_id: SiteName,
    kind: Annotated[str | None, typer.Argument(help="Of one thing: its kind.")] = None,
    thing_id: Annotated[str | None, typer.Argument(help="And its id.")] = None,
    revision: Annotated[int | None, typer.Option(help="What this revision changed.")] = None,
    before: Annotated[int | None, typer.Option(help="Revisions before this one.")] = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show who changed what, when and why: all revisions, one of them, or the life of a thing."""
    base = f"/v1/sites/{site_id}/inventory"
    if kind is not None and thing_id is None:
        raise BadInput(f"which of the {kind}?", next_step="name its id too")
    with connect(url, api_key) as client:
        if kind is not None:
            found = client.get(f"{base}/{kind}/{thing_id}/history")
        elif revision is not None:
            found = client.get(f"{base}/history/{revision}", limit=1_000)
        else:
            found = client.get(f"{base}/history", before=before)
    if as_json:
        emit_json(found)
    elif kind is None and revision is None:
        _revisions(found["items"])
    else:
        _entries(found["items"])


def _revisions(items: list[Json]) -> None:
    table(
        ("revision", "when", "who", "how", "added", "changed", "removed", "why"),
        [
            (
                str(one["revision"]),
                clock_time(one["at"]),
                one["actor"],
                one["origin"],
                str(one["added"]),
                str(one["changed"]),
                str(one["removed"]),
                one["reason"],
            )
            for one in items
        ],
    )


def _entries(items: list[Json]) -> None:
    for one in items:
        change = one["change"]
        line(
            f"{clock_time(one['at'])} revision {one['revision']} by {one['actor']}: "
            f"{change['verb']} {change['kind']} {change['id']} ({one['reason']})"
        )
        for each in change["differences"]:
            line(f"    {each['field']}: {_text(each['before'])} → {_text(each['after'])}")
