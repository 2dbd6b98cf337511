"""Facility power curves of sites, fitted to their hours in the record; every version is kept."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update

from collectors.quality import RAW_KEPT
from collectors.store_pue import declared_category
from collectors.store_query import thin
from collectors.store_rollup import Grain
from collectors.store_site import ROLES, load_meters
from suanwang.clock import from_epoch_ms, to_epoch_ms
from suanwang.db import samples
from suanwang.db.tables import facility_fit, series, site, site_energy, weather_hour
from suanwang.energy.catalogue import EnergyCatalogue
from suanwang.energy.facility import FacilityModel
from suanwang.energy.facility_fit import HOURS_MIN, FacilityHour, fit_facility
from suanwang.energy.facility_fitted import FitQuality, FittedFacility
from suanwang.errors import Conflict, NotFound
from suanwang.ids import SiteId
from suanwang.model.site import CoolingKind

HOUR_MS: Final = 3_600_000
HOUR: Final = timedelta(hours=1)
FITTED_OVER: Final = timedelta(days=400)
"""A fit looks so far back: a whole year of weather, and a month."""
FITTED_EVERY: Final = timedelta(days=7)
KNOWN_MIN: Final = 0.9
"""An hour of which less is known is not fitted to."""
UPKEEP: Final = "upkeep"
_MWH_PER_WH: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFit:
    """A version of a site's curve."""

    site_id: SiteId
    version: int
    fitted_at: datetime
    actor: str
    curve: FittedFacility


def note_weather(connection: Connection, site_id: str, now: datetime) -> int:
    """Keep the hourly wet bulb of a site out of its raw samples; return the hours written.

    Hours that are there stay as they are, those that came late are added while raw samples last.
    """
    series_id = connection.scalar(
        select(series.c.id).where(
            series.c.site_id == site_id,
            series.c.subject == "site",
            series.c.metric == "wet_bulb_c",
        )
    )
    if series_id is None:
        return 0
    low_ms = to_epoch_ms(now - RAW_KEPT) // HOUR_MS * HOUR_MS
    high_ms = to_epoch_ms(now) // HOUR_MS * HOUR_MS
    known = set(
        connection.scalars(
            select(weather_hour.c.start_at).where(
                weather_hour.c.site_id == site_id,
                weather_hour.c.start_at >= from_epoch_ms(low_ms),
            )
        )
    )
    found = thin(samples.read(connection, series_id, low_ms, high_ms - 1), HOUR_MS)
    rows = [
        {
            "site_id": site_id,
            "start_at": point.at,
            "wet_bulb_c": point.mean,
            "samples": point.samples,
        }
        for point in found
        if point.at not in known
    ]
    if rows:
        connection.execute(insert(weather_hour), rows)
    return len(rows)


def fit_site(
    connection: Connection, site_id: str, catalogue: EnergyCatalogue, now: datetime, actor: str
) -> StoredFit:
    """Fit a site's curve to its hours and keep it as a new version.

    Raise NotFound for an unknown site, Conflict where there are too few hours that have IT energy,
    facility energy and a wet bulb that a sensor read.
    """
    row = connection.execute(select(site).where(site.c.id == site_id).with_for_update()).first()
    if row is None:
        raise NotFound(f"there is no site {site_id}", site_id=site_id)
    note_weather(connection, site_id, now)
    design = catalogue.facility(CoolingKind(row.cooling), row.it_design_w, row.power_chain)
    hours = _hours(connection, site_id, now)
    curve = fit_facility(design, hours)
    if curve is None:
        raise Conflict(
            f"{len(hours)} hours of {site_id} have IT energy, facility energy and a wet bulb; "
            f"{HOURS_MIN} are needed",
            next_step="meter all three for a week: the wet bulb is the series site, wet_bulb_c",
            hours=len(hours),
            needed=HOURS_MIN,
        )
    stored = StoredFit(
        site_id=SiteId(site_id),
        version=_last_version(connection, site_id) + 1,
        fitted_at=now,
        actor=actor,
        curve=curve,
    )
    _write(connection, stored)
    return stored


def sites_to_fit(connection: Connection, now: datetime) -> list[SiteId]:
    """Return the sites with a sensor of the wet bulb whose newest curve is older than a week."""
    newest = facility_fit.alias()
    fresh = select(newest.c.site_id).where(
        newest.c.is_newest, newest.c.fitted_at > now - FITTED_EVERY
    )
    rows = connection.scalars(
        select(series.c.site_id)
        .where(
            series.c.subject == "site",
            series.c.metric == "wet_bulb_c",
            series.c.site_id.not_in(fresh),
        )
        .order_by(series.c.site_id)
    )
    return [SiteId(one) for one in rows]


