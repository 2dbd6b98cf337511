"""Quotes: what every pool would mean for one job, without a solver and in milliseconds.

A row of a quote has two answers. On top of what runs now it is exact: units, power and money as
they are, the queue left aside. With the queue counted it is an estimate from the prices of the
newest plan: at least what its prices say, at most what the best place costs that the plan leaves
free. Where both are near each other there is nothing more to ask; else ``whatif`` solves again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

import numpy as np

from optimizer.arrays import Floats, Ints
from optimizer.columns import Columns, RuleAnswers, columns_of
from optimizer.explain import verdicts_of_quote
from optimizer.guide import guided
from optimizer.instance import Instance, for_jobs, instance_of
from optimizer.money import price_fen_max
from optimizer.occupancy import empty_occupancy
from optimizer.problem import JobSpec, LotSpec, PoolSpec, Problem
from optimizer.reduced import Tariff, free_tariff, reduced_costs, tariff_of
from optimizer.switches import in_force
from optimizer.whatif import Relaxation
from suanwang.ids import PoolId
from suanwang.model.plan import Estimate, Quote, QuotedBy, SiteVerdict
from suanwang.model.prices import PriceBoard

SURE_WITHIN: Final = 0.05
"""An estimate whose two ends are nearer than this share of its cost needs no further question."""
ANSWERS_MAX: Final = 1_000
"""Kinds of jobs whose answers from the rules a desk keeps."""
_YUAN_SLACK: Final = 0.005


@dataclass(frozen=True, slots=True)
class Load:
    """What the queue takes of pools and sites in the plan: units by (p, t), watts by (s, t)."""

    used: Ints
    peak_w: Floats
    mean_w: Floats


@dataclass(frozen=True, slots=True)
class Desk:
    """All that quotes of one cycle share, made once: the network, the prices, the plan's load.

    ``needed_fen`` is what each tenant's queued jobs can cost at the most. ``answers`` of the rules
    are kept from quote to quote.
    """

    instance: Instance
    board: PriceBoard | None
    tariff: Tariff
    load: Load | None
    needed_fen: Mapping[str, int]
    answers: RuleAnswers = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: the tenant's money as it is now, and round trips from where its users are."""

    lots: Sequence[LotSpec]
    cash_fen: Mapping[str, int]
    rtt_ms: Mapping[tuple[str, str], float]


def open_desk(problem: Problem, board: PriceBoard | None = None) -> Desk:
    """Return a desk at the prices of a board; without one the queue is left aside.

    A board that is not of these pools and slots is not used.
    """
    problem = in_force(problem)
    instance = guided(instance_of(problem, jobs=()))
    if board is not None and not is_of(board, instance):
        board = None
    return Desk(
        instance=instance,
        board=board,
        tariff=free_tariff(instance) if board is None else tariff_of(board),
        load=None if board is None else _load_of(board, instance),
        needed_fen={} if board is None else _needed_fen(problem),
    )


def quote(problem: Problem, job: JobSpec) -> tuple[SiteVerdict, ...]:
    """Return a row for every pool: figures, or the reason why not; feasible ones by cost first.

    The queue of the problem is left aside: the quote holds for free units, power and money as they
    are. A row is feasible exactly when its ``start`` is not None. The first feasible row says
    ``placed``, the others ``dearer`` and by how much.
    """
    return ask(open_desk(problem), job).rows


def ask(desk: Desk, job: JobSpec, asker: Asker | None = None) -> Quote:
    """Return a quote for a job, with the money of ``asker`` or else that of the problem."""
    instance = _with(desk.instance, job, asker)
    columns = columns_of(instance, _answers(desk))
    found = _estimates(desk, instance, columns)
    rows = verdicts_of_quote(empty_occupancy(instance, columns), 0, found)
    first = rows[0] if rows and rows[0].cost is not None else None
    if desk.board is None:
        best, pool_id = _as_idle(first), None if first is None else first.pool_id
        origin = instance.problem.origin
        return Quote(made_at=origin, queued=0, rows=rows, pool_id=pool_id, best=best, is_sure=True)
    unserved = instance.classes[0].unserved_yuan
    cheapest = min(found, key=lambda p: (found[p].cost, p), default=None)
    best = None if cheapest is None else _or_left(found, found[cheapest], unserved)
    return Quote(
        made_at=desk.board.made_at,
        queued=desk.board.jobs,
        rows=rows,
        pool_id=None if cheapest is None else PoolId(instance.pools[cheapest].id),
        best=best,
        is_sure=best is None or _is_sure(desk, job, instance, best),
    )


def has_place(desk: Desk, job: JobSpec, asker: Asker) -> bool:
    """Return whether any pool could take the job on top of what runs; the queue is left aside."""
    return columns_of(_with(desk.instance, job, asker), _answers(desk)).count > 0


def _answers(desk: Desk) -> RuleAnswers:
    if len(desk.answers) > ANSWERS_MAX:
        desk.answers.clear()
    return desk.answers


def settle(found: Quote, relaxation: Relaxation, job: JobSpec, asker: Asker) -> Quote:
    """Return a quote that was not sure with the answer of solving again, where there is one."""
    answer = relaxation.with_job(job, with_asker(relaxation.problem, job, asker))
    if found.is_sure or answer is None:
        return found
    start, pool_id = None, None
    if answer.column is not None:
        columns, instance = answer.columns, relaxation.instance
        start_s = float(instance.timeline.start_s[columns.slot[answer.column]])
        start = instance.problem.origin + timedelta(seconds=start_s)
        pool_id = PoolId(instance.pools[columns.pool[answer.column]].id)
    best = Estimate(start=start, cost=answer.cost, cost_most=answer.cost, by=QuotedBy.WHAT_IF)
    return replace(found, pool_id=pool_id, best=best, is_sure=True)


