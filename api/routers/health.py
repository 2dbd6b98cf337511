"""Whether the process lives, and whether it can serve."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import Field

from api import store
from api.context import Context
from api.schemas.common import Out
from suanwang import __version__

router = APIRouter(tags=["health"])


class Health(Out):
    """``ok``: what was asked for is there."""

    status: str = Field(default="ok", examples=["ok"])


class Ready(Health):
    """What a client compares itself with: the product's version and the centre's clock."""

    version: str = Field(examples=["0.1.0"])
    clock: datetime


@router.get("/healthz", summary="Is the process alive")
async def healthz() -> Health:
    """Answer without touching anything else."""
    return Health()


@router.get("/readyz", summary="Can it serve")
def readyz(context: Context) -> Ready:
    """Answer 200 when the database and its tables are there, else 503."""
    with context.reading() as connection:
        store.ping(connection)
    return Ready(version=__version__, clock=context.clock.now())
