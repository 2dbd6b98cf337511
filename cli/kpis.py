"""``suanwang kpi``: figures of sites and of the network, targets, forecast, certificates."""

from pathlib import Path
from typing import Annotated, Final

import typer

from cli.connection import ApiKey, Url, connect
from cli.output import NOTHING, AsJson, Json, emit_json, line, minute_time, number, show_list, table
from suanwang.errors import BadInput, NotFound

SiteName = Annotated[str, typer.Argument(help="The site's id.")]
Hours = Annotated[int, typer.Option(min=1, help="Length of the period, to now.")]
PeriodOption = Annotated[
    str | None, typer.Option(help="Such as 2026-11 or last-7d, instead of --hours.")
]
Numbers = Annotated[
    Path, typer.Argument(help="A file with one number a line.", exists=True, dir_okay=False)
]
NUMBERS_MAX: Final = 1_000
_DIGITS: Final = 4

app = typer.Typer(
    help="Figures beside PUE: water, carbon, renewables, racks, compute, idle energy."
)


@app.command("show")
def show(
    site_id: SiteName,
    hours: Hours = 24,
    period: PeriodOption = None,
    precision: Annotated[
        str | None, typer.Option(help="FP64, FP32, FP16 or INT8: of the intelligent share.")
    ] = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show every figure of a site, or why it has none; under a year they are interim."""
    with connect(url, api_key) as client:
        answer = client.get(
            f"/v1/sites/{site_id}/kpis", **_asked(hours, period, precision=precision)
        )
    if as_json:
        emit_json(answer)
    else:
        _figures(answer["items"])


def _asked(hours: int, period: str | None, **more: Json) -> dict[str, Json]:
    """Return the query, without what was not asked."""
    asked = {"hours": hours, "period": period, **more}
    return {name: value for name, value in asked.items() if value is not None}


def _figures(items: list[Json]) -> None:
    table(
        ("figure", "value", "unit", "kind", "covered", "quality", "basis, or why there is none"),
        [
            (
                item["kpi"],
                _value(item),
                item["unit"],
                "interim" if item["is_interim"] else "annual",
                f"{item['coverage']:.1%}",
                item["quality"],
                item["withheld"] or item["basis"],
            )
            for item in items
        ],
    )


def _value(item: Json) -> str:
    return _figure(item["value"])


def _figure(value: Json) -> str:
    if value is not None and abs(value) >= 1e9:
        return f"{value:.4g}"
    return number(value, _DIGITS)


@app.command("explain")
def explain(
    site_id: SiteName,
    kpi: Annotated[str, typer.Argument(help="Such as wue, cue_market or pue.")],
    hours: Hours = 24,
    period: PeriodOption = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show the formula, the basis and the numbers behind a figure; of PUE also why it changed."""
    with connect(url, api_key) as client:
        asked = _asked(hours, period)
        answer = client.get(f"/v1/sites/{site_id}/kpis", **asked)
        found = [item for item in answer["items"] if item["kpi"] == kpi]
        if not found:
            names = ", ".join(dict.fromkeys(item["kpi"] for item in answer["items"]))
            raise NotFound(f"there is no figure {kpi!r}", next_step=f"one of {names}")
        change = _change(client.get, site_id, asked) if _is_told_pue(found[0]) else None
    if as_json:
        emit_json({"items": found, "change": change})
        return
    for item in found:
        line(f"{item['kpi']} {_value(item)} {item['unit']}  ({item['formula']}: {item['words']})")
        line(f"  {minute_time(item['start'])} to {minute_time(item['end'])}: {item['basis']}")
        if item["withheld"]:
            line(f"  withheld: {item['withheld']}")
        for name, value in item["parts"].items():
            line(f"  {name}  {_figure(value)}")
    if change is not None:
        line(change["words"])


def _is_told_pue(item: Json) -> bool:
    return item["kpi"] == "pue" and item["value"] is not None


def _change(get: Json, site_id: str, asked: dict[str, Json]) -> Json | None:
    """Return why PUE changed; None where the time before has no PUE."""
    try:
        return get(f"/v1/sites/{site_id}/kpis/pue-change", **asked)
    except BadInput:
        return None


@app.command("targets")
def targets(
    hours: Hours = 24, url: Url = None, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Show the network's figures, the targets of city and nation, and the gaps to them."""
    with connect(url, api_key) as client:
        answer = client.get("/v1/kpis", hours=hours)
    if as_json:
        emit_json(answer)
        return
    _figures(answer["items"])
    table(
        ("target", "of", "asked", "value", "gap", "met", "by", "source"),
        [
            (
                one["id"],
                one["site_id"] or one["scope"],
                _bound(one),
                _value(one),
                _value({"value": one["gap"]}),
                {True: "yes", False: "NO", None: NOTHING}[one["is_met"]],
                one["by"],
                f"{one['source']} ({one['mark']})",
            )
            for one in answer["targets"]
        ],
        title="targets",
    )


def _bound(one: Json) -> str:
    value = one["at_most"] if one["at_most"] is not None else one["at_least"]
    sign = "≤" if one["at_most"] is not None else "≥"
    return f"{sign} {value:g}"


@app.command("forecast")
def forecast(
    site_id: SiteName, url: Url = None, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Show the PUE that the calendar year will end with, and how far that can be trusted."""
    with connect(url, api_key) as client:
        figure = client.get(f"/v1/sites/{site_id}/kpis/forecast")
    if as_json:
        emit_json(figure)
        return
    if figure["value"] is None:
        line(f"no forecast: {figure['withheld']}")
        return
    parts = figure["parts"]
    line(
        f"PUE of the year {figure['value']:.4f}, with 90 % between {parts['low']:.4f} and "
        f"{parts['high']:.4f}; limit {parts['limit']:.2f}, kept with a chance of "
        f"{parts['chance_within_limit']:.0%}"
    )
    line(f"by {figure['basis']}")
    line(f"{parts['days_known']:.0f} days are known, {parts['days_ahead']:.0f} are to come")


@app.command("certificates")
def certificates(
    after: Annotated[str, typer.Option(help="Begin after this number.")] = "",
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List green certificates and contracts, and what each was used for."""
    with connect(url, api_key) as client:
        answer = client.get("/v1/energy-certificates", after=after or None)
    show_list(
        answer,
        as_json,
        {
            "number": "id",
            "kind": "kind",
            "MWh": lambda one: number(one["energy_wh"] / 1e6, 3),
            "origin": "origin",
            "owner": "owner",
            "cancelled for": "site_id",
            "from": "from_at",
            "until": "until_at",
        },
    )


@app.command("register")
def register(
    numbers: Numbers,
    origin: Annotated[str, typer.Option(help="Plant or region of the generation.")],
    made_from: Annotated[str, typer.Option(help="Start of the generation, with its zone.")],
    made_until: Annotated[str, typer.Option(help="End of the generation, with its zone.")],
    contract_kwh: Annotated[
        int | None, typer.Option(min=1, help="A settled contract of so many kWh each.")
    ] = None,
    owner: Annotated[str, typer.Option(help="The operator; your own if left out.")] = "",
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Register green certificates by their numbers; the same again changes nothing."""
    body: dict[str, Json] = {
        "ids": _numbers(numbers),
        "origin": origin,
        "made_from": made_from,
        "made_until": made_until,
        "owner": owner,
    }
    if contract_kwh is not None:
        body |= {"kind": "contract", "energy_wh": contract_kwh * 1_000}
    with connect(url, api_key) as client:
        answer = client.post("/v1/energy-certificates", body)
    _entered(answer, "registered", as_json=as_json)


@app.command("cancel")
def cancel(
    site_id: SiteName,
    numbers: Numbers,
    from_at: Annotated[str, typer.Option("--from", help="Start of the consumption, with zone.")],
    until_at: Annotated[str, typer.Option("--until", help="Its end, with its zone.")],
    reason: Annotated[str, typer.Option(help="What for, in your words.")],
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Use certificates for a site's consumption: once, and for ever."""
    body = {
        "ids": _numbers(numbers),
        "from_at": from_at,
        "until_at": until_at,
        "reason": reason,
    }
    with connect(url, api_key) as client:
        answer = client.post(f"/v1/sites/{site_id}/energy-certificates", body)
    _entered(answer, "cancelled", as_json=as_json)


def _numbers(path: Path) -> list[str]:
    found = [text.strip() for text in path.read_text(encoding="utf-8").splitlines()]
    numbers = [text for text in found if text]
    if not 1 <= len(numbers) <= NUMBERS_MAX:
        raise BadInput(
            f"{path} has {len(numbers)} numbers, one call takes 1 to {NUMBERS_MAX}",
            next_step="cut the file in parts",
        )
    return numbers


def _entered(answer: Json, verb: str, *, as_json: bool) -> None:
    if as_json:
        emit_json(answer)
    else:
        line(
            f"{answer['new']} {verb}, {answer['known']} were so already; "
            f"{answer['energy_wh'] / 1e6:g} MWh in all"
        )
