"""A word between the processes of a centre on one PostgreSQL: there is work for the scheduler.

It is a hint and nothing more. It comes with the commit of what it is about, or not at all; whoever
misses it finds the work at its next cycle. SQLite has one process, which needs no word.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Final

from psycopg import Connection as Postgres
from psycopg import Error as PostgresError
from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from suanwang.background import Background

_LOG = logging.getLogger(__name__)

CHANNEL: Final = "suanwang_work"
LISTEN_S: Final = 1.0
"""How long it listens at once; after that it looks whether it is to end."""
RETRY_S: Final = 5.0
"""Pause after a connection was lost."""
JOIN_S: Final = 10.0


def announce(connection: Connection) -> None:
    """Tell all processes, once this transaction commits, that there is work."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_notify(CHANNEL, "")))


class Listener:
    """Calls ``hear`` on a thread of its own when work is announced, and after each connecting.

    On SQLite it does nothing. A lost connection is made anew; nothing is lost by that but speed.
    """

    def __init__(self, engine: Engine, hear: Callable[[], None]) -> None:
        self._engine = engine
        self._hear = hear
        self._background = Background("listener", self._run, join_s=JOIN_S)

    def start(self) -> None:
        """Start the thread."""
        if self._engine.dialect.name == "postgresql":
            self._background.start()

    def stop(self) -> None:
        """End within about a second."""
        self._background.stop()

    def _run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            try:
                self._listen(stopping)
            except (SQLAlchemyError, PostgresError) as failure:
                _LOG.warning("the word of other processes is not heard: %s", failure)
                stopping.wait(RETRY_S)

    def _listen(self, stopping: threading.Event) -> None:
        pooled = self._engine.raw_connection()
        driver = pooled.driver_connection
        assert isinstance(driver, Postgres), f"{driver} is no connection of PostgreSQL"
        pooled.detach()  # It is held for ever, so it is none of the pool's.
        with closing(pooled):
            driver.rollback()
            driver.autocommit = True
            driver.execute(f"LISTEN {CHANNEL}")
            self._hear()
            while not stopping.is_set():
                for _ in driver.notifies(timeout=LISTEN_S, stop_after=1):
                    self._hear()
