"""``suanwang series`` against a centre in this process."""

import csv
import io
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from api_client import World
from in_process import InProcess
from series_builders import LAST_N, told
from typer.testing import CliRunner

from cli import series
from cli.client import error_of
from cli.series import bars
from suanwang.errors import BadInput, NotFound


class Told(InProcess):
    """Raises the errors that the command line's client raises."""

    asked = 0

    def __init__(self, world: World) -> None:
        super().__init__(world, world.operator)

    def get(self, path: str, **params: Any) -> Any:
        """Return a JSON answer, and count it."""
        Told.asked += 1
        return super().get(path, **params)

    def refusal(self, answer: Any, path: str) -> Exception:
        """Return the error that the command line's client makes of it."""
        return error_of(answer.status_code, answer.text, path)


@pytest.fixture
def run(small_world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command; return what it printed."""
    told(small_world)
    monkeypatch.setattr(series, "connect", lambda url, key: Told(small_world))

    def call(*arguments: str) -> str:
        done = CliRunner().invoke(series.app, list(arguments), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    return call


@pytest.fixture
def period(small_world: World) -> tuple[str, ...]:
    """Options that name a day around all samples."""
    now = small_world.clock.now()
    low, high = now - timedelta(days=1), now + timedelta(minutes=1)
    return ("--from", low.isoformat(), "--to", high.isoformat())


def test_series_are_listed_with_filters_and_pages(run: Any) -> None:
    assert [row.split()[1:] for row in run("list", "east").splitlines()[1:]] == [
        ["gpu:1", "power_w"],
        ["gpu:1", "temperature_c"],
    ]
    assert "temperature_c" not in run("list", "east", "--metric", "power_w")
    assert "power_w" in run("list", "east", "--subject", "gpu:*")
    assert "power_w" not in run("list", "east", "--subject", "gpu:_*")
    page = json.loads(run("list", "east", "--limit", "1", "--json"))
    assert len(page["items"]) == 1
    rest = json.loads(run("list", "east", "--after", str(page["next"]), "--json"))
    assert (len(rest["items"]), rest["next"]) == (1, None)


def test_a_series_is_shown_in_steps_with_bars(run: Any, period: tuple[str, ...]) -> None:
    text = run("show", "east", "gpu:1", "power_w", *period, "--step", "1h")
    lines = text.splitlines()
    assert lines[0].startswith("gpu:1 power_w")
    assert lines[1] == f"180 samples, least 0, mean {LAST_N / 2:g}, greatest {LAST_N}"
    assert lines[2][0] == "█"
    assert lines[2][-1] == "▁"
    assert len(lines) == 4 + len(lines[2])
    whole = json.loads(run("show", "east", "gpu:1", "power_w", *period, "--json"))
    assert whole["step_s"] == 3_600
    every = json.loads(run("show", "east", "1", *period, "--step", "0", "--json"))["items"]
    assert len(every) == 180


def test_samples_are_given_out_whole_or_in_steps_piece_by_piece(
    run: Any, period: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collectors.store_query.POINTS_MAX", 50)
    Told.asked = 0
    rows = list(csv.DictReader(io.StringIO(run("export", "east", *period))))
    assert len(rows) == 360
    assert Told.asked > 8
    power = [float(row["value"]) for row in rows if row["metric"] == "power_w"]
    assert power == [float(n) for n in reversed(range(180))]
    moments = [datetime.fromisoformat(row["at"]) for row in rows[:180]]
    assert moments == sorted(set(moments))
    out = tmp_path / "steps.jsonl"
    steps = ("--step", "1h", "--format", "jsonl", "--out", str(out), "--metric", "power_w")
    assert run("export", "east", *period, *steps) == ""
    found = [json.loads(row) for row in out.read_text().splitlines()]
    assert sum(step["samples"] for step in found) == 180
    assert set(found[0]) == {"subject", "metric", "at", "last", "mean", "min", "max", "samples"}
    assert len({step["at"] for step in found}) == len(found)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("show", "east", "999"), NotFound, "has no series 999"),
        (("show", "east", "gpu:1"), BadInput, "add one of power_w, temperature_c"),
        (("show", "east", "gpu:2", "power_w"), NotFound, "gpu:2 power_w"),
        (("show", "east", "1", "--from", "yesterday"), BadInput, "2026-11-20"),
        (("show", "east", "1", "--from", "-2x"), BadInput, "30s, 15m, 1h"),
        (("show", "east", "1", "--from", "-1h", "--to", "-2h"), BadInput, "is not before"),
        (("show", "east", "1", "--step", "often"), BadInput, "30s, 15m, 1h"),
        (("export", "east", "1", "77"), NotFound, "has no series 77"),
        (("export", "east", "--metric", "x"), NotFound, "no such series"),
        (("list", "nowhere"), NotFound, "nowhere"),
    ],
    ids=lambda each: "-".join(each) if isinstance(each, tuple) else "",
)
def test_what_cannot_be_says_what_can(
    run: Any, arguments: tuple[str, ...], error: type[NotFound | BadInput], words: str
) -> None:
    with pytest.raises(error) as told_error:
        run(*arguments)
    assert words in f"{told_error.value.message} {told_error.value.next_step}"


def test_nothing_in_a_time_is_said(run: Any) -> None:
    assert run("show", "east", "1", "--from", "-3d", "--to", "-2d").splitlines() == [
        "gpu:1 power_w  (series 1)"
    ]


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([1.0], "▁"),
        ([2.0, 2.0], "▁▁"),
        ([0.0, 7.0, 3.5], "▁█▅"),
        ([float(n) for n in range(960)], "".join(c * 12 for c in "▁▂▃▄▅▆▇█")),
    ],
)
def test_bars_reach_from_the_least_to_the_greatest(values: list[float], drawn: str) -> None:
    found = bars(values)
    assert len(found) == len(drawn)
    if len(values) < 96:
        assert found == drawn
    else:
        assert list(found) == sorted(found)
        assert set(found) == set("▁▂▃▄▅▆▇█")
