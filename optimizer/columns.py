"""Columns: each (class, pool, slot) where a job could start if it were alone; reasons for the rest.

A column's own cost is all of the objective that does not depend on other jobs: the user's price,
latency, waiting, and the energy of what lies beyond the horizon. Energy inside the horizon depends
on the load of the site and is priced by the model (or by ``occupancy``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from optimizer.arrays import Bools, Floats, Ints
from optimizer.instance import Instance
from optimizer.money import Purse, Shortfall, lot_allows, price_fen_max
from optimizer.problem import JobSpec
from optimizer.rules import Hindrance, first_hindrance, units_text
from optimizer.timeline import Span
from suanwang.model.plan import ReasonCode
from suanwang.units import FEN_PER_YUAN, SECONDS_PER_HOUR, yuan_text

_WATT_SLACK: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Funding:
    """The lots (in drawing order) that may pay for some columns of a class."""

    klass: int
    lots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Columns:
    """All columns, those of class k at ``first[k] .. first[k+1]``, by pool and slot within.

    ``cost`` is yuan a job, ``price_fen`` the most that the job can cost the user. ``funding`` is a
    place in ``fundings``. ``hindrances[k]`` maps every pool without a column to the reason.
    """

    klass: Ints
    pool: Ints
    slot: Ints
    last: Ints
    last_share: Floats
    tail_s: Floats
    cost: Floats
    price_fen: Ints
    funding: Ints
    first: Ints
    fundings: tuple[Funding, ...]
    hindrances: tuple[Mapping[int, Hindrance], ...]

    @property
    def count(self) -> int:
        """How many columns there are."""
        return len(self.klass)

    def of_class(self, k: int) -> slice:
        """Return where the columns of class k are."""
        return slice(int(self.first[k]), int(self.first[k + 1]))


def columns_of(instance: Instance) -> Columns:
    """Build the columns of all classes; reasons are kept for the pairs that get none."""
    builder = _Builder(instance, instance.purse())
    blocks, hindrances = [], []
    for k, klass in enumerate(instance.classes):
        block, why_not = builder.of_class(k, klass.spec)
        blocks.append(block)
        hindrances.append(why_not)
    sizes = [len(block.pool) for block in blocks]
    return Columns(
        klass=np.repeat(np.arange(len(blocks), dtype=np.int64), sizes),
        pool=_joined([block.pool for block in blocks]),
        slot=_joined([block.slot for block in blocks]),
        last=_joined([block.last for block in blocks]),
        last_share=_joined_floats([block.last_share for block in blocks]),
        tail_s=_joined_floats([block.tail_s for block in blocks]),
        cost=_joined_floats([block.cost for block in blocks]),
        price_fen=_joined([block.price_fen for block in blocks]),
        funding=_joined([block.funding for block in blocks]),
        first=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        fundings=tuple(builder.fundings),
        hindrances=tuple(hindrances),
    )


@dataclass(frozen=True, slots=True)
class _Block:
    pool: Ints
    slot: Ints
    last: Ints
    last_share: Floats
    tail_s: Floats
    cost: Floats
    price_fen: Ints
    funding: Ints


class _Builder:
    """Builds the columns of one class after the other."""

    def __init__(self, instance: Instance, purse: Purse) -> None:
        self.fundings: list[Funding] = []
        self._funding_at: dict[Funding, int] = {}
        self._instance = instance
        self._purse = purse
        self._tail_yuan_per_wh = _tail_prices(instance)
        free = instance.units_free
        self._free_max = free.max(axis=1, initial=0)

    def of_class(self, k: int, job: JobSpec) -> tuple[_Block, dict[int, Hindrance]]:
        """Return the columns of a class, and the hindrance of every pool that has none."""
        instance = self._instance
        span = instance.timeline.span(job.run_s)
        in_time = self._in_time(job)
        is_built = np.zeros(instance.units_free.shape, dtype=np.bool_)
        funding = np.zeros(instance.units_free.shape, dtype=np.int64)
        hindrances: dict[int, Hindrance] = {}
        for p in range(len(instance.pools)):
            hindrance = first_hindrance(instance.pair(job, p))
            if hindrance is None:
                hindrance = self._hindrance_in_slots(job, p, span, (in_time, is_built[p]))
            if hindrance is None:
                hindrance = self._fund((k, job, p), is_built[p], funding[p])
            if hindrance is not None:
                is_built[p] = False
                hindrances[p] = hindrance
        return self._block(job, span, is_built, funding), hindrances

    def _in_time(self, job: JobSpec) -> Bools:
        start_s = self._instance.timeline.start_s
        mask: Bools = start_s >= job.earliest_s
        if job.deadline_s is not None:
            mask = mask & (start_s + job.run_s <= job.deadline_s)
        return mask

    def _hindrance_in_slots(
        self, job: JobSpec, p: int, span: Span, masks: tuple[Bools, Bools]
    ) -> Hindrance | None:
        """Fill the slots in which the job could start alone, or say why there is none."""
        in_time, is_built = masks
        if not in_time.any():
            return self._out_of_time(job)
        instance = self._instance
        has_units = _whole_window(instance.units_free[p] >= job.units, span)
        if not (in_time & has_units).any():
            return _no_capacity(job, int(self._free_max[p]))
        need_w = job.units * instance.busy_w[p]
        room_w = instance.facilities.room_w[instance.site_of[p]]
        has_power = _whole_window(room_w + _WATT_SLACK >= need_w, span)
        is_built[:] = in_time & has_units & has_power
        if is_built.any():
            return None
        return Hindrance(
            ReasonCode.SITE_POWER,
            f"the job draws {need_w / 1000:.1f} kW more, the site's power limit leaves at most "
            f"{room_w.max() / 1000:.1f} kW; ask for fewer units or another site",
            {"need_w": need_w, "room_w": float(room_w.max())},
        )

    def _out_of_time(self, job: JobSpec) -> Hindrance:
        timeline = self._instance.timeline
        if job.deadline_s is not None and max(job.earliest_s, 0.0) + job.run_s > job.deadline_s:
            return Hindrance(
                ReasonCode.DEADLINE,
                f"the job may run {job.run_s / 60:.0f} min and its deadline is in "
                f"{job.deadline_s / 60:.0f} min; move the deadline or lower max_minutes",
                {"run_s": job.run_s, "deadline_s": job.deadline_s},
            )
        if job.earliest_s > timeline.start_s[-1]:
            return Hindrance(
                ReasonCode.NOT_YET,
                f"the job may not start for {job.earliest_s / 3600:.1f} h, the plan looks "
                f"{timeline.end_s / 3600:.1f} h ahead; it is planned when that time comes nearer",
                {"earliest_s": job.earliest_s},
            )
        return Hindrance(
            ReasonCode.DEADLINE,
            "no slot begins between the earliest start and the latest start that meets the "
            "deadline; widen the window",
            {"earliest_s": job.earliest_s, "deadline_s": job.deadline_s or 0.0},
        )

    def _fund(
        self, who: tuple[int, JobSpec, int], is_built: Bools, funding: Ints
    ) -> Hindrance | None:
        """Keep the slots whose price the job's money could pay, each with its lots."""
        k, job, p = who
        pool = self._instance.pools[p]
        ends_s = self._instance.timeline.start_s + job.run_s
        lots = [
            lot for lot in self._purse.lots_of.get(job.tenant_id, ()) if lot_allows(lot, job, pool)
        ]
        can_pay: dict[tuple[str, ...], bool] = {}
        shortfall: Shortfall | None = None
        for t in np.flatnonzero(is_built):
            end_s = float(ends_s[t])
            start_s = end_s - job.run_s
            payers = tuple(lot.id for lot in lots if lot.lasts_for(start_s, end_s))
            if payers not in can_pay:
                split = self._purse.split(job, pool, end_s)
                can_pay[payers] = not isinstance(split, Shortfall)
                shortfall = split if isinstance(split, Shortfall) else shortfall
            is_built[t] = can_pay[payers]
            funding[t] = self._funding(Funding(k, payers))
        if is_built.any() or shortfall is None:
            return None
        return no_money(job, shortfall)

    def _funding(self, funding: Funding) -> int:
        if funding not in self._funding_at:
            self._funding_at[funding] = len(self.fundings)
            self.fundings.append(funding)
        return self._funding_at[funding]

    def _block(self, job: JobSpec, span: Span, is_built: Bools, funding: Ints) -> _Block:
        pool, slot = np.nonzero(is_built)
        prices = np.zeros(len(self._instance.pools), dtype=np.int64)
        latency_ms = np.zeros(len(self._instance.pools))
        for p in np.unique(pool):
            prices[p] = price_fen_max(job, self._instance.pools[p])
            latency_ms[p] = self._instance.rtt_ms(job, int(p))
        policy = self._instance.problem.policy
        watts = job.units * self._instance.busy_w[pool]
        start_hours = self._instance.timeline.start_s[slot] / SECONDS_PER_HOUR
        tail_hours = span.tail_s[slot] / SECONDS_PER_HOUR
        cost = (
            policy.user_price_weight * prices[pool] / FEN_PER_YUAN
            + policy.latency_yuan_per_ms * latency_ms[pool]
            + policy.waiting_yuan_per_unit_hour * job.units * start_hours
            + watts * tail_hours * self._tail_yuan_per_wh[self._instance.site_of[pool]]
        )
        return _Block(
            pool=pool.astype(np.int64),
            slot=slot.astype(np.int64),
            last=span.last[slot],
            last_share=span.last_share[slot],
            tail_s=span.tail_s[slot],
            cost=cost,
            price_fen=prices[pool],
            funding=funding[pool, slot],
        )


