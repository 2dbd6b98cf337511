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
from optimizer.formulation import Formulation
from optimizer.greedy import fill
from optimizer.improvement import improve
from optimizer.occupancy import Occupancy, empty_occupancy
from optimizer.solution import Limits, Solution, SolveModel, SolveStatus

_WHOLE: Final = 1e-6
_SEARCH_SHARE: Final = 0.8
"""Share of the time left that the search may take: the rest is for finishing and for reasons."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A plan of whole jobs. ``is_proven``: no plan is better by more than the search's gap."""

    state: Occupancy
    objective: float
    is_proven: bool
    is_complete: bool
    how: str


def round_down_and_fill(formulation: Formulation, relaxed: Solution, deadline: Deadline) -> Whole:
    """Start the whole part of every fraction, then fill up in the order of reduced cost."""
    state = empty_occupancy(formulation.instance, formulation.columns)
    fractions = relaxed.values[formulation.start.where]
    reduced = reduced_costs(formulation.model, relaxed.duals)[formulation.start.where]
    _place_counts(state, np.floor(fractions + _WHOLE))
    parts = fractions - np.floor(fractions + _WHOLE)
    for column in np.lexsort((np.arange(len(parts)), -parts)):
        if parts[column] <= _WHOLE:
            break
        state.place(int(column), 1)
    is_complete = fill(state, deadline, reduced) and fill(state, deadline)
    improve(state, deadline)
    return Whole(state, state.objective(), False, is_complete, "rounded")


def search(
    formulation: Formulation, relaxed: Solution, best: Whole, tools: "Tools"
) -> Whole | None:
    """Search whole plans over the columns that could be in a better one; None if nothing was found.

    A column whose reduced cost is above (best plan - bound) is in no better plan, so dropping it
    loses nothing. Where more than ``mip_columns_max`` remain only the cheapest are kept, and then
    nothing is proven.
    """
    policy = formulation.instance.problem.policy
    keep, loses_nothing = _columns_that_matter(formulation, relaxed, best, tools.bound)
    time_s = min(policy.mip_time_s, tools.deadline.left_s() * _SEARCH_SHARE)
    if not keep.any() or time_s <= 0:
        return None
    drop = np.zeros(formulation.model.columns, dtype=np.bool_)
    drop[formulation.start.where] = ~keep
    found = tools.solve(
        formulation.model.fixed_at_zero(drop), Limits(time_s=time_s, gap=policy.mip_gap)
    )
    if not found.has_point:
        return None
    state = empty_occupancy(formulation.instance, formulation.columns)
    _place_counts(state, np.round(found.values[formulation.start.where]))
    is_complete = fill(state, tools.deadline)
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
    keep = reduced <= best.objective - bound + _WHOLE
    limit = formulation.instance.problem.policy.mip_columns_max
    if int(keep.sum()) <= limit:
        return keep, True
    cheapest = np.argsort(reduced, kind="stable")[:limit]
    chosen = np.zeros(len(reduced), dtype=np.bool_)
    chosen[cheapest] = True
    return chosen & keep, False


def _place_counts(state: Occupancy, counts: Floats) -> None:
    """Start so many jobs of each column, earliest first, as far as money allows."""
    slots = state.columns.slot
    for column in np.lexsort((np.arange(len(counts)), slots)):
        if counts[column] > 0:
            state.place(int(column), int(counts[column]))
