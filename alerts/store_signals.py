"""Signals that are read every few seconds: agents, sources, clocks, events, loads, errors, air.

Each is one or two statements whatever the size of the fleet, and gives back only what may concern a
rule: what is beyond ``floor``. Values that are too old to say anything come as None.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Select, and_, func, or_, select

from alerts.model import NETWORK, WHOLE_SITE, Observation, Seen
from alerts.signals import LOST_AFTER, SILENT_AFTER
from collectors.store_meters import EventKind
from suanwang.chunk import Columns
from suanwang.clock import from_epoch_ms, to_epoch_ms
from suanwang.db import partitions, samples
from suanwang.db.partitions import PartFacts
from suanwang.db.tables import (
    alert_counter,
    meter_event,
    remote_copy,
    sample,
    series,
    site,
    source_state,
    telemetry_batch,
)
from suanwang.energy.catalogue import EnergyCatalogue
from suanwang.model.source import lost_after_s, silent_after_s

FRESH: Final = timedelta(minutes=5)
"""An older reading says nothing of now."""
BLIND_AFTER: Final = timedelta(minutes=5)
"""Of a site whose agent is silent for so long, nothing that only the agent tells is judged."""
FORGOTTEN: Final = timedelta(days=7)
"""A source that reported nothing for so long is not spoken of any more, though it is listed."""
XID: Final = "xid_error"
INLET: Final = "inlet_temperature_c"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a reader of a signal is told; without a ``floor`` every value is wanted."""

    now: datetime
    catalogue: EnergyCatalogue
    floor: float | None = None
    lookback: timedelta = timedelta()

    def wants(self, value: float) -> bool:
        """Return whether a value may concern a rule."""
        return self.floor is None or value > self.floor


def _since_s(now: datetime, moment: datetime) -> float:
    return max(0.0, (now - moment).total_seconds())


def blind_sites(connection: Connection, now: datetime) -> frozenset[str]:
    """Return sites whose agent is silent."""
    return frozenset(
        connection.scalars(
            select(site.c.id).where(
                or_(site.c.agent_seen_at.is_(None), site.c.agent_seen_at < now - BLIND_AFTER)
            )
        )
    )


def agent_silent(connection: Connection, ask: Ask) -> Seen:
    """Return for how long each agent that ever called has not."""
    rows = connection.execute(
        select(site.c.id, site.c.agent_seen_at).where(site.c.agent_seen_at.is_not(None))
    )
    found = ((site_id, _since_s(ask.now, seen_at)) for site_id, seen_at in rows)
    return Seen(
        observations=tuple(
            Observation(site_id=site_id, subject=WHOLE_SITE, value=silent_s)
            for site_id, silent_s in found
            if ask.wants(silent_s)
        )
    )


def source_lost(connection: Connection, ask: Ask) -> Seen:
    """Return since when sources that are down have not answered."""
    state = source_state.c
    rows = connection.execute(
        select(
            state.site_id,
            state.source,
            state.up_at,
            state.error,
            state.interval_s,
            site.c.registered_at,
        )
        .join(site, site.c.id == state.site_id)
        .where(~state.is_up, state.retired_at.is_(None), state.polled_at >= ask.now - FORGOTTEN)
    )
    found = (
        Observation(
            site_id=row.site_id,
            subject=f"source:{row.source}",
            value=_since_s(ask.now, row.up_at or row.registered_at),
            words=row.error,
            facts={LOST_AFTER: lost_after_s(row.interval_s)},
        )
        for row in rows
    )
    return Seen(
        observations=tuple(one for one in found if ask.wants(one.value or 0.0)),
        blind=blind_sites(connection, ask.now),
    )


