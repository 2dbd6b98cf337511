"""Which lots may pay for a column, and whether a tenant's money could pay for it at all."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from optimizer.arrays import Bools, Ints
from optimizer.instance import Instance
from optimizer.money import Payment, Run, Shortfall, lot_allows, prices_fen_max
from optimizer.problem import JobSpec, LotSpec, Shape


@dataclass(frozen=True, slots=True)
class Funding:
    """The lots (in drawing order) that may pay for some columns of a class."""

    klass: int
    lots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Funded:
    """``funding[p,t]`` by pool and slot, ``price_fen`` by pool, and what is short where nothing is.

    ``short`` has the pools in which the money reaches no start that there would be otherwise.
    """

    funding: Ints
    price_fen: Ints
    short: Mapping[int, Shortfall] = field(default_factory=dict)


class Funder:
    """Finds the fundings of one class after the other; each is kept once, in ``fundings``."""

    def __init__(self, instance: Instance) -> None:
        self.fundings: list[Funding] = []
        self._funding_at: dict[Funding, int] = {}
        self._instance = instance
        self._purse = instance.purse()
        self._prices = np.array(
            [pool.price_uyuan_per_unit_hour for pool in instance.pools], dtype=np.int64
        )

    def prices(self, shape: Shape) -> Ints:
        """Return the most that a job of a shape can cost, by pool, in fen."""
        return prices_fen_max(shape, self._prices)

    def held(self, k: int) -> int:
        """Return the funding of a job whose money is held already: nobody pays any more."""
        return self._funding(Funding(k, ()))

    def fund(self, who: tuple[int, JobSpec, Shape], is_built: Bools) -> Funded:
        """Say who pays for the starts in ``is_built``, and clear those that nobody can pay."""
        k, job, shape = who
        prices = self.prices(shape)
        lots = self._purse.lots_of.get(job.tenant_id, ()) if job.uses_voucher else ()
        if not lots:
            return self._cash_only(who, prices, is_built)
        funding = np.zeros(is_built.shape, dtype=np.int64)
        short: dict[int, Shortfall] = {}
        cash_fen = self._cash_fen(job)
        lasting = [self._slots_of(lot, shape) for lot in lots]
        for p in np.flatnonzero(is_built.any(axis=1)):
            pool = self._instance.pools[p]
            own = [at for at, lot in enumerate(lots) if lot_allows(lot, job, pool)]
            edges = sorted({0, is_built.shape[1], *(lasting[at] for at in own)})
            for begin, end in pairwise(edges):
                if not is_built[p, begin:end].any():
                    continue
                if prices[p] > cash_fen:
                    payment = self._split(job, shape, (int(p), int(prices[p]), begin))
                else:
                    payment = None
                if isinstance(payment, Shortfall):
                    short[int(p)] = payment
                    is_built[p, begin:end] = False
                    continue
                payers = tuple(lots[at].id for at in own if lasting[at] > begin)
                funding[p, begin:end] = self._funding(Funding(k, payers))
            if is_built[p].any():
                short.pop(int(p), None)
        return Funded(funding, prices, short)

    def _cash_only(self, who: tuple[int, JobSpec, Shape], prices: Ints, is_built: Bools) -> Funded:
        k, job, shape = who
        short: dict[int, Shortfall] = {}
        for p in np.flatnonzero(is_built.any(axis=1) & (prices > self._cash_fen(job))):
            payment = self._split(job, shape, (int(p), int(prices[p]), 0))
            if isinstance(payment, Shortfall):
                short[int(p)] = payment
                is_built[p] = False
        number = self._funding(Funding(k, ())) if is_built.any() else 0
        return Funded(np.full(is_built.shape, number, dtype=np.int64), prices, short)

    def _cash_fen(self, job: JobSpec) -> int:
        """The most that the job could pay in cash."""
        cash = self._purse.cash_left_fen.get(job.tenant_id, 0)
        return cash if job.cash_fen_max is None else min(cash, job.cash_fen_max)

    def _split(
        self, job: JobSpec, shape: Shape, where: tuple[int, int, int]
    ) -> Payment | Shortfall:
        """Return how the job would be paid if it were alone: pool, price in fen and slot given."""
        p, price_fen, slot = where
        start_s = float(self._instance.timeline.start_s[slot])
        pool = self._instance.pools[p]
        return self._purse.split(Run(job, pool, price_fen, start_s, start_s + shape.run_s))

    def _slots_of(self, lot: LotSpec, shape: Shape) -> int:
        """In how many slots, from the first, a run may start that the lot lasts for."""
        starts_s: list[float] = self._instance.timeline.start_s.tolist()
        return bisect_left(
            range(len(starts_s)),
            True,
            key=lambda t: not lot.lasts_for(starts_s[t], starts_s[t] + shape.run_s),
        )

    def _funding(self, funding: Funding) -> int:
        if funding not in self._funding_at:
            self._funding_at[funding] = len(self.fundings)
            self.fundings.append(funding)
        return self._funding_at[funding]
