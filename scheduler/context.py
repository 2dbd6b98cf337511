"""What the scheduler is handed from outside: time, ids, the energy catalogue and its own limits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from collectors.store_bill import PeakBook
from optimizer.crew import IN_PROCESS, Crew
from optimizer.direct_route import shared_out
from optimizer.planner import plan
from optimizer.problem import LinkSpec, Policy, Problem
from optimizer.routes import AUTO, route_named
from optimizer.solution import SolveModel
from scheduler.crew_named import crew_of
from scheduler.desk import DeskHolder
from suanwang.clock import Clock
from suanwang.energy.catalogue import EnergyCatalogue, load_catalogue
from suanwang.ids import IdSource
from suanwang.model.plan import Plan
from suanwang.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits and times of the scheduler.

    Jobs that come in within ``solve_every_s`` of the last solve are placed at its prices.
    ``start_margin_s`` is what a lease allows
    on top of the run for reaching the site and starting. An attempt without news for
    ``unknown_after_s`` is unknown; one without for ``fence_after_s`` whose agent answers is fenced.
    ``link`` is what lies between two sites, for data of jobs that come after others.
    A site that has failed a job is avoided by that job for ``avoid_s``.
    Every ``moves_every_s`` (0: never) running jobs that may move, and have run where they are for
    ``move_rest_s``, are planned with the queue.
    """

    cycle_s: float = 5.0
    solve_every_s: float = 0.0
    queue_limit: int = 2_000
    avoid_s: float = 600.0
    start_margin_s: int = 900
    unknown_after_s: float = 60.0
    fence_after_s: float = 120.0
    reconcile_every_s: float = 10.0
    moves_every_s: float = 60.0
    move_rest_s: float = 600.0
    policy: Policy = field(default_factory=Policy)
    link: LinkSpec = field(default_factory=lambda: LinkSpec(gbps=1.0))
    tenant_weights: Mapping[str, float] = field(default_factory=dict)


def _go_on(_step: str) -> None:
    """Do nothing between two steps of the cycle."""


class MoveTurn:
    """When moves were looked at last: it is not worth a solve in every cycle."""

    def __init__(self) -> None:
        self._last_s: float | None = None

    def is_due(self, now_s: float, every_s: float) -> bool:
        """Whether it is time to look at moves; the answer yes begins the next pause."""
        if every_s <= 0 or (self._last_s is not None and now_s - self._last_s < every_s):
            return False
        self._last_s = now_s
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The scheduler's surroundings; ``on_step`` hears the name of each finished step of a cycle.

    ``desk`` holds what the newest cycle left for quotes and explanations, ``peaks`` what the
    month's demand is. ``crew`` helps with large problems.
    """

    clock: Clock
    ids: IdSource
    catalogue: EnergyCatalogue
    limits: Limits = field(default_factory=Limits)
    planner: Callable[[Problem], Plan] = plan
    crew: Crew = IN_PROCESS
    on_step: Callable[[str], None] = _go_on
    desk: DeskHolder = field(default_factory=DeskHolder)
    peaks: PeakBook = field(default_factory=PeakBook)
    moves: MoveTurn = field(default_factory=MoveTurn)


def make_context(clock: Clock, ids: IdSource, settings: Settings | None = None) -> Context:
    """Return a context with the packaged energy catalogue and the real planner.

    Raise BadInput or Unavailable where the solver of the settings is unknown or not installed.
    """
    given = settings or Settings()
    crew = crew_of(given.scheduler.crew)
    return Context(
        clock=clock,
        ids=ids,
        catalogue=_catalogue(given),
        limits=_limits(given),
        planner=partial(plan, solve=_route(given, crew), crew=crew),
        crew=crew,
    )


def _route(settings: Settings, crew: Crew) -> SolveModel:
    """The route of the settings; only our own can be shared out."""
    branch = settings.scheduler
    if branch.solver.casefold() != AUTO or crew is IN_PROCESS:
        return route_named(branch.solver)
    return shared_out(crew, branch.crew.starts_min)


def _catalogue(settings: Settings) -> EnergyCatalogue:
    packaged = load_catalogue()
    own = settings.energy.folder
    return packaged.with_folder(Path(own)) if own else packaged


def _limits(settings: Settings) -> Limits:
    branch = settings.scheduler
    weights = branch.policy
    return Limits(
        cycle_s=branch.cycle_s,
        solve_every_s=branch.solve_every_s,
        moves_every_s=branch.moves_every_s,
        move_rest_s=branch.move_rest_s,
        policy=Policy(
            carbon_yuan_per_kg=weights.carbon_yuan_per_kg,
            latency_yuan_per_ms=weights.latency_yuan_per_ms,
            waiting_yuan_per_unit_hour=weights.waiting_yuan_per_unit_hour,
            unserved_yuan_per_unit_hour=weights.unserved_yuan_per_unit_hour,
            user_price_weight=weights.user_price_weight,
            unfair_yuan_per_unit_hour=weights.unfair_yuan_per_unit_hour,
            expiring_weight=weights.expiring_weight,
            change_yuan=weights.change_yuan,
            move_threshold_yuan=weights.move_threshold_yuan,
            search_rounds=branch.search_rounds,
            time_limit_s=branch.time_limit_s,
        ),
        tenant_weights=dict(branch.tenant_weights),
        link=LinkSpec(gbps=branch.link_gbps, price_uyuan_per_gb=branch.link_price_uyuan_per_gb),
    )
