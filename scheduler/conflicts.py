"""Why a waiting job has no place: the fewest demands in its way, beside what others take."""

from sqlalchemy import Engine

from optimizer.conflict import Conflict, conflict_of
from optimizer.problem import Problem
from scheduler import store_plans
from scheduler.context import Context
from scheduler.cycle import present_problem
from suanwang.db.engine import reading
from suanwang.model.job import Job, JobState
from suanwang.model.plan import Placement


def conflict_of_job(engine: Engine, context: Context, job: Job) -> Conflict | None:
    """Return what stands in the way of a waiting job; None where nothing does, or it waits no more.

    Jobs that run keep their units, jobs that wait what the newest plan meant for them.
    """
    if job.state is not JobState.QUEUED:
        return None
    problem = present_problem(engine, context)
    if job.id not in {spec.id for spec in problem.jobs}:
        return None
    with reading(engine) as connection:
        promised = store_plans.planned_later(connection)
    return conflict_of(problem, job.id, [one for one in promised if _is_known(problem, one)])


def _is_known(problem: Problem, placement: Placement) -> bool:
    """Whether job, width and pool of an earlier decision are still there."""
    shapes = {(job.id, shape.units) for job in problem.jobs for shape in job.options}
    pools = {(pool.id, pool.site_id) for pool in problem.pools}
    lots = {lot.id for lot in problem.lots}
    return (
        (placement.job_id, placement.units) in shapes
        and (placement.pool_id, placement.site_id) in pools
        and set(placement.lots) <= lots
    )
