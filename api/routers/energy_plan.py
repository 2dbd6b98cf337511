"""The energy schedule of a site in the newest plan: advice, since nothing here switches nodes."""

from fastapi import APIRouter

from api.context import Context
from api.identity import SiteManager
from api.ownership import own_site
from api.schemas.energy_plan import EnergyPlanOut, energy_plan_out
from scheduler.energy_inputs import energy_inputs
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
    if standing is None or plan is None or site.id not in found:
        raise NotFound(
            f"site {site.id} has no energy schedule in the newest plan of this process",
            next_step="Register what may be planned of it (`energy` of the site), ask the process "
            "that schedules, and have a job queued.",
        )
    states = {state.site.id: state for state in standing.network.sites}
    inputs = energy_inputs(states[site.id], standing.at)
    return energy_plan_out(found[site.id], plan.made_at, inputs)
