"""Later starts that the last plan told users: the next plan keeps them, unless a change gains."""

from collections.abc import Sequence
from dataclasses import replace

from optimizer.problem import JobSpec, Problem, Promise
from suanwang.model.plan import Placement


def keep_promises(problem: Problem, planned: Sequence[Placement]) -> Problem:
    """Return the problem in which jobs know the start that they were told, by its slot.

    A start that was meant for now and did not come about is no promise.
    """
    told = {str(one.job_id): one for one in planned if one.start > problem.origin}
    if not told:
        return problem
    jobs = tuple(
        _promised(problem, job, told[job.id]) if job.id in told else job for job in problem.jobs
    )
    return replace(problem, jobs=jobs)


def _promised(problem: Problem, job: JobSpec, placement: Placement) -> JobSpec:
    start_s = (placement.start - problem.origin).total_seconds()
    # By slot and not by second: jobs that are alike stay one class.
    begun = max((slot.start_s for slot in problem.slots if slot.start_s <= start_s), default=0.0)
    return replace(job, promised=Promise(pool_id=placement.pool_id, start_s=begun))
