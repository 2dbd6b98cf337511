"""Reasons: what every pool would mean for a job, in figures or in words, on top of a state."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final

import numpy as np

from optimizer.arrays import Bools, Floats, Ints
from optimizer.hindrances import no_money, no_node, reserved_for_others, waits_for
from optimizer.money import Payment, Shortfall
from optimizer.occupancy import Occupancy
from optimizer.rules import FINAL_REASONS, REASON_RANK, Hindrance, units_text
from suanwang.ids import JobId, PoolId, SiteId
from suanwang.model.plan import Estimate, ReasonCode, Rejection, SiteVerdict

_RANK: Final = {code: at for at, code in enumerate(REASON_RANK)}
NO_ESTIMATES: Final[Mapping[int, Estimate]] = MappingProxyType({})
_SAME_YUAN: Final = 0.005
"""Costs nearer than half a fen are called equal."""
_SAME_HOURS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Offer:
    """A pool's cheapest column that has room and can be paid; ``cost`` is yuan, with energy."""

    column: int
    cost: float
    payment: Payment


@dataclass(frozen=True, slots=True)
class ClassView:
    """One class against one state: cost, room and the like for each of its columns, found once."""

    state: Occupancy
    k: int
    cost: Floats
    energy_wh: Floats
    carbon_g: Floats
    has_units: Bools
    has_power: Bools
    in_order: Bools
    is_seatable: Bools

    @property
    def first(self) -> int:
        """Place of the class's first column."""
        return int(self.state.columns.first[self.k])

    def offer(self, p: int) -> Offer | Hindrance:
        """Return the best column of pool p for one more job of the class, or why there is none."""
        known = self.state.columns.hindrances[self.k].get(p)
        if known is not None:
            return known
        pools = self.state.columns.pool[self.state.columns.of_class(self.k)]
        own = np.flatnonzero((pools == p) & self.in_order)
        if not len(own):
            return self._out_of_order(p)
        open_now = own[(self.has_units & self.has_power & self.is_seatable)[own]]
        if not len(open_now):
            return self._crowded(p, own)
        shortfall: Shortfall | None = None
        for at in open_now[np.argsort(self.cost[open_now], kind="stable")]:
            payment = self.state.split(self.first + int(at))
            if isinstance(payment, Payment):
                return Offer(self.first + int(at), float(self.cost[at]), payment)
            shortfall = payment
        if shortfall is None:
            raise AssertionError("a pool with room and without an offer must lack money")
        return no_money(self.state.instance.classes[self.k].spec, shortfall)

    def offers(self) -> list[Offer | Hindrance]:
        """Return ``offer`` for every pool: of most pools the cheapest open column will do."""
        columns = self.state.columns
        pools = columns.pool[columns.of_class(self.k)]
        open_now = np.flatnonzero(
            self.has_units & self.has_power & self.in_order & self.is_seatable
        )
        order = open_now[np.lexsort((open_now, self.cost[open_now], pools[open_now]))]
        is_first = np.diff(pools[order], prepend=-1) != 0
        found: dict[int, Offer] = {}
        for at in order[is_first]:
            payment = self.state.split(self.first + int(at))
            if isinstance(payment, Payment):
                found[int(pools[at])] = Offer(self.first + int(at), float(self.cost[at]), payment)
        return [found.get(p) or self.offer(p) for p in range(len(self.state.instance.pools))]

    def verdict(
        self, offer: Offer, reason: ReasonCode, message: str, estimate: Estimate | None = None
    ) -> SiteVerdict:
        """Return the row of a pool that could take the job."""
        instance, columns = self.state.instance, self.state.columns
        pool = instance.pools[columns.pool[offer.column]]
        start_s = float(instance.timeline.start_s[columns.slot[offer.column]])
        at = offer.column - self.first
        job = instance.classes[self.k].spec
        return SiteVerdict(
            site_id=SiteId(pool.site_id),
            pool_id=PoolId(pool.id),
            reason=reason,
            message=message,
            start=instance.problem.origin + timedelta(seconds=start_s),
            price_fen=offer.payment.price_fen,
            voucher_fen=offer.payment.voucher_fen,
            cash_fen=offer.payment.cash_fen,
            energy_wh=float(self.energy_wh[at]),
            carbon_g=float(self.carbon_g[at]),
            latency_ms=instance.problem.rtt_ms.get((job.origin, pool.site_id)),
            cost=offer.cost,
            estimate=estimate,
        )

    def refusal(self, p: int, hindrance: Hindrance) -> SiteVerdict:
        """Return the row of a pool that cannot take the job."""
        pool = self.state.instance.pools[p]
        return SiteVerdict(
            site_id=SiteId(pool.site_id),
            pool_id=PoolId(pool.id),
            reason=hindrance.code,
            message=hindrance.message,
        )

    def _out_of_order(self, p: int) -> Hindrance:
        """The pool has columns, and all of them begin before what the job waits for is there."""
        instance = self.state.instance
        ready_s = self.state.order.ready_s(self.k, int(instance.site_of[p]))
        names = {
            instance.classes[arc.before].spec.id for arc in instance.precedence.into.get(self.k, ())
        }
        return waits_for(names, ready_s)

    def _crowded(self, p: int, own: Ints) -> Hindrance:
        """Say what the pool lacks, of units, power and nodes, for the columns ``own``."""
        if not self.has_units[own].any():
            return self._no_units(p)
        if not (self.has_units & self.has_power)[own].any():
            return self._no_power(p)
        return self.no_node(p)

    def _no_units(self, p: int) -> Hindrance:
        units = self._units_min(p)
        plain = self.state.instance.units_free[p] - self.state.used[p]
        free = self._most_in_a_window(p, self.state.free_for(self.k)[p])
        if self._most_in_a_window(p, plain) >= units:
            return reserved_for_others(units, int(free))
        return Hindrance(
            ReasonCode.CAPACITY,
            f"the job needs {units_text(units)} at a time; other jobs leave at most {free:g} "
            "for as long as it may run, in the slots it could start in; it waits for them to end",
            {"units": units, "units_free": free},
        )

    def _no_power(self, p: int) -> Hindrance:
        instance = self.state.instance
        s = int(instance.site_of[p])
        need_w = float(self._units_min(p) * instance.busy_w[p])
        room_w = self._most_in_a_window(p, instance.facilities.room_w[s] - self.state.peak_w[s])
        return Hindrance(
            ReasonCode.SITE_POWER,
            f"the job draws {need_w / 1000:.1f} kW more; other jobs leave at most "
            f"{max(0.0, room_w) / 1000:.1f} kW of the site's power limit; it waits for them to end",
            {"need_w": need_w, "room_w": max(0.0, room_w)},
        )

    def no_node(self, p: int) -> Hindrance:
        """Say that no node of the pool holds the class's gang now."""
        columns = self.state.columns
        own = columns.of_class(self.k)
        most = max(
            free
            for column, free in self.state.barred.items()
            if own.start <= column < own.stop and columns.pool[column] == p
        )
        return no_node(self._units_min(p), most)

    def _units_min(self, p: int) -> int:
        """Units of the narrowest shape that the pool could take."""
        columns = self.state.columns
        own = columns.of_class(self.k)
        return int(columns.units[own][columns.pool[own] == p].min())

    def _most_in_a_window(self, p: int, free: Floats | Ints) -> float:
        """The most that stays free over a whole run, over all starts of the class in pool p."""
        columns = self.state.columns
        own = columns.of_class(self.k)
        starts = self.first + np.flatnonzero(columns.pool[own] == p)
        return max(float(free[columns.slot[at] : columns.last[at] + 1].min()) for at in starts)


