"""Why a pool has no column for a job, in words with both numbers and the next step."""

from collections.abc import Iterable

from optimizer.money import Shortfall
from optimizer.problem import JobSpec, Shape
from optimizer.rules import Hindrance, units_text
from optimizer.timeline import Timeline
from suanwang.model.plan import ReasonCode
from suanwang.units import yuan_text


def out_of_time(job: JobSpec, shape: Shape, timeline: Timeline) -> Hindrance:
    """Return the hindrance of a job that no slot can start."""
    if job.deadline_s is not None and max(job.earliest_s, 0.0) + shape.run_s > job.deadline_s:
        return Hindrance(
            ReasonCode.DEADLINE,
            f"the job may run {shape.run_s / 60:.0f} min and its deadline is in "
            f"{job.deadline_s / 60:.0f} min; move the deadline or lower max_minutes",
            {"run_s": shape.run_s, "deadline_s": job.deadline_s},
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


def stays(job: JobSpec) -> Hindrance:
    """Return the hindrance of every other pool for a running job that may not be moved."""
    where = "" if job.running is None else job.running.pool_id
    return Hindrance(
        ReasonCode.STAYS, f"the job runs in {where}, and it was not said that it may be moved"
    )


def waits_for(jobs: Iterable[str], ready_s: float | None) -> Hindrance:
    """Return the hindrance of a job that comes after others, of which one ends too late."""
    names = ", ".join(sorted(jobs))
    if ready_s is None or ready_s == float("inf"):
        return Hindrance(
            ReasonCode.WAITS_FOR,
            f"it comes after {names}, and when that ends is not known yet; it is planned then",
            {"jobs": names},
        )
    return Hindrance(
        ReasonCode.WAITS_FOR,
        f"it comes after {names}; that has ended and its data has come in {ready_s / 60:.0f} min "
        "at the latest, too late for every start that is left; it waits",
        {"jobs": names, "ready_s": ready_s},
    )


def no_capacity(shape: Shape, free_max: int) -> Hindrance:
    """Return the hindrance of a pool in which running jobs leave too few units at all times."""
    return Hindrance(
        ReasonCode.CAPACITY,
        f"the job needs {units_text(shape.units)} for {shape.run_s / 60:.0f} min; running jobs "
        f"leave at most {free_max} at a time; it waits until they end",
        {"units": shape.units, "units_free": free_max},
    )


def reserved_for_others(units: int, free_max: int) -> Hindrance:
    """Return the hindrance of a pool that would have room, were it not for reservations."""
    return Hindrance(
        ReasonCode.RESERVED,
        f"the job needs {units_text(units)} for as long as it may run; reservations of others "
        f"leave at most {free_max}; it waits for their end, or starts where it ends before them",
        {"units": units, "units_free": free_max},
    )


def no_power(need_w: float, room_w: float) -> Hindrance:
    """Return the hindrance of a site whose power limit leaves too little at all times."""
    return Hindrance(
        ReasonCode.SITE_POWER,
        f"the job draws {need_w / 1000:.1f} kW more, the site's power limit leaves at most "
        f"{room_w / 1000:.1f} kW; ask for fewer units or another site",
        {"need_w": need_w, "room_w": room_w},
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


def no_node(units: int, most: int) -> Hindrance:
    """Return the hindrance of a gang that the free units of a pool cannot hold on one node."""
    return Hindrance(
        ReasonCode.FRAGMENTED,
        f"the job needs {units_text(units)} on one node, or whole nodes and one for the rest; a "
        f"node has at most {most} free now, and others may take them; it waits for a node, or ask "
        "for fewer",
        {"units": units, "node_units_free": most},
    )
