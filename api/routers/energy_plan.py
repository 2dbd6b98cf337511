"""The energy schedule of a site in the newest plan: advice, since nothing here switches nodes."""

from fastapi import APIRouter

from api.context import Context
from api.identity import SiteManager
from api.ownership import own_site
from api.schemas.energy_plan import EnergyPlanOut, energy_plan_out
from scheduler import store_energy_plans
from scheduler.energy_schedules import schedules_of
from suanwang.errors import NotFound

router = APIRouter(prefix="/v1/sites", tags=["energy"])


@router.get("/{site_id}/energy-plan", summary="Energy schedule of a site")
def read_energy_plan(site_id: str, identity: SiteManager, context: Context) -> EnergyPlanOut:
    """Return which nodes should be awake, and what battery and grid do, slot by slot.

    It is of the newest plan of the process that schedules; another process shows the one that was
    kept last, and ``made_at`` says how old it is.
    """
    with context.reading() as connection:
        site = own_site(connection, identity, site_id).site
        kept = store_energy_plans.find(connection, site.id)
    standing = context.scheduling.desk.newest(context.scheduling.clock.now())
    if standing is not None and standing.plan is not None:
        newest = schedules_of(standing.plan, standing.network)
        kept = next((one for one in newest if one.schedule.site_id == site.id), None)
    if kept is None:
        raise NotFound(
            f"site {site.id} has no energy schedule in the newest plan",
            next_step="Register what may be planned of it (`energy` of the site), and have a job "
            "queued.",
        )
    return energy_plan_out(kept.schedule, kept.made_at, kept.inputs)
