"""What the optimizer decided, with a reason for everything that it did not do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from suanwang.ids import JobId, PoolId, SiteId
from suanwang.model.energy_plan import SiteEnergy
from suanwang.model.prices import PriceBoard


class ReasonCode(StrEnum):
    """Why a site is not used, a job waits, or it is refused. Each has a line in the docs."""

    PLACED = "placed"
    DEARER = "dearer"
    LATENCY = "latency"
    DATA_LAW = "data-law"
    DATA_HOME = "data-home"
    ACCELERATOR = "accelerator"
    DOMESTIC_ONLY = "domestic-only"
    SITE_NOT_ASKED = "site-not-asked"
    TOO_LARGE = "too-large"
    CAPACITY = "capacity"
    RESERVED = "reserved"
    FRAGMENTED = "fragmented"
    SITE_POWER = "site-power"
    VOUCHER = "voucher"
    CASH_BUDGET = "cash-budget"
    DEADLINE = "deadline"
    STALE = "stale"
    SITE_DOWN = "site-down"
    RETRY_ELSEWHERE = "retry-elsewhere"
    LATER_IS_CHEAPER = "later-is-cheaper"
    NOT_YET = "not-yet"
    STAYS = "stays"
    MOVING = "moving"
    WAITS_FOR = "waits-for"
    PREDECESSOR_FAILED = "predecessor-failed"
    USER_STOPPED = "user-stopped"
    USER_FAILED = "user-failed"
    SITE_FAILED = "site-failed"
    TIME_SHORT = "time-short"
    TIME_LIMIT = "time-limit"
    BUDGET_USED = "budget-used"


class PlannerKind(StrEnum):
    """Which planner gave the answer."""

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"
    GREEDY = "greedy"


class QuotedBy(StrEnum):
    """How a cost was found: nobody waits, by the newest plan's prices, or by solving again."""

    IDLE = "idle"
    PRICES = "prices"
    WHAT_IF = "what-if"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a job would add to the cost of the plan, the queue counted, in the planner's yuan.

    ``cost`` is the least that it can be, ``cost_most`` what it costs at the best place that the
    plan leaves free (None: there is none); where both meet it is exact. ``start`` is when it would
    start; None: it would wait beyond the plan.
    """

    start: datetime | None
    cost: float
    cost_most: float | None
    by: QuotedBy


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteVerdict:
    """One row of a quote or an explanation: what this pool would mean for the job.

    Where the pool is out of the question ``reason`` and ``message`` say why and the figures that
    cannot be known are None. ``voucher_fen`` and ``cash_fen`` add up to ``price_fen``. ``cost`` is
    the planner's own scale (yuan): price, energy, carbon, latency and waiting together. In a quote
    ``start`` and ``cost`` are on top of what runs; ``estimate`` counts the queue, if there is one.
    """

    site_id: SiteId
    pool_id: PoolId
    reason: ReasonCode
    message: str
    start: datetime | None = None
    price_fen: int | None = None
    voucher_fen: int | None = None
    cash_fen: int | None = None
    energy_wh: float | None = None
    carbon_g: float | None = None
    latency_ms: float | None = None
    cost: float | None = None
    estimate: Estimate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What a job would mean: a row for every pool, and the best of them with the queue counted.

    ``made_at`` is the moment of the prices, ``queued`` how many jobs they count. ``is_sure`` where
    ``best`` is within five per cent of what solving again would say.
    """

    made_at: datetime
    queued: int
    rows: tuple[SiteVerdict, ...]
    pool_id: PoolId | None
    best: Estimate | None
    is_sure: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Start this job in this pool at this moment, and pay it so.

    ``lots`` says how much is held from each voucher lot, in fen; the rest is cash. ``nodes`` says
    how many units each node gives; empty where the pool's nodes are not known or the start is
    later.
    """

    job_id: JobId
    site_id: SiteId
    pool_id: PoolId
    units: int
    start: datetime
    price_fen_max: int
    cash_fen: int
    lots: Mapping[str, int]
    energy_wh: float
    carbon_g: float
    latency_ms: float
    cost: float
    verdicts: tuple[SiteVerdict, ...] = ()
    nodes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """This job does not start now. ``is_final`` means no later cycle can change that by itself."""

    job_id: JobId
    reason: ReasonCode
    message: str
    is_final: bool = False
    facts: Mapping[str, float | str] = field(default_factory=dict)
    verdicts: tuple[SiteVerdict, ...] = ()


class PlanStep(StrEnum):
    """Which step of the planner found the plan; ``nothing`` where there was nothing to choose."""

    NOTHING = "nothing"
    GREEDY = "greedy"
    ROUNDED = "rounded"
    SEARCHED = "searched"


class Proof(StrEnum):
    """What stands behind a plan that is called optimal.

    ``bound``: our own bound, which is true whatever the solver did. ``search``: the solver says
    that its search is complete, and our bound alone does not show it.
    """

    BOUND = "bound"
    SEARCH = "search"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Limits of one family that hold the plan back: ``count`` of them have a price.

    ``worth_yuan`` is price times limit, summed: one per cent more of each is worth about one per
    cent of it.
    """

    family: str
    count: int
    worth_yuan: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What the planner itself knows about a plan, without believing a solver.

    ``bound_by`` says whose prices gave the bound. ``gap`` is what the plan can lose at most, as a
    share of its objective; None without a bound. ``faults`` counts the lines by which the last
    check found the plan wrong: none in any plan that leaves. ``violation`` is the worst relative
    break of a row by the point that the solver gave, recomputed; None where it gave none.
    ``refused`` says which answers were not used and why.
    """

    step: PlanStep
    proof: Proof
    bound_by: str
    gap: float | None
    faults: int
    violation: float | None
    binding: tuple[Binding, ...] = ()
    refused: tuple[str, ...] = ()
    is_complete: bool = True
    solver_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole decision: ``starts`` begin in the first slot, ``later`` are meant for later slots.

    Of the jobs that ran when it was made, ``kept`` go on where they are and ``moves`` go elsewhere,
    or stop to go on later. ``objective`` and ``bound`` are in yuan; their difference is what this
    plan can lose at most.
    ``prices`` are those of the plan's relaxation; None where it gave none.
    ``energy`` has a schedule for every site whose nodes can sleep, or that has a battery, solar
    power, a monthly peak or a promise to the grid.
    """

    made_at: datetime
    planner: PlannerKind
    solver: str
    starts: tuple[Placement, ...]
    later: tuple[Placement, ...]
    rejections: tuple[Rejection, ...]
    objective: float
    bound: float | None
    build_s: float
    solve_s: float
    certificate: Certificate
    note: str = ""
    prices: PriceBoard | None = None
    energy: tuple[SiteEnergy, ...] = ()
    kept: tuple[Placement, ...] = ()
    moves: tuple[Placement, ...] = ()
