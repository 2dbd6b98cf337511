"""Whole jobs on the anchor instance: what they cost above the bound of the relaxation.

The rounding is the planner's own (``optimizer.diving``); here it works
in the anchor's exact state instead of the planner's. It starts where the relaxation ends: with a
corner, its basis and its prices. Seconds are processor time of one thread.

A start whose gang finds no room in an empty plan is no start: the planner has none such, and they
are left out before the relaxation. ``plan.rounding_plain_pct`` is over the bound with them.
"""

from collections.abc import Iterator
from time import process_time
from typing import Final

import numpy as np

from benchmarks.anchor import (
    CLASSES,
    KINDS,
    KW,
    POOLS,
    RATE,
    SITES,
    SLOTS,
    TENANTS,
    Anchor,
    make_anchor,
)
from benchmarks.frame import Figure, Options
from optimizer.arrays import Bools, Floats, Ints
from optimizer.certificate import TOLERANCE, lagrangian_bound, reduced_costs, violation
from optimizer.deadline import Deadline
from optimizer.direct_route import solve_direct
from optimizer.diving import dive
from optimizer.model import Layout, Model
from optimizer.room import Windows
from optimizer.solution import Limits, Solution

SIZES: Final = {"586": "10k", "7392": "107k", "89030": "990k"}
"""Sizes by the number of jobs that they had where the baselines were measured."""
SEEDS: Final = {"586": (0, 1, 2), "7392": (0, 1, 2), "89030": (0,)}
_PLAIN: Final = ("586",)
"""Sizes with starts that find no room: in the larger ones the two bounds are one."""
_DEADLINE_S: Final = 120.0
"""By the clock, so that a busy machine does not make plans worse; what counts is shown."""
_GAP: Final = 1e-3
_RELAXATION_S: Final = 500.0
_UNITS_KW: Final = np.tile(KW, SITES)
_SLACK: Final = 1e-6


