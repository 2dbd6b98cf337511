"""Seeded problems of any size for benchmarks and tests: equal arguments give equal problems.

Sites differ in tariff, carbon, marginal PUE and distance; job classes are heavy-tailed in width and
length; tenants have a voucher lot and some cash. The numbers are made up and plausible.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random
from typing import Final

from optimizer.problem import (
    Breakpoints,
    JobSpec,
    LotSpec,
    Policy,
    PoolSpec,
    Problem,
    SiteSpec,
    Slot,
    slots_of,
)
from suanwang.model.site import DataClass

ORIGIN: Final = datetime(2026, 10, 14, tzinfo=UTC)
ACCELERATORS: Final = ("fast", "mid", "slow")
_BUSY_EXTRA_W: Final = {"fast": 900.0, "mid": 500.0, "slow": 250.0}
_PRICE_YUAN: Final = {"fast": 12, "mid": 6, "slow": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a problem is; ``load`` is asked work over the units' work in the horizon.

    No pool is smaller than ``units_min``; ``cash_share`` of what a tenant asks for is in cash.
    ``slot_lengths_s`` empty means ``slots`` hourly slots.
    """

    sites: int = 4
    pools_per_site: int = 2
    slots: int = 24
    classes: int = 40
    jobs: int = 200
    tenants: int = 8
    load: float = 0.8
    units_min: int = 24
    cash_share: float = 0.5
    slot_lengths_s: tuple[float, ...] = ()


def make_problem(size: Size, seed: int) -> Problem:
    """Return the problem of a size and a seed."""
    random = Random(seed)
    slots = slots_of(size.slot_lengths_s or (3_600.0,) * size.slots)
    sites = tuple(_site(random, at, slots) for at in range(size.sites))
    jobs = _jobs(random, size, slots)
    asked = sum(job.units * job.run_s for job in jobs)
    horizon_s = slots[-1].end_s
    units = asked / horizon_s / size.load / (size.sites * size.pools_per_site)
    pools = tuple(
        _pool(
            random,
            site,
            at,
            max(size.units_min, round(units * random.uniform(0.5, 1.5))),
            len(slots),
        )
        for site in sites
        for at in range(size.pools_per_site)
    )
    lots = tuple(_lot(random, tenant, jobs, horizon_s) for tenant in _tenants(size))
    rtt_ms = {
        (f"o{origin}", site.id): 1.0 + abs(origin - at) * random.uniform(2.0, 8.0)
        for origin in range(4)
        for at, site in enumerate(sites)
    }
    return Problem(
        origin=ORIGIN,
        slots=slots,
        sites=tuple(_with_power_limit(random, site, pools) for site in sites),
        pools=pools,
        jobs=jobs,
        lots=lots,
        cash_fen={
            tenant: round(size.cash_share * _asked_fen(jobs, tenant)) for tenant in _tenants(size)
        },
        rtt_ms=rtt_ms,
        policy=Policy(time_limit_s=60.0),
    )


def make_job(random: Random, size: Size, slots: tuple[Slot, ...], name: str) -> JobSpec:
    """Return a job like those of a problem of this size."""
    return replace(_shape(random, size, slots), id=name)


def _tenants(size: Size) -> list[str]:
    return [f"t{at}" for at in range(size.tenants)]