def view(state: Occupancy, k: int) -> ClassView:
    """Return class k against the state as it is now."""
    return ClassView(
        state=state,
        k=k,
        cost=state.columns.cost[state.columns.of_class(k)] + state.added_yuan(k),
        energy_wh=state.energy_wh(k),
        carbon_g=state.carbon_g(k),
        has_units=state.has_units(k),
        has_power=state.has_power(k),
        in_order=state.order.in_order(k),
        is_seatable=state.is_seatable(k),
    )


def verdicts_of_start(state: Occupancy, column: int) -> tuple[SiteVerdict, ...]:
    """Return a row for every pool for a job that the plan starts by ``column``: its own row first.

    Every row says what the job alone adds to the rest of the plan, so rows can be compared.
    """
    k = int(state.columns.klass[column])
    payment = state.give_back(column)
    seen = view(state, k)
    own = Offer(column, float(seen.cost[column - seen.first]), payment)
    rows = [seen.verdict(own, *_why_this_slot(seen, own))]
    others = []
    for p, offer in enumerate(seen.offers()):
        if p == int(state.columns.pool[column]):
            continue
        if isinstance(offer, Hindrance):
            others.append(seen.refusal(p, offer))
        else:
            others.append(seen.verdict(offer, ReasonCode.DEARER, _dearer(offer, own)))
    state.take(column, payment)
    return (*rows, *cheapest_first(others))


