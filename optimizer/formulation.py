"""The placement model: one function a family of constraints, each with its inequality.

Sets: classes k, pools p, slots t, sites s, lots l, funded groups f (columns of a class that the
same lots may pay). Variables: ``start[c]`` jobs that start by column c, ``left[k]`` jobs left out,
``used[p,t]`` units in use, ``mean[s,t]`` mean IT power above the base (kW), ``extra[s,t]`` facility
power above the base (kW), ``price[f]`` and ``voucher[f,l]`` money (yuan).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from optimizer.arrays import Bools, Floats, Ints
from optimizer.columns import Columns
from optimizer.instance import Instance
from optimizer.model import INFINITY, Block, Layout, Model, ModelBuilder
from optimizer.problem import LotSpec
from suanwang.units import FEN_PER_YUAN

_KW: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Formulation:
    """The model of an instance, and where its starts are."""

    instance: Instance
    columns: Columns
    model: Model
    start: Block


@dataclass(frozen=True, slots=True)
class _Draft:
    """A model in the making with the variables that several families touch."""

    builder: ModelBuilder
    instance: Instance
    columns: Columns
    start: Block
    left: Block
    used: Block
    mean: Block
    reach_w: Floats

    @property
    def slots(self) -> int:
        return self.instance.timeline.slots

    @property
    def units(self) -> Floats:
        """Units of one job, by column."""
        per_class = np.array([k.spec.units for k in self.instance.classes], dtype=np.float64)
        return per_class[self.columns.klass]


def formulate(instance: Instance, columns: Columns) -> Formulation:
    """Return the model of all columns."""
    builder = ModelBuilder()
    counts = np.array([klass.count for klass in instance.classes], dtype=np.float64)
    unserved = np.array([klass.unserved_yuan for klass in instance.classes])
    reach_w = _reach_w(instance)
    draft = _Draft(
        builder=builder,
        instance=instance,
        columns=columns,
        start=builder.add_variables(
            "start", upper=counts[columns.klass], cost=columns.cost, is_integral=True
        ),
        left=builder.add_variables("left", upper=counts, cost=unserved),
        used=builder.add_variables("used", upper=instance.units_free.ravel().astype(np.float64)),
        mean=builder.add_variables(
            "mean", upper=_KW * reach_w.ravel(), cost=_straight_cost(instance, reach_w).ravel()
        ),
        reach_w=reach_w,
    )
    place = serve_every_job(draft, counts)
    count_usage(draft)
    limit_power(draft)
    average_power(draft)
    price_facility_power(draft)
    pay(draft)
    layout = Layout(
        start=draft.start,
        left=draft.left,
        place=place,
        klass=columns.klass,
        group=columns.klass * len(instance.pools) + columns.pool,
    )
    return Formulation(instance, columns, builder.build(layout), draft.start)


def serve_every_job(draft: _Draft, counts: Floats) -> Block:
    """For every class k:  sum over its columns c of start[c]  +  left[k]  =  n[k]."""
    rows = draft.builder.add_rows("place", len(counts), lower=counts, upper=counts)
    draft.builder.add_entries(rows.first + draft.columns.klass, _all(draft.start), 1.0)
    draft.builder.add_entries(_all(rows), _all(draft.left), 1.0)
    return rows


def count_usage(draft: _Draft) -> None:
    """For every p, t:  used[p,t] - used[p,t-1]  =  units that start in t - units last in t-1.

    ``0 <= used[p,t] <= units_free[p,t]`` is the capacity. A unit counts in every slot that its run
    touches, so capacity holds at every instant. An equality: with ``<=`` the model would buy idle
    load in hours of negative price.
    """
    builder, columns, slots = draft.builder, draft.columns, draft.slots
    rows = builder.add_rows("usage", draft.used.count, lower=0.0, upper=0.0)
    builder.add_entries(_all(rows), _all(draft.used), 1.0)
    has_next = np.arange(draft.used.count) % slots != slots - 1
    builder.add_entries(_all(rows)[has_next] + 1, _all(draft.used)[has_next], -1.0)
    units, start = draft.units, _all(draft.start)
    builder.add_entries(rows.first + columns.pool * slots + columns.slot, start, -units)
    ends = columns.last + 1 < slots
    ended = rows.first + (columns.pool * slots + columns.last + 1)[ends]
    builder.add_entries(ended, start[ends], units[ends])


def limit_power(draft: _Draft) -> None:
    """For every s, t:  sum over pools p of s of busy_w[p] * used[p,t]  <=  IT power room.

    The limit is on facility power; since that grows with IT power it is turned into IT power once.
    Rows that no load can reach are left out.
    """
    instance, slots = draft.instance, draft.slots
    can_bind = instance.facilities.room_w < _busy_w_max(instance)
    rows_at = np.cumsum(can_bind.ravel()) - 1
    room_kw = _KW * instance.facilities.room_w[can_bind]
    rows = draft.builder.add_rows("power", len(room_kw), lower=-INFINITY, upper=room_kw)
    place = (instance.site_of[:, None] * slots + np.arange(slots)).ravel()
    binds = can_bind.ravel()[place]
    watts = np.repeat(instance.busy_w, slots)
    draft.builder.add_entries(
        rows.first + rows_at[place[binds]], _all(draft.used)[binds], _KW * watts[binds]
    )


def average_power(draft: _Draft) -> None:
    """For every s, t:  mean[s,t]  =  sum of busy_w[p] * used[p,t]  -  what ends within t.

    A run that ends in the middle of a slot is in use for a share of it only: energy is priced by
    the mean, capacity and the power limit by the peak.
    """
    instance, columns, slots = draft.instance, draft.columns, draft.slots
    builder = draft.builder
    rows = builder.add_rows("mean", draft.mean.count, lower=0.0, upper=0.0)
    builder.add_entries(_all(rows), _all(draft.mean), 1.0)
    place = (instance.site_of[:, None] * slots + np.arange(slots)).ravel()
    watts = np.repeat(instance.busy_w, slots)
    builder.add_entries(rows.first + place, _all(draft.used), -_KW * watts)
    saved_kw = _KW * draft.units * instance.busy_w[columns.pool] * (1.0 - columns.last_share)
    at_end = rows.first + instance.site_of[columns.pool] * slots + columns.last
    builder.add_entries(at_end, _all(draft.start), saved_kw)


def price_facility_power(draft: _Draft) -> None:
    """For every s, t, line i:  extra[s,t]  >=  slope[i] * (base + mean[s,t]) + offset[i] - F(base).

    ``extra`` is facility power above the base; it costs the meter's price with carbon. So the cost
    of one more job follows the marginal PUE. Where one line holds over all loads in reach there is
    no ``extra``: its slope is in the cost of ``mean``.
    """
    instance, facilities = draft.instance, draft.instance.facilities
    lines = _lines_in_reach(instance, draft.reach_w)
    is_bent = lines.sum(axis=-1) > 1
    sites, slots = np.nonzero(is_bent)
    upper_kw = _KW * facilities.extra_w(draft.reach_w)[is_bent]
    cost = (facilities.price * facilities.hours)[is_bent]
    extra = draft.builder.add_variables("extra", upper=np.maximum(0.0, upper_kw), cost=cost)
    which, line = np.nonzero(lines[is_bent])
    s, t = sites[which], slots[which]
    base_w = facilities.base_w[s, t]
    slope, offset = facilities.cost_slope[s, t, line], facilities.cost_offset[s, t, line]
    at_base_w = (facilities.cost_slope[s, t] * base_w[:, None] + facilities.cost_offset[s, t]).max(
        axis=-1, initial=-INFINITY
    )
    rows = draft.builder.add_rows(
        "facility",
        len(which),
        lower=_KW * (slope * base_w + offset - at_base_w),
        upper=INFINITY,
    )
    draft.builder.add_entries(_all(rows), extra.first + which, 1.0)
    draft.builder.add_entries(_all(rows), draft.mean.first + s * draft.slots + t, -slope)


def pay(draft: _Draft) -> None:
    """Money of every tenant whose money could run short: see ``Funds`` for the inequalities."""
    scarce = _scarce_tenants(draft)
    columns, instance = draft.columns, draft.instance
    classes = instance.classes
    groups = [
        f
        for f, funding in enumerate(columns.fundings)
        if classes[funding.klass].spec.tenant_id in scarce
    ]
    if not groups:
        return
    group_at = np.full(len(columns.fundings), -1, dtype=np.int64)
    group_at[groups] = np.arange(len(groups))
    of_column = group_at[columns.funding]
    paid = np.flatnonzero(of_column >= 0)
    price_yuan = columns.price_fen[paid] / FEN_PER_YUAN
    price_max = np.zeros(len(groups))
    np.maximum.at(price_max, of_column[paid], price_yuan)
    count = np.array([classes[columns.fundings[f].klass].count for f in groups])
    price = draft.builder.add_variables("price", upper=count * price_max)
    funds = _Funds(draft, groups, price, {lot.id: lot for lot in instance.problem.lots})
    funds.sum_price(paid, of_column[paid], price_yuan)
    funds.limit_shares()
    funds.limit_lots()
    funds.limit_cash(sorted(scarce))
    funds.limit_cash_of_a_job(paid, of_column[paid], price_yuan)


class _Funds:
    """The money families over funded groups f and lots l; amounts in yuan.

    Each is a relaxation of the exact split in ``money`` (shares are floored there), so the bound
    stays a bound.
    """

    def __init__(
        self, draft: _Draft, groups: list[int], price: Block, lots: dict[str, LotSpec]
    ) -> None:
        self._draft, self._builder, self._price = draft, draft.builder, price
        self._tenant_of = [
            draft.instance.classes[draft.columns.fundings[f].klass].spec.tenant_id for f in groups
        ]
        self._cash_max = [
            draft.instance.classes[draft.columns.fundings[f].klass].spec.cash_fen_max
            for f in groups
        ]
        draws = [
            (at, lots[lot_id])
            for at, f in enumerate(groups)
            for lot_id in draft.columns.fundings[f].lots
        ]
        self._group = np.array([at for at, _ in draws], dtype=np.int64)
        self._lots = [lot for _, lot in draws]
        available = np.array([lot.available_fen for lot in self._lots], dtype=np.float64)
        self._voucher = self._builder.add_variables("voucher", upper=available / FEN_PER_YUAN)

    def sum_price(self, paid: Ints, group: Ints, price_yuan: Floats) -> None:
        """For every group f:  price[f]  =  sum over its columns of price * start."""
        rows = self._builder.add_rows("sum_price", self._price.count, lower=0.0, upper=0.0)
        self._builder.add_entries(_all(rows), _all(self._price), 1.0)
        self._builder.add_entries(rows.first + group, self._draft.start.first + paid, -price_yuan)

    def limit_shares(self) -> None:
        """For every f, l:  voucher[f,l]  <=  ratio[l] * price[f];  sum over l  <=  price[f]."""
        ratio = np.array([lot.ratio_num / lot.ratio_den for lot in self._lots])
        rows = self._builder.add_rows("share", len(ratio), lower=-INFINITY, upper=0.0)
        self._builder.add_entries(_all(rows), _all(self._voucher), 1.0)
        self._builder.add_entries(_all(rows), self._price.first + self._group, -ratio)
        whole = self._builder.add_rows("whole", self._price.count, lower=-INFINITY, upper=0.0)
        self._builder.add_entries(whole.first + self._group, _all(self._voucher), 1.0)
        self._builder.add_entries(_all(whole), _all(self._price), -1.0)

    def limit_lots(self) -> None:
        """For every lot l:  sum over f of voucher[f,l]  <=  available[l]."""
        ids = sorted({lot.id for lot in self._lots})
        row_of = {lot_id: at for at, lot_id in enumerate(ids)}
        available = {lot.id: lot.available_fen / FEN_PER_YUAN for lot in self._lots}
        upper = np.array([available[lot_id] for lot_id in ids])
        rows = self._builder.add_rows("lot", len(ids), lower=-INFINITY, upper=upper)
        where = np.array([row_of[lot.id] for lot in self._lots], dtype=np.int64)
        self._builder.add_entries(rows.first + where, _all(self._voucher), 1.0)

    def limit_cash(self, tenants: list[str]) -> None:
        """For every tenant:  sum over its f of price[f] - sum over l of voucher[f,l]  <=  cash."""
        cash_fen = self._draft.instance.problem.cash_fen
        upper = np.array([max(0, cash_fen.get(tenant, 0)) / FEN_PER_YUAN for tenant in tenants])
        rows = self._builder.add_rows("cash", len(tenants), lower=-INFINITY, upper=upper)
        row_of = {tenant: at for at, tenant in enumerate(tenants)}
        of_group = np.array([row_of[tenant] for tenant in self._tenant_of], dtype=np.int64)
        self._builder.add_entries(rows.first + of_group, _all(self._price), 1.0)
        self._builder.add_entries(rows.first + of_group[self._group], _all(self._voucher), -1.0)

    def limit_cash_of_a_job(self, paid: Ints, group: Ints, price_yuan: Floats) -> None:
        """For every f with a limit:  sum of (price - cash_max) * start - vouchers of f  <=  0."""
        limits = [at for at, cash_max in enumerate(self._cash_max) if cash_max is not None]
        row_of = np.full(self._price.count, -1, dtype=np.int64)
        row_of[limits] = np.arange(len(limits))
        rows = self._builder.add_rows("cash_of_job", len(limits), lower=-INFINITY, upper=0.0)
        cash_max = np.array([(fen or 0) / FEN_PER_YUAN for fen in self._cash_max])
        own = row_of[group] >= 0
        self._builder.add_entries(
            rows.first + row_of[group[own]],
            self._draft.start.first + paid[own],
            price_yuan[own] - cash_max[group[own]],
        )
        drawn = row_of[self._group] >= 0
        self._builder.add_entries(
            rows.first + row_of[self._group[drawn]], _all(self._voucher)[drawn], -1.0
        )


def _scarce_tenants(draft: _Draft) -> set[str]:
    """Tenants whose cash might not cover all their jobs at their dearest, or who limit it a job."""
    columns, classes = draft.columns, draft.instance.classes
    dearest = np.zeros(len(classes), dtype=np.int64)
    np.maximum.at(dearest, columns.klass, columns.price_fen)
    needed: dict[str, int] = {}
    scarce: set[str] = set()
    for k, klass in enumerate(classes):
        tenant = klass.spec.tenant_id
        needed[tenant] = needed.get(tenant, 0) + klass.count * int(dearest[k])
        if klass.spec.cash_fen_max is not None and dearest[k] > klass.spec.cash_fen_max:
            scarce.add(tenant)
    cash_fen = draft.instance.problem.cash_fen
    return scarce | {
        tenant for tenant, amount in needed.items() if amount > cash_fen.get(tenant, 0)
    }


def _busy_w_max(instance: Instance) -> Floats:
    """IT watts above the base with every free unit at work, by (s, t)."""
    watts = np.zeros(instance.facilities.base_w.shape)
    np.add.at(watts, instance.site_of, instance.units_free * instance.busy_w[:, None])
    return watts


def _reach_w(instance: Instance) -> Floats:
    """IT watts above the base that any plan can reach, by (s, t)."""
    return np.minimum(_busy_w_max(instance), instance.facilities.room_w)


def _lines_in_reach(instance: Instance, reach_w: Floats) -> Bools:
    """Lines of the cost function that are highest somewhere from base to reach, by (s, t, i)."""
    facilities = instance.facilities
    slope, offset = facilities.cost_slope, facilities.cost_offset
    low = (slope * facilities.base_w[..., None] + offset).argmax(axis=-1)[..., None]
    high_w = (facilities.base_w + reach_w)[..., None]
    high = (slope * high_w + offset).argmax(axis=-1)[..., None]
    above_low = slope > np.take_along_axis(slope, low, axis=-1)
    below_high = slope < np.take_along_axis(slope, high, axis=-1)
    place = np.arange(slope.shape[-1])
    lines = (above_low & below_high) | (place == low) | (place == high)
    in_reach: Bools = (lines & (facilities.price > 0)[..., None]) | (place == low)
    return in_reach


def _straight_cost(instance: Instance, reach_w: Floats) -> Floats:
    """Yuan for a kilowatt of ``mean`` where one line holds over all loads in reach, else zero."""
    facilities = instance.facilities
    lines = _lines_in_reach(instance, reach_w)
    slope = np.where(lines, facilities.cost_slope, 0.0).max(axis=-1)
    cost = slope * facilities.price * facilities.hours
    return np.where(lines.sum(axis=-1) == 1, cost, 0.0)


def _all(block: Block) -> Ints:
    return np.arange(block.first, block.first + block.count, dtype=np.int64)
