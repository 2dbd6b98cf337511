"""More time for an attempt that runs: the checks, the money, and who asks (a person, or the wish).

``decide`` is pure: it sees the attempt, its pool, the plans of others and the money, and returns
the event that grants the time or a refusal with both figures. The time, its money and the order to
the agent are one unit of work: after a crash there is all of it or nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from scheduler import registry, store, store_extensions, store_plans, store_registry
from scheduler.billing import HoldRefused
from scheduler.events import Extended
from scheduler.granted_time import automatic_s, may_grow
from scheduler.snapshot import free_at, pool_state
from scheduler.transition import take
from suanwang.errors import Conflict, Refused
from suanwang.ids import TenantId
from suanwang.model.attempt import Attempt, Extension
from suanwang.model.job import Job
from suanwang.model.plan import ReasonCode
from suanwang.model.site import Pool
from suanwang.model.voucher import Hold, HoldSlice, Lot
from suanwang.model.wishes import RUN_S_MAX
from suanwang.units import hold_fen, yuan_text
from voucher import store as money_store
from voucher.tender import more_slices
from voucher.turn import Turn

QUEUE_MAX: Final = 2_000
"""Jobs of the queue whose deadlines are looked at, as many as a cycle plans."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """How much more, and who asks: the id of a key, or nobody where the job's own wish does."""

    by_s: int
    request_key: str
    asked_by: str = ""
    is_automatic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A start that the newest plan means for a queued job with a deadline, in the same pool."""

    submission_id: str
    units: int
    start: datetime
    use_s_max: int
    deadline: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What an extension is decided on. ``others`` are the other live attempts in the pool."""

    at: datetime
    job: Job
    attempt: Attempt
    pool: Pool | None
    is_open: bool
    others: tuple[Attempt, ...]
    claims: tuple[Claim, ...]
    hold: Hold
    lots: tuple[Lot, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtensionRefusal:
    """Why there is no more time, with both figures."""

    reason: ReasonCode
    message: str
    facts: Mapping[str, object] = field(default_factory=dict)


def decide(view: View, ask: Ask) -> Extended | ExtensionRefusal:
    """Return the event that grants the time, or why not; the ledger still has to agree."""
    longer = _longer(view.attempt, ask.by_s)
    for check in _CHECKS:
        refusal = check(view, longer)
        if refusal is not None:
            return refusal
    slices = _slices(view, longer)
    return Extended(
        at=view.at,
        by_s=ask.by_s,
        slices=slices,
        amount_fen=sum(part.amount_fen for part in slices),
        is_automatic=ask.is_automatic,
        asked_by=ask.asked_by,
        request_key=ask.request_key,
    )


def _longer(attempt: Attempt, by_s: int) -> Attempt:
    return replace(
        attempt,
        run_s_max=attempt.run_s_max + by_s,
        lease_expires_at=attempt.lease_expires_at + timedelta(seconds=by_s),
    )


def _too_long(_view: View, longer: Attempt) -> ExtensionRefusal | None:
    if longer.run_s_max <= RUN_S_MAX:
        return None
    return ExtensionRefusal(
        reason=ReasonCode.TIME_LIMIT,
        message=f"it could run for {longer.run_s_max} s then, allowed are {RUN_S_MAX}",
        facts={"run_s_max": longer.run_s_max, "allowed_s": RUN_S_MAX},
    )


def _past_deadline(view: View, longer: Attempt) -> ExtensionRefusal | None:
    deadline = view.job.wishes.deadline
    end = (longer.started_at or view.at) + timedelta(seconds=longer.use_s_max)
    if deadline is None or end <= deadline:
        return None
    return ExtensionRefusal(
        reason=ReasonCode.DEADLINE,
        message=f"it could run until {_moment(end)} then, its deadline is {_moment(deadline)}",
        facts={"end": end.isoformat(), "deadline": deadline.isoformat()},
    )


def _closed(view: View, _longer: Attempt) -> ExtensionRefusal | None:
    if view.is_open:
        return None
    return ExtensionRefusal(
        reason=ReasonCode.SITE_DOWN,
        message=f"{view.attempt.site_id} is closed by its operator: what runs may end, not go on",
    )


def _drained(view: View, _longer: Attempt) -> ExtensionRefusal | None:
    usable = 0 if view.pool is None else view.pool.units_usable
    taken = view.attempt.units + sum(other.units for other in view.others)
    if taken <= usable:
        return None
    return ExtensionRefusal(
        reason=ReasonCode.CAPACITY,
        message=(
            f"{view.attempt.pool_id} is being drained: "
            f"{taken} units are taken, {usable} may still be used"
        ),
        facts={"units_taken": taken, "units_usable": usable},
    )


def _claimed(view: View, longer: Attempt) -> ExtensionRefusal | None:
    """A job that waits with a deadline does not miss it because of one that runs longer."""
    if view.pool is None:
        return None
    before, after = free_at(view.attempt, view.at), free_at(longer, view.at)
    bound = [claim for claim in view.claims if _cannot_wait(claim, after)]
    state = pool_state(view.pool, (*view.others, longer), view.at)
    for claim in bound:
        if not before <= claim.start < after:
            continue
        back = sum(units for end, units in state.busy_until if end <= claim.start)
        wanted = sum(other.units for other in bound if _overlaps(other, claim.start))
        if wanted > state.units_free + back:
            return ExtensionRefusal(
                reason=ReasonCode.CAPACITY,
                message=(
                    f"job {claim.submission_id} is to start in {view.pool.id} at "
                    f"{_moment(claim.start)} to keep its deadline {_moment(claim.deadline)}: "
                    f"{wanted} units are wanted then, {state.units_free + back} would be free"
                ),
                facts={"units_wanted": wanted, "units_free": state.units_free + back},
            )
    return None


def _cannot_wait(claim: Claim, until: datetime) -> bool:
    return until + timedelta(seconds=claim.use_s_max) > claim.deadline


def _overlaps(claim: Claim, at: datetime) -> bool:
    return claim.start <= at < claim.start + timedelta(seconds=claim.use_s_max)


def _over_budget(view: View, longer: Attempt) -> ExtensionRefusal | None:
    """The job's own limit of cash holds for all of its time; the rounding reserve comes back."""
    limit = view.job.wishes.cash_fen_max
    price = _price_fen(longer)
    paid_by_lots = sum(
        part.amount_fen
        for part in (*view.hold.slices, *_slices(view, longer))
        if part.lot_id is not None
    )
    cash = price - paid_by_lots
    if limit is None or cash <= limit:
        return None
    return ExtensionRefusal(
        reason=ReasonCode.CASH_BUDGET,
        message=(
            f"it can cost {yuan_text(price)} yuan then, {yuan_text(cash)} of it in cash; "
            f"the job's own limit is {yuan_text(limit)} yuan of cash"
        ),
        facts={"needed_fen": cash, "limit_fen": limit},
    )


_Check = Callable[[View, Attempt], ExtensionRefusal | None]
_CHECKS: Final[tuple[_Check, ...]] = (
    _too_long,
    _past_deadline,
    _closed,
    _drained,
    _claimed,
    _over_budget,
)


def _price_fen(attempt: Attempt) -> int:
    """Return the most that the attempt can cost, at the price that it was started at."""
    unit_ms = attempt.units * attempt.use_s_max * 1_000
    return int(hold_fen(unit_ms, attempt.price_uyuan_per_unit_hour))


def _slices(view: View, longer: Attempt) -> tuple[HoldSlice, ...]:
    """Return what joins the hold: lots that may pay here until the new end, then cash."""
    end = (longer.started_at or view.at) + timedelta(seconds=longer.use_s_max)
    accelerator = "" if view.pool is None else view.pool.accelerator
    drawable = {
        lot.id
        for lot in view.lots
        if view.job.wishes.uses_voucher
        and view.at < lot.expires_at
        and end <= lot.expires_at + timedelta(seconds=lot.grace_s)
        and (not lot.sites or longer.site_id in lot.sites)
        and (not lot.accelerators or accelerator in lot.accelerators)
    }
    return more_slices(_price_fen(longer), view.hold.slices, view.lots, drawable)


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


# --- with the database --------------------------------------------------------------------------


def extend_job(
    turn: Turn, tenant_id: TenantId | None, submission_id: str, ask: Ask, now: datetime
) -> tuple[Extension, bool]:
    """Give a person's job more time; return the extension, and whether it was granted before.

    Raises NotFound, Conflict (it does not run, or the key was used for another request) and
    Refused; the caller's unit of work must then end with it.
    """
    job = store.job_by_submission(turn.connection, tenant_id, submission_id, lock=True)
    former = store_extensions.find_by_key(turn.connection, job.id, ask.request_key)
    if former is not None:
        return _same(former, ask), True
    attempt = store.latest_attempt(turn.connection, job.id)
    if attempt is None or not may_grow(job, attempt):
        raise Conflict(
            f"job {submission_id!r} is {job.state.value}; "
            "only one that has its place and is not being stopped can be extended",
            next_step="submit it again with a longer max_minutes",
            state=job.state.value,
        )
    return _grant(turn, job, attempt, ask, now), False


def _same(former: Extension, ask: Ask) -> Extension:
    if former.by_s == ask.by_s:
        return former
    raise Conflict(
        f"the key was used to extend by {former.by_s} s, not by {ask.by_s} s",
        next_step="use a new key for a new request",
    )


def _grant(turn: Turn, job: Job, attempt: Attempt, ask: Ask, now: datetime) -> Extension:
    decided = decide(_look(turn.connection, job, attempt, now), ask)
    if isinstance(decided, ExtensionRefusal):
        raise Refused(
            decided.message,
            next_step="",
            reason=decided.reason.value,
            **decided.facts,
        )
    try:
        step = take(turn, job, attempt, decided)
    except HoldRefused as refused:
        raise Refused(
            refused.refusal.message,
            next_step="deposit cash or ask for a voucher, then ask again",
            ledger_code=refused.refusal.code.value,
            **refused.refusal.facts,
        ) from refused
    number = attempt.extensions if step.attempt is None else step.attempt.extensions
    granted = store_extensions.find(turn.connection, attempt.id, number)
    assert granted is not None, f"extension {number} of {attempt.id} was not written"
    return granted


def extend_by_wish(turn: Turn, job: Job, attempt: Attempt, now: datetime) -> None:
    """Give a job that runs short the next step that its wish allows. The job's row is locked.

    Raises Refused; the caller's unit of work must then end with it.
    """
    ask = Ask(
        by_s=automatic_s(job, attempt),
        request_key=f"wish:{attempt.id}:{attempt.extensions + 1}",
        is_automatic=True,
    )
    _grant(turn, job, attempt, ask, now)


def _look(connection: Connection, job: Job, attempt: Attempt, now: datetime) -> View:
    return View(
        at=now,
        job=job,
        attempt=attempt,
        pool=store_registry.pool_by_id(connection, attempt.pool_id),
        is_open=registry.find_site(connection, attempt.site_id).is_open,
        others=tuple(
            other
            for other in store.live_attempts(connection, site_id=attempt.site_id)
            if other.pool_id == attempt.pool_id and other.id != attempt.id
        ),
        claims=_claims(connection, attempt),
        hold=money_store.find_hold(connection, attempt.hold_id),
        lots=money_store.lots(connection, tenant_id=job.tenant_id, now=now),
    )


def _claims(connection: Connection, attempt: Attempt) -> tuple[Claim, ...]:
    planned = [
        placement
        for placement in store_plans.planned_later(connection)
        if placement.pool_id == attempt.pool_id
    ]
    if not planned:
        return ()
    waiting: Mapping[str, Job] = {job.id: job for job in store.queued_jobs(connection, QUEUE_MAX)}
    return tuple(
        Claim(
            submission_id=job.submission_id,
            units=placement.units,
            start=placement.start,
            use_s_max=job.wanted.use_s_at(placement.units),
            deadline=job.wishes.deadline,
        )
        for placement in planned
        if (job := waiting.get(placement.job_id)) is not None and job.wishes.deadline is not None
    )
