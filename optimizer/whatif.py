"""What-ifs: the relaxation of a plan, solved again with one job more, from its last basis.

A price holds for a little more; a job that is large for its pool, or whose tenant's money runs
short, moves prices itself. Then the relaxation is asked: the job's variables and rows are appended
to it, and the simplex goes on from where it ended, which takes milliseconds where a cold solve
takes seconds. Only where the job makes its tenant's money short for the first time everything is
solved anew, since then the other jobs of the tenant need rows of money as well.
"""

from dataclasses import dataclass, replace
from typing import Final

import highspy
import numpy as np
from numpy.typing import NDArray

from optimizer.arrays import Floats, Ints
from optimizer.columns import Columns, columns_of
from optimizer.direct_route import solve_direct
from optimizer.formulation import Formulation, formulate
from optimizer.highs_route import LiveModel
from optimizer.instance import Instance, for_jobs, instance_of
from optimizer.model import Block, Model
from optimizer.problem import JobSpec, Problem
from optimizer.solution import Limits, no_solution
from optimizer.switches import in_force

TIME_S: Final = 10.0
"""Seconds that one solve may take."""
STARTS_MAX: Final = 30_000
"""Most possible starts of a problem that is solved; larger ones have no answers here."""
_OWN: Final = frozenset({"start", "left", "price", "voucher"})
"""Families of variables that a job brings with it; all others it shares with the plan."""
_OWN_ROWS: Final = frozenset({"place", "sum_price", "share", "whole", "cash_of_job"})
_WHOLE: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Answer:
    """What one more job adds to the cost of the plan, in yuan, by solving again.

    ``placed`` is the share of it that is placed, by each of its ``columns``; the rest is left out.
    """

    cost: float
    placed: Floats
    columns: Columns

    @property
    def column(self) -> int | None:
        """Where most of it starts, a place among the job's own columns; None: it is left out."""
        if self.placed.sum() < _WHOLE:
            return None
        return int(np.argmax(self.placed))


@dataclass(frozen=True, slots=True)
class _Status:
    """A basis as lists: reading it out of the solver copies it each time."""

    columns: list[highspy.HighsBasisStatus]
    rows: list[highspy.HighsBasisStatus]


class Relaxation:
    """The relaxation of a problem with its prices and its basis: what-ifs begin from it."""

    def __init__(
        self, problem: Problem, time_s: float = TIME_S, *, starts_max: int = STARTS_MAX
    ) -> None:
        self.problem = in_force(problem)
        self.instance = instance_of(self.problem)
        self.formulation = formulate(self.instance, columns_of(self.instance))
        self._time_s, self._starts_max = time_s, starts_max
        is_small = self.formulation.start.count <= starts_max
        model = self.formulation.model.relaxed()
        self.solved = (
            solve_direct(model, Limits(time_s=time_s))
            if is_small
            else no_solution("too large to be solved again")
        )
        self._needed_fen = _needed_fen(self.instance, self.formulation.columns)
        self._status = _status_of(self.solved.basis)

    def __getstate__(self) -> dict[str, object]:
        """Return what a worker needs to go on from here: HiGHS's own objects do not travel."""
        status = self._status
        lists = None if status is None else (_numbers(status.columns), _numbers(status.rows))
        solved = replace(self.solved, basis=None)
        return {**self.__dict__, "solved": solved, "_status": lists}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Go on from what was sent."""
        self.__dict__.update(state)
        lists = state["_status"]
        if isinstance(lists, tuple):
            self._status = _Status(_statuses(lists[0]), _statuses(lists[1]))

    @property
    def status(self) -> _Status:
        """The basis as lists."""
        assert self._status is not None, "ask has_answers first"
        return self._status

    @property
    def has_answers(self) -> bool:
        """Whether it was solved to a corner, so that it can be asked."""
        return self.solved.has_point and self._status is not None

    def with_job(self, job: JobSpec, data: Problem | None = None) -> Answer | None:
        """Return what one more job costs; None where it has no place at all or no answer came.

        ``data`` is the problem with money and links that the queue did not need and this job does.
        """
        data = self.problem if data is None else in_force(data)
        instance = for_jobs(self.instance, data, (job,))
        columns = columns_of(instance)
        if not columns.count or not self.has_answers:
            return None
        # Rows of reservations, order and fairness are not grown: that is solved from nothing.
        if self._runs_short(job, columns) or job.after or self._is_tied():
            return self._anew(job, data, columns)
        grown = _Grown(self, instance, columns)
        model, basis = grown.model, grown.basis
        answer = LiveModel(model, basis).solve(Limits(time_s=self._time_s))
        if not answer.has_point:
            return self._anew(job, data, columns)
        placed = answer.values[grown.starts]
        return Answer(answer.objective - self.solved.objective, placed, columns)

    def _is_tied(self) -> bool:
        return bool(self.instance.reserved.count) or self.instance.fairness.is_on

    def without_job(self, job: JobSpec) -> "Relaxation":
        """Return the relaxation of the problem without one of its jobs."""
        rest = tuple(one for one in self.problem.jobs if one.id != job.id)
        rest_of_it = replace(self.problem, jobs=rest)
        return Relaxation(rest_of_it, self._time_s, starts_max=self._starts_max)

    def _runs_short(self, job: JobSpec, columns: Columns) -> bool:
        """Whether the job is what makes its tenant's cash short for jobs that have no row of it."""
        if f"cash:{job.tenant_id}" in self.formulation.row_of:
            return False
        before = self._needed_fen.get(job.tenant_id, 0)
        cash = self.problem.cash_fen.get(job.tenant_id, 0)
        return before > 0 and before + int(columns.price_fen.max()) > cash

    def _anew(self, job: JobSpec, data: Problem, columns: Columns) -> Answer | None:
        """Solve everything with the job, from nothing."""
        probe = replace(job, id=f"{job.id}+")
        problem = replace(data, jobs=(*self.problem.jobs, probe))
        other = Relaxation(problem, self._time_s, starts_max=2 * self._starts_max)
        if not other.solved.has_point:
            return None
        placed = _placed_of(other, probe)
        return Answer(other.solved.objective - self.solved.objective, placed, columns)


