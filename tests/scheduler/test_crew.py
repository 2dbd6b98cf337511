"""One contract for all crews, and the same numbers from all of them, to the last bit."""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TypeVar

import numpy as np
import pytest
from crew_parts import (
    KINDS,
    add,
    die_elsewhere,
    divide,
    end_worker,
    remember,
    running_crew,
    running_remote,
)

from benchmarks.anchor import Anchor, make_anchor
from benchmarks.instances import Size, make_problem
from optimizer import changes, direct_route, neighbourhoods, shards
from optimizer.ascent import Ascent
from optimizer.crew import IN_PROCESS, Crew, CrewLost, Held, Steady
from optimizer.deadline import Deadline
from optimizer.direct_route import shared_out, solve_direct
from optimizer.master import Master
from optimizer.planner import plan
from optimizer.pricing import Pricing
from optimizer.solution import Limits
from optimizer.whatif import Relaxation
from scheduler.context import make_context
from scheduler.crew_named import crew_of
from scheduler.crew_ray import hire_in
from scheduler.crew_remote import Call, RemoteCrew, Workers
from suanwang.clock import VirtualClock
from suanwang.ids import SeededIds
from suanwang.settings import Settings
from suanwang.settings.tree import CrewSettings, SchedulerSettings

_Part = TypeVar("_Part")
_MARKS = (pytest.mark.ray, pytest.mark.timeout(500))
"""On a busy machine a local Ray takes a minute to start."""
_REMOTE = ("processes", pytest.param("ray", marks=_MARKS))


@pytest.fixture(
    scope="module",
    params=[pytest.param(kind, marks=_MARKS if kind == "ray" else ()) for kind in KINDS],
)
def crew(request: pytest.FixtureRequest) -> Iterator[Crew]:
    """A crew of each kind."""
    with running_crew(request.param) as made:
        yield made


@pytest.fixture(scope="module")
def anchor() -> Anchor:
    return make_anchor(57)


def test_a_question_is_answered_for_every_part_in_their_order(crew: Crew) -> None:
    with closing(crew.hold([10, 20, 30, 40, 50])) as held:
        assert held.ask(add, 1) == [11, 21, 31, 41, 51]


def test_parts_stay_with_the_workers_between_questions(crew: Crew) -> None:
    with closing(crew.hold([[0], [1]])) as held:
        held.ask(remember, 7)
        assert held.ask(remember, 8) == [[0, 7, 8], [1, 7, 8]]


def test_items_are_worked_on_in_their_order_however_many_there_are(crew: Crew) -> None:
    assert crew.spread(add, 100, [1, 2, 3, 4, 5]) == [101, 102, 103, 104, 105]
    assert crew.spread(add, 100, [1]) == [101]
    assert crew.spread(add, 100, []) == []


def test_an_error_of_the_work_itself_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        Steady(IN_PROCESS).spread(divide, 1, [0])
    with running_remote("processes") as crew, pytest.raises(ZeroDivisionError):
        Steady(crew).spread(divide, 1, [0])


def test_pricing_is_the_same_to_the_last_bit_whoever_does_it(
    crew: Crew, anchor: Anchor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "BLOCK", 1_000)
    model = anchor.model.relaxed()
    duals = solve_direct(model, Limits(time_s=60.0)).duals
    noise = np.random.default_rng(5).normal(size=model.row_count)
    for prices in (np.zeros(model.row_count), duals, duals + noise):
        found = []
        for who in (IN_PROCESS, crew):
            with closing(Pricing(model, crew=who)) as pricing:
                priced = pricing.price(prices)
                near = pricing.pick(priced, 0.01 * pricing.worth)
                few = pricing.pick(priced, 0.1 * pricing.worth, of_classes=3, of_groups=True)
                climbed = Ascent(pricing).climb(priced.prices, 15, 0.02, Deadline(60))
                bound = np.array(priced.bound)
                found.append((priced.prices, bound, near, few, climbed.prices, climbed.cheapest))
        for mine, theirs in zip(*found, strict=True):
            assert np.array_equal(mine, theirs)


