"""Shares of 2,048 unlike GPUs, max-min fair: by our classes, and by Gavel's LP as it is; and Sia's.

Throughputs are Gavel's own table (MIT licence, `scheduler/simulation_throughputs.json` of
stanford-futuredata/gavel), which is not in this repository: put it, packed or not, where
``GAVEL_THROUGHPUTS`` says. Without it the benchmark says so and measures nothing of Gavel's. Sia's
configurations of elastic jobs are in ``configurations``.

Gavel's heterogeneity-aware max-min: x[j,g] is the share of time that job j has on GPUs of kind g,

    max min over j of  w(j) * sum over g of throughput[j,g] * x[j,g]
    sum over g of x[j,g] <= 1,   sum over j of gpus(j) * x[j,g] <= count(g),

with w(j) one over the throughput that an equal share of everything would give, times the job's
GPUs. Jobs of one kind and width are alike, so one row for all of them loses nothing; among the
shares that are as fair we take those with the most throughput (Gavel takes any). A round deals
whole GPUs by Gavel's priority: share over the rounds that the job has had there.
"""

import gzip
import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import mean, median
from time import process_time
from typing import Final

import numpy as np

from benchmarks import configurations
from benchmarks.frame import Figure, Options
from optimizer.arrays import Floats, Ints
from optimizer.certificate import lagrangian_bound
from optimizer.direct_route import solve_direct
from optimizer.model import INFINITY, Model, ModelBuilder
from optimizer.solution import Limits

PATH: Final = "GAVEL_THROUGHPUTS"
_USUAL: Final = Path("../shared/data/gpu-throughputs/gavel_simulation_throughputs.json.gz")
KINDS: Final = ("k80", "p100", "v100")
ROUND_S: Final = 360.0
_EXACT: Final = Limits(time_s=120.0, gap=1e-9)
_FAIR_SLACK: Final = 1e-7
_REPEATS: Final = 5


@dataclass(frozen=True, slots=True)
class Kind:
    """Jobs that are alike: how many GPUs each takes, and its steps a second on each kind."""

    gpus: int
    rate: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Shares:
    """Time shares by (job, GPU kind), how fair they are, and what no shares can be fairer than."""

    of_job: Floats
    fair: float
    bound: float


Policy = Callable[[list[Kind], Floats], Shares]


def run(options: Options) -> Iterator[Figure]:
    """Measure rounds at 2,048 GPUs of both tables, and replay Gavel's jobs to their ends on 108."""
    kinds = _kinds()
    if kinds is None:
        print(f"no throughputs found: set {PATH} to Gavel's simulation_throughputs.json")
    else:
        yield from _one_round(kinds, options)
        yield from _replay(kinds, options)
    yield from configurations.run(options)


def by_classes(jobs: list[Kind], counts: Floats) -> Shares:
    """Fair shares with one row a class, then the most throughput among the fair ones."""
    classes = sorted(set(jobs), key=lambda kind: (kind.gpus, kind.rate))
    place = {kind: at for at, kind in enumerate(classes)}
    member = np.array([place[job] for job in jobs])
    n = np.bincount(member, minlength=len(classes)).astype(np.float64)
    first = _solved(classes, n, counts, least_fair=0.0)
    most = _solved(classes, n, counts, least_fair=first.fair * (1 - _FAIR_SLACK))
    return Shares(most.of_job[member], first.fair, first.bound)


def by_jobs(jobs: list[Kind], counts: Floats) -> Shares:
    """Gavel's LP as it stands: a row for every job."""
    return _solved(jobs, np.ones(len(jobs)), counts, least_fair=0.0)


def _solved(kinds: list[Kind], n: Floats, counts: Floats, *, least_fair: float) -> Shares:
    """Maximise fairness; or, where some fairness is given, throughput at that."""
    rate = _rates(kinds, counts)
    model = _model(kinds, n, counts, rate, least_fair)
    answer = solve_direct(model, _EXACT)
    if not answer.has_point:
        raise AssertionError(f"the LP of shares has a point, the solver says {answer.said}")
    shares = answer.values[: rate.size].reshape(rate.shape) / n[:, None]
    fair = float((shares * rate).sum(axis=1).min())
    return Shares(shares, fair, -lagrangian_bound(model, answer.duals))


