"""An installed wheel brings its revisions along, and needs no file of the checkout."""

from pathlib import Path

import pytest
from wheels import run_from_wheel

PROGRAM = """
import sys
import suanwang
from suanwang.db import schema
from suanwang.db.engine import open_engine
assert suanwang.__file__.startswith(sys.argv[1]), suanwang.__file__
engine = open_engine(sys.argv[2])
assert schema.upgrade(engine) == schema.head() != ""
assert schema.difference(engine) == ""
"""


@pytest.mark.parametrize(
    "database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)]
)
def test_a_wheel_in_another_folder_upgrades_an_empty_database(
    database: str, installed_wheel: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = "sqlite:///x.db" if database == "sqlite" else request.getfixturevalue("postgres_url")
    ran = run_from_wheel(installed_wheel, ["-c", PROGRAM, str(installed_wheel), url], tmp_path)
    assert ran.returncode == 0, ran.stderr


def test_a_wheel_holds_every_kind_of_file_that_the_packages_read(installed_wheel: Path) -> None:
    for name in ("suanwang/db/migrations/script.py.mako", "suanwang/py.typed"):
        assert (installed_wheel / name).is_file(), name
    assert list((installed_wheel / "suanwang" / "db" / "migrations" / "versions").glob("0001*.py"))


def test_a_wheel_installs_no_tests(installed_wheel: Path) -> None:
    assert not (installed_wheel / "tests").exists()
