"""Green certificates and contracts: registered by their numbers, used for one consumption, once.

The database itself holds the rule: an instrument is the key of its cancellation. Nothing is ever
taken back, so two reports can never count one certificate.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, func, select

from collectors.kpi import Interval
from collectors.store_kpi_due import mark_days
from collectors.store_rollup import day_of, zone_of
from collectors.store_samples import chunks, insert_new
from suanwang.clock import from_epoch_ms, to_epoch_ms
from suanwang.db.tables import green_cancellation, green_instrument, site
from suanwang.errors import BadInput, Conflict, NotFound
from suanwang.ids import SiteId

CONSUMPTION_MAX: Final = timedelta(days=366)
"""A certificate is cancelled for a year of consumption at most."""
INSTRUMENTS_MAX: Final = 1_000
"""Most that one call registers or cancels."""
CERTIFICATE_WH: Final = 1_000_000
"""A green certificate (绿证) stands for one megawatt-hour."""
REASON: Final = "certificates were cancelled"


class InstrumentKind(StrEnum):
    """A certificate of one MWh, or a settled delivery under a green power contract."""

    CERTIFICATE = "certificate"
    CONTRACT = "contract"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """Proof of renewable energy, by the number that is printed on it."""

    id: str
    kind: InstrumentKind
    energy_wh: int
    made_from: datetime
    made_until: datetime
    origin: str
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumption:
    """What instruments are cancelled for: a site and a time."""

    site_id: SiteId
    from_at: datetime
    until_at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """How many entries are new, and how many stood there already with the same content."""

    new: int
    known: int
    energy_wh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldInstrument:
    """An instrument and, once it is cancelled, for what, when and by whom."""

    instrument: Instrument
    site_id: str = ""
    from_at: datetime | None = None
    until_at: datetime | None = None
    cancelled_at: datetime | None = None
    actor: str = ""


def register(
    connection: Connection, instruments: Sequence[Instrument], *, actor: str, now: datetime
) -> Entered:
    """Write instruments down; the same again changes nothing, another under a number is refused.

    Raise BadInput for an energy or a time that cannot be, Conflict for a number that is taken.
    """
    for one in instruments:
        _check(one)
    rows = [
        {**asdict(one), "kind": one.kind.value, "actor": actor, "registered_at": now}
        for one in instruments
    ]
    found = _instruments(connection, [one.id for one in instruments])
    for one in instruments:
        former = found.get(one.id)
        if former is not None and former != one:
            raise Conflict(
                f"{one.id} is registered already, with another content",
                next_step="look at it: GET /v1/energy-certificates",
                id=one.id,
            )
    fresh = [row for row in rows if row["id"] not in found]
    for piece in chunks(fresh):
        connection.execute(insert_new(connection, green_instrument), list(piece))
    # Somebody else may have taken a number meanwhile: what stands there now must be ours.
    after = _instruments(connection, [one.id for one in instruments])
    for one in instruments:
        if after[one.id] != one:
            raise Conflict(f"{one.id} was registered by somebody else just now", id=one.id)
    energy_wh = sum(one.energy_wh for one in instruments)
    return Entered(new=len(fresh), known=len(instruments) - len(fresh), energy_wh=energy_wh)


def _check(one: Instrument) -> None:
    if one.made_until <= one.made_from:
        raise BadInput(f"{one.id}: the time of its generation is empty", id=one.id)
    if one.energy_wh <= 0:
        raise BadInput(f"{one.id}: its energy is {one.energy_wh} Wh", id=one.id)
    if one.kind is InstrumentKind.CERTIFICATE and one.energy_wh != CERTIFICATE_WH:
        raise BadInput(
            f"{one.id}: a certificate stands for {CERTIFICATE_WH} Wh, not {one.energy_wh}",
            next_step="register other amounts as a contract",
            id=one.id,
        )


def _instruments(connection: Connection, ids: Sequence[str]) -> dict[str, Instrument]:
    names = [one.name for one in fields(Instrument)]
    found: dict[str, Instrument] = {}
    for piece in chunks(ids):
        rows = connection.execute(
            select(*(green_instrument.c[name] for name in names)).where(
                green_instrument.c.id.in_(piece)
            )
        ).mappings()
        for row in rows:
            found[row["id"]] = Instrument(**{**row, "kind": InstrumentKind(row["kind"])})
    return found


def cancel(
    connection: Connection,
    ids: Sequence[str],
    consumption: Consumption,
    *,
    actor: str,
    now: datetime,
) -> Entered:
    """Use instruments for a consumption, all or none; the same again changes nothing.

    Raise NotFound for one that is not registered or not the site's operator's, Conflict for one
    that was used for something else, BadInput for an empty or too long time.
    """
    length = consumption.until_at - consumption.from_at
    if not timedelta() < length <= CONSUMPTION_MAX:
        raise BadInput(
            f"the consumption lasts {length.days} days, it may be up to {CONSUMPTION_MAX.days}",
            next_step="give a month or a year of consumption",
        )
    owner = connection.scalar(select(site.c.operator).where(site.c.id == consumption.site_id))
    found = _instruments(connection, ids)
    for number in ids:
        if number not in found or found[number].owner != owner:
            raise NotFound(f"the site's operator holds no instrument {number}", id=number)
    row = {**asdict(consumption), "actor": actor, "cancelled_at": now}
    new = 0
    for piece in chunks(list(ids)):
        rows = [{**row, "instrument_id": number} for number in piece]
        result = connection.execute(insert_new(connection, green_cancellation), rows)
        new += max(0, result.rowcount)
    _refuse_double_use(connection, ids, consumption)
    if new:
        mark_days(connection, consumption.site_id, _days(connection, consumption, now), REASON)
    energy_wh = sum(found[number].energy_wh for number in ids)
    return Entered(new=new, known=len(ids) - new, energy_wh=energy_wh)


def _days(connection: Connection, consumption: Consumption, now: datetime) -> Iterator[Interval]:
    """Yield the days of a consumption that are over; later ones are told when they are."""
    zone = zone_of(connection, consumption.site_id)
    day = day_of(consumption.from_at, zone)
    end_ms = min(to_epoch_ms(consumption.until_at), to_epoch_ms(now))
    while day.start_ms < end_ms:
        yield day
        day = day_of(from_epoch_ms(day.end_ms), zone)


def _refuse_double_use(
    connection: Connection, ids: Sequence[str], consumption: Consumption
) -> None:
    for piece in chunks(ids):
        rows = connection.execute(
            select(green_cancellation).where(green_cancellation.c.instrument_id.in_(piece))
        )
        for row in rows:
            if (row.site_id, row.from_at, row.until_at) != (
                consumption.site_id,
                consumption.from_at,
                consumption.until_at,
            ):
                raise Conflict(
                    f"{row.instrument_id} was cancelled at {row.cancelled_at.isoformat()} for "
                    f"{row.site_id}, {row.from_at.isoformat()} to {row.until_at.isoformat()}: "
                    "it counts once",
                    next_step="leave it out",
                    id=row.instrument_id,
                )


def cancelled_wh(connection: Connection, site_id: str, start: datetime, end: datetime) -> float:
    """Return what was cancelled for a site's consumption in a period, in Wh.

    A cancellation for a longer time counts for the part of it that lies in the period.
    """
    used = green_cancellation.c
    rows = connection.execute(
        select(used.from_at, used.until_at, func.sum(green_instrument.c.energy_wh))
        .join(green_instrument, green_instrument.c.id == used.instrument_id)
        .where(used.site_id == site_id, used.from_at < end, used.until_at > start)
        .group_by(used.from_at, used.until_at)
    )
    total = 0.0
    for from_at, until_at, energy_wh in rows:
        overlap = min(until_at, end) - max(from_at, start)
        total += int(energy_wh) * (overlap / (until_at - from_at))
    return total


def held(
    connection: Connection, owner: str | None, *, after: str = "", limit: int = 100
) -> list[HeldInstrument]:
    """Return the instruments of an operator (None: of all) by number, after one of them."""
    used = green_cancellation.c
    query = (
        select(green_instrument, used.site_id, used.from_at, used.until_at, used.cancelled_at)
        .add_columns(used.actor.label("cancelled_by"))
        .outerjoin(green_cancellation, used.instrument_id == green_instrument.c.id)
        .where(green_instrument.c.id > after)
        .order_by(green_instrument.c.id)
        .limit(limit)
    )
    if owner is not None:
        query = query.where(green_instrument.c.owner == owner)
    names = [one.name for one in fields(Instrument)]
    return [
        HeldInstrument(
            instrument=Instrument(
                **{**{name: row[name] for name in names}, "kind": InstrumentKind(row["kind"])}
            ),
            site_id=row["site_id"] or "",
            from_at=row["from_at"],
            until_at=row["until_at"],
            cancelled_at=row["cancelled_at"],
            actor=row["cancelled_by"] or "",
        )
        for row in connection.execute(query).mappings()
    ]
