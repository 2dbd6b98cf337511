"""Engines: SQLite in WAL with honest transactions, PostgreSQL by psycopg 3.

SQLite's driver opens a transaction only at the first write, which lets two readers both spend the
same money. Here every transaction begins with ``BEGIN IMMEDIATE``, so writers queue instead.
Readers that must not queue use ``reading`` below. SQLite's own queue has no order: who waits asks
again at growing intervals. So the writers of one process take turns before they ask.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import ConnectionPoolEntry

from suanwang.db.fair_lock import FairLock
from suanwang.errors import BadInput

BUSY_TIMEOUT_MS: Final = 30_000
_READ_ONLY: Final = "suanwang_read_only"
_turns: Final[WeakKeyDictionary[Engine, FairLock]] = WeakKeyDictionary()
"""Orders the writers of this process, for each SQLite engine."""


def open_engine(url: str | URL) -> Engine:
    """Return an engine for ``sqlite:///path`` or ``postgresql://…``; others are refused."""
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        return _open_sqlite(parsed)
    if backend == "postgresql":
        return _open_postgresql(parsed)
    raise BadInput(
        f"database {backend!r} is not supported",
        next_step="use sqlite:///PATH or postgresql://USER@HOST/NAME",
    )


def _open_sqlite(url: URL) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})

    def prepare(connection: sqlite3.Connection, _record: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"busy_timeout={BUSY_TIMEOUT_MS}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    def begin(connection: Connection) -> None:
        is_read = connection.get_execution_options().get(_READ_ONLY, False)
        connection.exec_driver_sql("BEGIN" if is_read else "BEGIN IMMEDIATE")

    _turns[engine] = FairLock()
    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", begin)
    return engine


def _open_postgresql(url: URL) -> Engine:
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=10,
        max_overflow=20,
        pool_pre_ping=True,
        isolation_level="READ COMMITTED",
    )


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that only reads: on SQLite it waits for no writer."""
    with (
        engine.connect().execution_options(**{_READ_ONLY: True}) as connection,
        connection.begin(),
    ):
        yield connection


def is_reading(connection: Connection) -> bool:
    """Return whether a connection was opened by ``reading``."""
    return bool(connection.get_execution_options().get(_READ_ONLY, False))


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that may write; it commits at the end, or rolls back on an error.

    On SQLite a thread must not open a second one inside it.
    """
    turn: AbstractContextManager[None] = _turns.get(engine) or nullcontext()
    with turn, engine.begin() as connection:
        yield connection
