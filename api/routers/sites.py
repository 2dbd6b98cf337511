"""Sites: registered by their operators, read by everyone with a key."""

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import APIRouter, Query, Response
from sqlalchemy import Connection

from api.booking import Books, LedgerDesk
from api.context import ApiContext, Context
from api.identity import Identity, SiteManager, SiteReader, make_key
from api.ownership import may_manage, own_site
from api.schemas.common import fact_out
from api.schemas.sites import (
    DeclaredDead,
    PoolOut,
    SiteIn,
    SiteList,
    SiteOut,
    SourceList,
    SourceOut,
    TokenOut,
)
from api.store import revoke_site_tokens
from collectors import store as telemetry
from collectors.store_inventory_history import Author, Origin, capture_meters
from scheduler import registry
from scheduler.reconcile import declare_dead
from scheduler.registry import RegisteredSite
from scheduler.snapshot import take_snapshot
from suanwang.errors import BadInput, Conflict, NotFound
from suanwang.ids import SiteId
from suanwang.model.network import ComputeNetwork, PoolState, SiteState
from suanwang.model.tenant import Role
from voucher.turn import Turn

router = APIRouter(prefix="/v1/sites", tags=["sites"])


def _pool_out(state: PoolState) -> PoolOut:
    pool = state.pool
    return PoolOut(
        id=pool.id,
        accelerator=pool.accelerator,
        units=pool.units,
        units_free=state.units_free,
        units_drained=pool.drained_units,
        units_per_node=pool.units_per_node,
        power_w_idle=pool.power_w_idle,
        power_w_busy=pool.power_w_busy,
        price_uyuan_per_unit_hour=pool.price_uyuan_per_unit_hour,
        is_domestic=pool.is_domestic,
    )


def _site_out(
    registered: RegisteredSite, state: SiteState, network: ComputeNetwork, now: datetime
) -> SiteOut:
    site = registered.site
    return SiteOut(
        id=site.id,
        name=site.name,
        operator=site.operator,
        region=site.region,
        timezone=site.timezone,
        cooling=site.cooling,
        climate=site.climate,
        it_design_w=site.it_design_w,
        background_it_w=site.background_it_w,
        contract_w=site.contract_w,
        tariff_id=site.tariff_id,
        voltage=site.voltage,
        carbon_region=site.carbon_region,
        site_class=site.site_class,
        pue_limit=site.pue_limit,
        pue_category=site.pue_category,
        ppue_split=site.ppue_split,
        demand_basis=site.demand_basis,
        transformer_kva=site.transformer_kva,
        power_chain=site.power_chain,
        accepts=sorted(site.accepts),
        data_homes=sorted(site.data_homes),
        is_open=registered.is_open,
        is_reachable=state.is_reachable,
        agent_seen_at=registered.agent_seen_at,
        agent_version=registered.agent_version,
        executor_state=registered.executor_state,
        executor_message=registered.executor_message,
        it_power_w=fact_out(state.it_power_w, now),
        facility_power_w=fact_out(state.facility_power_w, now),
        pue=fact_out(state.pue, now),
        rtt_ms={
            origin: rtt_ms for (origin, place), rtt_ms in network.rtt_ms.items() if place == site.id
        },
        pools=[_pool_out(pool) for pool in state.pools],
    )


def _sites(connection: Connection, context: ApiContext) -> dict[SiteId, SiteOut]:
    now = context.clock.now()
    network = take_snapshot(connection, now)
    states = {state.site.id: state for state in network.sites}
    return {
        found.site.id: _site_out(found, states[found.site.id], network, now)
        for found in registry.sites(connection)
    }


def _site(connection: Connection, context: ApiContext, site_id: str) -> SiteOut:
    registry.find_site(connection, SiteId(site_id))
    return _sites(connection, context)[SiteId(site_id)]


@router.get("", summary="List sites")
def list_sites(identity: SiteReader, context: Context) -> SiteList:
    """Return every site with its live facts and what is free, in the order of their ids."""
    with context.reading() as connection:
        return SiteList(items=list(_sites(connection, context).values()))


