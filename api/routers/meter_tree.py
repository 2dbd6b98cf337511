"""The tree of a site's meters: sums, and what is missing between them."""

from datetime import timedelta
from typing import Final

from fastapi import APIRouter

from api.context import Context
from api.identity import SiteManager
from api.ownership import own_site
from api.routers.energy import Hours, PeriodText, asked_period
from api.schemas.energy import BranchOut, GapOut, MeterTree
from collectors.inventory.tree import Branch, Gap
from collectors.kpi import Interval
from collectors.store_meter_tree import meter_tree
from suanwang.clock import to_epoch_ms
from suanwang.errors import BadInput

router = APIRouter(prefix="/v1/sites", tags=["energy"])

LONGEST: Final = timedelta(days=35)


@router.get("/{site_id}/meters/tree", summary="The meters of a site as a tree")
def read_tree(
    site_id: str,
    identity: SiteManager,
    context: Context,
    hours: Hours = 24,
    period: PeriodText = None,
) -> MeterTree:
    """Return the meters from the grid to the racks, each with its energy and the gap behind it."""
    now = context.clock.now()
    with context.reading() as connection:
        own_site(connection, identity, site_id)
        asked = asked_period(connection, site_id, period, hours, now)
        if asked.end - asked.start > LONGEST:
            raise BadInput(
                f"the tree is summed over {LONGEST.days} days at most",
                next_step="ask for a shorter period",
            )
        stretch = Interval(to_epoch_ms(asked.start), to_epoch_ms(min(asked.end, now)))
        found = meter_tree(connection, site_id, stretch)
    length_ms = max(1, stretch.end_ms - stretch.start_ms)
    return MeterTree(
        site_id=site_id,
        start=asked.start,
        end=asked.end,
        items=[_branch_out(one, length_ms) for one in found],
    )


def _branch_out(one: Branch, length_ms: int) -> BranchOut:
    return BranchOut(
        id=one.meter.id,
        name=one.meter.name,
        depth=one.depth,
        is_last=one.is_last,
        role=one.meter.role,
        carrier=one.meter.carrier,
        category=one.meter.category,
        measures=one.meter.measures,
        object_id=one.meter.object_id,
        energy=one.wh,
        unit=one.unit,
        coverage=min(1.0, one.counted.covered_ms / length_ms),
        gap=None if one.gap is None else _gap_out(one.gap, length_ms),
    )


def _gap_out(gap: Gap, length_ms: int) -> GapOut:
    return GapOut(
        own=gap.own_wh,
        children=gap.children_wh,
        gap=gap.wh,
        ratio=gap.ratio,
        coverage=min(1.0, gap.common_ms / length_ms),
        silent=list(gap.silent),
        is_odd=gap.is_odd,
    )
