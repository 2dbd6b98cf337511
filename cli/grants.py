"""``suanwang voucher apply``: apply for a voucher, follow the application, be paid."""

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from cli import grants_review, grants_tables
from cli.connection import ApiKey, Url, connect_once
from cli.grants_shown import application_line, application_page, application_table, fact_pairs, told
from cli.grants_tables import (
    After,
    fault_text,
    media_type,
    read_file,
    write_file,
    write_table,
)
from cli.output import AsJson, Json, clock_time, emit_json, line, note, show_list, yuan
from cli.wording import Lang, refused_in
from suanwang.clock import SystemClock
from suanwang.errors import BadInput, Refused
from voucher.wording import Language

app = typer.Typer(no_args_is_help=True, help="Apply for vouchers, review applications, pay them.")

ApplicationId = Annotated[str, typer.Argument(metavar="APPLICATION", help="Its id, app_….")]
Reason = Annotated[str, typer.Option(help="Why; the other side reads it.")]
Output = Annotated[Path | None, typer.Option("--out", "-o", help="File to write.")]
SheetKind = Annotated[str, typer.Option("--format", help="xlsx or csv.")]
StateName = Annotated[str | None, typer.Option("--state", help="Only those in this state.")]
ProgrammeName = Annotated[str | None, typer.Option("--programme", help="Only under this one.")]


