"""The open route: the same arrays through PuLP to any solver that it knows, and to MPS or LP files.

PuLP's objects cost 20 to 80 times what the arrays cost, so this is never the hot path. Only names
that PuLP 4 keeps are used. PuLP calls a HiGHS run that ended by its time limit "Optimal", even when
the point is infeasible: so a status counts only together with our own check of the point.
"""

import platform
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Final

import numpy as np
import pulp

from optimizer.arrays import Floats
from optimizer.model import Model
from optimizer.solution import Answer, Limits, Solution, SolveModel, checked

_BUNDLED: Final = {"linux": "linux//cbc", "darwin": "osx//cbc", "win32": "win//cbc.exe"}
_MACHINE: Final = {"x86_64": "i64", "amd64": "i64", "arm64": "arm64", "aarch64": "arm64"}
_NamedRow = tuple[list[tuple[pulp.LpVariable, float]], str]


def pulp_problem(model: Model, name: str = "placement") -> pulp.LpProblem:
    """Return the model as a PuLP problem with readable names; it can be written to MPS or LP."""
    problem = pulp.LpProblem(name, pulp.LpMinimize)
    variables = [
        problem.add_variable(
            variable,
            lowBound=float(model.lower[at]),
            upBound=float(model.upper[at]),
            cat=pulp.LpInteger if model.is_integral[at] else pulp.LpContinuous,
        )
        for at, variable in enumerate(model.variable_names())
    ]
    problem.setObjective(
        pulp.LpAffineExpression(list(zip(variables, model.cost.tolist(), strict=True)))
    )
    terms = _terms_by_row(model, variables)
    for at, row in enumerate(model.row_names()):
        if terms[at]:
            _add_row(problem, (terms[at], row), model.row_lower[at], model.row_upper[at])
    return problem


def solve_by_pulp(model: Model, limits: Limits, solver: pulp.LpSolver) -> Solution:
    """Solve a model with a PuLP solver; raise ``pulp.PulpSolverError`` where it cannot run."""
    began_s = perf_counter()
    problem = pulp_problem(model)
    handed_s = perf_counter()
    solver.timeLimit = max(1.0, limits.time_s)
    if solver.name.startswith("CPLEX"):  # Else it calls a relaxation a MIP, and gives no prices.
        solver.mip = bool(model.is_integral.any())
    status = problem.solve(solver)
    return checked(
        model,
        Answer(
            solver=f"PuLP {pulp.__version__} / {solver.name}",
            said=pulp.LpStatus[status],
            claims_optimal=status == pulp.LpStatusOptimal
            and problem.sol_status == pulp.LpSolutionOptimal,
            claims_infeasible=status == pulp.LpStatusInfeasible,
            values=_values(model, problem),
            duals=_duals(model, problem),
            handover_s=handed_s - began_s,
            solve_s=perf_counter() - handed_s,
        ),
    )


def by_highs(gap: float = 1e-9) -> SolveModel:
    """Return the route through PuLP to HiGHS.

    One thread, as on the direct route: HiGHS refuses another number in the same process.
    """
    return route_of(lambda: pulp.HiGHS(msg=False, threads=1, gapRel=gap))


def by_cbc(gap: float = 1e-9) -> SolveModel:
    """Return the route through PuLP to CBC; raise FileNotFoundError where there is no CBC."""
    path = find_cbc()
    return route_of(lambda: pulp.COIN_CMD(path=path, msg=False, threads=1, gapRel=gap))


def route_of(make_solver: Callable[[], pulp.LpSolver]) -> SolveModel:
    """Return the route through PuLP to the solver that ``make_solver`` makes anew for each call."""

    def solve(model: Model, limits: Limits) -> Solution:
        return solve_by_pulp(model, limits, make_solver())

    return solve


def find_cbc() -> str:
    """Return the path of a CBC: one on PATH, or the one that comes in PuLP's package."""
    ready = pulp.COIN_CMD().available()
    if ready:
        return str(ready)
    system, _, program = _BUNDLED.get(sys.platform, "linux//cbc").split("/")
    machine = _MACHINE.get(platform.machine().lower(), "i32")
    bundled = Path(pulp.__file__).parent / "solverdir" / "cbc" / system / machine / program
    if pulp.COIN_CMD(path=str(bundled)).available():
        return str(bundled)
    raise FileNotFoundError("no CBC found: put cbc on PATH, or pip install 'pulp[cbc]'")


def _terms_by_row(
    model: Model, variables: list[pulp.LpVariable]
) -> list[list[tuple[pulp.LpVariable, float]]]:
    terms: list[list[tuple[pulp.LpVariable, float]]] = [[] for _ in range(model.row_count)]
    column_of = np.repeat(np.arange(model.columns), np.diff(model.start))
    for column, row, value in zip(
        column_of.tolist(), model.index.tolist(), model.value.tolist(), strict=True
    ):
        terms[row].append((variables[column], value))
    return terms


def _add_row(problem: pulp.LpProblem, row: _NamedRow, lower: float, upper: float) -> None:
    """Add a row; the families write equations and one-sided rows only."""
    terms, name = row
    expression = pulp.LpAffineExpression(terms)
    if lower == upper:
        problem.addConstraint(expression == float(lower), name)
    elif np.isinf(lower):
        problem.addConstraint(expression <= float(upper), name)
    elif np.isinf(upper):
        problem.addConstraint(expression >= float(lower), name)
    else:
        raise AssertionError(f"row {name} has two different finite sides")


def _values(model: Model, problem: pulp.LpProblem) -> Floats:
    by_name = {variable.name: variable.varValue for variable in problem.variables()}
    values = [by_name.get(name, 0.0) for name in model.variable_names()]
    return np.array([np.nan if value is None else value for value in values])


def _duals(model: Model, problem: pulp.LpProblem) -> Floats:
    """Duals by row; zero where the solver gives none (whole numbers, rows without terms)."""
    by_name = {row.name: getattr(row, "pi", None) for row in problem.constraints()}
    return np.array([by_name.get(name) or 0.0 for name in model.row_names()])
