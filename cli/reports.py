"""``suanwang voucher statement|settlement|programme-report|evidence|verify``: files about money."""

from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from cli.connection import ApiKey, Url, connect
from cli.output import AsJson, Json, emit_json, line
from suanwang.errors import BadInput, SuanwangError


class FileKind(StrEnum):
    """How a report is written."""

    JSON = "json"
    XLSX = "xlsx"
    PDF = "pdf"
    CSV = "csv"
    BEANCOUNT = "beancount"


Month = Annotated[str, typer.Option(help="A month such as 2026-10, instead of --from and --to.")]
First = Annotated[str, typer.Option("--from", help="First day, such as 2026-10-01.")]
Last = Annotated[str, typer.Option("--to", help="Last day, included.")]
Kind = Annotated[FileKind, typer.Option("--format", help="Kind of file.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="File to write; - prints it.")]
_PRINTED: Final = Path("-")


def attach(app: typer.Typer) -> None:
    """Add the commands to ``suanwang voucher``."""
    app.command("statement")(statement)
    app.command("settlement")(settlement)
    app.command("programme-report")(programme_report)
    app.command("evidence")(evidence)
    app.command("verify")(verify)
    app.command("signing-key")(signing_key)


def statement(
    tenant_id: Annotated[str, typer.Argument(help="The enterprise; yours if left out.")] = "",
    month: Month = "",
    first: First = "",
    last: Last = "",
    kind: Kind = FileKind.XLSX,
    output: Output = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Write what an enterprise was granted, paid in, and paid in a period."""
    days = _days(month, first, last)
    with connect(url, api_key) as client:
        content = client.get_bytes(
            "/v1/reports/statement", **days, format=kind.value, tenant_id=tenant_id or None
        )
    _write(content, output, f"statement-{days['first']}-{days['last']}.{kind.value}")


def settlement(
    provider: Annotated[str, typer.Argument(help="The operator; yours if left out.")] = "",
    month: Month = "",
    first: First = "",
    last: Last = "",
    kind: Kind = FileKind.XLSX,
    output: Output = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Write what an operator's sites have earned in a period."""
    days = _days(month, first, last)
    with connect(url, api_key) as client:
        content = client.get_bytes(
            "/v1/reports/settlement", **days, format=kind.value, provider=provider or None
        )
    _write(content, output, f"settlement-{days['first']}-{days['last']}.{kind.value}")


def programme_report(
    programme: Annotated[str, typer.Argument(help="The programme.")],
    month: Month = "",
    first: First = "",
    last: Last = "",
    kind: Kind = FileKind.XLSX,
    output: Output = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Write what became of a programme's money in a period, lot by lot."""
    days = _days(month, first, last)
    with connect(url, api_key) as client:
        content = client.get_bytes(
            "/v1/reports/programme", **days, format=kind.value, programme=programme
        )
    _write(content, output, f"programme-{days['first']}-{days['last']}.{kind.value}")


def evidence(
    submission_id: Annotated[
        str, typer.Argument(help="The job, which has ended; left out: all of a period.")
    ] = "",
    contract: Annotated[str, typer.Option(help="Number of the contract.")] = "",
    invoice: Annotated[
        list[str] | None, typer.Option(help="NUMBER:PRICE[:TAX], such as 2637…78:100.00:6.00.")
    ] = None,
    payment: Annotated[
        list[str] | None, typer.Option(help="RECEIPT:AMOUNT:DAY, such as YH-17:106.00:2026-10-20.")
    ] = None,
    month: Month = "",
    first: First = "",
    last: Last = "",
    tenant_id: Annotated[
        str, typer.Option("--tenant", help="Of a period: the enterprise; yours if left out.")
    ] = "",
    award: Annotated[
        str, typer.Option(help="Of a period: only what the award of this application paid.")
    ] = "",
    output: Output = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Write signed usage certificates, of a job or of a period, that anybody verifies offline."""
    if bool(submission_id) == bool(month or first or last):
        raise BadInput(
            "of what is the evidence?", next_step="name a job, or a period such as --month 2026-10"
        )
    if not submission_id:
        if contract or invoice or payment:
            raise BadInput("papers of a period are those that are registered; name a job for yours")
        days = _days(month, first, last)
        with connect(url, api_key) as client:
            content = client.get_bytes(
                "/v1/reports/evidence", **days, tenant_id=tenant_id or None,
                application=award or None,
            )  # fmt: skip
        _write(content, output, f"evidence-{days['first']}-{days['last']}.zip")
        return
    if tenant_id or award:
        raise BadInput("--tenant and --award are for a period", next_step="give --month")
    body = {
        "submission_id": submission_id,
        "contract_no": contract,
        "invoices": [_invoice(text) for text in invoice or []],
        "payments": [_payment(text) for text in payment or []],
    }
    with connect(url, api_key) as client:
        content = client.post_bytes("/v1/reports/evidence", body)
    _write(content, output, f"evidence-{submission_id}.zip")


def verify(
    pack: Annotated[Path, typer.Argument(help="The pack.", exists=True, dir_okay=False)],
    key: Annotated[str, typer.Option(help="Public key in hex, from a source you trust.")] = "",
    head: Annotated[str, typer.Option(help="SEQ:LINK, an end of the chain that you kept.")] = "",
    journal: Annotated[
        Path | None, typer.Option(help="The exported journal, where you have it.", exists=True)
    ] = None,
) -> None:
    """Check an evidence pack offline; the same program is inside every pack."""
    from voucher.reports.verify_evidence import verify as verify_pack

    failed = verify_pack(str(pack), key, head, str(journal or ""))
    if failed:
        raise SuanwangError(f"{failed} things are wrong", next_step="see docs/auditors.md")
    line("all of it holds")


def signing_key(url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Show the key that evidence is signed with, and the end of the chain now: keep both."""
    with connect(url, api_key) as client:
        answer = client.get("/v1/reports/signing-key")
    if as_json:
        emit_json(answer)
        return
    line(f"key   {answer['public_key']}")
    line(f"head  {answer['chain_seq']}:{answer['chain_link']}")


def _invoice(text: str) -> Json:
    number, _, amounts = text.partition(":")
    price, _, tax = amounts.partition(":")
    return {"number": number, "amount_fen": _fen(price), "tax_fen": _fen(tax) if tax else 0}


def _payment(text: str) -> Json:
    parts = text.split(":")
    if len(parts) != 3:
        raise BadInput(f"--payment {text!r} is not a payment", next_step="write RECEIPT:AMOUNT:DAY")
    return {"receipt": parts[0], "amount_fen": _fen(parts[1]), "paid_on": parts[2]}


def _fen(text: str) -> int:
    from suanwang.units import parse_yuan

    try:
        return parse_yuan(text)
    except ValueError as failure:
        raise BadInput(str(failure)) from failure


def _days(month: str, first: str, last: str) -> dict[str, str]:
    """Return the period's days; raise BadInput for none, for half of one, and for both forms."""
    if bool(month) == bool(first or last) or bool(first) != bool(last):
        raise BadInput("which period?", next_step="give --month 2026-10, or --from and --to")
    try:
        if month:
            start = date.fromisoformat(f"{month}-01")
            end = (start + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        else:
            start, end = date.fromisoformat(first), date.fromisoformat(last)
    except ValueError as failure:
        raise BadInput(
            f"not a period: {failure}", next_step="write days such as 2026-10-01"
        ) from failure
    return {"first": start.isoformat(), "last": end.isoformat()}


def _write(content: bytes, output: Path | None, name: str) -> None:
    if output == _PRINTED:
        typer.echo(content, nl=False)
        return
    path = output or Path(name)
    path.write_bytes(content)
    line(f"{path}: {len(content):,} bytes")