def _status_of(basis: object) -> _Status | None:
    if not isinstance(basis, highspy.HighsBasis) or not basis.valid:
        return None
    return _Status(list(basis.col_status), list(basis.row_status))


def _numbers(status: list[highspy.HighsBasisStatus]) -> NDArray[np.int8]:
    return np.array([int(one) for one in status], dtype=np.int8)


def _statuses(numbers: NDArray[np.int8]) -> list[highspy.HighsBasisStatus]:
    return [highspy.HighsBasisStatus(int(number)) for number in numbers]


def _placed_of(relaxation: Relaxation, job: JobSpec) -> Floats:
    """Return what is placed of the class of a job, by its columns, as if it were of this job."""
    for k, klass in enumerate(relaxation.instance.classes):
        if any(member.id == job.id for member in klass.members):
            values = relaxation.solved.values[relaxation.formulation.start.where]
            return values[relaxation.formulation.columns.of_class(k)] / klass.count
    raise AssertionError(f"{job.id} is in no class")


def _needed_fen(instance: Instance, columns: Columns) -> dict[str, int]:
    """What each tenant's jobs need at their dearest."""
    dearest = np.zeros(len(instance.classes), dtype=np.int64)
    np.maximum.at(dearest, columns.klass, columns.price_fen)
    needed: dict[str, int] = {}
    for klass, price_fen in zip(instance.classes, dearest, strict=True):
        tenant = klass.spec.tenant_id
        needed[tenant] = needed.get(tenant, 0) + klass.count * int(price_fen)
    return needed


