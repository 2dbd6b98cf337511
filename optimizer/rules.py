"""Why a job may not use a pool at all, whatever the load: one function a rule, in a fixed order.

A pair that breaks a rule gets no column in the model. The first rule that is broken is the reason.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from optimizer.problem import JobSpec, PoolSpec, SiteSpec
from suanwang.model.plan import ReasonCode

REASON_RANK: Final = (
    ReasonCode.STAYS,
    ReasonCode.SITE_NOT_ASKED,
    ReasonCode.ACCELERATOR,
    ReasonCode.DOMESTIC_ONLY,
    ReasonCode.DATA_LAW,
    ReasonCode.DATA_HOME,
    ReasonCode.LATENCY,
    ReasonCode.TOO_LARGE,
    ReasonCode.RETRY_ELSEWHERE,
    ReasonCode.SITE_DOWN,
    ReasonCode.STALE,
    ReasonCode.NOT_YET,
    ReasonCode.DEADLINE,
    ReasonCode.WAITS_FOR,
    ReasonCode.CASH_BUDGET,
    ReasonCode.VOUCHER,
    ReasonCode.SITE_POWER,
    ReasonCode.RESERVED,
    ReasonCode.CAPACITY,
    ReasonCode.FRAGMENTED,
    ReasonCode.DEARER,
)
"""From the reason that is furthest from a place to the nearest: a job is told its nearest."""

FINAL_REASONS: Final = frozenset(
    {
        ReasonCode.SITE_NOT_ASKED,
        ReasonCode.ACCELERATOR,
        ReasonCode.DOMESTIC_ONLY,
        ReasonCode.DATA_LAW,
        ReasonCode.DATA_HOME,
        ReasonCode.LATENCY,
        ReasonCode.TOO_LARGE,
    }
)
"""Reasons that no later cycle can change by itself: the job or the network has to change."""


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Why a pool is not used, in a code and in words with both numbers and the next step."""

    code: ReasonCode
    message: str
    facts: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pair:
    """A job and a pool as the rules look at them; ``rtt_ms`` is None where nobody measured it.

    ``units`` is the width that is tried, of those that the job can run at.
    """

    job: JobSpec
    pool: PoolSpec
    site: SiteSpec
    rtt_ms: float | None
    units: int


def first_hindrance(pair: Pair) -> Hindrance | None:
    """Return the first rule that the pair breaks, or None."""
    for rule in RULES:
        hindrance = rule(pair)
        if hindrance is not None:
            return hindrance
    return None


def units_text(units: int) -> str:
    """Return ``1 unit`` or ``8 units``."""
    return "1 unit" if units == 1 else f"{units} units"


def ask_site(pair: Pair) -> Hindrance | None:
    """The job names sites: the pool's site is one of them."""
    if not pair.job.sites or pair.site.id in pair.job.sites:
        return None
    asked = ", ".join(sorted(pair.job.sites))
    return Hindrance(
        ReasonCode.SITE_NOT_ASKED,
        f"the job asks for {asked}; add {pair.site.id} to its sites to allow it",
    )


def match_accelerator(pair: Pair) -> Hindrance | None:
    """The job names accelerators: the pool's is one of them."""
    if not pair.job.accelerators or pair.pool.accelerator in pair.job.accelerators:
        return None
    asked = ", ".join(sorted(pair.job.accelerators))
    return Hindrance(
        ReasonCode.ACCELERATOR,
        f"the job asks for {asked}, the pool has {pair.pool.accelerator}; "
        f"add {pair.pool.accelerator} to its accelerators to allow it",
    )


def stay_domestic(pair: Pair) -> Hindrance | None:
    """The job asks for domestic accelerators: the pool's is one."""
    if not pair.job.domestic_only or pair.pool.is_domestic:
        return None
    return Hindrance(
        ReasonCode.DOMESTIC_ONLY,
        f"the job asks for domestic accelerators, {pair.pool.accelerator} is not; "
        "drop domestic_only to allow it",
    )


def keep_data_lawful(pair: Pair) -> Hindrance | None:
    """The data is at home at the site, or the site accepts its class from elsewhere."""
    job, site = pair.job, pair.site
    if job.data_home and job.data_home in site.data_homes:
        return None
    if job.data_class in site.accepts:
        return None
    accepted = ", ".join(sorted(site.accepts)) or "none"
    if job.data_home:
        return Hindrance(
            ReasonCode.DATA_HOME,
            f"data set {job.data_home} ({job.data_class}) is not kept at {site.id}, which accepts "
            f"from elsewhere only: {accepted}; ask for a site that keeps it",
        )
    return Hindrance(
        ReasonCode.DATA_LAW,
        f"data of class {job.data_class} may not go to {site.id}, which accepts: {accepted}; "
        "ask for another site or lower the class if that is true",
    )


def stay_near(pair: Pair) -> Hindrance | None:
    """Round trip from the job's origin to the site  <=  the job's latency limit."""
    limit_ms, rtt_ms = pair.job.latency_ms_max, pair.rtt_ms
    if limit_ms is None:
        return None
    if rtt_ms is None:
        origin = pair.job.origin or "an unnamed origin"
        return Hindrance(
            ReasonCode.LATENCY,
            f"the round trip from {origin} to {pair.site.id} is not known and the limit is "
            f"{limit_ms:g} ms; measure the link or name a known origin",
            {"latency_ms_max": limit_ms},
        )
    if rtt_ms <= limit_ms:
        return None
    return Hindrance(
        ReasonCode.LATENCY,
        f"latency {rtt_ms:g} ms > {limit_ms:g} ms from {pair.job.origin}; "
        f"allow {rtt_ms:g} ms to use it",
        {"latency_ms": rtt_ms, "latency_ms_max": limit_ms},
    )


def fit_pool(pair: Pair) -> Hindrance | None:
    """Units of the job (at the width tried)  <=  units of the pool, were it empty."""
    if pair.units <= pair.pool.units:
        return None
    return Hindrance(
        ReasonCode.TOO_LARGE,
        f"the job needs {units_text(pair.units)}, the pool has {pair.pool.units}; ask for fewer",
        {"units": pair.units, "pool_units": pair.pool.units},
    )


def retry_elsewhere(pair: Pair) -> Hindrance | None:
    """An earlier attempt failed in the pool: not there again."""
    why = pair.job.avoid.get(pair.pool.id)
    if why is None:
        return None
    return Hindrance(ReasonCode.RETRY_ELSEWHERE, f"an earlier attempt failed there: {why}")


def be_open(pair: Pair) -> Hindrance | None:
    """The site is open and its facts are fresh enough."""
    if pair.site.is_open:
        return None
    message = pair.site.closed_message or "the site takes no jobs at present"
    return Hindrance(pair.site.closed_reason, message)


RULES: Final[tuple[Callable[[Pair], Hindrance | None], ...]] = (
    ask_site,
    match_accelerator,
    stay_domestic,
    keep_data_lawful,
    stay_near,
    fit_pool,
    retry_elsewhere,
    be_open,
)