def source_silent(connection: Connection, ask: Ask) -> Seen:
    """Return for how long sources have reported nothing at all."""
    state = source_state.c
    least = ask.now - timedelta(seconds=max(0.0, ask.floor or 0.0))
    rows = connection.execute(
        select(state.site_id, state.source, state.polled_at, state.interval_s).where(
            state.retired_at.is_(None),
            state.polled_at < least,
            state.polled_at >= ask.now - FORGOTTEN,
        )
    )
    return Seen(
        observations=tuple(
            Observation(
                site_id=row.site_id,
                subject=f"source:{row.source}",
                value=_since_s(ask.now, row.polled_at),
                facts={SILENT_AFTER: silent_after_s(row.interval_s)},
            )
            for row in rows
        ),
        blind=blind_sites(connection, ask.now),
    )


def clock_skew(connection: Connection, ask: Ask) -> Seen:
    """Return how far the clock of each agent was off when it sent last."""
    batch = telemetry_batch.c
    of = telemetry_batch.alias("of")
    last = (
        select(func.max(of.c.received_at))
        .where(of.c.site_id == site.c.id, of.c.received_at >= ask.now - FRESH)
        .correlate(site)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(site.c.id, batch.sent_at, batch.received_at).join_from(
            site,
            telemetry_batch,
            and_(batch.site_id == site.c.id, batch.received_at == last),
        )
    )
    found: dict[str, Observation] = {}
    for site_id, sent_at, received_at in rows:
        skew_s = (sent_at - received_at).total_seconds()
        words = f"{abs(skew_s):.0f} s {'ahead of' if skew_s > 0 else 'behind'} the centre"
        if ask.wants(abs(skew_s)):
            found[site_id] = Observation(
                site_id=site_id, subject=WHOLE_SITE, value=abs(skew_s), words=words
            )
    return Seen(observations=tuple(found.values()), blind=blind_sites(connection, ask.now))


def _events(connection: Connection, ask: Ask, *kinds: EventKind) -> Seen:
    event = meter_event.c
    rows = connection.execute(
        select(event.site_id, event.subject, func.count(), func.max(event.at))
        .where(
            event.seen_at > ask.now - ask.lookback,
            event.kind.in_([kind.value for kind in kinds]),
        )
        .group_by(event.site_id, event.subject)
    )
    return Seen(
        observations=tuple(
            Observation(
                site_id=site_id, subject=subject, value=float(count), words=f"last at {_text(at)}"
            )
            for site_id, subject, count, at in rows
        )
    )


def _text(at: datetime | str) -> str:
    """Write a moment; of an aggregate SQLite gives back plain text."""
    return at if isinstance(at, str) else at.isoformat(timespec="seconds")


def meter_resets(connection: Connection, ask: Ask) -> Seen:
    """Return resets of registers in the lookback."""
    return _events(connection, ask, EventKind.RESET)


def meter_rollovers(connection: Connection, ask: Ask) -> Seen:
    """Return rollovers of registers in the lookback."""
    return _events(connection, ask, EventKind.ROLLOVER)


def meter_doubts(connection: Connection, ask: Ask) -> Seen:
    """Return what could not be believed of registers in the lookback."""
    return _events(connection, ask, EventKind.UNKNOWN, EventKind.CONFLICT)


def newest_of(metrics: tuple[str, ...], low_ms: int) -> Select[tuple[int, str, str, str]]:
    """Select series of some metrics, joined with their newest sample since ``low_ms``."""
    of = sample.alias("of")
    last = (
        select(func.max(of.c.at_ms))
        .where(of.c.series_id == series.c.id, of.c.at_ms >= low_ms)
        .correlate(series)
        .scalar_subquery()
    )
    return (
        select(series.c.id, series.c.site_id, series.c.subject, series.c.metric)
        .join_from(series, sample, and_(sample.c.series_id == series.c.id, sample.c.at_ms == last))
        .where(series.c.metric.in_(metrics))
    )


