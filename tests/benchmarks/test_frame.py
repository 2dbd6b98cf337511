"""The frame finds benchmarks by name, prints a table and writes flat JSON."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from benchmarks import frame
from benchmarks.__main__ import main
from benchmarks.frame import Figure, Options


class _Fake:
    def run(self, options: Options) -> Iterable[Figure]:
        yield Figure("fake.rate", 12345.6, "1/s", backend="sqlite", quick=options.quick)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "names", lambda: ("fake",))
    monkeypatch.setattr(frame, "load", lambda name: _Fake())


def test_benchmarks_are_the_modules_of_the_folder() -> None:
    assert "plan" in frame.names()
    assert not {"frame", "instances", "__main__"} & set(frame.names())
    with pytest.raises(KeyError):
        frame.load("nothing")


def test_every_benchmark_says_in_a_line_what_it_measures() -> None:
    assert all(frame.summary(name).endswith(".") for name in frame.names())


def test_a_run_prints_a_table_and_writes_flat_json(
    fake: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "figures.json"
    assert main(["fake", "--quick", "--json", str(target)]) == 0
    printed = capsys.readouterr().out
    assert "cores=" in printed
    assert "backend=sqlite quick=True  12,346  1/s" in printed
    (document,) = json.loads(target.read_text())
    machine = document.pop("machine")
    assert machine["python"]
    assert document == {
        "figure": "fake.rate",
        "backend": "sqlite",
        "quick": True,
        "value": 12345.6,
        "unit": "1/s",
    }


def test_all_runs_all(fake: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["all"]) == 0
    assert "fake.rate" in capsys.readouterr().out


def test_the_list_names_every_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert "plan" in capsys.readouterr().out


def test_an_unknown_benchmark_is_an_error_that_names_the_known(
    fake: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["nothing"]) == 2
    assert "unknown benchmark: nothing; there are: fake" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(0.000123456, "0.0001235", id="small"),
        pytest.param(999.94, "999.9", id="below a thousand"),
        pytest.param(1_234_567.8, "1,234,568", id="large"),
    ],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert frame.number(value) == text
