"""The energy schedule of a site in the newest plan: advice, since nothing here switches nodes."""

from fastapi import APIRouter

from api.context import Context
from api.identity import SiteManager
from api.ownership import own_site
from api.schemas.energy_plan import EnergyPlanOut, energy_plan_out
from suanwang.errors import NotFound

router = APIRouter(prefix="/v1/sites", tags=["energy"])


@router.get("/{site_id}/energy-plan", summary="Energy schedule of a site")
def read_energy_plan(site_id: str, identity: SiteManager, context: Context) -> EnergyPlanOut:
    """Return which nodes should be awake, and what battery and grid do, slot by slot.

    It is of the newest cycle of the process that schedules; another process has none.
    """
    with context.reading() as connection:
        site = own_site(connection, identity, site_id).site
    standing = context.scheduling.desk.newest(context.scheduling.clock.now())
    plan = None if standing is None else standing.plan
    found = {} if plan is None else {one.site_id: one for one in plan.energy}
    if plan is None or site.id not in found:
        raise NotFound(
            f"site {site.id} has no energy schedule in the newest plan of this process",
            next_step="Let something be planned of it in site_terms.yaml of the folder that the "
            "setting energy.folder names, ask the process that schedules, and have a job queued.",
        )
    return energy_plan_out(found[site.id], plan.made_at)
