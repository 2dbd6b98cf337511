"""The placement problem as plain numbers: all the planner knows, and nothing read twice.

Times are seconds from ``Problem.origin``; powers are watts; money is fen except prices, which are
micro-yuan. Every sequence is in a fixed order, so equal problems give equal plans.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from suanwang.energy.grid import GridEvent
from suanwang.energy.storage import BatterySpec
from suanwang.model.plan import ReasonCode
from suanwang.model.site import DataClass

Breakpoints = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A piece of the horizon; a job starts at the beginning of a slot."""

    start_s: float
    length_s: float

    @property
    def end_s(self) -> float:
        """End of the slot."""
        return self.start_s + self.length_s


@dataclass(frozen=True, slots=True, kw_only=True)
class PeakSpec:
    """The month's largest demand so far, and what each kilowatt above it costs in this month.

    Demand is a mean over windows of ``window_s`` on the meter's clock. Of the window that the plan
    begins in, ``elapsed_s`` are over, in which ``drawn_wh`` were drawn.
    """

    so_far_w: float
    yuan_per_kw: float
    window_s: float = 900.0
    elapsed_s: float = 0.0
    drawn_wh: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SleepSpec:
    """Nodes of a pool that may sleep while no job needs them.

    ``idle_w`` is what an awake node draws without load, and the site's ``it_base_w`` counts it for
    all ``nodes``. A wake takes ``wake_s`` and ``wake_wh`` from order to ready, and wears the node
    by ``wear_yuan``. ``awake_now`` nodes are on at the beginning; ``spare_nodes`` stay on beyond
    what jobs need, as far as the pool has them.
    """

    node_units: int
    nodes: int
    idle_w: float
    wake_s: float
    wake_wh: float
    wear_yuan: float
    awake_now: int
    spare_nodes: int = 0
    sleepable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSpec:
    """A site as the planner sees it; sequences run over the slots.

    ``facility_w`` is the convex piecewise-linear facility power as (IT watts, facility watts)
    breakpoints for each slot; ``it_base_w`` is IT power that is drawn whatever is decided (idle
    units and foreign load). ``power_w_max`` bounds facility power. A site that is not open is shown
    with ``closed_reason`` (site-down or stale) and ``closed_message``. ``solar_w`` is own solar
    power, empty or for each slot; in the slots of an event at most its ``firm_w`` is drawn.
    """

    id: str
    price_uyuan_per_kwh: tuple[int, ...]
    carbon_g_per_kwh: tuple[float, ...]
    facility_w: tuple[Breakpoints, ...]
    it_base_w: tuple[float, ...]
    power_w_max: tuple[float, ...]
    accepts: frozenset[DataClass] = frozenset(DataClass)
    data_homes: frozenset[str] = frozenset()
    is_open: bool = True
    closed_message: str = ""
    closed_reason: ReasonCode = ReasonCode.SITE_DOWN
    battery: BatterySpec | None = None
    solar_w: tuple[float, ...] = ()
    peak: PeakSpec | None = None
    events: tuple[GridEvent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSpec:
    """Equal units at a site: how many are free in each slot, what one more in use draws and costs.

    ``busy_extra_w`` is busy minus idle power of one unit. ``nodes`` are the free units of each node
    in the first slot, ``units_per_node`` what a whole one has; empty where they are not known.
    """

    id: str
    site_id: str
    accelerator: str
    units: int
    units_free: tuple[int, ...]
    busy_extra_w: float
    price_uyuan_per_unit_hour: int
    is_domestic: bool = False
    sleep: SleepSpec | None = None
    nodes: tuple[int, ...] = ()
    units_per_node: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LotSpec:
    """A voucher lot that may pay part of a job; ``grace_s`` is for jobs that run at its end."""

    id: str
    tenant_id: str
    available_fen: int
    ratio_num: int
    ratio_den: int
    expires_s: float
    rank: int = 0
    sites: frozenset[str] = frozenset()
    accelerators: frozenset[str] = frozenset()
    grace_s: float = 0.0

    def lasts_for(self, start_s: float, end_s: float) -> bool:
        """Whether it pays for a run: begun before its end, and over by the end of its grace."""
        return start_s < self.expires_s and end_s <= self.expires_s + self.grace_s


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSpec:
    """What lies between two sites: bandwidth, and what moving a gigabyte costs."""

    gbps: float
    price_uyuan_per_gb: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class After:
    """A job that must have ended before, and how much data it hands over.

    Where it is not among the jobs of the problem ``end_s`` is its latest end (zero or less: it has
    ended) at ``site_id``; None there means that nobody knows when it ends.
    """

    job_id: str
    transfer_gb: float = 0.0
    end_s: float | None = None
    site_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningAt:
    """Where a job runs, and what another place would take: time that is lost, and what it costs.

    ``checkpoint_s`` is for saving, moving and loading its state; it is on top of what is left of
    the run. Where it ``may_wait`` it may also stop now and go on later.
    """

    pool_id: str
    checkpoint_s: float = 0.0
    checkpoint_fen: int = 0
    may_move: bool = False
    may_wait: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A later start that the last plan told the user."""

    pool_id: str
    start_s: float


@dataclass(frozen=True, slots=True)
class Shape:
    """A width that a job can run at, and the longest that it may then run."""

    units: int
    run_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """A job as the planner sees it. Empty sets mean "any"; None means "no limit".

    ``run_s`` is the longest it may run: money is held for all of it. An elastic job names other
    ``shapes`` that will do as well, no two of one width; what leaving it out costs goes by
    ``units`` and ``run_s``. For a job that is ``running`` they are what it runs at and what is left
    of its run, and its units count as free in the problem: it keeps them, moves, or stops to go on
    later. ``promised`` is changed only for a gain. ``avoid`` maps pools that must not be used to
    the reason why (a former attempt that failed there).
    """

    id: str
    tenant_id: str
    units: int
    run_s: float
    accelerators: frozenset[str] = frozenset()
    origin: str = ""
    latency_ms_max: float | None = None
    data_class: DataClass = DataClass.GENERAL
    data_home: str = ""
    domestic_only: bool = False
    sites: frozenset[str] = frozenset()
    uses_voucher: bool = True
    cash_fen_max: int | None = None
    earliest_s: float = 0.0
    deadline_s: float | None = None
    waited_s: float = 0.0
    avoid: Mapping[str, str] = field(default_factory=dict)
    shapes: tuple[Shape, ...] = ()
    after: tuple[After, ...] = ()
    running: RunningAt | None = None
    promised: Promise | None = None

    @property
    def options(self) -> tuple[Shape, ...]:
        """Every shape that it may start in: the one it asks for first."""
        return (Shape(self.units, self.run_s), *self.shapes)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationSpec:
    """Units of a pool that only its holders' jobs may use: those of ``tenants``, and ``jobs``."""

    id: str
    pool_id: str
    units: int
    from_s: float
    until_s: float
    tenants: frozenset[str] = frozenset()
    jobs: frozenset[str] = frozenset()


class Family(StrEnum):
    """Families of limits that can be switched off; ``docs/placement-model.md`` has their lines."""

    POWER = "power"
    MONEY = "money"
    LATENCY = "latency"
    DATA = "data"
    DEADLINE = "deadline"
    ELASTIC = "elastic"
    RESERVATION = "reservation"
    AFTER = "after"
    FAIRNESS = "fairness"
    EXPIRY = "expiry"
    MOVES = "moves"
    STABILITY = "stability"
    SLEEP = "sleep"
    STORAGE = "storage"
    SOLAR = "solar"
    PEAK = "peak"
    EVENTS = "events"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Weights of the objective, all in yuan, and the planner's limits.

    ``latency_yuan_per_ms`` is paid once a job for each millisecond of round trip, ``waiting`` for
    each hour and unit between now and the start, ``unserved`` for each unit-hour not placed; the
    latter grows by ``ageing_per_hour`` of itself for each full hour that the job has waited, so no
    job starves. ``unfair`` is paid for each unit-hour that a tenant gets less than it is due (zero:
    not asked), and ``expiring_weight`` is what a yuan of a voucher is worth that would be lost
    within the horizon. A running job moves for a saving of ``move_threshold_yuan`` beyond its
    checkpoint, and a promised start changes for ``change_yuan``. The search for whole jobs stops
    at ``mip_gap`` or after ``mip_time_s``; a plan too large for it is searched at some sites at a
    time, in ``search_rounds`` rounds.
    Families of limits in ``families_off`` do not hold, for what-ifs and comparisons.
    """

    carbon_yuan_per_kg: float = 0.06
    latency_yuan_per_ms: float = 0.002
    waiting_yuan_per_unit_hour: float = 0.05
    unserved_yuan_per_unit_hour: float = 1_000.0
    user_price_weight: float = 1.0
    time_limit_s: float = 10.0
    mip_columns_max: int = 2_000
    ageing_per_hour: float = 0.1
    mip_gap: float = 1e-4
    mip_time_s: float = 1.0
    families_off: frozenset[Family] = frozenset()
    unfair_yuan_per_unit_hour: float = 0.0
    expiring_weight: float = 0.1
    move_threshold_yuan: float = 5.0
    change_yuan: float = 0.5
    search_rounds: int = 0


DEFAULT_SLOT_LENGTHS_S: Final = (60, 240, 600, 900, 1_800, 3_600, 3_600, 3_600)
"""First a minute, then longer: about four hours in eight slots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Everything that one planning run is given."""

    origin: datetime
    slots: tuple[Slot, ...]
    sites: tuple[SiteSpec, ...]
    pools: tuple[PoolSpec, ...]
    jobs: tuple[JobSpec, ...]
    lots: tuple[LotSpec, ...] = ()
    cash_fen: Mapping[str, int] = field(default_factory=dict)
    rtt_ms: Mapping[tuple[str, str], float] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)
    reservations: tuple[ReservationSpec, ...] = ()
    links: Mapping[tuple[str, str], LinkSpec] = field(default_factory=dict)
    usual_link: LinkSpec = field(default_factory=lambda: LinkSpec(gbps=1.0))
    weights: Mapping[str, float] = field(default_factory=dict)


def slots_of(lengths_s: tuple[float, ...]) -> tuple[Slot, ...]:
    """Return slots of the given lengths, one after the other from zero."""
    slots: list[Slot] = []
    start_s = 0.0
    for length_s in lengths_s:
        slots.append(Slot(start_s=start_s, length_s=length_s))
        start_s += length_s
    return tuple(slots)
