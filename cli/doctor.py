"""``suanwang doctor`` and ``suanwang config``: is everything there, and who set which value."""

import importlib.metadata
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Final, Literal

import typer

from cli.client import Client
from cli.connection import ApiKey, Url, find
from cli.output import AsJson, Json, emit_json, number, table
from suanwang.errors import Forbidden, SuanwangError, Unavailable

CLOCK_SKEW_MAX_S: Final = 30.0
PACKAGES: Final = ("ray", "sqlalchemy", "highspy", "pulp", "fastapi", "pymodbus", "psutil")
OURS: Final = (
    "suanwang", "collectors", "alerts", "optimizer", "voucher", "scheduler", "agent", "api", "cli",
    "dashboards", "simulator",
)  # fmt: skip

config_app = typer.Typer(no_args_is_help=True, help="Show settings and where they come from.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the doctor: what was looked at, how it is, and what to do."""

    subject: str
    verdict: Literal["ok", "warning", "bad"]
    message: str


def _ok(subject: str, message: str) -> Finding:
    return Finding(subject=subject, verdict="ok", message=message)


def _bad(subject: str, message: str) -> Finding:
    return Finding(subject=subject, verdict="bad", message=message)


def _warn(subject: str, message: str) -> Finding:
    return Finding(subject=subject, verdict="warning", message=message)


def doctor(url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Look at this installation, at the centre and at every site, and say what is wrong."""
    findings = [*_installation(), *_centre(url, api_key)]
    if as_json:
        emit_json([asdict(finding) for finding in findings])
    else:
        table(
            ("", "subject", "finding"),
            [
                (f.verdict.upper() if f.verdict != "ok" else "ok", f.subject, f.message)
                for f in findings
            ],
        )
    if any(finding.verdict == "bad" for finding in findings):
        raise typer.Exit(3)


def _installation() -> Iterator[Finding]:
    yield _ok("python", f"{platform.python_version()} at {sys.executable}")
    owners = importlib.metadata.packages_distributions()
    foreign = [name for name in OURS if set(owners.get(name, ["suanwang"])) != {"suanwang"}]
    if foreign:
        yield _bad("names", f"another distribution owns {', '.join(foreign)}: uninstall it")
    else:
        yield _ok("names", "every package of ours is ours")
    for package in PACKAGES:
        try:
            yield _ok(package, importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            yield _bad(package, "is not installed: run `make setup`")
    yield _guarded("solver", _solver)
    yield _guarded("solvers", _solvers)
    yield _guarded("database", _database)


def _guarded(subject: str, look: Callable[[], str]) -> Finding:
    try:
        return _ok(subject, look())
    except SuanwangError as failure:
        return _bad(subject, f"{failure.message} {failure.next_step}".strip())
    except (ImportError, OSError, RuntimeError) as failure:
        return _bad(subject, f"{type(failure).__name__}: {failure}")


def _solver() -> str:
    """Solve a problem of one job and one pool, as the scheduler would."""
    from cli.smallest_problem import solve_smallest

    return solve_smallest()


def _solvers() -> str:
    """List what the setting ``scheduler.solver`` may name here; a licence is not looked at."""
    from optimizer.routes import installed, route_named
    from suanwang import settings

    route_named(settings.load().settings.scheduler.solver)
    found = installed()
    there = ", ".join(name for name, is_there in found.items() if is_there)
    missing = ", ".join(name for name, is_there in found.items() if not is_there)
    return f"{there}; not installed: {missing}" if missing else there


def _database() -> str:
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    from suanwang import settings
    from suanwang.db.engine import open_engine, reading
    from suanwang.db.schema import current, head

    server = settings.load().settings.server
    if server.database.startswith("sqlite:///") and not (server.state_dir / "suanwang.db").exists():
        return "SQLite, made at the first start"
    try:
        engine = open_engine(server.database)
        question = "select sqlite_version()" if engine.name == "sqlite" else "show server_version"
        with reading(engine) as connection:
            version = connection.execute(text(question)).scalar_one()
        revision, newest = current(engine), head()
    except SQLAlchemyError as failure:
        raise Unavailable(f"the database does not answer: {failure}") from failure
    behind = "" if revision == newest else f", behind {newest}: the centre brings it up to date"
    return f"{engine.name} {version}, schema {revision}{behind}"


def _centre(url: str | None, api_key: str | None) -> Iterator[Finding]:
    try:
        found = find(url, api_key)
    except SuanwangError as failure:
        yield _bad("settings", failure.message)
        return
    with Client(found.url, found.api_key) as client:
        try:
            ready = client.get("/readyz")
        except SuanwangError as failure:
            yield _warn("centre", f"{failure.message}; {failure.next_step}")
            return
        yield _ok("centre", f"{found.url}: {ready.get('version', '')} {ready.get('status', '')}")
        yield _skew(ready)
        if not found.api_key:
            yield _warn("sites", "no API key is known, so the sites were not looked at")
            return
        yield from _writer(client)
        try:
            yield from _sites(client)
        except SuanwangError as failure:
            yield _bad("sites", failure.message)


def _skew(ready: Json) -> Finding:
    from datetime import datetime

    from suanwang.clock import SystemClock

    if not ready.get("clock"):
        return _warn("clock", "the centre did not say its time")
    ahead = (datetime.fromisoformat(ready["clock"]) - SystemClock().now()).total_seconds()
    text = f"the centre is {abs(ahead):.1f} s {'ahead' if ahead > 0 else 'behind'}"
    return _ok("clock", text) if abs(ahead) <= CLOCK_SKEW_MAX_S else _bad("clock", text)


def _writer(client: Client) -> Iterator[Finding]:
    """Say which process writes the ledger; only an admin may know."""
    try:
        found = client.get("/v1/ledger/writer")
    except SuanwangError as failure:
        if not isinstance(failure, Forbidden):
            yield _bad("ledger", failure.message)
        return
    if not found["writer"]:
        yield _bad("ledger", "no process writes it: none of the centre's is ready to")
        return
    where = "the process that answers" if found["is_here"] else f"another one at {found['url']}"
    yield _ok("ledger", f"written by {where}, epoch {found['epoch']}, lease to {found['until']}")


def _sites(client: Client) -> Iterator[Finding]:
    for site in client.get("/v1/sites")["items"]:
        name = f"site {site['id']}"
        if not site["is_reachable"]:
            yield _bad(name, f"its agent was last seen {site['agent_seen_at'] or 'never'}")
            continue
        state = site.get("executor_state") or "unknown"
        seen = f"agent seen {site['agent_seen_at']}, Ray {state}"
        yield (
            _ok(name, seen) if state == "up" else _bad(name, f"{seen}: {site['executor_message']}")
        )
        try:
            sources = client.get(f"/v1/sites/{site['id']}/sources")["items"]
        except Forbidden:
            yield _ok(f"sources of {site['id']}", "are shown to its operator and to admins")
            continue
        for source in sources:
            subject = f"source {site['id']}/{source['source']}"
            took = number(source["duration_s"], 3, "s")
            polled = f"polled {source['polled_at']} in {took}"
            yield _ok(subject, polled) if source["is_up"] else _bad(subject, source["error"])


@config_app.command("show")
def show(as_json: AsJson = False) -> None:
    """Show every setting, its value and where it comes from; secrets are masked."""
    from suanwang import settings

    loaded = settings.load()
    rows = []
    for key, origin in sorted(loaded.origins.items()):
        value: object = loaded.settings
        for part in key.split("."):
            value = getattr(value, part)
        rows.append((key, str(value), origin))
    if as_json:
        emit_json([{"key": key, "value": value, "origin": origin} for key, value, origin in rows])
    else:
        table(("setting", "value", "origin"), rows)
