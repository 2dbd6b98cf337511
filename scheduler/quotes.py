"""Quotes: what a job would cost in each pool of the live network, or why it cannot run there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from optimizer.problem import DEFAULT_SLOT_LENGTHS_S, JobSpec, Problem
from optimizer.quote import Asker, Desk, has_place, open_desk, settle
from optimizer.quote import ask as ask_desk
from optimizer.quote import quote as quote_pools
from scheduler import reservations, store
from scheduler.context import Context
from scheduler.desk import Standing
from scheduler.problem import Money, build_problem, job_spec, lot_spec, rtt_ms_of
from scheduler.snapshot import idle_network, network_to_plan
from suanwang.errors import Refused
from suanwang.ids import JobId, TenantId
from suanwang.model.job import Job, JobState, Wishes
from suanwang.model.network import ComputeNetwork
from suanwang.model.plan import Quote, ReasonCode, SiteVerdict
from suanwang.model.site import Pool
from suanwang.model.voucher import Lot
from suanwang.units import hold_fen
from voucher import store as money_store

FOR_GOOD: Final = frozenset(
    {
        ReasonCode.LATENCY,
        ReasonCode.DATA_LAW,
        ReasonCode.DATA_HOME,
        ReasonCode.ACCELERATOR,
        ReasonCode.DOMESTIC_ONLY,
        ReasonCode.SITE_NOT_ASKED,
        ReasonCode.TOO_LARGE,
        ReasonCode.VOUCHER,
        ReasonCode.CASH_BUDGET,
        ReasonCode.DEADLINE,
    }
)
"""Reasons that no later cycle changes by itself; with one in every pool a job is refused."""
_SLOT_S: Final = 3_600.0
_BUDGET: Final = frozenset({ReasonCode.VOUCHER, ReasonCode.CASH_BUDGET})


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with all that was read for it: nothing more is read to answer it."""

    standing: Standing
    job: JobSpec
    asker: Asker


def ask(connection: Connection, wishes: Wishes, tenant_id: TenantId, context: Context) -> Asked:
    """Read what a quote needs: the newest cycle's standing, or the network; and the money."""
    standing = look(connection, context)
    return _asked(connection, standing, _as_job(wishes, tenant_id, standing.at))


def ask_about(connection: Connection, job: Job, context: Context) -> Asked:
    """Read what a question about a job of the queue needs; it is as the newest cycle saw it."""
    standing = look(connection, context)
    asked = _asked(connection, standing, job)
    planned = next((spec for spec in standing.problem.jobs if spec.id == job.id), asked.job)
    return replace(asked, job=planned)


def _asked(connection: Connection, standing: Standing, job: Job) -> Asked:
    tenant_id = job.tenant_id
    lots = money_store.lots(connection, tenant_id=tenant_id, now=standing.at)
    asker = Asker(
        lots=tuple(lot_spec(lot, standing.at) for lot in lots if lot.available_fen > 0),
        cash_fen={tenant_id: money_store.cash_fen(connection, tenant_id)},
        rtt_ms=_links(standing, job),
    )
    return Asked(standing, job_spec(job, standing.at), asker)


def answer(asked: Asked, *, is_exact: bool = True) -> Quote:
    """Return a row for every pool; nothing is promised or held.

    ``is_exact`` solves again where the prices are not sure of the best place.
    """
    found = ask_desk(asked.standing.desk, asked.job, asked.asker)
    if found.is_sure or not is_exact:
        return found
    relaxation = asked.standing.relaxation()
    if relaxation is None:
        return found
    return settle(found, relaxation, asked.job, asked.asker)


def quote(
    connection: Connection, wishes: Wishes, tenant_id: TenantId, context: Context
) -> tuple[SiteVerdict, ...]:
    """Return a row for every pool, feasible ones first and by cost; nothing is promised or held."""
    return answer(ask(connection, wishes, tenant_id, context), is_exact=False).rows