@app.command("programmes")
def programmes(url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """List the programmes in force, with the stages of their review."""
    with connect_once(url, api_key) as client:
        answer = client.get("/v1/programmes")
    show_list(
        answer,
        as_json,
        {
            "programme": "id",
            "version": "version",
            "name": "name",
            "mode": "mode",
            "stages": lambda one: " → ".join(stage["id"] for stage in one["stages"]) or "–",
            "empty values": lambda one: str(len(one["empty"])),
        },
    )


@app.command("template")
def template(
    programme: Annotated[str, typer.Argument(help="Id of the programme.")],
    output: Output = None,
    kind: SheetKind = "xlsx",
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Write an empty table with the columns that a programme asks about."""
    with connect_once(url, api_key) as client:
        content = client.get_bytes(f"/v1/programmes/{programme}/template", format=kind)
    write_file(output or Path(f"{programme}.{kind}"), content)


@app.command("import")
def import_table(
    file: Annotated[Path, typer.Argument(help="A .csv or .xlsx file.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and check; file nothing.")
    ] = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """File the applications of a table as drafts; each bad row is named with column and reason."""
    content = read_file(file)
    with connect_once(url, api_key) as client:
        answer = client.post_file(
            "/v1/applications/import", content, media_type(file), dry_run=dry_run
        )
    if as_json:
        emit_json(answer)
    else:
        _show_import(answer)
    if answer["faults"]:
        raise Refused(f"{len(answer['faults'])} faults in {file}; the sound applications went in")


def _show_import(answer: Json) -> None:
    would = "would be " if answer["is_dry_run"] else ""
    for one in answer["filed"]:
        shown = "–" if answer["is_dry_run"] else one["id"]
        line(f"{one['ref']}: {would}{one['outcome']} ({shown})")
    for fault in answer["faults"]:
        note(fault_text(fault["line"], fault["column"], fault["reason"]))
    for ref, lines in answer["held_back"].items():
        numbers = ", ".join(map(str, lines))
        note(f"{ref} is held back with its line {numbers}, until its bad rows are corrected")


@app.command("file")
def file_application(
    file: Annotated[Path, typer.Argument(help="An application as JSON or YAML.")],
    correct: Annotated[
        str | None, typer.Option(metavar="APPLICATION", help="Replace what this draft says.")
    ] = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """File one application as a draft, or correct one; a repeat changes nothing."""
    import json

    from suanwang.document import read_document

    body = json.loads(json.dumps(read_document(file).value, default=str))
    with connect_once(url, api_key) as client:
        if correct is None:
            answer = client.post("/v1/applications", body)
        else:
            answer = client.put(f"/v1/applications/{correct}", body)
    application_line(answer, as_json=as_json)


@app.command("export")
def export_table(
    output: Output = None,
    kind: SheetKind = "xlsx",
    state: StateName = None,
    programme: ProgrammeName = None,
    after: After = "",
    lang: Lang = Language.ENGLISH,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Write applications as a table, a row for each spend line; an import reads it back."""
    with connect_once(url, api_key) as client:
        content, more = client.get_table(
            "/v1/applications/export", format=kind, state=state, programme=programme,
            after=after, lang=lang.value,
        )  # fmt: skip
    write_table(output or Path(f"applications.{kind}"), content, more)


@app.command("list")
def list_applications(
    state: StateName = None,
    programme: ProgrammeName = None,
    due: Annotated[
        bool, typer.Option("--due", help="Only those that wait for time or are overdue.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most applications.")] = 100,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List the applications that you may see, oldest first."""
    with connect_once(url, api_key) as client:
        answer = client.get(
            "/v1/applications",
            state=state,
            programme=programme,
            limit=limit,
            due_by=SystemClock().now().isoformat() if due else None,
        )
    if as_json:
        emit_json(answer)
    else:
        application_table(answer["items"])


@app.command("show")
def show_application(
    application: ApplicationId,
    lang: Lang = Language.ENGLISH,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show one application with its files, flags and payments."""
    with connect_once(url, api_key) as client:
        answer = client.get(f"/v1/applications/{application}")
    if as_json:
        emit_json(answer)
    else:
        application_page(answer, lang)


@app.command("attach")
def attach(
    application: ApplicationId,
    kind: Annotated[str, typer.Argument(help="Which evidence it is, in the policy's words.")],
    file: Annotated[Path, typer.Argument(help="The file.")],
    proves: Annotated[str, typer.Option("--line", help="Line it proves; all if left out.")] = "",
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Attach a file as evidence."""
    content = read_file(file)
    path = f"/v1/applications/{application}/evidence"
    with connect_once(url, api_key) as client:
        answer = client.post_file(
            path, content, media_type(file), kind=kind, name=file.name, line=proves
        )
    if as_json:
        emit_json(answer)
    else:
        line(f"{kind}: file {answer['seq']}, {answer['size_bytes']} bytes, {answer['sha256']}")


@app.command("check")
def check(
    application: ApplicationId,
    lang: Lang = Language.ENGLISH,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Say what handing in would bring: the amount to expect, and everything in the way."""
    with connect_once(url, api_key) as client:
        answer = client.get(f"/v1/applications/{application}/check")
    if as_json:
        emit_json(answer)
        return
    line(f"to be expected: {yuan(answer['expected_fen'])} CNY")
    told("in the way:", answer["blocking"], lang)
    for kind in answer["missing"]:
        line(f"evidence missing: {kind}")
    told("not known yet:", answer["unknown"], lang)
    told("cut", answer["cuts"], lang)
    told("flag", answer["flags"], lang)


@app.command("submit")
def submit(
    application: ApplicationId,
    lang: Lang = Language.ENGLISH,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Hand an application in."""
    with refused_in(lang), connect_once(url, api_key) as client:
        answer = client.post(f"/v1/applications/{application}/submit")
    application_line(answer, as_json=as_json)


@app.command("withdraw")
def withdraw(
    application: ApplicationId,
    reason: Reason = "",
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Take an application back; what it claimed is free again."""
    with connect_once(url, api_key) as client:
        answer = client.post(f"/v1/applications/{application}/withdraw", {"reason": reason})
    application_line(answer, as_json=as_json)


@app.command("redeem")
def redeem(
    application: ApplicationId,
    ref: Annotated[str, typer.Option(help="Your reference; a repeat changes nothing.")],
    paid: Annotated[
        list[str],
        typer.Option(metavar="LINE=YUAN", help="All that was paid on a line so far; repeatable."),
    ],
    line_fact: Annotated[
        list[str] | None,
        typer.Option(metavar="LINE:FACT=VALUE", help="What else is known of it; repeatable."),
    ] = None,
    lang: Lang = Language.ENGLISH,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Redeem what you have paid your supplier (mode claim, then redeem)."""
    lines = fact_pairs(line_fact or [])
    for pair in paid:
        line_id, _, amount = pair.rpartition("=")
        if not line_id:
            raise BadInput(f"--paid {pair!r} is not LINE=YUAN")
        lines.setdefault(line_id, {})["line.paid_fen"] = _fen(amount)
    with refused_in(lang), connect_once(url, api_key) as client:
        path = f"/v1/applications/{application}/redeem"
        answer = client.post(path, {"ref": ref, "lines": lines})
    if as_json:
        emit_json(answer)
    else:
        line(f"payment {answer['seq']}: {yuan(answer['amount_fen'])} CNY are due")


@app.command("messages")
def messages(
    unread: Annotated[bool, typer.Option("--unread", help="Only what is new.")] = False,
    mark_read: Annotated[
        bool, typer.Option("--mark-read", help="Mark what is shown, and older ones, as read.")
    ] = False,
    lang: Annotated[
        Language | None, typer.Option("--lang", help="Only in this language; both if left out.")
    ] = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show the messages to you, newest first."""
    with connect_once(url, api_key) as client:
        answer = client.get("/v1/messages", unread=unread)
        if mark_read and answer["items"]:
            client.post(f"/v1/messages/read?up_to={quote(answer['items'][0]['at'])}")
    if as_json:
        emit_json(answer)
        return
    for one in answer["items"]:
        texts = {Language.ENGLISH: one["text"], Language.CHINESE: one["text_zh"]}
        shown = "  ".join(texts.values()) if lang is None else texts[lang]
        line(f"{clock_time(one['at'])}  {shown}")


@app.command("events")
def events(
    application: ApplicationId, url: Url = None, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Show the audit of an application: every step, by whom, and why."""
    with connect_once(url, api_key) as client:
        answer = client.get(f"/v1/applications/{application}/events")
    show_list(
        answer,
        as_json,
        {
            "step": "seq",
            "at": lambda row: clock_time(row["at"]),
            "who": "actor",
            "role": "role",
            "did": lambda row: f"{row['action']} {row['stage']}".strip(),
            "from": "state_before",
            "to": "state_after",
            "why": "reason",
        },
    )


grants_review.attach(app)
grants_tables.attach(app)


def _fen(amount: str) -> int:
    from suanwang.units import parse_yuan

    try:
        return parse_yuan(amount)
    except ValueError as failure:
        raise BadInput(str(failure)) from failure
