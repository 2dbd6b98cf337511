"""The centre on a socket of this machine, with its scheduler, for unmodified clients."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from fastapi import FastAPI
from sqlalchemy import Engine

from api.app import create_app
from api.context import ApiContext
from api.identity import PLATFORM, make_key
from api.server import http_server, listen
from api.status_page import StatusPages
from api.store import register_tenant
from scheduler.context import make_context
from scheduler.loop import SchedulerLoop
from suanwang.clock import Clock, SystemClock
from suanwang.db.engine import writing
from suanwang.ids import IdSource, RandomIds, TenantId
from suanwang.model.tenant import Role, Tenant
from suanwang.settings import SchedulerSettings, ServerSettings, Settings
from voucher.writer import GroupWriter

STARTED_S = 60.0
PATIENCE_S = 60.0
"""How long a client of a test waits for an answer: a busy machine fails no test."""


@dataclass(frozen=True, slots=True)
class RunningCentre:
    """Where the centre listens, and the admin's key."""

    url: str
    admin: str
    engine: Engine
    clock: Clock
    ids: IdSource
    app: FastAPI

    def key(self, tenant_id: str, role: Role = Role.ENTERPRISE) -> str:
        """Register a tenant where it is new, and return a key of it."""
        with writing(self.engine) as connection:
            tenant = Tenant(id=TenantId(tenant_id), name=tenant_id)
            register_tenant(connection, tenant, self.clock.now())
            made = make_key(connection, self.clock, self.ids, tenant_id=tenant.id, role=role)
        return made.secret


@contextmanager
def running_centre(engine: Engine, *, cycle_s: float = 1.0) -> Iterator[RunningCentre]:
    """Run the centre on a free port of 127.0.0.1 until the block ends.

    A job may come back at once to a site that has failed it, since tests often have but one.
    """
    clock = SystemClock()
    ids = RandomIds(clock)
    settings = Settings(
        server=ServerSettings(), scheduler=SchedulerSettings(cycle_s=cycle_s, time_limit_s=2.0)
    )
    made = make_context(clock, ids, settings)
    context = replace(made, limits=replace(made.limits, avoid_s=0.0))
    writer = GroupWriter(engine, clock)
    loop = SchedulerLoop(engine, writer, clock, ids, context=context)
    app = create_app(
        ApiContext(
            engine=engine,
            clock=clock,
            ids=ids,
            settings=settings,
            writer=writer,
            scheduling=context,
            pages=StatusPages(clock),
            wake=loop.wake,
        )
    )
    with writing(engine) as connection:
        register_tenant(connection, PLATFORM, clock.now())
        admin = make_key(connection, clock, ids, tenant_id=PLATFORM.id, role=Role.ADMIN).secret
    with listen("127.0.0.1", 0) as listening:
        server = http_server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        writer.start()
        loop.start()
        port = listening.getsockname()[1]
        try:
            yield RunningCentre(f"http://127.0.0.1:{port}", admin, engine, clock, ids, app)
        finally:
            loop.stop()
            server.should_exit = True
            thread.join(STARTED_S)
            writer.stop()
