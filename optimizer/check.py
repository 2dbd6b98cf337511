"""Our own check of a finished plan, from the problem alone: it shares no code with the planner.

A plan that breaks one line is never handed out.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from optimizer.check_energy import asleep_w, energy_violations
from optimizer.check_lines import End, Taken, facility_w
from optimizer.problem import JobSpec, LotSpec, PoolSpec, Problem, ReservationSpec, SiteSpec
from suanwang.model.plan import Placement, Plan

_INSTANT_S: Final = 1e-6
_WATT_SLACK: Final = 0.01
_MS_PER_HOUR: Final = 3_600_000
_UYUAN_PER_FEN: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Booking:
    """A placement with all that it is checked against."""

    placement: Placement
    job: JobSpec
    pool: PoolSpec
    site: SiteSpec
    start_s: float
    is_kept: bool = False

    @property
    def run_s(self) -> float:
        """The longest that it may run at the width that it was given."""
        if self.job.running is not None:
            return self.job.run_s + (0.0 if self.is_kept else self.job.running.checkpoint_s)
        other = {shape.units: shape.run_s for shape in self.job.shapes}
        return other.get(self.placement.units, self.job.run_s)

    @property
    def is_a_shape(self) -> bool:
        """Whether the job may run at that width."""
        if self.job.running is not None:
            return self.placement.units == self.job.units
        return self.placement.units in {self.job.units, *(one.units for one in self.job.shapes)}


def violations(problem: Problem, plan: Plan) -> tuple[str, ...]:
    """Return a line for everything in the plan that breaks a rule of the problem."""
    found = list(_each_job_once(problem, plan))
    bookings, unknown = _bookings(problem, plan)
    found += unknown
    lots = {lot.id: lot for lot in problem.lots}
    for booking in bookings:
        found += _rules_of(problem, booking)
        found += _price_of(booking)
        found += _lots_of(lots, booking)
    found += _capacity(problem, bookings)
    found += _nodes(problem, bookings)
    found += _reserved(problem, bookings)
    found += _order(problem, bookings)
    taken = _taken(problem, bookings)
    found += _power(problem, taken, asleep_w(problem, plan))
    found += energy_violations(problem, plan, taken)
    found += _money(problem, bookings)
    return tuple(found)


def _each_job_once(problem: Problem, plan: Plan) -> Iterable[str]:
    placements = (*plan.starts, *plan.later, *plan.kept, *plan.moves)
    answers = Counter(placement.job_id for placement in placements)
    answers.update(rejection.job_id for rejection in plan.rejections)
    wanted = Counter(job.id for job in problem.jobs)
    for job_id in sorted(set(wanted) | set(answers)):
        if wanted[job_id] != answers[job_id]:  # type: ignore[index]  # JobId is a str
            yield f"job {job_id} is asked {wanted[job_id]} times and answered {answers[job_id]}"  # type: ignore[index]  # JobId is a str


def _bookings(problem: Problem, plan: Plan) -> tuple[list[_Booking], list[str]]:
    jobs = {job.id: job for job in problem.jobs}
    pools = {pool.id: pool for pool in problem.pools}
    sites = {site.id: site for site in problem.sites}
    starts_s = [slot.start_s for slot in problem.slots]
    bookings, unknown = [], []
    lists = (plan.starts, plan.later, plan.kept, plan.moves)
    for placement, its_list in ((one, some) for some in lists for one in some):
        job, pool = jobs.get(placement.job_id), pools.get(placement.pool_id)
        if job is None or pool is None or pool.site_id != placement.site_id:
            unknown.append(f"job {placement.job_id}: unknown job, pool or site in its placement")
            continue
        start_s = (placement.start - problem.origin).total_seconds()
        if all(abs(start_s - slot_s) > _INSTANT_S for slot_s in starts_s):
            unknown.append(f"job {job.id} starts at {start_s} s, where no slot begins")
        is_now = start_s <= starts_s[0] + _INSTANT_S
        is_kept = job.running is not None and is_now and pool.id == job.running.pool_id
        if its_list is not _list_of(plan, job, is_now=is_now, is_kept=is_kept):
            unknown.append(f"job {job.id} is in the wrong list for a start at {start_s} s")
        site = sites[pool.site_id]
        bookings.append(_Booking(placement, job, pool, site, start_s, is_kept))
    return bookings, unknown


def _list_of(plan: Plan, job: JobSpec, *, is_now: bool, is_kept: bool) -> tuple[Placement, ...]:
    if job.running is not None:
        return plan.kept if is_kept else plan.moves
    return plan.starts if is_now else plan.later


def _rules_of(problem: Problem, booking: _Booking) -> Iterable[str]:
    job, pool, site = booking.job, booking.pool, booking.site
    if booking.is_kept:
        is_wrong = not booking.is_a_shape or booking.placement.price_fen_max != 0
        return [f"job {job.id} runs, and is not kept as it is"] if is_wrong else []
    if job.running is not None and not job.running.may_move:
        return [f"job {job.id} is moved, and may not be"]
    if job.running is not None and not job.running.may_wait and booking.start_s > _INSTANT_S:
        return [f"job {job.id} is put off, and may not be"]
    rtt_ms = problem.rtt_ms.get((job.origin, site.id))
    is_home = bool(job.data_home) and job.data_home in site.data_homes
    broken = {
        "units": not booking.is_a_shape or booking.placement.units > pool.units,
        "accelerator": bool(job.accelerators) and pool.accelerator not in job.accelerators,
        "domestic": job.domestic_only and not pool.is_domestic,
        "site": bool(job.sites) and site.id not in job.sites,
        "avoid": pool.id in job.avoid,
        "open": not site.is_open,
        "data": not is_home and job.data_class not in site.accepts,
        "latency": job.latency_ms_max is not None
        and (rtt_ms is None or rtt_ms > job.latency_ms_max),
        "earliest": booking.start_s < job.earliest_s - _INSTANT_S,
        "deadline": job.deadline_s is not None
        and booking.start_s + booking.run_s > job.deadline_s + _INSTANT_S,
    }
    return [
        f"job {job.id} at {pool.id} breaks its {rule} rule" for rule, bad in broken.items() if bad
    ]


def _price_of(booking: _Booking) -> Iterable[str]:
    placement, job = booking.placement, booking.job
    if booking.is_kept:
        return
    unit_ms = placement.units * -int(-booking.run_s * 1_000 // 1)
    exact = unit_ms * booking.pool.price_uyuan_per_unit_hour
    price = -(-exact // (_MS_PER_HOUR * _UYUAN_PER_FEN))
    if placement.price_fen_max != price:
        yield f"job {job.id} holds {placement.price_fen_max} fen, it can cost {price}"
    if placement.cash_fen + sum(placement.lots.values()) != price:
        yield f"job {job.id}: lots and cash do not add up to {price} fen"
    if placement.cash_fen < 0 or any(amount <= 0 for amount in placement.lots.values()):
        yield f"job {job.id} has an amount that is not positive"
    if job.cash_fen_max is not None and placement.cash_fen > job.cash_fen_max:
        yield f"job {job.id} pays {placement.cash_fen} fen cash, its limit is {job.cash_fen_max}"


def _lots_of(lots: Mapping[str, LotSpec], booking: _Booking) -> Iterable[str]:
    for lot_id, amount in booking.placement.lots.items():
        lot = lots.get(lot_id)
        if lot is None or not _may_pay(lot, booking):
            yield f"job {booking.job.id}: lot {lot_id} may not pay for it there and then"
        elif amount > booking.placement.price_fen_max * lot.ratio_num // lot.ratio_den:
            yield f"job {booking.job.id}: lot {lot_id} pays {amount} fen, more than its share"


def _may_pay(lot: LotSpec, booking: _Booking) -> bool:
    job, pool = booking.job, booking.pool
    return (
        job.uses_voucher
        and lot.tenant_id == job.tenant_id
        and (not lot.sites or pool.site_id in lot.sites)
        and (not lot.accelerators or pool.accelerator in lot.accelerators)
        and lot.lasts_for(booking.start_s, booking.start_s + booking.run_s)
    )


def _capacity(problem: Problem, bookings: list[_Booking]) -> Iterable[str]:
    used: Counter[tuple[str, int]] = Counter()
    for booking in bookings:
        for t in _touched(problem, booking):
            used[booking.pool.id, t] += booking.placement.units
    free = {pool.id: pool.units_free for pool in problem.pools}
    for (pool_id, t), units in sorted(used.items()):
        if units > max(0, free[pool_id][t]):
            yield f"pool {pool_id} slot {t}: {units} units in use of {free[pool_id][t]}"


def _nodes(problem: Problem, bookings: list[_Booking]) -> Iterable[str]:
    """Where nodes are known, what starts now names them: one, or whole ones and a rest."""
    for pool in problem.pools:
        free = {f"node-{at}": units for at, units in enumerate(pool.nodes, start=1)}
        size = max((pool.units_per_node, *pool.nodes))
        here = [booking for booking in bookings if booking.pool.id == pool.id]
        first_s = problem.slots[0].start_s
        now = [one for one in here if one.start_s <= first_s and not one.is_kept]
        taken: Counter[str] = Counter()
        for booking in now if free else ():
            nodes, units = booking.placement.nodes, booking.placement.units
            taken.update(nodes)
            most = -(-units // size)
            if sum(nodes.values()) != units or len(nodes) > most:
                yield f"job {booking.job.id} has {dict(nodes)} for {units} units in {pool.id}"
        for node, units in sorted(taken.items()):
            if units > free.get(node, 0):
                yield f"pool {pool.id}: {units} units of {node} with {free.get(node, 0)}"


def _reserved(problem: Problem, bookings: list[_Booking]) -> Iterable[str]:
    """What sits in no reservation, and what is more than was reserved, is within the rest."""
    order = sorted(problem.reservations, key=lambda one: one.id)
    for pool in problem.pools:
        own = [one for one in order if one.pool_id == pool.id]
        here = [booking for booking in bookings if booking.pool.id == pool.id]
        for t, slot in enumerate(problem.slots):
            now = [one for one in own if one.from_s < slot.end_s and one.until_s > slot.start_s]
            inside: Counter[str] = Counter()
            used = 0
            for booking in here if now else ():
                if t in _touched(problem, booking):
                    used += booking.placement.units
                    inside[_seat(booking.job, now)] += booking.placement.units
            outside = used - sum(min(one.units, inside[one.id]) for one in now)
            left = max(0, pool.units_free[t] - sum(one.units for one in now))
            if now and outside > left:
                yield f"pool {pool.id} slot {t}: {outside} units outside reservations of {left}"


def _seat(job: JobSpec, now: list[ReservationSpec]) -> str:
    named = [one.id for one in now if job.id in one.jobs]
    shared = [one.id for one in now if job.tenant_id in one.tenants]
    return next(iter((*named, *shared)), "")


def _order(problem: Problem, bookings: list[_Booking]) -> Iterable[str]:
    """Nothing starts before what it waits for is over and its data has come."""
    placed = {booking.job.id: booking for booking in bookings}
    known = {job.id for job in problem.jobs}
    for booking in bookings:
        for after in booking.job.after:
            first = placed.get(after.job_id)
            if after.job_id in known and after.end_s is None:
                end_s = None if first is None else first.start_s + first.run_s
                site_id = "" if first is None else first.site.id
            else:
                end_s, site_id = after.end_s, after.site_id
            if end_s is None:
                yield f"job {booking.job.id} starts, and {after.job_id} that it waits for does not"
                continue
            ready_s = end_s + after.transfer_gb * _s_per_gb(problem, site_id, booking.site.id)
            if booking.start_s < ready_s - _INSTANT_S:
                yield f"job {booking.job.id} starts {ready_s - booking.start_s} s before its data"


def _s_per_gb(problem: Problem, one: str, other: str) -> float:
    link = problem.links.get((one, other))
    if link is None:
        is_free = one == other or not one
        return 0.0 if is_free else 8.0 / problem.usual_link.gbps
    return 8.0 / link.gbps


def _taken(problem: Problem, bookings: list[_Booking]) -> Taken:
    units: Counter[tuple[str, int]] = Counter()
    mean_w: defaultdict[tuple[str, int], float] = defaultdict(float)
    high_w: defaultdict[tuple[str, int], float] = defaultdict(float)
    ends: defaultdict[tuple[str, int], list[End]] = defaultdict(list)
    for booking in bookings:
        watts = booking.placement.units * max(0.0, booking.pool.busy_extra_w)
        end_s = booking.start_s + booking.run_s
        for t in _touched(problem, booking):
            slot = problem.slots[t]
            units[booking.pool.id, t] += booking.placement.units
            high_w[booking.site.id, t] += watts
            in_use_s = min(end_s, slot.end_s) - max(booking.start_s, slot.start_s)
            mean_w[booking.site.id, t] += watts * in_use_s / slot.length_s
            if end_s < slot.end_s:
                ends[booking.site.id, t].append(End(watts, end_s))
    return Taken(units=units, mean_w=mean_w, high_w=high_w, ends=ends)


def _power(
    problem: Problem, taken: Taken, saved_w: Mapping[tuple[str, int], float]
) -> Iterable[str]:
    sites = {site.id: site for site in problem.sites}
    for (site_id, t), watts in sorted(taken.high_w.items()):
        site = sites[site_id]
        base_w = site.it_base_w[t] - saved_w.get((site_id, t), 0.0)
        total_w = facility_w(site.facility_w[t], base_w + watts)
        if watts > 0 and total_w > site.power_w_max[t] * (1 + 1e-9) + _WATT_SLACK:
            yield f"site {site_id} slot {t}: {total_w:.0f} W of {site.power_w_max[t]:.0f} W"


def _money(problem: Problem, bookings: list[_Booking]) -> Iterable[str]:
    cash: Counter[str] = Counter()
    drawn: Counter[str] = Counter()
    for booking in bookings:
        cash[booking.job.tenant_id] += booking.placement.cash_fen
        drawn.update(booking.placement.lots)
    available = {lot.id: lot.available_fen for lot in problem.lots}
    for tenant, amount in sorted(cash.items()):
        if amount > max(0, problem.cash_fen.get(tenant, 0)):
            yield f"tenant {tenant}: {amount} fen cash of {problem.cash_fen.get(tenant, 0)}"
    for lot_id, amount in sorted(drawn.items()):
        if amount > available.get(lot_id, 0):
            yield f"lot {lot_id}: {amount} fen of {available.get(lot_id, 0)}"


def _touched(problem: Problem, booking: _Booking) -> list[int]:
    end_s = booking.start_s + booking.run_s
    return [
        t
        for t, slot in enumerate(problem.slots)
        if slot.end_s > booking.start_s + _INSTANT_S and slot.start_s < end_s - _INSTANT_S
    ]
