"""From fractions to whole jobs: floors and greedy, then a search over the columns that matter.

Both give a state in which units, power and money are exact, so a solver's error can make a plan
worse but never wrong.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from optimizer.arrays import Bools, Floats
from optimizer.certificate import reduced_costs
from optimizer.deadline import Deadline
from optimizer.diving import dive
from optimizer.exchange import exchange
from optimizer.formulation import Formulation
from optimizer.greedy import fill
from optimizer.highs_route import is_basis_of
from optimizer.improvement import improve
from optimizer.model import Model
from optimizer.occupancy import Occupancy, empty_occupancy
from optimizer.room import ExactHolder
from optimizer.schedule import Schedule
from optimizer.solution import Limits, Solution, SolveModel, SolveStatus

_WHOLE: Final = 1e-6
_SEARCH_SHARE: Final = 0.8
"""Share of the time left that the search may take: the rest is for finishing and for reasons."""


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


@dataclass(frozen=True, slots=True)
class Tools:
    """What the search works with: the route to the solver, the bound so far, the time."""

    solve: SolveModel
    bound: float
    deadline: Deadline


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
