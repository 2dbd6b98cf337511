"""A problem made ready for planning: arrays, classes and look-ups that every step shares."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from optimizer.arrays import Floats, Ints
from optimizer.classes import JobClass, classify
from optimizer.facility import Facilities, facilities_of
from optimizer.fairness import Fairness, fairness_of
from optimizer.money import Purse, purse_of
from optimizer.precedence import Precedence, precedence_of, singled_by_order
from optimizer.problem import JobSpec, PoolSpec, Problem, SiteSpec
from optimizer.reserved import Reservations, reservations_of
from optimizer.rules import Pair
from optimizer.site_energy import EnergyData, energy_of
from optimizer.timeline import Timeline, timeline_of


@dataclass(frozen=True, slots=True)
class Instance:
    """``site_of[p]`` is a place in ``sites``; ``units_free[p,t]`` and ``busy_w[p]`` are data.

    ``busy_w`` is what one more unit in use draws at least: ``own_w`` of its own, and where nodes
    can sleep its share of an awake one. There ``units_free`` leaves out what cannot be awake yet.
    ``metered`` is what the meter says; a guide may change ``facilities``, never this.
    """

    problem: Problem
    timeline: Timeline
    facilities: Facilities
    classes: tuple[JobClass, ...]
    pools: tuple[PoolSpec, ...]
    sites: tuple[SiteSpec, ...]
    site_of: Ints
    units_free: Ints
    busy_w: Floats
    reserved: Reservations
    precedence: Precedence
    fairness: Fairness
    own_w: Floats
    metered: Facilities
    energy: EnergyData | None = None

    def pair(self, job: JobSpec, pool_at: int, units: int) -> Pair:
        """Return the job at a width and the pool as the rules want them."""
        site = self.sites[self.site_of[pool_at]]
        rtt_ms = self.problem.rtt_ms.get((job.origin, site.id))
        return Pair(job=job, pool=self.pools[pool_at], site=site, rtt_ms=rtt_ms, units=units)

    def rtt_ms(self, job: JobSpec, pool_at: int) -> float:
        """Return the round trip that is priced: an unknown one counts like the origin's worst."""
        site_id = self.pools[pool_at].site_id
        known = self.problem.rtt_ms.get((job.origin, site_id))
        if known is not None:
            return known
        return max(
            (rtt for (origin, _), rtt in self.problem.rtt_ms.items() if origin == job.origin),
            default=0.0,
        )

    def purse(self) -> Purse:
        """Return a purse with all the money of the problem."""
        return purse_of(self.problem.lots, self.problem.cash_fen)


def instance_of(problem: Problem, jobs: Sequence[JobSpec] | None = None) -> Instance:
    """Return the problem as an instance, with ``jobs`` in place of its own if they are given.

    Raise ValueError where the sequences of the problem do not fit together or an id stands twice.
    """
    wanted = problem.jobs if jobs is None else jobs
    _check_shapes(problem)
    _check_ids("job", [job.id for job in wanted])
    for job in wanted:
        _check_options(job)
    site_at = {site.id: at for at, site in enumerate(problem.sites)}
    slots = len(problem.slots)
    free = np.array([pool.units_free for pool in problem.pools], dtype=np.int64)
    units_free = np.maximum(0, free.reshape(len(problem.pools), slots))
    own_w = np.array([max(0.0, pool.busy_extra_w) for pool in problem.pools], dtype=np.float64)
    timeline = timeline_of(problem.slots)
    energy = energy_of(problem, timeline)
    facilities = facilities_of(problem)
    busy_w = own_w
    if energy is not None:
        facilities = facilities_of(problem, _least_w(problem, energy))
        busy_w = own_w.copy()
        busy_w[energy.sleepers.pool] += energy.sleepers.share * energy.sleepers.idle_w
        units_free = _awake_in_time(energy, units_free)
    asked = _asked(problem, wanted, units_free)
    return Instance(
        problem=problem,
        timeline=timeline,
        facilities=facilities,
        classes=asked.classes,
        pools=problem.pools,
        sites=problem.sites,
        site_of=np.array([site_at[pool.site_id] for pool in problem.pools], dtype=np.int64),
        units_free=units_free,
        busy_w=busy_w,
        own_w=own_w,
        metered=facilities,
        energy=energy,
        reserved=asked.reserved,
        precedence=asked.precedence,
        fairness=asked.fairness,
    )


