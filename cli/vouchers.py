"""``suanwang voucher`` and ``suanwang tenants``: who pays, and whether the books are right."""

from pathlib import Path
from typing import Annotated

import typer

from cli import funds, grants, ledger, programmes, registry, reports
from cli.connection import ApiKey, Url, connect
from cli.output import NOTHING, AsJson, Json, clock_time, emit_json, line, table, yuan
from suanwang.errors import BadInput, SuanwangError

TenantName = Annotated[str, typer.Argument(help="The tenant's id.")]

app = typer.Typer(help="Show vouchers, grant one, check the ledger.")
reports.attach(app)
ledger.attach(app)
funds.attach(app)
app.add_typer(programmes.policy_app, name="policy")
app.add_typer(grants.app, name="apply")
app.add_typer(registry.app, name="registry")
app.command("simulate")(programmes.simulate)
tenants_app = typer.Typer(no_args_is_help=True, help="Register tenants and make their keys.")


@app.callback(invoke_without_command=True)
def vouchers(
    context: typer.Context,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show voucher lots and cash."""
    if context.invoked_subcommand:
        return
    with connect(url, api_key) as client:
        answer = client.get("/v1/vouchers")
    if as_json:
        emit_json(answer)
        return
    lot_table(answer["items"])
    for tenant_id, cash in sorted(answer.get("cash_fen", {}).items()):
        line(f"cash of {tenant_id}: {yuan(cash)} CNY")


def lot_table(lots: list[Json], title: str = "") -> None:
    """Print lots: what is left, held, spent, expired and recalled is together what was granted."""
    table(
        (
            "lot",
            "tenant",
            "programme",
            "granted",
            "left",
            "held",
            "spent",
            "expired",
            "recalled",
            "pays",
            "until",
        ),
        [
            (
                lot["id"],
                lot["tenant_id"],
                lot["programme"],
                yuan(lot["issued_fen"]),
                yuan(lot["available_fen"]),
                yuan(lot["held_fen"]),
                yuan(lot["spent_fen"]),
                yuan(lot["expired_fen"]),
                yuan(lot["recalled_fen"]),
                f"{lot['ratio_num']}/{lot['ratio_den']}",
                clock_time(lot["expires_at"]),
            )
            for lot in lots
        ],
        title=title,
    )


@app.command("issue")
def issue(
    tenant_id: TenantName,
    amount: Annotated[str, typer.Argument(help="Amount in yuan, such as 1000.00.")],
    lot: Annotated[str, typer.Option(help="Id of the lot; a repeat changes nothing.")],
    programme: Annotated[str, typer.Option(help="Programme that grants it.")],
    ratio: Annotated[str, typer.Option(help="Share of a price it may pay, such as 1/5.")],
    expires: Annotated[str, typer.Option(help="RFC 3339 moment at which it ends.")],
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Grant a voucher lot to a tenant."""
    numerator, slash, denominator = ratio.partition("/")
    if not (numerator.isdigit() and slash and denominator.isdigit()):
        raise BadInput(f"--ratio {ratio!r} is not a fraction", next_step="write it such as 1/5")
    body = {
        "lot_id": lot, "tenant_id": tenant_id, "programme": programme,
        "amount_fen": ledger.amount_fen(amount), "ratio_num": int(numerator),
        "ratio_den": int(denominator), "expires_at": expires,
    }  # fmt: skip
    with connect(url, api_key) as client:
        answer = client.post("/v1/vouchers", body, key=f"issue:{lot}")
    if as_json:
        emit_json(answer)
    else:
        line(f"lot {lot}: {amount} CNY granted to {tenant_id}")


@app.command("deposit")
def deposit(
    tenant_id: TenantName,
    amount: Annotated[str, typer.Argument(help="Amount in yuan.")],
    key: Annotated[str, typer.Option(help="Your reference; a repeat changes nothing.")],
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Book cash that a tenant paid in."""
    body = {"tenant_id": tenant_id, "amount_fen": ledger.amount_fen(amount), "key": key}
    with connect(url, api_key) as client:
        answer = client.post("/v1/cash", body, key=key)
    if as_json:
        emit_json(answer)
    else:
        line(f"{amount} CNY booked for {tenant_id}")


@app.command("check")
def check(
    policy: Annotated[
        str | None, typer.Argument(help="A policy to explain; the ledger when left out.")
    ] = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Prove the books, or explain a policy in words: postings sum to zero, the chain is whole."""
    if policy is not None:
        programmes.check(policy, as_json=as_json)
        return
    with connect(url, api_key) as client:
        answer = client.get("/v1/ledger/check")
    if as_json:
        emit_json(answer)
    else:
        line("the ledger is sound" if answer["is_sound"] else "THE LEDGER IS NOT SOUND")
        for finding in answer["findings"]:
            line(f"  {finding}")
    if not answer["is_sound"]:
        raise SuanwangError("the ledger is not sound", next_step="see docs/ledger.md")


@app.command("export-journal")
def export_journal(
    file: Annotated[Path, typer.Argument(help="File to write, such as journal.jsonl.")],
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Write the whole journal into a file that the stand-alone verifier checks."""
    try:
        with file.open("wb") as target, connect(url, api_key) as client:
            client.download("/v1/ledger/export", target)
    except OSError as failure:
        raise BadInput(f"{file} cannot be written: {failure.strerror}") from failure
    line(f"the journal is in {file}; check it with voucher/verifier.py, see docs/ledger.md")


@app.command("entries")
def entries(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most entries.")] = 50,
    after: Annotated[int, typer.Option(min=0, help="Only those after this number.")] = 0,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List your entries of the ledger, and who caused each; the centre's own have a dash."""
    with connect(url, api_key) as client:
        answer = client.get("/v1/ledger/entries", limit=limit, after=after)
    if as_json:
        emit_json(answer)
        return
    table(
        ("entry", "at", "kind", "by", "from", "to", "CNY"),
        [
            (
                str(entry["seq"]),
                clock_time(entry["at"]),
                entry["kind"],
                who(entry["by"]),
                posting["source"],
                posting["target"],
                yuan(posting["amount_fen"]),
            )
            for entry in answer["items"]
            for posting in entry["postings"]
        ],
    )


def who(actor: Json) -> str:
    """Return who caused something, for people; a dash for the centre itself."""
    return f"{actor['person']} ({actor['role']} of {actor['tenant_id']})" if actor else NOTHING


@tenants_app.command("add")
def add_tenant(
    tenant_id: TenantName,
    name: Annotated[str, typer.Argument(help="Name for people.")],
    uscc: Annotated[str, typer.Option(help="Unified social credit code.")] = "",
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Register a tenant."""
    with connect(url, api_key) as client:
        answer = client.post("/v1/tenants", {"id": tenant_id, "name": name, "uscc": uscc})
    if as_json:
        emit_json(answer)
    else:
        line(f"tenant {tenant_id} is registered")


@tenants_app.command("key")
def make_key(
    tenant_id: TenantName,
    role: Annotated[
        str,
        typer.Option(
            help="enterprise, researcher, operator, reviewer-district, reviewer-city or admin."
        ),
    ] = "enterprise",
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key for a tenant; it is shown once."""
    with connect(url, api_key) as client:
        answer = client.post(f"/v1/tenants/{tenant_id}/keys", {"role": role})
    if as_json:
        emit_json(answer)
    else:
        line(answer["secret"])
