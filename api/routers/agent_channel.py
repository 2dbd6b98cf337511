"""The agents' channel: they call, with the token of their site, and say or ask everything here.

See ``suanwang.wire.agent``. Every call may be repeated without harm.
"""

import hashlib
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Final

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.booking import Books, LedgerDesk
from api.context import ApiContext, Context
from api.identity import Agent
from collectors import quality
from collectors import store as telemetry
from scheduler import agents, store_orders
from scheduler.rows import clean_text
from suanwang.clock import from_epoch_ms, to_epoch_ms
from suanwang.errors import BadInput
from suanwang.ids import SiteId
from suanwang.model.batch import Readings, SeriesKey, TelemetryBatch
from suanwang.model.reading import SourceListing
from suanwang.wire.agent import (
    Hello,
    LogReceipt,
    LogUpload,
    Order,
    OrderAcks,
    OrderList,
    Receipt,
    ReportUpload,
    Welcome,
)
from suanwang.wire.batch import CLOCK_HEADER, CONTENT_TYPE, TelemetryUpload, decode

router = APIRouter(prefix="/agent/v1", tags=["agents"])

WAIT_S_MAX: Final = 60.0
"""Longest time that a poll for orders is held open."""
LOOK_EVERY_S: Final = 0.3
"""Pause between two looks into the database during a long poll; no connection is held meanwhile."""
CLOCK_DIGITS_MAX: Final = 14
"""Digits of an agent's clock: up to the year 5138."""


@router.post("/hello", summary="An agent reports in")
def hello(body: Hello, identity: Agent, context: Context, books: Books) -> Welcome:
    """Note the agent's state; return what the centre believes to run at the site."""
    return books.write(lambda turn: agents.hello(turn, identity.site, body, context.clock.now()))


