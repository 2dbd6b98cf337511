"""From the compute network and the queue to the planner's numbers.

What is not known is taken from the careful side: a stale power reading counts as the larger of what
was read and what was registered; without any reading a site that could not carry all its units at
full power takes no further job; units whose end is overdue stay taken in the first slot.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from optimizer.problem import (
    DEFAULT_SLOT_LENGTHS_S,
    JobSpec,
    LotSpec,
    Policy,
    PoolSpec,
    Problem,
    Shape,
    SiteSpec,
    Slot,
    slots_of,
)
from scheduler.problem_energy import carbon_of, peak_of, with_energy, with_sleep, with_terms
from suanwang.energy.catalogue import EnergyCatalogue
from suanwang.energy.facility_curve import FacilityCurve
from suanwang.errors import SuanwangError
from suanwang.ids import SiteId
from suanwang.model.job import Job
from suanwang.model.network import USABLE_FOR, ComputeNetwork, Fact, Freshness, PoolState, SiteState
from suanwang.model.plan import ReasonCode
from suanwang.model.reading import Quality
from suanwang.model.site import Site
from suanwang.model.voucher import Lot

ANYWHERE = "*"
"""The origin of a link that stands for every other one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """What tenants may spend: voucher lots, and free cash in fen by tenant."""

    lots: tuple[Lot, ...] = ()
    cash_fen: Mapping[str, int] = field(default_factory=dict)


def build_problem(
    network: ComputeNetwork,
    jobs: Sequence[Job],
    money: Money,
    catalogue: EnergyCatalogue,
    policy: Policy,
    slot_lengths_s: tuple[float, ...] = DEFAULT_SLOT_LENGTHS_S,
) -> Problem:
    """Return the planning problem at ``network.at``; sites and pools are in the order of their ids.

    A site that is closed, out of reach, or whose energy facts the catalogue does not know, is kept
    with the reason, so that a job can be told why it does not go there.
    """
    now, slots = network.at, slots_of(slot_lengths_s)
    states = sorted(
        (with_terms(state, catalogue) for state in network.sites), key=lambda state: state.site.id
    )
    pools = [
        with_sleep(_pool(pool, now, slots), pool, state.terms)
        for state in states
        for pool in sorted(state.pools, key=lambda one: one.pool.id)
    ]
    return Problem(
        origin=now,
        slots=slots,
        sites=tuple(_site(state, catalogue, now, slots) for state in states),
        pools=tuple(pools),
        jobs=tuple(job_spec(job, now) for job in jobs),
        lots=tuple(lot_spec(lot, now) for lot in money.lots if lot.available_fen > 0),
        cash_fen=dict(money.cash_fen),
        rtt_ms=rtt_ms_of(network, jobs),
        policy=policy,
    )


def _site(
    state: SiteState, catalogue: EnergyCatalogue, now: datetime, slots: tuple[Slot, ...]
) -> SiteSpec:
    try:
        known = _known_site(state, catalogue, now, slots)
        return with_energy(known, state, now, slots)
    except SuanwangError as failure:
        return _unknown_site(state.site, failure.message, len(slots))


def _known_site(
    state: SiteState, catalogue: EnergyCatalogue, now: datetime, slots: tuple[Slot, ...]
) -> SiteSpec:
    site = state.site
    tariff = catalogue.tariff_versions(site.tariff_id)
    facility = state.own_facility or catalogue.facility_of(site)
    spans = [
        (now + timedelta(seconds=slot.start_s), now + timedelta(seconds=slot.end_s))
        for slot in slots
    ]
    wet_bulbs_c = _wet_bulbs_c(state, catalogue, now, slots)
    is_open, reason, message = _openness(state, now)
    it_base_w = _it_base_w(state, facility, wet_bulbs_c, now, slots)
    return SiteSpec(
        id=site.id,
        price_uyuan_per_kwh=tuple(
            tariff.average_uyuan_per_kwh(start, end, site.voltage) for start, end in spans
        ),
        carbon_g_per_kwh=carbon_of(state, catalogue, spans),
        facility_w=tuple(facility.breakpoints(wet_bulb_c) for wet_bulb_c in wet_bulbs_c),
        it_base_w=it_base_w,
        power_w_max=tuple(_power_w_max(site, facility, wet_bulb_c) for wet_bulb_c in wet_bulbs_c),
        accepts=site.accepts,
        data_homes=site.data_homes,
        is_open=is_open,
        closed_message=message,
        closed_reason=reason,
        peak=peak_of(state, tariff, now, facility.facility_w(it_base_w[0], wet_bulbs_c[0])),
    )


