"""Exchanges: a job that found no room or no money takes that of lighter ones that can do without.

Each try is made on the exact state and undone unless the whole plan becomes cheaper.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from optimizer.arrays import Ints
from optimizer.deadline import Deadline
from optimizer.greedy import fill_class
from optimizer.improvement import GAIN_YUAN_MIN
from optimizer.money import Payment, Shortfall
from optimizer.occupancy import WATT_SLACK, Occupancy

TRIES_MAX: Final = 120
"""Tries in all, heaviest first: a number and not a time, so equal problems give equal plans."""
COLUMNS_A_CLASS: Final = 4
"""Places that are tried for a job: the one that lacks least of each pool, of the best few pools."""
EVICTED_MAX: Final = 40


def exchange(state: Occupancy, deadline: Deadline) -> int:
    """Make room for jobs that are left out, heaviest first; return how many got a place so."""
    placed, tries = 0, 0
    classes = state.instance.classes
    heavy_first = sorted(range(len(classes)), key=lambda k: (-classes[k].unserved_yuan, k))
    for k in heavy_first:
        while state.left[k] and tries < TRIES_MAX and not deadline.is_over:
            found = False
            for column in _nearest_columns(state, k):
                tries += 1
                found = _try(state, int(column))
                if found:
                    placed += 1
                    break
            if not found:
                break
    return placed


@dataclass(slots=True)
class _Trial:
    """Changes of a state that can be undone, last first."""

    state: Occupancy
    steps: list[tuple[int, Payment | None]] = field(default_factory=list)

    def evict(self, column: int) -> None:
        """Take one job of the column out."""
        self.steps.append((column, self.state.give_back(column)))

    def undo(self) -> None:
        """Put everything back as it was."""
        for column, payment in reversed(self.steps):
            if payment is None:
                self.state.give_back(column)
            else:
                self.state.take(column, payment)


def _try(state: Occupancy, column: int) -> bool:
    """Start one job of the column in the place of lighter ones; keep it if the plan is cheaper."""
    before = state.objective()
    trial = _Trial(state)
    _make_room(trial, column)
    _find_money(trial, column)
    if not trial.steps or not state.place(column, 1):
        trial.undo()
        return False
    evicted = {int(state.columns.klass[at]) for at, _ in trial.steps}
    trial.steps.append((column, None))
    classes = state.instance.classes
    for k in sorted(evicted, key=lambda k: (-classes[k].unserved_yuan, k)):
        trial.steps += [(at, None) for at in fill_class(state, k)]
    if state.objective() < before - GAIN_YUAN_MIN:
        return True
    trial.undo()
    return False


def _make_room(trial: _Trial, column: int) -> None:
    """Evict lighter jobs that are in the way, in the order of ``_blockers``."""
    for blocker in _blockers(trial.state, column):
        while blocker in trial.state.payments and _is_in_the_way(trial.state, column, blocker):
            if len(trial.steps) >= EVICTED_MAX:
                return
            trial.evict(blocker)


def _find_money(trial: _Trial, column: int) -> None:
    """Evict lighter jobs of the same tenant, those first that pay most for their weight."""
    state = trial.state
    for payer in _payers(state, column):
        while payer in state.payments and isinstance(state.split(column), Shortfall):
            if len(trial.steps) >= EVICTED_MAX:
                return
            trial.evict(payer)


def _payers(state: Occupancy, column: int) -> list[int]:
    """Columns with lighter jobs of the same tenant, dearest for their weight first."""
    columns, classes = state.columns, state.instance.classes
    tenant, weight = state.job(column).tenant_id, _weight(state, column)
    return sorted(
        (
            at
            for at in state.payments
            if classes[int(columns.klass[at])].spec.tenant_id == tenant
            and not state.order.is_awaited(int(columns.klass[at]))
            and _weight(state, at) < weight
        ),
        key=lambda at: (-float(columns.price_fen[at]) / _weight(state, at), at),
    )


def _nearest_columns(state: Occupancy, k: int) -> Ints:
    """For each pool the column that lacks the fewest units; of these the few that lack least."""
    columns = state.columns
    own = columns.of_class(k)
    free = state.free_for(k)
    lacking = np.array(
        [
            columns.units[at]
            - free[columns.pool[at], columns.slot[at] : columns.last[at] + 1].min()
            for at in range(own.start, own.stop)
        ],
        dtype=np.int64,
    )
    order = np.lexsort((columns.cost[own], np.maximum(0, lacking)))
    _, first = np.unique(columns.pool[own][order], return_index=True)
    best: Ints = own.start + order[np.sort(first)][:COLUMNS_A_CLASS].astype(np.int64)
    return best


def _blockers(state: Occupancy, column: int) -> list[int]:
    """Columns with lighter jobs at the same site and time: same pool first, then light first."""
    columns, instance = state.columns, state.instance
    p, first, last = (int(row[column]) for row in (columns.pool, columns.slot, columns.last))
    site = instance.site_of[p]
    weight = _weight(state, column)

    def key(at: int) -> tuple[bool, float, int]:
        return (int(columns.pool[at]) != p, _weight(state, at), at)

    return sorted(
        (
            at
            for at in state.payments
            if instance.site_of[columns.pool[at]] == site
            and not state.order.is_awaited(int(columns.klass[at]))
            and columns.slot[at] <= last
            and columns.last[at] >= first
            and _weight(state, at) < weight
        ),
        key=key,
    )


def _is_in_the_way(state: Occupancy, column: int, blocker: int) -> bool:
    """Whether the blocker is in use in a slot in which the column lacks units or power."""
    columns, instance = state.columns, state.instance
    p = int(columns.pool[column])
    s = int(instance.site_of[p])
    first = max(int(columns.slot[column]), int(columns.slot[blocker]))
    both = slice(first, min(int(columns.last[column]), int(columns.last[blocker])) + 1)
    free = state.free_for(int(columns.klass[column]))[p, both]
    room_w = instance.facilities.room_w[s, both] - state.peak_w[s, both]
    lacks_units = bool((free < columns.units[column]).any())
    lacks_power = bool((room_w + WATT_SLACK < state.watts(column)).any())
    return lacks_power or (lacks_units and int(columns.pool[blocker]) == p)


def _weight(state: Occupancy, column: int) -> float:
    return state.instance.classes[int(state.columns.klass[column])].unserved_yuan
