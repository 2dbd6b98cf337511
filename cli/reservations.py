"""``suanwang reservations``: units of a pool that are kept for some."""

from typing import Annotated

import typer

from cli.connection import ApiKey, Url, connect
from cli.output import AsJson, Json, Past, emit_json, line, minute_time, show_list

ReservationId = Annotated[str, typer.Argument(help="The reservation's id, of your choice.")]

app = typer.Typer(no_args_is_help=True, help="Keep units of a pool for tenants or jobs.")


@app.command("list")
def list_reservations(
    past: Past = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List reservations: those you hold, or of your pools."""
    with connect(url, api_key) as client:
        answer = client.get("/v1/reservations", **({"past": True} if past else {}))
    show_list(
        answer,
        as_json,
        {
            "reservation": "id",
            "pool": "pool_id",
            "units": "units",
            "from": lambda one: minute_time(one["from_at"]),
            "until": lambda one: minute_time(one["until_at"]),
            "for": lambda one: ", ".join([*one["tenants"], *one["jobs"]]),
            "by": "actor",
            "ended by": "ended_by",
        },
    )


@app.command("add")
def add(
    reservation_id: ReservationId,
    pool: Annotated[str, typer.Option(help="The pool.")],
    units: Annotated[int, typer.Option(min=1, help="How many of its units.")],
    begin: Annotated[str, typer.Option("--from", help="RFC 3339 moment.")],
    until: Annotated[str, typer.Option(help="RFC 3339 moment.")],
    tenants: Annotated[str, typer.Option(help="Tenants, separated by commas.")] = "",
    jobs: Annotated[str, typer.Option(help="Jobs by submission id, with commas.")] = "",
    reason: Annotated[str, typer.Option(help="Why, for those who wonder later.")] = "",
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Reserve units; the same again under the same id changes nothing."""
    body: dict[str, Json] = {
        "pool_id": pool, "units": units, "from_at": begin, "until_at": until, "reason": reason,
        "tenants": _names(tenants), "jobs": _names(jobs),
    }  # fmt: skip
    with connect(url, api_key) as client:
        one = client.put(f"/v1/reservations/{reservation_id}", body)
    if as_json:
        emit_json(one)
    else:
        since, until_text = minute_time(one["from_at"]), minute_time(one["until_at"])
        line(f"{one['units']} units of {one['pool_id']} are reserved from {since} to {until_text}")
        line(f"end it with `suanwang reservations end {one['id']}`")


@app.command("end")
def end(
    reservation_id: ReservationId, url: Url = None, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """End a reservation now."""
    with connect(url, api_key) as client:
        one = client.post(f"/v1/reservations/{reservation_id}/end")
    if as_json:
        emit_json(one)
    else:
        line(f"reservation {one['id']} ended at {minute_time(one['until_at'])}")


def _names(text: str) -> list[Json]:
    return [name.strip() for name in text.split(",") if name.strip()]
