"""``suanwang sites``: what the network consists of, and how it does."""

from pathlib import Path
from typing import Annotated

import typer

from cli.connection import ApiKey, Url, connect
from cli.output import (
    NOTHING,
    AsJson,
    Json,
    clock_time,
    emit_json,
    line,
    number,
    show_list,
    table,
)

SiteName = Annotated[str, typer.Argument(help="The site's id.")]

app = typer.Typer(help="List sites, look at one, register, open or close one.")


@app.callback(invoke_without_command=True)
def sites(
    context: typer.Context,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List the sites of the network."""
    if context.invoked_subcommand:
        return
    with connect(url, api_key) as client:
        answer = client.get("/v1/sites")
    show_list(
        answer,
        as_json,
        {
            "site": "id",
            "operator": "operator",
            "agent": lambda site: "up" if site["is_reachable"] else "not seen",
            "open": lambda site: "yes" if site["is_open"] else "no",
            "units free": lambda site: ", ".join(
                f"{p['accelerator']} {p['units_free']}/{p['units']}" for p in site["pools"]
            ),
            "IT W": lambda site: _fact(site["it_power_w"], 0),
            "facility W": lambda site: _fact(site["facility_power_w"], 0),
            "PUE of 24 h, interim": lambda site: _fact(site["pue"], 3),
            "quality": lambda site: (site["pue"] or {}).get("quality", NOTHING),
        },
    )


def _fact(fact: Json, digits: int) -> str:
    return NOTHING if not fact else number(fact["value"], digits)


@app.command("energy-plan")
def energy_plan(
    site_id: SiteName, url: Url = None, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Show the newest plan's advice: nodes awake, battery, sun and grid, slot by slot."""
    with connect(url, api_key) as client:
        answer = client.get(f"/v1/sites/{site_id}/energy-plan")
    if as_json:
        emit_json(answer)
        return
    line(f"Energy schedule of {site_id}, made at {clock_time(answer['made_at'])}")
    table(
        ("from", "nodes awake", "facility kW", "sun", "charge", "discharge", "grid", "highest"),
        [_energy_row(slot) for slot in answer["slots"]],
    )
    line(
        f"{answer['wakes']} wakes; {number(answer['saved_wh'] / 1_000)} kWh not burnt by sleeping "
        f"nodes; PUE {_pue(answer['pue'])}, with every node on {_pue(answer['pue_awake'])} "
        "(it may rise while energy falls)"
    )
    table(
        ("input", "standing", "what stands behind it"),
        [(one["name"], one["standing"], one["note"]) for one in answer["inputs"]],
    )


def _energy_row(slot: Json) -> tuple[str, ...]:
    awake = ", ".join(f"{pool} {nodes}" for pool, nodes in sorted(slot["awake"].items()))
    powers = ("facility_w", "solar_w", "charge_w", "discharge_w", "grid_w", "draw_w")
    return (
        clock_time(slot["start"]),
        awake or NOTHING,
        *(number(slot[name] / 1_000) for name in powers),
    )


def _pue(value: float | None) -> str:
    return NOTHING if value is None else number(value, 3)


@app.command("show")
def show(
    site_id: SiteName,
    retired: Annotated[
        bool, typer.Option("--retired", help="With sources that are not polled any more.")
    ] = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show a site, its pools and its telemetry sources."""
    with connect(url, api_key) as client:
        site = client.get(f"/v1/sites/{site_id}")
        wanted = "true" if retired else None
        sources = client.get(f"/v1/sites/{site_id}/sources", retired=wanted)["items"]
    if as_json:
        emit_json({**site, "sources": sources})
        return
    line(f"{site['id']}  {site['name']}  ({site['operator']}, {site['region']})")
    of_class = f" (class {site['site_class']})" if site["site_class"] else ""
    line(f"PUE of a year at most {site['pue_limit']:g}{of_class}")
    table(
        ("source", "standing", "up", "duration s", "readings", "error"),
        [
            (
                source["source"],
                _standing(source),
                "yes" if source["is_up"] else "NO",
                number(source["duration_s"], 3),
                str(source["readings"]),
                source["error"],
            )
            for source in sources
        ],
    )


def _standing(source: Json) -> str:
    since = source["retired_at"]
    return f"{source['standing']} since {since}" if since else str(source["standing"])


@app.command("register")
def register(
    file: Annotated[Path, typer.Argument(help="A site as JSON or YAML.", exists=True)],
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Register a site, or change one; the answer tells how its agent gets in."""
    import yaml

    from suanwang.errors import BadInput

    try:
        body = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as failure:
        raise BadInput(f"{file}: {failure}") from failure
    with connect(url, api_key) as client:
        site = client.post("/v1/sites", body)
    if as_json:
        emit_json(site)
    else:
        line(f"{site['id']} is registered; make its agent's token with `suanwang sites token`")


@app.command("token")
def token(
    site_id: SiteName, url: Url = None, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Make the token of a site's agent; it is shown once."""
    with connect(url, api_key) as client:
        answer = client.post(f"/v1/sites/{site_id}/token")
    if as_json:
        emit_json(answer)
    else:
        line(answer["secret"])


@app.command("open")
def open_site(
    site_id: SiteName, url: Url = None, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Let new jobs come to a site."""
    _switch(site_id, "open", connect(url, api_key), as_json=as_json)


@app.command("close")
def close_site(
    site_id: SiteName, url: Url = None, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Keep new jobs away from a site; what runs there runs on."""
    _switch(site_id, "close", connect(url, api_key), as_json=as_json)


@app.command("declare-dead")
def declare_dead(
    site_id: SiteName,
    yes: Annotated[bool, typer.Option("--yes", help="Nothing runs there: I know.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Let the jobs of a silent site start elsewhere; you answer for it that nothing runs there."""
    from suanwang.errors import BadInput

    if not yes:
        raise BadInput(
            f"declaring {site_id} dead starts its jobs elsewhere; what still runs there runs twice",
            next_step="make sure that it is off, then add --yes",
        )
    with connect(url, api_key) as client:
        answer = client.post(f"/v1/sites/{site_id}/declare-dead")
    if as_json:
        emit_json(answer)
    else:
        line(f"{site_id}: {len(answer['attempts'])} attempts are counted as dead")


def _switch(site_id: str, verb: str, client: Json, *, as_json: bool) -> None:
    with client:
        answer = client.post(f"/v1/sites/{site_id}/{verb}")
    if as_json:
        emit_json(answer)
    else:
        line(f"{site_id} is {'open' if verb == 'open' else 'closed'}")
