"""The commands around figures and certificates, against a centre in this process."""

from pathlib import Path
from typing import Any

import pytest
from api_client import World
from in_process import InProcess
from typer.testing import CliRunner

from cli import kpis
from suanwang.errors import BadInput, NotFound


@pytest.fixture
def run(small_world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Run a command as the admin, in an empty folder, with one site registered."""
    monkeypatch.chdir(tmp_path)
    small_world.register()
    monkeypatch.setattr(kpis, "connect", lambda url, key: InProcess(small_world))

    def call(*arguments: str) -> str:
        done = CliRunner().invoke(kpis.app, list(arguments), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    return call


def test_show_prints_every_figure_or_why_there_is_none(run: Any) -> None:
    text = run("show", "east")
    assert "standard_racks" in text
    assert "the site has no meter of the role water" in text
    assert '"kpi": "pue"' in run("show", "east", "--json")


def test_explain_prints_formula_basis_and_parts(run: Any) -> None:
    text = run("explain", "east", "standard_racks", "--period", "last-7d")
    assert "(standard-racks-1: design IT power / 2.5 kW)" in text
    assert "it_design_w" in text
    assert "withheld" in run("explain", "east", "pue")
    with pytest.raises(NotFound, match="nothing"):
        run("explain", "east", "nothing")


def test_targets_print_the_gaps_and_their_sources(run: Any) -> None:
    text = run("targets")
    assert "≥ 65000" in text
    assert "seed document" in text


def test_a_forecast_that_cannot_be_made_says_why(run: Any) -> None:
    assert run("forecast", "east").startswith("no forecast: ")


def test_certificates_go_in_from_a_file_and_are_used_once(run: Any) -> None:
    Path("numbers").write_text("GEC-1\n\nGEC-2\n")
    Path("nothing").write_text("\n")
    made = ("--made-from", "2026-01-01T00:00:00Z", "--made-until", "2026-02-01T00:00:00Z")
    whose = ("--origin", "CN-QH", "--owner", "dc-east")
    assert run("register", "numbers", *whose, *made).startswith("2 registered, 0 were so")
    when = ("--from", "2026-10-01T00:00:00Z", "--until", "2026-11-01T00:00:00Z")
    used = run("cancel", "east", "numbers", *when, "--reason", "October")
    assert used == "2 cancelled, 0 were so already; 2 MWh in all\n"
    assert run("certificates").count("east") >= 2
    later = ("--from", "2026-11-01T00:00:00Z", "--until", "2026-12-01T00:00:00Z")
    with pytest.raises(BadInput, match="counts once"):
        run("cancel", "east", "numbers", *later, "--reason", "again")
    with pytest.raises(BadInput, match="0 numbers"):
        run("register", "nothing", *whose, *made)