def test_a_relaxation_is_the_same_whoever_prices_it(
    crew: Crew, anchor: Anchor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "BLOCK", 1_000)
    monkeypatch.setattr(direct_route, "MASTER_FROM", 0)
    model, limits = anchor.model.relaxed(), Limits(time_s=200.0, gap=1e-4)
    alone, together = solve_direct(model, limits), shared_out(crew)(model, limits)
    assert np.array_equal(alone.values, together.values)
    assert np.array_equal(alone.duals, together.duals)
    assert together.notes == ()


def test_what_ifs_are_the_same_whoever_solves_them(
    crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "SPREAD_FROM", 0)
    size = Size(sites=3, pools_per_site=2, slots=8, classes=25, jobs=60, units_min=16)
    problem = make_problem(size, 1)
    job = max(problem.jobs, key=lambda one: (one.units * one.run_s, one.id))
    relaxation = Relaxation(problem)
    alone = changes.changes_of(relaxation, job, problem)
    assert any(change.is_solved for change in alone)
    assert changes.changes_of(relaxation, job, problem, crew) == alone


def test_neighbourhoods_are_the_same_whoever_searches_them(
    crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbourhoods, "STARTS_MAX", 80)
    size = Size(sites=4, pools_per_site=2, slots=12, classes=40, jobs=150, units_min=16)
    problem = make_problem(size, 3)
    policy = replace(
        problem.policy, mip_columns_max=60, mip_time_s=30.0, time_limit_s=300.0, search_rounds=3
    )
    problem = replace(problem, policy=policy)
    alone, together = plan(problem), plan(problem, crew=crew)
    assert together.objective == alone.objective
    assert together.starts == alone.starts
    assert together.note == alone.note


