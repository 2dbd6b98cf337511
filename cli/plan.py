"""``suanwang plan``: what the planner would do with a world or a dumped problem, offline."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import AsJson, emit_json, line

if TYPE_CHECKING:
    from optimizer.problem import Problem
    from scheduler.forecast import SiteForecast
    from suanwang.energy.catalogue import EnergyCatalogue
    from suanwang.model.network import ComputeNetwork
    from suanwang.model.plan import Plan
    from suanwang.scenario.world import World


SEARCH_PART = 4
"""Of the time limit, one part in so many goes into the search for better whole jobs."""
GREEDY = "greedy"
WithEnergy = Annotated[
    bool,
    typer.Option(
        "--energy", help="Also plan sleep, batteries, sun, promises and the month's peak."
    ),
]


def plan(
    path: Annotated[
        Path | None,
        typer.Argument(help="World file; the name of a packaged one (qingdao, demo) will do."),
    ] = None,
    problem_file: Annotated[
        Path | None, typer.Option("--problem", help="Solve this dumped problem instead of a world.")
    ] = None,
    dump_file: Annotated[
        Path | None, typer.Option("--dump", help="Write the problem there; do not solve it.")
    ] = None,
    with_names: Annotated[
        bool, typer.Option("--with-names", help="Keep the names of jobs and tenants in the dump.")
    ] = False,
    time_limit: Annotated[
        float, typer.Option(min=0.1, max=3600.0, help="Seconds that planning may take.")
    ] = 20.0,
    solver: Annotated[
        str,
        typer.Option(help="auto, greedy, an algorithm of HiGHS, or pulp:NAME (see `doctor`)."),
    ] = "auto",
    slot_minutes: Annotated[
        int | None, typer.Option(min=1, max=1440, help="Length of a slot instead of the world's.")
    ] = None,
    limit_rows: Annotated[
        int, typer.Option(min=0, help="Most rows of the tables of jobs and refusals; 0 is all.")
    ] = 20,
    show_jobs: Annotated[bool, typer.Option("--jobs", help="Also list every placed job.")] = False,
    energy: WithEnergy = False,
    as_json: AsJson = False,
) -> None:
    """Plan a world's jobs and print the plan, its electricity bill, energy, CO2 and refusals."""
    from suanwang.clock import SystemClock
    from suanwang.errors import BadInput

    if problem_file is not None and path is None:
        return _plan_dumped(problem_file, solver, limit_rows=limit_rows, as_json=as_json)
    if path is None or problem_file is not None:
        raise BadInput("name either a world or, with --problem, a dumped problem")
    clock = SystemClock()
    began_s = clock.monotonic()
    loaded = _loaded(path, with_energy=energy)
    lengths_s = _slot_lengths_s(loaded.world.slot_lengths_s, slot_minutes)
    problem = _problem_of(loaded, lengths_s, time_limit)
    if dump_file is not None:
        return _write(problem, dump_file, with_names=with_names)
    from cli.plan_report import PlanReport, print_report, report_document

    made = _solve(problem, solver)
    report = PlanReport(
        world=loaded.world,
        plan=made,
        sites=_forecast(loaded, made),
        slots=len(lengths_s),
        total_s=clock.monotonic() - began_s,
    )
    if as_json:
        return emit_json(report_document(report))
    print_report(report, limit_rows=limit_rows, show_jobs=show_jobs)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    """A world and what it is understood with."""

    world: "World"
    catalogue: "EnergyCatalogue"
    network: "ComputeNetwork"


def _loaded(path: Path, *, with_energy: bool) -> _Loaded:
    from suanwang.energy.catalogue import load_catalogue
    from suanwang.scenario.load import load_world
    from suanwang.scenario.network import network_of
    from suanwang.scenario.packaged import world_path

    catalogue = load_catalogue()
    world = load_world(world_path(path), catalogue)
    network = network_of(world, catalogue, with_energy=with_energy)
    return _Loaded(world=world, catalogue=catalogue, network=network)


def _problem_of(loaded: _Loaded, lengths_s: tuple[int, ...], time_limit_s: float) -> "Problem":
    from optimizer.problem import Policy
    from scheduler.problem import Money, build_problem

    world = loaded.world
    money = Money(lots=world.lots, cash_fen=world.cash_fen)
    policy = Policy(time_limit_s=time_limit_s, mip_time_s=time_limit_s / SEARCH_PART)
    return build_problem(loaded.network, world.jobs, money, loaded.catalogue, policy, lengths_s)


def _forecast(loaded: _Loaded, made: "Plan") -> "tuple[SiteForecast, ...]":
    from scheduler.forecast import forecast

    world = loaded.world
    return forecast(
        loaded.network,
        made.starts + made.later,
        world.jobs,
        loaded.catalogue,
        world.demand_terms,
        world.end,
    )


def _plan_dumped(file: Path, solver: str, *, limit_rows: int, as_json: bool) -> None:
    """Solve a dumped problem, under the limits of time that it was dumped with."""
    from cli.plan_dumped import DumpedReport, dumped_document, print_dumped
    from optimizer.dump import load
    from suanwang.errors import BadInput

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as failure:
        raise BadInput(f"cannot read {file}: {failure}") from failure
    problem = load(text)
    report = DumpedReport(problem=problem, plan=_solve(problem, solver))
    if as_json:
        emit_json(dumped_document(report))
    else:
        print_dumped(report, limit_rows=limit_rows)


def _write(problem: "Problem", file: Path, *, with_names: bool) -> None:
    from optimizer.dump import dump

    file.write_text(dump(problem, with_names=with_names), encoding="utf-8")
    names = "as they are" if with_names else "replaced"
    line(f"{file}: {len(problem.jobs)} jobs, {len(problem.pools)} pools; names {names}")


def _solve(problem: "Problem", solver: str) -> "Plan":
    from optimizer.greedy import plan_greedy
    from optimizer.planner import plan as plan_optimal
    from optimizer.routes import route_named

    if solver == GREEDY:
        return plan_greedy(problem)
    return plan_optimal(problem, solve=route_named(solver))


def _slot_lengths_s(lengths_s: tuple[int, ...], slot_minutes: int | None) -> tuple[int, ...]:
    from suanwang.errors import BadInput

    if slot_minutes is None:
        return lengths_s
    horizon_s, length_s = sum(lengths_s), slot_minutes * 60
    if horizon_s % length_s:
        message = f"--slot-minutes {slot_minutes} does not divide the world's {horizon_s // 60}"
        raise BadInput(f"{message} minutes")
    return (length_s,) * (horizon_s // length_s)
