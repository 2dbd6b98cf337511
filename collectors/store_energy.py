"""Energy of the meters of a role over any period, out of the record."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from collectors import quality
from collectors.accumulator import WINDOW_MS, window_start
from collectors.kpi import Interval, SiteEnergy, add_segments
from collectors.store_site import KnownMeter, by_window, ends, inside, load_meters, segments_in
from suanwang.clock import from_epoch_ms, to_epoch_ms
from suanwang.db.tables import energy_window, meter
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
    energy_mwh = covered_ms = interpolated_ms = estimated_ms = 0
    for known in meters:
        total = _meter_energy(connection, known, period)
        energy_mwh += total.it_mwh
        covered_ms += total.it_ms
        interpolated_ms += total.interpolated_ms
        estimated_ms += total.estimated_ms
    length = (period.end_ms - period.start_ms) * max(1, len(meters))
    parts = quality.parts_quality(covered_ms, interpolated_ms, estimated_ms)
    resolution = sum(known.history.rules.count_mwh for known in meters)
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


def _meter_energy(connection: Connection, known: KnownMeter, period: Interval) -> SiteEnergy:
    """Return one meter's energy in a period, in the fields for IT."""
    windows = by_window(meter.c.id == known.meter.id, inside(period))
    name = "facility" if known.meter.role is MeterRole.FACILITY else "it"
    sums = connection.execute(
        select(
            *(
                func.coalesce(func.sum(windows.c[column]), 0)
                for column in (f"{name}_mwh", f"{name}_ms", "interpolated_ms", "estimated_ms")
            )
        )
    ).one()
    energy_mwh, covered_ms, interpolated_ms, estimated_ms = (int(value) for value in sums)
    total = SiteEnergy(
        it_mwh=energy_mwh,
        it_ms=covered_ms,
        interpolated_ms=interpolated_ms,
        estimated_ms=estimated_ms,
    )
    for piece in ends(period):
        if piece.start_ms >= known.kept_from_ms:
            add_segments(total, {MeterRole.IT: [segments_in(connection, known, piece)]}, piece)
        else:
            _add_share(connection, known, total, piece)
    return total


def _add_share(
    connection: Connection, known: KnownMeter, total: SiteEnergy, piece: Interval
) -> None:
    """Add a part of a window whose raw readings are pruned: its energy in proportion to time."""
    start = from_epoch_ms(window_start(piece.start_ms))
    row = connection.execute(
        select(energy_window)
        .where(energy_window.c.meter_id == known.meter.id, energy_window.c.start_at == start)
        .order_by(energy_window.c.revision.desc())
        .limit(1)
    ).first()
    if row is None:
        return
    length_ms = piece.end_ms - piece.start_ms
    covered_ms = row.covered_ms * length_ms // WINDOW_MS
    total.it_mwh += row.energy_mwh * length_ms // WINDOW_MS
    total.it_ms += covered_ms
    total.interpolated_ms += covered_ms
