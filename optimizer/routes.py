"""Routes to solvers by name, for the setting ``scheduler.solver``: what there is, and what is not.

``auto`` is the direct route, which chooses by size. A name of HiGHS fixes its algorithm for
relaxations. ``pulp:NAME`` sends the same arrays through PuLP to a solver that the operator has.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import pulp

from optimizer.deadline import Deadline
from optimizer.direct_route import solve_direct
from optimizer.highs_route import LiveModel, has_algorithm
from optimizer.model import Model
from optimizer.pulp_route import find_cbc, route_of
from optimizer.solution import Limits, Solution, SolveModel
from suanwang.errors import BadInput, Unavailable

AUTO: Final = "auto"
_HIGHS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "highs-simplex": "simplex",
        "highs-ipm": "ipx",
        "highs-hipo": "hipo",
        "highs-pdlp": "pdlp",
    }
)
"""Our names of HiGHS's algorithms for relaxations, and HiGHS's own."""
_GAP: Final = 1e-6
"""Relative gap at which a solver behind PuLP ends its search, where PuLP can tell it one."""


@dataclass(frozen=True, slots=True)
class _Behind:
    """A solver behind PuLP: PuLP's names for its ways to reach it, the best first, and the advice.

    ``takes_gap``: whether PuLP can pass it a gap by name.
    """

    ways: tuple[str, ...]
    advice: str
    takes_gap: bool = True


_PULP: Final[Mapping[str, _Behind]] = MappingProxyType(
    {
        "CBC": _Behind(("COIN_CMD",), "put cbc on PATH, or pip install 'pulp[cbc]'"),
        "HIGHS": _Behind(("HiGHS",), "pip install highspy"),
        "SCIP": _Behind(("SCIP_PY", "SCIP_CMD"), "pip install pyscipopt"),
        "GUROBI": _Behind(("GUROBI", "GUROBI_CMD"), "pip install gurobipy, with a licence"),
        "CPLEX": _Behind(("CPLEX_PY", "CPLEX_CMD"), "pip install cplex, with a licence"),
        "XPRESS": _Behind(("XPRESS_PY", "XPRESS"), "pip install xpress, with a licence"),
        "MOSEK": _Behind(("MOSEK",), "pip install mosek, with a licence", takes_gap=False),
        "COPT": _Behind(("COPT", "COPT_CMD"), "pip install coptpy, with a licence"),
        "CUOPT": _Behind(("CUOPT",), "pip install NVIDIA's cuopt, with a GPU"),
        "GLPK": _Behind(("GLPK_CMD",), "put glpsol on PATH", takes_gap=False),
    }
)
_PREFIX: Final = "pulp:"


def names() -> tuple[str, ...]:
    """Return every name that the setting may have."""
    return (AUTO, *_HIGHS, *(f"{_PREFIX}{name}" for name in _PULP))


def installed() -> Mapping[str, bool]:
    """Return for every name whether its solver is there; a licence shows only when it is asked."""
    return {name: _missing(name) is None for name in names()}


def route_named(name: str) -> SolveModel:
    """Return the route of a name, in any case of letters.

    Raise BadInput for a name that nobody knows, Unavailable where the solver is not installed.
    """
    known = {one.casefold(): one for one in names()}
    own = known.get(name.casefold())
    if own is None:
        raise BadInput(f"there is no solver {name}; there are {', '.join(names())}")
    missing = _missing(own)
    if missing is not None:
        there = ", ".join(one for one, is_there in installed().items() if is_there)
        raise Unavailable(
            f"the solver {own} is not installed here", next_step=f"{missing}; there are: {there}"
        )
    if own == AUTO:
        return solve_direct
    if own in _HIGHS:
        return _by_highs(_HIGHS[own])
    return _with_prices(route_of(_maker(own.removeprefix(_PREFIX))))


def _missing(name: str) -> str | None:
    """Return what to do to have a solver, or None where it is there."""
    if name == AUTO:
        return None
    if name in _HIGHS:
        return None if has_algorithm(_HIGHS[name]) else "pip install highspy-extras"
    own = name.removeprefix(_PREFIX)
    return None if _way(own) is not None else _PULP[own].advice


def _by_highs(algorithm: str) -> SolveModel:
    def solve(model: Model, limits: Limits) -> Solution:
        return LiveModel(model, algorithm=algorithm).solve(limits)

    return solve


def _with_prices(route: SolveModel) -> SolveModel:
    """The route, with prices of relaxations by HiGHS where it has none: PuLP gets none of SCIP."""

    def solve(model: Model, limits: Limits) -> Solution:
        deadline = Deadline(limits.time_s)
        answer = route(model, limits)
        if model.is_integral.any() or not answer.has_point or answer.duals.any():
            return answer
        priced = solve_direct(model, replace(limits, time_s=deadline.left_s()))
        return replace(
            answer,
            duals=priced.duals,
            solver=f"{answer.solver}, prices by {priced.solver}",
            solve_s=deadline.elapsed_s(),
        )

    return solve


def _way(own: str) -> str | None:
    """Return the first way by which PuLP reaches a solver here."""
    for way in _PULP[own].ways:
        try:
            solver = getattr(pulp, way)(msg=False, **_path(own))
            if solver.available():
                return way
        except (pulp.PulpSolverError, FileNotFoundError, ImportError, OSError):
            continue
    return None


def _maker(own: str) -> Callable[[], pulp.LpSolver]:
    way = _way(own)
    behind = _PULP[own]
    options = {"gapRel": _GAP} if behind.takes_gap else {}
    if own == "HIGHS":  # HiGHS refuses another number of threads in the same process.
        options = {**options, "threads": 1}
    if way is None:
        raise AssertionError(f"{own} was there a moment ago")
    return lambda: getattr(pulp, way)(msg=False, **_path(own), **options)


def _path(own: str) -> dict[str, str]:
    return {"path": find_cbc()} if own == "CBC" else {}
