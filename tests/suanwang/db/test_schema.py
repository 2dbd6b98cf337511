"""The revisions make the tables that the program declares, on both databases."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Engine, Table, Text, delete, insert, inspect, select, text, update
from sqlalchemy.exc import DBAPIError
from tampering import tampering

from suanwang.db import schema
from suanwang.db.engine import open_engine, reading, writing
from suanwang.db.partitions import is_part
from suanwang.db.tables import account, journal, ledger_period, metadata, tenant
from suanwang.db.tables.families import families
from suanwang.db.triggers import APPEND_ONLY
from suanwang.db.types import UtcDateTime
from suanwang.errors import Conflict

CENTRES = 4


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def empty_engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A database without any table."""
    is_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/x.db" if is_sqlite else request.getfixturevalue("postgres_url")
    engine = open_engine(url)
    yield engine
    engine.dispose()


def row_of(table: Table) -> dict[str, object]:
    """Return some row of a table without JSON columns; every number is 1, every text an x."""
    return {column.name: value_for(column) for column in table.columns}


def value_for(column: Column[Any]) -> object:
    if isinstance(column.type, UtcDateTime):
        return datetime(2026, 1, 1, tzinfo=UTC)
    return "x" if isinstance(column.type, Text) else 1


def test_an_empty_database_is_brought_to_the_newest_revision(empty_engine: Engine) -> None:
    assert schema.current(empty_engine) == ""
    assert not schema.is_current(empty_engine)
    assert schema.upgrade(empty_engine) == schema.head()
    assert schema.is_current(empty_engine)
    names = inspect(empty_engine).get_table_names()
    made = {name for name in names if not is_part(name)}
    assert made == set(metadata.tables) | {"alembic_version"}


def test_the_revisions_and_the_declared_tables_do_not_differ(empty_engine: Engine) -> None:
    schema.upgrade(empty_engine)
    assert schema.difference(empty_engine) == ""


def test_a_table_that_has_no_revision_is_noticed(empty_engine: Engine) -> None:
    schema.upgrade(empty_engine)
    with writing(empty_engine) as connection:
        connection.execute(text("DROP TABLE attempt_log"))
    assert "attempt_log" in schema.difference(empty_engine)


def test_a_table_that_the_program_does_not_declare_is_noticed(empty_engine: Engine) -> None:
    schema.upgrade(empty_engine)
    with writing(empty_engine) as connection:
        connection.execute(text("CREATE TABLE forgotten (id TEXT PRIMARY KEY)"))
    assert "forgotten" in schema.difference(empty_engine)


def test_the_families_hold_every_table_once_and_point_at_no_later_one() -> None:
    seen: set[str] = set()
    for tables in families().values():
        assert not seen & tables
        seen |= tables
        keys = (key for name in tables for key in metadata.tables[name].foreign_keys)
        assert {key.column.table.name for key in keys} <= seen
    assert seen == set(metadata.tables)


@pytest.mark.postgresql
def test_the_revisions_leave_room_for_new_versions_of_rows(postgres_url: str) -> None:
    engine = open_engine(postgres_url)
    schema.upgrade(engine)
    room = text(
        "SELECT relname, reloptions FROM pg_class WHERE relkind = 'r' AND reloptions > '{}'"
    )
    with reading(engine) as connection:
        found = {name: set(options) for name, options in connection.execute(room)}
    engine.dispose()
    declared = {table.name: table.dialect_options["postgresql"] for table in metadata.sorted_tables}
    wanted = {name: options["with"] for name, options in declared.items() if options["with"]}
    assert found == {name: {"fillfactor=50"} for name in wanted}
    assert set(wanted) == {"account", "hold"}


def test_a_second_upgrade_changes_nothing(empty_engine: Engine) -> None:
    schema.upgrade(empty_engine)
    with writing(empty_engine) as connection:
        row = {"id": "cash:t", "kind": "cash", "balance_fen": 5, "is_guarded": 1}
        connection.execute(insert(account).values(row))
    schema.upgrade(empty_engine)
    with reading(empty_engine) as connection:
        assert connection.execute(select(account.c.balance_fen)).scalar_one() == 5


def test_several_centres_that_start_at_once_upgrade_once(empty_engine: Engine) -> None:
    with ThreadPoolExecutor(CENTRES) as centres:
        revisions = list(centres.map(schema.upgrade, [empty_engine] * CENTRES))
    assert revisions == [schema.head()] * CENTRES


def test_a_database_of_a_newer_program_is_left_alone(empty_engine: Engine) -> None:
    schema.upgrade(empty_engine)
    with writing(empty_engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Conflict, match="9999"):
        schema.upgrade(empty_engine)


def test_a_downgrade_to_the_base_removes_every_table(empty_engine: Engine) -> None:
    schema.upgrade(empty_engine)
    schema.downgrade(empty_engine, "base")
    assert set(inspect(empty_engine).get_table_names()) == {"alembic_version"}


def test_foreign_keys_are_enforced_after_an_upgrade(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/x.db")
    schema.upgrade(engine)
    with pytest.raises(DBAPIError), writing(engine) as connection:
        connection.execute(insert(ledger_period).values(row_of(ledger_period)))
    engine.dispose()


@pytest.fixture(params=["create_all", "revisions"])
def protected_engine(request: pytest.FixtureRequest, empty_engine: Engine) -> Engine:
    """A database with all tables, made in either way, and an entry in its journal."""
    if request.param == "create_all":
        metadata.create_all(empty_engine)
    else:
        schema.upgrade(empty_engine)
    with writing(empty_engine) as connection:
        connection.execute(insert(tenant).values(row_of(tenant)))
        connection.execute(insert(account).values(row_of(account)))
        connection.execute(insert(journal).values(row_of(journal)))
        connection.execute(insert(ledger_period).values(row_of(ledger_period)))
    return empty_engine


@pytest.mark.parametrize("table", [journal, ledger_period], ids=str)
def test_a_written_entry_is_never_changed(protected_engine: Engine, table: Table) -> None:
    assert table.name in APPEND_ONLY
    last = list(table.c)[-1]
    with pytest.raises(DBAPIError, match="never changed"), writing(protected_engine) as connection:
        connection.execute(update(table).values({last.name: last}))


@pytest.mark.parametrize("table", [journal, ledger_period], ids=str)
def test_a_written_entry_is_never_deleted(protected_engine: Engine, table: Table) -> None:
    with pytest.raises(DBAPIError, match="never changed"), writing(protected_engine) as connection:
        connection.execute(delete(table))


def test_the_journal_cannot_be_emptied_at_a_stroke(postgres_engine: Engine) -> None:
    with pytest.raises(DBAPIError, match="never changed"), writing(postgres_engine) as connection:
        connection.execute(text("TRUNCATE ledger_period"))


def test_a_tampering_test_puts_the_protection_back(protected_engine: Engine) -> None:
    with tampering(protected_engine) as connection:
        connection.execute(delete(ledger_period))
    with pytest.raises(DBAPIError, match="never changed"), writing(protected_engine) as connection:
        connection.execute(delete(journal))