def _rates(kinds: list[Kind], counts: Floats) -> Floats:
    """Gavel's weights times throughput: what a whole GPU kind is worth to a job."""
    throughput = np.array([kind.rate for kind in kinds])
    gpus = np.array([kind.gpus for kind in kinds], dtype=np.float64)
    equal = throughput @ (counts / counts.sum())
    weighed: Floats = throughput / equal[:, None] * gpus[:, None]
    return weighed


def _model(kinds: list[Kind], n: Floats, counts: Floats, rate: Floats, least_fair: float) -> Model:
    builder = ModelBuilder()
    k, g = rate.shape
    is_first = least_fair <= 0
    x = builder.add_variables(
        "share", upper=np.repeat(n, g), cost=0.0 if is_first else -rate.ravel()
    )
    best = float((rate.max(axis=1)).min())
    fair = builder.add_variables("fair", upper=np.array([best]), cost=-1.0 if is_first else 0.0)
    cells = np.arange(x.first, x.first + x.count)
    of_kind, of_gpu = np.divmod(np.arange(k * g), g)
    gpus = np.array([kind.gpus for kind in kinds], dtype=np.float64)
    time = builder.add_rows("time", k, lower=-INFINITY, upper=n)
    builder.add_entries(time.first + of_kind, cells, 1.0)
    held = builder.add_rows("gpus", g, lower=-INFINITY, upper=counts)
    builder.add_entries(held.first + of_gpu, cells, gpus[of_kind])
    least = builder.add_rows("least", k, lower=n * least_fair, upper=INFINITY)
    builder.add_entries(least.first + of_kind, cells, rate.ravel())
    if is_first:
        builder.add_entries(least.first + np.arange(k), np.full(k, fair.first), -n)
    return builder.build()


def deal(jobs: list[Kind], shares: Floats, had: Floats, counts: Floats) -> Ints:
    """Give whole GPUs for a round: by share over rounds had; -1 for a job that waits."""
    priority = shares / (had + 1e-3)
    order = np.argsort(-priority, axis=None, kind="stable")
    free = counts.astype(np.int64).tolist()
    where = np.full(len(jobs), -1, dtype=np.int64)
    kinds = len(free)
    for cell in order.tolist():
        job, g = divmod(cell, kinds)
        if where[job] < 0 and shares[job, g] > 0 and jobs[job].gpus <= free[g]:
            where[job] = g
            free[g] -= jobs[job].gpus
    return where