def look(connection: Connection, context: Context) -> Standing:
    """Return the newest cycle's standing; where this process schedules not, one of this moment.

    That one has the network as it is, and prices of the queue that are a few seconds old at most.
    """
    now = context.clock.now()
    found = context.desk.newest(now)
    if found is not None:
        return found
    network = network_to_plan(connection, now, context.catalogue, context.peaks)
    jobs = [
        job
        for job in store.queued_jobs(connection, context.limits.queue_limit)
        if not job.stop_requested
    ]
    tenants = {job.tenant_id for job in jobs}
    cash = money_store.cash_by_tenant(connection) if jobs else {}
    lots = money_store.lots(connection, now=now) if jobs else ()
    money = Money(
        lots=tuple(lot for lot in lots if lot.tenant_id in tenants),
        cash_fen={tenant: cash.get(tenant, 0) for tenant in sorted(tenants)},
    )
    problem = build_problem(network, jobs, money, context.catalogue, context.limits.policy)
    problem = reservations.reserve(problem, reservations.look_up(connection, now), jobs)
    return context.desk.priced(network, constrain(problem, jobs, {}), now)


def _links(standing: Standing, job: Job) -> Mapping[tuple[str, str], float]:
    """Round trips from every origin that is known and from the job's own."""
    known = standing.desk.instance.problem.rtt_ms
    origin = job.wishes.origin
    sites = standing.network.sites
    if not sites or (origin, sites[0].site.id) in known:
        return known
    return {**rtt_ms_of(standing.network, [job]), **known}


def refuse_hopeless(connection: Connection, money: Money, job: Job, context: Context) -> None:
    """Raise Refused where no site could ever run the job, as things are registered.

    ``money`` is all that its tenant has. What other jobs occupy or hold may come back, so it counts
    as there; so do closed sites.
    """
    now = job.submitted_at
    if _has_hope(money, job, context):
        return
    network = idle_network(connection, now)
    context.desk.keep_idle(_idle_desk(network, context), now)
    earliest_s = ((job.wishes.earliest_start or now) - now).total_seconds()
    slots_s = (earliest_s, _SLOT_S) if earliest_s > 0 else (_SLOT_S,)
    verdicts = _ask(network, money, job, context, slots_s)
    if not verdicts or any(verdict.reason not in FOR_GOOD for verdict in verdicts):
        return
    over_budget = [verdict for verdict in verdicts if verdict.reason in _BUDGET]
    if over_budget:
        raise _too_dear(network, money, job, over_budget)
    first = verdicts[0]
    said = "; ".join(f"{verdict.pool_id}: {verdict.message}" for verdict in verdicts[:8])
    raise Refused(
        f"no site can run this job: {said}",
        next_step="ask for a quote and change what stands in the way",
        reason=first.reason.value,
        pools=len(verdicts),
    )


def _has_hope(money: Money, job: Job, context: Context) -> bool:
    """Whether the network as it was registered a short time ago could run the job some day.

    What was true then may end, so only a yes is taken from it; a no is looked into.
    """
    desk = context.desk.idle(job.submitted_at)
    if desk is None or job.wishes.earliest_start is not None or job.entrypoint_num_gpus:
        return False
    origin = job.wishes.origin
    sites = desk.instance.sites
    if origin and sites and (origin, sites[0].id) not in desk.instance.problem.rtt_ms:
        return False
    lots = tuple(lot_spec(lot, job.submitted_at) for lot in money.lots if lot.available_fen > 0)
    asker = Asker(lots=lots, cash_fen=money.cash_fen, rtt_ms=desk.instance.problem.rtt_ms)
    return has_place(desk, job_spec(job, job.submitted_at), asker)


def _idle_desk(network: ComputeNetwork, context: Context) -> Desk:
    policy, slots_s = context.limits.policy, (_SLOT_S,)
    return open_desk(build_problem(network, [], Money(), context.catalogue, policy, slots_s))


