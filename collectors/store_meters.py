"""Meters and their episodes in the database: what is believed of each at every moment."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from sqlalchemy import Connection, func, select, update

from collectors.register import Episode, History, MeterRules
from collectors.settle import DAY_MS
from collectors.store_samples import chunks, insert_new
from suanwang.clock import from_epoch_ms, to_epoch_ms
from suanwang.db.tables import (
    energy_due,
    meter,
    meter_episode,
    meter_event,
    meter_state,
    rollup_due,
    series,
)
from suanwang.errors import BadInput, Conflict, NotFound
from suanwang.ids import MeterId, SiteId
from suanwang.model.meter import (
    CARRIER_UNITS,
    REGISTER_METRICS,
    Carrier,
    Meter,
    MeterRole,
    PueCategory,
)
from suanwang.model.reading import Quality

METER: Final = "meter:"
POWER: Final = "power_w"
_EPOCH: Final = from_epoch_ms(0)
METERS_KEPT: Final = 50_000
"""Meters that are kept in memory, about 500 bytes each."""
FACTOR_MAX: Final = 10**9
"""Most that either side of a factor may be: a register times it still fits into 64 bits."""


class EventKind(StrEnum):
    """What can be odd about a meter or a clock."""

    ROLLOVER = "rollover"
    RESET = "reset"
    UNKNOWN = "unknown"
    CONFLICT = "conflict"
    EPISODE = "episode"
    CLOCK = "clock"
    WITHHELD = "withheld"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterEvent:
    """Something odd about a meter, a site's clock or a figure; ``until`` None is a moment."""

    site_id: str
    subject: str
    kind: EventKind
    at: datetime
    until: datetime | None = None
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEpisode:
    """What begins at ``from_at``: another device, or other transformer ratios.

    ``final_wh`` is the register at the end of the life before, ``initial_wh`` at the start of this
    one; None where nobody read it: then the energy across the seam is not known from the register.
    What is None of the last four stays as it was.
    """

    from_at: datetime
    final_wh: float | None
    initial_wh: float | None
    factor_num: int = 1
    factor_den: int = 1
    rated_w: int | None = None
    resolution_wh: float | None = None
    modulus_wh: int | None = None
    reason: str
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptEpisode:
    """An episode as it is in the record; ``from_at`` is None for the first."""

    seq: int
    from_at: datetime | None
    initial_wh: float | None
    final_wh: float | None
    factor_num: int
    factor_den: int
    rated_w: int
    resolution_wh: float
    modulus_wh: int
    reason: str
    actor: str
    recorded_at: datetime


_FIELDS: Final = (
    "id", "site_id", "name", "role", "category", "carrier", "rated_w", "resolution_wh",
    "modulus_wh", "poll_s",
)  # fmt: skip
METER_COLUMNS: Final = tuple(meter.c[name] for name in _FIELDS)
"""The columns that a meter is made of, in the order of ``meter_of``."""


def meter_from_row(row: Mapping[str, object]) -> Meter:
    """Return a row of the meter table as the model's meter."""
    return meter_of(*(row[name] for name in _FIELDS))


@lru_cache(maxsize=METERS_KEPT)
def meter_of(*values: object) -> Meter:
    """Return a meter out of ``METER_COLUMNS``; equal rows give the same one.

    Each batch reads the rows of its meters, which hardly ever change.
    """
    row = dict(zip(_FIELDS, values, strict=True))
    return Meter(
        id=MeterId(str(row["id"])),
        site_id=SiteId(str(row["site_id"])),
        name=str(row["name"]),
        role=MeterRole(str(row["role"])),
        category=PueCategory(str(row["category"])),
        carrier=Carrier(str(row["carrier"])),
        rated_w=_whole(row["rated_w"]),
        resolution_wh=_real(row["resolution_wh"]),
        modulus_wh=_whole(row["modulus_wh"]),
        poll_s=_real(row["poll_s"]),
    )


