"""Facility power curves of sites: what one more IT watt costs, by load and weather."""

from fastapi import APIRouter

from api.context import Context
from api.identity import SiteManager, SiteReader
from api.ownership import own_site
from api.schemas.facility import FacilityModelOut, facility_out
from collectors import store_facility
from scheduler import registry
from suanwang.ids import SiteId

router = APIRouter(prefix="/v1/sites", tags=["energy"])


@router.get("/{site_id}/facility-model", summary="Facility power curve of a site")
def read_facility_model(site_id: str, identity: SiteReader, context: Context) -> FacilityModelOut:
    """Return the curve that plans go by: the site's own where its meters told one."""
    with context.reading() as connection:
        site = registry.find_site(connection, SiteId(site_id)).site
        found = store_facility.newest_fits(connection, context.catalogue, site_id)
    return facility_out(site_id, context.catalogue.facility_of(site), found.get(site.id))


@router.post(
    "/{site_id}/facility-model", summary="Fit the facility power curve anew", status_code=201
)
def fit_facility_model(site_id: str, identity: SiteManager, context: Context) -> FacilityModelOut:
    """Fit the curve to the hours in the record and keep it as a new version; plans go by it."""
    now = context.clock.now()
    with context.writing() as connection:
        site = own_site(connection, identity, site_id).site
        actor = f"key {identity.key_id}"
        stored = store_facility.fit_site(connection, site_id, context.catalogue, now, actor)
    return facility_out(site_id, context.catalogue.facility_of(site), stored)
