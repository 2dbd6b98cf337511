"""Steps 4 and 5 of the cycle: planned starts against the newest state, and what is written of them.

Many starts are one unit of work: pools, sites and lots are read once, money is set aside by one
batch of the ledger, rows go in a few statements. Each start still is whole or not at all, and one
that the newest state refuses does not touch its neighbours: nothing is written before all refusals
are known.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from scheduler import registry, store, store_registry
from scheduler.billing import HoldRefused
from scheduler.context import Context
from scheduler.events import Placed
from scheduler.registry import RegisteredSite
from scheduler.snapshot import is_reachable
from scheduler.transition import Wanted, take_many
from suanwang.errors import SuanwangError
from suanwang.ids import JobId, PoolId, SiteId
from suanwang.model.job import Job
from suanwang.model.plan import Placement, ReasonCode
from suanwang.model.site import Pool
from suanwang.model.voucher import HoldSlice, Lot
from suanwang.units import hold_fen
from voucher import store as money_store
from voucher import tenure
from voucher.outcomes import RefusalCode
from voucher.tender import slices_for
from voucher.turn import Turn

_ANY_CASH: Final = 10**15


@dataclass(frozen=True, slots=True)
class Start:
    """A start that a plan proposes: the job as it was planned, and where it goes."""

    job: Job
    placement: Placement


@dataclass(frozen=True, slots=True)
class Refusal:
    """The newest state says no to a planned start."""

    reason: ReasonCode
    message: str


def start_many(
    context: Context, epoch: int, starts: Sequence[Start], turn: Turn
) -> dict[JobId, Refusal]:
    """Start jobs, each whole or not at all; return those that the newest state refuses, and why."""
    tenure.require(turn, epoch)
    now = context.clock.now()
    ground = Ground(turn.connection, [start.placement.pool_id for start in starts], now)
    stands = store.lock_stands(turn.connection, [start.job.id for start in starts])
    retried = [start.job.id for start in starts if start.job.attempts]
    attempts = store.latest_attempts(turn.connection, retried)
    refused: dict[JobId, Refusal] = {}
    wanted: list[Wanted] = []
    for start in starts:
        job, stand = start.job, stands.get(start.job.id)
        if stand is None or stand.version != job.version or not stand.is_waiting:
            message = "the job changed while it was planned"
            refused[job.id] = Refusal(ReasonCode.STALE, message)
            continue
        event = ground.check(context, start)
        if isinstance(event, Refusal):
            refused[job.id] = event
        else:
            wanted.append(Wanted(job, attempts.get(job.id), replace(event, epoch=epoch)))
    for one, failure in zip(wanted, take_many(turn, wanted, now), strict=True):
        if failure is not None:
            refused[one.job.id] = _in_words(failure)
    context.on_step("committing")
    return refused


def words(placement: Placement) -> str:
    """Return why the placement's own pool was chosen."""
    chosen = [verdict for verdict in placement.verdicts if verdict.pool_id == placement.pool_id]
    return chosen[0].message if chosen else f"placed at {placement.site_id}"