def _one_round(kinds: list[Kind], options: Options) -> Iterator[Figure]:
    gpus = 256 if options.quick else 2_048
    random = Random(7)
    jobs = [random.choice(kinds) for _ in range(gpus)]
    counts = np.array([gpus // 3 + (at < gpus % 3) for at in range(len(KINDS))], dtype=np.float64)
    found: dict[str, Shares] = {}
    policies: dict[str, Policy] = {"classes": by_classes, "gavel-lp": by_jobs}
    for name, policy in policies.items():
        took = []
        for _ in range(_REPEATS):
            began_s = process_time()
            shares = policy(jobs, counts)
            deal(jobs, shares.of_job, np.zeros(shares.of_job.shape), counts)
            took.append(process_time() - began_s)
        found[name] = shares
        yield Figure("heterogeneous.round_s", median(took), "s", by=name, gpus=gpus, jobs=gpus)
    ours, theirs = found["classes"], found["gavel-lp"]
    yield Figure("heterogeneous.classes", len(set(jobs)), "classes", jobs=gpus)
    gap = (ours.bound - ours.fair) / ours.bound
    yield Figure("heterogeneous.certified_gap", max(0.0, gap), "ratio", by="classes")
    apart = abs(ours.fair - theirs.fair) / theirs.fair
    yield Figure("heterogeneous.optimum_apart", apart, "ratio")


@dataclass(slots=True)
class _Live:
    kind: Kind
    arrived_s: float
    steps_left: float
    had: Floats


def _replay(kinds: list[Kind], options: Options) -> Iterator[Figure]:
    """Jobs to their ends, round by round, under each policy: mean time from arrival to end."""
    jobs, per_kind = (30, 6) if options.quick else (160, 36)
    counts = np.full(len(KINDS), float(per_kind))
    arrivals = _arrivals(kinds, jobs, per_kind, Random(11))
    hours = {}
    policies: dict[str, Policy] = {"classes": by_classes, "gavel-lp": by_jobs}
    for name, policy in policies.items():
        hours[name] = mean(_ends_h(arrivals, policy, counts))
        yield Figure("heterogeneous.avg_jct_h", hours[name], "h", by=name, jobs=jobs)
    ratio = hours["classes"] / hours["gavel-lp"]
    yield Figure("heterogeneous.jct_ratio", ratio, "ratio", of="classes to gavel-lp")


def _arrivals(kinds: list[Kind], jobs: int, per_kind: int, random: Random) -> list[_Live]:
    """Gavel's mix: lengths of 10^1.5 to 10^3 minutes on the best GPU, a fifth up to 10^4."""
    at_s, made = 0.0, []
    for _ in range(jobs):
        at_s += random.expovariate(per_kind / 36 / 600.0)
        high = (1.5, 3.0) if random.random() < 0.8 else (3.0, 3.5)
        kind = random.choice(kinds)
        steps = 60.0 * 10 ** random.uniform(*high) * max(kind.rate)
        made.append(_Live(kind, at_s, steps, np.zeros(len(KINDS))))
    return made


def _ends_h(arrivals: list[_Live], policy: Policy, counts: Floats) -> list[float]:
    waiting = [_Live(one.kind, one.arrived_s, one.steps_left, one.had.copy()) for one in arrivals]
    live: list[_Live] = []
    ended_h: list[float] = []
    now_s, shares, is_changed = 0.0, np.empty((0, len(KINDS))), True
    while waiting or live:
        if not live:
            now_s = max(now_s, ROUND_S * math.ceil(waiting[0].arrived_s / ROUND_S))
        while waiting and waiting[0].arrived_s <= now_s:
            live.append(waiting.pop(0))
            is_changed = True
        if is_changed:
            shares = policy([one.kind for one in live], counts).of_job
            for one in live:
                one.had[:] = 0.0
        done_h = _play(live, shares, counts, now_s)
        is_changed = bool(done_h)
        ended_h += done_h
        live = [one for one in live if one.steps_left > 0]
        now_s += ROUND_S
    return ended_h


def _play(live: list[_Live], shares: Floats, counts: Floats, now_s: float) -> list[float]:
    """Run one round; return the hours that the jobs which end in it took since they came."""
    where = deal([one.kind for one in live], shares, np.array([one.had for one in live]), counts)
    done_h = []
    for one, g in zip(live, where.tolist(), strict=True):
        if g < 0:
            continue
        one.had[g] += 1.0
        rate = one.kind.rate[g]
        if one.steps_left <= rate * ROUND_S:
            done_h.append((now_s + one.steps_left / rate - one.arrived_s) / 3_600.0)
        one.steps_left -= rate * ROUND_S
    return done_h


def _kinds() -> list[Kind] | None:
    """Every kind of job that runs on all GPUs of the table, or None without a table."""
    path = Path(os.environ.get(PATH, str(_USUAL)))
    if not path.exists():
        return None
    packed = path.read_bytes()
    table = json.loads(gzip.decompress(packed) if path.suffix == ".gz" else packed)
    kinds = []
    for key in table[KINDS[-1]]:
        rates = tuple(float(table[gpu].get(key, {}).get("null") or 0.0) for gpu in KINDS)
        if min(rates) > 0:
            kinds.append(Kind(int(key.rsplit(",", 1)[1].strip(" )")), rates))
    return kinds
