"""Quotes: how long one takes, and how far it is from solving the whole plan again with the job.

``answer=prices`` is the plan's price board alone, ``answer=given`` what a user gets: prices where
they are sure, a what-if where not. The truth is the relaxation of the queue with the job, solved
from nothing. Times are processor time of one thread, of new jobs that nobody quoted before.
"""

import gc
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from time import process_time
from typing import Final

import numpy as np

from benchmarks.frame import Figure, Options, Scalar
from benchmarks.instances import Size, make_job, make_problem
from optimizer.prices import board_of
from optimizer.problem import DEFAULT_SLOT_LENGTHS_S, JobSpec, Problem
from optimizer.quote import Asker, Desk, ask, open_desk, settle
from optimizer.whatif import Relaxation
from scheduler.problem import Money, build_problem
from suanwang.energy.catalogue import load_catalogue
from suanwang.model.plan import Quote
from suanwang.scenario.load import load_world
from suanwang.scenario.network import network_of
from suanwang.scenario.packaged import world_path

PARTS: Final = ("qingdao", "live", "rich", "city", "500-pools")
"""What ``--only`` may name: the scenario, then made-up networks."""
QUOTES: Final = 300
_QUICK: Final = 30
_LIVE: Final = Size(
    sites=6,
    pools_per_site=2,
    jobs=400,
    classes=120,
    slot_lengths_s=DEFAULT_SLOT_LENGTHS_S,
    load=0.8,
    cash_share=4.0,
)
_SIZES: Final = {
    "live": _LIVE,
    "rich": Size(
        sites=8, pools_per_site=2, slots=24, classes=150, jobs=2_000, load=0.5, cash_share=4.0
    ),
    "city": Size(sites=8, pools_per_site=2, slots=24, classes=100, jobs=521),
    "500-pools": replace(_LIVE, sites=250, load=0.02),
}


@dataclass(frozen=True, slots=True)
class _Case:
    problem: Problem
    jobs: tuple[JobSpec, ...]


def run(options: Options) -> Iterator[Figure]:
    """Yield the figures of every network; ``quick`` asks for a tenth of the quotes."""
    count = _QUICK if options.quick else QUOTES
    for name in options.only or PARTS:
        case = _qingdao(count) if name == "qingdao" else _made_up(_SIZES[name], count)
        yield from _measure(name, case, with_truth=name != "500-pools")


def _made_up(size: Size, count: int) -> _Case:
    problem, random = make_problem(size, seed=1), Random(7)
    jobs = tuple(make_job(random, size, problem.slots, f"new-{at}") for at in range(count))
    return _Case(problem, jobs)


def _qingdao(count: int) -> _Case:
    """The packaged scenario; new jobs are its own with other units and run times."""
    catalogue = load_catalogue()
    world = load_world(world_path(Path("qingdao")), catalogue)
    money = Money(lots=world.lots, cash_fen=world.cash_fen)
    problem = build_problem(
        network_of(world, catalogue), world.jobs, money, catalogue, make_problem(_LIVE, 1).policy,
        world.slot_lengths_s,
    )  # fmt: skip
    random = Random(7)
    jobs = []
    for at in range(count):
        like = random.choice(problem.jobs)
        jobs.append(
            replace(
                like,
                id=f"new-{at}",
                units=max(1, round(like.units * random.uniform(0.5, 1.5))),
                run_s=float(round(like.run_s * random.uniform(0.5, 1.5))),
            )
        )
    return _Case(problem, tuple(jobs))


def _measure(name: str, case: _Case, *, with_truth: bool) -> Iterator[Figure]:
    began_s = process_time()
    ground = Relaxation(case.problem, time_s=300.0, starts_max=500_000)
    board = board_of(ground.formulation, ground.solved)
    desk = open_desk(case.problem, board)
    pools = len(case.problem.pools)
    labels: dict[str, Scalar] = {"network": name, "pools": pools, "queued": len(case.problem.jobs)}
    yield Figure("quote.prices_s", process_time() - began_s, "s", **labels)
    times, quotes = _asked(desk, case.jobs)
    yield Figure("quote.p50_ms", _at(times, 50) * 1_000, "ms", **labels)
    yield Figure("quote.p99_ms", _at(times, 99) * 1_000, "ms", **labels)
    offered = [
        (job, quote) for job, quote in zip(case.jobs, quotes, strict=True) if quote.best is not None
    ]
    sure = sum(quote.is_sure for _, quote in offered)
    yield Figure("quote.sure_pct", 100 * sure / max(1, len(offered)), "%", **labels)
    if with_truth and ground.has_answers:
        yield from _errors(desk, ground, offered, labels)


def _asked(desk: Desk, jobs: tuple[JobSpec, ...]) -> tuple[list[float], list[Quote]]:
    """Ask for every quote once; the collector of garbage stays out, as in a server's process."""
    times, quotes = [], []
    gc.collect()
    gc.freeze()
    for job in jobs:
        began_s = process_time()
        quotes.append(ask(desk, job))
        times.append(process_time() - began_s)
    gc.unfreeze()
    return times, quotes


def _errors(
    desk: Desk, ground: Relaxation, offered: list[tuple[JobSpec, Quote]], labels: dict[str, Scalar]
) -> Iterator[Figure]:
    data = desk.instance.problem
    asker = Asker(lots=data.lots, cash_fen=data.cash_fen, rtt_ms=data.rtt_ms)
    by_prices, given, times = [], [], []
    for job, quote in offered:
        whole = replace(ground.problem, jobs=(*ground.problem.jobs, job))
        exact = Relaxation(whole, time_s=300.0, starts_max=500_000).solved.objective
        exact -= ground.solved.objective
        began_s = process_time()
        settled = quote if quote.is_sure else settle(quote, ground, job, asker)
        if not quote.is_sure:
            times.append(process_time() - began_s)
        by_prices.append(_off(quote, exact))
        given.append(_off(settled, exact))
    for how, errors in (("prices", by_prices), ("given", given)):
        for share in (50, 90, 99):
            figure = f"quote.error_p{share}_pct"
            yield Figure(figure, 100 * _at(errors, share), "%", answer=how, **labels)
    if times:
        yield Figure("quote.what_if_p50_s", _at(times, 50), "s", **labels)
        yield Figure("quote.what_if_p99_s", _at(times, 99), "s", **labels)


def _off(quote: Quote, exact: float) -> float:
    """By what share of the truth a quote is off."""
    assert quote.best is not None
    return abs(quote.best.cost - exact) / max(0.01, abs(exact))


def _at(values: list[float], share: int) -> float:
    return float(np.percentile(values, share)) if values else 0.0
