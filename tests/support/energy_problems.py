"""Whole problems from a seed with nodes that sleep, batteries, sun, peaks and promises."""

from dataclasses import replace
from datetime import timedelta
from random import Random

from problem_builders import a_battery, a_random_problem

from optimizer.problem import PeakSpec, PoolSpec, Problem, SiteSpec, SleepSpec
from suanwang.energy.grid import GridEvent


def an_energy_problem(seed: int, jobs: int = 12) -> Problem:
    """A seeded problem in which each site has some of everything."""
    lengths_s = (60.0, 240.0, 600.0, 1_200.0, 1_800.0, 3_600.0)
    problem = a_random_problem(seed, jobs=jobs, classes=6, slot_lengths_s=lengths_s)
    random = Random(seed)
    pools = tuple(_pool(random, pool) for pool in problem.pools)
    sites = tuple(_site(random, problem, site, pools) for site in problem.sites)
    return replace(problem, pools=pools, sites=sites)


def _pool(random: Random, pool: PoolSpec) -> PoolSpec:
    if random.random() < 0.3:
        return pool
    node_units = random.choice((1, 2, 4, 8))
    nodes = -(-pool.units // node_units)
    sleep = SleepSpec(
        node_units=node_units,
        nodes=nodes,
        idle_w=random.uniform(100.0, 2_000.0),
        wake_s=random.choice((0.0, 300.0, 900.0, 2_400.0)),
        wake_wh=random.uniform(0.0, 300.0),
        wear_yuan=random.choice((0.0, 0.5)),
        awake_now=random.randint(0, nodes),
        spare_nodes=random.choice((0, 0, 1, 3)),
    )
    return replace(pool, sleep=sleep)


def _site(
    random: Random, problem: Problem, site: SiteSpec, pools: tuple[PoolSpec, ...]
) -> SiteSpec:
    slots = len(problem.slots)
    sleeps = [pool.sleep for pool in pools if pool.site_id == site.id and pool.sleep]
    idle_w = sum(sleep.nodes * sleep.idle_w for sleep in sleeps)
    base_w = tuple(power_w + idle_w for power_w in site.it_base_w)
    end = problem.slots[-1].end_s
    begin = random.uniform(0.0, end)
    event = GridEvent(
        id=f"{site.id}-event",
        start=problem.origin + timedelta(seconds=begin),
        end=problem.origin + timedelta(seconds=begin + random.uniform(60.0, end)),
        firm_w=random.uniform(0.2, 1.2) * base_w[0],
    )
    price = tuple(-one if random.random() < 0.1 else one for one in site.price_uyuan_per_kwh)
    capacity_wh = random.uniform(1_000.0, 1e5)
    return replace(
        site,
        it_base_w=base_w,
        price_uyuan_per_kwh=price,
        power_w_max=tuple(power_w + 2 * idle_w for power_w in site.power_w_max),
        solar_w=tuple(max(0.0, random.uniform(-1.0, 1.0)) * base_w[0] for _ in range(slots)),
        events=(event,) if random.random() < 0.5 else (),
        peak=_peak(random, base_w[0]),
        battery=a_battery(
            capacity_wh=capacity_wh,
            charge_w_max=random.uniform(0.0, 1e5),
            discharge_w_max=random.uniform(0.0, 1e5),
            efficiency_charge=random.uniform(0.8, 1.0),
            soc_wh=random.uniform(0.2, 1.0) * capacity_wh,
            soc_min_wh=0.1 * capacity_wh,
            soc_end_min_wh=random.uniform(0.0, 1.0) * capacity_wh,
        ),
    )


def _peak(random: Random, base_w: float) -> PeakSpec:
    """Windows shorter and longer than slots, the first of them under way."""
    window_s = random.choice((900.0, 900.0, 3_600.0))
    elapsed_s = random.choice((0.0, random.uniform(0.0, 0.999) * window_s))
    return PeakSpec(
        so_far_w=base_w,
        yuan_per_kw=random.choice((0.0, 5.0, 38.0)),
        window_s=window_s,
        elapsed_s=elapsed_s,
        drawn_wh=random.uniform(0.0, 3.0) * base_w * elapsed_s / 3_600.0,
    )
