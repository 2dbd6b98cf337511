"""A configuration of GPUs for each of many elastic jobs: by our classes, and by Sia's ILP as it is.

Step times are Sia's own table (`sia-simulator/traces` of siasosp23/artifacts, all models and
clusters as one CSV), which is not in this repository: put it, packed or not, where
``SIA_PROFILES`` says. Without it nothing is measured.

Each job takes one configuration (so many GPUs of one kind, on whole nodes above a node's size, else
a power of two) or waits. With g the job's throughput there over the least that it can have,

    min sum over jobs j of:  sum over c of x[j,c] * g[j,c]^-0.5  +  1.1 * waits[j]
    sum over c of x[j,c] + waits[j] = 1,   sum of gpus(c) x[j,c] over the kind's c <= count(kind),

x whole. A job that would change its configuration loses a tenth of its throughput by restarting.
Throughput is that of the local batch with the most of it: the table has no statistical efficiency.
Jobs of one model in one configuration are alike, so one row for all of them loses nothing.
"""

import csv
import gzip
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from time import process_time
from typing import Final

import numpy as np

from benchmarks.frame import Figure, Options
from optimizer.arrays import Floats, Ints
from optimizer.certificate import lagrangian_bound
from optimizer.direct_route import solve_direct
from optimizer.model import INFINITY, Model, ModelBuilder
from optimizer.solution import Limits

PATH: Final = "SIA_PROFILES"
_USUAL: Final = Path("../shared/data/gpu-throughputs/sia_goodput_profiles.csv.gz")
NODE_GPUS: Final = {"aws": 4, "rtx": 8, "dgx-ext": 8}
"""Sia's heterogeneous cluster: T4, RTX 2080 Ti and A100, and how many a node has."""
SHARES: Final = {"aws": 24, "rtx": 24, "dgx-ext": 16}
"""GPUs of each kind in 64."""
POWER: Final = -0.5
WAIT_COST: Final = 1.1
RESTARTED: Final = 0.9
NOWHERE: Final = -1
_LIMITS: Final = Limits(time_s=120.0, gap=1e-3)
_REPEATS: Final = 5
_ENDED_SHARE: Final = 0.1


@dataclass(frozen=True, slots=True)
class Table:
    """Configurations, and throughput of each model in them (0: it cannot run there)."""

    kinds: tuple[str, ...]
    kind: Ints
    gpus: Ints
    rate: Floats


@dataclass(frozen=True, slots=True, order=True)
class Job:
    """A model, and the configuration that it runs in now, or NOWHERE."""

    model: int
    at: int = NOWHERE


@dataclass(frozen=True, slots=True)
class Round:
    """The configuration of each job (NOWHERE: it waits), its cost, and what none is below."""

    chosen: Ints
    cost: float
    bound: float


Policy = Callable[[list[Job], Table, Floats], Round]