@lru_cache(maxsize=METERS_KEPT)
def _plain(one: Meter) -> History:
    """Return the history of a meter that was never replaced."""
    return History.of(MeterRules.of(one))


def _whole(value: object) -> int:
    assert isinstance(value, int)
    return value


def _real(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)


def find_meter(connection: Connection, meter_id: str) -> Meter:
    """Return a meter; raise NotFound."""
    row = connection.execute(select(meter).where(meter.c.id == meter_id)).mappings().first()
    if row is None:
        raise NotFound(
            f"there is no meter {meter_id}", next_step="suanwang sites show SITE lists its meters"
        )
    return meter_from_row({str(key): value for key, value in row.items()})


def site_meters(connection: Connection, site_id: str) -> tuple[Meter, ...]:
    """Return all meters of a site by their ids."""
    return meters_of(connection, [site_id])


def meters_of(connection: Connection, site_ids: Sequence[str]) -> tuple[Meter, ...]:
    """Return all meters of these sites by their ids."""
    rows = connection.execute(
        select(meter).where(meter.c.site_id.in_(site_ids)).order_by(meter.c.id)
    ).mappings()
    return tuple(meter_from_row({str(key): value for key, value in row.items()}) for row in rows)


class Numbers(NamedTuple):
    """Numbers of a meter's series, 0 where there is none yet."""

    register: int
    power: int


def series_of(connection: Connection, meters: Sequence[Meter]) -> dict[str, Numbers]:
    """Return the series of the meters' registers and powers by their ids."""
    found: dict[tuple[str, str], int] = {}
    metrics = [*sorted(REGISTER_METRICS), POWER]
    for piece in chunks(list(meters)):
        rows = connection.execute(
            select(series.c.site_id, series.c.subject, series.c.metric, series.c.id).where(
                series.c.site_id.in_({one.site_id for one in piece}),
                series.c.subject.in_([METER + one.id for one in piece]),
                series.c.metric.in_(metrics),
            )
        )
        found |= {(row.subject, row.metric): row.id for row in rows}
    return {
        one.id: Numbers(
            found.get((METER + one.id, CARRIER_UNITS[one.carrier].metric), 0),
            found.get((METER + one.id, POWER), 0),
        )
        for one in meters
    }


def histories(connection: Connection, meters: Iterable[Meter]) -> dict[str, History]:
    """Return the episodes of meters by their ids; one that was never replaced has one."""
    known = {one.id: one for one in meters}
    kept: dict[str, list[Episode]] = {}
    for piece in chunks(sorted(known)):
        rows = connection.execute(
            select(meter_episode)
            .where(meter_episode.c.meter_id.in_(piece))
            .order_by(meter_episode.c.meter_id, meter_episode.c.from_at)
        ).mappings()
        for row in rows:
            values = {str(key): value for key, value in row.items()}
            of = known[MeterId(row["meter_id"])]
            kept.setdefault(of.id, []).append(_episode(of, values))
    return {
        meter_id: History(kept[meter_id]) if meter_id in kept else _plain(one)
        for meter_id, one in known.items()
    }


def _episode(of: Meter, row: Mapping[str, object]) -> Episode:
    rules = MeterRules.of(
        replace(
            of,
            rated_w=_whole(row["rated_w"]),
            resolution_wh=_real(row["resolution_wh"]),
            modulus_wh=_whole(row["modulus_wh"]),
        )
    )
    rules = replace(
        rules, factor_num=_whole(row["factor_num"]), factor_den=_whole(row["factor_den"])
    )
    from_at = row["from_at"]
    assert isinstance(from_at, datetime)
    return Episode(
        to_epoch_ms(from_at), rules, _maybe(row["initial_mwh"]), _maybe(row["final_mwh"])
    )


def _maybe(value: object) -> int | None:
    return None if value is None else _whole(value)


