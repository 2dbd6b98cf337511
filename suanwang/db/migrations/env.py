"""Alembic's environment: it only ever runs on a connection that ``suanwang.db.schema`` hands in."""

from typing import Any, Final, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import CreateTableOp, MigrationScript
from sqlalchemy import Connection
from sqlalchemy.types import TypeEngine

from suanwang.db.migrations.operations import MakeAppendOnly, MakeDefaultPart
from suanwang.db.partitions import PARTED, is_part
from suanwang.db.tables import metadata
from suanwang.db.triggers import APPEND_ONLY
from suanwang.db.types import Int64, Json, JsonOrNull, UtcDateTime

_OURS: Final[dict[str, TypeEngine[Any]]] = {
    "Int64": Int64,
    "Json": Json,
    "JsonOrNull": JsonOrNull,
}


def render_type(kind: str, item: object, _context: AutogenContext) -> str | Literal[False]:
    """Write our own column types by their names."""
    if kind != "type":
        return False
    if isinstance(item, UtcDateTime):
        return "UtcDateTime()"
    return next((name for name, ours in _OURS.items() if repr(ours) == repr(item)), False)


def complete_new_tables(
    _context: object, _revision: object, scripts: list[MigrationScript]
) -> None:
    """Let new tables that only grow refuse changes, and give those in parts their default part."""
    for script in scripts:
        for upgrade in script.upgrade_ops_list:
            created = [op.table_name for op in upgrade.ops if isinstance(op, CreateTableOp)]
            names = [name for name in APPEND_ONLY if name in created]
            upgrade.ops.extend(MakeAppendOnly(name) for name in names)
            parted = [each.table for each in PARTED if each.table in created]
            upgrade.ops.extend(MakeDefaultPart(name) for name in parted)


def is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Leave out parts of tables: they come and go with time, and are no tables of the program."""
    return kind != "table" or name is None or not is_part(name)


def is_asked(_item: object, name: str | None, kind: str, _found: bool, _other: object) -> bool:
    """Compare only the tables that the caller asks about; all of them where it names none."""
    asked: frozenset[str] | None = context.config.attributes["tables"]
    return kind != "table" or asked is None or name in asked


def run(connection: Connection) -> None:
    """Bring the database to the asked revision in one transaction."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        render_item=render_type,
        process_revision_directives=complete_new_tables,
        include_name=is_ours,
        include_object=is_asked,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])
