"""Our own migration operations: tables that only grow, and tables in parts by time."""

from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import renderers
from alembic.operations import MigrateOperation, Operations

from suanwang.db.partitions import default_statements
from suanwang.db.triggers import drop_statements, make_statements


@Operations.register_operation("make_append_only")
class MakeAppendOnly(MigrateOperation):
    """Let a table refuse that its rows are changed or deleted."""

    def __init__(self, table: str) -> None:
        self.table = table

    @classmethod
    def make_append_only(cls, operations: Operations, table: str) -> None:
        """Make the triggers of ``table``."""
        operations.invoke(cls(table))

    def reverse(self) -> MigrateOperation:
        """Return the operation that undoes this one."""
        return DropAppendOnly(self.table)


@Operations.register_operation("drop_append_only")
class DropAppendOnly(MigrateOperation):
    """Undo ``make_append_only``; only a downgrade does that."""

    def __init__(self, table: str) -> None:
        self.table = table

    @classmethod
    def drop_append_only(cls, operations: Operations, table: str) -> None:
        """Remove the triggers of ``table``."""
        operations.invoke(cls(table))


@Operations.implementation_for(MakeAppendOnly)
def _make(operations: Operations, operation: MakeAppendOnly) -> None:
    for statement in make_statements(operation.table, operations.get_bind().dialect.name):
        operations.execute(statement)


@Operations.implementation_for(DropAppendOnly)
def _drop(operations: Operations, operation: DropAppendOnly) -> None:
    for statement in drop_statements(operation.table, operations.get_bind().dialect.name):
        operations.execute(statement)


@renderers.dispatch_for(MakeAppendOnly)
def _render_make(_context: AutogenContext, operation: MakeAppendOnly) -> str:
    return f'op.make_append_only("{operation.table}")'


@renderers.dispatch_for(DropAppendOnly)
def _render_drop(_context: AutogenContext, operation: DropAppendOnly) -> str:
    return f'op.drop_append_only("{operation.table}")'


@Operations.register_operation("make_default_part")
class MakeDefaultPart(MigrateOperation):
    """Give a table that is in parts its default part; it goes with the table."""

    def __init__(self, table: str) -> None:
        self.table = table

    @classmethod
    def make_default_part(cls, operations: Operations, table: str) -> None:
        """Make the default part of ``table``, where the database knows parts."""
        operations.invoke(cls(table))


@Operations.implementation_for(MakeDefaultPart)
def _make_default_part(operations: Operations, operation: MakeDefaultPart) -> None:
    for statement in default_statements(operation.table, operations.get_bind().dialect.name):
        operations.execute(statement)


@renderers.dispatch_for(MakeDefaultPart)
def _render_make_default_part(_context: AutogenContext, operation: MakeDefaultPart) -> str:
    return f'op.make_default_part("{operation.table}")'
