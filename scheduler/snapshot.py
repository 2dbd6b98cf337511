"""The compute network at one moment: what is registered, what is measured, what our attempts use.

A fact carries its own age and quality; here nothing is guessed. An attempt that is not proven dead
keeps its units, also when nobody has seen it for hours.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from collectors import store as telemetry
from collectors.store_bill import PeakBook, drawn_w
from collectors.store_facility import newest_fits
from scheduler import registry, store, store_nodes, store_registry
from scheduler.moves import hold_of_move
from scheduler.nodes import SiteNode, free_by_node
from scheduler.problem_energy import with_terms
from scheduler.registry import RegisteredSite
from suanwang.energy.catalogue import EnergyCatalogue, load_catalogue
from suanwang.ids import PoolId
from suanwang.model.attempt import Attempt, AttemptState
from suanwang.model.job import Job
from suanwang.model.meter import PueFigure
from suanwang.model.network import ComputeNetwork, Fact, PoolState, SiteState
from suanwang.model.reading import Quality
from suanwang.model.site import DemandBasis, Pool, Site
from suanwang.model.site_terms import EnergyTerms

REACHABLE_FOR: Final = timedelta(seconds=30)
"""A site is reachable this long after its agent's last call (three greetings)."""
PUE_OVER: Final = timedelta(days=1)
WET_BULB: Final = ("site", "wet_bulb_c")
CHARGE: Final = "battery_charge_ratio"
_OVERDUE: Final = timedelta(minutes=1)
_MISSING: Final = Fact(value=0.0, at=None, quality=Quality.MISSING)


def take_snapshot(connection: Connection, now: datetime) -> ComputeNetwork:
    """Return all sites with what is free, how old each fact is, and who can be reached."""
    running: dict[PoolId, list[Attempt]] = defaultdict(list)
    for attempt in store.live_attempts(connection):
        running[attempt.pool_id].append(attempt)
    for job, attempt in store.moving_jobs(connection):
        if job.move_to is not None:
            running[job.move_to].append(_arriving(job, attempt, now))
    sites = registry.sites(connection)
    nodes = store_nodes.nodes_by_site(connection)
    asked = telemetry.AskedPue(start=now - PUE_OVER, end=now, now=now)
    pues = telemetry.pues(connection, [registered.site.id for registered in sites], asked)
    curves = {
        site_id: fit.curve for site_id, fit in newest_fits(connection, load_catalogue()).items()
    }
    return ComputeNetwork(
        at=now,
        sites=tuple(
            replace(
                _with_nodes(
                    _site_state(connection, registered, running, pues[registered.site.id], now),
                    nodes.get(registered.site.id, ()),
                    running,
                ),
                own_facility=curves.get(registered.site.id),
            )
            for registered in sites
        ),
        rtt_ms=store_registry.rtt_ms(connection),
    )


def _arriving(job: Job, attempt: Attempt, now: datetime) -> Attempt:
    """Return what a moving job will be where it is bound for: its units are kept there."""
    use_s = attempt.use_s_max + job.wishes.checkpoint_s
    return replace(
        attempt,
        id=hold_of_move(job)[0],
        pool_id=job.move_to or attempt.pool_id,
        state=AttemptState.INTENT,
        started_at=None,
        lease_expires_at=now + timedelta(seconds=use_s),
    )


def with_peaks(connection: Connection, network: ComputeNetwork, peaks: PeakBook) -> ComputeNetwork:
    """Return the network with the month's demand of each site that pays for its largest.

    What the running window of demand has so far is read anew each time.
    """
    return replace(
        network,
        sites=tuple(
            replace(
                state,
                peak_w=peaks.expected_w(connection, state.site.id, state.site.timezone, network.at),
                drawn_w=drawn_w(connection, state.site.id, network.at),
            )
            if state.site.demand_basis is DemandBasis.MAX_DEMAND
            else state
            for state in network.sites
        ),
    )


def network_to_plan(
    connection: Connection, now: datetime, catalogue: EnergyCatalogue, peaks: PeakBook
) -> ComputeNetwork:
    """Return the network with all that a plan counts on beside what is free."""
    network = with_peaks(connection, take_snapshot(connection, now), peaks)
    return with_charges(connection, network, catalogue)