@router.post("", status_code=201, summary="Register a site")
def register_site(
    body: SiteIn, identity: SiteManager, context: Context, books: Books, response: Response
) -> SiteOut:
    """Write a site whole: 201 when it is new, 200 when it was there.

    An operator registers sites under its own tenant id; the admin under any operator.
    """
    site = body.to_site(context.catalogue.pue_limits, context.clock.now().date())
    context.catalogue.check_site(site)
    _check_timezone(body.timezone)
    if not may_manage(identity, site.operator):
        raise BadInput(
            f"operator: {site.operator!r} is not your tenant id {identity.tenant_id!r}",
            next_step=f"write {identity.tenant_id!r}",
        )
    links = {link.origin: link.rtt_ms for link in body.links}

    def register(turn: Turn) -> tuple[SiteOut, bool]:
        connection = turn.connection
        former = _find(connection, site.id)
        if former is not None and not may_manage(identity, former.site.operator):
            raise Conflict(f"the site id {site.id!r} is taken", next_step="choose another id")
        now = context.clock.now()
        registry.register_site(connection, site, body.to_meters(), links, now)
        registry.set_energy_terms(connection, site.id, body.energy)
        author = Author(
            actor=f"key {identity.key_id}",
            origin=Origin.REGISTRATION,
            reason="the site was registered",
            at=now,
        )
        capture_meters(connection, site.id, author)
        return _site(connection, context, site.id), former is None

    registered, is_new = books.change(register)
    context.scheduling.desk.forget()
    response.status_code = 201 if is_new else 200
    return registered


def _find(connection: Connection, site_id: SiteId) -> RegisteredSite | None:
    try:
        return registry.find_site(connection, site_id)
    except NotFound:
        return None


def _check_timezone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as failure:
        raise BadInput(
            f"timezone: {name!r} is not an IANA time zone", next_step="such as Asia/Shanghai"
        ) from failure


@router.get("/{site_id}", summary="Look at a site")
def look_at_site(site_id: str, identity: SiteReader, context: Context) -> SiteOut:
    """Return a site with its live facts and what is free."""
    with context.reading() as connection:
        return _site(connection, context, site_id)


@router.post("/{site_id}/token", status_code=201, summary="Make the agent's token")
def make_site_token(site_id: str, identity: SiteManager, context: Context) -> TokenOut:
    """Make a new token for the site's agent; all earlier ones end at once."""
    with context.writing() as connection:
        own_site(connection, identity, site_id)
        revoke_site_tokens(connection, site_id, context.clock.now())
        made = make_key(
            connection,
            context.clock,
            context.ids,
            tenant_id=identity.tenant_id,
            role=Role.AGENT,
            site_id=site_id,
        )
    return TokenOut(id=made.key.id, secret=made.secret)


def _set_open(
    site_id: str, identity: Identity, context: ApiContext, books: LedgerDesk, *, is_open: bool
) -> SiteOut:
    def change(turn: Turn) -> SiteOut:
        own_site(turn.connection, identity, site_id)
        registry.set_open(turn.connection, SiteId(site_id), is_open)
        return _site(turn.connection, context, site_id)

    changed = books.change(change)
    context.scheduling.desk.forget()
    return changed


@router.post("/{site_id}/open", summary="Take new jobs")
def open_site(site_id: str, identity: SiteManager, context: Context, books: Books) -> SiteOut:
    """Let the site take new jobs."""
    return _set_open(site_id, identity, context, books, is_open=True)


@router.post("/{site_id}/declare-dead", summary="Count everything at a silent site as dead")
def declare_site_dead(
    site_id: str, identity: SiteManager, context: Context, books: Books
) -> DeclaredDead:
    """Let the jobs of a site that does not answer start elsewhere.

    The caller answers for it that nothing runs there any more; their name goes into each job's
    story. Refused with 409 while the site's agent answers.
    """

    def declare(turn: Turn) -> DeclaredDead:
        site = own_site(turn.connection, identity, site_id).site
        actor = f"{identity.role.value} {identity.tenant_id} (key {identity.key_id})"
        dead = declare_dead(turn, site.id, actor, context.clock.now())
        return DeclaredDead(site_id=site.id, attempts=list(dead))

    return books.change(declare)


@router.post("/{site_id}/close", summary="Take no new jobs")
def close_site(site_id: str, identity: SiteManager, context: Context, books: Books) -> SiteOut:
    """Send no new jobs to the site; those that run go on."""
    return _set_open(site_id, identity, context, books, is_open=False)


@router.get("/{site_id}/sources", summary="Telemetry sources of a site")
def list_sources(
    site_id: str,
    identity: SiteManager,
    context: Context,
    retired: Annotated[bool, Query(description="with those that are not polled any more")] = False,
) -> SourceList:
    """Return each source's last word about itself: up or down, why, how long it took, how old."""
    now = context.clock.now()
    with context.reading() as connection:
        own_site(connection, identity, site_id)
        states = telemetry.source_states(connection, site_id, with_retired=retired)
    return SourceList(
        items=[
            SourceOut(
                source=state.source,
                standing=state.standing(now),
                is_up=state.is_up,
                duration_s=state.duration_s,
                readings=state.readings,
                error=state.error,
                polled_at=state.polled_at,
                age_s=max(0.0, (now - state.polled_at).total_seconds()),
                up_at=state.up_at,
                interval_s=state.interval_s,
                retired_at=state.retired_at,
            )
            for state in states
        ]
    )
