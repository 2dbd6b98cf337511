"""``suanwang bill``: a site's electricity bill, out of the record, under any tariff."""

from pathlib import Path
from typing import Annotated

import typer

from cli.connection import ApiKey, Url, connect
from cli.output import AsJson, Json, emit_json, line, minute_time, note, number, table, yuan
from suanwang.errors import BadInput
from suanwang.periods import EXAMPLES

UYUAN = 1_000_000


def bill(
    site_id: Annotated[str, typer.Argument(help="The site's id.")],
    period: Annotated[str, typer.Argument(help=f"In the site's time zone: {EXAMPLES}.")],
    power_factor: Annotated[
        float | None, typer.Option(help="The month's power factor, such as 0.93.")
    ] = None,
    tariff: Annotated[
        Path | None, typer.Option(help="Replay it under the tariff in this file.")
    ] = None,
    prices: Annotated[
        Path | None, typer.Option(help="With --tariff: the table of prices that it names (CSV).")
    ] = None,
    voltage: Annotated[
        str, typer.Option(help="With --tariff: its voltage class, if not the site's.")
    ] = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the lines as .csv or .xlsx.")
    ] = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show the electricity bill of a past day or month, replayed from 15-minute windows."""
    if tariff is None and (prices or voltage):
        raise BadInput("--prices and --voltage belong to --tariff", next_step="name its file")
    if tariff is not None and output is not None:
        raise BadInput("a replay is not written as a table", next_step="take --json")
    with connect(url, api_key) as client:
        if output is not None:
            _write(client, site_id, output, {"period": period, "power_factor": power_factor})
            return
        if tariff is None:
            asked = {"period": period, "power_factor": power_factor}
            found = client.get(f"/v1/sites/{site_id}/bill", **asked)
        else:
            body = {
                "period": period,
                "power_factor": power_factor,
                "tariff": _text(tariff),
                "prices": _text(prices) if prices else "",
                "voltage": voltage,
            }
            found = client.post(f"/v1/sites/{site_id}/bill", body)
    if as_json:
        emit_json(found)
    else:
        _print(period, found)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as failure:
        raise BadInput(f"cannot read {path}: {failure}", next_step="check the path") from failure


def _write(client: Json, site_id: str, output: Path, asked: Json) -> None:
    kind = output.suffix.lstrip(".")
    if kind not in ("csv", "xlsx"):
        raise BadInput(f"{output} is neither .csv nor .xlsx", next_step="name it by its kind")
    output.write_bytes(client.get_bytes(f"/v1/sites/{site_id}/bill/table", format=kind, **asked))
    note(f"wrote {output}")


def _print(period: str, found: Json) -> None:
    mark = " (provisional)" if found["is_provisional"] else ""
    line(
        f"{found['site_id']}, {period}{mark}: "
        f"{minute_time(found['start'])} to {minute_time(found['end'])}; "
        f"{found['windows_known']} of {found['windows_asked']} windows known, "
        f"{found['coverage']:.2%} of those that are over"
    )
    table(
        ("part", "line", "quantity", "rate", "CNY"),
        [*_energy_rows(found), *_demand_rows(found), *_charge_rows(found), _total(found)],
        title=f"{found['tariff_id']} {found['voltage']}",
    )
    for text in found["notes"]:
        line(f"note: {text}")


def _energy_rows(found: Json) -> list[tuple[str, ...]]:
    return [
        (
            "energy",
            one["label"],
            number(one["energy_wh"] / 1_000, 3, "kWh"),
            number(one["price_uyuan_per_kwh"] / UYUAN, 6, "CNY/kWh"),
            yuan(one["amount_fen"]),
        )
        for one in found["lines"]
    ]


def _demand_rows(found: Json) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for one in found["demand"]:
        is_capacity = one["basis"] == "capacity"
        unit = "kVA" if is_capacity else "kW"
        quantity = one["quantity"] if is_capacity else one["quantity"] / 1_000
        rows.append(
            (
                "demand",
                f"{one['basis']} {one['month'][:7]}",
                number(quantity, 3, unit),
                f"{number(one['rate_uyuan'] / UYUAN, 2)} x {one['share']:.4f}",
                yuan(one["amount_fen"]),
            )
        )
    return rows


def _charge_rows(found: Json) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for one in found["charges"]:
        label = f"{one['label']} (included)" if one["is_included"] else one["label"]
        if one["energy_wh"]:
            quantity = number(one["energy_wh"] / 1_000, 3, "kWh")
            rate = number(one["price_uyuan_per_kwh"] / UYUAN, 6, "CNY/kWh")
        else:
            quantity, rate = f"{yuan(one['base_fen'])} CNY", f"{one['percent']:g} %"
        rows.append((one["part"], label, quantity, rate, yuan(one["amount_fen"])))
    return rows


def _total(found: Json) -> tuple[str, ...]:
    energy = number(found["energy_wh"] / 1_000, 3, "kWh")
    return ("total", "", energy, "", yuan(found["total_fen"]))
