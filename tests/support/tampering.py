"""Lets a test do what the database refuses, to prove that the damage is found afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text

from suanwang.db.engine import writing
from suanwang.db.triggers import APPEND_ONLY, drop_statements, make_statements


@contextmanager
def tampering(engine: Engine) -> Iterator[Connection]:
    """Open a transaction in which rows of the journal may be changed; it commits at the end."""
    dialect = engine.dialect.name
    with writing(engine) as connection:
        for table in APPEND_ONLY:
            for statement in drop_statements(table, dialect):
                connection.execute(text(statement))
        yield connection
        for table in APPEND_ONLY:
            for statement in make_statements(table, dialect):
                connection.execute(text(statement))
