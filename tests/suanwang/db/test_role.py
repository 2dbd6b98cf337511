"""A role of PostgreSQL that runs the centre and cannot change what only grows."""

from collections.abc import Iterator

import pytest
from ledger_builders import a_capture, a_deposit, a_hold, accept, add_tenants
from sqlalchemy import Engine, delete, make_url, text, update
from sqlalchemy.exc import DBAPIError

from suanwang.db import schema
from suanwang.db.engine import open_engine
from suanwang.db.tables import metadata
from suanwang.db.triggers import APPEND_ONLY, role_statements
from voucher import store

ROLE = 'centre "one"'


@pytest.fixture
def centre(postgres_url: str) -> Iterator[Engine]:
    """A database of its owner, opened by a role with the rights that are printed."""
    owner = open_engine(postgres_url)
    schema.upgrade(owner)
    quoted = '"' + ROLE.replace('"', '""') + '"'
    with owner.begin() as connection:
        connection.execute(text(f"CREATE ROLE {quoted} LOGIN"))
        for statement in role_statements(ROLE, tuple(metadata.tables)):
            connection.execute(text(statement))
    engine = open_engine(make_url(postgres_url).set(username=ROLE))
    yield engine
    engine.dispose()
    with owner.begin() as connection:
        connection.execute(text(f"DROP OWNED BY {quoted}"))
        connection.execute(text(f"DROP ROLE {quoted}"))
    owner.dispose()


@pytest.mark.postgresql
def test_the_role_keeps_the_books_and_changes_no_entry(centre: Engine) -> None:
    assert schema.is_current(centre)
    with centre.begin() as connection:
        add_tenants(connection, "t1")
    accept(centre, a_deposit(), a_hold("h1", (None, 5)), a_capture("h1", 5))
    with centre.begin() as connection:
        assert store.check(connection).is_sound
    for table in APPEND_ONLY:
        column = next(iter(metadata.tables[table].columns))
        for statement in (
            update(column.table).values({column: column}),
            delete(metadata.tables[table]),
            text(f"TRUNCATE {table} CASCADE"),
            text(f"DROP TRIGGER {table}_append_only ON {table}"),
            text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"),
        ):
            with (
                pytest.raises(DBAPIError, match=r"denied|must be owner"),
                centre.begin() as connection,
            ):
                connection.execute(statement)
