"""The energy schedule of a plan in the plan's words: sites and pools by id, moments, totals."""

from datetime import timedelta

import numpy as np

from optimizer.arrays import Floats
from optimizer.facility import largest
from optimizer.instance import Instance
from optimizer.schedule import Schedule
from optimizer.site_energy import EnergyData
from suanwang.ids import PoolId, SiteId
from suanwang.model.energy_plan import EnergySlot, SiteEnergy


def energy_report(instance: Instance, schedule: Schedule | None) -> tuple[SiteEnergy, ...]:
    """Return the schedule of every site with energy data, in the order of the problem's sites."""
    energy = instance.energy
    if energy is None or schedule is None:
        return ()
    awake_w = _all_awake_w(instance, energy, schedule)
    return tuple(_site(instance, energy, schedule, m, awake_w) for m in range(len(energy.site)))


def _all_awake_w(
    instance: Instance, energy: EnergyData, schedule: Schedule
) -> tuple[Floats, Floats]:
    """IT and facility power by (m, t) if every node were on, and so none had to be woken."""
    sleepers = energy.sleepers
    asleep = energy.of_sites(sleepers.nodes[:, None] - schedule.choice.awake)
    it_w = schedule.it_w - schedule.wake_w + asleep
    slope = instance.metered.slope[energy.site]
    return it_w, largest(slope, instance.metered.offset[energy.site], it_w)


def _site(
    instance: Instance,
    energy: EnergyData,
    schedule: Schedule,
    m: int,
    all_awake: tuple[Floats, Floats],
) -> SiteEnergy:
    hours = instance.metered.hours
    it_awake_w, facility_awake_w = all_awake
    own = energy.sleepers.m == m
    it_awake_wh = float(it_awake_w[m] @ hours)
    facility_awake_wh = float(facility_awake_w[m] @ hours)
    return SiteEnergy(
        site_id=SiteId(instance.sites[energy.site[m]].id),
        slots=tuple(
            _slot(instance, energy, schedule, m, t) for t in range(instance.timeline.slots)
        ),
        cost_yuan=float(schedule.cost_yuan[m]),
        it_wh=float(schedule.it_w[m] @ hours),
        saved_wh=facility_awake_wh - float(schedule.facility_w[m] @ hours),
        pue_awake=facility_awake_wh / it_awake_wh if it_awake_wh > 0 else None,
        wakes=round(float(schedule.wakes[own].sum())),
        peak_w=float(schedule.peak_w[m]),
        peak_before_w=float(energy.so_far_w[m]),
        short_wh=float(schedule.lack_wh[m]),
    )


def _slot(instance: Instance, energy: EnergyData, schedule: Schedule, m: int, t: int) -> EnergySlot:
    timeline, choice, sleepers = instance.timeline, schedule.choice, energy.sleepers
    start_s = float(timeline.start_s[t])
    origin = instance.problem.origin
    return EnergySlot(
        start=origin + timedelta(seconds=start_s),
        end=origin + timedelta(seconds=start_s + float(timeline.length_s[t])),
        facility_w=float(schedule.facility_w[m, t]),
        grid_w=float(schedule.grid_w[m, t]),
        draw_w=float(schedule.draw_w[m, t]),
        solar_w=float(choice.solar_w[m, t]),
        charge_w=float(choice.charge_w[m, t]),
        discharge_w=float(choice.discharge_w[m, t]),
        soc_wh=float(schedule.stored_wh[m, t] + energy.soc_min_wh[m]),
        over_w=float(schedule.over_w[m, t]),
        awake={
            PoolId(instance.pools[sleepers.pool[q]].id): int(choice.awake[q, t])
            for q in np.flatnonzero(sleepers.m == m)
        },
    )
