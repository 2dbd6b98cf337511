"""One seed drives clock, agents, losses, repeats and crashes of the centre; all else is real code.

Invariants after every step: never two runs of one job at once, at most one attempt not proven dead,
each hold ends once, what is final stays as it is, and the ledger is sound.
"""

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from random import Random

import pytest
from scheduler_builders import CHEAP, NEAR, Centre, a_centre, a_new_job, a_pool, a_site
from scheduler_sites import FakeSite
from sqlalchemy import Engine

from optimizer.problem import Policy
from scheduler import extension, service, store_extensions, store_registry
from scheduler.moves import hold_of_move
from suanwang.clock import VirtualClock
from suanwang.db.engine import reading, writing
from suanwang.errors import Conflict, NotFound, Refused
from suanwang.ids import SeededIds
from suanwang.model.attempt import Attempt
from suanwang.model.job import Job
from suanwang.model.voucher import HoldState
from suanwang.units import hold_fen
from suanwang.wire.agent import AttemptReport
from voucher import store as money_store
from voucher.check import check

STEPS = 120
STEP_S = 7.0


class Crash(Exception):
    """The centre dies here."""


@dataclass
class World:
    """Two sites and a centre under one seed."""

    centre: Centre
    random: Random
    sites: dict[str, FakeSite]
    final: dict[str, Job] = field(default_factory=dict)
    jobs: int = 0
    crashes: int = 0
    swaps_prices: bool = False
    prices: tuple[int, int] = (12, 6)

    def moved(self) -> int:
        """Return how many jobs went on elsewhere, by their stories."""
        with reading(self.centre.engine) as connection:
            stories = [
                [event.kind for event in service.job_events(connection, job.id)]
                for job in service.list_jobs(connection, limit=100)
            ]
        return sum(story.count("move-stopped") for story in stories)

    def step(self) -> None:
        """Let a few things happen, then time pass."""
        for act in self.random.sample(
            [
                self.submit,
                self.cycle,
                self.cycle,
                self.talk,
                self.talk,
                self.trouble,
                self.stop,
                self.extend,
            ],
            k=4,
        ):
            act()
        if self.swaps_prices and self.random.random() < 0.1:
            self.swap_prices()
        if self.random.random() < 0.5:
            self.centre.reconcile()
        self.centre.clock.advance(STEP_S)
        for site in self.sites.values():
            site.tick(self.centre.clock.now())

    def submit(self) -> None:
        if self.jobs >= 12:
            return
        self.jobs += 1
        with suppress(Refused):
            name, units = f"job{self.jobs}", self.random.choice((1, 2, 6))
            grace_s, step_s = self.random.choice((0, 20)), self.random.choice((0, 60, 200))
            wishes = {
                "stop_grace_s": grace_s,
                "extend_s": step_s,
                "extend_s_max": 2 * step_s,
                "may_move": self.random.random() < 0.7,
                "checkpoint_s": 10,
            }
            self.centre.submit(a_new_job(name, units=units, **wishes))

    def swap_prices(self) -> None:
        """What was cheap is dear from now on: jobs that may move do."""
        self.prices = self.prices[::-1]
        for name, yuan in zip((NEAR, CHEAP), self.prices, strict=True):
            with writing(self.centre.engine) as connection:
                pool = a_pool(name, yuan=yuan)
                store_registry.upsert_pool(connection, pool)

    def extend(self) -> None:
        """Somebody wants more time for some job, and may click twice, or the centre may die."""
        if not self.jobs:
            return
        name, key = f"job{self.random.randint(1, self.jobs)}", f"k{self.random.randint(1, 3)}"
        dies = self.random.random() < 0.3
        for _ in range(self.random.choice((1, 2))):
            with suppress(Refused, Conflict, NotFound, Crash):
                ask = extension.Ask(by_s=90, request_key=key, asked_by="key_1")
                with self.centre.writer.turn() as turn:
                    extension.extend_job(turn, None, name, ask, self.centre.clock.now())
                    if dies:
                        raise Crash("extending")

    def stop(self) -> None:
        if self.jobs and self.random.random() < 0.2:
            name = f"job{self.random.randint(1, self.jobs)}"
            self.centre.stop(name)

    def extended(self) -> int:
        """Return how many extensions were granted to jobs."""
        with reading(self.centre.engine) as connection:
            jobs = service.list_jobs(connection, limit=100)
            return sum(len(store_extensions.of_job(connection, job.id)) for job in jobs)

    def cycle(self) -> None:
        """A cycle that may die after any of its steps, inside a transaction too."""
        deaths = ("never", "never", "plan", "committing", "commit", "move", "explain")
        dies_at = self.random.choice(deaths)

        def on_step(name: str) -> None:
            if name == dies_at:
                raise Crash(name)

        try:
            self.centre.cycle(replace(self.centre.context, on_step=on_step))
        except Crash:
            self.crashes += 1

    def talk(self) -> None:
        for site in self.sites.values():
            if site.is_agent_up and self.random.random() < 0.8:
                self._talk(site)

    def _talk(self, site: FakeSite) -> None:
        now = self.centre.clock.now()
        alive = site.running() if site.is_executor_up else ()
        state = "up" if site.is_executor_up else "unreachable"
        believed = self.centre.greet(site.site_id, *alive, state=state)
        site.answer_for(believed, now)
        orders = self.centre.orders(site.site_id)
        if site.is_executor_up and self.random.random() < 0.8:
            for order in orders:
                site.take(order, now)
            if self.random.random() < 0.7:
                late = tuple(order.id for order in orders if site.is_late(order))
                ids = tuple(order.id for order in orders)
                self.centre.acknowledge(site.site_id, *ids, late=late)

        def deliver(batch: list[AttemptReport]) -> None:
            self.centre.report(site.site_id, *batch)

        site.send(deliver)

    def trouble(self) -> None:
        """An agent or an executor goes away or comes back; runs live on."""
        site = self.random.choice(list(self.sites.values()))
        if self.random.random() < 0.5:
            site.is_agent_up = not site.is_agent_up or self.random.random() < 0.3
        else:
            site.is_executor_up = not site.is_executor_up or self.random.random() < 0.3

    def calm(self) -> None:
        """Everything works again for long enough that each job can end."""
        for site in self.sites.values():
            site.is_agent_up = site.is_executor_up = True
        for _ in range(150):
            self.talk()
            self.centre.reconcile()
            self.centre.cycle()
            self.centre.clock.advance(STEP_S * 4)
            for site in self.sites.values():
                site.tick(self.centre.clock.now())
            self.check()
            with reading(self.centre.engine) as connection:
                if all(job.state.is_final for job in service.list_jobs(connection, limit=100)):
                    return

    def check(self) -> None:
        """Every promise, after every step."""
        self._never_two_runs_of_one_job()
        with reading(self.centre.engine) as connection:
            audit = check(connection)
            assert audit.is_sound, audit.findings
            for job in service.list_jobs(connection, limit=100):
                attempts = service.attempts_of(connection, job.id)
                self._job_is_sound(job, attempts)
                for attempt in attempts:
                    hold = money_store.find_hold(connection, attempt.hold_id)
                    is_open = hold.state is HoldState.OPEN
                    assert is_open != attempt.state.is_dead, (attempt, hold)
                    assert hold.captured_fen <= hold.amount_fen
                    self._hold_covers(attempt, hold.amount_fen)

    def _hold_covers(self, attempt: Attempt, held_fen: int) -> None:
        """The most that an attempt can cost is set aside, and its site knows no more than that."""
        unit_ms = attempt.units * attempt.use_s_max * 1_000
        assert held_fen >= hold_fen(unit_ms, attempt.price_uyuan_per_unit_hour)
        run = self.sites[attempt.site_id].runs.get(attempt.id)
        if run is not None:
            assert attempt.run_s_confirmed <= run.order.run_s_max <= attempt.run_s_max

    def _job_is_sound(self, job: Job, attempts: tuple[Attempt, ...]) -> None:
        alive = [attempt for attempt in attempts if not attempt.state.is_dead]
        assert len(alive) <= 1, alive
        numbers = [attempt.number for attempt in attempts]
        assert sorted(set(numbers)) == numbers, numbers
        assert job.attempts - job.moves <= len(numbers) <= job.attempts
        if job.move_to is None:
            assert max(numbers, default=0) <= job.attempts
        else:
            assert not job.state.is_final
            with reading(self.centre.engine) as connection:
                kept = money_store.find_hold(connection, hold_of_move(job)[1])
            assert kept.state is HoldState.OPEN
        if job.state.is_final:
            assert not alive
            former = self.final.setdefault(job.id, job)
            assert former == job

    def _never_two_runs_of_one_job(self) -> None:
        spans: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
        now = self.centre.clock.now()
        for site in self.sites.values():
            for run in site.runs.values():
                spans[run.job_id].append((run.started_at, run.ended_at or now))
        for job_id, runs in spans.items():
            runs.sort()
            for (_, first_end), (second_start, _) in pairwise(runs):
                assert first_end <= second_start, f"two runs of {job_id} at once: {runs}"