class _Grown:
    """A solved model with the variables and rows of one more job behind its own."""

    def __init__(self, ground: Relaxation, instance: Instance, columns: Columns) -> None:
        self._ground = ground
        self._alone = _formulate_alone(ground, instance, columns)
        self._old = _solved_model(ground)
        own = [block for block in self._alone.model.variables if block.name in _OWN]
        self._taken = _places(own)
        self._row_at, more = self._rows()
        self.model = self._grow(more)
        first = self._old.columns + int(np.searchsorted(self._taken, self._alone.start.first))
        self.starts = slice(first, first + self._alone.start.count)
        self.basis = self._extended(len(more))

    def _rows(self) -> tuple[Ints, Ints]:
        """Where each row of the job alone is in the grown model, and which rows are new to it."""
        old, alone = self._old, self._alone
        theirs = {block.name: block for block in old.rows}
        at = np.full(alone.model.row_count, -1, dtype=np.int64)
        for block in alone.model.rows:
            shared = theirs.get(block.name)
            if block.name not in _OWN_ROWS and shared and shared.count == block.count:
                at[block.where] = np.arange(shared.first, shared.first + shared.count)
        for name, row in alone.row_of.items():
            at[row] = self._ground.formulation.row_of.get(name, -1)
        touched = np.zeros(alone.model.row_count, dtype=np.bool_)
        touched[alone.model.index[self._entries()]] = True
        for block in alone.model.rows:
            if block.name in _OWN_ROWS:
                at[block.where] = -1
        more = np.flatnonzero(touched & (at < 0))
        at[more] = old.row_count + np.arange(len(more))
        return at, more

    def _entries(self) -> Ints:
        """Places of the coefficients of the job's own variables."""
        starts = self._alone.model.start.astype(np.int64)
        sizes = starts[self._taken + 1] - starts[self._taken]
        within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        places: Ints = np.repeat(starts[self._taken], sizes) + within
        return places

    def _grow(self, more: Ints) -> Model:
        old, alone, taken = self._old, self._alone.model, self._taken
        entries = self._entries()
        sizes = np.diff(alone.start)[taken]
        ends = old.nonzeros + np.cumsum(sizes)
        return replace(
            old,
            cost=np.append(old.cost, alone.cost[taken]),
            lower=np.append(old.lower, alone.lower[taken]),
            upper=np.append(old.upper, alone.upper[taken]),
            is_integral=np.append(old.is_integral, np.zeros(len(taken), dtype=np.bool_)),
            row_lower=np.append(old.row_lower, alone.row_lower[more]),
            row_upper=np.append(old.row_upper, alone.row_upper[more]),
            start=np.append(old.start, ends).astype(np.int32),
            index=np.append(old.index, self._row_at[alone.index[entries]]).astype(np.int32),
            value=np.append(old.value, alone.value[entries]),
            variables=(*old.variables, Block("job", old.columns, len(taken))),
            rows=(*old.rows, Block("job", old.row_count, len(more))),
            layout=None,
        )

    def _extended(self, rows: int) -> object:
        """The last basis with the job in its cheapest place: prices stay right, room may not."""
        old = self._old
        duals = np.append(self._ground.solved.duals, np.zeros(rows))
        reduced = (self.model.cost - self.model.weigh_rows(duals))[old.columns :]
        status = [highspy.HighsBasisStatus.kLower] * len(reduced)
        row_status = [highspy.HighsBasisStatus.kBasic] * rows
        first = self.starts.start - old.columns
        cheapest = first + int(np.argmin(reduced[first : first + self._alone.start.count]))
        place = self._row_at[self._alone.model.rows[0].first] - old.row_count
        status[cheapest] = highspy.HighsBasisStatus.kBasic
        row_status[place] = highspy.HighsBasisStatus.kLower
        longer = highspy.HighsBasis()
        longer.col_status = self._ground.status.columns + status
        longer.row_status = self._ground.status.rows + row_status
        longer.valid = True
        return longer


def _formulate_alone(ground: Relaxation, instance: Instance, columns: Columns) -> Formulation:
    """The model of the job alone, with rows of money wherever the plan has them for its tenant."""
    tenant = instance.classes[0].spec.tenant_id
    if f"cash:{tenant}" not in ground.formulation.row_of:
        return formulate(instance, columns)
    poor = replace(instance.problem, cash_fen={**instance.problem.cash_fen, tenant: 0})
    return formulate(replace(instance, problem=poor), columns)


def _solved_model(ground: Relaxation) -> Model:
    """The columns that the basis is of, with the blocks of rows of the whole model."""
    model = ground.formulation.model.relaxed()
    inside = ground.solved.inside
    return model if inside is None else model.only(inside)


def _places(blocks: list[Block]) -> Ints:
    parts = [np.arange(block.first, block.first + block.count) for block in blocks]
    joined: Ints = np.concatenate([np.empty(0, dtype=np.int64), *parts])
    return joined
