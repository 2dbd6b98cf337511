"""``suanwang inventory`` against a centre on a socket."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_client import site_body
from api_server import PATIENCE_S, RunningCentre, running_centre
from cli_desk import RUNNER
from inventory_builders import HALL, a_workbook, hall
from sqlalchemy import Engine

from cli.energy import meters_app
from cli.inventory import app
from suanwang.errors import BadInput, Conflict, NotFound, Refused
from suanwang.model.tenant import Role


@pytest.fixture
def centre(sqlite_engine: Engine) -> Iterator[RunningCentre]:
    with running_centre(sqlite_engine, cycle_s=30) as running:
        running.key("dc-east", Role.OPERATOR)
        headers = {"Authorization": f"Bearer {running.admin}"}
        made = httpx.post(
            f"{running.url}/v1/sites", json=site_body(), headers=headers, timeout=PATIENCE_S
        )
        assert made.status_code == 201, made.text
        yield running


class Clerk:
    """Somebody who keeps the inventory."""

    def __init__(self, centre: RunningCentre) -> None:
        self._where = ("--url", centre.url, "--api-key", centre.key("dc-east", Role.OPERATOR))

    def run(self, *words: str | Path) -> str:
        """Run a command that must succeed and return what it prints."""
        done = RUNNER.invoke(app, [*map(str, words), *self._where], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    def refused(self, *words: str | Path) -> tuple[BaseException, str]:
        """Run a command that must fail; return its error and what it printed."""
        done = RUNNER.invoke(app, [*map(str, words), *self._where])
        assert done.exception is not None, done.output
        return done.exception, done.output

    def json(self, *words: str | Path) -> Any:
        """Run a command and return the JSON that it prints."""
        return json.loads(self.run(*words, "--json"))


def test_a_site_is_filled_looked_at_changed_and_explained(
    centre: RunningCentre, tmp_path: Path
) -> None:
    clerk = Clerk(centre)
    file = tmp_path / "hall.xlsx"
    file.write_bytes(hall())
    trial = clerk.run("import", "east", file, "--dry-run")
    assert "+ racks k1" in trial
    assert "would be added 14, would be changed 0" in trial
    assert "2 are not in the file and stay: meters east-facility, meters east-it" in trial
    assert "added 14, changed 0, removed 0, unchanged 0; revision 2" in clerk.run(
        "import", "east", file, "--reason", "survey"
    )
    assert "unchanged 14; revision 2" in clerk.run("import", "east", file)
    shown = clerk.run("show", "east")
    assert "racks that stand are rated 20,000 W, 8.0 standard racks" in shown
    listed = clerk.run("list", "east", "racks", "--limit", "2")
    assert "A-02" in listed
    assert "--after k2" in listed
    assert "no hosts" not in clerk.run("list", "east", "hosts")
    changed = clerk.run("set", "east", "racks", "k2", "delivery=in_use", "--reason", "sold")
    assert "~ racks k2: delivery delivered → in_use" in changed
    assert "in_use" in clerk.run("get", "east", "racks", "k2")
    assert "- racks k3" in clerk.run("remove", "east", "racks", "k3", "--reason", "scrapped")
    history = clerk.run("history", "east")
    assert "survey" in history
    assert "registration" in history
    life = clerk.run("history", "east", "racks", "k2")
    assert "delivery: delivered → in_use" in life
    assert "removed racks k3" in clerk.run("history", "east", "--revision", "4")
    out = tmp_path / "out.xlsx"
    clerk.run("export", "east", "--out", out)
    assert "added 0, changed 0, removed 0, unchanged 15" in clerk.run("import", "east", out)
    clerk.run("export", "east", "--kind", "racks", "--out", tmp_path / "racks.csv")
    again = clerk.run("import", "east", tmp_path / "racks.csv", "--kind", "racks")
    assert "unchanged 2" in again


def test_bad_rows_end_with_a_refusal_and_the_sound_ones_are_in(
    centre: RunningCentre, tmp_path: Path
) -> None:
    clerk = Clerk(centre)
    file = tmp_path / "racks.xlsx"
    file.write_bytes(
        a_workbook(racks=[["id", "name", "rated_w"], ["k1", "A", "1"], ["k2", "B", "?"]])
    )
    error, output = clerk.refused("import", "east", file, "--strict")
    assert (type(error), str(error)) == (Refused, f"1 faults in {file}; nothing was written")
    error, output = clerk.refused("import", "east", file)
    assert str(error) == f"1 faults in {file}; the sound rows are in"
    assert "racks line 3 k2, rated_w: '?' is no whole number (field)" in output
    assert [one["id"] for one in clerk.json("list", "east", "racks")["items"]] == ["k1"]


def test_wrong_words_are_told_with_the_next_step(centre: RunningCentre, tmp_path: Path) -> None:
    clerk = Clerk(centre)
    assert isinstance(clerk.refused("get", "east", "racks", "none")[0], NotFound)
    assert isinstance(clerk.refused("list", "west", "racks")[0], NotFound)
    error, _ = clerk.refused("set", "east", "racks", "k", "delivery", "--reason", "x")
    assert str(error) == "'delivery' is not field=value"
    error, _ = clerk.refused("set", "east", "racks", "k", "name=K", "--reason", "x")
    assert "rated_w: is missing" in str(error)
    assert isinstance(clerk.refused("history", "east", "racks")[0], BadInput)
    assert isinstance(clerk.refused("export", "east", "--out", tmp_path / "x.pdf")[0], BadInput)
    assert not isinstance(error, Conflict)


def test_the_template_is_written_without_a_centre(tmp_path: Path) -> None:
    out = tmp_path / "template.xlsx"
    done = RUNNER.invoke(app, ["template", "--out", str(out)], catch_exceptions=False)
    assert done.exit_code == 0
    assert out.read_bytes()[:2] == b"PK"
    assert HALL["racks"][0][0] == "id"


def test_the_tree_of_meters_is_drawn(centre: RunningCentre, tmp_path: Path) -> None:
    clerk = Clerk(centre)
    file = tmp_path / "hall.xlsx"
    file.write_bytes(hall())
    clerk.run("import", "east", file)
    key = centre.key("dc-east", Role.OPERATOR)
    words = ["tree", "east", "--url", centre.url, "--api-key", key]
    done = RUNNER.invoke(meters_app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert [text.split("  ")[0] for text in lines[1:3]] == ["east-facility", "east-it"]
    assert lines[4].startswith("└─ m-r1")
    assert lines[5].startswith("   └─ m-k1")
    assert "silent: m-r1" in lines[3]
