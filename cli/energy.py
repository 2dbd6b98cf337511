"""``suanwang pue`` and ``suanwang meters``: the energy record, and what stands behind it."""

from datetime import datetime
from typing import Annotated, Final

import typer

from cli.connection import ApiKey, Url, connect
from cli.output import (
    NOTHING,
    AsJson,
    Json,
    emit_csv,
    emit_json,
    line,
    minute_time,
    number,
    span_times,
    table,
)
from suanwang.errors import BadInput
from suanwang.periods import EXAMPLES

SiteName = Annotated[str, typer.Argument(help="The site's id.")]
MeterName = Annotated[str, typer.Argument(help="The meter's id.")]
PeriodName = Annotated[str, typer.Argument(help=f"Such as {EXAMPLES}.")]
Category = Annotated[
    str | None,
    typer.Option(help="PUE1, PUE2 or PUE3: where IT is measured; else what the site declares."),
]
Hours = Annotated[int, typer.Option(min=1, help="Length of the period, to now.")]
PeriodOption = Annotated[
    str | None, typer.Option(help="A period in the site's time zone, instead of --hours.")
]
LISTED_MAX: Final = 10
HOUR_COLUMNS: Final = (
    "start", "value", "facility_wh", "it_wh", "coverage", "quality", "state", "revision",
    "withheld",
)  # fmt: skip

app = typer.Typer(help="PUE of sites, what stands behind it, and a check of the record.")
meters_app = typer.Typer(help="Meters of a site: list them, replace one, change its ratio.")


