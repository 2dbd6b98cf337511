"""The energy side of a problem as arrays: nodes that can sleep, batteries, solar, peaks, promises.

Only sites that have any of these are in here, as ``m``; pools whose nodes can sleep are ``q``. A
problem without them has no such arrays, and its model is written without these families.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np

from optimizer.arrays import Bools, Floats, Ints
from optimizer.demand import Windows, windows_of
from optimizer.problem import PoolSpec, Problem, SiteSpec, SleepSpec
from optimizer.timeline import Timeline
from suanwang.energy.grid import firm_w
from suanwang.energy.storage import BatterySpec

OVER_YUAN_PER_KWH: Final = 1_000.0
"""What a kilowatt-hour above a promised power costs the plan: far more than any energy, so it is
paid only where nothing else is possible."""
LACK_YUAN_PER_KWH: Final = 100.0
"""What a kilowatt-hour that a battery lacks at the end costs: a promise to the grid goes before."""
_NO_BATTERY: Final = BatterySpec(
    capacity_wh=0.0,
    charge_w_max=0.0,
    discharge_w_max=0.0,
    efficiency_charge=1.0,
    efficiency_discharge=1.0,
    soc_wh=0.0,
)


@dataclass(frozen=True, slots=True)
class Sleepers:
    """Pools q whose nodes can sleep, over slots t.

    ``cap[q,t]`` are the nodes that can be awake in a slot: before the first wake could be over only
    those that are awake now. ``occupied`` are units that other jobs hold. ``lead[q,t,u]`` is the
    share of a wake for slot t that falls into slot u. ``share[q]`` are the nodes that one more unit
    in use keeps awake at least, ``awake_least[q,t]`` those awake without any of our jobs.
    """

    pool: Ints
    m: Ints
    node_units: Floats
    nodes: Floats
    idle_w: Floats
    wake_wh: Floats
    wear_yuan: Floats
    awake_now: Floats
    spare: Floats
    steepness: Floats
    cap: Floats
    occupied: Floats
    can_wake: Bools
    lead: Floats
    share: Floats

    @property
    def awake_least(self) -> Floats:
        """Nodes awake without our jobs, from below: part nodes count as parts."""
        return self.spare + self.share[:, None] * self.occupied

    def required(self, used: Floats) -> Floats:
        """Return whole nodes that must be awake by (q, t) where our jobs use ``used`` units."""
        full = np.ceil((self.occupied + used) / self.node_units[:, None] - 1e-9)
        nodes: Floats = np.minimum(self.cap, full + self.spare)
        return nodes


@dataclass(frozen=True, slots=True)
class EnergyData:
    """Sites m with energy data, at ``site[m]`` of the problem; powers in W, by (m, t) or by m.

    ``asleep_w`` is IT power with every node asleep that can sleep; ``firm_w`` is infinite where
    nothing is promised; ``limit_w`` is the site's own limit. Batteries are given by what is stored
    above their least charge. ``windows`` are those of sites that pay for their peak.
    """

    site: Ints
    sleepers: Sleepers
    asleep_w: Floats
    solar_w: Floats
    firm_w: Floats
    limit_w: Floats
    charge_w: Floats
    discharge_w: Floats
    efficiency_in: Floats
    efficiency_out: Floats
    stored_wh: Floats
    room_wh: Floats
    end_wh: Floats
    soc_min_wh: Floats
    wear_yuan_per_kwh: Floats
    so_far_w: Floats
    peak_yuan_per_kw: Floats
    windows: Windows

    @property
    def least_w(self) -> Floats:
        """IT power without our jobs by (m, t), from below."""
        return self.asleep_w + self.of_sites(self.sleepers.awake_least)

    @property
    def reserve_w(self) -> Floats:
        """IT power by (m, t) that whole nodes can take above what their units in use account for.

        A node is awake or not, so a pool can need a whole node more, and its spare ones. Before a
        slot for which no wake can be over, all nodes may have to stay awake that can be.
        """
        sleepers = self.sleepers
        nodes = np.minimum(sleepers.nodes[:, None], 1.0 + sleepers.spare)
        stuck_after = ~sleepers.can_wake[:, 1:]
        nodes[:, :-1] = np.where(stuck_after, sleepers.cap[:, :-1], nodes[:, :-1])
        return self.of_sites(nodes)

    def of_sites(self, nodes: Floats) -> Floats:
        """Return the idle power of ``nodes`` awake by (q, t), summed over the pools of each m."""
        total = np.zeros(self.asleep_w.shape)
        np.add.at(total, self.sleepers.m, nodes * self.sleepers.idle_w[:, None])
        return total


def energy_of(problem: Problem, timeline: Timeline) -> EnergyData | None:
    """Return the energy data of a problem; None where no site has any.

    Raise ValueError where a pool's nodes do not hold its units, or solar power misses a slot.
    """
    pools = [at for at, pool in enumerate(problem.pools) if _sleep_of(pool) is not None]
    asleep = {problem.pools[at].site_id for at in pools}
    sites = [
        at for at, site in enumerate(problem.sites) if site.id in asleep or _has_data(problem, site)
    ]
    if not sites:
        return None
    m_of = {problem.sites[at].id: m for m, at in enumerate(sites)}
    sleepers = _sleepers(problem, timeline, pools, m_of)
    chosen = [problem.sites[at] for at in sites]
    batteries = [site.battery or _NO_BATTERY for site in chosen]
    asleep_w = np.array([site.it_base_w for site in chosen], dtype=np.float64)
    np.subtract.at(asleep_w, sleepers.m, (sleepers.idle_w * sleepers.nodes)[:, None])
    return EnergyData(
        site=np.array(sites, dtype=np.int64),
        sleepers=sleepers,
        asleep_w=np.maximum(0.0, asleep_w),
        solar_w=np.array([_solar_w(site, timeline.slots) for site in chosen]),
        firm_w=np.array([_firm_w(problem, site) for site in chosen]),
        limit_w=np.array([site.power_w_max for site in chosen], dtype=np.float64),
        charge_w=np.array([one.charge_w_max for one in batteries]),
        discharge_w=np.array([one.discharge_w_max for one in batteries]),
        efficiency_in=np.array([one.efficiency_charge for one in batteries]),
        efficiency_out=np.array([one.efficiency_discharge for one in batteries]),
        stored_wh=np.array([one.soc_wh - one.soc_min_wh for one in batteries]),
        room_wh=np.array([one.capacity_wh - one.soc_min_wh for one in batteries]),
        end_wh=np.array([max(0.0, one.soc_end_min_wh - one.soc_min_wh) for one in batteries]),
        soc_min_wh=np.array([one.soc_min_wh for one in batteries]),
        wear_yuan_per_kwh=np.array([one.wear_yuan_per_kwh for one in batteries]),
        so_far_w=np.array([site.peak.so_far_w if site.peak else 0.0 for site in chosen]),
        peak_yuan_per_kw=np.array([site.peak.yuan_per_kw if site.peak else 0.0 for site in chosen]),
        windows=windows_of(timeline, chosen),
    )


def _sleep_of(pool: PoolSpec) -> SleepSpec | None:
    sleep = pool.sleep
    return sleep if sleep is not None and sleep.sleepable and sleep.nodes > 0 else None


def _has_data(problem: Problem, site: SiteSpec) -> bool:
    has_event = any(power is not None for power in _firm_of_slots(problem, site))
    return bool(site.battery or any(site.solar_w) or site.peak or has_event)


def _firm_of_slots(problem: Problem, site: SiteSpec) -> list[float | None]:
    if not site.events:
        return []
    return [
        firm_w(
            site.events,
            problem.origin + timedelta(seconds=slot.start_s),
            problem.origin + timedelta(seconds=slot.end_s),
        )
        for slot in problem.slots
    ]


def _firm_w(problem: Problem, site: SiteSpec) -> list[float]:
    powers = _firm_of_slots(problem, site) or [None] * len(problem.slots)
    return [np.inf if power is None else power for power in powers]


def _solar_w(site: SiteSpec, slots: int) -> Sequence[float]:
    if not site.solar_w:
        return (0.0,) * slots
    if len(site.solar_w) != slots:
        raise ValueError(f"site {site.id} has {len(site.solar_w)} slots of solar, not {slots}")
    return tuple(max(0.0, power) for power in site.solar_w)


def _sleepers(
    problem: Problem, timeline: Timeline, pools: list[int], m_of: dict[str, int]
) -> Sleepers:
    chosen = [problem.pools[at] for at in pools]
    sleeps = [sleep for pool in chosen if (sleep := _sleep_of(pool)) is not None]
    for pool, sleep in zip(chosen, sleeps, strict=True):
        if sleep.nodes * sleep.node_units < pool.units:
            held = f"{sleep.nodes} nodes of {sleep.node_units}"
            raise ValueError(f"pool {pool.id} has {pool.units} units, more than {held}")
    slots = timeline.slots
    free = np.array([pool.units_free for pool in chosen], dtype=np.float64).reshape(-1, slots)
    units = np.array([pool.units for pool in chosen], dtype=np.float64)
    occupied = np.maximum(0.0, units[:, None] - np.maximum(0.0, free))
    node_units = _row(sleeps, "node_units")
    nodes = _row(sleeps, "nodes")
    held_now = np.ceil(occupied[:, :1].max(axis=1, initial=0.0) / node_units)
    awake_now = np.minimum(nodes, np.maximum(_row(sleeps, "awake_now"), held_now))
    wake_s = _row(sleeps, "wake_s")
    can_wake = timeline.start_s[None, :] >= wake_s[:, None]
    cap = np.where(can_wake, nodes[:, None], awake_now[:, None])
    # Before a wake can be over, only those awake now hold jobs; what is held there is held by them.
    occupied = np.minimum(occupied, cap * node_units[:, None])
    spare = np.minimum(_row(sleeps, "spare_nodes")[:, None], cap)
    steepness = 1.0 - np.divide(spare, cap, out=np.zeros(cap.shape), where=cap > 0)
    return Sleepers(
        pool=np.array(pools, dtype=np.int64),
        m=np.array([m_of[pool.site_id] for pool in chosen], dtype=np.int64),
        node_units=node_units,
        nodes=nodes,
        idle_w=_row(sleeps, "idle_w"),
        wake_wh=_row(sleeps, "wake_wh"),
        wear_yuan=_row(sleeps, "wear_yuan"),
        awake_now=awake_now,
        spare=spare,
        steepness=steepness,
        cap=cap,
        occupied=occupied,
        can_wake=can_wake,
        lead=np.array([_lead(timeline, one) for one in wake_s]).reshape(-1, slots, slots),
        share=steepness.min(axis=1, initial=1.0) / node_units,
    )


def _row(sleeps: list[SleepSpec], name: str) -> Floats:
    return np.array([getattr(sleep, name) for sleep in sleeps], dtype=np.float64)


def _lead(timeline: Timeline, wake_s: float) -> Floats:
    """The share of a wake that is over at the beginning of slot t and falls into slot u."""
    if wake_s <= 0:
        return np.eye(timeline.slots)
    start_s, end_s = timeline.start_s, timeline.start_s + timeline.length_s
    ready_s = timeline.start_s[:, None]
    overlap_s = np.minimum(end_s, ready_s) - np.maximum(start_s, ready_s - wake_s)
    shares: Floats = np.maximum(0.0, overlap_s) / wake_s
    return np.where(timeline.start_s[:, None] >= wake_s, shares, 0.0)