def inlet_temperature(connection: Connection, ask: Ask) -> Seen:
    """Return the newest temperature of air that enters something."""
    low_ms = to_epoch_ms(ask.now - FRESH)
    query = newest_of((INLET,), low_ms).add_columns(sample.c.value.label("value"))
    if ask.floor is not None:
        query = query.where(sample.c.value > ask.floor)
    return Seen(
        observations=tuple(
            Observation(site_id=row.site_id, subject=row.subject, value=row.value)
            for row in connection.execute(query)
        ),
        blind=blind_sites(connection, ask.now),
    )


def xid_errors(connection: Connection, ask: Ask) -> Seen:
    """Return how many XID errors GPUs told in the lookback, with their codes."""
    rows = connection.execute(
        select(series.c.id, series.c.site_id, series.c.subject).where(series.c.metric == XID)
    )
    named = {row.id: row for row in rows}
    low_ms, high_ms = to_epoch_ms(ask.now - ask.lookback) + 1, to_epoch_ms(ask.now)
    found = samples.read_many(connection, list(named), low_ms, high_ms)
    return Seen(
        observations=tuple(
            Observation(
                site_id=named[number].site_id,
                subject=named[number].subject,
                value=float(len(columns)),
                words=_codes(columns),
            )
            for number, columns in found.items()
            if len(columns)
        )
    )


def _codes(columns: Columns) -> str:
    codes = ", ".join(str(code) for code in sorted({int(code) for code in columns.value}))
    return f"XID {codes}, last at {_text(from_epoch_ms(int(columns.at_ms[-1])))}"


def ecc_errors(connection: Connection, ask: Ask) -> Seen:
    """Return by how much counters of memory errors rose lately."""
    rows = connection.execute(
        select(
            series.c.site_id,
            series.c.subject,
            series.c.metric,
            alert_counter.c.rise,
        )
        .join(series, series.c.id == alert_counter.c.series_id)
        .where(alert_counter.c.rose_at > ask.now - ask.lookback)
        .order_by(series.c.metric)
    )
    sums: dict[tuple[str, str], float] = {}
    names: dict[tuple[str, str], list[str]] = {}
    for site_id, subject, metric, rise in rows:
        key = (site_id, subject)
        sums[key] = sums.get(key, 0.0) + rise
        names.setdefault(key, []).append(f"{metric} +{rise:g}")
    return Seen(observations=tuple(_errors(sums, names)))


def copy_behind(connection: Connection, ask: Ask) -> Seen:
    """Return how far the copies for a time series database are behind; of processes that live."""
    copy = remote_copy.c
    rows = connection.execute(
        select(copy.name, copy.site_id, copy.from_at).where(copy.moved_at >= ask.now - FRESH)
    )
    found = (
        Observation(site_id=site_id, subject=f"copy:{name}", value=_since_s(ask.now, from_at))
        for name, site_id, from_at in rows
    )
    return Seen(observations=tuple(one for one in found if ask.wants(one.value or 0.0)))


def partition_strays(connection: Connection, ask: Ask) -> Seen:
    """Return how many rows of each table in parts have none."""
    return _parts(connection, ask, lambda part: part.strays)


def partitions_missing(connection: Connection, ask: Ask) -> Seen:
    """Return how many parts of each table are not there though they should be."""
    return _parts(connection, ask, lambda part: part.missing)


def _parts(connection: Connection, ask: Ask, count: Callable[[PartFacts], int]) -> Seen:
    return Seen(
        observations=tuple(
            Observation(
                site_id=NETWORK,
                subject=f"table:{part.table}",
                value=float(count(part)),
                words=f"{part.parts} parts, {part.ahead} of them ahead",
            )
            for part in partitions.facts(connection, ask.now)
        )
    )


def _errors(
    sums: dict[tuple[str, str], float], names: dict[tuple[str, str], list[str]]
) -> Iterator[Observation]:
    for (site_id, subject), rise in sums.items():
        words = ", ".join(names[site_id, subject])
        yield Observation(site_id=site_id, subject=subject, value=rise, words=words)