def with_asker(problem: Problem, job: JobSpec, asker: Asker) -> Problem:
    """Return the problem with the money and links of who asks, where it has none of them.

    The queue's jobs of the same tenant were planned with its money, so that stays as it was.
    """
    rtt_ms = {**asker.rtt_ms, **problem.rtt_ms}
    if job.tenant_id in problem.cash_fen:
        return replace(problem, rtt_ms=rtt_ms)
    return replace(
        problem,
        rtt_ms=rtt_ms,
        lots=(*problem.lots, *asker.lots),
        cash_fen={**problem.cash_fen, **asker.cash_fen},
    )


def _with(instance: Instance, job: JobSpec, asker: Asker | None) -> Instance:
    problem = instance.problem
    if asker is not None:
        problem = replace(
            problem, lots=tuple(asker.lots), cash_fen=asker.cash_fen, rtt_ms=asker.rtt_ms
        )
    return for_jobs(instance, problem, (job,))


def _as_idle(row: SiteVerdict | None) -> Estimate | None:
    if row is None or row.cost is None:
        return None
    return Estimate(start=row.start, cost=row.cost, cost_most=row.cost, by=QuotedBy.IDLE)


def _estimates(desk: Desk, instance: Instance, columns: Columns) -> dict[int, Estimate]:
    """Return by pool what its best start costs at the prices, and its best start with room."""
    if not columns.count or desk.load is None:
        return {}
    least = reduced_costs(instance, columns, desk.tariff)
    most = _with_room(desk, instance, columns, desk.load)
    order = np.lexsort((least, columns.pool))
    starts = np.flatnonzero(np.diff(columns.pool[order], prepend=-1) != 0)
    most_of_pool = np.minimum.reduceat(most[order], starts)
    start_s = instance.timeline.start_s
    found = {}
    for at, highest in zip(order[starts], most_of_pool, strict=True):
        begin = instance.problem.origin + timedelta(seconds=float(start_s[columns.slot[at]]))
        cost = float(least[at])
        found[int(columns.pool[at])] = Estimate(
            start=begin,
            cost=cost,
            cost_most=max(cost, float(highest)) if np.isfinite(highest) else None,
            by=QuotedBy.PRICES,
        )
    return found


def _with_room(desk: Desk, instance: Instance, columns: Columns, load: Load) -> Floats:
    """Cost of each column beside the planned load where that leaves room for it, else infinity.

    Where money runs short, room is not enough: others would have to go without.
    """
    if instance.classes[0].spec.tenant_id in desk.tariff.cash:
        return np.full(columns.count, np.inf)
    empty = empty_occupancy(instance, columns)
    state = replace(empty, used=load.used, peak_w=load.peak_w, mean_w=load.mean_w)
    costs: Floats = np.where(state.fits(0), columns.cost + state.energy_yuan(0), np.inf)
    return costs


def _or_left(found: Mapping[int, Estimate], best: Estimate, unserved: float) -> Estimate:
    """The best estimate of all pools, with the cost of leaving the job out as its limit."""
    if best.cost >= unserved:
        return replace(best, start=None, cost=unserved, cost_most=unserved)
    costs = [estimate.cost_most for estimate in found.values() if estimate.cost_most is not None]
    most = min(costs, default=unserved)
    return replace(best, cost_most=max(best.cost, min(most, unserved)))


def _is_sure(desk: Desk, job: JobSpec, instance: Instance, best: Estimate) -> bool:
    """Whether both ends are near each other, and the tenant's money is not what decides."""
    if best.cost_most is None or best.cost_most - best.cost > max(
        _YUAN_SLACK, SURE_WITHIN * abs(best.cost)
    ):
        return False
    needed = desk.needed_fen.get(job.tenant_id, 0)
    if job.tenant_id in desk.tariff.cash or not needed:
        return True
    dearest = _dearest_fen(job, instance.pools)
    return needed + dearest <= instance.problem.cash_fen.get(job.tenant_id, 0)


def is_of(board: PriceBoard, instance: Instance) -> bool:
    """Whether a board has the pools and slots of an instance."""
    same_pools = [pool.pool_id for pool in board.pools] == [pool.id for pool in instance.pools]
    return same_pools and len(board.hours) == instance.timeline.slots


def _load_of(board: PriceBoard, instance: Instance) -> Load:
    left = np.array([pool.units_left for pool in board.pools], dtype=np.int64)
    used = np.maximum(0, instance.units_free - left.reshape(instance.units_free.shape))
    peak_w = np.zeros(instance.facilities.base_w.shape)
    np.add.at(peak_w, instance.site_of, used * instance.busy_w[:, None])
    mean_w = np.array([site.load_w for site in board.sites]).reshape(peak_w.shape)
    return Load(used, peak_w, mean_w)


def _needed_fen(problem: Problem) -> dict[str, int]:
    """The most that each tenant's queued jobs can cost, wherever they go."""
    needed: dict[str, int] = {}
    for job in problem.jobs:
        price_fen = _dearest_fen(job, problem.pools)
        needed[job.tenant_id] = needed.get(job.tenant_id, 0) + price_fen
    return needed


def _dearest_fen(job: JobSpec, pools: Sequence[PoolSpec]) -> int:
    if not pools:
        return 0
    dearest = max(pools, key=lambda pool: pool.price_uyuan_per_unit_hour)
    return max(price_fen_max(shape, dearest) for shape in job.options)
