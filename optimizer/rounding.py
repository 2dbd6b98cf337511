"""From fractions to whole jobs: floors and greedy, then a search over the columns that matter.

Both give a state in which units, power and money are exact, so a solver's error can make a plan
worse but never wrong.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from optimizer.arrays import Bools, Floats
from optimizer.certificate import reduced_costs
from optimizer.crew import IN_PROCESS, Crew
from optimizer.deadline import Deadline
from optimizer.diving import dive
from optimizer.exchange import exchange
from optimizer.formulation import Formulation
from optimizer.greedy import fill
from optimizer.highs_route import is_basis_of
from optimizer.improvement import improve
from optimizer.model import Model
from optimizer.neighbourhoods import Ground, joined, neighbourhoods, search_side_by_side
from optimizer.occupancy import Occupancy, empty_occupancy
from optimizer.room import ExactHolder
from optimizer.schedule import Schedule
from optimizer.solution import Limits, Solution, SolveModel, SolveStatus

_WHOLE: Final = 1e-6
_SEARCH_SHARE: Final = 0.8
"""Share of the time left that the search may take: the rest is for finishing and for reasons."""
_ROUND_SHARE: Final = 0.3
"""Share of a plan's time that must be left for another round of neighbourhoods."""
_SIDE_BY_SIDE_SHARE: Final = 0.5
"""Share of the time left that the searches of a round may take; the rest is for the join."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A plan of whole jobs. ``is_proven``: no plan is better by more than the search's gap.

    ``schedule`` is the energy schedule that ``objective`` counts on, where there is energy data.
    """

    state: Occupancy
    objective: float
    is_proven: bool
    is_complete: bool
    how: str
    schedule: Schedule | None = None


def round_down_and_fill(formulation: Formulation, relaxed: Solution, deadline: Deadline) -> Whole:
    """Dive where the route can begin from a basis, else take floors; then fill up and improve."""
    state = empty_occupancy(formulation.instance, formulation.columns)
    if _can_dive(formulation.model, relaxed):
        dive(formulation.model, relaxed, ExactHolder(state), deadline)
    else:
        _place_counts(state, np.floor(relaxed.values[formulation.start.where] + _WHOLE))
    reduced = reduced_costs(formulation.model, relaxed.duals)[formulation.start.where]
    is_complete = fill(state, deadline, reduced)
    exchange(state, deadline)
    improve(state, deadline)
    return Whole(state, state.objective(), False, is_complete, "rounded")


def _can_dive(model: Model, relaxed: Solution) -> bool:
    """Whether the answer has a basis, of the variables that it says it is of."""
    inside = relaxed.inside
    if inside is None:
        return is_basis_of(relaxed.basis, model.columns, model.row_count)
    is_ascending = bool((np.diff(inside) > 0).all()) if len(inside) else False
    is_in = is_ascending and inside[0] >= 0 and inside[-1] < model.columns
    return is_in and is_basis_of(relaxed.basis, len(inside), model.row_count)


def search(
    formulation: Formulation, relaxed: Solution, best: Whole, tools: "Tools"
) -> Whole | None:
    """Search whole plans over the columns that could be in a better one; None if nothing was found.

    A column whose reduced cost is above (best plan - bound) is in no better plan, so dropping it
    loses nothing. Where more than ``mip_columns_max`` remain only the cheapest are kept, and then
    nothing is proven. The columns of the best plan always stay.
    """
    policy = formulation.instance.problem.policy
    keep, loses_nothing = _columns_that_matter(formulation, relaxed, best, tools.bound)
    time_s = min(policy.mip_time_s, tools.deadline.left_s() * _SEARCH_SHARE)
    if not keep.any() or time_s <= 0:
        return None
    drop = np.zeros(formulation.model.columns, dtype=np.bool_)
    drop[formulation.start.where] = ~keep
    found = tools.solve(
        formulation.model.fixed_at_zero(drop),
        Limits(time_s=time_s, gap=policy.mip_gap),
    )
    if not found.has_point:
        return None
    state = empty_occupancy(formulation.instance, formulation.columns)
    _place_counts(state, np.round(found.values[formulation.start.where]))
    is_complete = fill(state, tools.deadline)
    exchange(state, tools.deadline)
    improve(state, tools.deadline)
    objective = state.objective()
    is_proven = (
        loses_nothing
        and found.status is SolveStatus.OPTIMAL
        and objective <= found.objective + policy.mip_gap * max(1.0, abs(found.objective))
    )
    return Whole(state, objective, is_proven, is_complete, "searched")


