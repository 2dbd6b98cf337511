"""Classes of identical jobs: planning classes loses nothing and is much smaller than planning jobs.

Jobs are identical when every field that can change a cost or a limit is equal. Any plan for the
jobs is then a plan for the class (count them) and back (deal them out), at the same cost.
"""

from collections import defaultdict
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Final

from optimizer.problem import JobSpec, Policy
from suanwang.units import SECONDS_PER_HOUR

AGEING_STEPS_MAX: Final = 100
"""Waiting longer than this many hours adds no more weight, so that weights stay comparable."""

STOPPED_WEIGHT: Final = 1_000.0
"""How much dearer than leaving out a job that waits it is to stop one that may not be moved: it
stays wherever units and power let it, and a plan still exists where they do not."""


@dataclass(frozen=True, slots=True)
class JobClass:
    """Identical jobs. ``spec`` stands for all; ``members`` are in the order in which they start.

    ``unserved_yuan`` is the price of leaving one of them out of the plan.
    """

    spec: JobSpec
    members: tuple[JobSpec, ...]
    unserved_yuan: float

    @property
    def count(self) -> int:
        """How many jobs there are."""
        return len(self.members)


def classify(
    jobs: Iterable[JobSpec], policy: Policy, singled: Container[str] = frozenset()
) -> tuple[JobClass, ...]:
    """Return the classes in an order that does not depend on the order or the ids of the jobs.

    Jobs in ``singled`` are named by others, so each is a class of its own, with its id.
    """
    groups: dict[tuple[object, ...], list[JobSpec]] = defaultdict(list)
    for job in jobs:
        own = job.id if job.id in singled else ""
        groups[*_shape(job, policy), own].append(job)
    return tuple(
        JobClass(
            spec=members[0],
            members=tuple(sorted(members, key=lambda job: (-job.waited_s, job.id))),
            unserved_yuan=_unserved_yuan(members[0], policy),
        )
        for _, members in sorted(groups.items(), key=lambda item: repr(item[0]))
    )


def ageing_steps(job: JobSpec, policy: Policy) -> int:
    """Return the full hours that count as waited; zero where the policy does not weigh waiting."""
    if policy.ageing_per_hour <= 0:
        return 0
    return min(AGEING_STEPS_MAX, int(job.waited_s // SECONDS_PER_HOUR))


def _shape(job: JobSpec, policy: Policy) -> tuple[object, ...]:
    return (
        job.tenant_id,
        job.units,
        float(job.run_s),
        tuple((shape.units, float(shape.run_s)) for shape in job.shapes),
        repr(job.running),
        repr(job.promised),
        tuple(sorted(job.accelerators)),
        job.origin,
        job.latency_ms_max,
        str(job.data_class),
        job.data_home,
        job.domestic_only,
        tuple(sorted(job.sites)),
        job.uses_voucher,
        job.cash_fen_max,
        float(job.earliest_s),
        job.deadline_s,
        tuple(sorted(job.avoid.items())),
        ageing_steps(job, policy),
    )


def _unserved_yuan(job: JobSpec, policy: Policy) -> float:
    unit_hours = job.units * job.run_s / SECONDS_PER_HOUR
    weight = 1.0 + policy.ageing_per_hour * ageing_steps(job, policy)
    if job.running is not None and not job.running.may_move:
        weight *= STOPPED_WEIGHT
    return policy.unserved_yuan_per_unit_hour * unit_hours * weight
