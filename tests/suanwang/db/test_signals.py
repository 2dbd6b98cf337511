"""Work is announced with a commit, never without, and a lost connection loses only speed."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from sqlalchemy import Engine, text

from suanwang.db import signals
from suanwang.db.engine import writing
from suanwang.db.signals import Listener, announce

LIMIT_S = 20.0


@dataclass
class Heard:
    """Counts what was heard, and lets a test wait for the next word."""

    count: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def hear(self) -> None:
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def until(self, count: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.count >= count, LIMIT_S)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def listener(postgres_engine: Engine, heard: Heard) -> Iterator[Listener]:
    """A listener that has connected, which counts as the first word."""
    listener = Listener(postgres_engine, heard.hear)
    listener.start()
    assert heard.until(1)
    yield listener
    listener.stop()


@pytest.mark.postgresql
@pytest.mark.usefixtures("listener")
def test_a_commit_is_heard_and_a_rollback_is_not(postgres_engine: Engine, heard: Heard) -> None:
    with postgres_engine.connect() as connection:
        announce(connection)
        connection.rollback()
    with writing(postgres_engine) as connection:
        announce(connection)
    assert heard.until(2)
    with writing(postgres_engine) as connection:
        announce(connection)
    assert heard.until(3)
    # One word for each commit and one for the connecting: the rollback was not heard before them.
    assert heard.count == 3


@pytest.mark.postgresql
@pytest.mark.usefixtures("listener")
def test_a_lost_connection_is_made_anew_and_counts_as_a_word(
    postgres_engine: Engine, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals, "RETRY_S", 0.01)
    with writing(postgres_engine) as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE query = 'LISTEN suanwang_work' AND datname = current_database()"
            )
        )
    assert heard.until(2)
    with writing(postgres_engine) as connection:
        announce(connection)
    assert heard.until(3)


def test_sqlite_has_one_process_and_needs_no_word(sqlite_engine: Engine, heard: Heard) -> None:
    listener = Listener(sqlite_engine, heard.hear)
    listener.start()
    with writing(sqlite_engine) as connection:
        announce(connection)
    listener.stop()
    assert heard.count == 0
