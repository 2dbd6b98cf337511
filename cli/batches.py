"""``suanwang batch`` and arrays of ``suanwang submit``: many jobs in one request."""

import json
from pathlib import Path
from typing import Annotated, Final

import typer

from cli.client import Client
from cli.connection import ApiKey, Url, connect
from cli.output import AsJson, Json, emit_json, line, note
from suanwang.clock import SystemClock
from suanwang.errors import BadInput, SuanwangError
from suanwang.ids import RandomIds

POLL_S: Final = 1.0
BatchId = Annotated[str, typer.Argument(help="The batch's id.")]
Key = Annotated[
    str | None, typer.Option(help="Key of the request; a repeat under it is the same batch.")
]
Array = Annotated[str | None, typer.Option(help="One job for each index: 0-99, 1,3,5-9 or 0-30:5.")]
Count = Annotated[int | None, typer.Option(min=1, help="So many jobs: the array 0 to COUNT-1.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Follow it to its end.")]

app = typer.Typer(no_args_is_help=True, help="Many jobs in one request, as a whole.")


@app.command("submit")
def submit(
    file: Annotated[Path, typer.Argument(help="A job as JSON on each line, as in POST /v1/jobs.")],
    key: Key = None,
    wait: Wait = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Submit the jobs of a file: all of them, or none where one cannot be taken."""
    with connect(url, api_key) as client:
        send(client, _jobs_of(file), key=key, wait=wait, as_json=as_json)


@app.command("show")
def show(
    batch_id: BatchId, url: Url = None, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Show how many jobs of a batch are in each state."""
    with connect(url, api_key) as client:
        batch = client.get(f"/v1/job-batches/{batch_id}")
    _print(batch, as_json=as_json)


@app.command("stop")
def stop(
    batch_id: BatchId, url: Url = None, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Ask all jobs of a batch to end, each with its grace."""
    with connect(url, api_key) as client:
        answer = client.post(f"/v1/job-batches/{batch_id}/stop")
    if as_json:
        emit_json(answer)
    else:
        line(f"{batch_id}: {answer['stopped']} jobs are asked to end")


def indices_of(array: str | None, count: int | None) -> str | None:
    """Return the array that ``--array`` or ``--count`` names, if any; raise BadInput for both."""
    if array and count:
        raise BadInput("--array and --count name the same thing twice", next_step="give one")
    return f"0-{count - 1}" if count else array


def send(client: Client, jobs: list[Json], *, key: str | None, wait: bool, as_json: bool) -> None:
    """Submit jobs as one batch and say what became of them; exit 1 where not all succeeded."""
    sent_key = key or RandomIds(SystemClock()).new("batch")
    try:
        taken = client.post("/v1/job-batches", {"jobs": jobs}, key=sent_key)
    except SuanwangError as error:
        _tell_items(error)
        raise
    if not wait:
        _print_taken(taken, as_json=as_json)
        return
    note(f"[{taken['batch_id']}] {len(taken['submission_ids'])} jobs")
    batch = _follow(client, taken["batch_id"], quiet=as_json)
    _print(batch, as_json=as_json)
    if set(batch["states"]) - {"succeeded"}:
        raise typer.Exit(1)


def _jobs_of(file: Path) -> list[Json]:
    """Read a job from each line; empty lines pass. Raise BadInput that names the line."""
    jobs = []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as failure:
        raise BadInput(f"{file} cannot be read: {failure.strerror}") from failure
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            jobs.append(json.loads(text))
        except ValueError as failure:
            raise BadInput(f"{file}, line {number} is not JSON: {failure}") from failure
    if not jobs:
        raise BadInput(f"{file} has no job")
    return jobs


def _tell_items(error: SuanwangError) -> None:
    """Print a line for each job that could not be taken."""
    items = error.facts.get("fact_items")
    for item in items if isinstance(items, list) else ():
        note(f"jobs[{item['index']}] {item['submission_id']}: {item['code']}: {item['message']}")


def _follow(client: Client, batch_id: str, *, quiet: bool) -> Json:
    """Print changes of the batch until all its jobs have ended; return it."""
    clock, told = SystemClock(), ""
    while True:
        batch = client.get(f"/v1/job-batches/{batch_id}")
        words = _words(batch)
        if words != told and not quiet:
            note(f"[{batch_id}] {words}")
        told = words
        if batch["is_final"]:
            return batch
        clock.sleep(POLL_S)


def _words(batch: Json) -> str:
    return ", ".join(f"{count} {state}" for state, count in batch["states"].items()) or "no jobs"


def _print(batch: Json, *, as_json: bool) -> None:
    if as_json:
        emit_json(batch)
    else:
        line(f"{batch['batch_id']}: {batch['jobs']} jobs: {_words(batch)}")


def _print_taken(taken: Json, *, as_json: bool) -> None:
    if as_json:
        emit_json(taken)
        return
    names = taken["submission_ids"]
    span = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}" if names else ""
    again = "; it was taken in before" if taken["is_repeat"] else ""
    line(f"{taken['batch_id']}: {len(names)} jobs: {span}{again}")
