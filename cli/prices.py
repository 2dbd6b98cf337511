"""``suanwang prices``: what a unit, a kilowatt and a yuan are worth in the newest plan."""

from typing import Annotated

import typer

from cli.connection import ApiKey, Url, connect
from cli.output import AsJson, Json, clock_time, emit_json, line, table


def prices(
    pool: Annotated[str | None, typer.Option(help="Only this pool.")] = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show the planner's prices, slot by slot: what one more unit would cost the plan.

    Nobody is billed by them. They show where the network is short, of what, and until when.
    """
    with connect(url, api_key) as client:
        answer = client.get("/v1/prices")
    if as_json:
        emit_json(answer)
        return
    queued = answer["queued"]
    line(f"Prices of {clock_time(answer['made_at'])}, {queued} jobs in the queue")
    table(
        ("pool", "from", "hours", "CNY/unit-hour", "energy", "power", "scarcity", "range", "left"),
        [
            _row(one["pool_id"], slot)
            for one in answer["pools"]
            if pool is None or one["pool_id"] == pool
            for slot in one["slots"]
        ],
    )
    for lot in answer["lots"]:
        line(f"voucher lot {lot['lot_id']}: one more yuan saves {lot['worth']:.3f} CNY")
    for tenant, worth in sorted(answer["cash"].items()):
        line(f"cash of {tenant}: one more yuan saves {worth:.3f} CNY")


def _row(pool_id: str, slot: Json) -> tuple[str, ...]:
    spread = f"{slot['low']:.3f}-{slot['high']:.3f}"
    return (
        pool_id,
        clock_time(slot["start"]),
        f"{slot['hours']:.2f}",
        f"{slot['price']:.3f}",
        f"{slot['energy']:.3f}",
        f"{slot['power']:.3f}",
        f"{slot['scarcity']:.3f}",
        "–" if slot["high"] - slot["low"] < 0.0005 else spread,
        str(slot["units_left"]),
    )