def verdicts_of_quote(
    state: Occupancy, k: int, estimates: Mapping[int, Estimate] = NO_ESTIMATES
) -> tuple[SiteVerdict, ...]:
    """Return a row for every pool for one more job of class k, cheapest first, refusals last.

    ``estimates`` count the queue, by pool.
    """
    seen = view(state, k)
    found = seen.offers()
    offers = [offer for offer in found if isinstance(offer, Offer)]
    best = min(offers, key=lambda offer: (offer.cost, offer.column), default=None)
    rows = []
    for p, offer in enumerate(found):
        if isinstance(offer, Hindrance):
            rows.append(seen.refusal(p, offer))
        elif best is None or offer.column == best.column:
            why = (ReasonCode.PLACED, "cheapest place for the job")
            rows.append(seen.verdict(offer, *why, estimates.get(p)))
        else:
            why = (ReasonCode.DEARER, _dearer(offer, best))
            rows.append(seen.verdict(offer, *why, estimates.get(p)))
    return cheapest_first(rows)


def reject(state: Occupancy, k: int, *, is_complete: bool) -> Rejection:
    """Return the rejection of a job of class k that is left out, under the class's first id.

    The headline is the reason of the pool that came nearest to taking it.
    """
    seen = view(state, k)
    klass = state.instance.classes[k]
    nearest: Hindrance | None = None
    nearest_pool, rows = "", []
    for p, found in enumerate(seen.offers()):
        if isinstance(found, Offer):
            hindrance = _not_used(found, klass.unserved_yuan, is_complete=is_complete)
            rows.append(seen.verdict(found, hindrance.code, hindrance.message))
        else:
            hindrance = found
            rows.append(seen.refusal(p, found))
        if nearest is None or _rank(hindrance) > _rank(nearest):
            nearest, nearest_pool = hindrance, state.instance.pools[p].id
    if nearest is None:
        nearest = Hindrance(ReasonCode.SITE_DOWN, "there is no pool at all; register a site")
    reasons = {row.reason for row in rows}
    where = f"nearest is pool {nearest_pool}: " if nearest_pool else ""
    return Rejection(
        job_id=JobId(klass.spec.id),
        reason=nearest.code,
        message=f"{where}{nearest.message}{_standing(state, k)}",
        is_final=bool(reasons) and all(_is_final(state, k, reason) for reason in reasons),
        facts=dict(nearest.facts),
        verdicts=cheapest_first(rows),
    )


def cheapest_first(rows: list[SiteVerdict]) -> tuple[SiteVerdict, ...]:
    """Rows with figures by cost, then the refused ones, nearest reason first."""

    def key(row: SiteVerdict) -> tuple[bool, float, int, str]:
        cost = 0.0 if row.cost is None else row.cost
        return (row.cost is None, cost, -_RANK.get(row.reason, len(_RANK)), row.pool_id)

    return tuple(sorted(rows, key=key))


