"""What would change a job's place or its cost: each wish moved a little, and the plan asked again.

Prices say first where it is worth to ask: they are never above the true cost of a change, so one
that is not cheaper by them cannot be cheaper at all. Every saving that is told comes from solving
again with the changed job (``whatif``), and so a test can solve it again from nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from optimizer.columns import columns_of
from optimizer.crew import IN_PROCESS, Crew, Steady
from optimizer.instance import for_jobs
from optimizer.prices import board_of
from optimizer.problem import JobSpec, LotSpec, Problem
from optimizer.reduced import reduced_costs, tariff_of
from optimizer.whatif import STARTS_MAX, Answer, Relaxation
from suanwang.units import FEN_PER_YUAN, SECONDS_PER_HOUR

LATER_S: Final = 2 * SECONDS_PER_HOUR
"""How much later a deadline is tried."""
MORE_FEN: Final = 100_000
"""How much more voucher or cash is tried: 1,000 yuan."""
SPREAD_FROM: Final = 5_000
"""Starts from which a crew solves the changes: a smaller problem is solved before it is sent."""
_SAME_YUAN: Final = 0.005
_PLACED: Final = 0.5
"""A job counts as placed where the relaxation places more than half of it."""


class Wish(StrEnum):
    """What is changed of a job, or of its tenant's money."""

    DEADLINE = "deadline"
    EARLIEST = "earliest"
    UNITS = "units"
    LATENCY = "latency"
    SITES = "sites"
    ACCELERATORS = "accelerators"
    DOMESTIC = "domestic"
    CASH_LIMIT = "cash-limit"
    USES_VOUCHER = "uses-voucher"
    VOUCHER = "voucher"
    CASH = "cash"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a job costs the plan, in yuan, and where it starts; no start: it waits."""

    cost: float
    start: datetime | None
    pool_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A wish that was moved, and what the plan makes of it.

    ``is_solved`` False: prices alone show that nothing can be gained.
    """

    wish: Wish
    before: Outcome
    after: Outcome
    is_solved: bool

    @property
    def saved_pct(self) -> float:
        """By how many per cent the job costs the plan less; 0 where nothing is gained."""
        saved = self.before.cost - self.after.cost
        if saved <= _SAME_YUAN:
            return 0.0
        return 100.0 * saved / max(_SAME_YUAN, abs(self.before.cost))


def changes_of(
    relaxation: Relaxation, job: JobSpec, data: Problem, crew: Crew = IN_PROCESS
) -> tuple[Change, ...]:
    """Return what each change would mean for a job that waits, in the order of ``Wish``.

    ``data`` is the relaxation's problem with the job's money and links. Only what can be changed
    of this job is tried. Empty where the relaxation has no answers. The changes of a problem that
    is large enough are solved side by side by ``crew``.
    """
    is_known = any(one.id == job.id for one in relaxation.problem.jobs)
    ground = relaxation.without_job(job) if is_known else relaxation
    if not ground.has_answers:
        return ()
    desk = _Desk(ground, data)
    before = desk.outcome(job, ground.with_job(job, data))
    is_large = ground.formulation.start.count >= SPREAD_FROM
    steady = Steady(crew if is_large else IN_PROCESS)
    found = steady.spread(_changed, _Table(desk, job, before), tuple(Wish))
    return tuple(change for change in found if change is not None)


def changed_job(job: JobSpec, wish: Wish) -> JobSpec | None:
    """Return the job with a wish moved; None where the job has no such wish to move."""
    if wish not in _MOVES:
        return None
    moved = _MOVES[wish](job)
    return None if moved == job else moved


def richer(problem: Problem, job: JobSpec, wish: Wish) -> Problem | None:
    """Return the problem with 1,000 yuan more for the job's tenant; None where it has no such."""
    if wish is Wish.CASH:
        cash = problem.cash_fen.get(job.tenant_id, 0) + MORE_FEN
        return replace(problem, cash_fen={**problem.cash_fen, job.tenant_id: cash})
    first = first_lot(problem, job)
    if first is None or not job.uses_voucher:
        return None
    more = replace(first, available_fen=first.available_fen + MORE_FEN)
    lots = tuple(more if lot.id == first.id else lot for lot in problem.lots)
    return replace(problem, lots=lots)


def first_lot(problem: Problem, job: JobSpec) -> LotSpec | None:
    """Return the lot that the job's tenant draws first, or None."""
    own = [lot for lot in problem.lots if lot.tenant_id == job.tenant_id]
    return min(own, key=lambda lot: (lot.rank, lot.expires_s, lot.id), default=None)