def episodes(connection: Connection, meter_id: str) -> tuple[KeptEpisode, ...]:
    """Return the episodes of a meter that were recorded, the oldest first; maybe none."""
    rows = connection.execute(
        select(meter_episode)
        .where(meter_episode.c.meter_id == meter_id)
        .order_by(meter_episode.c.from_at)
    )
    return tuple(
        KeptEpisode(
            seq=row.seq,
            from_at=None if row.from_at == _EPOCH else row.from_at,
            initial_wh=_wh(row.initial_mwh),
            final_wh=_wh(row.final_mwh),
            factor_num=row.factor_num,
            factor_den=row.factor_den,
            rated_w=row.rated_w,
            resolution_wh=row.resolution_wh,
            modulus_wh=row.modulus_wh,
            reason=row.reason,
            actor=row.actor,
            recorded_at=row.recorded_at,
        )
        for row in rows
    )


def _wh(mwh: int | None) -> float | None:
    return None if mwh is None else mwh / 1000


def begin_episode(connection: Connection, meter_id: str, new: NewEpisode, now: datetime) -> int:
    """Record that a meter was replaced or its ratios changed; return the episode's number.

    The windows from then on are computed anew by the next upkeep. A repeat changes nothing. Raises
    NotFound, BadInput for impossible figures, and Conflict where raw readings of that time are not
    kept any more or another episode begins there or later.
    """
    known = find_meter(connection, meter_id)
    connection.execute(select(meter.c.id).where(meter.c.id == meter_id).with_for_update())
    kept = episodes(connection, meter_id)
    if repeated := _repeated(kept, new):
        return repeated
    _check_figures(new, now)
    _check_place(connection, meter_id, kept, new)
    last = kept[-1] if kept else None
    rows: list[dict[str, object]] = []
    if last is None:
        rows.append(_first_row(known, new, now))
    else:
        connection.execute(
            update(meter_episode)
            .where(meter_episode.c.meter_id == meter_id, meter_episode.c.seq == last.seq)
            .values(final_mwh=_mwh(new.final_wh))
        )
    seq = (last.seq if last else 1) + 1
    device = {
        "rated_w": _first_of(new.rated_w, known.rated_w),
        "resolution_wh": _first_of(new.resolution_wh, known.resolution_wh),
        "modulus_wh": _first_of(new.modulus_wh, known.modulus_wh),
    }
    rows.append(
        {
            "meter_id": meter_id, "seq": seq, "from_at": new.from_at,
            "initial_mwh": _mwh(new.initial_wh), "final_mwh": None,
            "factor_num": new.factor_num, "factor_den": new.factor_den, **device,
            "reason": new.reason, "actor": new.actor, "recorded_at": now,
        }
    )  # fmt: skip
    connection.execute(meter_episode.insert(), rows)
    connection.execute(update(meter).where(meter.c.id == meter_id).values(**device))
    event = MeterEvent(
        site_id=known.site_id, subject=METER + meter_id, kind=EventKind.EPISODE, at=new.from_at
    )
    note_events(connection, [event], now)
    mark_due(connection, meter_id, to_epoch_ms(new.from_at), to_epoch_ms(now), new.reason)
    return seq


def _first_of(first: float | None, second: float) -> float:
    return second if first is None else first


def _repeated(kept: Sequence[KeptEpisode], new: NewEpisode) -> int:
    for before, one in pairwise(kept):
        same = (one.from_at, one.factor_num, one.factor_den, one.initial_wh, before.final_wh)
        if same == (new.from_at, new.factor_num, new.factor_den, new.initial_wh, new.final_wh):
            return one.seq
    return 0


def _check_figures(new: NewEpisode, now: datetime) -> None:
    if new.from_at.tzinfo is None or new.from_at > now:
        raise BadInput(f"an episode begins at a moment that is over, not at {new.from_at}")
    if not (0 < new.factor_num <= FACTOR_MAX and 0 < new.factor_den <= FACTOR_MAX):
        raise BadInput(
            f"factor {new.factor_num}/{new.factor_den} is not a ratio of whole numbers from 1 to "
            f"{FACTOR_MAX}"
        )
    for name in ("final_wh", "initial_wh", "rated_w", "resolution_wh", "modulus_wh"):
        value = getattr(new, name)
        if value is not None and not 0 <= value < 9e12:
            raise BadInput(f"{name} {value} is not a register's figure, Wh")
    if not new.reason.strip():
        raise BadInput("say why the meter has a new episode")