class AnchorState:
    """Units, power and budgets of an anchor, exact: a holder of whole jobs."""

    def __init__(self, anchor: Anchor) -> None:
        self.anchor, self.layout = anchor, _layout(anchor.model)
        model, starts = anchor.model, anchor.starts
        blocks = {block.name: block for block in (*model.variables, *model.rows)}
        self._free = model.upper[blocks["used"].where].reshape(POOLS, SLOTS).copy()
        self._room_kw = model.row_upper[blocks["power"].where].reshape(SITES, SLOTS).copy()
        self._budget = model.row_upper[blocks["budget"].where].copy()
        self._gang = anchor.classes.gang[starts.klass]
        self._price = RATE[starts.pool % KINDS] * self._gang * starts.hours
        self._tenant = anchor.classes.tenant[starts.klass]
        self.left = anchor.classes.count.copy()
        self.placed = np.zeros(len(starts.klass))

    def place(self, column: int, wanted: int) -> int:
        """Start up to ``wanted`` jobs of a start; return how many there was room for."""
        starts = self.anchor.starts
        pool, first = int(starts.pool[column]), int(starts.slot[column])
        window = slice(first, first + int(starts.hours[column]))
        units = self._gang[column]
        done = min(
            wanted,
            int(self.left[starts.klass[column]]),
            int(self._free[pool, window].min() // units),
            int((self._room_kw[pool // KINDS, window].min() + _SLACK) / (units * _UNITS_KW[pool])),
            int((self._budget[self._tenant[column]] + _SLACK) / self._price[column]),
        )
        if done > 0:
            self.take(column, done)
        return done

    def take(self, column: int, count: int) -> None:
        """Start jobs; the caller has made sure that they fit."""
        starts = self.anchor.starts
        pool = int(starts.pool[column])
        window = slice(int(starts.slot[column]), int(starts.slot[column] + starts.hours[column]))
        units = self._gang[column] * count
        self._free[pool, window] -= units
        self._room_kw[pool // KINDS, window] -= units * _UNITS_KW[pool]
        self._budget[self._tenant[column]] -= self._price[column] * count
        self.left[starts.klass[column]] -= count
        self.placed[column] += count

    def have_turn(self, classes: Ints) -> Bools:
        """Return that no class waits for another."""
        return np.ones(len(classes), dtype=np.bool_)

    def rooms(self, columns: Ints) -> Floats:
        """Return how many more jobs of each start fit into units, power and budget."""
        starts = self.anchor.starts
        windows = Windows(
            pool=starts.pool[columns],
            first=starts.slot[columns],
            last=starts.slot[columns] + starts.hours[columns] - 1,
            units=self._gang[columns],
        )
        powered = (np.repeat(self._room_kw, KINDS, axis=0) + _SLACK) / _UNITS_KW[:, None]
        rooms = windows.rooms(np.minimum(self._free, powered))
        money = np.floor((self._budget[self._tenant[columns]] + _SLACK) / self._price[columns])
        return np.minimum(np.minimum(rooms, money), self.left[starts.klass[columns]])

    def point(self) -> Floats:
        """Return the plan as a point of the model."""
        model, classes = self.anchor.model, self.anchor.classes
        blocks = {block.name: block for block in (*model.variables, *model.rows)}
        asked = model.row_lower[blocks["share"].where]
        short = asked + np.bincount(classes.tenant, self.left * classes.work, TENANTS)
        used = model.upper[blocks["used"].where] - self._free.ravel()
        return np.concatenate([self.placed, self.left, used, np.maximum(0.0, short)])

    def cost(self) -> float:
        """Return what the plan costs."""
        return float(self.anchor.model.cost @ self.point())


def rounding(options: Options) -> Iterator[Figure]:
    """Yield the figures of every size; ``quick`` takes the smallest."""
    for size in ("586",) if options.quick else SIZES:
        for seed in SEEDS[size]:
            yield from _rounding(size, seed)


def _rounding(size: str, seed: int) -> Iterator[Figure]:
    anchor = make_anchor(CLASSES[SIZES[size]], seed, fitting=True)
    limits = Limits(time_s=_RELAXATION_S, gap=_GAP)
    relaxed = solve_direct(anchor.model.relaxed(), limits)
    bound = lagrangian_bound(anchor.model, relaxed.duals)
    on: dict[str, str | int] = {
        "size": size,
        "seed": seed,
        "jobs": int(anchor.classes.count.sum()),
    }
    began_s = process_time()
    greedy = round_down(anchor, relaxed)
    yield Figure("plan.rounding_greedy_pct", _above_pct(greedy, bound), "%", **on)
    yield Figure("plan.rounding_greedy_s", process_time() - began_s, "s", size=size, seed=seed)
    began_s = process_time()
    state = whole_jobs(anchor, relaxed)
    took_s = process_time() - began_s
    yield Figure("plan.rounding_pct", _above_pct(state, bound), "%", **on)
    yield Figure("plan.rounding_s", took_s, "s", size=size, seed=seed)
    if size in _PLAIN:
        plain = make_anchor(CLASSES[SIZES[size]], seed).model.relaxed()
        lower = lagrangian_bound(plain, solve_direct(plain, limits).duals)
        yield Figure("plan.rounding_plain_pct", _above_pct(state, lower), "%", **on)


def whole_jobs(anchor: Anchor, relaxed: Solution) -> AnchorState:
    """Return the better of two plans: by diving, and by floors; what is left fills the gaps."""
    state = AnchorState(anchor)
    dive(anchor.model, relaxed, state, Deadline(_DEADLINE_S))
    _fill(state, relaxed)
    return min(state, round_down(anchor, relaxed), key=lambda plan: plan.cost())


def round_down(anchor: Anchor, relaxed: Solution) -> AnchorState:
    """Return the plan of the baselines: floors, then the rest by reduced cost."""
    state = AnchorState(anchor)
    floors = np.floor(relaxed.values[state.layout.start.where] + _SLACK)
    for column in np.flatnonzero(floors):
        state.place(int(column), int(floors[column]))
    _fill(state, relaxed)
    return state


def _fill(state: AnchorState, relaxed: Solution) -> None:
    """Place what is left, heavy classes first, each at its best place by reduced cost."""
    model, layout = state.anchor.model, state.layout
    reduced = reduced_costs(model, relaxed.duals)[layout.start.where]
    first = np.searchsorted(layout.klass, np.arange(layout.place.count + 1))
    weight = model.cost[layout.left.where]
    for k in np.argsort(-weight, kind="stable"):
        own = np.arange(first[k], first[k + 1])
        if not state.left[k] or not len(own):
            continue
        own = own[state.rooms(own) > 0]
        for column in own[np.argsort(reduced[own], kind="stable")]:
            state.place(int(column), int(state.left[k]))
            if not state.left[k]:
                break


def _above_pct(state: AnchorState, bound: float) -> float:
    """Return by how much the plan costs more than the bound; it must break no limit."""
    model, point = state.anchor.model, state.point()
    worst = violation(model, point, integral=True)
    if worst > TOLERANCE:
        raise AssertionError(f"the plan breaks a limit by {worst:g} of its size")
    return 100.0 * (state.cost() / bound - 1.0)


def _layout(model: Model) -> Layout:
    if model.layout is None:
        raise AssertionError("the anchor says where its starts are")
    return model.layout