@router.post(
    "/telemetry",
    summary="Take in telemetry",
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "a batch of readings by column, see docs/agent.md",
            "content": {CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def take_telemetry(request: Request, identity: Agent, context: Context) -> Receipt:
    """Record a batch once, however often it comes; ``refused`` names what can never be taken."""
    # Before the body and the queue: what they take is no difference of clocks.
    skew = _skew(request.headers.get(CLOCK_HEADER, ""), context.clock.now())
    async with context.gate.entered(identity.site):
        body = await request.body()
        return await to_thread.run_sync(
            _ingest, body, identity.site, skew, context, limiter=context.gate.threads
        )


def _skew(told_ms: str, now: datetime) -> timedelta:
    """Return how far the agent's clock is ahead of ours; raise BadInput for what is no moment."""
    if not told_ms:
        return timedelta()
    if not (told_ms.isascii() and told_ms.isdigit() and len(told_ms) <= CLOCK_DIGITS_MAX):
        raise BadInput(f"{CLOCK_HEADER} is ms since 1970, not {told_ms[:50]!r}")
    return from_epoch_ms(int(told_ms)) - now


def _ingest(body: bytes, site_id: SiteId, skew: timedelta, context: ApiContext) -> Receipt:
    upload, now = decode(body), context.clock.now()
    batch = TelemetryBatch(
        id=clean_text(upload.id),
        site_id=site_id,
        sent_at=now + skew,
        readings=_cleaned(upload.readings),
        reports=tuple(
            replace(report, source=clean_text(report.source), error=clean_text(report.error))
            for report in upload.reports
        ),
        listing=_listing(upload),
    )
    digest = hashlib.sha256(body).hexdigest()
    with ExitStack() as stack:
        low_ms = _oldest_ms(upload.readings, skew, now)
        if context.remote is not None:
            stack.enter_context(context.remote.admitting(site_id, low_ms))
        with context.writing() as connection:
            taken = telemetry.ingest(connection, batch, digest, now, context.series_book)
            if context.remote is not None:
                context.remote.note(connection, site_id, low_ms)
        context.series_book.keep(site_id, taken.numbers)
        if context.remote is not None and taken.admitted is not None:
            context.remote.take_rows(site_id, taken.admitted)
    context.gate.count(taken, len(upload.readings) - taken.accepted - taken.duplicates)
    return Receipt(accepted=taken.accepted, duplicates=taken.duplicates, refused=taken.refused)


def _oldest_ms(readings: Readings, skew: timedelta, now: datetime) -> int:
    """Return a moment that no sample of a batch will be older than, however clocks are apart."""
    latest, oldest = to_epoch_ms(now), to_epoch_ms(now - quality.LATE_MAX)
    if not len(readings):
        return latest
    told = int(readings.rows.at_ms.min()) - abs(skew) // timedelta(milliseconds=1)
    return min(latest, max(told, oldest))


def _listing(upload: TelemetryUpload) -> SourceListing | None:
    if upload.sources is None:
        return None
    return SourceListing(
        at=upload.made_at, sources=frozenset(clean_text(name) for name in upload.sources)
    )


def _cleaned(readings: Readings) -> Readings:
    """Return readings whose names a database can hold."""
    return replace(
        readings,
        series=tuple(
            SeriesKey(clean_text(subject), clean_text(metric))
            for subject, metric in readings.series
        ),
        labels={
            place: {clean_text(name): clean_text(text) for name, text in labels.items()}
            for place, labels in readings.labels.items()
        },
    )


@router.get("/orders", summary="Fetch orders")
async def fetch_orders(
    request: Request,
    identity: Agent,
    context: Context,
    books: Books,
    wait_s: Annotated[float, Query(ge=0, le=WAIT_S_MAX, allow_inf_nan=False)] = 0.0,
) -> OrderList:
    """Return the orders not acknowledged yet; with none, wait up to ``wait_s`` for one."""
    until = context.clock.monotonic() + wait_s
    while wait_s and not await to_thread.run_sync(_is_waiting, identity.site, context):
        left_s = until - context.clock.monotonic()
        if left_s <= 0 or await request.is_disconnected():
            return OrderList(orders=())
        await context.clock.wait(min(LOOK_EVERY_S, left_s))
    return OrderList(orders=await to_thread.run_sync(_orders, identity.site, books))


def _is_waiting(site_id: SiteId, context: ApiContext) -> bool:
    with context.reading() as connection:
        return bool(store_orders.open_orders(connection, site_id))


def _orders(site_id: SiteId, books: LedgerDesk) -> tuple[Order, ...]:
    return books.write(lambda turn: agents.orders(turn.connection, site_id))


@router.post("/orders/ack", summary="Acknowledge orders")
def acknowledge(body: OrderAcks, identity: Agent, context: Context, books: Books) -> Receipt:
    """Hand these orders out no more: the agent has them on disk."""
    return books.write(
        lambda turn: agents.acknowledge(
            turn, identity.site, body.ids, context.clock.now(), body.late
        )
    )


@router.post("/reports", summary="Take in reports")
def take_reports(body: ReportUpload, identity: Agent, context: Context, books: Books) -> Receipt:
    """Take in where attempts stand; older reports than the last one are repeats."""
    return books.change(
        lambda turn: agents.take_reports(turn, identity.site, body.reports, context.clock.now())
    )


@router.post("/logs", summary="Take in output")
def take_log(body: LogUpload, identity: Agent, context: Context) -> LogReceipt:
    """Append a piece of output; ``next_offset`` says where the next one must begin."""
    with context.writing() as connection:
        return agents.append_log(connection, identity.site, body)


@router.get(
    "/packages/{sha256}",
    summary="Fetch a package",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "the bytes"}},
)
def fetch_package(sha256: str, identity: Agent, context: Context) -> Response:
    """Return the bytes of a package that a job at this site needs."""
    with context.reading() as connection:
        content = agents.package_by_digest(connection, identity.site, sha256)
    return Response(content, media_type="application/octet-stream")
