"""Tables that only grow: the database itself refuses to change or delete their rows.

``create_all`` makes the triggers through a listener on the metadata, migrations make them through
``op.make_append_only``. The statements belong to released revisions: add to them, never edit them.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, MetaData, Table, text

from suanwang.db.partitions import PARTED

APPEND_ONLY: Final = (
    "journal",
    "ledger_period",
    "ledger_actor",
    "grant_event",
    "chain_anchor",
    "registry_entry",
    "inventory_revision",
    "inventory_change",
)

READ_ONLY: Final = ("alembic_version", *(each.default for each in PARTED))
"""What the centre only looks at: whether rows lie in a default part, for one."""

_FUNCTION: Final = """
CREATE OR REPLACE FUNCTION suanwang_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never changed', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END
$$
"""


def make_statements(table: str, dialect: str) -> tuple[str, ...]:
    """Return the SQL that makes ``table`` refuse UPDATE and DELETE (PostgreSQL: and TRUNCATE)."""
    if dialect == "postgresql":
        return (
            _FUNCTION,
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION suanwang_append_only()",
        )
    return tuple(
        f"CREATE TRIGGER {table}_refuses_{action.lower()} BEFORE {action} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, 'rows of {table} are never changed'); END"
        for action in ("UPDATE", "DELETE")
    )


def drop_statements(table: str, dialect: str) -> tuple[str, ...]:
    """Return the SQL that lets rows of ``table`` be changed again: for tests of the proof."""
    if dialect == "postgresql":
        return (f"DROP TRIGGER {table}_append_only ON {table}",)
    return tuple(f"DROP TRIGGER {table}_refuses_{action}" for action in ("update", "delete"))


def role_statements(role: str, tables: Sequence[str]) -> tuple[str, ...]:
    """Return the PostgreSQL that lets ``role`` run the centre, but never change what only grows.

    The tables must belong to another role: whoever owns a table can take its triggers away.
    """
    quoted = '"' + role.replace('"', '""') + '"'
    free = ", ".join(sorted(set(tables) - set(APPEND_ONLY)))
    return (
        f"GRANT USAGE ON SCHEMA public TO {quoted}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {free} TO {quoted}",
        f"GRANT SELECT, INSERT ON {', '.join(APPEND_ONLY)} TO {quoted}",
        f"GRANT SELECT ON {', '.join(READ_ONLY)} TO {quoted}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {quoted}",
    )


def protect_created(
    _metadata: MetaData, connection: Connection, tables: Sequence[Table] = (), **_options: object
) -> None:
    """Make the triggers of those append-only tables that ``create_all`` has just made."""
    for table in tables:
        if table.name in APPEND_ONLY:
            for statement in make_statements(table.name, connection.dialect.name):
                connection.execute(text(statement))
