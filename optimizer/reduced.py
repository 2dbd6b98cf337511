"""What one more job costs at the prices of a board: the reduced cost of each of its columns.

A column pays for its units in every slot that it touches, with the electricity and the limits that
hang on them, and for the money that it takes from lots and cash that run short. It is what the plan
would lose at least: the cost of a plan is convex in what is asked of it, so its prices never
promise too little room, and a large job can cost more than the price says.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from optimizer.arrays import Floats
from optimizer.columns import Columns
from optimizer.expiry import worth_of_lots
from optimizer.instance import Instance
from optimizer.problem import JobSpec, LotSpec
from suanwang.model.prices import DemandPrice, PriceBoard
from suanwang.units import FEN_PER_YUAN

_W_PER_KW = 1_000.0


@dataclass(frozen=True, slots=True)
class Tariff:
    """A board as arrays: yuan for a unit from the beginning up to each slot, by (p, t + 1).

    ``energy`` is yuan for a unit's electricity over a whole slot, by (p, t). ``demand`` are prices
    of power for the month's peak, by site in the order of the board.
    """

    until: Floats
    energy: Floats
    lots: dict[str, float]
    cash: dict[str, float]
    demand: tuple[tuple[DemandPrice, ...], ...] = ()


def tariff_of(board: PriceBoard) -> Tariff:
    """Return a board as arrays, in the order of its pools."""
    hours = np.array(board.hours)
    shape = (len(board.pools), len(hours))
    energy = np.array([pool.energy for pool in board.pools]).reshape(shape) * hours
    fixed = energy + np.array([pool.power for pool in board.pools]).reshape(shape) * hours
    scarcity = np.array([pool.scarcity for pool in board.pools]).reshape(shape) * hours
    return Tariff(
        until=_running(fixed + scarcity),
        energy=energy,
        lots={lot.lot_id: lot.worth for lot in board.lots},
        cash=dict(board.cash),
        demand=tuple(site.demand for site in board.sites),
    )


def free_tariff(instance: Instance) -> Tariff:
    """Return the tariff of an empty queue: nothing but electricity at the load of what runs."""
    a_watt = instance.facilities.marginal_yuan(np.zeros(instance.facilities.base_w.shape))
    energy = a_watt[instance.site_of] * instance.busy_w[:, None]
    return Tariff(_running(energy), energy, {}, {})


def reduced_costs(instance: Instance, columns: Columns, tariff: Tariff) -> Floats:
    """Return the cost of one more job by each column, in yuan."""
    until = tariff.until
    window = until[columns.pool, columns.last + 1] - until[columns.pool, columns.slot]
    unused = (1.0 - columns.last_share) * tariff.energy[columns.pool, columns.last]
    spared = _spared(instance, columns, tariff)
    total: Floats = (
        columns.cost
        + columns.units * (window - unused - spared)
        + _money(instance, columns, tariff)
    )
    return total


def _spared(instance: Instance, columns: Columns, tariff: Tariff) -> Floats:
    """Yuan for demand that a unit does not make, since its run ends before its last slot does."""
    total = np.zeros(columns.count)
    site, own_kw = instance.site_of[columns.pool], instance.own_w[columns.pool] / _W_PER_KW
    for s, prices in enumerate(tariff.demand):
        for price in prices:
            over = (price.end - columns.last_share) / (price.end - price.begin)
            is_here = (site == s) & (columns.last == price.slot)
            total += np.where(is_here, np.clip(over, 0.0, 1.0) * own_kw * price.yuan, 0.0)
    return total


def _money(instance: Instance, columns: Columns, tariff: Tariff) -> Floats:
    """Yuan for the money that runs short, by column; nothing where no tenant's does."""
    total = np.zeros(columns.count)
    lots = {lot.id: lot for lot in instance.problem.lots}
    worth_saved = worth_of_lots(instance.problem)
    for f, funding in enumerate(columns.fundings):
        job = instance.classes[funding.klass].spec
        cash = tariff.cash.get(job.tenant_id, 0.0)
        own = np.flatnonzero(columns.funding == f)
        if not len(own) or (cash == 0.0 and not worth_saved.keys() & set(funding.lots)):
            continue
        payers = [lots[lot] for lot in funding.lots]
        prices = columns.price_fen[own]
        lot_yuan = {
            lot.id: tariff.lots.get(lot.id, 0.0) - FEN_PER_YUAN * worth_saved.get(lot.id, 0.0)
            for lot in payers
        }
        worth = {int(p): _pay(int(p), job, payers, (cash, lot_yuan)) for p in np.unique(prices)}
        total[own] = [worth[int(price)] for price in prices]
    return total


def _pay(
    price_fen: int, job: JobSpec, payers: list[LotSpec], prices: tuple[float, Mapping[str, float]]
) -> float:
    """Pay a price the way that costs the plan least; lots pay what the cash limit does not let."""
    price = price_fen / FEN_PER_YUAN
    cash, lot_yuan = prices
    most = price if job.cash_fen_max is None else min(price, job.cash_fen_max / FEN_PER_YUAN)
    rest, total = price, 0.0
    for worth, lot in sorted(((lot_yuan[lot.id], lot) for lot in payers), key=_worth):
        if worth >= cash and rest <= most:
            break
        share = min(price * lot.ratio_num / lot.ratio_den, lot.available_fen / FEN_PER_YUAN, rest)
        if worth >= cash:
            share = min(share, rest - most)
        total += share * worth
        rest -= share
    return total + rest * cash


def _worth(item: tuple[float, LotSpec]) -> tuple[float, str]:
    return (item[0], item[1].id)


def _running(table: Floats) -> Floats:
    sums = np.zeros((table.shape[0], table.shape[1] + 1))
    np.cumsum(table, axis=1, out=sums[:, 1:])
    return sums