def no_money(job: JobSpec, shortfall: Shortfall) -> Hindrance:
    """Return the hindrance of a price that lots and cash do not reach, with all amounts."""
    missing = shortfall.price_fen - shortfall.voucher_fen - shortfall.cash_fen
    if shortfall.code is ReasonCode.CASH_BUDGET and job.cash_fen_max is not None:
        source = f"the job's cash limit leaves {yuan_text(shortfall.cash_fen)}"
    else:
        source = f"free cash is {yuan_text(shortfall.cash_fen)}"
    return Hindrance(
        shortfall.code,
        f"the job can cost up to {yuan_text(shortfall.price_fen)} yuan; vouchers pay "
        f"{yuan_text(shortfall.voucher_fen)} and {source}: {yuan_text(missing)} yuan are missing; "
        "add money, lower max_minutes or ask for fewer units",
        {
            "price_fen": shortfall.price_fen,
            "voucher_fen": shortfall.voucher_fen,
            "cash_fen": shortfall.cash_fen,
        },
    )


def _no_capacity(job: JobSpec, free_max: int) -> Hindrance:
    return Hindrance(
        ReasonCode.CAPACITY,
        f"the job needs {units_text(job.units)} for {job.run_s / 60:.0f} min; running jobs leave "
        f"at most {free_max} at a time; it waits until they end",
        {"units": job.units, "units_free": free_max},
    )


def _whole_window(is_good: Bools, span: Span) -> Bools:
    """For each start: whether every slot that the run touches is good."""
    bad = np.concatenate([[0], np.cumsum(~is_good)])
    clean: Bools = bad[span.last + 1] == bad[: len(span.last)]
    return clean


def _tail_prices(instance: Instance) -> Floats:
    """Yuan for an IT watt-hour beyond the horizon, by site: last slot's price and base slope."""
    facilities = instance.facilities
    prices: Floats = facilities.base_slope[:, -1] * facilities.price[:, -1] / 1_000.0
    return prices


def _joined(parts: Sequence[Ints]) -> Ints:
    return np.concatenate([np.empty(0, dtype=np.int64), *parts]).astype(np.int64)


def _joined_floats(parts: Sequence[Floats]) -> Floats:
    return np.concatenate([np.empty(0), *parts])
