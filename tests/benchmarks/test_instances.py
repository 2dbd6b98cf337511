"""Seeded problems are repeatable, and the benchmark of planning runs on the small ones."""

from benchmarks import plan
from benchmarks.frame import Options
from benchmarks.instances import Size, make_problem


def test_equal_seeds_give_equal_problems() -> None:
    assert make_problem(Size(), 7) == make_problem(Size(), 7)
    assert make_problem(Size(), 7) != make_problem(Size(), 8)


def test_the_planning_benchmark_measures_both_routes() -> None:
    figures = list(plan.run(Options(quick=True)))
    routes = {f.labels["route"] for f in figures if f.figure == "plan.hand_over_s"}
    assert routes == {"direct", "pulp"}
    differences = [f.value for f in figures if f.figure == "plan.routes_differ_by"]
    assert differences
    assert max(differences) < 1e-6