def run(options: Options) -> Iterator[Figure]:
    """Measure rounds at 2,048 GPUs: the first, and one after a tenth of the jobs have ended."""
    table = read_table()
    if table is None:
        print(f"no profiles found: set {PATH} to Sia's step times")
        return
    gpus = 256 if options.quick else 2_048
    counts = np.array([SHARES[kind] * gpus / 64 for kind in table.kinds])
    jobs = _arrived(gpus // 4, table, Random(5))
    policies: dict[str, Policy] = {"classes": by_classes, "sia-ilp": by_jobs}
    for state in ("first", "next"):
        found = {}
        for name, policy in policies.items():
            took_s, found[name] = _timed(policy, jobs, table, counts)
            yield Figure(
                "heterogeneous.configure_s", took_s, "s",
                by=name, round=state, gpus=gpus, jobs=len(jobs),
            )  # fmt: skip
        ours, theirs = found["classes"], found["sia-ilp"]
        gap = (ours.cost - ours.bound) / ours.bound
        yield Figure("heterogeneous.configured_gap", max(0.0, gap), "ratio", round=state)
        more = ours.cost / theirs.cost - 1
        yield Figure("heterogeneous.configured_more", more, "ratio", round=state, of="sia-ilp")
        jobs = _next_jobs(jobs, ours, table)


def by_classes(jobs: list[Job], table: Table, counts: Floats) -> Round:
    """A row for each class, whole numbers of its jobs in each configuration."""
    classes = sorted(set(jobs))
    place = {one: at for at, one in enumerate(classes)}
    member = np.array([place[job] for job in jobs])
    n = np.bincount(member, minlength=len(classes)).astype(np.float64)
    taken, cost, bound = _solved(classes, n, table, counts)
    return Round(_dealt(member, taken), cost, bound)


def by_jobs(jobs: list[Job], table: Table, counts: Floats) -> Round:
    """Sia's ILP as it stands: a row for every job."""
    taken, cost, bound = _solved(jobs, np.ones(len(jobs)), table, counts)
    return Round(_dealt(np.arange(len(jobs)), taken), cost, bound)


def _solved(jobs: list[Job], n: Floats, table: Table, counts: Floats) -> tuple[Ints, float, float]:
    """How many jobs of each row take each configuration, what that costs, and our bound."""
    price = _prices(jobs, table)
    model, cells = _model(price, n, table, counts)
    answer = solve_direct(model, _LIMITS)
    if not answer.has_point:
        raise AssertionError(f"all jobs may wait, the solver says {answer.said}")
    relaxed = solve_direct(model.relaxed(), Limits(time_s=120.0, gap=1e-9))
    taken = np.zeros(price.shape, dtype=np.int64)
    taken[cells] = np.rint(answer.values[: len(cells[0])]).astype(np.int64)
    return taken, float(answer.objective), lagrangian_bound(model, relaxed.duals)


def _prices(jobs: list[Job], table: Table) -> Floats:
    """What a job costs in each configuration; infinite where it cannot run."""
    rate = table.rate[[job.model for job in jobs]]
    least = np.where(rate > 0, rate, INFINITY).min(axis=1)
    at = np.array([job.at for job in jobs])
    moves = (at != NOWHERE)[:, None] & (at[:, None] != np.arange(rate.shape[1])[None, :])
    good = rate / least[:, None] * np.where(moves, RESTARTED, 1.0)
    price: Floats = np.full(rate.shape, INFINITY)
    price[rate > 0] = good[rate > 0] ** POWER
    return price


def _model(
    price: Floats, n: Floats, table: Table, counts: Floats
) -> tuple[Model, tuple[Ints, Ints]]:
    of_job, of_place = np.nonzero(np.isfinite(price))
    builder = ModelBuilder()
    take = builder.add_variables(
        "take", upper=n[of_job], cost=price[of_job, of_place], is_integral=True
    )
    wait = builder.add_variables("wait", upper=n, cost=WAIT_COST, is_integral=True)
    columns = take.first + np.arange(take.count)
    once = builder.add_rows("once", len(n), lower=n, upper=n)
    builder.add_entries(once.first + of_job, columns, 1.0)
    builder.add_entries(once.first + np.arange(len(n)), wait.first + np.arange(len(n)), 1.0)
    held = builder.add_rows("gpus", len(counts), lower=-INFINITY, upper=counts)
    builder.add_entries(
        held.first + table.kind[of_place], columns, table.gpus[of_place].astype(np.float64)
    )
    return builder.build(), (of_job, of_place)


def _dealt(member: Ints, taken: Ints) -> Ints:
    """Give each job of a row one of the configurations that its row takes."""
    left = [np.repeat(np.arange(taken.shape[1]), row).tolist() for row in taken]
    return np.array([left[row].pop() if left[row] else NOWHERE for row in member.tolist()])


def _timed(policy: Policy, jobs: list[Job], table: Table, counts: Floats) -> tuple[float, Round]:
    took = []
    for _ in range(_REPEATS):
        began_s = process_time()
        found = policy(jobs, table, counts)
        took.append(process_time() - began_s)
    return median(took), found


def _arrived(count: int, table: Table, random: Random) -> list[Job]:
    return [Job(random.randrange(len(table.rate))) for _ in range(count)]


def _next_jobs(jobs: list[Job], made: Round, table: Table) -> list[Job]:
    """The jobs where the round put them, a tenth of them ended and others come in their place."""
    random = Random(13)
    stay = [Job(job.model, at) for job, at in zip(jobs, made.chosen.tolist(), strict=True)]
    ended = set(random.sample(range(len(stay)), int(len(stay) * _ENDED_SHARE)))
    kept = [job for at, job in enumerate(stay) if at not in ended]
    return kept + _arrived(len(ended), table, random)


def read_table() -> Table | None:
    """Return the configurations of Sia's cluster with their throughputs, or None without a file."""
    path = Path(os.environ.get(PATH, str(_USUAL)))
    if not path.exists():
        return None
    packed = path.read_bytes()
    text = (gzip.decompress(packed) if path.suffix == ".gz" else packed).decode()
    best: dict[str, dict[tuple[str, int], float]] = {}
    for row in csv.DictReader(io.StringIO(text)):
        gpus = _gpus_of(row["cluster"], row["placement"])
        if gpus:
            rates = best.setdefault(row["model"], {})
            rate = gpus * float(row["local_bsz"]) / float(row["step_time"])
            place = (row["cluster"], gpus)
            rates[place] = max(rate, rates.get(place, 0.0))
    places = sorted({place for rates in best.values() for place in rates})
    kinds = tuple(NODE_GPUS)
    return Table(
        kinds=kinds,
        kind=np.array([kinds.index(kind) for kind, _ in places]),
        gpus=np.array([gpus for _, gpus in places]),
        rate=np.array([[best[name].get(place, 0.0) for place in places] for name in sorted(best)]),
    )


def _gpus_of(cluster: str, placement: str) -> int:
    """GPUs of a placement (a digit a node) that a job may have; 0 for any other."""
    node, digits = NODE_GPUS.get(cluster, 0), placement.removesuffix(".0")
    if not node or not digits:
        return 0
    if len(digits) == 1:
        gpus = int(digits)
        return gpus if gpus & (gpus - 1) == 0 else 0
    return node * len(digits) if set(digits) == {str(node)} else 0