def _unknown_site(site: Site, message: str, slots: int) -> SiteSpec:
    return SiteSpec(
        id=site.id,
        price_uyuan_per_kwh=(0,) * slots,
        carbon_g_per_kwh=(0.0,) * slots,
        facility_w=(((0.0, 0.0), (1.0, 1.0)),) * slots,
        it_base_w=(0.0,) * slots,
        power_w_max=(0.0,) * slots,
        accepts=site.accepts,
        data_homes=site.data_homes,
        is_open=False,
        closed_message=f"its energy facts are not known: {message}",
        closed_reason=ReasonCode.SITE_DOWN,
    )


def _openness(state: SiteState, now: datetime) -> tuple[bool, ReasonCode, str]:
    if not state.is_open:
        return False, ReasonCode.SITE_DOWN, "closed to new jobs by its operator"
    if state.is_reachable:
        return True, ReasonCode.SITE_DOWN, ""
    if state.agent_seen_at is None:
        return False, ReasonCode.SITE_DOWN, "its agent has never called"
    silent = now - state.agent_seen_at
    minutes = silent.total_seconds() / 60
    message = f"out of reach; its agent last called {minutes:.1f} minutes ago"
    reason = ReasonCode.STALE if silent <= USABLE_FOR else ReasonCode.SITE_DOWN
    return False, reason, message


def _wet_bulbs_c(
    state: SiteState, catalogue: EnergyCatalogue, now: datetime, slots: tuple[Slot, ...]
) -> list[float]:
    """Typical wet bulb at the middle of each slot, moved by what a fresh sensor is off it."""
    site = state.site
    climate = catalogue.climate(site.climate)
    offset_k = 0.0
    if state.wet_bulb_c.freshness(now) is Freshness.FRESH:
        offset_k = state.wet_bulb_c.value - climate.wet_bulb_at(now, site.timezone)
    return [
        climate.wet_bulb_at(
            now + timedelta(seconds=slot.start_s + slot.length_s / 2), site.timezone
        )
        + offset_k
        for slot in slots
    ]


def _power_w_max(site: Site, facility: FacilityCurve, wet_bulb_c: float) -> float:
    """Facility power <= contract, and IT power <= design: the first rises with the second."""
    return min(float(site.contract_w), facility.facility_w(site.it_design_w, wet_bulb_c))


def _it_base_w(
    state: SiteState,
    facility: FacilityCurve,
    wet_bulbs_c: Sequence[float],
    now: datetime,
    slots: tuple[Slot, ...],
) -> tuple[float, ...]:
    """IT power in each slot without new jobs: background + idle units + what still runs."""
    idle_w = sum(one.pool.units * one.pool.power_w_idle for one in state.pools)
    extra_w = [
        sum(
            (one.pool.units_usable - free) * (one.pool.power_w_busy - one.pool.power_w_idle)
            for one, free in zip(state.pools, row, strict=True)
        )
        for row in zip(*(_units_free(one, now, slots) for one in state.pools), strict=True)
    ] or [0.0] * len(slots)
    leaving_w = sum(
        one.movable_units * (one.pool.power_w_busy - one.pool.power_w_idle) for one in state.pools
    )
    background_w = _background_w(state, idle_w, extra_w[0] + leaving_w, now)
    if background_w is not None:
        return tuple(background_w + idle_w + one for one in extra_w)
    # No reading: where not even all units at full power could pass the limit, none is needed.
    worst_w = state.site.background_it_w + sum(
        one.pool.units * one.pool.power_w_busy for one in state.pools
    )
    modelled_w = [state.site.background_it_w + idle_w + one for one in extra_w]
    return tuple(
        usual_w
        if facility.facility_w(worst_w, wet_bulb_c)
        <= _power_w_max(state.site, facility, wet_bulb_c)
        else worst_w
        for usual_w, wet_bulb_c in zip(modelled_w, wet_bulbs_c, strict=True)
    )


def _background_w(state: SiteState, idle_w: float, extra_w: float, now: datetime) -> float | None:
    """IT power that is not of our units; None where nothing was read lately.

    Our units draw between ``idle_w`` and ``idle_w + extra_w``, so a reading leaves a range for the
    rest: what was registered counts, moved into that range.
    """
    freshness = _freshness(state.it_power_w, now)
    if freshness is Freshness.LOST:
        return None
    registered_w = float(state.site.background_it_w)
    most_w = max(0.0, state.it_power_w.value - idle_w)
    background_w = min(max(registered_w, most_w - extra_w), most_w)
    return max(background_w, registered_w) if freshness is Freshness.STALE else background_w


