"""What quotes and explanations stand on: the newest cycle's problem, plan and prices, in memory.

The process that schedules leaves each cycle's here, so that a quote reads nothing but the money of
who asks. Another process looks for itself: at the network each time, at the queue's prices every
few seconds, from the same relaxation as the planner's.
"""

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from optimizer.prices import board_of, idle_board
from optimizer.problem import Problem
from optimizer.quote import Desk, open_desk
from optimizer.whatif import Relaxation
from suanwang.model.network import ComputeNetwork
from suanwang.model.plan import Plan
from suanwang.model.prices import PriceBoard

FRESH_FOR: Final = timedelta(seconds=20)
"""How long a cycle's view is good for a quote: four cycles where nothing happens."""
STARTS_MAX: Final = 30_000
"""Most possible starts of a problem that is solved again for one who asks."""
PRICED_FOR: Final = timedelta(seconds=5)
"""How long prices that were found for one quote are good for the next."""
RELAX_S: Final = 5.0
"""Seconds that the first such solve of a cycle may take; those after it begin from its basis."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One moment: the network, the queue as a problem, what the plan made of it, and the prices."""

    at: datetime
    network: ComputeNetwork
    problem: Problem
    plan: Plan | None
    board: PriceBoard | None
    desk: Desk
    _solved: "_Solved" = field(default_factory=lambda: _Solved())

    @property
    def prices(self) -> PriceBoard:
        """The board, or that of an empty queue."""
        return idle_board(self.desk.instance) if self.board is None else self.board

    def relaxation(self) -> Relaxation | None:
        """Return the relaxation of the queue, solved once; None where it is too large or failed."""
        return self._solved.of(self.problem)


class _Solved:
    """A relaxation that is made when it is asked for, once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_tried = False
        self._relaxation: Relaxation | None = None

    def of(self, problem: Problem) -> Relaxation | None:
        with self._lock:
            if not self._is_tried:
                self._is_tried = True
                most = len(problem.jobs) * len(problem.pools) * len(problem.slots)
                if problem.jobs and most <= STARTS_MAX * 10:
                    self._relaxation = _solve(problem)
            return self._relaxation


def _solve(problem: Problem) -> Relaxation | None:
    relaxation = Relaxation(problem, RELAX_S, starts_max=STARTS_MAX)
    return relaxation if relaxation.has_answers else None


def standing_of(
    network: ComputeNetwork,
    problem: Problem,
    plan: Plan | None,
    *,
    board: PriceBoard | None = None,
    solve: bool = False,
) -> Standing:
    """Return the standing of a plan; without one at the prices of ``board``, or ``solve`` for them.

    Nobody waits, nothing is short: then there are no prices.
    """
    solved = _Solved()
    if plan is not None:
        board = plan.prices
    elif solve and problem.jobs:
        relaxation = solved.of(problem)
        if relaxation is not None:
            board = board_of(relaxation.formulation, relaxation.solved)
    board = board if problem.jobs else None
    return Standing(
        at=network.at,
        network=network,
        problem=problem,
        plan=plan,
        board=board,
        desk=open_desk(problem, board),
        _solved=solved,
    )


class DeskHolder:
    """The newest standing of a process; any thread may leave or take one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: Standing | None = None
        self._priced: PriceBoard | None = None
        self._idle: tuple[datetime, Desk] | None = None

    def leave(self, standing: Standing) -> None:
        """Keep a standing in place of the last one."""
        with self._lock:
            self._newest = standing

    def forget(self) -> None:
        """Drop it: what it stands on was changed by hand."""
        with self._lock:
            self._newest = None
            self._priced = None
            self._idle = None

    def priced(self, network: ComputeNetwork, problem: Problem, now: datetime) -> Standing:
        """Return a standing of this moment, at prices of the queue that are young enough."""
        with self._lock:
            last = self._priced
        if last is not None and now - last.made_at <= PRICED_FOR:
            return standing_of(network, problem, None, board=last)
        made = standing_of(network, problem, None, solve=True)
        with self._lock:
            self._priced = made.board
        return made

    def keep_idle(self, desk: Desk, now: datetime) -> None:
        """Keep a desk of the network with nothing running, for what may ever run at all."""
        with self._lock:
            self._idle = (now, desk)

    def idle(self, now: datetime) -> Desk | None:
        """Return that desk while it is fresh."""
        with self._lock:
            found = self._idle
        return found[1] if found is not None and now - found[0] <= FRESH_FOR else None

    def newest(self, now: datetime) -> Standing | None:
        """Return the newest standing, or None where there is none or it is old."""
        with self._lock:
            found = self._newest
        return found if found is not None and now - found.at <= FRESH_FOR else None
