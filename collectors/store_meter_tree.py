"""The tree of a site's meters with their energies, out of the record."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, func, select

from collectors import store_inventory
from collectors.inventory.tree import Branch, Counted, Gap, branches, children_of
from collectors.kpi import Interval
from collectors.store_common import common_energy
from collectors.store_samples import chunks
from collectors.store_site import inside
from suanwang.clock import from_epoch_ms
from suanwang.db.tables import energy_window
from suanwang.ids import MeterId
from suanwang.model.inventory import Inventory, Kind

_MWH_PER_WH: Final = 1_000


def meter_tree(connection: Connection, site_id: str, period: Interval) -> tuple[Branch, ...]:
    """Return the meters of a site as a tree, with what each counted in a period.

    The energies are those of whole windows of 15 minutes inside the period.
    """
    items = store_inventory.load_kind(connection, site_id, Kind.METERS)
    meters = Inventory().with_kind(Kind.METERS, items).meters
    counted = _counted(connection, list(meters), inside(period))
    gaps = {
        meter_id: _gap(connection, meter_id, behind, counted, period)
        for meter_id, behind in children_of(meters).items()
        if meter_id
    }
    return tuple(branches(meters, counted, gaps))


def _counted(
    connection: Connection, meter_ids: Sequence[str], whole: Interval
) -> dict[str, Counted]:
    window = energy_window.c
    newer = energy_window.alias("newer")
    found: dict[str, Counted] = {}
    for piece in chunks(meter_ids):
        rows = connection.execute(
            select(window.meter_id, func.sum(window.energy_mwh), func.sum(window.covered_ms))
            .where(
                window.meter_id.in_(piece),
                window.start_at >= from_epoch_ms(whole.start_ms),
                window.start_at < from_epoch_ms(whole.end_ms),
                ~select(newer.c.revision)
                .where(
                    newer.c.meter_id == window.meter_id,
                    newer.c.start_at == window.start_at,
                    newer.c.revision > window.revision,
                )
                .exists(),
            )
            .group_by(window.meter_id)
        )
        found |= {meter_id: Counted(int(mwh), int(ms)) for meter_id, mwh, ms in rows}
    return found


def _gap(
    connection: Connection,
    meter_id: str,
    behind: Sequence[str],
    counted: dict[str, Counted],
    period: Interval,
) -> Gap:
    """Compare a meter with those behind it over the time that all who count anything know."""
    awake = [one for one in behind if one in counted and counted[one].covered_ms]
    silent = tuple(one for one in behind if one not in awake)
    total = common_energy(connection, [MeterId(one) for one in (meter_id, *awake)], period)
    return Gap(
        own_wh=total.mwh[MeterId(meter_id)] / _MWH_PER_WH,
        children_wh=sum(total.mwh[MeterId(one)] for one in awake) / _MWH_PER_WH,
        common_ms=total.common_ms,
        silent=silent,
    )
