"""A centre with tenants, keys and sites, on each database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from api_client import ApiClient, World
from sqlalchemy import Engine

from suanwang.clock import VirtualClock
from suanwang.ids import SeededIds
from suanwang.settings import ServerSettings, Settings


def _world(engine: Engine, clock: VirtualClock, ids: SeededIds, folder: Path) -> World:
    return World(engine, clock, ids, Settings(server=ServerSettings(state_dir=folder)))


@pytest.fixture
def world(engine: Engine, clock: VirtualClock, ids: SeededIds, tmp_path: Path) -> Iterator[World]:
    """A centre on each of the two databases."""
    made = _world(engine, clock, ids, tmp_path)
    yield made
    made.client.close()


@pytest.fixture
def small_world(
    sqlite_engine: Engine, clock: VirtualClock, ids: SeededIds, tmp_path: Path
) -> Iterator[World]:
    """A centre on SQLite, for tests in which the database plays no part."""
    made = _world(sqlite_engine, clock, ids, tmp_path)
    yield made
    made.client.close()


@pytest.fixture
def client(small_world: World) -> ApiClient:
    """The client of the centre on SQLite."""
    return small_world.client
