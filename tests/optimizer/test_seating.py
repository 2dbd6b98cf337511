"""Gangs that start now get nodes, and one that no node can hold goes elsewhere, with the reason."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from problem_builders import a_job, a_pool, a_problem, a_random_problem, a_site

from optimizer.check import violations
from optimizer.greedy import plan_greedy
from optimizer.planner import plan
from optimizer.problem import PoolSpec, Problem
from suanwang.model.plan import ReasonCode


def _split(*free: int, site: str = "near", size: int = 4) -> PoolSpec:
    units = sum(free)
    return a_pool(site, units=units, nodes=free, units_per_node=size)


def test_a_gang_sits_on_one_node_and_small_ones_leave_whole_nodes_whole() -> None:
    jobs = [a_job("gang", units=4), a_job("one"), a_job("two", units=2)]
    made = plan(a_problem(jobs=jobs, pools=[_split(4, 4)]))
    nodes = {str(placement.job_id): dict(placement.nodes) for placement in made.starts}
    assert list(nodes["gang"].values()) == [4]
    assert nodes["one"].keys() == nodes["two"].keys() != nodes["gang"].keys()


def test_a_gang_wider_than_a_node_takes_whole_ones_and_a_rest() -> None:
    made = plan(a_problem(jobs=[a_job("wide", units=10)], pools=[_split(4, 4, 3)]))
    assert sorted(made.starts[0].nodes.values()) == [2, 4, 4]


def test_eight_units_on_four_nodes_hold_no_gang_of_four() -> None:
    window = {"deadline_s": 3_600.0}
    gang = a_job("gang", units=4, **window)
    made = plan(a_problem(jobs=[gang], pools=[_split(2, 2, 2, 2)]))
    (left,) = made.rejections
    assert left.reason is ReasonCode.FRAGMENTED
    assert (left.facts["units"], left.facts["node_units_free"]) == (4, 2)
    assert not left.is_final


def test_a_gang_without_a_node_here_starts_at_another_site() -> None:
    sites = [a_site("near"), a_site("far", price_uyuan_per_kwh=(900_000,) * 4)]
    pools = [_split(2, 2), _split(4, site="far")]
    gang = a_job("gang", units=4, deadline_s=3_600.0)
    made = plan(a_problem(jobs=[gang], sites=sites, pools=pools))
    (start,) = made.starts
    assert start.site_id == "far"
    reasons = {str(row.pool_id): row.reason for row in start.verdicts}
    assert reasons["near-gpu"] is ReasonCode.FRAGMENTED


def test_a_gang_without_a_node_now_starts_later_and_is_told_why() -> None:
    made = plan(a_problem(jobs=[a_job("gang", units=4)], pools=[_split(2, 2)]))
    (later,) = made.later
    assert later.verdicts[0].reason is ReasonCode.FRAGMENTED
    assert "at most 2 free" in later.verdicts[0].message
    assert not later.nodes


def test_the_check_knows_nodes() -> None:
    problem = a_problem(jobs=[a_job("a", units=2), a_job("b", units=2)], pools=[_split(2, 2)])
    made = plan(problem)
    assert violations(problem, made) == ()
    crowded = tuple(replace(start, nodes={"node-1": 2}) for start in made.starts)
    assert any(
        "4 units of node-1" in line for line in violations(problem, replace(made, starts=crowded))
    )
    torn = tuple(replace(start, nodes={"node-1": 1, "node-2": 1}) for start in made.starts)
    assert any("for 2 units" in line for line in violations(problem, replace(made, starts=torn)))


def _with_nodes(problem: Problem, size: int) -> Problem:
    pools = tuple(
        replace(
            pool,
            units_per_node=size,
            nodes=(size,) * (pool.units_free[0] // size)
            + ((pool.units_free[0] % size,) if pool.units_free[0] % size else ()),
        )
        for pool in problem.pools
    )
    return replace(problem, pools=pools)


@given(seed=st.integers(0, 10_000), size=st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_seats_break_no_rule_and_answer_every_job(seed: int, size: int) -> None:
    problem = _with_nodes(a_random_problem(seed), size)
    for made in (plan(problem), plan_greedy(problem)):
        assert violations(problem, made) == ()