class _Desk:
    """The ground that all changes of one job stand on, with its prices."""

    def __init__(self, ground: Relaxation, data: Problem) -> None:
        self.ground, self.data = ground, data
        board = board_of(ground.formulation, ground.solved, probe=False)
        self._tariff = None if board is None else tariff_of(board)

    def least(self, job: JobSpec, data: Problem | None = None) -> float:
        """The least that a job can cost, by prices; minus infinity where there are none."""
        instance = for_jobs(self.ground.instance, data or self.data, (job,))
        columns = columns_of(instance)
        unserved = instance.classes[0].unserved_yuan
        if not columns.count:
            return unserved
        if self._tariff is None:
            return float("-inf")
        return min(unserved, float(reduced_costs(instance, columns, self._tariff).min()))

    def worth(self, job: JobSpec, wish: Wish) -> float:
        """What the others at most save by the money that is added, by its price."""
        if self._tariff is None:
            return float("inf")
        worth = self._tariff.cash.get(job.tenant_id, 0.0)
        if wish is Wish.VOUCHER:
            lot = first_lot(self.data, job)
            worth = 0.0 if lot is None else self._tariff.lots.get(lot.id, 0.0)
        return worth * MORE_FEN / FEN_PER_YUAN

    def outcome(self, job: JobSpec, answer: Answer | None) -> Outcome:
        """Return an answer as an outcome; none means that the job has no place at all."""
        instance = for_jobs(self.ground.instance, self.data, (job,))
        if answer is None or answer.placed.sum() < _PLACED or answer.column is None:
            cost = instance.classes[0].unserved_yuan if answer is None else answer.cost
            return Outcome(cost=cost, start=None, pool_id="")
        columns = answer.columns
        start_s = float(instance.timeline.start_s[columns.slot[answer.column]])
        return Outcome(
            cost=answer.cost,
            start=instance.problem.origin + timedelta(seconds=start_s),
            pool_id=instance.pools[columns.pool[answer.column]].id,
        )


@dataclass(frozen=True, slots=True)
class _Table:
    """What all changes of one job have in common."""

    desk: _Desk
    job: JobSpec
    before: Outcome


def _changed(table: _Table, wish: Wish) -> Change | None:
    ask = _richer if wish in _MONEY else _moved
    return ask(table.desk, table.job, table.before, wish)


def _moved(desk: _Desk, job: JobSpec, before: Outcome, wish: Wish) -> Change | None:
    moved = changed_job(job, wish)
    if moved is None:
        return None
    if desk.least(moved) >= before.cost - _SAME_YUAN:
        return Change(wish=wish, before=before, after=before, is_solved=False)
    after = desk.outcome(moved, desk.ground.with_job(moved, desk.data))
    return Change(wish=wish, before=before, after=after, is_solved=True)


def _richer(desk: _Desk, job: JobSpec, before: Outcome, wish: Wish) -> Change | None:
    """More money is for all jobs of the tenant: what any of them gains by it counts."""
    data = richer(desk.data, job, wish)
    if data is None:
        return None
    if before.cost - desk.least(job, data) + desk.worth(job, wish) <= _SAME_YUAN:
        return Change(wish=wish, before=before, after=before, is_solved=False)
    jobs = desk.ground.problem.jobs
    rest = Relaxation(replace(data, jobs=jobs), starts_max=2 * STARTS_MAX)
    if not rest.has_answers:
        return None
    gained = rest.solved.objective - desk.ground.solved.objective
    after = desk.outcome(job, rest.with_job(job))
    return Change(
        wish=wish, before=before, after=replace(after, cost=after.cost + gained), is_solved=True
    )


_MONEY: Final = (Wish.VOUCHER, Wish.CASH)


def _halved(job: JobSpec) -> JobSpec:
    return replace(job, units=max(1, job.units // 2), shapes=())


_MOVES: Final[Mapping[Wish, Callable[[JobSpec], JobSpec]]] = MappingProxyType(
    {
        Wish.DEADLINE: lambda job: (
            job if job.deadline_s is None else replace(job, deadline_s=job.deadline_s + LATER_S)
        ),
        Wish.EARLIEST: lambda job: replace(job, earliest_s=min(0.0, job.earliest_s)),
        Wish.UNITS: _halved,
        Wish.LATENCY: lambda job: replace(job, latency_ms_max=None),
        Wish.SITES: lambda job: replace(job, sites=frozenset()),
        Wish.ACCELERATORS: lambda job: replace(job, accelerators=frozenset()),
        Wish.DOMESTIC: lambda job: replace(job, domestic_only=False),
        Wish.CASH_LIMIT: lambda job: replace(job, cash_fen_max=None),
        Wish.USES_VOUCHER: lambda job: replace(job, uses_voucher=True),
    }
)
"""How each wish is moved. Data rules are law and are not among them."""