class Ground:
    """The newest state of all that the starts touch, and what is left of it after each.

    ``besides`` is a job that moves here: what is kept for it is not taken from it.
    """

    def __init__(
        self,
        connection: Connection,
        pool_ids: Sequence[PoolId],
        now: datetime,
        besides: JobId | None = None,
    ) -> None:
        self._connection, self._now = connection, now
        wanted = sorted(set(pool_ids))
        self._pools: dict[PoolId, Pool] = {
            pool.id: pool for pool in store_registry.pools_locked(connection, wanted)
        }
        used = store.live_units(connection, wanted, besides)
        self._free = {
            pool.id: max(0, pool.units_usable - used.get(pool.id, 0))
            for pool in self._pools.values()
        }
        self._sites: dict[SiteId, RegisteredSite] = {
            registered.site.id: registered for registered in registry.sites(connection)
        }
        self._lots: dict[str, list[Lot]] = {}

    def check(self, context: Context, start: Start) -> Placed | Refusal:
        """Check pool, site and price as they are now; return the event that starts the job."""
        placement, wishes = start.placement, start.job.wanted
        pool = self.room(placement.pool_id, placement.units)
        if isinstance(pool, Refusal):
            return pool
        slices = self._slices(start, pool)
        if isinstance(slices, Refusal):
            return slices
        self._free[pool.id] -= placement.units
        lease_s = context.limits.start_margin_s + wishes.use_s_at(placement.units)
        return Placed(
            at=self._now,
            site_id=placement.site_id,
            pool_id=placement.pool_id,
            price_uyuan_per_unit_hour=pool.price_uyuan_per_unit_hour,
            epoch=0,
            lease_expires_at=self._now + timedelta(seconds=lease_s),
            slices=slices,
            units=placement.units,
            message=words(placement),
        )

    def room(self, pool_id: PoolId, units: int) -> Pool | Refusal:
        """Return the pool where its site takes jobs and so many units are free, else why not."""
        pool = self._pools.get(pool_id)
        registered = None if pool is None else self._sites.get(pool.site_id)
        if pool is None or registered is None:
            return Refusal(ReasonCode.STALE, f"pool {pool_id} is not there any more")
        if not registered.is_open or not is_reachable(registered, self._now):
            message = f"{pool.site_id} takes no jobs at the moment"
            return Refusal(ReasonCode.SITE_DOWN, message)
        free = self._free[pool.id]
        if free < units:
            message = f"{pool.id} has {free} units free, the job needs {units}"
            return Refusal(ReasonCode.CAPACITY, message)
        return pool

    def _slices(self, start: Start, pool: Pool) -> tuple[HoldSlice, ...] | Refusal:
        """Return what to hold: the planned lots in drawing order, cash for the rest."""
        placement = start.placement
        unit_ms = placement.units * start.job.wanted.use_s_at(placement.units) * 1_000
        price_fen = int(hold_fen(unit_ms, pool.price_uyuan_per_unit_hour))
        if price_fen > placement.price_fen_max:
            message = f"the price rose from {placement.price_fen_max} to {price_fen} fen"
            return Refusal(ReasonCode.STALE, message)
        known = self._lots_of(start.job) if placement.lots else []
        lots = [
            replace(lot, available_fen=min(lot.available_fen, placement.lots[lot.id]))
            for lot in known
            if lot.id in placement.lots
        ]
        slices = slices_for(price_fen, lots, _ANY_CASH, self._now) or ()
        cash_fen = sum(part.amount_fen for part in slices if part.lot_id is None)
        if cash_fen > placement.cash_fen + len(placement.lots):
            message = f"a voucher has less than planned: cash would be {cash_fen} fen"
            return Refusal(ReasonCode.VOUCHER, message)
        self._draw(known, slices)
        return slices

    def _lots_of(self, job: Job) -> list[Lot]:
        if job.tenant_id not in self._lots:
            found = money_store.lots(self._connection, tenant_id=job.tenant_id, now=self._now)
            self._lots[job.tenant_id] = list(found)
        return self._lots[job.tenant_id]

    @staticmethod
    def _draw(lots: list[Lot], slices: tuple[HoldSlice, ...]) -> None:
        """What one start takes from a lot the next one finds gone."""
        taken = {part.lot_id: part.amount_fen for part in slices}
        for at, lot in enumerate(lots):
            if lot.id in taken:
                lots[at] = replace(lot, available_fen=lot.available_fen - taken[lot.id])


def _in_words(failure: SuanwangError | HoldRefused) -> Refusal:
    if isinstance(failure, SuanwangError):
        return Refusal(ReasonCode.STALE, failure.message)
    is_cash = failure.refusal.code is RefusalCode.CASH_SHORT
    reason = ReasonCode.CASH_BUDGET if is_cash else ReasonCode.VOUCHER
    return Refusal(reason, f"no money set aside: {failure}")
