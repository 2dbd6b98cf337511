"""``suanwang voucher statement|settlement|programme-report``: files about money."""

from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from cli.connection import ApiKey, Url, connect
from cli.output import line
from suanwang.errors import BadInput


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
