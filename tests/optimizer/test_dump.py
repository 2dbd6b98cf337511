"""A problem goes into a file and comes back equal; what leaves the house names nobody."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problem_builders import a_job, a_lot, a_problem, a_random_problem, a_site, timeless

from optimizer.dump import FORMAT, NAMINGS, VERSION, dump, load
from optimizer.planner import plan
from optimizer.problem import Family, Policy, Problem, Shape
from suanwang.errors import BadInput
from suanwang.model.plan import Plan

_SEEDS = st.integers(0, 100_000)
_HASHED = """
import sys
from problem_builders import a_random_problem
from optimizer.dump import dump
sys.stdout.write(dump(a_random_problem(11, jobs=30, classes=12)))
"""


@settings(max_examples=30, deadline=None)
@given(seed=_SEEDS)
def test_a_dump_with_names_comes_back_equal(seed: int) -> None:
    problem = a_random_problem(seed)
    assert load(dump(problem, with_names=True)) == problem


@settings(max_examples=10, deadline=None)
@given(seed=_SEEDS)
def test_a_dumped_problem_has_the_same_plan(seed: int) -> None:
    problem = a_random_problem(seed, jobs=30, classes=12)
    assert timeless(plan(load(dump(problem, with_names=True)))) == timeless(plan(problem))


@settings(max_examples=10, deadline=None)
@given(seed=_SEEDS)
def test_a_dump_without_names_has_the_same_plan_under_other_names(seed: int) -> None:
    problem = a_random_problem(seed, jobs=30, classes=12)
    hidden = plan(load(dump(problem)))
    true = plan(problem)
    assert (hidden.objective, hidden.bound, hidden.planner) == (
        true.objective,
        true.bound,
        true.planner,
    )
    assert _shapes(hidden) == _shapes(true)
    assert [one.reason for one in hidden.rejections] == [one.reason for one in true.rejections]


def _shapes(made: Plan) -> list[tuple[object, ...]]:
    return [
        (one.pool_id, one.start, one.units, one.cash_fen, sorted(one.lots.values()))
        for one in (*made.starts, *made.later)
    ]


def _secret() -> Problem:
    job = a_job(
        "zhang-san-llm",
        tenant_id="acme-pharma",
        data_home="patients",
        avoid={"near-gpu": "attempt 1 failed: token=hunter2"},
        shapes=(Shape(2, 1_800.0),),
        deadline_s=float("inf"),
    )
    return a_problem(
        jobs=[job, a_job("other", tenant_id="acme-bank")],
        sites=[a_site(data_homes=frozenset({"patients"}), closed_message="ask zhang-san")],
        lots=(a_lot("grant-2026", tenant_id="acme-pharma"),),
        cash_fen={"acme-pharma": 7_000, "acme-bank": 9},
        rtt_ms={("", "near"): 1.5},
        policy=Policy(families_off=frozenset({Family.DATA, Family.POWER})),
    )


def test_a_dump_names_nobody_and_keeps_the_amounts() -> None:
    text = dump(_secret())
    for secret in ("zhang", "acme", "patients", "grant-2026", "hunter2"):
        assert secret not in text
    hidden = load(text)
    assert [job.id for job in hidden.jobs] == ["job-000002", "job-000001"]
    assert hidden.jobs[0].data_home in hidden.sites[0].data_homes
    assert list(hidden.jobs[0].avoid) == ["near-gpu"]
    assert hidden.lots[0].tenant_id == hidden.jobs[0].tenant_id
    assert hidden.cash_fen[hidden.jobs[0].tenant_id] == 7_000
    assert load(dump(_secret(), with_names=True)) == _secret()


def _texts(kind: Any) -> Iterator[tuple[str, str]]:
    """Every field of a dataclass, and of those inside, whose type has text in it."""
    hints = get_type_hints(kind)
    for field in fields(kind):
        for part in _parts(hints[field.name]):
            if part is str:
                yield (kind.__name__, field.name)
            elif is_dataclass(part):
                yield from _texts(part)


def _parts(hint: Any) -> Iterator[Any]:
    while hasattr(hint, "__supertype__"):
        hint = hint.__supertype__
    yield hint
    for part in get_args(hint):
        yield from _parts(part)


def test_every_text_of_a_problem_is_known_to_be_private_or_not() -> None:
    assert set(_texts(Problem)) == set(NAMINGS)


def test_dumps_are_equal_in_every_process(tmp_path: Path) -> None:
    script = tmp_path / "hashed.py"
    script.write_text(_HASHED)
    found = set()
    for seed in ("0", "1", "4711"):
        environment = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": os.pathsep.join([str(Path("tests/support").resolve()), str(Path.cwd())]),
        }
        run = subprocess.run(
            [sys.executable, str(script)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(run.stdout)
    assert found == {dump(a_random_problem(11, jobs=30, classes=12))}


def _document() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(dump(a_problem(jobs=[a_job()])))
    return loaded


def test_a_text_that_is_no_dump_is_refused_with_words() -> None:
    with pytest.raises(BadInput, match="is not JSON"):
        load("{")
    with pytest.raises(BadInput, match="no dump of a problem"):
        load("[]")
    with pytest.raises(BadInput, match=f"has version 99, this program reads version {VERSION}"):
        load(json.dumps({"format": FORMAT, "version": 99}))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        pytest.param(("jobs", 0, "units"), "8", r"jobs\[0\].units is not of type int", id="text"),
        pytest.param(("jobs", 0, "units"), True, "is not of type int", id="yes is no number"),
        pytest.param(("jobs", 0, "run_s"), "long", "run_s is not a number", id="no number"),
        pytest.param(("jobs", 0, "mood"), 1, "without mood, which this version", id="unknown"),
        pytest.param(("jobs", 0, "data_class"), "x", "is not one of general", id="no such class"),
        pytest.param(("origin",), "today", "no moment: today", id="no moment"),
        pytest.param(("origin",), "2026-10-14", "not a moment with a zone", id="no zone"),
        pytest.param(("cash_fen",), [["a"]], r"cash_fen\[0\] is not a pair", id="no pair"),
        pytest.param(("slots", 0), {}, "is not with start_s, length_s", id="missing"),
        pytest.param(("sites",), {}, "sites is not a list", id="no list"),
        pytest.param(("sites", 0, "facility_w", 0, 0), [1.0], "is not 2 values", id="short"),
    ],
)
def test_a_broken_dump_is_refused_with_its_place(
    path: tuple[str | int, ...], value: object, words: str
) -> None:
    document = _document()
    at: Any = document["problem"]
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    with pytest.raises(BadInput, match=words):
        load(json.dumps(document))


def test_a_file_of_an_older_version_lacks_what_was_added_since() -> None:
    document = _document()
    assert "policy" in document["problem"]
    del document["problem"]["policy"]
    assert load(json.dumps(document)) == replace(
        a_problem(jobs=[_renamed()]), policy=Policy(), cash_fen={"tenant-000001": 1_000_000}
    )


def _renamed() -> Any:
    return a_job("job-000001", tenant_id="tenant-000001")
