"""The planner: its newest runs with their certificates, and the problem that it sees now."""

import json
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import JSONResponse, Response

from api.context import Context
from api.identity import Auditor
from api.schemas.planner import RunList, RunOut
from optimizer.dump import dump
from scheduler import store_plans
from scheduler.cycle import present_problem

router = APIRouter(prefix="/v1/planner", tags=["planner"])

Limit = Annotated[int, Query(ge=1, le=100, description="how many of the newest")]


@router.get("/runs", summary="Newest planning runs")
def list_runs(identity: Auditor, context: Context, limit: Limit = 20) -> RunList:
    """Return the newest planning runs that decided anything, each with its certificate."""
    with context.reading() as connection:
        runs = store_plans.newest_runs(connection, limit)
    return RunList(items=[RunOut.model_validate(asdict(run)) for run in runs])


@router.get("/problem", summary="The problem as it is now")
def dump_problem(identity: Auditor, context: Context) -> Response:
    """Return what the planner would be asked now, for a bug report: names of others are replaced.

    `suanwang plan --problem FILE` solves it again.
    """
    problem = present_problem(context.engine, context.scheduling)
    return JSONResponse(json.loads(dump(problem)))
