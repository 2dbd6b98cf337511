"""What each tenant is due: the network's work in the horizon, shared by weight where it is short.

Dominant shares are filled up together (dominant resource fairness): a tenant's dominant share is
the largest part of any kind of accelerator that its work takes. All rise in proportion to their
weights until a kind is full; who needs that kind stops there, the others go on. Nobody is due more
than it asks for, so what one does not want is the others'.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from optimizer.arrays import Bools, Floats, Ints
from optimizer.classes import JobClass
from optimizer.problem import Problem
from suanwang.units import SECONDS_PER_HOUR

_STEPS: Final = 60
"""Halvings of the level: enough for the precision of a float."""
_FULL: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Fairness:
    """``share[i]`` unit-hours are due to tenant i; what is missing costs ``price`` yuan each.

    ``tenant_of[k]`` and ``work[k]`` (unit-hours of one job, as first asked) are by class.
    """

    tenants: tuple[str, ...]
    share: Floats
    tenant_of: Ints
    work: Floats
    counts: Ints
    price: float

    @property
    def is_on(self) -> bool:
        """Whether the policy gives fairness a price."""
        return self.price > 0 and len(self.tenants) > 1

    def served(self, left: Ints) -> Floats:
        """Return the unit-hours that are served, by tenant, when so many jobs are left out."""
        done = self.work * (self.counts - left)
        return np.bincount(self.tenant_of, done, len(self.tenants)).astype(np.float64)

    def cost_yuan(self, left: Ints) -> float:
        """Return what the missing shares cost."""
        if not self.is_on:
            return 0.0
        short = np.maximum(0.0, self.share - self.served(left))
        return self.price * float(short.sum())


def fairness_of(problem: Problem, classes: Sequence[JobClass], units_free: Ints) -> Fairness:
    """Return what is due to each tenant that has jobs in the problem."""
    tenants = tuple(sorted({klass.spec.tenant_id for klass in classes}))
    at = {tenant: i for i, tenant in enumerate(tenants)}
    work = np.array([one.spec.units * one.spec.run_s for one in classes]) / SECONDS_PER_HOUR
    counts = np.array([klass.count for klass in classes], dtype=np.int64)
    tenant_of = np.array([at[klass.spec.tenant_id] for klass in classes], dtype=np.int64)
    price = problem.policy.unfair_yuan_per_unit_hour
    share = np.zeros(len(tenants))
    if price > 0 and len(tenants) > 1:
        weights = np.array([problem.weights.get(tenant, 1.0) for tenant in tenants])
        asked, capacity = _asked(problem, classes, units_free, tenant_of)
        granted = _fill(asked, capacity, weights)
        share = granted * np.bincount(tenant_of, work * counts, len(tenants))
    return Fairness(tenants, share, tenant_of, work, counts, price)


def _asked(
    problem: Problem, classes: Sequence[JobClass], units_free: Ints, tenant_of: Ints
) -> tuple[Floats, Floats]:
    """Unit-hours asked for, by tenant and kind, and what there is of each kind.

    A job that may use several kinds asks for each of them in proportion to what there is.
    """
    kinds = sorted({pool.accelerator for pool in problem.pools})
    hours = np.array([slot.length_s for slot in problem.slots]) / SECONDS_PER_HOUR
    capacity = np.zeros(len(kinds))
    for pool, row in zip(problem.pools, units_free @ hours, strict=True):
        capacity[kinds.index(pool.accelerator)] += row
    asked = np.zeros((int(tenant_of.max(initial=-1)) + 1, len(kinds)))
    for klass, tenant in zip(classes, tenant_of, strict=True):
        job = klass.spec
        may_use = [not job.accelerators or kind in job.accelerators for kind in kinds]
        part = np.where(may_use, capacity, 0.0)
        if part.sum() > 0:
            work = klass.count * job.units * job.run_s / SECONDS_PER_HOUR
            asked[tenant] += work * part / part.sum()
    return asked, capacity


def _fill(asked: Floats, capacity: Floats, weights: Floats) -> Floats:
    """Return the part of its work that each tenant is due."""
    dominant = (asked / np.where(capacity > 0, capacity, np.inf)).max(axis=1, initial=0.0)
    granted = np.zeros(len(asked))
    is_open: Bools = (dominant > 0) & (weights > 0)
    while is_open.any():
        rate = np.where(is_open, weights / np.where(dominant > 0, dominant, 1.0), 0.0)
        level = _highest(asked, capacity, (granted, is_open, rate))
        granted = np.where(is_open, np.minimum(1.0, level * rate), granted)
        full = granted @ asked >= capacity * (1 - 1e-6)
        stops = (granted >= 1.0 - _FULL) | (asked[:, full] > 0).any(axis=1)
        if not (stops & is_open).any():
            break
        is_open &= ~stops
    return granted


def _highest(asked: Floats, capacity: Floats, at: tuple[Floats, Bools, Floats]) -> float:
    """Return the highest level at which no kind is more than full."""
    granted, is_open, rate = at

    def fits(level: float) -> bool:
        part = np.where(is_open, np.minimum(1.0, level * rate), granted)
        return bool((part @ asked <= capacity * (1 + _FULL)).all())

    low, high = 0.0, float((1.0 / rate[is_open]).max())
    if fits(high):
        return high
    for _ in range(_STEPS):
        level = (low + high) / 2
        low, high = (level, high) if fits(level) else (low, level)
    return low