def search_around(
    formulation: Formulation, relaxed: Solution, best: Whole, tools: "Tools"
) -> Whole | None:
    """Search sites side by side, round by round, each from the plan so far; None: nothing gained.

    For plans of more starts than one search takes. ``Policy.search_rounds`` says how many rounds.
    """
    policy = formulation.instance.problem.policy
    _, is_all = _columns_that_matter(formulation, relaxed, best, tools.bound)
    layout = formulation.model.layout
    if is_all or layout is None or policy.mip_time_s <= 0:
        return None
    ground = Ground(
        model=formulation.model,
        layout=layout,
        counts=_counts(best.state),
        site=formulation.instance.site_of[formulation.columns.pool],
        reduced=reduced_costs(formulation.model, relaxed.duals)[formulation.start.where],
        may_move=_may_move(formulation),
    )
    states = _States(formulation, tools.deadline)
    cost = best.state.objective()
    for turn in range(policy.search_rounds):
        if tools.deadline.left_s() < _ROUND_SHARE * policy.time_limit_s:
            break
        parts = neighbourhoods(ground, turn)
        time_s = (
            _SIDE_BY_SIDE_SHARE * tools.deadline.left_s() * tools.crew.size / max(1, len(parts))
        )
        limits = Limits(time_s=min(policy.mip_time_s, time_s), gap=policy.mip_gap)
        found = search_side_by_side(parts, limits, tools.crew)
        better = joined(ground.counts, found, states.cost, cost) if found else None
        if better is not None:
            state, is_complete = states.of(better)
            cost = state.objective()
            ground = ground._replace(counts=_counts(state))
            best = Whole(state, cost, False, is_complete, "searched")
    return best if states.has_any else None


@dataclass(frozen=True, slots=True)
class Tools:
    """What searches work with: the route to the solver, the bound, the time, who helps."""

    solve: SolveModel
    bound: float
    deadline: Deadline
    crew: Crew = IN_PROCESS


class _States:
    """Plans made of counts in the exact state; what has no room or no money there is left out."""

    def __init__(self, formulation: Formulation, deadline: Deadline) -> None:
        self._formulation, self._deadline = formulation, deadline
        self._made: dict[bytes, tuple[Occupancy, bool]] = {}

    @property
    def has_any(self) -> bool:
        """Whether any was made."""
        return bool(self._made)

    def of(self, counts: Floats) -> tuple[Occupancy, bool]:
        """Return the plan of the counts, filled up, and whether every job had its turn."""
        known = self._made.get(counts.tobytes())
        if known is None:
            state = empty_occupancy(self._formulation.instance, self._formulation.columns)
            _place_counts(state, counts)
            is_complete = fill(state, self._deadline)
            improve(state, self._deadline)
            known = self._made[counts.tobytes()] = state, is_complete
        return known

    def cost(self, counts: Floats) -> float:
        """Return what that plan costs."""
        return self.of(counts)[0].objective()


def _may_move(formulation: Formulation) -> Bools:
    """Jobs that wait for others, or are waited for, stay: their order binds sites together."""
    order = formulation.instance.precedence
    tied = [order.is_tied(k) for k in range(len(formulation.instance.classes))]
    return ~np.array(tied, dtype=np.bool_)[formulation.columns.klass]


def _columns_that_matter(
    formulation: Formulation, relaxed: Solution, best: Whole, bound: float
) -> tuple[Bools, bool]:
    """Return which columns the search keeps, and whether no better plan can need another."""
    reduced = reduced_costs(formulation.model, relaxed.duals)[formulation.start.where]
    is_used = _counts(best.state) > 0
    keep = (reduced <= best.objective - bound + _WHOLE) | is_used
    limit = formulation.instance.problem.policy.mip_columns_max
    if int(keep.sum()) <= limit:
        return keep, True
    chosen = is_used.copy()
    chosen[np.argsort(reduced, kind="stable")[:limit]] = True
    return chosen, False


def _counts(state: Occupancy) -> Floats:
    """Return how many jobs start by each column."""
    counts = np.zeros(state.columns.count)
    for column, payments in state.payments.items():
        counts[column] = len(payments)
    return counts


def _place_counts(state: Occupancy, counts: Floats) -> None:
    """Start so many jobs of each column, earliest first, as far as money allows."""
    slots = state.columns.slot
    for column in np.lexsort((np.arange(len(counts)), slots)):
        if counts[column] > 0:
            state.place(int(column), int(counts[column]))