def for_jobs(instance: Instance, problem: Problem, jobs: Sequence[JobSpec]) -> Instance:
    """Return the instance with other jobs; ``problem`` has its network, other money or links."""
    asked = _asked(problem, jobs, instance.units_free)
    return replace(
        instance,
        problem=problem,
        classes=asked.classes,
        reserved=asked.reserved,
        precedence=asked.precedence,
        fairness=asked.fairness,
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """All of an instance that depends on its jobs."""

    classes: tuple[JobClass, ...]
    reserved: Reservations
    precedence: Precedence
    fairness: Fairness


def _asked(problem: Problem, jobs: Sequence[JobSpec], units_free: Ints) -> _Asked:
    singled = singled_by_order(jobs).union(*(one.jobs for one in problem.reservations))
    classes = classify(jobs, problem.policy, singled)
    specs = [klass.spec for klass in classes]
    place_of = {klass.spec.id: k for k, klass in enumerate(classes) if klass.spec.id in singled}
    return _Asked(
        classes=classes,
        reserved=reservations_of(problem, specs, units_free),
        precedence=precedence_of(problem, specs, place_of),
        fairness=fairness_of(problem, classes, units_free),
    )


def _least_w(problem: Problem, energy: EnergyData) -> Floats:
    """IT power by (s, t) that no decision changes, with nodes asleep that need not be awake."""
    base_w = np.array([site.it_base_w for site in problem.sites], dtype=np.float64)
    base_w[energy.site] = energy.least_w
    return base_w


def _awake_in_time(energy: EnergyData, units_free: Ints) -> Ints:
    """Units free by (p, t), without those on nodes that cannot be awake by then."""
    sleepers = energy.sleepers
    room = sleepers.cap * sleepers.node_units[:, None] - sleepers.occupied
    limited = units_free.copy()
    limited[sleepers.pool] = np.minimum(limited[sleepers.pool], np.maximum(0, room).astype(int))
    return limited


def _check_shapes(problem: Problem) -> None:
    slots = len(problem.slots)
    _check_ids("site", [site.id for site in problem.sites])
    _check_ids("pool", [pool.id for pool in problem.pools])
    _check_ids("lot", [lot.id for lot in problem.lots])
    _check_ids("reservation", [one.id for one in problem.reservations])
    known = {site.id for site in problem.sites}
    pools = {pool.id for pool in problem.pools}
    for one in problem.reservations:
        if one.pool_id not in pools:
            raise ValueError(f"reservation {one.id} is of pool {one.pool_id}, which is not there")
    for pool in problem.pools:
        if pool.site_id not in known:
            raise ValueError(f"pool {pool.id} is at site {pool.site_id}, which the problem lacks")
        if len(pool.units_free) != slots:
            raise ValueError(f"pool {pool.id} has {len(pool.units_free)} slots, not {slots}")
    for site in problem.sites:
        series = (
            site.price_uyuan_per_kwh,
            site.carbon_g_per_kwh,
            site.facility_w,
            site.it_base_w,
            site.power_w_max,
        )
        if any(len(row) != slots for row in series):
            raise ValueError(f"site {site.id} has a series that does not have {slots} slots")


def _check_options(job: JobSpec) -> None:
    widths = [shape.units for shape in job.options]
    if len(set(widths)) != len(widths):
        raise ValueError(f"job {job.id} names two shapes of one width: {sorted(widths)}")


def _check_ids(noun: str, ids: list[str]) -> None:
    if len(set(ids)) != len(ids):
        twice = sorted({name for name in ids if ids.count(name) > 1})
        raise ValueError(f"{noun} ids stand twice: {', '.join(twice[:5])}")