def _check_place(
    connection: Connection, meter_id: str, kept: Sequence[KeptEpisode], new: NewEpisode
) -> None:
    last = kept[-1].from_at if kept else None
    if last is not None and new.from_at <= last:
        raise Conflict(
            f"meter {meter_id} has an episode from {last.isoformat()}; a new one begins later than "
            f"that, not at {new.from_at.isoformat()}"
        )
    kept_from_ms = connection.scalar(
        select(func.coalesce(meter_state.c.kept_from_ms, 0)).where(
            meter_state.c.meter_id == meter_id
        )
    )
    if to_epoch_ms(new.from_at) < (kept_from_ms or 0):
        raise Conflict(
            f"raw readings of meter {meter_id} are kept from "
            f"{from_epoch_ms(kept_from_ms or 0).isoformat()} on; windows of "
            f"{new.from_at.isoformat()} can't be computed anew",
            next_step="begin the episode at a moment that is still in the raw record",
        )


def _first_row(known: Meter, new: NewEpisode, now: datetime) -> dict[str, object]:
    """Return the row of the life that a meter had before its first recorded episode."""
    return {
        "meter_id": known.id, "seq": 1, "from_at": _EPOCH, "initial_mwh": None,
        "final_mwh": _mwh(new.final_wh), "factor_num": 1, "factor_den": 1,
        "rated_w": known.rated_w, "resolution_wh": known.resolution_wh,
        "modulus_wh": known.modulus_wh, "reason": "as registered", "actor": new.actor,
        "recorded_at": now,
    }  # fmt: skip


def _mwh(value_wh: float | None) -> int | None:
    return None if value_wh is None else round(value_wh * 1000)


def mark_due(
    connection: Connection,
    meter_id: str,
    low_ms: int,
    high_ms: int,
    reason: str,
    not_before: datetime = _EPOCH,
) -> None:
    """Have the days of UTC between two moments computed from raw readings by the next upkeep."""
    first = low_ms - low_ms % DAY_MS
    rows = [
        {
            "meter_id": meter_id,
            "day_at": from_epoch_ms(day),
            "not_before": not_before,
            "reason": reason,
        }
        for day in range(first, high_ms + 1, DAY_MS)
    ]
    if rows:
        connection.execute(insert_new(connection, energy_due), rows)


def mark_hours(
    connection: Connection, hours: Iterable[tuple[str, datetime]], reason: str = ""
) -> None:
    """Have hours of sites summed up anew by the next upkeep."""
    rows = [{"site_id": site_id, "hour_at": at, "reason": reason} for site_id, at in hours]
    if rows:
        connection.execute(insert_new(connection, rollup_due), rows)


def note_events(connection: Connection, events: Iterable[MeterEvent], now: datetime) -> None:
    """Note once what odd things happened to meters and clocks."""
    rows = [
        {
            "site_id": event.site_id,
            "subject": event.subject,
            "kind": event.kind.value,
            "at": event.at,
            "until": event.until or event.at,
            "facts": dict(event.facts),
            "seen_at": now,
        }
        for event in events
    ]
    if rows:
        connection.execute(insert_new(connection, meter_event), rows)


def add_states(connection: Connection, meter_ids: Iterable[str]) -> None:
    """Give meters that have none yet an empty state."""
    rows = [
        {
            "meter_id": meter_id, "quality": Quality.MISSING.value, "kept_from_ms": 0,
            "settled_until_ms": 0, "conflicts": 0, "resets": 0, "rollovers": 0, "rejected": 0,
        }
        for meter_id in meter_ids
    ]  # fmt: skip
    if rows:
        connection.execute(insert_new(connection, meter_state), rows)
