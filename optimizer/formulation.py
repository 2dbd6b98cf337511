"""The placement model: one function a family of constraints, each with its inequality.

Sets: classes k, pools p, slots t, sites s, lots l, funded groups f (columns of a class that the
same lots may pay). Variables: ``start[c]`` jobs that start by column c, ``left[k]`` jobs left out,
``used[p,t]`` units in use, ``mean[s,t]`` mean IT power above the base (kW), ``extra[s,t]`` facility
power above the base (kW), ``price[f]`` and ``voucher[f,l]`` money (yuan). Sites with energy data
have further ones: see ``families.grid``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from optimizer.columns import Columns
from optimizer.families.draft import Draft
from optimizer.families.fair import serve_shares
from optimizer.families.funds import pay
from optimizer.families.grid import Grid, Jobs, grid_of
from optimizer.families.peak import (
    draw_highest,
    draw_parts,
    keep_promise,
    price_peak,
    use_parts,
)
from optimizer.families.power import (
    KW,
    average_power,
    limit_power,
    price_facility_power,
    reach_w_of,
    straight_cost,
)
from optimizer.families.precede import come_after
from optimizer.families.reserve import keep_reserved
from optimizer.families.sleep import count_wakes, find_highest, keep_awake, sum_it_power
from optimizer.families.starts import count_usage, serve_every_job
from optimizer.families.storage import (
    balance,
    balance_where_paid,
    end_charged,
    move_charge,
    share_battery,
)
from optimizer.instance import Instance
from optimizer.model import Block, Layout, Model, ModelBuilder

_FAMILIES: Final[tuple[Callable[[Draft], None], ...]] = (
    serve_every_job,
    count_usage,
    keep_reserved,
    come_after,
    limit_power,
    average_power,
    price_facility_power,
    pay,
    serve_shares,
)
"""Every family, in the order in which the model is written."""

METERED_FAMILIES: Final[tuple[Callable[[Grid], None], ...]] = (
    count_wakes,
    sum_it_power,
    find_highest,
    balance,
    balance_where_paid,
    move_charge,
    share_battery,
    end_charged,
    draw_highest,
    draw_parts,
    price_peak,
    keep_promise,
)
"""Families of sites with energy data; ``dispatch`` writes the same ones once starts are fixed."""


@dataclass(frozen=True, slots=True)
class Formulation:
    """The model of an instance, where its starts are, its rows of lots and cash by name.

    ``grid`` says where the energy of its sites is, where they have such data.
    """

    instance: Instance
    columns: Columns
    model: Model
    start: Block
    row_of: Mapping[str, int]
    grid: Grid | None = None


def formulate(instance: Instance, columns: Columns) -> Formulation:
    """Return the model of all columns; a family without data writes nothing."""
    draft = _draft(instance, columns)
    for write in _FAMILIES:
        write(draft)
    grid = _metered(draft)
    layout = Layout(
        start=draft.start,
        left=draft.left,
        place=draft.place,
        klass=columns.klass,
        group=columns.group,
    )
    model = draft.builder.build(layout)
    return Formulation(instance, columns, model, draft.start, draft.row_of, grid)


def _metered(draft: Draft) -> Grid | None:
    """Write the families of sites with energy data; None where there are none."""
    energy = draft.instance.energy
    if energy is None:
        return None
    jobs = Jobs(used=draft.used, load=draft.mean, part=use_parts(draft))
    grid = grid_of(draft.builder, draft.instance, energy, jobs, whole_nodes=False)
    for write in (keep_awake, *METERED_FAMILIES):
        write(grid)
    return grid


def _draft(instance: Instance, columns: Columns) -> Draft:
    """Add the variables that several families touch, and the rows that say where classes are."""
    builder = ModelBuilder()
    counts = np.array([klass.count for klass in instance.classes], dtype=np.float64)
    unserved = np.array([klass.unserved_yuan for klass in instance.classes])
    reach_w = reach_w_of(instance)
    return Draft(
        builder=builder,
        instance=instance,
        columns=columns,
        start=builder.add_variables(
            "start", upper=counts[columns.klass], cost=columns.cost, is_integral=True
        ),
        left=builder.add_variables("left", upper=counts, cost=unserved),
        used=builder.add_variables("used", upper=instance.units_free.ravel().astype(np.float64)),
        mean=builder.add_variables(
            "mean", upper=KW * reach_w.ravel(), cost=straight_cost(instance, reach_w).ravel()
        ),
        place=builder.add_rows("place", len(counts), lower=counts, upper=counts),
        reach_w=reach_w,
    )
