"""A centre for the agent's tests: the agent channel by aiohttp, in memory, with faults."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiohttp import web

from suanwang.wire.agent import (
    AttemptReport,
    Hello,
    LogUpload,
    Order,
    OrderAcks,
    OrderList,
    ReportUpload,
)
from suanwang.wire.batch import TelemetryUpload, decode

SITE_TOKEN = "swt_test-site-token"


@dataclass
class Centre:
    """What a centre got, and what it answers. ``is_down`` answers 503; ``drops`` loses answers."""

    clock_now: datetime = field(default_factory=lambda: datetime(2026, 10, 14, tzinfo=UTC))
    url: str = ""
    is_down: bool = False
    drops: bool = False
    refuse_telemetry: bool = False
    hellos: list[Hello] = field(default_factory=list)
    batches: dict[str, TelemetryUpload] = field(default_factory=dict)
    repeats: int = 0
    orders: list[Order] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    reports: list[AttemptReport] = field(default_factory=list)
    output: dict[str, str] = field(default_factory=dict)
    output_at_end: dict[str, str] = field(default_factory=dict)
    packages: dict[str, bytes] = field(default_factory=dict)
    believed: list[str] = field(default_factory=list)

    def states(self, attempt_id: str) -> list[str]:
        """Return the states that were reported of an attempt, without repeats in a row."""
        states: list[str] = []
        for report in self.reports:
            if report.attempt_id == attempt_id and states[-1:] != [report.state]:
                states.append(report.state)
        return states


async def _hello(centre: Centre, body: bytes) -> object:
    centre.hellos.append(Hello.model_validate_json(body))
    return {
        "site_id": "site-1",
        "clock": centre.clock_now.isoformat(),
        "hello_every_s": 0.5,
        "running": centre.believed,
    }


async def _telemetry(centre: Centre, body: bytes) -> object:
    upload = decode(body)
    if centre.refuse_telemetry:
        raise web.HTTPUnprocessableEntity(text="bad reading")
    if upload.id in centre.batches:
        centre.repeats += 1
        return {"accepted": 0, "duplicates": 1}
    centre.batches[upload.id] = upload
    return {"accepted": len(upload.readings)}


async def _ack(centre: Centre, body: bytes) -> object:
    acks = OrderAcks.model_validate_json(body)
    ids = acks.ids
    centre.acknowledged.extend(ids)
    centre.late.extend(acks.late)
    centre.orders = [order for order in centre.orders if order.id not in ids]
    return {"accepted": len(ids)}


async def _reports(centre: Centre, body: bytes) -> object:
    upload = ReportUpload.model_validate_json(body)
    known = {(report.attempt_id, report.seq) for report in centre.reports}
    for report in upload.reports:
        if (report.attempt_id, report.seq) not in known:
            centre.reports.append(report)
            centre.output_at_end[report.attempt_id] = centre.output.get(report.attempt_id, "")
    return {"accepted": len(upload.reports)}


async def _logs(centre: Centre, body: bytes) -> object:
    upload = LogUpload.model_validate_json(body)
    have = centre.output.get(upload.attempt_id, "")
    if upload.offset <= len(have):
        centre.output[upload.attempt_id] = have + upload.text[len(have) - upload.offset :]
    return {"next_offset": len(centre.output.get(upload.attempt_id, ""))}


_CALLS = {
    "/agent/v1/hello": _hello,
    "/agent/v1/telemetry": _telemetry,
    "/agent/v1/orders/ack": _ack,
    "/agent/v1/reports": _reports,
    "/agent/v1/logs": _logs,
}


class _Door:
    """The HTTP side of a test centre."""

    def __init__(self, centre: Centre) -> None:
        self._centre = centre

    def _check(self, request: web.Request) -> None:
        if request.headers.get("Authorization") != f"Bearer {SITE_TOKEN}":
            raise web.HTTPUnauthorized(text="wrong token")
        if self._centre.is_down:
            raise web.HTTPServiceUnavailable(text="down for maintenance")

    async def post(self, request: web.Request) -> web.Response:
        """Take an upload."""
        self._check(request)
        answer = await _CALLS[request.path](self._centre, await request.read())
        if self._centre.drops and request.transport is not None:
            request.transport.close()
        return web.json_response(answer)

    async def orders(self, request: web.Request) -> web.Response:
        """Hold the call open until there is an order."""
        self._check(request)
        for _ in range(int(float(request.query.get("wait_s", "0")) * 20)):
            if self._centre.orders or self._centre.is_down:
                break
            await asyncio.sleep(0.05)
        found = OrderList(orders=tuple(self._centre.orders))
        return web.json_response(json.loads(found.model_dump_json()))

    async def package(self, request: web.Request) -> web.Response:
        """Return the bytes of a digest."""
        self._check(request)
        found = self._centre.packages.get(request.match_info["sha256"])
        if found is None:
            raise web.HTTPNotFound(text="no such package")
        return web.Response(body=found)


def _application(centre: Centre) -> web.Application:
    door = _Door(centre)
    application = web.Application(client_max_size=64 * 1024 * 1024)
    for path in _CALLS:
        application.router.add_post(path, door.post)
    application.router.add_get("/agent/v1/orders", door.orders)
    application.router.add_get("/agent/v1/packages/{sha256}", door.package)
    return application


@asynccontextmanager
async def running_centre() -> AsyncIterator[Centre]:
    """Serve a centre on a free port of loopback."""
    centre = Centre()
    runner = web.AppRunner(_application(centre), shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    centre.url = f"http://{host}:{port}"
    try:
        yield centre
    finally:
        await runner.cleanup()
