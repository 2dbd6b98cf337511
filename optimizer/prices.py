"""The price board of a plan: what its relaxation says that a unit, a kilowatt and a yuan are worth.

The relaxation has a price for every row. A start takes ``g`` units from its first slot to its last,
so by the rows of usage it pays ``g`` times the sum of ``y[p,t] - y[p,t+1]``: that difference is the
price of a unit in a slot, with everything that hangs on it. Two things are put right:

* a unit is never cheaper than its electricity: prices of idle pools are free to be anything below
  it, since nothing would change;
* prices of full pools need not be the only ones. Of a small model we ask twice more, with half a
  unit less and half a unit more everywhere: what comes out is the range that is shown.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from optimizer.arrays import Floats
from optimizer.certificate import lawful
from optimizer.families.power import KW, busy_w_max
from optimizer.formulation import Formulation
from optimizer.highs_route import INTERIOR_POINT_FROM, LiveModel
from optimizer.instance import Instance
from optimizer.model import Block, Model
from optimizer.solution import Limits, Solution
from suanwang.ids import PoolId, SiteId, TenantId
from suanwang.model.prices import DemandPrice, LotPrice, PoolPrice, PriceBoard, SitePrice

_HALF_A_UNIT: Final = 0.5
_PROBE_S: Final = 0.25
"""Seconds that each of the two further questions may take."""
_IDLE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class _UnitPrices:
    """Yuan for a unit over a whole slot, by (p, t)."""

    energy: Floats
    power: Floats
    scarcity: Floats


def board_of(
    formulation: Formulation, relaxed: Solution, *, probe: bool = True
) -> PriceBoard | None:
    """Return the prices of a solved relaxation; None where the solver gave none.

    ``probe`` asks for the range of the prices of full pools, where the model is small.
    """
    model = formulation.model
    if len(relaxed.duals) != model.row_count or len(relaxed.values) != model.columns:
        return None
    duals = lawful(model, relaxed.duals)
    found = _unit_prices(formulation, duals, relaxed.values)
    low, high = found.scarcity, found.scarcity
    if probe and relaxed.basis is not None and model.columns < INTERIOR_POINT_FROM:
        for more in (-_HALF_A_UNIT, _HALF_A_UNIT):
            other = _probed(formulation, relaxed, more)
            if other is not None:
                low, high = np.minimum(low, other), np.maximum(high, other)
    return _board(formulation, (duals, relaxed.values), found, (low, high))


def idle_board(instance: Instance) -> PriceBoard:
    """Return the board of an empty queue: a unit costs its electricity, and nothing is short."""
    slots, hours = instance.timeline.slots, instance.facilities.hours
    energy = instance.facilities.marginal_yuan(np.zeros(instance.facilities.base_w.shape))
    of_unit = energy[instance.site_of] * instance.busy_w[:, None] / hours
    nothing = (0.0,) * slots
    return PriceBoard(
        made_at=instance.problem.origin,
        jobs=0,
        starts=_starts(instance),
        hours=tuple(hours.tolist()),
        pools=tuple(
            PoolPrice(
                pool_id=PoolId(pool.id),
                site_id=SiteId(pool.site_id),
                energy=tuple(of_unit[p].tolist()),
                power=nothing,
                scarcity=nothing,
                scarcity_low=nothing,
                scarcity_high=nothing,
                units_left=tuple(instance.units_free[p].tolist()),
            )
            for p, pool in enumerate(instance.pools)
        ),
        sites=tuple(
            SitePrice(site_id=SiteId(site.id), power=nothing, load_w=nothing)
            for site in instance.sites
        ),
    )


def _starts(instance: Instance) -> tuple[datetime, ...]:
    origin = instance.problem.origin
    return tuple(origin + timedelta(seconds=slot.start_s) for slot in instance.problem.slots)


def block_of(blocks: tuple[Block, ...], name: str) -> Block | None:
    """Return a family's block by its name, or None where it wrote nothing."""
    return next((block for block in blocks if block.name == name and block.count), None)


def _unit_prices(formulation: Formulation, duals: Floats, values: Floats) -> _UnitPrices:
    instance, model = formulation.instance, formulation.model
    shape = instance.units_free.shape
    usage = block_of(model.rows, "usage")
    if usage is None:
        raise AssertionError("a model has rows of usage")
    rows = duals[usage.where].reshape(shape)
    unit = rows - np.append(rows[:, 1:], np.zeros((shape[0], 1)), axis=1)
    energy = _energy(instance, model, duals, values)
    power = _power(instance, model, duals)[instance.site_of] * instance.busy_w[:, None] * KW
    return _UnitPrices(energy, power, np.maximum(0.0, unit - energy - power))


def _energy(instance: Instance, model: Model, duals: Floats, values: Floats) -> Floats:
    """Price of a unit's electricity: what the model says, between a watt less and a watt more."""
    facilities, at = instance.facilities, block_of(model.rows, "mean")
    load_w = _load_w(instance, model, values)
    dearest = facilities.marginal_yuan(load_w).ravel()
    cheapest = facilities.marginal_yuan(np.maximum(0.0, load_w - 1.0)).ravel()
    a_watt = dearest
    if at is not None:
        a_watt = np.clip(KW * duals[at.where], np.minimum(cheapest, dearest), dearest)
    return np.asarray(a_watt.reshape(load_w.shape)[instance.site_of] * instance.busy_w[:, None])


