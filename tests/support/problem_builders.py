"""Builders of small placement problems with sensible defaults, and of whole ones from a seed."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from benchmarks.instances import Size, make_problem
from optimizer.problem import (
    JobSpec,
    LotSpec,
    Policy,
    PoolSpec,
    Problem,
    SiteSpec,
    SleepSpec,
    slots_of,
)
from suanwang.energy.storage import BatterySpec
from suanwang.model.plan import Plan

ORIGIN = datetime(2026, 10, 14, tzinfo=UTC)
HOURLY = (3_600.0,) * 4


def a_site(name: str = "near", slots: int = 4, **changes: Any) -> SiteSpec:
    """A site with a flat PUE of 1.5, no carbon and 0.60 yuan a kilowatt-hour."""
    site = SiteSpec(
        id=name,
        price_uyuan_per_kwh=(600_000,) * slots,
        carbon_g_per_kwh=(0.0,) * slots,
        facility_w=(((0.0, 0.0), (1_000_000.0, 1_500_000.0)),) * slots,
        it_base_w=(0.0,) * slots,
        power_w_max=(1e9,) * slots,
    )
    return replace(site, **changes)


def a_pool(site: str = "near", slots: int = 4, units: int = 8, **changes: Any) -> PoolSpec:
    """A free pool of eight GPUs at 10 yuan an hour that draw 1 kW more when busy."""
    pool = PoolSpec(
        id=f"{site}-gpu",
        site_id=site,
        accelerator="gpu",
        units=units,
        units_free=(units,) * slots,
        busy_extra_w=1_000.0,
        price_uyuan_per_unit_hour=10_000_000,
    )
    return replace(pool, **changes)


def a_sleep(**changes: Any) -> SleepSpec:
    """Two nodes of four units, awake now, that draw 1 kW idle; a wake takes 15 min and 0.5 kWh."""
    sleep = SleepSpec(
        node_units=4,
        nodes=2,
        idle_w=1_000.0,
        wake_s=900.0,
        wake_wh=500.0,
        wear_yuan=0.1,
        awake_now=2,
    )
    return replace(sleep, **changes)


def a_battery(**changes: Any) -> BatterySpec:
    """A full battery of 10 kWh and 5 kW that loses a fifth on the way out."""
    battery = BatterySpec(
        capacity_wh=10_000.0,
        charge_w_max=5_000.0,
        discharge_w_max=5_000.0,
        efficiency_charge=1.0,
        efficiency_discharge=0.8,
        soc_wh=10_000.0,
    )
    return replace(battery, **changes)


def a_job(name: str = "job", **changes: Any) -> JobSpec:
    """One unit for one hour of tenant ``acme``."""
    return replace(JobSpec(id=name, tenant_id="acme", units=1, run_s=3_600.0), **changes)


def a_lot(name: str = "lot", available_fen: int = 10_000, **changes: Any) -> LotSpec:
    """A lot of ``acme`` that pays half, for ever, everywhere."""
    lot = LotSpec(
        id=name,
        tenant_id="acme",
        available_fen=available_fen,
        ratio_num=1,
        ratio_den=2,
        expires_s=1e9,
    )
    return replace(lot, **changes)


def a_problem(
    jobs: Sequence[JobSpec] = (),
    sites: Sequence[SiteSpec] | None = None,
    pools: Sequence[PoolSpec] | None = None,
    **changes: Any,
) -> Problem:
    """Four hourly slots, one site with one pool, plenty of cash."""
    own_sites = tuple(sites) if sites is not None else (a_site(),)
    problem = Problem(
        origin=ORIGIN,
        slots=slots_of(HOURLY),
        sites=own_sites,
        pools=tuple(pools) if pools is not None else tuple(a_pool(site.id) for site in own_sites),
        jobs=tuple(jobs),
        cash_fen={"acme": 1_000_000},
        policy=Policy(time_limit_s=30.0),
    )
    return replace(problem, **changes)


def a_random_problem(seed: int, **size: Any) -> Problem:
    """A seeded problem with two sites of two pools, six slots and about twenty jobs."""
    small = {
        "sites": 2,
        "pools_per_site": 2,
        "classes": 10,
        "jobs": 20,
        "tenants": 3,
        "units_min": 4,
    }
    lengths = {"slot_lengths_s": (600.0, 1_200.0, 1_800.0, 3_600.0, 3_600.0, 7_200.0)}
    problem = make_problem(Size(**{**small, **lengths, **size}), seed)
    return without_search(problem)


def without_search(problem: Problem) -> Problem:
    """The same problem under a policy without the timed search: plans are then repeatable."""
    return replace(problem, policy=replace(problem.policy, mip_time_s=0.0))


def timeless(made: Plan) -> Plan:
    """A plan without the times that it took, to be compared with another."""
    certificate = replace(made.certificate, solver_s=0.0)
    return replace(made, build_s=0.0, solve_s=0.0, certificate=certificate)
