"""Whole jobs on small anchors: no limit broken, never worse than floors, never under the bound."""

import pytest

from benchmarks.anchor import make_anchor
from benchmarks.frame import Options
from benchmarks.whole import round_down, rounding, whole_jobs
from optimizer.certificate import TOLERANCE, lagrangian_bound, violation
from optimizer.direct_route import solve_direct
from optimizer.solution import Limits


@pytest.mark.parametrize("seed", range(12))
def test_whole_jobs_break_no_limit_and_cost_no_more_than_floors(seed: int) -> None:
    anchor = make_anchor(24, seed, fitting=True)
    relaxed = solve_direct(anchor.model.relaxed(), Limits())
    made = whole_jobs(anchor, relaxed)
    assert violation(anchor.model, made.point(), integral=True) <= TOLERANCE
    assert made.cost() <= round_down(anchor, relaxed).cost()
    assert made.cost() >= lagrangian_bound(anchor.model, relaxed.duals) * (1 - 1e-9)


def test_equal_instances_give_equal_plans() -> None:
    anchor = make_anchor(40, 3, fitting=True)
    relaxed = solve_direct(anchor.model.relaxed(), Limits())
    first, second = (whole_jobs(anchor, relaxed) for _ in range(2))
    assert (first.placed == second.placed).all()


def test_the_smallest_size_is_within_the_target() -> None:
    figures = {figure.figure: figure.value for figure in rounding(Options(quick=True))}
    assert figures["plan.rounding_pct"] <= 16.0
    assert figures["plan.rounding_pct"] <= figures["plan.rounding_greedy_pct"]


def test_starts_that_find_no_room_are_left_out() -> None:
    every, fitting = make_anchor(57), make_anchor(57, fitting=True)
    assert len(fitting.starts.klass) < len(every.starts.klass)
    assert (fitting.classes.count == every.classes.count).all()
