"""What stands behind a PUE: each meter's part, its gaps, its oddities and how settled it is."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, func, select

from collectors.accumulator import WINDOW_MS, WindowSum
from collectors.kpi import FORMULA, Interval
from collectors.settle import DAY_MS, Settled, Source
from collectors.store_energy import EnergyFigure, energies, sum_of
from collectors.store_meters import METER
from collectors.store_pue import declared_category, pue
from collectors.store_rollup import pue_subject
from collectors.store_settle import recompute
from collectors.store_site import ROLES, KnownMeter, load_meters, of_category
from suanwang.clock import from_epoch_ms, to_epoch_ms
from suanwang.db.tables import energy_window, meter_event
from suanwang.model.meter import Carrier, MeterRole, PueCategory, PueFigure
from suanwang.model.reading import Quality

AGENT: Final = "agent"
"""Subject of events about the clock of a site."""
GAPS_MAX: Final = 100
"""Most gaps and oddities that are listed of one meter; ``gaps_more`` counts the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Time in which a meter is not wholly known, in whole windows; ``covered`` is what is known."""

    start: datetime
    end: datetime
    covered: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Oddity:
    """Something odd that was seen: a rollover, a reset, an unknown stretch, a conflict, a clock."""

    kind: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterPart:
    """A meter's part of a figure. ``sources`` and ``states`` count its windows.

    ``bridged_s`` is how long its register bridged pauses in the windows that the period touches,
    ``estimated_s`` for how long they hold estimates.
    """

    meter_id: str
    name: str
    role: MeterRole
    category: PueCategory
    carrier: Carrier
    energy_wh: float
    coverage: float
    quality: Quality
    bridged_s: float
    estimated_s: float
    sources: dict[str, int]
    states: dict[str, int]
    reasons: dict[str, int]
    gaps: tuple[Gap, ...]
    gaps_more: int
    oddities: tuple[Oddity, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A figure with the parts of its meters, and the rules by which it was made.

    Its own ``oddities`` are hours whose PUE no site has.
    """

    figure: PueFigure
    formula: str
    meters: tuple[MeterPart, ...]
    oddities: tuple[Oddity, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A window whose record is not what the raw readings say, energies in Wh."""

    meter_id: str
    start: datetime
    recorded_wh: float
    recomputed_wh: float
    recorded_source: str
    recomputed_source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A check of the record: how many windows, since when raw readings are kept, what differs."""

    windows: int
    raw_from: datetime | None
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class _Window:
    start_ms: int
    covered_ms: int
    interpolated_ms: int
    estimated_ms: int
    source: str
    state: str
    reason: str


def explain(
    connection: Connection,
    site_id: str,
    start: datetime,
    end: datetime,
    now: datetime,
    category: PueCategory | None = None,
) -> Explained:
    """Return the PUE of a period and each meter's part in it; raises what ``pue`` raises."""
    figure = pue(connection, site_id, start, end, now, category)
    meters = _meters(connection, site_id, category)
    period = Interval(to_epoch_ms(figure.start), to_epoch_ms(figure.end))
    known_of = energies(connection, meters, period)
    odd = _oddities(connection, figure)
    parts = []
    for known in meters:
        windows = _windows(connection, known.meter.id, figure.start, figure.end)
        energy = sum_of([known], known_of, period)
        of_it = [*odd.get(METER + known.meter.id, ()), *odd.get(AGENT, ())]
        until_ms = to_epoch_ms(min(figure.end, now))
        gaps = _gaps(windows, period.start_ms, until_ms)
        parts.append(_part(known, energy, windows, gaps, of_it))
    return Explained(
        figure=figure,
        formula=FORMULA,
        meters=tuple(parts),
        oddities=tuple(odd.get(pue_subject(figure.category), ())[:GAPS_MAX]),
    )


def check(
    connection: Connection, site_id: str, start: datetime, end: datetime, now: datetime
) -> Checked:
    """Compute the windows of a period from the raw readings again and say where the record differs.

    Only settled time can be compared: days of UTC that are over, and of which raw readings are
    still kept. Writes nothing.
    """
    meters = load_meters(connection, site_id, tuple(MeterRole))
    found: list[Difference] = []
    windows = 0
    kept_ms = max((known.kept_from_ms for known in meters), default=0)
    high = min(to_epoch_ms(end), to_epoch_ms(now) - WINDOW_MS)
    for known in meters:
        low = max(to_epoch_ms(start), known.kept_from_ms, known.first_ms or to_epoch_ms(end))
        low, top = -(-low // DAY_MS) * DAY_MS, high - high % DAY_MS
        if low >= top:
            continue
        fresh = recompute(connection, [known.meter], low, top, now)[known.meter.id]
        stored = _settled(connection, known.meter.id, low, top)
        windows += len(fresh.keys() | stored.keys())
        found += _differences(known.meter.id, stored, fresh)
    return Checked(
        windows=windows,
        raw_from=from_epoch_ms(kept_ms) if kept_ms else None,
        differences=tuple(found),
    )


def _meters(
    connection: Connection, site_id: str, category: PueCategory | None
) -> tuple[KnownMeter, ...]:
    meters = load_meters(connection, site_id, ROLES)
    chosen = category or declared_category(connection, site_id, meters)
    return of_category(meters, chosen) if chosen else meters


def _part(
    known: KnownMeter,
    energy: EnergyFigure,
    windows: Sequence[_Window],
    gaps: Sequence[Gap],
    oddities: Sequence[Oddity],
) -> MeterPart:
    one = known.meter
    return MeterPart(
        meter_id=one.id,
        name=one.name,
        role=one.role,
        category=one.category,
        carrier=one.carrier,
        energy_wh=energy.wh,
        coverage=energy.coverage,
        quality=energy.quality,
        bridged_s=sum(window.interpolated_ms for window in windows) / 1_000,
        estimated_s=sum(window.estimated_ms for window in windows) / 1_000,
        sources=dict(Counter(window.source for window in windows)),
        states=dict(Counter(window.state for window in windows)),
        reasons=dict(Counter(window.reason for window in windows if window.reason)),
        gaps=tuple(gaps[:GAPS_MAX]),
        gaps_more=max(0, len(gaps) - GAPS_MAX),
        oddities=tuple(oddities[:GAPS_MAX]),
    )


def _windows(
    connection: Connection, meter_id: str, start: datetime, end: datetime
) -> list[_Window]:
    """Return the newest revision of each window that a period touches."""
    low = to_epoch_ms(start)
    rows = connection.execute(
        select(
            energy_window.c.start_at,
            energy_window.c.covered_ms,
            energy_window.c.interpolated_ms,
            energy_window.c.estimated_ms,
            energy_window.c.source,
            energy_window.c.state,
            energy_window.c.reason,
        )
        .where(
            energy_window.c.meter_id == meter_id,
            energy_window.c.start_at >= from_epoch_ms(low - low % WINDOW_MS),
            energy_window.c.start_at < end,
        )
        .order_by(energy_window.c.start_at, energy_window.c.revision)
    )
    newest = {start_at: _Window(to_epoch_ms(start_at), *more) for start_at, *more in rows}
    return list(newest.values())


def _gaps(windows: Sequence[_Window], start_ms: int, end_ms: int) -> list[Gap]:
    """Return stretches of windows inside a period that are missing or not wholly known."""
    covered = {window.start_ms: window.covered_ms for window in windows}
    low = -(-start_ms // WINDOW_MS) * WINDOW_MS
    gaps: list[Gap] = []
    run: list[int] = []
    for start in range(low, end_ms - WINDOW_MS + 1, WINDOW_MS):
        known_ms = covered.get(start, 0)
        if known_ms < WINDOW_MS:
            run.append(known_ms)
            continue
        gaps += _gap(start, run)
        run = []
    gaps += _gap(max(low, end_ms - end_ms % WINDOW_MS), run)
    return gaps


def _gap(end_ms: int, run: Sequence[int]) -> Iterable[Gap]:
    if run:
        yield Gap(
            start=from_epoch_ms(end_ms - len(run) * WINDOW_MS),
            end=from_epoch_ms(end_ms),
            covered=sum(run) / (len(run) * WINDOW_MS),
        )


def _oddities(connection: Connection, figure: PueFigure) -> dict[str, list[Oddity]]:
    """Return what was odd at a site in the period of a figure, by its subject."""
    event = meter_event.c
    found: dict[str, list[Oddity]] = {}
    for subject, kind, start, end in connection.execute(
        select(event.subject, event.kind, event.at, event.until)
        .where(event.site_id == figure.site_id, event.at < figure.end, event.until >= figure.start)
        .order_by(event.at, event.kind)
    ):
        found.setdefault(subject, []).append(Oddity(kind=kind, start=start, end=end))
    return found


def _settled(
    connection: Connection, meter_id: str, low_ms: int, high_ms: int
) -> dict[int, Settled]:
    newest = (
        select(energy_window.c.start_at, func.max(energy_window.c.revision).label("revision"))
        .where(
            energy_window.c.meter_id == meter_id,
            energy_window.c.start_at >= from_epoch_ms(low_ms),
            energy_window.c.start_at < from_epoch_ms(high_ms),
        )
        .group_by(energy_window.c.start_at)
        .subquery()
    )
    rows = connection.execute(
        select(energy_window)
        .join(
            newest,
            (newest.c.start_at == energy_window.c.start_at)
            & (newest.c.revision == energy_window.c.revision),
        )
        .where(
            energy_window.c.meter_id == meter_id,
            energy_window.c.start_at >= from_epoch_ms(low_ms),
            energy_window.c.start_at < from_epoch_ms(high_ms),
        )
    )
    return {
        to_epoch_ms(row.start_at): Settled(
            WindowSum(row.energy_mwh, row.covered_ms, row.interpolated_ms, row.estimated_ms),
            Source(row.source),
        )
        for row in rows
    }


_NOTHING: Final = Settled(WindowSum(), Source.REGISTER)


def _differences(
    meter_id: str, stored: dict[int, Settled], fresh: dict[int, Settled]
) -> Iterable[Difference]:
    for start in sorted(stored.keys() | fresh.keys()):
        old, new = stored.get(start, _NOTHING), fresh.get(start, _NOTHING)
        if old != new:
            yield Difference(
                meter_id=meter_id,
                start=from_epoch_ms(start),
                recorded_wh=old.total.energy_mwh / 1000,
                recomputed_wh=new.total.energy_mwh / 1000,
                recorded_source=old.source.value,
                recomputed_source=new.source.value,
            )
