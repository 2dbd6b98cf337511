"""The status pages: the network for everybody, a tenant's jobs for its key."""

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from api.context import Context
from api.identity import Right, identity_of
from api.status_page import CSP
from scheduler import service
from suanwang.errors import Forbidden, Unauthorised

router = APIRouter(tags=["status"], default_response_class=HTMLResponse)

JOBS_SHOWN: Final = 100
_HEADERS: Final = {"Content-Security-Policy": CSP, "Referrer-Policy": "no-referrer"}


@router.get("/status", summary="Status page")
def status(context: Context) -> Response:
    """Sites with PUE, power and sources, pools, the queue and the ledger's check; no key needed."""
    with context.reading() as connection:
        page = context.pages.public(connection, context.clock.now())
    return HTMLResponse(page, headers=_HEADERS)


@router.get("/status/jobs", summary="Status page of the caller's jobs")
def status_of_jobs(request: Request, context: Context) -> Response:
    """The newest jobs of the caller's tenant. A browser asks for the key as a password."""
    try:
        identity = identity_of(context, request, Right.READ_JOBS)
    except (Unauthorised, Forbidden) as failure:
        return HTMLResponse(
            f"<!doctype html><title>{failure.status}</title><p>{failure.message}",
            401,
            _HEADERS | {"WWW-Authenticate": 'Basic realm="Suanwang: API key as password"'},
        )
    now = context.clock.now()
    with context.reading() as connection:
        jobs = service.list_jobs(
            connection, tenant_id=identity.tenant_scope, state=None, before=None, limit=JOBS_SHOWN
        )
    return HTMLResponse(context.pages.jobs(jobs, identity.tenant_id, now), headers=_HEADERS)
