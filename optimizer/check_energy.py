"""Our own check of a plan's energy schedule, from the problem alone: nothing of the planner's."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from math import ceil
from typing import Final

from optimizer.check_demand import demand_w
from optimizer.check_lines import Taken, Where, facility_w, flattest_slope
from optimizer.problem import PoolSpec, Problem, SiteSpec, SleepSpec
from suanwang.energy.grid import firm_w
from suanwang.energy.storage import BatterySpec, StorageStep, replay
from suanwang.ids import PoolId
from suanwang.model.energy_plan import EnergySlot, SiteEnergy
from suanwang.model.plan import Plan
from suanwang.units import SECONDS_PER_HOUR

_W: Final = 1.0
"""Powers of megawatts are compared to a watt: solvers work to parts of a million."""
_WH: Final = 1.0
_SHARE: Final = 1e-6
_YUAN: Final = 0.01
_OVER_YUAN_PER_KWH: Final = 1_000.0
_LACK_YUAN_PER_KWH: Final = 100.0
"""What a plan pays for a kilowatt-hour above a promise, and for one short in a battery."""


@dataclass(frozen=True, slots=True)
class _Sleeper:
    pool: PoolSpec
    sleep: SleepSpec
    awake: tuple[int, ...]


def energy_violations(problem: Problem, plan: Plan, taken: Taken) -> Iterable[str]:
    """Yield a line for everything in the energy schedule that breaks a rule of the problem."""
    schedules = {one.site_id: one for one in plan.energy}
    for site in problem.sites:
        pools = [pool for pool in problem.pools if pool.site_id == site.id and sleeps(pool)]
        schedule = schedules.pop(site.id, None)  # type: ignore[call-overload]  # SiteId is a str
        if schedule is None:
            if pools or _has_data(problem, site):
                yield f"site {site.id} has energy data and no schedule"
            continue
        if not _has_slots(problem, schedule):
            yield f"site {site.id}: its schedule does not have the problem's slots"
            continue
        sleepers = [_sleeper(pool, schedule) for pool in pools]
        for sleeper in sleepers:
            yield from _nodes(problem, sleeper, taken)
        yield from _powers(problem, site, schedule, sleepers, taken)
        yield from _battery(site, schedule)
        yield from _cost(problem, site, schedule, sleepers, taken)
    for site_id in schedules:
        yield f"there is a schedule of site {site_id}, which the problem lacks"


def sleeps(pool: PoolSpec) -> bool:
    """Whether nodes of the pool can sleep."""
    return pool.sleep is not None and pool.sleep.sleepable and pool.sleep.nodes > 0


def asleep_w(problem: Problem, plan: Plan) -> dict[Where, float]:
    """Return IT power that sleeping nodes do not draw, by site and slot."""
    pools = {pool.id: pool for pool in problem.pools}
    saved_w: dict[Where, float] = {}
    for schedule in plan.energy:
        for t, slot in enumerate(schedule.slots):
            for pool_id, awake in slot.awake.items():
                pool = pools.get(pool_id)
                if pool is not None and (sleep := pool.sleep) is not None:
                    watts = (sleep.nodes - awake) * sleep.idle_w
                    saved_w[schedule.site_id, t] = saved_w.get((schedule.site_id, t), 0.0) + watts
    return saved_w


def _has_data(problem: Problem, site: SiteSpec) -> bool:
    return bool(site.battery or site.peak or any(site.solar_w) or any(_firm(problem, site)))


def _firm(problem: Problem, site: SiteSpec) -> list[float | None]:
    return [
        firm_w(
            site.events,
            problem.origin + timedelta(seconds=slot.start_s),
            problem.origin + timedelta(seconds=slot.end_s),
        )
        for slot in problem.slots
    ]


def _has_slots(problem: Problem, schedule: SiteEnergy) -> bool:
    starts = [problem.origin + timedelta(seconds=slot.start_s) for slot in problem.slots]
    return [slot.start for slot in schedule.slots] == starts


def _sleeper(pool: PoolSpec, schedule: SiteEnergy) -> _Sleeper:
    if pool.sleep is None:
        raise AssertionError(f"pool {pool.id} does not sleep")
    awake = tuple(slot.awake.get(PoolId(pool.id), -1) for slot in schedule.slots)
    return _Sleeper(pool, pool.sleep, awake)


def _nodes(problem: Problem, sleeper: _Sleeper, taken: Taken) -> Iterable[str]:
    """Awake nodes hold what is used, with the spare ones, and none is awake before it can be."""
    pool, sleep = sleeper.pool, sleeper.sleep
    awake_now = before = _before(sleeper)
    for t, (slot, awake) in enumerate(zip(problem.slots, sleeper.awake, strict=True)):
        can_wake = slot.start_s >= sleep.wake_s
        most = sleep.nodes if can_wake else awake_now
        held = max(0, pool.units - max(0, pool.units_free[t]))
        units = taken.units.get((pool.id, t), 0) + min(held, most * sleep.node_units)
        needed = ceil(units / sleep.node_units)
        least = min(most, needed + sleep.spare_nodes)
        if awake < least or awake < needed:
            yield f"pool {pool.id} slot {t}: {awake} nodes awake of {max(least, needed)} needed"
        if awake > most:
            yield f"pool {pool.id} slot {t}: {awake} nodes awake, at most {most} can be"
        if awake > before and not can_wake:
            yield f"pool {pool.id} slot {t}: a node is awake before its wake can be over"
        before = awake


def _powers(
    problem: Problem,
    site: SiteSpec,
    schedule: SiteEnergy,
    sleepers: list[_Sleeper],
    taken: Taken,
) -> Iterable[str]:
    wake_w = _wake_w(problem, sleepers)
    firm = _firm(problem, site)
    bases_w = _bases_w(site, [(one.sleep, one.awake) for one in sleepers])
    for t, slot in enumerate(schedule.slots):
        where = (site.id, t)
        points = site.facility_w[t]
        mean_w = facility_w(points, bases_w[t] + taken.mean_w.get(where, 0.0) + wake_w[t])
        high_w = facility_w(points, bases_w[t] + taken.high_w.get(where, 0.0))
        yield from _meter(site, t, slot, (mean_w, high_w))
        yield from _limits(site, t, slot, firm[t], is_ours=taken.high_w.get(where, 0.0) > 0)
    highest_w = max(max(slot.draw_w, slot.grid_w) for slot in schedule.slots)
    if site.peak is not None and site.peak.yuan_per_kw > 0:
        with_wakes_w = [base + wake for base, wake in zip(bases_w, wake_w, strict=True)]
        highest_w = demand_w(problem, site, schedule, with_wakes_w, taken)
    if not _is_near(schedule.peak_w, highest_w):
        yield f"site {site.id}: a peak of {schedule.peak_w:.0f} W is told, it is {highest_w:.0f} W"


def _bases_w(site: SiteSpec, awake: Sequence[tuple[SleepSpec, Sequence[float]]]) -> list[float]:
    """IT power by slot of what is no job of ours, with so many nodes awake in each."""
    full_w = sum(sleep.nodes * sleep.idle_w for sleep, _ in awake)
    return [
        max(0.0, base_w - full_w) + sum(nodes[t] * sleep.idle_w for sleep, nodes in awake)
        for t, base_w in enumerate(site.it_base_w)
    ]


def _meter(site: SiteSpec, t: int, slot: EnergySlot, powers: tuple[float, float]) -> Iterable[str]:
    mean_w, high_w = powers
    own_w = slot.solar_w + slot.discharge_w - slot.charge_w
    at = f"site {site.id} slot {t}"
    if not _is_near(slot.facility_w, mean_w):
        yield f"{at}: {slot.facility_w:.0f} W of facility power is told, it is {mean_w:.0f} W"
    if not _is_near(slot.grid_w, mean_w - own_w):
        yield f"{at}: {slot.grid_w:.0f} W from the grid do not balance {mean_w - own_w:.0f} W"
    if not _is_near(slot.draw_w, high_w - own_w):
        yield f"{at}: a draw of {slot.draw_w:.0f} W is told, it is {high_w - own_w:.0f} W"
    if slot.grid_w < -_W:
        yield f"{at}: {-slot.grid_w:.0f} W go into the grid"
    sun_w = site.solar_w[t] if site.solar_w else 0.0
    if not -_W <= slot.solar_w <= sun_w + _W:
        yield f"{at}: {slot.solar_w:.0f} W of sun used of {sun_w:.0f} W"


def _limits(
    site: SiteSpec, t: int, slot: EnergySlot, firm: float | None, *, is_ours: bool
) -> Iterable[str]:
    """A promise may be broken only where it is without any job of ours, and the plan says so."""
    over_w = 0.0 if firm is None else max(0.0, slot.draw_w - firm)
    if not _is_near(slot.over_w, over_w):
        yield f"site {site.id} slot {t}: {over_w:.0f} W above its promise, {slot.over_w:.0f} W told"
    if firm is not None and is_ours and slot.draw_w > firm + _W + _SHARE * firm:
        yield f"site {site.id} slot {t}: jobs draw {slot.draw_w:.0f} W of {firm:.0f} W promised"
    charged_w = slot.draw_w > site.power_w_max[t] * (1 + _SHARE) + _W and slot.charge_w > _W
    if charged_w:
        yield f"site {site.id} slot {t}: the battery is charged above the site's limit"


def _battery(site: SiteSpec, schedule: SiteEnergy) -> Iterable[str]:
    """Run the schedule through the battery itself."""
    moved_w = sum(slot.charge_w + slot.discharge_w for slot in schedule.slots)
    if site.battery is None:
        if moved_w > _W:
            yield f"site {site.id} has no battery, and its schedule charges or discharges one"
        return
    steps = [
        StorageStep(
            length_s=slot.hours * SECONDS_PER_HOUR,
            charge_w=max(0.0, slot.charge_w),
            discharge_w=max(0.0, slot.discharge_w),
        )
        for slot in schedule.slots
    ]
    ends: BatterySpec = site.battery
    replayed = replay(ends, steps)
    for breach in replayed.breaches:
        if breach.code != "end_too_low" and abs(breach.asked - breach.allowed) > _WH:
            what = breach.code.replace("_", " ")
            yield f"site {site.id} slot {breach.step}: the battery is {what}"
    for t, (slot, soc_wh) in enumerate(zip(schedule.slots, replayed.soc_wh[1:], strict=True)):
        if abs(slot.soc_wh - soc_wh) > _WH:
            told_wh = f"{slot.soc_wh:.0f} Wh is told"
            yield f"site {site.id} slot {t}: a charge of {told_wh}, it is {soc_wh:.0f}"
    short_wh = max(0.0, ends.soc_end_min_wh - replayed.soc_wh[-1])
    if abs(short_wh - schedule.short_wh) > _WH:
        told_wh = f"{schedule.short_wh:.0f} told"
        yield f"site {site.id}: the battery ends {short_wh:.0f} Wh short, {told_wh}"


def _cost(
    problem: Problem,
    site: SiteSpec,
    schedule: SiteEnergy,
    sleepers: list[_Sleeper],
    taken: Taken,
) -> Iterable[str]:
    """The cost that plans are compared by."""
    wear = 0.0 if site.battery is None else site.battery.wear_yuan_per_kwh
    surely_w = _surely_w(problem, site, sleepers, taken)
    cost = 0.0
    for t, slot in enumerate(schedule.slots):
        carbon = site.carbon_g_per_kwh[t] / 1_000 * problem.policy.carbon_yuan_per_kg
        price = site.price_uyuan_per_kwh[t] / 1_000_000 + carbon
        paid_w = slot.grid_w
        if price < 0:
            paid_w = max(0.0, surely_w[t] - slot.solar_w - slot.discharge_w + slot.charge_w)
        hours_kw = slot.hours / 1_000
        cost += hours_kw * (paid_w * price + slot.discharge_w * wear)
        cost += hours_kw * slot.over_w * _OVER_YUAN_PER_KWH
    cost += schedule.short_wh / 1_000 * _LACK_YUAN_PER_KWH
    if site.peak is not None:
        rise_w = max(0.0, schedule.peak_w - site.peak.so_far_w)
        cost += rise_w / 1_000 * site.peak.yuan_per_kw
    cost += sum(_woken(one) * one.sleep.wear_yuan for one in sleepers)
    if abs(cost - schedule.cost_yuan) > _YUAN + _SHARE * abs(cost):
        yield f"site {site.id} costs {cost:.2f} yuan, {schedule.cost_yuan:.2f} told"


def _surely_w(
    problem: Problem, site: SiteSpec, sleepers: list[_Sleeper], taken: Taken
) -> list[float]:
    """Facility power by slot if it grew from its least by its flattest line: never overstated.

    So much is paid for where the price is negative.
    """
    wake_w = _wake_w(problem, sleepers)
    base_w = _bases_w(site, [(one.sleep, one.awake) for one in sleepers])
    least_w = _bases_w(site, [(one.sleep, _least(problem, one)) for one in sleepers])
    powers = []
    for t, points in enumerate(site.facility_w):
        it_w = base_w[t] + wake_w[t] + taken.mean_w.get((site.id, t), 0.0)
        more_w = flattest_slope(points) * (it_w - least_w[t])
        powers.append(facility_w(points, least_w[t]) + more_w)
    return powers


def _least(problem: Problem, one: _Sleeper) -> list[float]:
    """Nodes awake by slot without our jobs; units that others hold count as parts of nodes."""
    caps = [
        one.sleep.nodes if slot.start_s >= one.sleep.wake_s else _before(one)
        for slot in problem.slots
    ]
    spares = [min(one.sleep.spare_nodes, cap) for cap in caps]
    pairs = zip(spares, caps, strict=True)
    steepest = min(1.0 - spare / cap if cap else 1.0 for spare, cap in pairs)
    least = []
    for t, (spare, cap) in enumerate(zip(spares, caps, strict=True)):
        held = max(0, one.pool.units - max(0, one.pool.units_free[t]))
        part = steepest * min(held, cap * one.sleep.node_units) / one.sleep.node_units
        least.append(spare + part)
    return least


def _before(one: _Sleeper) -> int:
    """Nodes awake before the first slot: those said to be, and those that jobs hold."""
    held = max(0, one.pool.units - max(0, one.pool.units_free[0]))
    return min(one.sleep.nodes, max(one.sleep.awake_now, ceil(held / one.sleep.node_units)))


def _woken(one: _Sleeper) -> int:
    steps = pairwise((_before(one), *one.awake))
    return sum(max(0, after - before) for before, after in steps)


def _wake_w(problem: Problem, sleepers: list[_Sleeper]) -> list[float]:
    """Mean power of wakes in each slot: each is spent in the time just before it is over."""
    watts = [0.0] * len(problem.slots)
    for one in sleepers:
        before = _before(one)
        for t, awake in enumerate(one.awake):
            woken, before = max(0, awake - before), awake
            ready_s = problem.slots[t].start_s
            for u, slot in enumerate(problem.slots):
                share = float(u == t)
                if one.sleep.wake_s > 0:
                    first_s = max(slot.start_s, ready_s - one.sleep.wake_s)
                    share = max(0.0, min(slot.end_s, ready_s) - first_s) / one.sleep.wake_s
                energy_wh = woken * one.sleep.wake_wh * share
                watts[u] += energy_wh * SECONDS_PER_HOUR / slot.length_s
    return watts


def _is_near(told: float, true: float) -> bool:
    return abs(told - true) <= _W + _SHARE * abs(true)