def a_world(engine: Engine, clock: VirtualClock, ids: SeededIds, seed: int) -> World:
    """Two small sites, a tenant with a voucher and cash."""
    centre = a_centre(
        engine,
        clock,
        ids,
        avoid_s=60.0,
        start_margin_s=300,
        moves_every_s=10.0,
        move_rest_s=7.0,
        policy=Policy(move_threshold_yuan=0.0),
    )
    random = Random(seed)
    centre.register(a_site(NEAR, a_pool(NEAR, yuan=12)), a_site(CHEAP, a_pool(CHEAP, yuan=6)))
    centre.add_tenant(cash_fen=20_000)
    centre.issue("l1", 10_000, num=1, den=2)
    sites = {str(name): FakeSite(site_id=name, random=random) for name in (NEAR, CHEAP)}
    return World(centre=centre, random=random, sites=sites)


@pytest.mark.parametrize("seed", range(6))
def test_no_fault_makes_a_job_run_twice_or_cost_twice(
    sqlite_engine: Engine, clock: VirtualClock, ids: SeededIds, seed: int
) -> None:
    world = a_world(sqlite_engine, clock, ids, seed)
    for _ in range(STEPS):
        world.step()
        world.check()
    world.calm()
    with reading(sqlite_engine) as connection:
        jobs = service.list_jobs(connection, limit=100)
        held = money_store.cash_held_fen(connection, "t1")
    assert jobs
    assert [job for job in jobs if not job.state.is_final] == []
    assert held == 0
    assert world.crashes > 0
    assert world.extended() > 0


@pytest.mark.parametrize("seed", range(4))
def test_jobs_that_move_back_and_forth_run_once_and_pay_once(
    sqlite_engine: Engine, clock: VirtualClock, ids: SeededIds, seed: int
) -> None:
    world = a_world(sqlite_engine, clock, ids, seed)
    world.swaps_prices = True
    for _ in range(STEPS):
        world.step()
        world.check()
    world.calm()
    with reading(sqlite_engine) as connection:
        jobs = service.list_jobs(connection, limit=100)
        held = money_store.cash_held_fen(connection, "t1")
    assert [job for job in jobs if not job.state.is_final] == []
    assert held == 0
    assert world.moved() > 0