def _freshness(fact: Fact, now: datetime) -> Freshness:
    return Freshness.LOST if fact.quality is Quality.MISSING else fact.freshness(now)


def _units_free(state: PoolState, now: datetime, slots: tuple[Slot, ...]) -> tuple[int, ...]:
    """Units free at the beginning of each slot; the first slot has only those that are free now."""
    ends = [((until - now).total_seconds(), units) for until, units in state.busy_until]
    return tuple(
        max(
            0,
            min(
                state.pool.units_usable,
                state.units_free
                + sum(units for end_s, units in ends if slot.start_s > 0 and end_s <= slot.start_s),
            ),
        )
        for slot in slots
    )


def _pool(state: PoolState, now: datetime, slots: tuple[Slot, ...]) -> PoolSpec:
    pool = state.pool
    return PoolSpec(
        id=pool.id,
        site_id=pool.site_id,
        accelerator=pool.accelerator,
        units=pool.units_usable,
        units_free=_units_free(state, now, slots),
        busy_extra_w=max(0.0, pool.power_w_busy - pool.power_w_idle),
        price_uyuan_per_unit_hour=pool.price_uyuan_per_unit_hour,
        is_domestic=pool.is_domestic,
        nodes=_nodes(state),
        units_per_node=pool.units_per_node,
    )


def _nodes(state: PoolState) -> tuple[int, ...]:
    """Return the free units by node, where the agent told them or the pool is without work."""
    pool = state.pool
    if pool.units_per_node < 2:
        return ()
    if state.nodes_free:
        return state.nodes_free
    if state.units_free != pool.units or state.busy_until:
        return ()
    whole, rest = divmod(pool.units, pool.units_per_node)
    return (pool.units_per_node,) * whole + ((rest,) if rest else ())


def job_spec(job: Job, now: datetime) -> JobSpec:
    """Return a job in the planner's numbers, with times from ``now``."""
    wishes = job.wanted
    earliest = max(now, job.submitted_at, wishes.earliest_start or now)
    deadline_s = None
    if wishes.deadline is not None:
        deadline_s = (wishes.deadline - now).total_seconds()
    return JobSpec(
        id=job.id,
        tenant_id=job.tenant_id,
        units=wishes.units,
        run_s=float(wishes.use_s_max),
        shapes=tuple(Shape(one.units, float(wishes.use_s_at(one.units))) for one in wishes.widths),
        accelerators=wishes.accelerators,
        origin=wishes.origin,
        latency_ms_max=wishes.latency_ms_max,
        data_class=wishes.data_class,
        data_home=wishes.data_home,
        domestic_only=wishes.domestic_only,
        sites=wishes.sites,
        uses_voucher=wishes.uses_voucher,
        cash_fen_max=wishes.cash_fen_max,
        earliest_s=(earliest - now).total_seconds(),
        deadline_s=deadline_s,
        waited_s=max(0.0, (now - job.submitted_at).total_seconds()),
    )


def lot_spec(lot: Lot, now: datetime) -> LotSpec:
    """Return a voucher lot in the planner's numbers, with times from ``now``."""
    return LotSpec(
        id=lot.id,
        tenant_id=lot.tenant_id,
        available_fen=lot.available_fen,
        ratio_num=lot.ratio_num,
        ratio_den=lot.ratio_den,
        expires_s=(lot.expires_at - now).total_seconds(),
        rank=lot.rank,
        sites=frozenset(lot.sites),
        accelerators=lot.accelerators,
        grace_s=float(lot.grace_s),
    )


def rtt_ms_of(network: ComputeNetwork, jobs: Iterable[Job]) -> dict[tuple[str, str], float]:
    """Round-trip times, with an entry for each job's origin: its own row, or that of anywhere."""
    known = {(origin, str(site)): rtt_ms for (origin, site), rtt_ms in network.rtt_ms.items()}
    for origin in sorted({job.wishes.origin for job in jobs}):
        for state in network.sites:
            anywhere = network.rtt_ms.get((ANYWHERE, SiteId(state.site.id)))
            if anywhere is not None:
                known.setdefault((origin, state.site.id), anywhere)
    return known
