"""Fixtures that every test may use: databases, a clock that stands still, and repeatable ids."""

import itertools
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import hypothesis
import pytest
from postgres_server import PostgresServer, ServerUnavailable, running_server
from sqlalchemy import Engine
from wheels import build_wheel, unpack_wheel

from suanwang.clock import VirtualClock
from suanwang.db.engine import open_engine
from suanwang.db.tables import metadata
from suanwang.ids import SeededIds

EPOCH: Final = datetime(2026, 10, 14, tzinfo=UTC)
SEED: Final = 20261014
_TEMPLATE: Final = "suanwang_template"
_numbers = itertools.count(1)

# Machines differ in speed, so no example has a deadline; CI draws the same examples each time.
hypothesis.settings.register_profile(
    "suanwang", deadline=None, derandomize="CI" in os.environ, print_blob=True
)
hypothesis.settings.load_profile("suanwang")


@pytest.fixture(scope="session", autouse=True)
def _settings_of_nobody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the settings of whoever runs the tests out of them, and out of what they start."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("SUANWANG_")]:
            patch.delenv(name)
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(scope="session")
def installed_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the built wheel installs, for ``run_from_wheel``; built once."""
    return unpack_wheel(build_wheel(tmp_path_factory.mktemp("wheel")))


@pytest.fixture
def clock() -> VirtualClock:
    """A clock that stands at 2026-10-14T00:00:00Z until the test moves it."""
    return VirtualClock(EPOCH)


@pytest.fixture
def ids(clock: VirtualClock) -> SeededIds:
    """Ids that are the same in every run."""
    return SeededIds(clock, SEED)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL, started once; tests that need it are skipped where none can be had."""
    try:
        with running_server() as server:
            yield server
    except ServerUnavailable as failure:
        pytest.skip(f"no PostgreSQL: {failure}")


@pytest.fixture(scope="session")
def _postgres_template(postgres_server: PostgresServer) -> str:
    engine = open_engine(postgres_server.create(_TEMPLATE))
    try:
        metadata.create_all(engine)
    finally:
        engine.dispose()
    return _TEMPLATE


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """URL of a fresh, empty PostgreSQL database: no tables."""
    name = f"test_{next(_numbers)}"
    yield postgres_server.create(name)
    postgres_server.drop(name)


@pytest.fixture
def postgres_engine(postgres_server: PostgresServer, _postgres_template: str) -> Iterator[Engine]:
    """A fresh PostgreSQL database with all tables."""
    name = f"test_{next(_numbers)}"
    engine = open_engine(postgres_server.create(name, _postgres_template))
    yield engine
    engine.dispose()
    postgres_server.drop(name)


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    engine = open_engine(f"sqlite:///{path}")
    metadata.create_all(engine)
    engine.dispose()
    return path


@pytest.fixture
def sqlite_engine(tmp_path: Path, _sqlite_template: Path) -> Iterator[Engine]:
    """A fresh SQLite database with all tables."""
    path = tmp_path / "suanwang.db"
    shutil.copyfile(_sqlite_template, path)
    engine = open_engine(f"sqlite:///{path}")
    yield engine
    engine.dispose()


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)],
)
def engine(request: pytest.FixtureRequest) -> Engine:
    """A fresh database with all tables, once on SQLite and once on PostgreSQL."""
    fixture = "sqlite_engine" if request.param == "sqlite" else "postgres_engine"
    chosen: Engine = request.getfixturevalue(fixture)
    return chosen