def with_charges(
    connection: Connection, network: ComputeNetwork, catalogue: EnergyCatalogue
) -> ComputeNetwork:
    """Return the network with each site's terms, and how full batteries are that tell it."""
    states = []
    for state in network.sites:
        known = with_terms(state, catalogue)
        if known.terms.battery is not None and known.terms.charge_from:
            name = (known.terms.charge_from, CHARGE)
            found = telemetry.latest(connection, state.site.id, [name]).get(name)
            known = replace(known, charge_ratio=found)
        states.append(known)
    return replace(network, sites=tuple(states))


def idle_network(connection: Connection, now: datetime) -> ComputeNetwork:
    """Return the network as it would be with every site open, every unit there and all of it idle.

    What cannot run on this one can never run; nothing is read but what was registered.
    """
    return ComputeNetwork(
        at=now,
        sites=tuple(_idle_site(registered.site, now) for registered in registry.sites(connection)),
        rtt_ms=store_registry.rtt_ms(connection),
    )


def _idle_site(site: Site, now: datetime) -> SiteState:
    pools = tuple(replace(pool, drained_units=0) for pool in site.pools)
    idle_w = site.background_it_w + sum(pool.units * pool.power_w_idle for pool in pools)
    return SiteState(
        site=replace(site, pools=pools),
        pools=tuple(PoolState(pool=pool, units_free=pool.units) for pool in pools),
        it_power_w=Fact(value=idle_w, at=now, quality=Quality.ESTIMATED),
        facility_power_w=_MISSING,
        pue=_MISSING,
        wet_bulb_c=_MISSING,
        agent_seen_at=now,
        is_reachable=True,
    )


def _site_state(
    connection: Connection,
    registered: RegisteredSite,
    running: Mapping[PoolId, Sequence[Attempt]],
    figure: PueFigure,
    now: datetime,
) -> SiteState:
    site = registered.site
    it_power_w, facility_power_w = telemetry.site_power(connection, site.id)
    pue = _MISSING
    if figure.value is not None:
        pue = Fact(value=figure.value, at=figure.end, quality=figure.quality)
    return SiteState(
        site=site,
        pools=tuple(pool_state(pool, running.get(pool.id, ()), now) for pool in site.pools),
        it_power_w=it_power_w,
        facility_power_w=facility_power_w,
        pue=pue,
        wet_bulb_c=telemetry.latest(connection, site.id, [WET_BULB]).get(WET_BULB, _MISSING),
        agent_seen_at=registered.agent_seen_at,
        is_reachable=is_reachable(registered, now),
        is_open=registered.is_open,
        terms=registered.terms or EnergyTerms(),
    )


def _with_nodes(
    state: SiteState, nodes: Sequence[SiteNode], running: Mapping[PoolId, Sequence[Attempt]]
) -> SiteState:
    """Return the site with what is free on each node of its pools, as far as its agent says."""
    pools = tuple(
        replace(
            one,
            nodes_free=free_by_node(
                one.pool, state.site.pools, nodes, running.get(one.pool.id, ())
            ),
        )
        for one in state.pools
    )
    return replace(state, pools=pools)


def is_reachable(registered: RegisteredSite, now: datetime) -> bool:
    """Whether a site's agent was heard a short time ago and its executor answers."""
    seen = registered.agent_seen_at
    is_heard = seen is not None and now - seen <= REACHABLE_FOR
    return is_heard and registered.executor_state != "unreachable"


def pool_state(pool: Pool, running: Sequence[Attempt], now: datetime) -> PoolState:
    """Return a pool with what its live attempts leave free.

    The time at which an unknown attempt's units come back is not known, so it is not in
    ``busy_until``.
    """
    used = sum(attempt.units for attempt in running)
    return PoolState(
        pool=pool,
        units_free=max(0, pool.units_usable - used),
        busy_until=tuple(
            sorted(
                (free_at(attempt, now), attempt.units)
                for attempt in running
                if attempt.state is not AttemptState.UNKNOWN
            )
        ),
    )


def free_at(attempt: Attempt, now: datetime) -> datetime:
    """Return when the attempt's units fall free at the latest, and not before a minute from now."""
    end = attempt.lease_expires_at
    if attempt.started_at is not None:
        end = min(end, attempt.started_at + timedelta(seconds=attempt.use_s_max))
    return max(end, now + _OVERDUE)
