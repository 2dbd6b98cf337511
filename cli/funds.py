"""``suanwang voucher appropriate|pools|pay|payables``: funders' money, and payments by bank."""

from typing import Annotated

import typer

from cli.connection import ApiKey, Url, connect
from cli.ledger import Amount, Key, Receipt, amount_fen
from cli.output import AsJson, emit_json, line, show_list, table, yuan
from suanwang.errors import BadInput


def attach(app: typer.Typer) -> None:
    """Add the commands to ``suanwang voucher``."""
    app.command("appropriate")(appropriate)
    app.command("pools")(pools)
    app.command("pay")(pay)
    app.command("payables")(payables)


def appropriate(
    programme: Annotated[str, typer.Argument(help="The programme.")],
    funder: Annotated[str, typer.Argument(help="Who gives the money, as in the policy.")],
    amount: Amount,
    document: Annotated[str, typer.Option(help="What says so: number of the order.")],
    key: Key,
    withdraw: Annotated[bool, typer.Option(help="Take it out of the pool again.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Put a funder's money into a programme's pool; nothing is granted beyond it from then on."""
    body = {
        "programme": programme, "funder": funder, "amount_fen": amount_fen(amount),
        "document": document, "is_withdrawal": withdraw,
    }  # fmt: skip
    with connect(url, api_key) as client:
        answer = client.post("/v1/ledger/appropriations", body, key=key)
    if as_json:
        emit_json(answer)
    else:
        line(
            f"{amount} CNY {'out of' if withdraw else 'into'} the pool of {funder} for {programme}"
        )


def pools(
    programme: Annotated[str | None, typer.Argument(help="The programme; all if left out.")] = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show each funder's money: in the pool, granted, and what became of it."""
    with connect(url, api_key) as client:
        answer = client.get("/v1/ledger/pools", programme=programme)
    if as_json:
        emit_json(answer)
        return
    amounts = ("appropriated", "pool", "granted", "available", "held", "spent", "expired",
               "recalled", "returned")  # fmt: skip
    table(
        ("programme", "funder", *amounts),
        [
            (
                one["programme"],
                one["funder"] if one["has_pool"] else f"{one['funder']} (no pool)",
                *(yuan(one[f"{name}_fen"]) for name in amounts),
            )
            for one in answer["items"]
        ],
    )


def pay(
    payee: Annotated[str, typer.Argument(help="Whom the ledger owes: a site.")],
    amount: Amount,
    receipt: Receipt,
    key: Key,
    programme: Annotated[str | None, typer.Option(help="Whose vouchers it earned it with.")] = None,
    cash: Annotated[bool, typer.Option(help="It earned it in cash of tenants.")] = False,
    returned: Annotated[bool, typer.Option(help="The payee paid it back.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Book what a payee was paid by bank of what it has earned."""
    if (programme is None) != cash:
        raise BadInput("what did it earn it with?", next_step="give --programme NAME or --cash")
    body = {
        "payee": payee, "programme": programme, "amount_fen": amount_fen(amount),
        "receipt": receipt, "is_return": returned,
    }  # fmt: skip
    with connect(url, api_key) as client:
        answer = client.post("/v1/ledger/payments", body, key=key)
    if as_json:
        emit_json(answer)
    else:
        line(f"{amount} CNY {'back from' if returned else 'paid to'} {payee}, receipt {receipt}")


def payables(url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """List what payees have earned, and claims that are due, and nobody has paid yet."""
    with connect(url, api_key) as client:
        answer = client.get("/v1/ledger/payables")
    show_list(
        answer,
        as_json,
        {
            "payee": "payee",
            "earned with": "kind",
            "programme": "programme",
            "open": lambda one: yuan(one["open_fen"]),
        },
    )
