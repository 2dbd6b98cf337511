"""Many rows in one statement, as each database likes it.

SQLite takes a row at a time, so its statements are compiled once and handed to the driver as they
are. PostgreSQL takes a whole column as one text that it cuts up itself: a tenth of the work of an
array that the driver writes value by value, and half of a JSON document.

Nothing that the ledger stores has the separators in it, since no text may have characters that
cannot be printed. One that had would leave its column longer than the others, and the database
would refuse the row that is filled up with nulls.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Executable,
    Row,
    Table,
    TableValuedAlias,
    Text,
    Update,
    bindparam,
    cast,
    func,
    insert,
    literal_column,
    select,
    type_coerce,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.types import NullType, TypeEngine

from suanwang.errors import Unavailable
from voucher.commands import canonical

Dialect = Literal["sqlite", "postgresql"]
Value = str | int | None

SEPARATOR: Final = "\x1e"
_NULL: Final = "\x1f"
_SQL_SEPARATOR: Final = literal_column(r"E'\x1e'", Text)
_SQL_NULL: Final = literal_column(r"E'\x1f'", Text)
_RAW: Final = NullType()


class Change(NamedTuple):
    """An update row by row: ``sets`` and ``where`` name columns of the table, all compared."""

    table: Table
    sets: tuple[str, ...]
    where: tuple[str, ...]


def dialect(connection: Connection) -> Dialect:
    """Return which of the two databases this is; raise Unavailable for any other."""
    name = connection.dialect.name
    if name == "sqlite":
        return "sqlite"
    if name == "postgresql":
        return "postgresql"
    raise Unavailable(f"the ledger does not run on {name}")


def insert_rows(connection: Connection, table: Table, rows: Sequence[Sequence[Value]]) -> None:
    """Insert rows, each in the order of the table's columns, moments as ``moment_text``."""
    if not rows:
        return
    if dialect(connection) == "sqlite":
        connection.exec_driver_sql(_sqlite_insert(table), [tuple(row) for row in rows])
    else:
        connection.execute(_insert(table), _columns([one.name for one in table.c], rows))


def change_rows(connection: Connection, change: Change, rows: Sequence[Sequence[Value]]) -> int:
    """Update each row that matches, and return how many did.

    A row has first what is set, then what is compared, in the order in which they are named.
    """
    if not rows:
        return 0
    if dialect(connection) == "sqlite":
        return connection.exec_driver_sql(_sqlite_update(change), [tuple(r) for r in rows]).rowcount
    return connection.execute(_update(change), _columns(_names(change), rows)).rowcount


def fetch(
    connection: Connection,
    statement: Callable[[Dialect], Executable],
    **lists: Collection[str],
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Run a statement whose parameters are lists of texts (``among``); no lists, no round trip."""
    if not any(lists.values()):
        return ()
    kind = dialect(connection)
    is_sqlite = kind == "sqlite"
    values = {
        name: canonical(list(texts)) if is_sqlite else SEPARATOR.join(texts)
        for name, texts in lists.items()
    }
    return connection.execute(statement(kind), values).all()


def among(column: ColumnElement[str], name: str, kind: Dialect) -> ColumnElement[bool]:
    """Return ``column in (the list bound as name)``: one parameter for a list of any length."""
    given = bindparam(name, type_=Text)
    if kind == "postgresql":
        cut = func.string_to_array(given, _SQL_SEPARATOR, type_=ARRAY(Text))
        return column.in_(select(func.unnest(cut)))
    return column.in_(select(func.json_each(given).table_valued("value").c.value))


def raw(moment: ColumnElement[datetime]) -> ColumnElement[Any]:
    """Return a column whose moments come as the driver has them, for ``read_moment``."""
    return type_coerce(moment, _RAW)


@lru_cache(maxsize=1024)
def read_moment(value: datetime | str) -> datetime:
    """Return a moment as the driver gives it; the rows of a batch share theirs."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


@lru_cache(maxsize=64)
def moment_text(moment: datetime, kind: Dialect) -> str:
    """Return a moment as it is stored: on SQLite texts of one length, in order of time."""
    utc = moment.astimezone(UTC)
    if kind == "sqlite":
        utc = utc.replace(tzinfo=None)
    return utc.isoformat(sep=" ", timespec="microseconds")


def _names(change: Change) -> list[str]:
    """Return names for what a row of the change has; a column can be set and compared."""
    return [f"to_{name}" for name in change.sets] + [f"at_{name}" for name in change.where]


@cache
def _sqlite_insert(table: Table) -> str:
    return str(insert(table).compile(dialect=sqlite.dialect()))


@cache
def _sqlite_update(change: Change) -> str:
    like = _types(change)
    given = {name: bindparam(name, type_=kind) for name, kind in like.items()}
    compiled = _changing(change, given).compile(dialect=sqlite.dialect())
    if compiled.positiontup != _names(change):
        raise AssertionError("the statement takes its values in another order")
    return str(compiled)


@cache
def _insert(table: Table) -> Executable:
    rows = _unnested({one.name: one.type for one in table.c})
    return insert(table).from_select([one.name for one in table.c], select(*rows.c))


@cache
def _update(change: Change) -> Executable:
    rows = _unnested(_types(change))
    return _changing(change, {one.name: one for one in rows.c})


def _types(change: Change) -> dict[str, TypeEngine[Any]]:
    columns = (*change.sets, *change.where)
    types = [change.table.c[name].type for name in columns]
    return dict(zip(_names(change), types, strict=True))


def _changing(change: Change, given: Mapping[str, ColumnElement[Any]]) -> Update:
    columns = change.table.c
    return (
        update(change.table)
        .where(*[columns[name] == given[f"at_{name}"] for name in change.where])
        .values({name: given[f"to_{name}"] for name in change.sets})
    )


def _unnested(types: Mapping[str, TypeEngine[Any]]) -> TableValuedAlias:
    """Return the rows that ``_columns`` binds.

    The last value of each text is dropped: it lets a column of one empty text be told from none.
    """
    arrays = []
    for name, kind in types.items():
        given = bindparam(name, type_=Text)
        texts = func.string_to_array(given, _SQL_SEPARATOR, _SQL_NULL, type_=ARRAY(Text))
        arrays.append(
            cast(func.trim_array(texts, literal_column("1"), type_=ARRAY(Text)), ARRAY(kind))
        )
    return func.unnest(*arrays).table_valued(*types).render_derived()


def _columns(names: Sequence[str], rows: Sequence[Sequence[Value]]) -> dict[str, str]:
    """Return the parameters for ``_unnested``: each column as one text.

    Column by column, since turning the rows around at once makes as many objects as there are
    rows, each of which the garbage collector looks at.
    """
    texts = {}
    for place, name in enumerate(names):
        values = [_NULL if row[place] is None else str(row[place]) for row in rows]
        texts[name] = SEPARATOR.join(values) + SEPARATOR
    return texts
