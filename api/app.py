"""The application: routers, errors, limits and metrics put together."""

from typing import Final

from fastapi import APIRouter, Depends, FastAPI
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.context import ApiContext
from api.forwarding import forwarding, install_forwarding
from api.http_metrics import HttpMetricsMiddleware
from api.limits import BodyLimitMiddleware, refuse_unstorable_text
from api.problems import PROBLEM_ANSWERS, install_problems
from api.routers import (
    agent_channel,
    alert_channels,
    alerts,
    bills,
    energy,
    energy_plan,
    facility,
    funds,
    gateway,
    gateway_tail,
    grant_steps,
    grant_tables,
    grants,
    health,
    inventory,
    job_batches,
    jobs,
    kpis,
    ledger,
    meter_tree,
    metrics,
    planner,
    prices,
    quotes,
    registry,
    reports,
    reservations,
    series,
    sites,
    status,
    tenants,
    vouchers,
)
from suanwang import __version__

PEOPLE_ROUTERS: Final[tuple[APIRouter, ...]] = (
    tenants.router,
    sites.router,
    energy.router,
    energy.network_router,
    bills.router,
    energy_plan.router,
    facility.router,
    series.router,
    meter_tree.router,
    inventory.router,
    kpis.router,
    alerts.router,
    alert_channels.router,
    jobs.router,
    job_batches.router,
    quotes.router,
    prices.router,
    planner.router,
    vouchers.router,
    ledger.router,
    funds.router,
    grants.router,
    grant_steps.router,
    registry.router,
    grant_tables.router,
    reports.router,
    reservations.router,
    gateway.router,
    status.router,
    health.router,
    metrics.router,
)
"""Routes over HTTP for people and programs; their text must be such that a database can hold it."""
OTHER_ROUTERS: Final[tuple[APIRouter, ...]] = (agent_channel.router, gateway_tail.router)
"""The agents' channel, which passes on what programs print, and the websocket."""

DESCRIPTION: Final = """
Suanwang (算网) schedules jobs over the data centres of different owners.

Send `Authorization: Bearer KEY`. Money is whole fen in fields named `*_fen`, prices are micro-yuan,
moments are RFC 3339. Every error is `application/problem+json` (RFC 9457) with `code`, `facts` and
`next_step`; on Ray's paths under `/api/` it is plain text, which Ray's clients print.
"""


class SafeHeadersMiddleware:
    """Adds the headers that keep answers out of caches and browsers from guessing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request; headers that the route has set itself stay."""

        async def adding(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Cache-Control", "no-store")
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Content-Security-Policy", "default-src 'none'")
            await send(message)

        await self._app(scope, receive, adding if scope["type"] == "http" else send)


def create_app(context: ApiContext) -> FastAPI:
    """Return the application on a database that has its tables."""
    app = FastAPI(
        title="Suanwang",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=forwarding,
        responses=PROBLEM_ANSWERS,
    )
    app.state.context = context
    for router in PEOPLE_ROUTERS:
        app.include_router(router, dependencies=[Depends(refuse_unstorable_text)])
    for router in OTHER_ROUTERS:
        app.include_router(router)
    install_problems(app)
    install_forwarding(app)
    app.add_middleware(SafeHeadersMiddleware)
    app.add_middleware(BodyLimitMiddleware)
    app.add_middleware(HttpMetricsMiddleware, metrics=context.http, clock=context.clock)
    return app
