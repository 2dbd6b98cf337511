"""Writes the data dictionary: ``python -m suanwang.db.dictionary > docs/data-dictionary.md``."""

import sys
from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Column, Table
from sqlalchemy.types import JSON, BigInteger, Boolean, Float, Integer, LargeBinary, TypeEngine

from suanwang.db.tables import metadata
from suanwang.db.triggers import APPEND_ONLY
from suanwang.db.types import UtcDateTime

_HEAD: Final = """\
# Data dictionary

Every table of the centre, the same on SQLite and PostgreSQL. Moments are in UTC. Money is a whole
number of fen (1 CNY is 100 fen), prices are whole micro-yuan, energy in the record is whole
thousandths of a watt-hour. Where a column may be empty, its type says so.

This page is made from the tables (`make docs`).

"""

_TYPE_NAMES: Final[tuple[tuple[type[TypeEngine[Any]], str], ...]] = (
    (UtcDateTime, "moment"),
    (JSON, "JSON"),
    (Boolean, "yes or no"),
    (BigInteger, "64-bit integer"),
    (Integer, "integer"),
    (Float, "number"),
    (LargeBinary, "bytes"),
)


def page() -> str:
    """Return the page: every table, every column with its type, its key and its meaning."""
    tables = [metadata.tables[name] for name in sorted(metadata.tables)]
    index = ", ".join(f"[`{table.name}`](#{table.name})" for table in tables)
    return f"{_HEAD}Tables: {index}\n" + "".join(f"\n{line}" for line in _sections(tables))


def _sections(tables: list[Table]) -> Iterator[str]:
    for table in tables:
        yield f"## {table.name}\n"
        yield f"{table.comment}{_guard(table)}\n"
        yield "| column | type | key | meaning |\n|---|---|---|---|"
        for column in table.columns:
            yield f"| `{column.name}` | {_type(column)} | {_key(column)} | {column.comment} |"
        yield ""


def _guard(table: Table) -> str:
    if table.name not in APPEND_ONLY:
        return ""
    return " The database refuses to change or delete its rows."


def _type(column: Column[object]) -> str:
    names = (name for kind, name in _TYPE_NAMES if isinstance(column.type, kind))
    return next(names, "text") + (", may be empty" if column.nullable else "")


def _key(column: Column[object]) -> str:
    words = ["primary"] if column.primary_key else []
    words += ["unique"] if column.unique else []
    targets = sorted({key.target_fullname for key in column.foreign_keys})
    words += [f"→ `{target}`" for target in targets]
    return ", ".join(words)


if __name__ == "__main__":
    sys.stdout.write(page())
