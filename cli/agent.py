"""``suanwang agent``: run a site's agent, and check what is written down for it."""

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.connection import ApiKey, Url, connect
from cli.local import become
from cli.output import NOTHING, AsJson, Json, emit_json, line, note, table
from suanwang.errors import BadInput

if TYPE_CHECKING:
    from collectors.check import Checked
    from collectors.specs.base import Spec
    from suanwang.settings import AgentSettings

CONFIG_HELP: Final = "Settings file."
ConfigFile = Annotated[Path | None, typer.Option("--config", help=CONFIG_HELP)]

app = typer.Typer()


@app.callback(invoke_without_command=True)
def agent(context: typer.Context, config: ConfigFile = None) -> None:
    """Run a site's agent: it dials out to the centre and keeps the site's secrets.

    It reads the sources in its settings file anew when the file changes, and at SIGHUP.
    """
    context.obj = config
    if context.invoked_subcommand is None:
        become("agent", config)


@app.command()
def check(
    context: typer.Context,
    config: ConfigFile = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Check only the source of this name.")
    ] = None,
    timeout_s: Annotated[
        float | None, typer.Option(min=0.1, help="Longest that one source may take.")
    ] = None,
    is_registered: Annotated[
        bool,
        typer.Option("--registered", help="Compare with the meters that the centre knows."),
    ] = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Validate the settings file and poll each source once; nothing is sent and no place is kept.

    Exit codes: 0 every source answered; 1 one did not, or with --registered a meter is read and not
    registered, or registered and not read; 2 the file is wrong.
    """
    from collectors.check import check_sources
    from suanwang.clock import SystemClock

    settings, specs = _read(config or context.obj, only)
    note(f"{len(specs)} sources are written down right; polling each once …")
    found = asyncio.run(
        check_sources(specs, SystemClock(), _say, timeout_s_max=timeout_s or math.inf)
    )
    meters = _compared(found, settings, url, api_key) if is_registered else None
    if as_json:
        emit_json({"sources": [_document(each) for each in found], "registered": meters})
    else:
        _print(found, meters)
    is_bad = any(not each.is_ok for each in found) or bool(meters and any(meters.values()))
    if is_bad:
        raise typer.Exit(1)


def _read(config: Path | None, only: Sequence[str] | None) -> "tuple[AgentSettings, list[Spec]]":
    """Return the settings and the sources that are wanted; raise BadInput."""
    from collectors.config import parse_sources
    from suanwang.settings import load

    settings = load({}, config=config).settings.agent
    specs = parse_sources(settings.sources)
    names = {spec.name for spec in specs}
    unknown = [name for name in only or () if name not in names]
    if unknown:
        raise BadInput(
            f"there is no source {unknown[0]!r}", next_step=f"use one of {', '.join(sorted(names))}"
        )
    if not specs:
        raise BadInput(
            "agent.sources is empty", next_step="write sources down; see docs/telemetry.md"
        )
    return settings, [spec for spec in specs if not only or spec.name in only]


def _say(found: "Checked") -> None:
    if not found.is_ok:
        note(f"{found.name}: {found.why}")


def _compared(
    found: "Sequence[Checked]", settings: "AgentSettings", url: str | None, api_key: str | None
) -> dict[str, list[str]]:
    """Return the meters that are read and not registered, and those registered and not read."""
    if not settings.site_id:
        raise BadInput("agent.site_id is empty", next_step="set it: whose meters are compared?")
    with connect(url, api_key) as client:
        known = {one["id"] for one in client.get(f"/v1/sites/{settings.site_id}/meters")["items"]}
    read = {meter for each in found for meter in each.meters}
    return {"not_registered": sorted(read - known), "not_read": sorted(known - read)}


def _print(found: "Sequence[Checked]", meters: dict[str, list[str]] | None) -> None:
    rows = [
        (
            each.name,
            each.kind,
            each.address or NOTHING,
            "ok" if each.is_ok else "no",
            f"{each.took_s * 1_000:.0f}",
            str(len(each.readings)),
            ", ".join(_meter(each, one) for one in each.meters) or NOTHING,
            each.why,
        )
        for each in found
    ]
    columns = ("source", "kind", "address", "answers", "ms", "values", "meters", "why not")
    table(columns, rows)
    for each in found:
        if each.next_step:
            line(f"{each.name}: {each.next_step}")
        for meter in each.shared:
            line(f"{each.name}: meter {meter} is read by another source too; name one of them anew")
    for meter in meters["not_registered"] if meters else ():
        line(f"meter {meter} is read, but not registered: the centre refuses its readings")
    for meter in meters["not_read"] if meters else ():
        line(f"meter {meter} is registered, but no source reads it")
    good = sum(each.is_ok for each in found)
    line(f"{good} of {len(found)} sources answered")


def _meter(found: "Checked", meter: str) -> str:
    return meter if meter in found.registers else f"{meter} (no register)"


def _document(found: "Checked") -> Json:
    return {
        "name": found.name,
        "kind": found.kind,
        "address": found.address,
        "is_ok": found.is_ok,
        "took_ms": round(found.took_s * 1_000, 1),
        "why": found.why,
        "next_step": found.next_step,
        "meters": list(found.meters),
        "registers": list(found.registers),
        "shared": list(found.shared),
        "readings": [
            {"subject": each.subject, "metric": each.metric, "value": each.value}
            for each in found.readings
        ],
    }