def newest_fits(
    connection: Connection, catalogue: EnergyCatalogue, site_id: str | None = None
) -> dict[SiteId, StoredFit]:
    """Return each site's newest curve, unless its cooling, chain or design power changed since."""
    query = (
        select(facility_fit, site.c.power_chain)
        .join(site, site.c.id == facility_fit.c.site_id)
        .where(
            facility_fit.c.is_newest,
            facility_fit.c.cooling == site.c.cooling,
            facility_fit.c.it_design_w == site.c.it_design_w,
        )
    )
    if site_id is not None:
        query = query.where(facility_fit.c.site_id == site_id)
    found = [
        _stored(row, catalogue)
        for row in connection.execute(query)
        if row.body.get("power_chain", "") == row.power_chain
    ]
    return {one.site_id: one for one in found}


def _hours(connection: Connection, site_id: str, now: datetime) -> list[FacilityHour]:
    category = declared_category(connection, site_id, load_meters(connection, site_id, ROLES))
    if category is None:
        return []
    rolled = site_energy.c
    rows = connection.execute(
        select(
            rolled.start_at,
            rolled.it_mwh,
            rolled.facility_mwh,
            rolled.common_ms,
            weather_hour.c.wet_bulb_c,
        )
        .join(
            weather_hour,
            (weather_hour.c.site_id == rolled.site_id)
            & (weather_hour.c.start_at == rolled.start_at),
        )
        .where(
            rolled.site_id == site_id,
            rolled.category == category.value,
            rolled.grain == Grain.HOUR.value,
            rolled.is_newest,
            rolled.start_at >= now - FITTED_OVER,
            rolled.common_ms >= KNOWN_MIN * HOUR_MS,
            rolled.it_mwh > 0,
        )
        .order_by(rolled.start_at)
    )
    return [
        FacilityHour(
            at=row.start_at,
            it_w=row.it_mwh / _MWH_PER_WH * HOUR_MS / row.common_ms,
            facility_w=row.facility_mwh / _MWH_PER_WH * HOUR_MS / row.common_ms,
            wet_bulb_c=row.wet_bulb_c,
        )
        for row in rows
    ]


def _last_version(connection: Connection, site_id: str) -> int:
    newest = select(facility_fit.c.version).where(
        facility_fit.c.site_id == site_id, facility_fit.c.is_newest
    )
    return connection.scalar(newest) or 0


def _write(connection: Connection, stored: StoredFit) -> None:
    curve, columns = stored.curve, facility_fit.c
    connection.execute(
        update(facility_fit)
        .where(columns.site_id == stored.site_id, columns.is_newest)
        .values(is_newest=False)
    )
    quality = asdict(curve.quality)
    for name in ("since", "until"):
        quality[name] = quality[name].isoformat()
    connection.execute(
        insert(facility_fit).values(
            site_id=stored.site_id,
            version=stored.version,
            is_newest=True,
            fitted_at=stored.fitted_at,
            cooling=curve.design.kind.value,
            it_design_w=int(curve.it_design_w),
            body={
                "quality": quality,
                "level": curve.level,
                "edges_c": list(curve.edges_c),
                "coefficients": [list(one) for one in curve.coefficients],
                "power_chain": "" if curve.design.chain is None else curve.design.chain.id,
            },
            actor=stored.actor,
        )
    )


def _stored(row: Row[Any], catalogue: EnergyCatalogue) -> StoredFit:
    body: Mapping[str, Any] = row.body
    design: FacilityModel = catalogue.facility(
        CoolingKind(row.cooling), row.it_design_w, body.get("power_chain", "")
    )
    quality = dict(body["quality"])
    for name in ("since", "until"):
        quality[name] = datetime.fromisoformat(quality[name])
    quality["why"] = tuple(quality["why"])
    return StoredFit(
        site_id=SiteId(row.site_id),
        version=row.version,
        fitted_at=row.fitted_at,
        actor=row.actor,
        curve=FittedFacility(
            design=design,
            quality=FitQuality(**quality),
            level=body["level"],
            edges_c=tuple(body["edges_c"]),
            coefficients=tuple((a, b, c) for a, b, c in body["coefficients"]),
        ),
    )
