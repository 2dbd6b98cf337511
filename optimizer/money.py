"""Who pays how much, in whole fen: voucher lots in their drawing order first, cash for the rest."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from optimizer.arrays import Ints
from optimizer.problem import JobSpec, LotSpec, PoolSpec, Shape
from suanwang.model.plan import ReasonCode
from suanwang.units import MS_PER_HOUR, UYUAN_PER_FEN, hold_fen, share_fen

_MS_PER_S: Final = 1_000
_INT64_SAFE: Final = 2**62


@dataclass(frozen=True, slots=True)
class Payment:
    """How a price is paid: fen from each lot (only lots that pay something), the rest in cash."""

    price_fen: int
    lots: Mapping[str, int]
    cash_fen: int

    @property
    def voucher_fen(self) -> int:
        """All that the lots pay."""
        return sum(self.lots.values())


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Why a price cannot be paid: vouchers give ``voucher_fen``, cash at most ``cash_fen``."""

    code: ReasonCode
    price_fen: int
    voucher_fen: int
    cash_fen: int


@dataclass(frozen=True, slots=True)
class Run:
    """A run that is to be paid: where and when, and the most that it can cost."""

    job: JobSpec
    pool: PoolSpec
    price_fen: int
    start_s: float
    end_s: float


def price_fen_max(shape: Shape, pool: PoolSpec) -> int:
    """Return the most that a job of a shape can cost in the pool: this is what is held."""
    return int(hold_fen(shape.units * _run_ms(shape), pool.price_uyuan_per_unit_hour))


def prices_fen_max(shape: Shape, prices_uyuan_per_unit_hour: Ints) -> Ints:
    """Return ``price_fen_max`` for many pools at once, from what they charge."""
    unit_ms = shape.units * _run_ms(shape)
    if unit_ms * int(prices_uyuan_per_unit_hour.max(initial=1)) < _INT64_SAFE:
        exact = prices_uyuan_per_unit_hour * unit_ms
        prices: Ints = -(-exact // (MS_PER_HOUR * UYUAN_PER_FEN))
        return prices
    amounts = [hold_fen(unit_ms, int(price)) for price in prices_uyuan_per_unit_hour]
    return np.array(amounts, dtype=np.int64)


def _run_ms(shape: Shape) -> int:
    return -int(-shape.run_s * _MS_PER_S // 1)


def drawing_order(lots: Iterable[LotSpec]) -> tuple[LotSpec, ...]:
    """Return the lots as they are drawn: rank first, then what expires first, then the id."""
    return tuple(sorted(lots, key=lambda lot: (lot.rank, lot.expires_s, lot.id)))


def lot_allows(lot: LotSpec, job: JobSpec, pool: PoolSpec) -> bool:
    """Whether the lot may pay for the job in the pool, its expiry aside."""
    return (
        job.uses_voucher
        and lot.tenant_id == job.tenant_id
        and (not lot.sites or pool.site_id in lot.sites)
        and (not lot.accelerators or pool.accelerator in lot.accelerators)
    )


@dataclass(slots=True)
class Purse:
    """What is left of every lot and every tenant's cash while a plan is made. Never below zero."""

    lots_of: Mapping[str, tuple[LotSpec, ...]]
    lot_left_fen: dict[str, int]
    cash_left_fen: dict[str, int] = field(default_factory=dict)

    def split(self, run: Run) -> Payment | Shortfall:
        """Return how a run would be paid that lasts from its start to its end at most."""
        job = run.job
        rest, drawn = run.price_fen, {}
        for lot in self.lots_of.get(job.tenant_id, ()):
            lasts = lot.lasts_for(run.start_s, run.end_s)
            if rest == 0 or not lasts or not lot_allows(lot, job, run.pool):
                continue
            share = share_fen(run.price_fen, lot.ratio_num, lot.ratio_den)
            amount = min(rest, share, self.lot_left_fen[lot.id])
            if amount > 0:
                drawn[lot.id] = amount
                rest -= amount
        paid_fen = run.price_fen - rest
        cash = self.cash_left_fen.get(job.tenant_id, 0)
        if job.cash_fen_max is not None and rest > job.cash_fen_max:
            least = min(cash, job.cash_fen_max)
            return Shortfall(ReasonCode.CASH_BUDGET, run.price_fen, paid_fen, least)
        if rest > cash:
            code = ReasonCode.VOUCHER if job.uses_voucher else ReasonCode.CASH_BUDGET
            return Shortfall(code, run.price_fen, paid_fen, cash)
        return Payment(run.price_fen, drawn, rest)

    def take(self, job: JobSpec, payment: Payment) -> None:
        """Set the money aside."""
        self._move(job, payment, -1)

    def give_back(self, job: JobSpec, payment: Payment) -> None:
        """Undo ``take``."""
        self._move(job, payment, 1)

    def _move(self, job: JobSpec, payment: Payment, sign: int) -> None:
        for lot_id, amount in payment.lots.items():
            self.lot_left_fen[lot_id] += sign * amount
        if payment.cash_fen:
            self.cash_left_fen[job.tenant_id] = (
                self.cash_left_fen.get(job.tenant_id, 0) + sign * payment.cash_fen
            )


def purse_of(lots: Iterable[LotSpec], cash_fen: Mapping[str, int]) -> Purse:
    """Return a full purse; lots with nothing left are not in it."""
    by_tenant: dict[str, list[LotSpec]] = defaultdict(list)
    for lot in lots:
        if lot.available_fen > 0:
            by_tenant[lot.tenant_id].append(lot)
    return Purse(
        lots_of={tenant: drawing_order(own) for tenant, own in by_tenant.items()},
        lot_left_fen={lot.id: lot.available_fen for own in by_tenant.values() for lot in own},
        cash_left_fen={tenant: max(0, amount) for tenant, amount in cash_fen.items()},
    )
