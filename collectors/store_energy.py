"""Energy of the meters of a role over any period, out of the record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from collectors import quality
from collectors.accumulator import WINDOW_MS, window_start
from collectors.kpi import Interval, SiteEnergy, add_segments
from collectors.store_newest import is_newest_window
from collectors.store_samples import chunks
from collectors.store_site import (
    KnownMeter,
    ends,
    inside,
    load_meters,
    segments_of,
)
from suanwang.clock import from_epoch_ms, to_epoch_ms
from suanwang.db.tables import energy_window
from suanwang.errors import BadInput
from suanwang.model.meter import MeterRole
from suanwang.model.reading import Quality


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyFigure:
    """Energy of all meters of one role in a period, with the share of it that is known."""

    wh: float
    coverage: float
    quality: Quality


def energy_wh(
    connection: Connection, site_id: str, role: MeterRole, start: datetime, end: datetime
) -> EnergyFigure:
    """Return the energy of all meters of a role in a period, in Wh, as far as it is known.

    Coverage is the known share of the whole period, the mean of the meters. Raises BadInput for an
    empty period.
    """
    check_period(start, end)
    return energy_of(connection, load_meters(connection, site_id, (role,)), start, end)


def energy_of(
    connection: Connection, meters: Sequence[KnownMeter], start: datetime, end: datetime
) -> EnergyFigure:
    """Return the energy of meters in a period, in Wh, each as far as it is known by itself."""
    period = Interval(to_epoch_ms(start), to_epoch_ms(end))
    return sum_of(meters, energies(connection, meters, period), period)


def sum_of(
    meters: Sequence[KnownMeter], known: Mapping[str, SiteEnergy], period: Interval
) -> EnergyFigure:
    """Return what meters know of a period together, out of what ``energies`` says of each."""
    totals = [known[one.meter.id] for one in meters]
    energy_mwh = sum(total.it_mwh for total in totals)
    covered_ms = sum(total.it_ms for total in totals)
    length = (period.end_ms - period.start_ms) * max(1, len(meters))
    parts = quality.parts_quality(
        covered_ms,
        sum(total.interpolated_ms for total in totals),
        sum(total.estimated_ms for total in totals),
    )
    resolution = sum(one.history.rules.count_mwh for one in meters)
    return EnergyFigure(
        wh=energy_mwh / 1000,
        coverage=covered_ms / length,
        quality=quality.figure_quality(energy_mwh, resolution, parts),
    )


def check_period(start: datetime, end: datetime) -> None:
    """Raise BadInput for an empty period."""
    if end <= start:
        raise BadInput(
            f"the period from {start.isoformat()} to {end.isoformat()} is empty",
            next_step="give an end after the start",
        )


def energies(
    connection: Connection, meters: Sequence[KnownMeter], period: Interval
) -> dict[str, SiteEnergy]:
    """Return what each meter knows of a period by itself, in the fields for IT.

    Any number of meters is asked for in the same few statements, 500 at a time.
    """
    totals: dict[str, SiteEnergy] = {known.meter.id: SiteEnergy() for known in meters}
    for meter_ids in chunks(list(totals)):
        _add_windows(connection, meter_ids, inside(period), totals)
    for piece in ends(period):
        kept = [known for known in meters if piece.start_ms >= known.kept_from_ms]
        for meter_id, found in segments_of(connection, kept, piece).items():
            add_segments(totals[meter_id], {MeterRole.IT: [found]}, piece)
        gone = [known.meter.id for known in meters if piece.start_ms < known.kept_from_ms]
        for meter_ids in chunks(gone):
            _add_shares(connection, meter_ids, piece, totals)
    return totals


def _add_windows(
    connection: Connection,
    meter_ids: Sequence[str],
    whole: Interval,
    totals: Mapping[str, SiteEnergy],
) -> None:
    window = energy_window.c
    start, end = from_epoch_ms(whole.start_ms), from_epoch_ms(whole.end_ms)
    columns = (window.energy_mwh, window.covered_ms, window.interpolated_ms, window.estimated_ms)
    rows = connection.execute(
        select(window.meter_id, *(func.sum(column) for column in columns))
        .where(
            window.meter_id.in_(meter_ids),
            window.start_at >= start,
            window.start_at < end,
            is_newest_window(start, end),
        )
        .group_by(window.meter_id)
    )
    for meter_id, *sums in rows:
        total = totals[meter_id]
        energy_mwh, covered_ms, interpolated_ms, estimated_ms = (int(value) for value in sums)
        total.it_mwh += energy_mwh
        total.it_ms += covered_ms
        total.interpolated_ms += interpolated_ms
        total.estimated_ms += estimated_ms


def _add_shares(
    connection: Connection,
    meter_ids: Sequence[str],
    piece: Interval,
    totals: Mapping[str, SiteEnergy],
) -> None:
    """Add parts of windows whose raw readings are pruned: their energy in proportion to time."""
    window = energy_window.c
    length_ms = piece.end_ms - piece.start_ms
    start = from_epoch_ms(window_start(piece.start_ms))
    for meter_id, energy_mwh, covered_ms in connection.execute(
        select(window.meter_id, window.energy_mwh, window.covered_ms).where(
            window.meter_id.in_(meter_ids),
            window.start_at == start,
            is_newest_window(start, start + quality.WINDOW),
        )
    ):
        total = totals[meter_id]
        total.it_mwh += energy_mwh * length_ms // WINDOW_MS
        total.it_ms += covered_ms * length_ms // WINDOW_MS
        total.interpolated_ms += covered_ms * length_ms // WINDOW_MS
