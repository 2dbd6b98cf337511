"""The ledger does not start on a database that forgets."""

import pytest
from ledger_builders import START
from sqlalchemy import Engine, text

from suanwang.clock import VirtualClock
from suanwang.errors import Unavailable
from voucher.guard import check_durability, weak_settings
from voucher.writer import GroupWriter


def test_a_durable_database_passes(engine: Engine) -> None:
    with engine.begin() as connection:
        check_durability(connection)


@pytest.mark.parametrize("level", ["OFF", "NORMAL"])
def test_sqlite_below_full_is_refused(sqlite_engine: Engine, level: str) -> None:
    with sqlite_engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql(f"PRAGMA synchronous={level}")
        with pytest.raises(Unavailable, match=f"synchronous={level.lower()}"):
            check_durability(connection)
        connection.exec_driver_sql("PRAGMA synchronous=FULL")
        connection.exec_driver_sql("BEGIN")


@pytest.mark.postgresql
def test_postgresql_without_synchronous_commit_is_refused(postgres_engine: Engine) -> None:
    with postgres_engine.begin() as connection:
        connection.execute(text("SET LOCAL synchronous_commit = off"))
        with pytest.raises(Unavailable, match="synchronous_commit=off"):
            check_durability(connection)


@pytest.mark.parametrize(
    ("settings", "faults"),
    [
        pytest.param({"fsync": "off", "synchronous_commit": "on"}, ("fsync=off",), id="no fsync"),
        pytest.param({"fsync": "on", "synchronous_commit": "local"}, (), id="local is on disk"),
        pytest.param({"synchronous": "extra"}, (), id="extra is more than full"),
    ],
)
def test_settings_are_judged(settings: dict[str, str], faults: tuple[str, ...]) -> None:
    assert weak_settings(settings) == faults


@pytest.mark.postgresql
def test_the_writer_looks_before_it_starts(postgres_engine: Engine) -> None:
    name = postgres_engine.url.database
    with postgres_engine.connect() as connection:
        connection.execute(text(f'ALTER DATABASE "{name}" SET synchronous_commit = off'))
        connection.commit()
    postgres_engine.dispose()
    with pytest.raises(Unavailable):
        GroupWriter(postgres_engine, VirtualClock(START)).start()