def _load_w(instance: Instance, model: Model, values: Floats) -> Floats:
    """Mean IT power of the relaxation above the base, in watts, by (s, t)."""
    mean = block_of(model.variables, "mean")
    if mean is None:
        return np.zeros(instance.facilities.base_w.shape)
    load_w: Floats = np.maximum(0.0, values[mean.where] / KW)
    return load_w.reshape(instance.facilities.base_w.shape)


def _power(instance: Instance, model: Model, duals: Floats) -> Floats:
    """Price of a kilowatt of IT power under the limit, over a slot, by (s, t)."""
    prices = np.zeros(instance.facilities.base_w.shape)
    rows = block_of(model.rows, "power")
    can_bind = instance.facilities.room_w < busy_w_max(instance)
    if rows is not None and rows.count == int(can_bind.sum()):
        prices[can_bind] = np.maximum(0.0, -duals[rows.where])
    return prices


def _probed(formulation: Formulation, relaxed: Solution, more: float) -> Floats | None:
    """Scarcity with so many units more in every pool and slot that has any; None: no answer."""
    model = formulation.model.relaxed()
    used = block_of(model.variables, "used")
    if used is None:
        return None
    live = LiveModel(model, relaxed.basis)
    where = np.arange(used.first, used.first + used.count, dtype=np.int64)
    upper = np.where(model.upper[where] > 0, np.maximum(0.0, model.upper[where] + more), 0.0)
    live.bound(where, np.zeros(used.count), upper)
    answer = live.solve(Limits(time_s=_PROBE_S))
    if not answer.has_point or len(answer.duals) != model.row_count:
        return None
    return _unit_prices(formulation, lawful(model, answer.duals), answer.values).scarcity


def _board(
    formulation: Formulation,
    solved: tuple[Floats, Floats],
    found: _UnitPrices,
    scarcity: tuple[Floats, Floats],
) -> PriceBoard:
    instance = formulation.instance
    duals, values = solved
    hours = instance.facilities.hours
    used = block_of(formulation.model.variables, "used")
    left = instance.units_free.astype(np.float64)
    if used is not None:
        left = left - values[used.where].reshape(left.shape)
    whole_left = np.floor(np.maximum(0.0, left) + 1e-6).astype(np.int64)
    tables = [table / hours for table in (found.energy, found.power, found.scarcity, *scarcity)]
    kilowatts = _power(instance, formulation.model, duals) / hours
    load_w = _load_w(instance, formulation.model, values)
    demand = _demand(formulation, duals, load_w)
    return PriceBoard(
        made_at=instance.problem.origin,
        jobs=sum(klass.count for klass in instance.classes),
        starts=_starts(instance),
        hours=tuple(hours.tolist()),
        pools=tuple(
            PoolPrice(
                pool_id=PoolId(pool.id),
                site_id=SiteId(pool.site_id),
                energy=tuple(tables[0][p].tolist()),
                power=tuple(tables[1][p].tolist()),
                scarcity=tuple(tables[2][p].tolist()),
                scarcity_low=tuple(tables[3][p].tolist()),
                scarcity_high=tuple(tables[4][p].tolist()),
                units_left=tuple(whole_left[p].tolist()),
            )
            for p, pool in enumerate(instance.pools)
        ),
        sites=tuple(
            SitePrice(
                site_id=SiteId(site.id),
                power=tuple(kilowatts[s].tolist()),
                load_w=tuple(load_w[s].tolist()),
                demand=tuple(demand.get(s, ())),
            )
            for s, site in enumerate(instance.sites)
        ),
        lots=_lots(formulation, duals),
        cash={
            name: -float(duals[row])
            for name, row in _rows(formulation, "cash:")
            if duals[row] < -_IDLE
        },
    )


def _demand(
    formulation: Formulation, duals: Floats, load_w: Floats
) -> dict[int, list[DemandPrice]]:
    """What power costs for the peak by site: in parts of slots, and of whole ones beyond energy."""
    instance, model = formulation.instance, formulation.model
    energy, means = instance.energy, block_of(model.rows, "mean")
    found: dict[int, list[DemandPrice]] = {}
    if energy is None or means is None or not len(energy.windows.m):
        return found

    def note(site: int, slot: int, edges: tuple[float, float], yuan: float) -> None:
        if yuan > _IDLE:
            price = DemandPrice(slot=slot, begin=edges[0], end=edges[1], yuan=yuan)
            found.setdefault(site, []).append(price)

    dearest = instance.facilities.marginal_yuan(load_w) / KW
    of_slots = duals[means.where].reshape(load_w.shape) - dearest
    for m in np.unique(energy.windows.m):
        site = int(energy.site[m])
        for slot, yuan in enumerate(of_slots[site].tolist()):
            note(site, slot, (0.0, 1.0), yuan)
    parts = block_of(model.rows, "part")
    for n, yuan in enumerate(() if parts is None else duals[parts.where].tolist()):
        windows = energy.windows
        edges = (float(windows.begin[n]), float(windows.end[n]))
        note(int(energy.site[windows.part_m[n]]), int(windows.part_slot[n]), edges, yuan)
    return found


def _lots(formulation: Formulation, duals: Floats) -> tuple[LotPrice, ...]:
    tenants = {lot.id: lot.tenant_id for lot in formulation.instance.problem.lots}
    return tuple(
        LotPrice(lot_id=lot, tenant_id=TenantId(tenants[lot]), worth=-float(duals[row]))
        for lot, row in _rows(formulation, "lot:")
        if duals[row] < -_IDLE
    )


def _rows(formulation: Formulation, prefix: str) -> list[tuple[str, int]]:
    found = formulation.row_of.items()
    return sorted(
        (name.removeprefix(prefix), row) for name, row in found if name.startswith(prefix)
    )
