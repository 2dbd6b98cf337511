"""A quote: what every pool would mean for one job on top of what runs now, without a solver."""

from optimizer.columns import columns_of
from optimizer.explain import verdicts_of_quote
from optimizer.instance import instance_of
from optimizer.occupancy import empty_occupancy
from optimizer.problem import JobSpec, Problem
from suanwang.model.plan import SiteVerdict


def quote(problem: Problem, job: JobSpec) -> tuple[SiteVerdict, ...]:
    """Return a row for every pool: figures, or the reason why not; feasible ones by cost first.

    The queue of the problem is left aside: the quote holds for free units, power and money as they
    are. A row is feasible exactly when its ``start`` is not None. The first feasible row says
    ``placed``, the others ``dearer`` and by how much.
    """
    instance = instance_of(problem, jobs=(job,))
    state = empty_occupancy(instance, columns_of(instance))
    return verdicts_of_quote(state, 0)
