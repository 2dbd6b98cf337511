"""Diving: make the heaviest jobs whole, let the linear relaxation answer, repeat.

Each step begins from the last basis, so it takes milliseconds. What becomes whole is placed in the
exact state at once, which has the last word on units, power and money.
"""

from typing import Final

import numpy as np

from optimizer.arrays import Floats, Ints
from optimizer.deadline import Deadline
from optimizer.formulation import Formulation
from optimizer.highs_route import LiveModel
from optimizer.occupancy import Occupancy
from optimizer.solution import Limits, Solution

ROUNDS_MAX: Final = 60
_SHARE_A_ROUND: Final = 0.15
"""Share of the open classes that get whole jobs in one round; less is slower and better."""
TIME_SHARE: Final = 0.4
"""Share of the time left that a dive may take; what is then still open is filled greedily."""
_WHOLE: Final = 1e-6


def dive(formulation: Formulation, relaxed: Solution, state: Occupancy, deadline: Deadline) -> None:
    """Place jobs in ``state`` until the relaxation is whole, or time, rounds or ideas run out."""
    own = Deadline(deadline.left_s() * TIME_SHARE)
    model, start = formulation.model.relaxed(), formulation.start
    inside = np.arange(model.columns) if relaxed.inside is None else relaxed.inside
    at = np.full(model.columns, -1, dtype=np.int64)
    at[inside] = np.arange(len(inside))
    live = LiveModel(model if relaxed.inside is None else model.only(inside), relaxed.basis)
    upper = model.upper[start.where].copy()
    placed = np.zeros(start.count)
    columns = formulation.columns
    unserved = [klass.unserved_yuan for klass in formulation.instance.classes]
    weight = np.array(unserved)[columns.klass]
    values = relaxed.values[start.where]
    for _ in range(ROUNDS_MAX):
        more = values - placed
        tried = _heaviest(more, weight, columns.klass)
        if not len(tried) or own.is_over:
            return
        for column in tried:
            if not state.order.has_turn(int(columns.klass[column])):
                continue
            wanted = max(1, int(more[column] + _WHOLE))
            done = state.place(int(column), wanted)
            placed[column] += done
            if done < wanted:
                upper[column] = placed[column]
        live.bound(at[start.first + tried], placed[tried], upper[tried])
        answer = live.solve(Limits(time_s=own.left_s()))
        if not answer.has_point:
            return
        values = np.zeros(model.columns)
        values[inside] = answer.values
        values = values[start.where]


def _heaviest(more: Floats, weight: Floats, klass: Ints) -> Ints:
    """Return, of the classes with a job left to place, the heaviest: each by its surest column.

    Heavy jobs first: what is left over in the end is then light, and light jobs fit into gaps.
    """
    open_now = np.flatnonzero(more > _WHOLE)
    by_class = open_now[np.lexsort((open_now, -more[open_now], klass[open_now]))]
    is_first = np.append(True, np.diff(klass[by_class]) != 0)
    surest = by_class[is_first[: len(by_class)]]
    count = int(np.ceil(len(surest) * _SHARE_A_ROUND))
    chosen: Ints = surest[np.argsort(-weight[surest], kind="stable")][:count]
    return chosen
