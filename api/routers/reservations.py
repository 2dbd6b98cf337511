"""Reservations: an operator keeps units of its own pools for some; holders see theirs."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path, Query
from sqlalchemy import Connection

from api.context import Context
from api.identity import Identity, SiteManager, SiteReader
from api.ownership import may_manage
from api.schemas.reservations import ReservationIn, ReservationList, ReservationOut
from scheduler import registry, store_registry, store_reservations
from suanwang.errors import NotFound
from suanwang.ids import PoolId
from suanwang.model.reservation import Reservation
from suanwang.model.tenant import Role

router = APIRouter(prefix="/v1/reservations", tags=["reservations"])

ReservationId = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,64}$")]


def _own_pool(connection: Connection, identity: Identity, pool_id: str) -> None:
    """Raise NotFound for a pool that the caller does not manage."""
    pool = store_registry.pool_by_id(connection, PoolId(pool_id))
    if pool is not None:
        site = registry.find_site(connection, pool.site_id).site
        if may_manage(identity, site.operator):
            return
    raise NotFound(f"there is no pool {pool_id!r} of yours")


def _is_seen(connection: Connection, identity: Identity, one: Reservation) -> bool:
    if identity.role is Role.ADMIN or identity.tenant_id in one.tenants:
        return True
    if identity.role is not Role.OPERATOR:
        return False
    pool = store_registry.pool_by_id(connection, one.pool_id)
    return pool is not None and may_manage(
        identity, registry.find_site(connection, pool.site_id).site.operator
    )


def _out(one: Reservation) -> ReservationOut:
    return ReservationOut.model_validate(
        asdict(one) | {"tenants": list(one.tenants), "jobs": list(one.jobs)}
    )


@router.get("", summary="List reservations")
def list_reservations(
    identity: SiteReader,
    context: Context,
    past: Annotated[bool, Query(description="those that are over too")] = False,
) -> ReservationList:
    """Return the reservations that the caller holds, or that are of its pools."""
    with context.reading() as connection:
        found = store_reservations.listed(connection, context.clock.now(), with_past=past)
        return ReservationList(
            items=[_out(one) for one in found if _is_seen(connection, identity, one)]
        )


@router.put("/{reservation_id}", summary="Reserve units")
def reserve(
    reservation_id: ReservationId, body: ReservationIn, identity: SiteManager, context: Context
) -> ReservationOut:
    """Keep units of a pool for some, from a moment until another; the same again changes nothing.

    What runs there runs on; from the next plan on nobody else starts into reserved units.
    """
    new = Reservation(
        id=reservation_id,
        pool_id=PoolId(body.pool_id),
        units=body.units,
        from_at=body.from_at,
        until_at=body.until_at,
        tenants=tuple(sorted(set(body.tenants))),
        jobs=tuple(sorted(set(body.jobs))),
        reason=body.reason,
        actor=f"{identity.tenant_id} ({identity.key_id})",
        made_at=context.clock.now(),
    )
    with context.writing() as connection:
        _own_pool(connection, identity, body.pool_id)
        return _out(store_reservations.add(connection, new))


@router.post("/{reservation_id}/end", summary="End a reservation")
def end_reservation(
    reservation_id: ReservationId, identity: SiteManager, context: Context
) -> ReservationOut:
    """Let everybody use its units from now on; who ended it stays on record."""
    with context.writing() as connection:
        one = store_reservations.find(connection, reservation_id)
        _own_pool(connection, identity, one.pool_id)
        actor = f"{identity.tenant_id} ({identity.key_id})"
        return _out(store_reservations.end(connection, one.id, actor, context.clock.now()))