def _standing(state: Occupancy, k: int) -> str:
    """How a tenant stands against its fair share, for one whose job is left out."""
    fairness = state.instance.fairness
    if not fairness.is_on:
        return ""
    i = int(fairness.tenant_of[k])
    served, share = float(fairness.served(state.left)[i]), float(fairness.share[i])
    word = "is below its share" if served < share - _SAME_HOURS else "has its share"
    return (
        f"; tenant {fairness.tenants[i]} {word}: the plan serves {served:.1f} unit-hours of the "
        f"{share:.1f} that it is due"
    )


def _why_this_slot(seen: ClassView, own: Offer) -> tuple[ReasonCode, str]:
    """Why the job starts where and when it does; for a later slot: why not now."""
    columns = seen.state.columns
    slot = int(columns.slot[own.column])
    if seen.state.is_kept(own.column):
        return ReasonCode.PLACED, "it runs here and goes on; no other place is worth a move"
    if slot == 0:
        return ReasonCode.PLACED, f"starts here; it adds {own.cost:.2f} yuan to the plan's cost"
    job = seen.state.instance.classes[seen.k].spec
    units = int(columns.units[own.column])
    start_s = float(seen.state.instance.timeline.start_s[slot])
    when = f"starts in {start_s / 60:.0f} min"
    if job.earliest_s > 0:
        return ReasonCode.NOT_YET, f"{when}; it asked to wait for {job.earliest_s / 60:.0f} min"
    own_columns = columns.of_class(seen.k)
    is_now = (columns.slot[own_columns] == 0) & (
        columns.pool[own_columns] == columns.pool[own.column]
    )
    if not (is_now & seen.has_units).any():
        return ReasonCode.CAPACITY, f"{when}, when the pool has {units_text(units)} free for it"
    if not (is_now & seen.has_power).any():
        return ReasonCode.SITE_POWER, f"{when}, when the site's power limit has room for it"
    if (is_now & ~seen.is_seatable).any():
        hindrance = seen.no_node(int(columns.pool[own.column]))
        return hindrance.code, f"{when}; {hindrance.message}"
    cost_now = float(seen.cost[is_now].min())
    return (
        ReasonCode.LATER_IS_CHEAPER,
        f"{when}, which costs {own.cost:.2f} yuan against {cost_now:.2f} now",
    )


def _dearer(offer: Offer, own: Offer) -> str:
    more = offer.cost - own.cost
    if more < -_SAME_YUAN:
        return (
            f"cheaper by {-more:.2f} yuan for this job alone ({offer.cost:.2f} against "
            f"{own.cost:.2f}); the search ended before it was moved"
        )
    if more <= _SAME_YUAN:
        return f"costs the same: {offer.cost:.2f} yuan"
    return f"dearer by {more:.2f} yuan: {offer.cost:.2f} against {own.cost:.2f}"


def _not_used(offer: Offer, unserved_yuan: float, *, is_complete: bool) -> Hindrance:
    if not is_complete and offer.cost < unserved_yuan:
        return Hindrance(
            ReasonCode.TIME_LIMIT,
            "the planner's time limit ended before this job's turn; it is planned next time",
        )
    return Hindrance(
        ReasonCode.DEARER,
        f"a place costs {offer.cost:.2f} yuan, more than the {unserved_yuan:.2f} yuan that the "
        "policy gives for serving it; raise unserved_yuan_per_unit_hour",
        {"cost": offer.cost, "unserved_yuan": unserved_yuan},
    )


def _rank(hindrance: Hindrance) -> int:
    return _RANK.get(hindrance.code, len(_RANK))


def _is_final(state: Occupancy, k: int, reason: ReasonCode) -> bool:
    job = state.instance.classes[k].spec
    if reason is ReasonCode.DEADLINE and job.deadline_s is not None:
        shortest_s = min(shape.run_s for shape in job.options)
        return max(0.0, job.earliest_s) + shortest_s > job.deadline_s
    return reason in FINAL_REASONS
