"""``suanwang pue model``: a site's facility power curve, fitted to its meters."""

from typing import Annotated

import typer

from cli.connection import ApiKey, Url, connect
from cli.energy import SiteName
from cli.output import AsJson, Json, emit_json, line, minute_time, table

SHORT = {"fitted": "", "mixed": " m", "design": " d"}


def attach(app: typer.Typer) -> None:
    """Add the command to ``suanwang pue``."""
    app.command("model")(model)


def model(
    site_id: SiteName,
    fit: Annotated[bool, typer.Option("--fit", help="Fit it to the record anew first.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show what one more IT watt costs a site, by load and wet bulb, and what that rests on."""
    path = f"/v1/sites/{site_id}/facility-model"
    with connect(url, api_key) as client:
        found = client.post(path) if fit else client.get(path)
    if as_json:
        emit_json(found)
    else:
        _print(found)


def _print(found: Json) -> None:
    quality = found["quality"]
    if quality is None:
        line(f"{found['site_id']}: {found['cooling']} by design; its meters told no curve yet")
    else:
        line(
            f"{found['site_id']}: {found['mark']}, version {found['version']} of "
            f"{minute_time(found['fitted_at'])}, by {found['actor']}"
        )
        line(
            f"{quality['hours']} hours, loads {quality['load_min']:.2f} to "
            f"{quality['load_max']:.2f} of {found['it_design_w'] / 1_000:,.0f} kW, wet bulb "
            f"{quality['wet_bulb_min_c']:.1f} to {quality['wet_bulb_max_c']:.1f} °C; held-out "
            f"hours within {quality['residual_p95']:.2%} "
            f"(design: {quality['design_residual_p95']:.2%}), "
            f"R² of the overhead {quality['r2']:.2f}"
        )
        for why in quality["why"]:
            line(f"the slope is the design's: {why}")
    wet_bulbs = sorted({one["wet_bulb_c"] for one in found["points"]})
    table(
        ("IT load", *(f"{wet:g} °C" for wet in wet_bulbs)),
        [
            (f"{load:.0%}", *(_cell(found, load, wet) for wet in wet_bulbs))
            for load in sorted({one["load"] for one in found["points"]})
        ],
        title="marginal PUE / PUE (m: partly by design, d: by design)",
    )


def _cell(found: Json, load: float, wet_bulb_c: float) -> str:
    point = next(
        one for one in found["points"] if one["load"] == load and one["wet_bulb_c"] == wet_bulb_c
    )
    return f"{point['marginal_pue']:.3f} / {point['pue']:.3f}{SHORT[point['mark']]}"
