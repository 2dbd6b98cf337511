"""Reservations in the database: written once, ended at most once."""

from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, select, update

from scheduler import store_registry
from suanwang.db.tables import reservation as table
from suanwang.errors import BadInput, Conflict, NotFound
from suanwang.ids import PoolId
from suanwang.model.reservation import Reservation

LONGEST: Final = timedelta(days=366)


def add(connection: Connection, new: Reservation) -> Reservation:
    """Write a reservation; the same under the same id again is the one that is there.

    Raise BadInput for one that nobody holds, that reserves nothing, or of more than the pool has;
    Conflict where the id stands for another one; NotFound for the pool.
    """
    former = _find(connection, new.id)
    if former is not None:
        if _is_another(former, new):
            raise Conflict(
                f"reservation {new.id!r} is there, and is another one",
                next_step="choose another id; a reservation is ended, not changed",
            )
        return former
    _check(connection, new)
    row = asdict(new) | {"tenants": list(new.tenants), "jobs": list(new.jobs)}
    connection.execute(table.insert().values(row))
    return new


def find(connection: Connection, reservation_id: str) -> Reservation:
    """Return a reservation; raise NotFound."""
    found = _find(connection, reservation_id)
    if found is None:
        raise NotFound(f"there is no reservation {reservation_id!r}")
    return found


def listed(
    connection: Connection, now: datetime, *, with_past: bool = False
) -> tuple[Reservation, ...]:
    """Return the reservations that hold now or will, the next to begin first; all on request."""
    query = select(table).order_by(table.c.from_at, table.c.id)
    if not with_past:
        query = query.where(table.c.until_at > now)
    return tuple(_of(row._mapping) for row in connection.execute(query))


def end(connection: Connection, reservation_id: str, actor: str, now: datetime) -> Reservation:
    """End a reservation now; one that is over stays as it is. Raise NotFound."""
    one = find(connection, reservation_id)
    if one.until_at <= now:
        return one
    ended = replace(one, until_at=now, ended_by=actor)
    connection.execute(
        update(table)
        .where(table.c.id == reservation_id)
        .values(until_at=ended.until_at, ended_by=actor)
    )
    return ended


def _find(connection: Connection, reservation_id: str) -> Reservation | None:
    row = connection.execute(select(table).where(table.c.id == reservation_id)).first()
    return None if row is None else _of(row._mapping)


def _of(row: object) -> Reservation:
    fields = dict(row)  # type: ignore[call-overload]  # a row is a mapping
    fields["pool_id"] = PoolId(fields["pool_id"])
    fields["tenants"], fields["jobs"] = tuple(fields["tenants"]), tuple(fields["jobs"])
    return Reservation(**fields)


def _what(one: Reservation) -> tuple[object, ...]:
    """What was asked for: not when, nor by whom, nor whether it was ended since."""
    return (one.pool_id, one.units, one.from_at, one.tenants, one.jobs, one.reason)


def _is_another(former: Reservation, new: Reservation) -> bool:
    is_cut = bool(former.ended_by)
    return _what(former) != _what(new) or not (is_cut or former.until_at == new.until_at)


def _check(connection: Connection, new: Reservation) -> None:
    pool = store_registry.pool_by_id(connection, new.pool_id)
    if pool is None:
        raise NotFound(f"there is no pool {new.pool_id!r}")
    if not new.tenants and not new.jobs:
        raise BadInput("a reservation needs a holder", next_step="name tenants or jobs")
    if new.until_at <= max(new.from_at, new.made_at):
        raise BadInput(
            f"the reservation ends at {new.until_at.isoformat()}, before it reserves anything",
            next_step="give a later end",
        )
    if new.until_at - new.from_at > LONGEST:
        days = (new.until_at - new.from_at).days
        raise BadInput(f"a reservation lasts {LONGEST.days} days at most, not {days}")
    taken = sum(
        one.units
        for one in listed(connection, new.made_at)
        if one.pool_id == new.pool_id and one.from_at < new.until_at and one.until_at > new.from_at
    )
    if taken + new.units > pool.units:
        raise BadInput(
            f"pool {pool.id} has {pool.units} units, {taken} are reserved in that time already and "
            f"{new.units} are asked for",
            next_step=f"ask for {max(0, pool.units - taken)} at most, or for another time",
        )
