"""Reservations: units of a pool that only the jobs of their holders may use for some time.

A job sits in at most one reservation at a time: in the first that names it, else in the first that
names its tenant. Holders may use what is free besides as everybody may. Units that are reserved for
later are anybody's until then: a job that ends before takes them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optimizer.arrays import Bools, Ints
from optimizer.problem import JobSpec, Problem, ReservationSpec


@dataclass(frozen=True, slots=True)
class Reservations:
    """``units[r]`` of ``pool[r]`` in the slots ``covers[r,t]``; ``total[p,t]`` are those together.

    ``open_units[p,t]`` is what is left for everybody. ``seats[k]`` says for a class that holds any
    which one its jobs sit in, by (p, t): -1 for none. An instance without reservations has none of
    it.
    """

    specs: tuple[ReservationSpec, ...]
    units: Ints
    pool: Ints
    covers: Bools
    total: Ints
    open_units: Ints
    seats: dict[int, Ints]

    @property
    def count(self) -> int:
        """How many reservations there are."""
        return len(self.specs)

    def seat(self, k: int) -> Ints | None:
        """Return which reservation a job of class k sits in, by (p, t); None where in none."""
        return self.seats.get(k)

    def room(self, k: int, free: Ints, inside: Ints) -> Ints:
        """Return how many more units jobs of class k may take, by (p, t).

        ``free`` is what nobody uses, ``inside[r,t]`` what holders use of each reservation.
        """
        sat = np.zeros_like(free)
        np.add.at(sat, self.pool, inside)
        unused_inside = self.total - sat
        room = np.minimum(free, np.maximum(0, free - unused_inside))
        seat = self.seat(k)
        if seat is None:
            return room
        p, t = np.nonzero(seat >= 0)
        own = seat[p, t]
        room[p, t] = np.minimum(free[p, t], room[p, t] + self.units[own] - inside[own, t])
        return room


def reservations_of(problem: Problem, jobs: Sequence[JobSpec], units_free: Ints) -> Reservations:
    """Return the reservations of a problem for classes that ``jobs`` stand for."""
    specs = tuple(sorted(problem.reservations, key=lambda one: one.id))
    pool_at = {pool.id: at for at, pool in enumerate(problem.pools)}
    starts = np.array([slot.start_s for slot in problem.slots])
    ends = np.array([slot.end_s for slot in problem.slots])
    covers = np.array(
        [(starts < spec.until_s) & (ends > spec.from_s) for spec in specs], dtype=np.bool_
    ).reshape(len(specs), len(starts))
    units = np.array([spec.units for spec in specs], dtype=np.int64)
    pool = np.array([pool_at[spec.pool_id] for spec in specs], dtype=np.int64)
    total = np.zeros(units_free.shape, dtype=np.int64)
    np.add.at(total, pool, covers * units[:, None])
    seats = {}
    for k, job in enumerate(jobs):
        seat = _seat(job, specs, pool, covers, units_free.shape) if specs else None
        if seat is not None:
            seats[k] = seat
    open_units = np.maximum(0, units_free - total)
    return Reservations(specs, units, pool, covers, total, open_units, seats)


def _seat(
    job: JobSpec,
    specs: tuple[ReservationSpec, ...],
    pool: Ints,
    covers: Bools,
    shape: tuple[int, ...],
) -> Ints | None:
    named = [r for r, spec in enumerate(specs) if job.id in spec.jobs]
    shared = [r for r, spec in enumerate(specs) if job.tenant_id in spec.tenants and r not in named]
    if not named and not shared:
        return None
    seat = np.full(shape, -1, dtype=np.int64)
    for r in reversed([*named, *shared]):
        seat[pool[r], covers[r]] = r
    return seat