def _site(random: Random, at: int, slots: tuple[Slot, ...]) -> SiteSpec:
    cheap, dear = random.randint(250_000, 450_000), random.randint(600_000, 1_100_000)
    carbon = random.uniform(200.0, 800.0)
    return SiteSpec(
        id=f"s{at}",
        price_uyuan_per_kwh=tuple(
            cheap if int(slot.start_s // 3_600) % 24 < 8 else dear for slot in slots
        ),
        carbon_g_per_kwh=tuple(carbon * random.uniform(0.8, 1.2) for _ in slots),
        facility_w=tuple(_facility(random) for _ in slots),
        it_base_w=tuple(20_000.0 for _ in slots),
        power_w_max=tuple(1e9 for _ in slots),
        accepts=frozenset(DataClass) if at % 2 == 0 else frozenset({DataClass.GENERAL}),
        data_homes=frozenset({f"d{at}"}),
    )


def _facility(random: Random) -> Breakpoints:
    """Facility power whose marginal PUE grows with load, from about 1.1 to 1.5."""
    slope, it_w, facility_w = random.uniform(1.05, 1.2), 0.0, 5_000.0
    points = [(it_w, facility_w)]
    for step_w in (40_000.0, 80_000.0, 160_000.0, 320_000.0):
        it_w, facility_w = it_w + step_w, facility_w + slope * step_w
        points.append((it_w, facility_w))
        slope += random.uniform(0.02, 0.1)
    return tuple(points)


def _pool(random: Random, site: SiteSpec, at: int, units: int, slots: int) -> PoolSpec:
    accelerator = ACCELERATORS[at % len(ACCELERATORS)]
    price = _PRICE_YUAN[accelerator] * random.uniform(0.8, 1.2)
    busy = random.randint(0, units // 3)
    return PoolSpec(
        id=f"{site.id}-{accelerator}-{at}",
        site_id=site.id,
        accelerator=accelerator,
        units=units,
        units_free=tuple(units - busy if slot < slots // 4 else units for slot in range(slots)),
        busy_extra_w=_BUSY_EXTRA_W[accelerator],
        price_uyuan_per_unit_hour=round(price * 1_000_000),
        is_domestic=at % 3 == 2,
    )


def _with_power_limit(random: Random, site: SiteSpec, pools: tuple[PoolSpec, ...]) -> SiteSpec:
    """A limit that leaves room for 60 to 110 % of the site's units at work."""
    busy_w = sum(pool.units * pool.busy_extra_w for pool in pools if pool.site_id == site.id)
    limit_w = 1.3 * (site.it_base_w[0] + busy_w * random.uniform(0.6, 1.1)) + 5_000.0
    return replace(site, power_w_max=tuple(limit_w for _ in site.power_w_max))


def _jobs(random: Random, size: Size, slots: tuple[Slot, ...]) -> tuple[JobSpec, ...]:
    shapes = [_shape(random, size, slots) for _ in range(size.classes)]
    weights = [1.0 / (1 + at) ** 0.5 for at in range(size.classes)]
    rest = max(0, size.jobs - size.classes)
    picks = list(range(size.classes)) + random.choices(range(size.classes), weights, k=rest)
    return tuple(
        replace(shapes[pick], id=f"j{at:06d}") for at, pick in enumerate(picks[: size.jobs])
    )


def _shape(random: Random, size: Size, slots: tuple[Slot, ...]) -> JobSpec:
    horizon_s = slots[-1].end_s
    run_s = min(horizon_s / 2, 600.0 * random.paretovariate(1.0))
    earliest_s = random.choice((0.0, 0.0, random.uniform(0.0, horizon_s / 3)))
    return JobSpec(
        id="shape",
        tenant_id=f"t{random.randrange(size.tenants)}",
        units=min(16, int(random.paretovariate(1.1))),
        run_s=float(round(run_s)),
        accelerators=frozenset(random.sample(ACCELERATORS, random.randint(1, 3))),
        origin=f"o{random.randrange(4)}",
        latency_ms_max=random.choice((None, None, 5.0, 20.0)),
        data_class=random.choice((DataClass.GENERAL, DataClass.GENERAL, DataClass.IMPORTANT)),
        data_home=random.choice(("", "", "d0", "d1")),
        uses_voucher=random.random() < 0.8,
        cash_fen_max=random.choice((None, None, None, 20_000)),
        earliest_s=float(round(earliest_s)),
        deadline_s=random.choice((None, float(round(earliest_s + 2.5 * run_s)))),
    )


def _asked_fen(jobs: tuple[JobSpec, ...], tenant: str) -> int:
    return round(sum(j.units * j.run_s / 36 * 6 for j in jobs if j.tenant_id == tenant))


def _lot(random: Random, tenant: str, jobs: tuple[JobSpec, ...], horizon_s: float) -> LotSpec:
    return LotSpec(
        id=f"lot-{tenant}",
        tenant_id=tenant,
        available_fen=round(_asked_fen(jobs, tenant) * random.uniform(0.1, 0.6)),
        ratio_num=random.choice((3, 5, 7)),
        ratio_den=10,
        expires_s=random.choice((horizon_s * 0.7, horizon_s * 4)),
        sites=frozenset(random.choice(((), ("s0", "s1")))),
    )
