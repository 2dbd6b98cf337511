"""``suanwang demo``: two sites, real Ray, five jobs, metered and paid, in a minute and a half."""

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.connection import Connection
from cli.output import AsJson, emit_json, line, note
from cli.processes import Supervisor
from suanwang.clock import Clock, SystemClock

if TYPE_CHECKING:
    from cli.demo_run import DemoResult, DemoRun

WATCH_S: Final = 1.0
_CHATTER: Final = (" INFO ", "\tINFO ", "------", "DeprecationWarning")


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave it running and print addresses.")
    ] = False,
    folder: Annotated[Path | None, typer.Option(help="Fresh folder for its files; kept.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the main job end to end: telemetry in, jobs placed with reasons, run, metered, paid."""
    from cli import demo_report, demo_run, world

    clock = SystemClock()
    progress = Progress(clock)
    place = _fresh(folder)
    scene = world.load_demo()
    quoted = world.quoted_job(scene)
    progress.tell(f"{scene.title}; files in {place}")
    with Supervisor(clock, place / "logs", progress.tell) as supervisor:
        run = demo_run.DemoRun(scene, supervisor, place, clock, progress.tell)
        result = demo_run.DemoResult()
        try:
            run.bring_up()
            run.quote(result, quoted)
            if not as_json:
                _show_quote(result, quoted.id)
            run.submit(result, _follow)
            run.finish(result)
            if as_json:
                emit_json(demo_report.as_document(result))
            else:
                demo_report.report(scene, result)
            demo_run.require(demo_run.broken_promises(scene, result))
            if keep:
                _stay(run, place, supervisor, clock)
        finally:
            scratch = run.folders
    for each in (*scratch, *(() if folder or keep else (place,))):
        shutil.rmtree(each, ignore_errors=True)
    progress.tell("done; every process is stopped")


class Progress:
    """Headlines on standard error, with the seconds since the start."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._start = clock.monotonic()

    def tell(self, text: str) -> None:
        """Print a headline."""
        note(f"[{self._clock.monotonic() - self._start:6.1f} s] {text}")


def _follow(text: str) -> None:
    """Pass a line of the followed log on, without the client's own chatter."""
    if not any(mark in text for mark in _CHATTER):
        note(f"           | {text}")


def _fresh(folder: Path | None) -> Path:
    from suanwang.errors import BadInput

    if folder is None:
        return Path(tempfile.mkdtemp(prefix="suanwang-demo-"))
    if folder.exists() and any(folder.iterdir()):
        raise BadInput(f"{folder} is not empty", next_step="name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def _show_quote(result: "DemoResult", job_id: str) -> None:
    from cli.jobs import verdict_table

    line()
    verdict_table(result.quote, title=f"Quote for `{job_id}` before it is submitted")
    line()


def _stay(run: "DemoRun", place: Path, supervisor: Supervisor, clock: Clock) -> None:
    Connection(url=run.url, api_key=run.api_key).save(place)
    for text in (
        "",
        f"The network stays up at {run.url}; Ctrl-C stops it.",
        f"  status page    {run.url}/status",
        f"  metrics        {run.url}/metrics",
        f"  other commands export SUANWANG_SERVER__STATE_DIR={place}",
        f"  Ray's client   export RAY_AUTH_MODE=token RAY_AUTH_TOKEN={run.api_key}",
        f"                 ray job submit --address {run.url} --working-dir . -- python train.py",
    ):
        note(text)
    while True:
        clock.sleep(WATCH_S)
        supervisor.require_alive()
