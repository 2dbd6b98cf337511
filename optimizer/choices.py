"""What a class may choose from: shapes, and for a job that runs whether it stays or goes."""

from dataclasses import dataclass

import numpy as np

from optimizer.arrays import Bools, Floats
from optimizer.instance import Instance
from optimizer.problem import JobSpec, Shape
from suanwang.units import FEN_PER_YUAN


@dataclass(frozen=True, slots=True)
class Choice:
    """A shape, the pools and slots (p, t) that are left to it, and what each costs beside.

    ``is_kept``: the job runs there already and goes on.
    """

    shape: Shape
    cells: Bools
    extra_yuan: Floats
    is_kept: bool = False


def choices_of(instance: Instance, job: JobSpec) -> list[Choice]:
    """Return the choices of a class, the one that it asks for (or runs in) first."""
    extra_yuan = _broken_promise(instance, job)
    everywhere = np.ones(instance.units_free.shape, dtype=np.bool_)
    if job.running is None:
        return [Choice(shape, everywhere, extra_yuan) for shape in job.options]
    here = np.zeros_like(everywhere)
    for p, pool in enumerate(instance.pools):
        here[p, 0] = pool.id == job.running.pool_id
    stay = Choice(Shape(job.units, job.run_s), here, np.zeros_like(extra_yuan), is_kept=True)
    if not job.running.may_move:
        return [stay]
    longer = Shape(job.units, job.run_s + job.running.checkpoint_s)
    checkpoint_yuan = job.running.checkpoint_fen / FEN_PER_YUAN
    dear = extra_yuan + checkpoint_yuan + instance.problem.policy.move_threshold_yuan
    elsewhere = ~here
    if not job.running.may_wait:
        elsewhere[:, 1:] = False
        elsewhere &= ~here.any(axis=1, keepdims=True)
    return [stay, Choice(longer, elsewhere, dear)]


def _broken_promise(instance: Instance, job: JobSpec) -> Floats:
    """What a start costs, by (p, t), that is not the one that the user was told.

    An earlier one breaks no promise.
    """
    extra_yuan = np.zeros(instance.units_free.shape)
    if job.promised is None:
        return extra_yuan
    start_s = instance.timeline.start_s
    slot = max(0, int(np.searchsorted(start_s, job.promised.start_s, side="right")) - 1)
    extra_yuan[:, slot:] = instance.problem.policy.change_yuan
    for p, pool in enumerate(instance.pools):
        if pool.id == job.promised.pool_id:
            extra_yuan[p, slot] = 0.0
    return extra_yuan
