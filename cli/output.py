"""What the command line prints: tables on a terminal, plain text in a pipe, JSON on request."""

import json
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Final

import typer

Json = Any
"""A parsed JSON document, at the edge where it is only printed."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text.")]

Past = Annotated[bool, typer.Option("--past", help="Those that are over too.")]

Column = str | Callable[[Json], str]
"""A cell of each item: the field of that name, or what a function makes of the item."""

NOTHING: Final = "–"


def emit_json(document: Json) -> None:
    """Print a JSON document on standard output."""
    typer.echo(json.dumps(document, ensure_ascii=False, indent=2, default=str))


def emit_csv(columns: Sequence[str], rows: Iterable[Sequence[Json]]) -> None:
    """Print rows as CSV with a head on standard output; nothing is an empty field."""
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)


def line(text: str = "") -> None:
    """Print a line on standard output."""
    typer.echo(text)


def note(text: str) -> None:
    """Print a line for people on standard error, out of the way of what a program reads."""
    typer.echo(text, err=True)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "") -> None:
    """Print a table: by rich on a terminal, aligned plain text in a pipe."""
    if sys.stdout.isatty():
        _rich_table(columns, rows, title)
        return
    if title:
        line(title)
    widths = [max(_width(row[index]) for row in (columns, *rows)) for index in range(len(columns))]
    for row in (columns, *rows):
        cells = (_pad(cell, width) for cell, width in zip(row, widths, strict=True))
        line("  ".join(cells).rstrip())


def show_list(answer: Json, as_json: bool, columns: Mapping[str, Column]) -> None:
    """Print the items of an answer as a table, a column for each head, or the answer as JSON."""
    if as_json:
        emit_json(answer)
        return
    table(
        tuple(columns),
        [[_cell(item, column) for column in columns.values()] for item in answer["items"]],
    )


def _cell(item: Json, column: Column) -> str:
    value = item[column] if isinstance(column, str) else column(item)
    return NOTHING if value is None else str(value)


def _rich_table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(title=title or None, title_justify="left", header_style="bold")
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*(Text(cell) for cell in row))
    Console().print(shown)


def _width(text: str) -> int:
    """Return the columns that ``text`` takes on a screen; a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _pad(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def yuan(amount_fen: Json) -> str:
    """Write fen as yuan, or a dash for nothing."""
    from suanwang.units import yuan_text

    return NOTHING if amount_fen is None else yuan_text(int(amount_fen))


def number(value: Json, digits: int = 1, unit: str = "") -> str:
    """Write a number with its unit, or a dash for nothing."""
    return NOTHING if value is None else f"{float(value):,.{digits}f}{' ' if unit else ''}{unit}"


def minute_time(text: Json) -> str:
    """Write an RFC 3339 moment with its year, in the reader's own zone, to the minute."""
    from datetime import datetime

    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M}"


def span_times(start: Json, end: Json) -> tuple[str, str]:
    """Write both ends of a period: to the second where it is shorter than an hour."""
    from datetime import datetime, timedelta

    edges = [datetime.fromisoformat(text).astimezone() for text in (start, end)]
    is_short = edges[1] - edges[0] < timedelta(hours=1)
    style = "%Y-%m-%d %H:%M:%S" if is_short else "%Y-%m-%d %H:%M"
    return edges[0].strftime(style), edges[1].strftime(style)


def clock_time(text: Json) -> str:
    """Write an RFC 3339 moment in the reader's own zone, to the second; a dash for nothing."""
    from datetime import datetime

    return NOTHING if not text else f"{datetime.fromisoformat(text).astimezone():%m-%d %H:%M:%S}"
