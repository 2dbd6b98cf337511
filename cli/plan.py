"""``suanwang plan``: what the planner would do with a world, offline, in seconds."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import AsJson, emit_json

if TYPE_CHECKING:
    from optimizer.problem import Problem
    from suanwang.model.plan import Plan


SEARCH_PART = 4
"""Of the time limit, one part in so many goes into the search for better whole jobs."""


class Solver(StrEnum):
    """Which route decides: HiGHS directly, the same model through PuLP, or only the greedy plan."""

    HIGHS = "highs"
    PULP_HIGHS = "pulp-highs"
    PULP_CBC = "pulp-cbc"
    GREEDY = "greedy"


def plan(
    path: Annotated[
        Path, typer.Argument(help="World file; the name of a packaged one (qingdao, demo) will do.")
    ],
    time_limit: Annotated[
        float, typer.Option(min=0.1, max=3600.0, help="Seconds that planning may take.")
    ] = 20.0,
    solver: Annotated[Solver, typer.Option(help="Route to the solver, or greedy only.")] = (
        Solver.HIGHS
    ),
    slot_minutes: Annotated[
        int | None, typer.Option(min=1, max=1440, help="Length of a slot instead of the world's.")
    ] = None,
    limit_rows: Annotated[
        int, typer.Option(min=0, help="Most rows of the tables of jobs and refusals; 0 is all.")
    ] = 20,
    show_jobs: Annotated[bool, typer.Option("--jobs", help="Also list every placed job.")] = False,
    as_json: AsJson = False,
) -> None:
    """Plan a world's jobs and print the plan, its electricity bill, energy, CO2 and refusals."""
    from cli.plan_report import PlanReport, print_report, report_document
    from optimizer.problem import Policy
    from scheduler.forecast import forecast
    from scheduler.problem import Money, build_problem
    from suanwang.clock import SystemClock
    from suanwang.energy.catalogue import load_catalogue
    from suanwang.scenario.load import load_world
    from suanwang.scenario.network import network_of
    from suanwang.scenario.packaged import world_path

    clock = SystemClock()
    began_s = clock.monotonic()
    catalogue = load_catalogue()
    world = load_world(world_path(path), catalogue)
    network = network_of(world, catalogue)
    lengths_s = _slot_lengths_s(world.slot_lengths_s, slot_minutes)
    money = Money(lots=world.lots, cash_fen=world.cash_fen)
    policy = Policy(time_limit_s=time_limit, mip_time_s=time_limit / SEARCH_PART)
    problem = build_problem(network, world.jobs, money, catalogue, policy, lengths_s)
    made = _solve(problem, solver)
    sites = forecast(
        network,
        made.starts + made.later,
        world.jobs,
        catalogue,
        world.demand_terms,
        world.end,
    )
    report = PlanReport(
        world=world,
        plan=made,
        sites=sites,
        slots=len(lengths_s),
        total_s=clock.monotonic() - began_s,
    )
    if as_json:
        emit_json(report_document(report))
    else:
        print_report(report, limit_rows=limit_rows, show_jobs=show_jobs)


def _solve(problem: "Problem", solver: Solver) -> "Plan":
    from optimizer.greedy import plan_greedy
    from optimizer.planner import plan as plan_optimal

    match solver:
        case Solver.GREEDY:
            return plan_greedy(problem)
        case Solver.HIGHS:
            return plan_optimal(problem)
    from optimizer.pulp_route import by_cbc, by_highs
    from suanwang.errors import Unavailable

    try:
        route = by_highs() if solver is Solver.PULP_HIGHS else by_cbc()
    except FileNotFoundError as failure:
        raise Unavailable(str(failure), next_step="Use --solver highs.") from failure
    return plan_optimal(problem, solve=route)


def _slot_lengths_s(lengths_s: tuple[int, ...], slot_minutes: int | None) -> tuple[int, ...]:
    from suanwang.errors import BadInput

    if slot_minutes is None:
        return lengths_s
    horizon_s, length_s = sum(lengths_s), slot_minutes * 60
    if horizon_s % length_s:
        message = f"--slot-minutes {slot_minutes} does not divide the world's {horizon_s // 60}"
        raise BadInput(f"{message} minutes")
    return (length_s,) * (horizon_s // length_s)
