"""Which jobs come after which, and what moving data between them takes in time and money."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from optimizer.arrays import Floats, Ints
from optimizer.problem import After, JobSpec, LinkSpec, Problem
from suanwang.units import UYUAN_PER_YUAN

_BITS_PER_BYTE: Final = 8
INSTANT_S: Final = 1e-6
"""A job may start this little before what it waits for is there."""


@dataclass(frozen=True, slots=True)
class Arc:
    """Class ``after`` starts when ``before`` has ended and its data is there. Both are one job."""

    before: int
    after: int
    transfer_gb: float


@dataclass(frozen=True, slots=True)
class Precedence:
    """Arcs between classes, and for every class what it waits for that the plan does not place.

    ``seconds_per_gb`` and ``yuan_per_gb`` are by site of origin and site of destination.
    ``depth[k]`` is how many arcs lead to a class one after the other.
    """

    arcs: tuple[Arc, ...]
    into: Mapping[int, tuple[Arc, ...]]
    out_of: Mapping[int, tuple[Arc, ...]]
    fixed: Mapping[int, tuple[After, ...]]
    seconds_per_gb: Floats
    yuan_per_gb: Floats
    site_at: Mapping[str, int]
    depth: Mapping[int, int] = field(default_factory=dict)

    def is_tied(self, k: int) -> bool:
        """Whether an arc leads to the class or from it."""
        return k in self.into or k in self.out_of

    def ready_s(self, k: int, site_of: Ints) -> Floats:
        """When all that the plan does not place is over and its data is there, by pool."""
        ready = np.zeros(len(site_of))
        for after in self.fixed.get(k, ()):
            end_s = np.inf if after.end_s is None else after.end_s
            ready = np.maximum(ready, end_s + self._from_fixed(after, self.seconds_per_gb, site_of))
        return ready

    def fixed_yuan(self, k: int, site_of: Ints) -> Floats:
        """What moving data from all that the plan does not place costs, by pool."""
        total = np.zeros(len(site_of))
        for after in self.fixed.get(k, ()):
            total = total + self._from_fixed(after, self.yuan_per_gb, site_of)
        return total

    def _from_fixed(self, after: After, table: Floats, site_of: Ints) -> Floats:
        at = self.site_at.get(after.site_id)
        if at is None:
            return np.zeros(len(site_of))
        moved: Floats = after.transfer_gb * table[at, site_of]
        return moved


def precedence_of(
    problem: Problem, jobs: Sequence[JobSpec], place_of: Mapping[str, int]
) -> Precedence:
    """Return the arcs between classes that ``jobs`` stand for; ``place_of`` is by id of a job.

    Raise ValueError where jobs wait for each other in a circle.
    """
    into: dict[int, list[Arc]] = {}
    out_of: dict[int, list[Arc]] = {}
    fixed: dict[int, list[After]] = {}
    for k, job in enumerate(jobs):
        for after in job.after:
            before = place_of.get(after.job_id)
            if before is None or after.end_s is not None:
                fixed.setdefault(k, []).append(after)
                continue
            arc = Arc(before, k, after.transfer_gb)
            into.setdefault(k, []).append(arc)
            out_of.setdefault(before, []).append(arc)
    # Quotes of jobs that wait for nobody must not pay for a table of all pairs of sites.
    sites = problem.sites if into or fixed else ()
    links = [[_link(problem, one.id, other.id) for other in sites] for one in sites]
    return Precedence(
        arcs=tuple(arc for k in sorted(into) for arc in into[k]),
        into={k: tuple(arcs) for k, arcs in into.items()},
        out_of={k: tuple(arcs) for k, arcs in out_of.items()},
        fixed={k: tuple(ones) for k, ones in fixed.items()},
        seconds_per_gb=np.array(
            [[_BITS_PER_BYTE / link.gbps for link in row] for row in links]
        ).reshape(len(sites), len(sites)),
        yuan_per_gb=np.array(
            [[link.price_uyuan_per_gb / UYUAN_PER_YUAN for link in row] for row in links]
        ).reshape(len(sites), len(sites)),
        site_at={site.id: at for at, site in enumerate(sites)},
        depth=_depths(jobs, into),
    )


def singled_by_order(jobs: Sequence[JobSpec]) -> frozenset[str]:
    """Return the ids of jobs that wait for others, or that others wait for."""
    waiting = [job for job in jobs if job.after]
    named = {after.job_id for job in waiting for after in job.after}
    return frozenset(named | {job.id for job in waiting})


_AT_HOME: Final = LinkSpec(gbps=float("inf"), price_uyuan_per_gb=0)


def _link(problem: Problem, one: str, other: str) -> LinkSpec:
    usual = _AT_HOME if one == other else problem.usual_link
    return problem.links.get((one, other), usual)


def _depths(jobs: Sequence[JobSpec], into: Mapping[int, Sequence[Arc]]) -> dict[int, int]:
    """Return the depth of every class; those without arcs into them are left out."""
    depth: dict[int, int] = {}
    open_now = set(into)
    while open_now:
        ready = sorted(k for k in open_now if all(arc.before not in open_now for arc in into[k]))
        if not ready:
            names = ", ".join(sorted(jobs[k].id for k in open_now))
            raise ValueError(f"jobs wait for each other in a circle: {names}")
        for k in ready:
            depth[k] = 1 + max(depth.get(arc.before, 0) for arc in into[k])
        open_now -= set(ready)
    return depth
