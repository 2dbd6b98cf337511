"""Reservations from the command line, against a centre in this process."""

from typing import Any

import pytest
from api_client import World
from in_process import InProcess
from typer.testing import CliRunner

from cli import reservations
from suanwang.errors import BadInput


@pytest.fixture
def run(small_world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command as the admin, with one site registered."""
    small_world.register()
    monkeypatch.setattr(reservations, "connect", lambda url, key: InProcess(small_world))

    def call(*arguments: str) -> str:
        done = CliRunner().invoke(reservations.app, list(arguments), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    return call


def _add(pool: str, *more: str) -> list[str]:
    return [
        "add", "course", "--pool", pool, "--units", "2", "--from", "2027-01-01T00:00:00Z",
        "--until", "2027-01-02T00:00:00Z", "--tenants", "haiyun", *more,
    ]  # fmt: skip


def test_units_are_reserved_listed_and_set_free(small_world: World, run: Any) -> None:
    site = small_world.client.get("/v1/sites/east", small_world.operator).json()
    pool = site["pools"][0]["id"]
    said = run(*_add(pool))
    assert f"2 units of {pool} are reserved from 2027-01-01" in said
    assert "suanwang reservations end course" in said
    assert "haiyun" in run("list")
    assert "reservation course ended at" in run("end", "course")
    assert "course" not in run("list")
    assert "course" in run("list", "--past")


def test_a_pool_that_is_not_there_is_named(run: Any) -> None:
    with pytest.raises(BadInput, match="nowhere"):
        run(*_add("nowhere"))
