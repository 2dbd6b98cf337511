"""The rare bookings of ``suanwang voucher``: money given back, debts repaid, periods closed."""

from typing import Annotated

import typer

from cli.connection import ApiKey, Url, connect
from cli.output import AsJson, clock_time, emit_json, line, show_list, yuan
from suanwang.errors import BadInput

Amount = Annotated[str, typer.Argument(help="Amount in yuan, such as 12.50.")]
Receipt = Annotated[str, typer.Option(help="Number of the bank's receipt; each is booked once.")]
Key = Annotated[str, typer.Option(help="Your reference; a repeat changes nothing.")]


def attach(app: typer.Typer) -> None:
    """Add the commands to ``suanwang voucher``."""
    app.command("refund")(refund)
    app.command("repay")(repay)
    app.command("debts")(debts)
    app.command("close-period")(close_period)
    app.command("periods")(periods)


def amount_fen(text: str) -> int:
    """Return an amount in yuan as fen; raise BadInput for what is none."""
    from suanwang.units import parse_yuan

    try:
        return parse_yuan(text)
    except ValueError as failure:
        raise BadInput(str(failure)) from failure


def refund(
    attempt: Annotated[str, typer.Argument(help="The attempt that paid, such as job_0123-a1.")],
    amount: Amount,
    reason: Annotated[str, typer.Option(help="Why it goes back.")],
    key: Key,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Give back a part of what an attempt has paid."""
    body = {"attempt_id": attempt, "amount_fen": amount_fen(amount), "reason": reason}
    with connect(url, api_key) as client:
        answer = client.post("/v1/ledger/refunds", body, key=key)
    if as_json:
        emit_json(answer)
    else:
        line(f"{amount} CNY of attempt {attempt} given back")


def repay(
    tenant_id: Annotated[str, typer.Argument(help="The tenant's id.")],
    amount: Amount,
    lot: Annotated[str, typer.Option(help="The lot or claim that was taken back.")],
    receipt: Receipt,
    key: Key,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Book what a tenant paid of its debt from a clawback."""
    body = {
        "tenant_id": tenant_id, "lot_id": lot, "amount_fen": amount_fen(amount),
        "receipt": receipt,
    }  # fmt: skip
    with connect(url, api_key) as client:
        answer = client.post("/v1/ledger/repayments", body, key=key)
    if as_json:
        emit_json(answer)
    else:
        line(f"{amount} CNY of the debt of {tenant_id} repaid")


def debts(url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """List what is owed from clawbacks, by lot."""
    with connect(url, api_key) as client:
        answer = client.get("/v1/ledger/debts")
    show_list(
        answer,
        as_json,
        {
            "tenant": "tenant_id",
            "lot": "lot_id",
            "programme": "programme",
            "owed": lambda one: yuan(one["open_fen"]),
        },
    )


def close_period(
    period_id: Annotated[str, typer.Argument(help="Name of the period, such as 2026-10.")],
    ends_at: Annotated[str, typer.Option(help="RFC 3339 moment at which it ended.")],
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Close a period that has ended; a repeat changes nothing."""
    body = {"period_id": period_id, "ends_at": ends_at}
    with connect(url, api_key) as client:
        answer = client.post("/v1/ledger/periods", body, key=f"close:{period_id}")
    if as_json:
        emit_json(answer)
    else:
        line(f"period {period_id} is closed by entry {answer['seq']}")


def periods(url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """List the closed periods, each with the link to keep outside."""
    with connect(url, api_key) as client:
        answer = client.get("/v1/ledger/periods")
    show_list(
        answer,
        as_json,
        {
            "period": "id",
            "ended": lambda period: clock_time(period["ends_at"]),
            "closed": lambda period: clock_time(period["closed_at"]),
            "entry": "seq",
            "payable": lambda period: yuan(period["totals_fen"].get("payable", 0)),
            "link": "chain",
        },
    )