@pytest.mark.parametrize("parts", [1, 2, 3, 7, 100])
def test_the_number_of_blocks_moves_the_bound_by_no_more_than_dust(
    parts: int, anchor: Anchor, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = anchor.model.relaxed()
    duals = solve_direct(model, Limits(time_s=60.0)).duals
    whole = Pricing(model).price(duals)
    assert model.layout is not None
    monkeypatch.setattr(shards, "BLOCK", model.layout.start.count // parts + 1)
    cut = Pricing(model).price(duals)
    assert np.array_equal(whole.prices, cut.prices)
    assert cut.bound == pytest.approx(whole.bound, rel=1e-12)


def test_shards_hold_every_block_once_and_about_as_many_starts_each(
    anchor: Anchor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "BLOCK", 300)
    model = anchor.model
    assert model.layout is not None
    blocks = shards.blocks_of(model, model.layout, model.matrix())
    for count in (1, 2, 3, 5, 1_000):
        dealt = shards.shards_of(blocks, count)
        assert [id(block) for shard in dealt for block in shard] == [id(one) for one in blocks]
        sizes = [sum(len(block.cost) for block in shard) for shard in dealt]
        assert sum(sizes) == model.layout.start.count
        assert max(sizes) <= sum(sizes) / count + 2 * max(len(one.cost) for one in blocks)


_hold = RemoteCrew.hold


def _hold_and_kill(crew: RemoteCrew, parts: Sequence[_Part], time_s: float) -> Held[_Part]:
    """Hand out parts, and kill a worker that has some: the next question finds it dead."""
    held = _hold(crew, parts, time_s)
    end_worker(crew)
    return held


@pytest.mark.parametrize("kind", _REMOTE)
def test_a_plan_survives_a_worker_that_is_killed_while_it_is_made_and_says_so(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct_route, "MASTER_FROM", 0)
    monkeypatch.setattr(shards, "BLOCK", 200)
    problem = make_problem(Size(sites=3, pools_per_site=2, slots=16, classes=30, jobs=120), 1)
    # Without searches that end by the clock, equal problems give equal plans.
    policy = replace(problem.policy, mip_time_s=0.0, time_limit_s=300.0)
    problem = replace(problem, policy=policy)
    alone = plan(problem)
    with running_remote(kind) as crew:
        together = plan(problem, solve=shared_out(crew))
        assert (together.objective, together.bound) == (alone.objective, alone.bound)
        assert "in this process" not in together.note
        monkeypatch.setattr(RemoteCrew, "hold", _hold_and_kill)
        struck = plan(problem, solve=shared_out(crew))
    assert (struck.objective, struck.bound) == (alone.objective, alone.bound)
    assert struck.starts == alone.starts
    assert f"{crew.name} failed" in struck.note
    assert "their work was done in this process" in struck.note


def test_work_that_kills_its_worker_is_done_here() -> None:
    with running_remote("processes") as crew:
        steady = Steady(crew)
        assert steady.spread(die_elsewhere, 5, [os.getpid()] * 3) == [5, 5, 5]
        assert "failed" in steady.notes[0]
        assert steady.size == 1


def test_a_silent_worker_is_not_waited_for() -> None:
    with running_remote("processes") as crew:
        end_worker(crew, signal.SIGSTOP)
        steady = Steady(crew, patience_s=1.0)
        assert steady.hold([1, 2, 3]).ask(add, 1) == [2, 3, 4]
        assert "silent" in steady.notes[0]


def test_a_crew_that_failed_is_left_alone_for_a_while() -> None:
    with running_remote("processes") as crew:
        end_worker(crew)
        with pytest.raises(CrewLost):
            crew.hold([1, 2])
        with pytest.raises(CrewLost, match="failed before"):
            crew.hold([1, 2])


def test_parts_of_dismissed_workers_are_lost_and_said_to_be() -> None:
    with running_remote("processes") as crew:
        held = crew.hold([1, 2])
        crew.close()
        crew.open()
        with pytest.raises(CrewLost, match="dismissed"):
            held.ask(add, 1)
        held.close()


class _Others(Workers):
    """Workers that run something else than we do."""

    dismissed = False

    def do(self, calls: Sequence[Call], time_s: float) -> list[object]:
        return [{"numpy": "0.1"} for _ in calls]

    def dismiss(self) -> None:
        self.dismissed = True


def test_workers_of_another_version_are_refused() -> None:
    others = _Others()
    crew = RemoteCrew("two others", 2, lambda _count, _time_s: others)
    with pytest.raises(CrewLost, match=r"numpy.*0\.1"):
        crew.open()
    assert others.dismissed


def test_a_cluster_that_is_not_there_is_a_crew_that_is_lost() -> None:
    crew = RemoteCrew("nobody", 2, lambda count, _time_s: hire_in("127.0.0.77:1")(count, 1.0))
    with pytest.raises(CrewLost, match="Ray"):
        crew.open()
    with pytest.raises(CrewLost, match="failed before"):
        crew.hold([1, 2])


def test_a_plan_does_not_wait_for_workers_to_be_hired(anchor: Anchor) -> None:
    crew = crew_of(CrewSettings(kind="processes"))
    assert isinstance(crew, RemoteCrew)
    steady = Steady(crew)
    with closing(Master(anchor.model.relaxed(), crew=steady)) as master:
        found = master.solve(1e-3, Deadline(60))
    crew.close()
    assert found is not None
    assert found.is_certified
    assert "they are being started" in steady.notes[0]


def test_without_a_setting_everything_is_done_in_the_process(clock: VirtualClock) -> None:
    assert make_context(clock, SeededIds(clock, 1)).crew is IN_PROCESS


def test_the_settings_name_the_crew(clock: VirtualClock) -> None:
    branch = SchedulerSettings(crew=CrewSettings(kind="processes", workers=3))
    made = make_context(clock, SeededIds(clock, 1), Settings(scheduler=branch))
    assert (made.crew.name, made.crew.size) == ("3 processes", 3)