@app.callback(invoke_without_command=True)
def pue(
    context: typer.Context,
    hours: Hours = 24,
    period: PeriodOption = None,
    category: Category = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show the PUE of every site with its coverage and quality; under a year it is interim."""
    if context.invoked_subcommand is None:
        with connect(url, api_key) as client:
            figures = client.get("/v1/pue", **_asked(period, category, hours=hours))["items"]
        _print(figures, as_json=as_json)


@app.command("show")
def show(
    site_id: SiteName,
    hours: Hours = 24,
    period: PeriodOption = None,
    category: Category = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show the PUE of one site over any period."""
    asked = _asked(period, category, hours=hours)
    with connect(url, api_key) as client:
        figure = client.get(f"/v1/sites/{site_id}/pue", **asked)
    _print([figure], as_json=as_json)


def _asked(period: str | None, category: str | None, **more: Json) -> dict[str, Json]:
    """Return the query, without what was not asked."""
    asked = {"period": period, "category": category, **more}
    return {name: value for name, value in asked.items() if value is not None}


def _print(figures: list[Json], *, as_json: bool) -> None:
    if as_json:
        emit_json({"items": figures})
    else:
        pue_table(figures)


@app.command("hours")
def hours_of(
    site_id: SiteName,
    period: PeriodName = "last-24h",
    first: Annotated[
        str, typer.Option("--from", help="A day or a moment, instead of the period.")
    ] = "",
    last: Annotated[str, typer.Option("--to", help="Its end, left out; now if not given.")] = "",
    category: Category = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, moments in UTC.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show the PUE of a site hour by hour, a year at most; every hour is interim."""
    asked = _asked(_from_to(first, last) or period, category)
    with connect(url, api_key) as client:
        found = client.get(f"/v1/sites/{site_id}/pue/hours", **asked)
    if as_json:
        emit_json(found)
    elif as_csv:
        emit_csv(HOUR_COLUMNS, [[hour[name] for name in HOUR_COLUMNS] for hour in found["items"]])
    else:
        _print_hours(found)


def _from_to(first: str, last: str) -> str:
    """Return the period between two edges, an empty text where neither is given."""
    if last and not first:
        raise BadInput("--to has no --from", next_step="give both, or a period such as 2026-11")
    if not first:
        return ""
    from suanwang.clock import SystemClock

    return f"{first}..{last or SystemClock().now().isoformat()}"


def _print_hours(found: Json) -> None:
    items = found["items"]
    if not items:
        line(f"none of the {found['hours']} hours is in the record")
        return
    table(
        ("hour", "PUE", "facility kWh", "IT kWh", "covered", "quality", "state", "rev", "note"),
        [
            (
                minute_time(hour["start"]),
                number(hour["value"], 4),
                number(hour["facility_wh"] / 1000, 3),
                number(hour["it_wh"] / 1000, 3),
                f"{hour['coverage']:.1%}",
                hour["quality"],
                hour["state"],
                str(hour["revision"]),
                hour["withheld"],
            )
            for hour in items
        ],
    )
    it_wh = sum(hour["it_wh"] for hour in items)
    whole = sum(hour["facility_wh"] for hour in items) / it_wh if it_wh else None
    line(
        f"{len(items)} of {found['hours']} hours are in the record, "
        f"PUE over them {number(whole, 4)} (interim, {found['category'] or 'no one category'})"
    )


@app.command("explain")
def explain(
    site_id: SiteName,
    period: PeriodName = "last-24h",
    category: Category = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show each meter's part, gaps, oddities and revisions behind a figure."""
    with connect(url, api_key) as client:
        found = client.get(f"/v1/sites/{site_id}/pue/explain", **_asked(period, category))
    if as_json:
        emit_json(found)
        return
    pue_table([found["figure"]], title=f"by the rules {found['formula']}")
    table(
        (
            "meter", "role", "kWh", "covered", "quality", "bridged h", "estimated h",
            "windows from", "states",
        ),
        [
            (
                part["meter_id"],
                part["role"],
                number(part["energy_wh"] / 1000, 3),
                f"{part['coverage']:.2%}",
                part["quality"],
                number(part["bridged_s"] / 3600, 2),
                number(part["estimated_s"] / 3600, 2),
                _counts(part["sources"]),
                _counts(part["states"]),
            )
            for part in found["meters"]
        ],
    )  # fmt: skip
    for odd in found["oddities"][:LISTED_MAX]:
        line(
            f"{site_id}: PUE {odd['kind']} {minute_time(odd['start'])} to "
            f"{minute_time(odd['end'])}: check the roles and ratios of its meters"
        )
    for part in found["meters"]:
        _print_notes(part)


def _print_notes(part: Json) -> None:
    """Say in words what was wrong with one meter."""
    for gap in part["gaps"][:LISTED_MAX]:
        line(
            f"{part['meter_id']}: gap {minute_time(gap['start'])} to {minute_time(gap['end'])}, "
            f"{gap['covered']:.0%} of it known"
        )
    more = len(part["gaps"][LISTED_MAX:]) + part["gaps_more"]
    if more:
        line(f"{part['meter_id']}: {more} more gaps; --json lists them")
    for odd in part["oddities"][:LISTED_MAX]:
        line(
            f"{part['meter_id']}: {odd['kind']} {minute_time(odd['start'])} "
            f"to {minute_time(odd['end'])}"
        )
    for reason, count in part["reasons"].items():
        line(f"{part['meter_id']}: {count} windows revised: {reason}")


def _counts(counts: Json) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or NOTHING


@app.command("check")
def check(
    site_id: SiteName,
    period: PeriodName = "last-7d",
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Compute whole days again from the raw readings; exit 1 where the record differs."""
    with connect(url, api_key) as client:
        found = client.get(f"/v1/sites/{site_id}/pue/check", period=period)
    differences = found["differences"]
    if as_json:
        emit_json(found)
    else:
        since = minute_time(found["raw_from"]) if found["raw_from"] else "the beginning"
        line(
            f"{found['windows']} windows computed again, {len(differences)} differ; "
            f"raw readings are kept from {since}"
        )
        for one in differences[:LISTED_MAX]:
            line(
                f"{one['meter_id']} {minute_time(one['start'])}: recorded {one['recorded_wh']} Wh "
                f"({one['recorded_source']}), recomputed {one['recomputed_wh']} Wh "
                f"({one['recomputed_source']})"
            )
    if differences:
        raise typer.Exit(1)


@meters_app.command("list")
def list_meters(
    site_id: SiteName, url: Url = None, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """List the meters of a site with their episodes."""
    with connect(url, api_key) as client:
        found = client.get(f"/v1/sites/{site_id}/meters")
    if as_json:
        emit_json(found)
        return
    table(
        ("meter", "role", "carrier", "category", "rated W", "count Wh", "wraps at Wh", "episodes"),
        [
            (
                one["id"],
                one["role"],
                one["carrier"],
                one["category"],
                number(one["rated_w"], 0),
                number(one["resolution_wh"], 3),
                number(one["modulus_wh"], 0) if one["modulus_wh"] else "never",
                str(max(1, len(one["episodes"]))),
            )
            for one in found["items"]
        ],
    )
    for one in found["items"]:
        for episode in one["episodes"][1:]:
            line(
                f"{one['id']}: from {minute_time(episode['from_at'])} x "
                f"{episode['factor_num']}/{episode['factor_den']}: {episode['reason']}"
            )


@meters_app.command("tree")
def tree(
    site_id: SiteName,
    hours: Annotated[int, typer.Option(min=1, help="Length of the period, to now.")] = 24,
    period: Annotated[
        str | None, typer.Option(help="Such as 2026-11-03 or last-7d, instead of --hours.")
    ] = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Draw the meters from the grid to the racks, with their energies and what is missing."""
    asked = {"hours": hours, "period": period}
    with connect(url, api_key) as client:
        found = client.get(f"/v1/sites/{site_id}/meters/tree", **asked)
    if as_json:
        emit_json(found)
        return
    if not found["items"]:
        line(f"{site_id} has no meters")
        return
    names = tree_names(found["items"])
    table(
        ("meter", "role", "measures", "energy", "covered", "behind it", "missing", "note"),
        [(name, *_branch(one)) for name, one in zip(names, found["items"], strict=True)],
    )


def tree_names(items: list[Json]) -> list[str]:
    """Return the ids of meters with the lines of their tree before them."""
    names: list[str] = []
    is_over: list[bool] = []
    for one in items:
        depth = one["depth"]
        is_over = [*is_over[:depth], one["is_last"]]
        stems = "".join("   " if over else "│  " for over in is_over[1:depth])
        branch = ("└─ " if one["is_last"] else "├─ ") if depth else ""
        names.append(f"{stems}{branch}{one['id']}")
    return names


def _branch(one: Json) -> tuple[str, ...]:
    of = one["measures"] + (f" {one['object_id']}" if one["object_id"] else "")
    role = f"{one['role']} {one['category']}" if one["role"] == "it" else one["role"]
    told = (role, of, _energy(one["energy"], one["unit"]), f"{one['coverage']:.1%}")
    gap = one["gap"]
    if gap is None:
        return (*told, "", "", "")
    note = "more than 3 % apart" if gap["is_odd"] else ""
    if gap["silent"]:
        note = f"silent: {', '.join(gap['silent'][:3])}"
        note += f" and {len(gap['silent']) - 3} more" if len(gap["silent"]) > 3 else ""
    share = NOTHING if gap["ratio"] is None else f"{gap['ratio']:.1%}"
    return (
        *told,
        _energy(gap["children"], one["unit"]),
        f"{_energy(gap['gap'], one['unit'])} ({share})",
        note,
    )


def _energy(value: float, unit: str) -> str:
    return number(value / 1_000, 3, "kWh" if unit == "Wh" else "m³")


At = Annotated[datetime, typer.Option(help="When it was done; the clock of this machine.")]
Reason = Annotated[str, typer.Option(help="Why, for the record.")]
RatioText = Annotated[
    str, typer.Option(help="Energy is the register times this: 40, or 400/5.", metavar="N[/D]")
]


@meters_app.command("replace")
def replace(
    site_id: SiteName,
    meter_id: MeterName,
    at: At,
    reason: Reason,
    final_wh: Annotated[float | None, typer.Option(help="Last register of the old one.")] = None,
    initial_wh: Annotated[float | None, typer.Option(help="First of the new one.")] = None,
    ratio: RatioText = "1",
    rated_w: Annotated[int | None, typer.Option(help="Most power of the new one, W.")] = None,
    resolution_wh: Annotated[float | None, typer.Option(help="One count of it, Wh.")] = None,
    modulus_wh: Annotated[int | None, typer.Option(help="Where it wraps, Wh; 0: never.")] = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Record that a meter was replaced by another one; energy goes on across the seam."""
    body = {
        "from_at": at.astimezone().isoformat(), "final_wh": final_wh, "initial_wh": initial_wh,
        "rated_w": rated_w, "resolution_wh": resolution_wh, "modulus_wh": modulus_wh,
        "reason": reason, **_factor(ratio),
    }  # fmt: skip
    _begin(site_id, meter_id, body, connect(url, api_key), as_json=as_json)


@meters_app.command("ratio")
def change_ratio(
    site_id: SiteName,
    meter_id: MeterName,
    at: At,
    reason: Reason,
    ratio: RatioText,
    register_wh: Annotated[
        float | None, typer.Option(help="The register at that moment; it goes on from there.")
    ] = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Record that current or voltage transformers were changed, from a moment on."""
    body = {
        "from_at": at.astimezone().isoformat(), "final_wh": register_wh,
        "initial_wh": register_wh, "reason": reason, **_factor(ratio),
    }  # fmt: skip
    _begin(site_id, meter_id, body, connect(url, api_key), as_json=as_json)


def _factor(text: str) -> dict[str, int]:
    numerator, _, denominator = text.partition("/")
    try:
        return {"factor_num": int(numerator), "factor_den": int(denominator or "1")}
    except ValueError:
        raise BadInput(
            f"{text!r} is not a ratio of whole numbers", next_step="write 40, or 400/5"
        ) from None


def _begin(site_id: str, meter_id: str, body: Json, client: Json, *, as_json: bool) -> None:
    with client:
        answer = client.post(f"/v1/sites/{site_id}/meters/{meter_id}/episodes", body)
    if as_json:
        emit_json(answer)
    else:
        line(f"{meter_id} has episode {answer['seq']}; its windows are computed anew in a minute")


def pue_table(figures: list[Json], title: str = "") -> None:
    """Print PUE figures, one line a site."""
    table(
        (
            "site", "PUE", "kind", "category", "from", "until", "facility Wh", "IT Wh", "covered",
            "quality", "note",
        ),
        [
            (
                figure["site_id"],
                number(figure["value"], 4),
                "interim" if figure["is_interim"] else "annual",
                figure["category"],
                *span_times(figure["start"], figure["end"]),
                number(figure["facility_wh"], 3),
                number(figure["it_wh"], 3),
                f"{figure['coverage_facility']:.2%} / {figure['coverage_it']:.2%}",
                figure["quality"],
                figure["withheld"],
            )
            for figure in figures
        ],
        title=title,
    )  # fmt: skip
