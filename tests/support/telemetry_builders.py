"""Builders for tests of the energy record: a site, its meters, readings and batches."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection, select

from collectors import store
from collectors.accumulator import WindowSum
from collectors.register import Register
from suanwang.clock import from_epoch_ms, to_epoch_ms
from suanwang.db.tables import energy_window, site
from suanwang.ids import MeterId, SiteId
from suanwang.model.batch import TelemetryBatch, gathered
from suanwang.model.meter import Meter, MeterRole, PueCategory
from suanwang.model.reading import Quality, Reading, SourceListing, SourceReport

START: Final = datetime(2026, 10, 14, tzinfo=UTC)
SITE: Final = SiteId("qd")


def at(seconds: float) -> datetime:
    """Return the moment ``seconds`` after the start of the tests."""
    return START + timedelta(seconds=seconds)


def a_meter(
    meter_id: str = "m-it",
    role: MeterRole = MeterRole.IT,
    *,
    site_id: str = SITE,
    rated_w: int = 1_000_000,
    resolution_wh: float = 0.001,
    modulus_wh: int = 0,
    poll_s: float = 15.0,
    category: PueCategory = PueCategory.PUE3,
) -> Meter:
    """Return a meter that believes up to 1.2 MW."""
    return Meter(
        id=MeterId(meter_id),
        site_id=SiteId(site_id),
        name=meter_id,
        role=role,
        rated_w=rated_w,
        resolution_wh=resolution_wh,
        modulus_wh=modulus_wh,
        poll_s=poll_s,
        category=category,
    )


def add_site(connection: Connection, site_id: str = SITE) -> None:
    """Write a site row that meters and series can refer to."""
    connection.execute(
        site.insert().values(
            id=site_id,
            name=site_id,
            operator="op",
            region="CN-SD",
            timezone="Asia/Shanghai",
            cooling="modern_wse_warmwater",
            climate="qingdao",
            it_design_w=1,
            background_it_w=0,
            contract_w=1,
            tariff_id="t",
            voltage="10kV",
            carbon_region="CN-SD",
            pue_limit=1.3,
            accepts=[],
            data_homes=[],
            is_open=True,
            registered_at=START,
        )
    )


def energy(
    meter_id: str, seconds: float, wh: float, quality: Quality = Quality.MEASURED
) -> Reading:
    """Return a register reading."""
    return Reading(
        subject=f"meter:{meter_id}", metric="energy_wh", value=wh, at=at(seconds), quality=quality
    )


def power(meter_id: str, seconds: float, watts: float) -> Reading:
    """Return a power reading."""
    return Reading(subject=f"meter:{meter_id}", metric="power_w", value=watts, at=at(seconds))


def constant_load(
    meter_id: str, watts: float, seconds: Iterable[float], first_wh: float = 0.0
) -> list[Reading]:
    """Return register readings of a meter under a constant load since the start."""
    return [energy(meter_id, second, first_wh + watts * second / 3600) for second in seconds]


def a_batch(
    batch_id: str,
    readings: Sequence[Reading],
    *,
    sent_s: float = 0.0,
    site_id: str = SITE,
    reports: Sequence[SourceReport] = (),
    listing: SourceListing | None = None,
) -> TelemetryBatch:
    """Return a batch."""
    return TelemetryBatch(
        id=batch_id,
        site_id=SiteId(site_id),
        sent_at=at(sent_s),
        readings=gathered(readings),
        reports=tuple(reports),
        listing=listing,
    )


def send(
    connection: Connection, batch_id: str, readings: Sequence[Reading], now_s: float
) -> store.Ingested:
    """Take readings in at ``now_s`` seconds after the start."""
    batch = a_batch(batch_id, readings, sent_s=now_s)
    return store.ingest(connection, batch, f"digest of {batch_id}", at(now_s))


def stored_windows(connection: Connection, meter_id: str) -> dict[int, WindowSum]:
    """Return the newest revision of each window of a meter by its start, ms since 1970."""
    rows = connection.execute(
        select(energy_window)
        .where(energy_window.c.meter_id == meter_id)
        .order_by(energy_window.c.revision)
    )
    newest = {
        to_epoch_ms(row.start_at): WindowSum(
            row.energy_mwh, row.covered_ms, row.interpolated_ms, row.estimated_ms
        )
        for row in rows
    }
    return {start: total for start, total in newest.items() if not total.is_nothing()}


def register(seconds: float, mwh: int, quality: Quality = Quality.MEASURED) -> Register:
    """Return a register value."""
    return Register(to_epoch_ms(at(seconds)), mwh, quality)


def reading_of(meter_id: str, value: Register) -> Reading:
    """Return the reading that carries a register value."""
    return Reading(
        subject=f"meter:{meter_id}",
        metric="energy_wh",
        value=value.mwh / 1000,
        at=from_epoch_ms(value.at_ms),
        quality=value.quality,
    )