def _too_dear(
    network: ComputeNetwork, money: Money, job: Job, verdicts: list[SiteVerdict]
) -> Refused:
    """State both amounts: the least that the job needs, and the most that there is for it."""
    prices = {
        verdict.pool_id: _price_fen(job, network.pool(verdict.pool_id).pool) for verdict in verdicts
    }
    pool = min(prices, key=lambda pool_id: (prices[pool_id], pool_id))
    needed = prices[pool]
    voucher = sum(lot.available_fen for lot in money.lots) if job.wishes.uses_voucher else 0
    cash = money.cash_fen.get(job.tenant_id, 0)
    if job.wishes.cash_fen_max is not None:
        cash = min(cash, job.wishes.cash_fen_max)
    words = {verdict.pool_id: verdict.message for verdict in verdicts}[pool]
    return Refused(
        f"even in {pool}, where it is cheapest, {words}",
        reason=ReasonCode.CASH_BUDGET.value if not voucher else ReasonCode.VOUCHER.value,
        needed_fen=needed,
        voucher_fen=voucher,
        cash_fen=cash,
    )


def _price_fen(job: Job, pool: Pool) -> int:
    """The least that the job can cost in the pool, of the widths that it names."""
    widths = [job.wishes.units, *(one.units for one in job.wishes.widths)]
    unit_ms = min(units * job.wishes.use_s_at(units) * 1_000 for units in widths)
    return int(hold_fen(unit_ms, pool.price_uyuan_per_unit_hour))


def money_in_all(connection: Connection, tenant_id: TenantId, now: datetime) -> Money:
    """Return a tenant's money with what is set aside for attempts, which may come back."""
    lots = money_store.lots(connection, tenant_id=tenant_id, now=now)
    cash = money_store.cash_fen(connection, tenant_id)
    cash += money_store.cash_held_fen(connection, tenant_id)
    return Money(lots=tuple(_with_held(lot) for lot in lots), cash_fen={tenant_id: cash})


def _with_held(lot: Lot) -> Lot:
    return replace(lot, available_fen=lot.available_fen + lot.held_fen, held_fen=0)


def _ask(
    network: ComputeNetwork,
    money: Money,
    job: Job,
    context: Context,
    slots_s: tuple[float, ...] = DEFAULT_SLOT_LENGTHS_S,
) -> tuple[SiteVerdict, ...]:
    policy = context.limits.policy
    problem = build_problem(network, [job], money, context.catalogue, policy, slots_s)
    problem = constrain(problem, [job], {})
    return quote_pools(problem, problem.jobs[0])


def constrain(
    problem: Problem, jobs: Sequence[Job], avoid: Mapping[JobId, Mapping[str, str]]
) -> Problem:
    """Return the problem with the pools that each job must not use, and why.

    ``avoid`` comes from former attempts. A driver that asks for GPUs never runs on plain cores.
    """
    cores = {
        pool.id: "the job asks for GPUs, and these are cores"
        for pool in problem.pools
        if pool.accelerator == "cpu"
    }
    wants_gpu = {job.id for job in jobs if job.entrypoint_num_gpus}

    def constrained(spec: JobSpec) -> JobSpec:
        reasons = dict(avoid.get(JobId(spec.id), {}))
        if spec.id in wants_gpu and not spec.accelerators:
            reasons |= cores
        return replace(spec, avoid={**spec.avoid, **reasons}) if reasons else spec

    return replace(problem, jobs=tuple(constrained(spec) for spec in problem.jobs))


def _as_job(wishes: Wishes, tenant_id: TenantId, now: datetime) -> Job:
    return Job(
        id=JobId("quote"),
        submission_id="quote",
        tenant_id=tenant_id,
        state=JobState.QUEUED,
        entrypoint="",
        wishes=wishes,
        submitted_at=now,
    )
