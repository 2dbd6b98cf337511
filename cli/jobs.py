"""``suanwang submit quote jobs explain logs stop``: a job from the wish to its end."""

import re
import time
from pathlib import Path
from typing import Annotated, Final

import typer

from cli import batches, wishes
from cli.client import Client
from cli.connection import ApiKey, Url, connect
from cli.output import (
    AsJson,
    Json,
    clock_time,
    emit_json,
    line,
    note,
    number,
    show_list,
    table,
    yuan,
)
from cli.wording import Lang
from suanwang.clock import SystemClock
from suanwang.errors import BadInput, SuanwangError
from suanwang.ids import RandomIds
from voucher.wording import Language

_DURATION: Final = re.compile(r"(?P<count>[0-9]{1,9})(?P<unit>[smh])")
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3_600}
FINAL_STATES: Final = ("succeeded", "failed", "stopped")
POLL_S: Final = 0.5
JobId = Annotated[str, typer.Argument(help="The job's submission id.")]

app = typer.Typer(no_args_is_help=False, help="List jobs, or look at one.")


def submit(
    entrypoint: Annotated[list[str], typer.Argument(help="The command, after `--`.")],
    working_dir: Annotated[Path | None, typer.Option(help="Folder that travels with it.")] = None,
    submission_id: Annotated[
        str | None, typer.Option(help="Your own id; a repeat is one job.")
    ] = None,
    units: wishes.Units = None,
    accelerator: wishes.Accelerator = None,
    max_minutes: wishes.MaxMinutes = None,
    elastic: wishes.Elastic = None,
    extend_minutes: wishes.ExtendMinutes = None,
    extend_max_minutes: wishes.ExtendMaxMinutes = None,
    grace_s: wishes.GraceS = None,
    may_move: wishes.MayMove = False,
    checkpoint_s: wishes.CheckpointS = None,
    origin: wishes.Origin = None,
    latency_ms: wishes.LatencyMs = None,
    data_class: wishes.DataClass = None,
    data_home: wishes.DataHome = None,
    voucher: wishes.Voucher = True,
    cash_max: wishes.CashMax = None,
    deadline: wishes.Deadline = None,
    after: wishes.After = None,
    sites: wishes.Sites = None,
    array: batches.Array = None,
    count: batches.Count = None,
    key: batches.Key = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow it to its end.")] = True,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Submit a job; it runs where the optimizer places it, and is paid from vouchers first."""
    import shlex

    metadata = wishes.metadata_of(
        units=units, accelerator=accelerator, max_minutes=max_minutes, elastic=elastic,
        origin=origin, latency_ms=latency_ms, data_class=data_class, data_home=data_home,
        voucher=voucher, cash_max=cash_max, deadline=deadline, after=after, sites=sites,
        extend_minutes=extend_minutes, extend_max_minutes=extend_max_minutes, grace_s=grace_s,
        may_move=may_move, checkpoint_s=checkpoint_s,
    )  # fmt: skip
    with connect(url, api_key) as client:
        body: dict[str, Json] = {"entrypoint": shlex.join(entrypoint), "metadata": metadata}
        body |= {"submission_id": submission_id} if submission_id else {}
        if working_dir:
            body["runtime_env"] = {"working_dir": _send_package(client, working_dir)}
        if indices := batches.indices_of(array, count):
            item = {**body, "array": indices}
            return batches.send(client, [item], key=key, wait=wait, as_json=as_json)
        job = client.post("/v1/jobs", body)
        if wait:
            job = _follow(client, job["submission_id"], quiet=as_json)
        if as_json:
            emit_json(job)
        else:
            _print_job(job)
    if wait and job["state"] != "succeeded":
        raise typer.Exit(1)


def _send_package(client: Client, folder: Path) -> str:
    try:
        uri, content = wishes.pack(folder)
    except ValueError as failure:
        raise BadInput(str(failure)) from failure
    path = "/api/packages/" + uri.replace("://", "/", 1)
    if not client.exists(path):
        client.put_bytes(path, content)
    return uri


def _follow(client: Client, submission_id: str, *, quiet: bool) -> Json:
    """Print output and changes of state until the job has ended; return the job."""
    clock, offset, told = SystemClock(), 0, ""
    while True:
        job = client.get(f"/v1/jobs/{submission_id}")
        status = f"{job['state']}" + (f": {job['message']}" if job.get("message") else "")
        if status != told and not quiet:
            note(f"[{submission_id}] {status}")
        told = status
        piece = client.get(f"/v1/jobs/{submission_id}/logs", offset=offset)
        offset = piece["next_offset"]
        if piece["text"] and not quiet:
            typer.echo(piece["text"], nl=False)
        if job["state"] in FINAL_STATES and not piece["text"]:
            return job
        clock.sleep(POLL_S)


def quote(
    units: wishes.Units = None,
    accelerator: wishes.Accelerator = None,
    max_minutes: wishes.MaxMinutes = None,
    elastic: wishes.Elastic = None,
    origin: wishes.Origin = None,
    latency_ms: wishes.LatencyMs = None,
    data_class: wishes.DataClass = None,
    data_home: wishes.DataHome = None,
    voucher: wishes.Voucher = True,
    cash_max: wishes.CashMax = None,
    deadline: wishes.Deadline = None,
    sites: wishes.Sites = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show what a job would mean at each site: price, voucher, kWh, CO2, latency, or why not."""
    metadata = wishes.metadata_of(
        units=units, accelerator=accelerator, max_minutes=max_minutes, elastic=elastic,
        origin=origin,
        latency_ms=latency_ms, data_class=data_class, data_home=data_home, voucher=voucher,
        cash_max=cash_max, deadline=deadline, sites=sites,
    )  # fmt: skip
    with connect(url, api_key) as client:
        answer = client.post("/v1/quotes", {"metadata": metadata})
    if as_json:
        emit_json(answer)
    else:
        verdict_table(answer["rows"])
        line(_with_the_queue(answer))
    if not any(row["price_fen"] is not None and row["start"] for row in answer["rows"]):
        raise typer.Exit(3)


def _with_the_queue(answer: Json) -> str:
    """Say what the best place is when those who wait are counted, and how that is known."""
    best, queued = answer["best"], answer["queued"]
    if best is None:
        return "no pool can take it as things are"
    if not queued:
        return "nobody waits: the first row is the answer"
    known = {"prices": "at the plan's prices", "what-if": "by solving the plan again"}
    start = f"from {clock_time(best['start'])}" if best["start"] else "later than the plan looks"
    most = best["cost_most"]
    spread = "" if most is None or most - best["cost"] < 0.005 else f" to {most:.2f}"
    sure = "" if answer["is_sure"] else "; an estimate, large jobs can cost more"
    return (
        f"with {queued} jobs that wait: {answer['pool_id'] or 'no pool'} {start}, adds "
        f"{best['cost']:.2f}{spread} CNY to the plan's cost ({known.get(best['by'], '')}{sure})"
    )


def verdict_table(rows: list[Json], title: str = "") -> None:
    """Print one row a pool, the best first."""
    table(
        ("pool", "start", "at most CNY", "voucher", "cash", "Wh", "gCO2", "RTT ms", "verdict"),
        [
            (
                row["pool_id"],
                clock_time(row["start"]),
                yuan(row["price_fen"]),
                yuan(row["voucher_fen"]),
                yuan(row["cash_fen"]),
                number(row["energy_wh"]),
                number(row["carbon_g"]),
                number(row["latency_ms"]),
                _verdict(row["reason"], row["message"]),
            )
            for row in rows
        ],
        title=title,
    )


def _verdict(reason: str, message: str) -> str:
    """Return reason and message as one phrase that says no word twice."""
    if not message or message.startswith(reason):
        return message or reason
    return f"{reason}: {message}"


@app.callback(invoke_without_command=True)
def jobs(
    context: typer.Context,
    state: Annotated[str | None, typer.Option(help="Only jobs in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="Most jobs to show.")] = 20,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List jobs, the newest first."""
    if context.invoked_subcommand:
        return
    with connect(url, api_key) as client:
        answer = client.get("/v1/jobs", state=state, limit=limit)
    show_list(
        answer,
        as_json,
        {
            "job": "submission_id",
            "state": "state",
            "site": "site_id",
            "submitted": lambda job: clock_time(job["submitted_at"]),
            "started": lambda job: clock_time(job["started_at"]),
            "ended": lambda job: clock_time(job["ended_at"]),
            "reason": "message",
        },
    )


@app.command("show")
def show(
    job_id: JobId,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show a job, its attempts, what it used and what it cost."""
    with connect(url, api_key) as client:
        job = client.get(f"/v1/jobs/{job_id}")
    if as_json:
        emit_json(job)
    else:
        _print_job(job)


@app.command("events")
def events(
    job_id: JobId,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Tell a job's story."""
    with connect(url, api_key) as client:
        answer = client.get(f"/v1/jobs/{job_id}/events")
    if as_json:
        emit_json(answer)
        return
    rows = [(clock_time(item["at"]), item["kind"], item["message"]) for item in answer["items"]]
    table(("at", "event", "what happened"), rows)


@app.command("extend")
def extend(
    job_id: JobId,
    by: Annotated[str, typer.Option(help="How much more: 90s, 30m or 2h.")],
    key: Annotated[
        str | None, typer.Option(help="Key of the request; a repeat under it is granted once.")
    ] = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Let a running job run longer; the money for it is set aside first."""
    by_s = seconds_of(by)
    sent_key = key or RandomIds(SystemClock()).new("extend")
    with connect(url, api_key) as client:
        answer = client.post(f"/v1/jobs/{job_id}/extensions", {"by_s": by_s}, key=sent_key)
    if as_json:
        emit_json(answer)
        return
    line(_extension_words(answer))
    if answer["is_repeat"]:
        line("  the same request was granted before; nothing was added now")


def seconds_of(text: str) -> int:
    """Read ``90s``, ``30m`` or ``2h`` into seconds; raise BadInput."""
    parts = _DURATION.fullmatch(text.strip())
    if parts is None:
        raise BadInput(f"{text!r} is not a time such as 90s, 30m or 2h")
    return int(parts["count"]) * _UNIT_S[parts["unit"]]


def _extension_words(granted: Json) -> str:
    who = "by the job's own wish" if granted["is_automatic"] else "by hand"
    known = "not confirmed by its site yet"
    if granted["confirmed_at"]:
        known = f"confirmed by its site at {clock_time(granted['confirmed_at'])}"
    return (
        f"extension {granted['number']} of {granted['attempt_id']} {who}: "
        f"{granted['by_s']} s more, {granted['run_s_max']} s in all, "
        f"{yuan(granted['amount_fen'])} CNY more set aside; {known}"
    )


def _print_meter(meter: Json) -> None:
    """Print what runs: use, cost so far, what is held, and when it is stopped."""
    stop = f", stopped at {clock_time(meter['ends_at'])}" if meter["ends_at"] else ""
    line(
        f"  so far ({clock_time(meter['at'])}): {meter['used_s']:,.0f} s, "
        f"{yuan(meter['cost_fen'])} CNY = {yuan(meter['voucher_fen'])} voucher "
        f"+ {yuan(meter['cash_fen'])} cash, of {yuan(meter['held_fen'])} held; "
        f"{meter['left_s']:,} s left of {meter['run_s_confirmed']:,}{stop}, "
        f"{meter['stop_grace_s']} s of grace"
    )


def _print_job(job: Json) -> None:
    line(f"{job['submission_id']}  {job['state']}  {job.get('message') or ''}".rstrip())
    account = job.get("account")
    if account:
        line(
            f"  {account['site_id']}: {account['unit_seconds']:.3f} {account['resource']}-seconds, "
            f"{number(account['energy_wh'], 3, 'Wh')} ({account['quality']}), "
            f"{number(account['carbon_g'], 2, 'g CO2')}, {yuan(account['price_fen'])} CNY "
            f"= {yuan(account['voucher_fen'])} voucher + {yuan(account['cash_fen'])} cash"
        )

    if job.get("meter"):
        _print_meter(job["meter"])
    for granted in job.get("extensions") or ():
        line(f"  {_extension_words(granted)}")


def explain(
    job_id: JobId,
    lang: Lang = Language.ENGLISH,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Say why a job is where it is, why not elsewhere, and what would change it."""
    words = "words_zh" if lang is Language.CHINESE else "words"
    with connect(url, api_key) as client:
        answer = client.get(f"/v1/jobs/{job_id}/explain")
        waits = answer["state"] == "queued"
        conflict = client.get(f"/v1/jobs/{job_id}/conflict") if waits else None
        changes = client.get(f"/v1/jobs/{job_id}/changes")["items"] if waits else []
    if as_json:
        emit_json({**answer, "conflict": conflict, "changes": changes})
        return
    line(f"{job_id}: {answer['reason']}: {answer['message']}")
    verdict_table(answer["verdicts"])
    if conflict is not None and conflict["demands"]:
        line(f"in its way: {conflict[words]}")
    for change in changes:
        line(f"with {change[words]}")


def logs(
    job_id: JobId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it ends.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Print a job's output."""
    with connect(url, api_key) as client:
        if follow and not as_json:
            _follow(client, job_id, quiet=False)
            return
        answer = client.get(f"/v1/jobs/{job_id}/logs", offset=0)
    if as_json:
        emit_json(answer)
    else:
        typer.echo(answer["text"], nl=False)


def stop(
    job_id: JobId,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait until it has ended.")
    ] = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Ask a job to end, with the grace it was submitted with."""
    with connect(url, api_key) as client:
        answer = client.post(f"/v1/jobs/{job_id}/stop")
        deadline = time.monotonic() + 120
        while wait and client.get(f"/v1/jobs/{job_id}")["state"] not in FINAL_STATES:
            if time.monotonic() > deadline:
                raise SuanwangError(f"{job_id} has not ended within 120 s of its stop")
            SystemClock().sleep(POLL_S)
    if as_json:
        emit_json(answer)
    else:
        line(f"{job_id}: {'stopping' if answer['stopped'] else 'had ended already'}")
